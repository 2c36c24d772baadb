"""The last frames of one person: a ring buffer, and the windows that models look at."""

from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from functools import cached_property

import numpy as np

from skelemo.data.window import Window
from skelemo.errors import ConfigError

#: Frames over which units, gaps and smoothing are computed live for a run whose reference is the clip: three seconds.
CONTEXT = 90
#: Frames that a history has room for at first; it grows to what the windows need and no further.
_FIRST = 32


@dataclass(frozen=True)
class Shape:
    """The shape of one model's windows, as `skelemo.data.windows.Window` has them.

    Parameters
    ----------
    length, dilation : frames of a window, and every how many of the stream one is taken.
    ahead : how many frames of the window, in steps of the stream, follow its target: an answer comes so much later.
    context : frames over which units, gaps and smoothing are computed; 0 for the window's own.
    clip : frames that count as a whole clip, over which the window's frames are spread evenly; 0 for a window that
        ends at the newest frame.
    """

    length: int = 1
    dilation: int = 1
    ahead: int = 0
    context: int = 0
    clip: int = 0

    @classmethod
    def of(cls, window: Window, name: str, *, by_clip: bool, clip: int = 0) -> "Shape":
        """The shape for a model's windows, of which it sees the newest.

        Raises `ConfigError`: a model of whole clips without ``clip``, or the other way round.

        Parameters
        ----------
        name : the model's, for messages.
        by_clip : whether its reference is the clip, of which `CONTEXT` frames or more stand in live.
        clip : frames that count as a clip, for a model of whole clips.
        """
        whole = window.sampling == "clip"
        if whole and clip < 1:
            raise ConfigError(
                f"{name} predicts whole clips: say how many frames of a stream count as one, as in --clip 90"
            )
        if clip and not whole:
            raise ConfigError(f"{name} predicts frames, not whole clips: leave out --clip")
        behind = window.length - 1 if window.target == "last" else window.length // 2
        ahead = 0 if clip else (window.length - 1 - behind) * window.dilation
        context = clip or max(CONTEXT, (window.length - 1) * window.dilation + 1) if by_clip else 0
        return cls(window.length, window.dilation, ahead, context, clip)

    def notes(self, name: str) -> list[str]:
        """How predictions may differ from those for the whole recording, one line each."""
        found = []
        if self.context and not self.clip:
            found.append(
                f"{name} was trained with reference: clip; live, units and gaps come from the last {self.context} "
                "frames instead of the whole clip (with --set reference=window both are the same)"
            )
        if self.ahead:
            found.append(f"{name} has its target in the middle of a window: predictions come {self.ahead} frames later")
        return found

    def example(self, points: int) -> "View":
        """What a model may be shown of a person, at random places."""
        random, length = np.random.default_rng(0), self.context or self.length
        keypoints = random.uniform(100, 600, (length, points, 3)).astype(np.float32)
        keypoints[..., 2] = 0.9
        pick = np.linspace(0, length - 1, self.length).astype(int) if self.context else None
        here = np.ones(length, bool)
        return View(keypoints, np.arange(length), here, pick, here[: self.length])

    @property
    def rows(self) -> int:
        """How many frames must be remembered; twice the window's, for frames that are not evenly numbered."""
        return max(2 * (self.length - 1) * self.dilation + 2, self.context, self.clip)

    @cached_property
    def offsets(self) -> np.ndarray:
        """``[T]`` where the window's frames lie around its target, in steps of the stream."""
        return np.arange(1 - self.length, 1) * self.dilation + self.ahead


@dataclass(frozen=True)
class View:
    """What a model is shown of one person.

    Parameters
    ----------
    keypoints : ``[C, V, 3]`` raw, in pixels; the frames of the window, or those of the context.
    number, present : ``[C]`` their numbers, and which of them there are.
    pick, picked : ``[T]`` rows of the window in the context, and which of them there are; no pick without a context.
    sums : ``[V, 3]`` over all frames of the person so far, for a model that is calibrated; see `LiveModel.measure`.
    """

    keypoints: np.ndarray
    number: np.ndarray
    present: np.ndarray
    pick: np.ndarray | None = None
    picked: np.ndarray = field(default_factory=lambda: np.ones(0, bool))
    sums: np.ndarray | None = None


