"""Layers of networks over joints and time, on rows ``[n, V, C]``: the visible frames of a batch.

Layers on single frames (graph convolution, batch norm) take the visible frames as rows, so masked frames cost nothing
and do not affect statistics. Layers over time take a grid ``[B, T, V, C]`` with zeros at masked frames. With channels
last, products are plain matrix products; on a CPU this takes two thirds of the time of the usual ``[B, C, T, V]``.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass

import torch
from torch import Tensor, nn

from skelemo.errors import ConfigError
from skelemo.models.heads import Heads, fixed_shapes, masked_mean
from skelemo.models.registry import Spec
from skelemo.models.streams import Streams


@dataclass(frozen=True)
class Frames:
    """The visible frames of a batch.

    Parameters
    ----------
    seen : ``[B, T]`` bool.
    rows : indices of the visible frames in ``B * T``. None if every frame is a row: if all are visible, or outside
        training, where batch norm does not depend on the batch.
    complete : whether every frame is known to be visible.
    """

    seen: Tensor
    rows: Tensor | None = None
    complete: bool = False

    @classmethod
    def of(cls, mask: Tensor, training: bool) -> "Frames":
        """The frames of a mask ``[B, T]``."""
        if fixed_shapes(mask, training):
            return cls(mask)
        if bool(mask.all()):
            return cls(mask, complete=True)
        return cls(mask, mask.flatten().nonzero().squeeze(1) if training and bool(mask.any()) else None)

    def pack(self, grid: Tensor) -> Tensor:
        """``[B, T, …]`` to rows ``[n, …]``."""
        flat = grid.flatten(0, 1)
        return flat if self.rows is None else flat[self.rows]

    def spread(self, rows: Tensor) -> Tensor:
        """Rows ``[n, …]`` to ``[B, T, …]``, zero at masked frames."""
        batch, length = self.seen.shape
        if self.rows is not None:
            grid = rows.new_zeros(batch * length, *rows.shape[1:])
            return grid.index_copy(0, self.rows, rows).unflatten(0, (batch, length))
        grid = rows.unflatten(0, (batch, length))
        return grid if self.complete else grid * self.seen.view(batch, length, *[1] * (rows.dim() - 1))

    def every(self, stride: int) -> "Frames":
        """One frame for every ``stride``: visible if any of them is."""
        if stride == 1:
            return self
        missing = -self.seen.shape[1] % stride
        seen = nn.functional.pad(self.seen, (0, missing)).unflatten(1, (-1, stride)).any(2)
        rows = None if self.rows is None else seen.flatten().nonzero().squeeze(1)
        return Frames(seen, rows, self.complete)


class FrameNorm(nn.BatchNorm1d):
    """Batch norm over the channels of rows ``[n, V, C]`` or ``[n, C]``."""

    def forward(self, rows: Tensor) -> Tensor:
        """Normalize."""
        if rows.shape[0] == 0:
            return rows
        if self.training and rows.numel() == self.num_features:  # the variance of a single row is undefined
            values = rows.view(1, -1), self.running_mean, self.running_var, self.weight, self.bias
            return nn.functional.batch_norm(*values, eps=self.eps).view_as(rows)
        return super().forward(rows.flatten(0, -2)).view_as(rows)


class LinearNorm(nn.Module):
    """Linear layer and batch norm over rows ``[n, V, C]``, fused outside training."""

    def __init__(self, inputs: int, outputs: int) -> None:
        super().__init__()
        self.linear = nn.Linear(inputs, outputs)
        self.norm = FrameNorm(outputs)

    def forward(self, rows: Tensor) -> Tensor:
        """``[n, V, inputs]`` to ``[n, V, outputs]``."""
        if self.training:
            return self.norm(self.linear(rows))
        return nn.functional.linear(rows, *self.folded())

    def folded(self) -> tuple[Tensor, Tensor]:
        """Weight and bias of the equivalent linear layer outside training."""
        mean, variance = self.norm.running_mean, self.norm.running_var
        if mean is None or variance is None:
            raise TypeError("batch norm without running statistics cannot be folded")
        scale = self.norm.weight * torch.rsqrt(variance + self.norm.eps)
        return self.linear.weight * scale[:, None], self.norm.bias + (self.linear.bias - mean) * scale


class GraphConv(nn.Module):
    """Convolution over one or more adjacency matrices and batch norm: ``y = Σₖ Aₖᵀ x Wₖ + b`` for rows ``[n, V, C]``.

    With one symmetric matrix the convolution, before batch norm, equals torch_geometric's ``GCNConv`` on a graph
    shared by all rows.

    Parameters
    ----------
    adjacency : ``[K, V, V]``; ``A[k, u, v]`` is the weight from keypoint u to keypoint v.
    learnable : the matrices are parameters, initialized as given (ST-GCN++).
    importance : the matrices are constant, each multiplied by a parameter of its shape (ST-GCN's edge importance).
    """

    def __init__(
        self, inputs: int, outputs: int, adjacency: Tensor, *, learnable: bool = False, importance: bool = False
    ) -> None:
        super().__init__()
        self.adjacency: Tensor
        if learnable:
            self.adjacency = nn.Parameter(adjacency.clone())
        else:
            self.register_buffer("adjacency", adjacency.clone())
        self.importance = nn.Parameter(torch.ones_like(adjacency)) if importance else None
        self.mix = LinearNorm(len(adjacency) * inputs, outputs)

    def forward(self, rows: Tensor) -> Tensor:
        """``[n, V, inputs]`` to ``[n, V, outputs]``."""
        gather = self.gather().to(rows.dtype)
        gathered = torch.bmm(gather.expand(rows.shape[0], -1, -1), rows)  # matmul would copy rows
        return self.mix(gathered.view(*rows.shape[:2], -1))

    def gather(self) -> Tensor:
        """``[1, V * K, V]``: the subsets of one keypoint are adjacent rows, hence adjacent channels of the product."""
        adjacency = self.adjacency if self.importance is None else self.adjacency * self.importance
        return adjacency.permute(2, 0, 1).reshape(1, -1, adjacency.shape[-1])


class TimeConv(nn.Conv2d):
    """Convolution over time of a grid ``[B, T, V, C]``, padded to ⌈T / stride⌉ frames."""

    def __init__(self, inputs: int, outputs: int, kernel: int, *, stride: int = 1, dilation: int = 1) -> None:
        require_odd(kernel)
        padding = (kernel - 1) // 2 * dilation
        super().__init__(inputs, outputs, (kernel, 1), (stride, 1), (padding, 0), (dilation, 1))

    def forward(self, grid: Tensor) -> Tensor:
        """``[B, T, V, inputs]`` to ``[B, ⌈T / stride⌉, V, outputs]``."""
        return super().forward(grid.permute(0, 3, 1, 2)).permute(0, 2, 3, 1)


def require_odd(kernel: int) -> None:
    """Raise `ConfigError` for an even kernel."""
    if kernel < 1 or kernel % 2 == 0:
        raise ConfigError(f"kernel = {kernel}: expected an odd number of frames, such as {kernel // 2 * 2 + 1}")


class Shortcut(nn.Module):
    """Residual connection of a block: the identity, or a linear layer and batch norm if the shape changes."""

    def __init__(self, inputs: int, outputs: int, stride: int = 1) -> None:
        super().__init__()
        self.stride = stride
        same = inputs == outputs and stride == 1
        self.project = None if same else LinearNorm(inputs, outputs)

    def forward(self, rows: Tensor, frames: Frames) -> Tensor:
        """Rows of ``frames`` to rows of ``frames.every(stride)``."""
        if self.project is None:
            return rows
        if self.stride > 1:
            rows = frames.every(self.stride).pack(frames.spread(rows)[:, :: self.stride])
        return self.project(rows)


class JointNetwork(nn.Module):
    """Blocks over joints and time on streams of keypoints, pooled over visible frames, with heads.

    Parameters
    ----------
    block : ``block(inputs, outputs, stride, first)`` creates a module ``(rows, frames) -> (rows, frames)``.
    widths : output channels of each block; time is halved where they increase, as in ST-GCN.
    readout : features of `TokenReadout`; 0 for the mean over joints, as in ST-GCN.
    """

    def __init__(
        self,
        spec: Spec,
        streams: Sequence[str],
        widths: Sequence[int],
        dropout: float,
        block: Callable[[int, int, int, bool], nn.Module],
        readout: int,
    ) -> None:
        super().__init__()
        if not widths:
            raise ConfigError("widths is empty: expected the channels of each block, e.g. [64, 128]")
        self.streams = Streams(spec, streams)
        self.blocks = nn.ModuleList()
        inputs = self.streams.channels
        for number, outputs in enumerate(widths):
            stride = 2 if number and outputs > inputs else 1
            self.blocks.append(block(inputs, outputs, stride, number == 0))
            inputs = outputs
        self.readout = TokenReadout(len(spec.layout), inputs, readout) if readout else None
        self.dropout = nn.Dropout(dropout)
        self.heads = Heads(readout or inputs, spec.heads)

    def forward(self, keypoints: Tensor, mask: Tensor) -> dict[str, Tensor]:
        """``[B, T, V, 3]`` and ``[B, T]`` to the heads' outputs."""
        frames = Frames.of(mask, self.training)
        rows = frames.pack(self.streams(keypoints, mask))
        for block in self.blocks:
            rows, frames = block(rows, frames)
        if self.readout:
            return self.heads(self.dropout(self.readout(rows, frames)))
        return self.heads(self.dropout(masked_mean(frames.spread(rows.mean(1)), frames.seen)))


class JointTokens(nn.Module):
    """Tokens for attention: one vector for each keypoint and ``stride`` frames.

    Each joint has its own embedding matrix; with a shared one, a rising brow and a rising knee would look the same
    until attention has learned to distinguish them.

    Parameters
    ----------
    width : length of a token.
    stride : frames per token, from a convolution over twice as many.
    """

    def __init__(self, spec: Spec, streams: Sequence[str], width: int, stride: int) -> None:
        super().__init__()
        self.stride = stride
        self.streams = Streams(spec, streams)
        channels = self.streams.channels
        self.embed = nn.Parameter(torch.randn(len(spec.layout), channels, width) * channels**-0.5)
        self.joint = nn.Parameter(torch.randn(len(spec.layout), width) * 0.02)
        self.time = TimeConv(width, width, 2 * stride - 1, stride=stride)

    def forward(self, keypoints: Tensor, mask: Tensor) -> tuple[Tensor, Frames]:
        """``[B, T, V, 3]`` and ``[B, T]`` to rows ``[n, V, width]`` and their frames."""
        frames = Frames.of(mask, self.training)
        points = frames.pack(self.streams(keypoints, mask))  # [n, V, channels]
        rows = nn.functional.gelu(torch.einsum("nvc,vcd->nvd", points, self.embed) + self.joint)
        strided = frames.every(self.stride)
        return strided.pack(self.time(frames.spread(rows))), strided


class TokenReadout(nn.Module):
    """One vector of all joints for each frame, averaged over visible frames.

    A linear layer has separate weights for every joint, as the first layer of `ann`: in a mean over joints a brow would
    be one token in 95, and the heads would see only ``width`` numbers. Differences between windows are small compared
    to what all tokens share (joint, time); batch norm over frames removes the shared part.
    """

    def __init__(self, joints: int, width: int, outputs: int) -> None:
        super().__init__()
        self.token_norm = nn.LayerNorm(width)
        self.frame_proj = LinearNorm(joints * width, outputs)

    def forward(self, rows: Tensor, frames: Frames) -> Tensor:
        """Rows ``[n, V, width]`` to ``[B, outputs]``."""
        vectors = torch.relu(self.frame_proj(self.token_norm(rows).flatten(1)))
        return masked_mean(frames.spread(vectors), frames.seen)
