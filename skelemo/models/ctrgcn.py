"""CTR-GCN: a learned topology, refined for each window and group of channels.

After Chen et al. 2021 (arXiv 2107.12213): channel-wise topology refinement graph convolution with temporal branches.
"""

from collections.abc import Sequence

import torch
from torch import Tensor, nn

from skelemo.errors import ConfigError
from skelemo.models.graph import directed_partition
from skelemo.models.joint_layers import FrameNorm, Frames, JointNetwork, Shortcut
from skelemo.models.registry import Spec, register
from skelemo.models.stgcnpp import Block, Branches


class RefinedGraphUnit(nn.Module):
    """Graph convolution over K adjacencies, each refined by channel and window, with a residual connection.

    With x̄ the mean of the input over the visible frames, the topology of channel group g between keypoints u and v is
    ``Aₖ[u, v] + α · Σᵣ Wₖ[g, r] tanh(ψ(x̄ᵤ) − φ(x̄ᵥ))ᵣ``; A and α (from 0) are learned. An eighth of
    the input channels, at least 8, are compared (r).

    Parameters
    ----------
    group : number of channels that share a topology; 1 as published.
    """

    def __init__(self, inputs: int, outputs: int, adjacency: Tensor, group: int) -> None:
        super().__init__()
        if outputs % group:
            raise ConfigError(f"group = {group} does not divide {outputs} channels: choose a divisor of all of them")
        subsets, width = len(adjacency), max(inputs // 8, 8)
        self.shape = (subsets, outputs // group, group)
        self.adjacency = nn.Parameter(adjacency.clone())
        self.alpha = nn.Parameter(torch.zeros(1))
        self.source = nn.Linear(inputs, subsets * width)
        self.target = nn.Linear(inputs, subsets * width)
        self.refine = nn.Parameter(torch.empty(subsets, outputs // group, width).uniform_(-1, 1) / width**0.5)
        self.value = nn.Linear(inputs, subsets * outputs)
        self.norm = FrameNorm(outputs)
        self.shortcut = Shortcut(inputs, outputs)
        nn.init.constant_(self.norm.weight, 1e-6)  # as published: a block starts as its residual connection

    def forward(self, rows: Tensor, frames: Frames) -> Tensor:
        """``[n, V, inputs]`` to ``[n, V, outputs]``."""
        values = frames.spread(self.value(rows)).unflatten(-1, self.shape)  # [B, T, V, K, G, C / G]
        values = values.permute(0, 3, 4, 2, 1, 5).flatten(-2)  # [B, K, G, V, T * C / G]
        mixed = (self._topology(rows, frames) @ values).sum(1)  # [B, G, V, T * C / G]
        mixed = mixed.unflatten(-1, (-1, self.shape[-1])).permute(0, 3, 2, 1, 4).flatten(-2)  # [B, T, V, C]
        return torch.relu(self.norm(frames.pack(mixed)) + self.shortcut(rows, frames))

    def _topology(self, rows: Tensor, frames: Frames) -> Tensor:
        """``[B, K, G, V, V]``, the receiving keypoint before the sending one."""
        grid = frames.spread(rows)
        count = frames.seen.sum(1).clamp(min=1).to(grid.dtype)
        mean = grid.sum(1) / count[:, None, None]  # [B, V, inputs]
        source, target = (
            side(mean).unflatten(-1, (self.shape[0], -1)).permute(0, 2, 3, 1) for side in (self.source, self.target)
        )  # [B, K, R, V]
        difference = torch.tanh(source[..., None, :] - target[..., :, None])  # [B, K, R, V, V]
        refined = self.refine @ difference.flatten(-2)  # [B, K, G, V * V]
        return self.adjacency.mT[:, None] + self.alpha * refined.view(*refined.shape[:3], *difference.shape[-2:])


@register("ctrgcn", sees="a graph of normalized keypoints over time")
def ctrgcn(
    spec: Spec,
    *,
    streams: Sequence[str] = ("joint",),
    widths: Sequence[int] = (64, 64, 128, 128, 256),
    dilations: Sequence[int] = (1, 2),
    kernel: int = 5,
    group: int = 8,
    block_dropout: float = 0.0,
    dropout: float = 0.0,
    readout: int = 0,
) -> nn.Module:
    """CTR-GCN, half as deep as published and with one topology per 8 channels, since 95 keypoints have 9,025 pairs.

    ``widths=[64,64,64,64,128,128,128,256,256,256] group=1`` is the published size. ``readout=128`` replaces the mean
    over joints by a linear layer with separate weights for each joint.
    """
    adjacency = directed_partition(spec.layout)

    def block(inputs: int, outputs: int, stride: int, first: bool) -> nn.Module:
        graph = RefinedGraphUnit(inputs, outputs, adjacency, group)
        time = Branches(outputs, stride, block_dropout, dilations, kernel)
        return Block(graph, inputs, outputs, stride, time, residual=not first)

    return JointNetwork(spec, streams, widths, dropout, block, readout)
