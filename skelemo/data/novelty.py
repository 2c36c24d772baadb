"""Which frames to learn from: those after which a person has moved as far as between any two others.

One frame in ten repeats the face of a person who keeps still and misses most of a gesture. Frames at equal distances
along the path through pose space are as many, and stand where something changes.
"""

from typing import TYPE_CHECKING

import numpy as np
import torch
from torch import Tensor

from skelemo.data.calibration import measured
from skelemo.data.window import KEY_SPAN

if TYPE_CHECKING:
    from skelemo.data.corpus import Corpus

#: Share of the mean step that a frame counts in any case: a person who does not move at all has evenly spaced frames.
_STILL = 1e-3


def steps_of(places: Tensor) -> Tensor:
    """How far each frame of ``[N, V, 3]`` is from the one before it, ``[N - 1]``.

    The root mean square over the points that both show, in sizes of their parts; 0 where there is none.
    """
    both = (places[1:, :, 2] > 0) & (places[:-1, :, 2] > 0)
    square = (places[1:, :, :2] - places[:-1, :, :2]).square().sum(-1) * both
    return (square.sum(1) / both.sum(1).clamp(min=1)).sqrt()


def travelled(corpus: "Corpus") -> np.ndarray:
    """``[N]`` float64: how far each frame's person is from the frame before it; 0 at the beginning of a sequence."""
    found = np.zeros(len(corpus))
    last: Tensor | None = None
    for first, places in measured(corpus):
        joined = places if last is None else torch.cat([last, places])
        steps, clip = steps_of(joined), corpus.key[first + len(places) - len(joined) : first + len(places)] // KEY_SPAN
        found[first + len(places) - len(steps) : first + len(places)] = (steps * (clip[1:] == clip[:-1])).numpy()
        last = places[-1:]
    return found


def novel_frames(steps: np.ndarray, length: np.ndarray, every: int) -> np.ndarray:
    """Rows of the frames at equal distances along the paths of some clips laid end to end, in order.

    Parameters
    ----------
    steps : ``[N]`` see `travelled`.
    length : ``[S]`` frames of each clip, which add up to N; at least one.
    every : each clip has as many as there are of one frame in ``every``; its first one is among them.
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
    # No frame twice: one that is taken is followed by the next, and all fit before the end.
    rows = np.maximum.accumulate(rows - turn) + turn
    return np.asarray(np.minimum(rows, (start + length - count)[mine] + turn))
