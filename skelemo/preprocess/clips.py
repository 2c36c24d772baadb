"""Frames of concatenated clips, and reductions over each clip."""

from dataclasses import dataclass
from functools import cached_property

import numpy as np
import torch
from torch import Tensor


@dataclass(frozen=True)
class Clips:
    """The clip of each of N frames.

    Parameters
    ----------
    sequence : ``[N]`` int64, index of each frame's clip, never decreasing.
    number : ``[N]`` frame numbers, increasing within a clip.
    window : number of frames of every clip if all have the same, else 0.
    """

    sequence: Tensor
    number: Tensor
    window: int = 0

    @classmethod
    def windows(cls, number: Tensor) -> "Clips":
        """Clips of equal length, from their frame numbers ``[B, T]``."""
        batch, length = number.shape
        sequence = torch.arange(batch, device=number.device)[:, None].expand(batch, length)
        return cls(sequence.flatten(), number.flatten(), length)

    def grid(self, values: Tensor) -> Tensor:
        """Values ``[N, …]`` as ``[B, T, …]`` for windows, else as ``[1, N, …]``."""
        return values.unflatten(0, (-1, self.window or len(values)))

    def rows(self, chosen: Tensor) -> "Clips":
        """The clips of a selection of frames."""
        return Clips(self.sequence[chosen], self.number[chosen])

    def touched(self, frames: Tensor) -> Tensor:
        """All frames of the clips with any of ``frames``, both bool ``[N]``."""
        first = self.sequence[0]
        flags = frames.new_zeros(int(self.sequence[-1] - first) + 1)
        flags[self.sequence[frames] - first] = True
        return flags[self.sequence - first]

    def median(self, values: Tensor) -> Tensor:
        """Median of ``[..., N]`` over each clip without NaN, repeated for every frame; NaN if all are NaN."""
        if self.window == 1:
            return values
        if self.window:
            columns = values.unflatten(-1, (-1, self.window))
            known = ~columns.isnan()
            ordered = torch.where(known, columns, torch.inf).sort(-1).values  # ONNX leaves the order of NaN open
            count = known.sum(-1, keepdim=True)
            middle = (count + count.new_tensor([-1, 0])).clamp(min=0) // 2
            found = torch.where(count > 0, ordered.gather(-1, middle).mean(-1, keepdim=True), torch.nan)
            return found.expand_as(columns).flatten(-2)
        if values.ndim > 1:
            return torch.stack([self.median(row) for row in values])
        run, length = self._runs
        known = ~values.isnan()
        # One integer sort for all clips: the clip's index in the upper 32 bits, the value's rank in the lower.
        ranks = torch.where(known, _in_order(values.contiguous().view(torch.int32)), _NAN)
        ordered = _sorted((run << 32) + ranks)
        first, count = length.cumsum(0) - length, torch.bincount(run[known], minlength=len(length))
        middle = first + (count - 1).clamp(min=0) // 2, first + count // 2
        low, high = (_in_order(ordered[row].to(torch.int32)).view(torch.float32) for row in middle)
        return ((low + high) / 2)[run]

    @cached_property
    def _runs(self) -> tuple[Tensor, Tensor]:
        """Index ``[N]`` of each frame's clip, and number of frames of each clip."""
        return torch.unique_consecutive(self.sequence, return_inverse=True, return_counts=True)[1:]


def _sorted(values: Tensor) -> Tensor:
    """Sorted. NumPy sorts integers with vector instructions, ten times as fast as torch."""
    return torch.from_numpy(np.sort(values.numpy())) if values.device.type == "cpu" else values.sort().values


#: Bits of a NaN, above all numbers.
_NAN = torch.iinfo(torch.int32).max


def _in_order(bits: Tensor) -> Tensor:
    """Map float32 bits to int32 in numeric order; the function is its own inverse."""
    return bits ^ ((bits >> 31) & _NAN)
