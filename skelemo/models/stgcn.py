"""ST-GCN: graph convolution over the spatial partition, then one long convolution over time.

After Yan, Xiong and Lin 2018 (arXiv 1801.07455) and their published code.
"""

from collections.abc import Sequence

import torch
from torch import Tensor, nn

from skelemo.models.graph import partition
from skelemo.models.joint_layers import FrameNorm, Frames, GraphConv, JointNetwork, Shortcut, TimeConv
from skelemo.models.registry import Spec, register


class Block(nn.Module):
    """Graph convolution and convolution over time, with a residual connection."""

    def __init__(
        self, inputs: int, outputs: int, adjacency: Tensor, kernel: int, stride: int, dropout: float, residual: bool
    ) -> None:
        super().__init__()
        self.stride = stride
        self.graph = GraphConv(inputs, outputs, adjacency, importance=True)
        self.time = TimeConv(outputs, outputs, kernel, stride=stride)
        self.norm = FrameNorm(outputs)
        self.dropout = nn.Dropout(dropout)
        self.shortcut = Shortcut(inputs, outputs, stride) if residual else None

    def forward(self, rows: Tensor, frames: Frames) -> tuple[Tensor, Frames]:
        """Rows of ``frames`` to rows of ``frames.every(stride)``."""
        strided = frames.every(self.stride)
        moved = self.time(frames.spread(torch.relu(self.graph(rows))))
        outputs = self.dropout(self.norm(strided.pack(moved)))
        if self.shortcut is not None:
            outputs = outputs + self.shortcut(rows, frames)
        return torch.relu(outputs), strided


@register("stgcn", sees="a graph of normalized keypoints over time")
def stgcn(
    spec: Spec,
    *,
    streams: Sequence[str] = ("joint",),
    widths: Sequence[int] = (64, 64, 128, 128, 256),
    kernel: int = 9,
    block_dropout: float = 0.0,
    dropout: float = 0.0,
    readout: int = 0,
) -> nn.Module:
    """ST-GCN, half as deep as published, for windows of 16 to 64 frames instead of 300.

    ``widths=[64,64,64,64,128,128,128,256,256,256]`` is the published depth. ``readout=128`` replaces the
    published mean over joints by a linear layer with separate weights for each joint.
    """
    adjacency = partition(spec.layout)

    def block(inputs: int, outputs: int, stride: int, first: bool) -> nn.Module:
        return Block(inputs, outputs, adjacency, kernel, stride, block_dropout, residual=not first)

    return JointNetwork(spec, streams, widths, dropout, block, readout)
