"""Windows without torch, for exported models: their shape, their frames in a cache, and image sizes.

`skelemo.data.windows` gathers windows on the device.
"""

from dataclasses import dataclass
from typing import Literal

import numpy as np
import pandas as pd

from skelemo.errors import ConfigError

#: A key is ``sequence * KEY_SPAN + frame number``.
KEY_SPAN = 1 << 32
#: Least share of equal steps in a sequence with evenly numbered frames.
_REGULAR = 0.75


@dataclass(frozen=True)
class Window:
    """The shape of windows.

    Parameters
    ----------
    length : T, frames per window.
    dilation : use every n-th frame of the sequence.
    target : position of the labeled frame: ``last`` (past frames only, as needed live) or ``center``.
    sampling : ``stride`` for one window per labeled frame; ``clip`` for one per sequence, with T frames evenly spaced
        over the sequence and the labels of `clip_labels`.
    clip_windows : number of windows per clip, with different frames, whose predictions are averaged.

    Raises
    ------
    ConfigError
        Several windows per clip with ``stride``.
    """

    length: int = 1
    dilation: int = 1
    target: Literal["last", "center"] = "last"
    sampling: Literal["stride", "clip"] = "stride"
    clip_windows: int = 1

    def __post_init__(self) -> None:
        if self.clip_windows > 1 and self.sampling != "clip":
            raise ConfigError(
                f"clip_windows = {self.clip_windows} needs sampling: clip; sampling: {self.sampling} averages over all "
                "windows of a clip anyway"
            )

    def within(self, number: int) -> float:
        """Relative position, from 0 to 1, of the frames of the ``number``-th window within their shares of the clip."""
        return (number + 0.5) / self.clip_windows

    @property
    def offsets(self) -> np.ndarray:
        """``[T]`` int64, offsets of the frames from the target, in steps of the sequence."""
        behind = self.length - 1 if self.target == "last" else self.length // 2
        return (np.arange(self.length) - behind) * self.dilation


def target_rows(sequences: pd.DataFrame, window: Window, every: int = 1) -> np.ndarray:
    """The rows to predict for: every n-th frame, or the middle of each clip."""
    start, length = (sequences[name].to_numpy() for name in ("start", "length"))
    if window.sampling == "clip":
        return np.asarray(start + length // 2)
    rows = rows_of(sequences)
    return rows[(rows - np.repeat(start, length)) % every == 0]


def rows_of(sequences: pd.DataFrame) -> np.ndarray:
    """All rows of some sequences, one sequence after the other."""
    start, length = (sequences[name].to_numpy(np.int64) for name in ("start", "length"))
    return np.repeat(start - (np.cumsum(length) - length), length) + np.arange(length.sum())


def window_frames(
    sequences: pd.DataFrame, number: np.ndarray, rows: np.ndarray, window: Window, turn: int = 0
) -> tuple[np.ndarray, np.ndarray]:
    """The frames ``[W, T]`` of windows as rows of a cache, and which are present; see `Gatherer.gather`.

    Parameters
    ----------
    number : ``[N]`` frame numbers of all rows.
    rows : ``[W]`` the windows' target rows.
    turn : index below ``window.clip_windows``.
    """
    start, length = (sequences[name].to_numpy(np.int64) for name in ("start", "length"))
    of = np.repeat(np.arange(len(sequences)), length)
    mine = of[rows]
    if window.sampling == "clip":
        share = (np.arange(window.length, dtype=np.float32) + np.float32(window.within(turn))) / np.float32(
            window.length
        )
        frame = (share * length[mine, None].astype(np.float32)).astype(np.int64)
        found = start[mine, None] + np.minimum(frame, length[mine, None] - 1)
        return found, np.ones(found.shape, bool)
    key = of * KEY_SPAN + number
    step = usual_steps(number, of, len(sequences))[mine, None]
    found, distance = nearest(key, key[rows, None], window.offsets * step)
    return found, (distance <= window.dilation * step / 2) & (of[found] == mine[:, None])


def nearest(key: np.ndarray, target: np.ndarray | int, ahead: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Index in sorted keys of the one nearest to ``target + ahead``, the first of two, and its distance.

    The fractional part ``ahead`` is separate, because the sum would lose digits of long keys.
    """
    before = np.searchsorted(key, target + np.floor(ahead).astype(np.int64), "right") - 1
    around = np.stack([np.maximum(before, 0), np.minimum(before + 1, len(key) - 1)])
    distance = np.abs((key[around] - target) - ahead)
    closest = distance.argmin(0)[None]
    found, distance = (np.take_along_axis(values, closest, 0)[0] for values in (around, distance))
    return found, distance


def guess_sizes(size: np.ndarray, keypoints: np.ndarray, sequences: pd.DataFrame) -> np.ndarray:
    """Image sizes ``[S, 2]`` with unknown ones, 0, estimated from all keypoints ``[N, V, 3]`` of the video."""
    unknown = np.flatnonzero((size == 0).any(1))
    if not len(unknown):
        return size
    rows = sequences[["start", "length"]].to_numpy()[unknown]
    shown = [keypoints[start : start + length, :, :2].max((0, 1)) for start, length in rows]
    largest = pd.DataFrame(np.maximum(shown, 1)).groupby(sequences["video"].to_numpy()[unknown]).transform("max")
    size = size.astype(np.float32)
    size[unknown] = largest.to_numpy(np.float32)
    return size


def usual_steps(number: np.ndarray, sequence: np.ndarray, count: int) -> np.ndarray:
    """Usual increment of the frame number within each sequence; 1 for single frames.

    The median if most increments equal it; else the mean without gaps (e.g. 1.5 for 0, 1, 3, 4, 6, 7).
    """
    within = np.diff(sequence) == 0
    steps, of = np.diff(number)[within], sequence[1:][within]
    found = np.ones(count)
    if not len(steps):
        return found
    first = np.flatnonzero(np.append(True, of[1:] != of[:-1]))
    here, length = of[first], np.diff(first, append=len(of))
    ordered = np.sort((np.repeat(np.arange(len(first)), length) << 32) + steps) & (KEY_SPAN - 1)
    median = (ordered[first + (length - 1) // 2] + ordered[first + length // 2]) / 2
    found[here] = median
    own = found[of]
    kept, regular = (np.add.reduceat(chosen, first, dtype=np.int64) for chosen in (steps <= 2 * own, steps == own))
    mean = np.add.reduceat(np.where(steps <= 2 * own, steps, 0), first, dtype=np.int64) / np.maximum(kept, 1)
    uneven = (kept > 0) & (regular < _REGULAR * kept)
    found[here[uneven]] = mean[uneven]
    return found