class History:
    """The newest frames ``[L, V, 3]`` of one person with their numbers, ``most`` at least once there were so many."""

    def __init__(self, points: int, most: int) -> None:
        self._most = most
        self._keypoints = np.empty((min(_FIRST, 2 * most), points, 3), np.float32)
        self._number = np.empty(len(self._keypoints), np.int64)
        self._begin = self._end = 0
        self._sums: list[np.ndarray | None] = []

    def measure(self, measured: Sequence[np.ndarray | None]) -> None:
        """Add what models measured of a frame, by model ``[V, 3]``, to what is known of the person."""
        before = self._sums or [None] * len(measured)
        self._sums = [
            new if old is None or new is None else old + new for old, new in zip(before, measured, strict=True)
        ]

    def __len__(self) -> int:
        return self._end - self._begin

    @property
    def keypoints(self) -> np.ndarray:
        """``[L, V, 3]``, the newest last; valid until the next `append`."""
        return self._keypoints[self._begin : self._end]

    @property
    def number(self) -> np.ndarray:
        """``[L]`` frame numbers."""
        return self._number[self._begin : self._end]

    def append(self, keypoints: np.ndarray | None, number: int) -> None:
        """Add a frame; None for one in which the person was not seen."""
        if self._end == len(self._number):
            self._make_room()
        self._keypoints[self._end] = 0 if keypoints is None else keypoints
        self._number[self._end] = number
        self._end += 1
        self._begin = max(self._begin, self._end - self._most)

    def row(self, number: int) -> int:
        """The row of a frame; -1 where there is none of that number."""
        row = int(np.searchsorted(self.number, number))
        return row if row < len(self) and self.number[row] == number else -1

    def view(self, target: int, step: float, shape: Shape, number: int = 0) -> View:
        """What a model of that shape, the ``number``-th, is shown of the person at the frame number ``target``."""
        shown = self._view(target, step, shape)
        return replace(shown, sums=self._sums[number]) if self._sums else shown

    def _view(self, target: int, step: float, shape: Shape) -> View:
        if shape.clip:
            length = min(len(self), shape.clip)
            share = (np.arange(shape.length) + 0.5) / shape.length
            rows = np.minimum((share * length).astype(int), length - 1) + len(self) - length
            present = np.ones(shape.length, bool)
        else:
            rows, present = self._around(target, step, shape)
        if not shape.context:
            return View(self.keypoints[rows], self.number[rows], present)
        first = min(max(0, len(self) - shape.context), int(rows[present].min(initial=len(self) - 1)))
        rows = np.maximum(rows, first)
        number = self.number[first:]
        return View(self.keypoints[first:], number, np.ones(len(number), bool), rows - first, present)

    def _around(self, target: int, step: float, shape: Shape) -> tuple[np.ndarray, np.ndarray]:
        """The frame nearest to each wanted number, as `skelemo.data.windows.Gatherer` finds it."""
        number, wanted = self.number, target + shape.offsets * step
        before = np.searchsorted(number, np.floor(wanted), side="right") - 1
        after = np.minimum(before + 1, len(number) - 1)
        before = np.maximum(before, 0)
        near, far = np.abs(number[before] - wanted), np.abs(number[after] - wanted)
        rows = np.where(far < near, after, before)
        return rows, np.minimum(near, far) <= shape.dilation * step / 2

    def _make_room(self) -> None:
        """Move the newest frames to the front, of a larger buffer while there are not `most` of them yet."""
        keep, size = self._end - self._begin, len(self._number)
        if size < 2 * self._most:
            size = min(2 * size, 2 * self._most)
        keypoints, number = np.empty((size, *self._keypoints.shape[1:]), np.float32), np.empty(size, np.int64)
        keypoints[:keep], number[:keep] = self.keypoints, self.number
        self._keypoints, self._number, self._begin, self._end = keypoints, number, 0, keep
