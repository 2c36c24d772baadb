"""Frames of concatenated clips, and reductions over each clip."""

from dataclasses import dataclass
from functools import cached_property

import numpy as np
import torch
from torch import Tensor

#: From this many frames on, NumPy finds the middle values of a clip faster than it sorts them.
_LONG = 1000


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
        if len(length) == len(values):
            return values
        medians = _medians(values.numpy(force=True), length.numpy(force=True))
        return torch.from_numpy(medians).to(values.device)[run]

    @cached_property
    def _runs(self) -> tuple[Tensor, Tensor]:
        """Index ``[N]`` of each frame's clip, and number of frames of each clip."""
        return torch.unique_consecutive(self.sequence, return_inverse=True, return_counts=True)[1:]


def _medians(values: np.ndarray, length: np.ndarray) -> np.ndarray:
    """Median without NaN of each run of values with these lengths; NaN if all are NaN."""
    ordered, first = values.copy(), length.cumsum() - length
    count = np.add.reduceat(~np.isnan(values), first, dtype=np.int64)
    low, high = (count - 1).clip(0) // 2, count // 2
    for start, size, *middle in np.stack([first, length, low, high], 1).tolist():
        run = ordered[start : start + size]  # NaN are put last
        run.sort() if size < _LONG else run.partition(middle)
    return (ordered[first + low] + ordered[first + high]) / 2
