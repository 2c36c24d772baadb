"""ST-GCN++: graph convolution with learned adjacency and temporal convolution in several branches.

After PYSKL (Duan et al. 2022, arXiv 2205.09443): adjacency initialized from the spatial partition and trained freely, a
residual connection inside the graph convolution, and six temporal branches instead of one long kernel.
"""

from collections.abc import Sequence

import torch
from torch import Tensor, nn

from skelemo.errors import ConfigError
from skelemo.models.graph import directed_partition
from skelemo.models.joint_layers import FrameNorm, Frames, GraphConv, JointNetwork, LinearNorm, Shortcut, TimeConv
from skelemo.models.registry import Spec, register


class GraphUnit(nn.Module):
    """Graph convolution with a residual connection."""

    def __init__(self, inputs: int, outputs: int, adjacency: Tensor) -> None:
        super().__init__()
        self.conv = GraphConv(inputs, outputs, adjacency, learnable=True)
        self.shortcut = Shortcut(inputs, outputs)

    def forward(self, rows: Tensor, frames: Frames) -> Tensor:
        """``[n, V, inputs]`` to ``[n, V, outputs]``."""
        return torch.relu(self.conv(rows) + self.shortcut(rows, frames))


class Branches(nn.Module):
    """Parallel temporal branches, mixed: dilated convolutions, a maximum, and a strided sample.

    Parameters
    ----------
    dilations : dilations of the convolutions, one branch each.
    kernel : length of the convolutions in frames.
    """

    def __init__(self, channels: int, stride: int, dropout: float, dilations: Sequence[int], kernel: int) -> None:
        super().__init__()
        self.stride = stride
        if channels < len(dilations) + 2:
            raise ConfigError(f"widths: {channels} channels are fewer than the {len(dilations) + 2} temporal branches")
        share = channels // (len(dilations) + 2)
        first = channels - share * (len(dilations) + 1)  # the first branch takes the remainder, as in PYSKL
        self.widths = [first, *[share] * len(dilations)]
        # The input projections of all branches but the last (without norm and ReLU) are one product.
        self.branch_proj = nn.Sequential(LinearNorm(channels, channels - share), nn.ReLU())
        self.skip_proj = nn.Linear(channels, share)
        self.convs = nn.ModuleList(
            TimeConv(width, width, kernel, stride=stride, dilation=dilation)
            for width, dilation in zip(self.widths, dilations, strict=False)
        )
        self.out_proj = nn.Sequential(FrameNorm(channels), nn.ReLU(), LinearNorm(channels, channels))
        self.dropout = nn.Dropout(dropout)

    def forward(self, rows: Tensor, frames: Frames) -> Tensor:
        """Rows of ``frames`` to rows of ``frames.every(stride)``."""
        *parts, peak = frames.spread(self.branch_proj(rows)).split(self.widths, -1)
        outputs = [conv(part) for conv, part in zip(self.convs, parts, strict=True)]
        sample = frames.spread(self.skip_proj(rows))[:, :: self.stride]
        mixed = torch.cat([*outputs, self._peak(peak), sample], -1)
        return self.dropout(self.out_proj(frames.every(self.stride).pack(mixed)))

    def _peak(self, grid: Tensor) -> Tensor:
        """Maximum over three frames; masked ones are zero and the input is not negative."""
        pooled = nn.functional.max_pool2d(grid.permute(0, 3, 1, 2), (3, 1), (self.stride, 1), (1, 0))
        return pooled.permute(0, 2, 3, 1)


class Block(nn.Module):
    """Graph unit and temporal branches, with a residual connection."""

    def __init__(
        self, graph: nn.Module, inputs: int, outputs: int, stride: int, time: nn.Module, residual: bool
    ) -> None:
        super().__init__()
        self.graph = graph
        self.time = time
        self.stride = stride
        self.shortcut = Shortcut(inputs, outputs, stride) if residual else None

    def forward(self, rows: Tensor, frames: Frames) -> tuple[Tensor, Frames]:
        """Rows of ``frames`` to rows of ``frames.every(stride)``."""
        outputs = self.time(self.graph(rows, frames), frames)
        if self.shortcut is not None:
            outputs = outputs + self.shortcut(rows, frames)
        return torch.relu(outputs), frames.every(self.stride)


@register("stgcnpp", sees="a graph of normalized keypoints over time")
def stgcnpp(
    spec: Spec,
    *,
    streams: Sequence[str] = ("joint",),
    widths: Sequence[int] = (64, 64, 64, 64, 128, 128, 128, 256, 256, 256),
    dilations: Sequence[int] = (1, 2, 3, 4),
    kernel: int = 3,
    block_dropout: float = 0.0,
    dropout: float = 0.0,
    readout: int = 0,
) -> nn.Module:
    """ST-GCN++ with the published widths; time is halved where they increase.

    ``readout=128`` replaces the mean over joints by a linear layer with separate weights for each joint.
    """
    adjacency = directed_partition(spec.layout)

    def block(inputs: int, outputs: int, stride: int, first: bool) -> nn.Module:
        graph = GraphUnit(inputs, outputs, adjacency)
        time = Branches(outputs, stride, 0.0 if first else block_dropout, dilations, kernel)
        return Block(graph, inputs, outputs, stride, time, residual=not first)

    return JointNetwork(spec, streams, widths, dropout, block, readout)
