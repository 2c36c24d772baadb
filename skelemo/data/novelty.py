"""Sampling of training frames at equal distances along a person's path through pose space.

Every tenth frame repeats the pose of a person who keeps still and misses most of a gesture. This samples the same
number of frames, but where the pose changes.
"""

from typing import TYPE_CHECKING

import numpy as np
import torch
from torch import Tensor

from skelemo.data.calibration import measured
from skelemo.data.window_frames import KEY_SPAN

if TYPE_CHECKING:
    from skelemo.data.corpus import Corpus

#: Least step relative to the mean: the frames of a person who does not move are evenly spaced.
_STILL = 1e-3


def steps_of(places: Tensor) -> Tensor:
    """Distance ``[N - 1]`` between consecutive frames of ``[N, V, 3]``.

    Root mean square over the points visible in both, relative to the size of their part; 0 without any.
    """
    both = (places[1:, :, 2] > 0) & (places[:-1, :, 2] > 0)
    square = (places[1:, :, :2] - places[:-1, :, :2]).square().sum(-1) * both
    return (square.sum(1) / both.sum(1).clamp(min=1)).sqrt()


def travelled(corpus: "Corpus") -> np.ndarray:
    """Distance ``[N]`` float64 of each frame from the previous one; 0 for the first of a sequence."""
    found = np.zeros(len(corpus))
    last: Tensor | None = None
    for first, places in measured(corpus):
        joined = places if last is None else torch.cat([last, places])
        steps, clip = steps_of(joined), corpus.key[first + len(places) - len(joined) : first + len(places)] // KEY_SPAN
        found[first + len(places) - len(steps) : first + len(places)] = (steps * (clip[1:] == clip[:-1])).numpy()
        last = places[-1:]
    return found


def novel_frames(steps: np.ndarray, length: np.ndarray, every: int) -> np.ndarray:
    """Increasing rows of frames at equal distances along the paths of concatenated clips.

    Parameters
    ----------
    steps : ``[N]`` see `travelled`.
    length : ``[S]`` number of frames of each clip, at least one, N in total.
    every : each clip has as many frames as with every n-th, including its first.
    """
    start, count = np.cumsum(length) - length, -(-length // every)
    clip = np.repeat(np.arange(len(length)), length)
    total = np.bincount(clip, steps, minlength=len(length))
    steps = steps + (_STILL * total / length + 1e-12)[clip]
    steps[start] = 0
    path = np.cumsum(steps)
    ends = path[start + length - 1]
    begins = path[start]
    turn = np.arange(count.sum()) - np.repeat(np.cumsum(count) - count, count)
    mine = np.repeat(np.arange(len(length)), count)
    level = begins[mine] + (ends - begins)[mine] * turn / count[mine]
    rows = np.searchsorted(path, level - 1e-9 * np.abs(level), "left")
    rows = np.clip(rows, start[mine] + turn, None)
    # Avoid repeats: a frame already chosen is replaced by the next, without passing the end.
    rows = np.maximum.accumulate(rows - turn) + turn
    return np.asarray(np.minimum(rows, (start + length - count)[mine] + turn))
