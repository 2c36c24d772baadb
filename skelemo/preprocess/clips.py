"""Frames of many clips laid end to end, and what is computed clip by clip over them."""

from dataclasses import dataclass

import torch
from torch import Tensor


@dataclass(frozen=True)
class Clips:
    """Which of N frames belong together.

    Parameters
    ----------
    sequence : ``[N]`` int64, the number of each frame's clip, never decreasing.
    number : ``[N]`` frame numbers, increasing within a clip.
    window : how many frames each clip has, where all have equally many; else 0.
    """

    sequence: Tensor
    number: Tensor
    window: int = 0

    @classmethod
    def windows(cls, number: Tensor) -> "Clips":
        """Windows whose frames have the numbers ``[B, T]``."""
        batch, length = number.shape
        sequence = torch.arange(batch, device=number.device)[:, None].expand(batch, length)
        return cls(sequence.flatten(), number.flatten(), length)

    def rows(self, chosen: Tensor) -> "Clips":
        """The chosen frames alone, bool ``[N]``."""
        return Clips(self.sequence[chosen], self.number[chosen])

    def touched(self, frames: Tensor) -> Tensor:
        """Every frame of the clips that any of ``frames``, bool ``[N]``, belongs to."""
        first = self.sequence[0]
        flags = frames.new_zeros(int(self.sequence[-1] - first) + 1)
        flags[self.sequence[frames] - first] = True
        return flags[self.sequence - first]

    def median(self, values: Tensor) -> Tensor:
        """Median of ``[N, ...]`` over each clip, NaN left out, repeated for every frame; NaN where there is none."""
        if self.window:
            columns = values.unflatten(0, (-1, self.window))
            ordered = columns.sort(1).values  # NaN comes last
            count = (~columns.isnan()).sum(1, keepdim=True)
            middle = [(count - odd).clamp(min=0) // 2 for odd in (1, 0)]
            middle[1] = torch.minimum(middle[1], torch.full_like(middle[1], self.window - 1))
            low, high = (ordered.gather(1, index) for index in middle)
            return ((low + high) / 2).expand_as(columns).flatten(0, 1)
        if values.ndim > 1:
            return torch.stack([self.median(column) for column in values.unbind(1)], 1)
        return self._median_of_runs(values.float())

    def _median_of_runs(self, values: Tensor) -> Tensor:
        """One sort of whole numbers serves all clips: the clip's number above the 32 bits of a value."""
        length = torch.unique_consecutive(self.sequence, return_counts=True)[1]
        first = length.cumsum(0) - length
        run = torch.repeat_interleave(torch.arange(len(length), device=values.device), length)
        known = ~values.isnan()
        ranks = torch.where(known, _in_order(values.contiguous().view(torch.int32)), _LAST)
        ordered = ((run << 32) + ranks).sort().values
        count = torch.zeros_like(length).index_add_(0, run, known.long())
        low, high = (
            (
                _in_order(ordered[first + (count - odd).clamp(min=0) // 2].to(torch.int32)).view(torch.float32)
                for odd in (1, 0)
            )
            if len(length)
            else (values, values)
        )
        return torch.where(count > 0, (low + high) / 2, torch.nan)[run]


_LAST = torch.iinfo(torch.int32).max


def _in_order(bits: Tensor) -> Tensor:
    """The bits of float32 as int32 in the order of the numbers; applied twice, the bits again."""
    return bits ^ ((bits >> 31) & _LAST)
