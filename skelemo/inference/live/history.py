"""Buffer of one person's latest frames, and the windows that live models take from it."""

from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from functools import cached_property

import numpy as np

from skelemo.data.window_frames import Window, nearest
from skelemo.errors import ConfigError

#: Frames that stand in for the clip in live prediction with ``reference: clip``: three seconds.
CONTEXT = 90


@dataclass(frozen=True)
class Shape:
    """Shape of a model's windows, see `skelemo.data.windows.Window`.

    Parameters
    ----------
    length, dilation : frames of a window, and their spacing in frames of the stream.
    ahead : frames of the stream between the target and the end of the window: the delay of a prediction.
    context : frames over which units, gaps and smoothing are computed; 0 for the window's own.
    clip : frames treated as a whole clip, from which the window is sampled evenly; 0 for a window that ends at the
        newest frame.
    """

    length: int = 1
    dilation: int = 1
    ahead: int = 0
    context: int = 0
    clip: int = 0

    @classmethod
    def of(cls, window: Window, name: str, *, by_clip: bool, clip: int = 0) -> "Shape":
        """The live shape of a model's windows.

        Raises `ConfigError`: a model of whole clips without ``clip``, or a model of frames with it.

        Parameters
        ----------
        name : the model's, for messages.
        by_clip : the model has ``reference: clip``; the last `CONTEXT` frames or more stand in for the clip.
        clip : frames treated as a clip, for a model of whole clips.
        """
        whole = window.sampling == "clip"
        if whole and clip < 1:
            raise ConfigError(f"{name} predicts whole clips: set the length of a clip in frames, e.g. --clip 90")
        if clip and not whole:
            raise ConfigError(f"{name} predicts frames, not whole clips: omit --clip")
        ahead = 0 if clip else int(window.offsets[-1])
        context = clip or max(CONTEXT, (window.length - 1) * window.dilation + 1) if by_clip else 0
        return cls(window.length, window.dilation, ahead, context, clip)

    def notes(self, name: str) -> list[str]:
        """Differences from offline predictions, one line each."""
        found = []
        if self.context and not self.clip:
            found.append(
                f"{name} computes units and gaps over whole clips (reference: clip); live, only over the last "
                f"{self.context} frames, so predictions differ slightly; with reference: window, they would not"
            )
        if self.ahead:
            found.append(f"{name} predicts the middle of a window: predictions are {self.ahead} frames late")
        return found

    def example(self, points: int) -> "View":
        """A view of random keypoints."""
        random, length = np.random.default_rng(0), self.context or self.length
        keypoints = random.uniform(100, 600, (length, points, 3)).astype(np.float32)
        keypoints[..., 2] = 0.9
        pick = np.linspace(0, length - 1, self.length).astype(int) if self.context else None
        here = np.ones(length, bool)
        return View(keypoints, np.arange(length), here, pick, here[: self.length])

    @property
    def rows(self) -> int:
        """Frames to keep: twice the window's, since frame numbers may have gaps."""
        return max(2 * (self.length - 1) * self.dilation + 2, self.context, self.clip)

    @cached_property
    def offsets(self) -> np.ndarray:
        """``[T]`` offsets of the window's frames from its target, in frames of the stream."""
        return np.arange(1 - self.length, 1) * self.dilation + self.ahead


@dataclass(frozen=True)
class View:
    """Input of a live model for one person.

    Parameters
    ----------
    keypoints : ``[C, V, 3]`` raw, in pixels: frames of the window, or of the context if there is one.
    number, present : ``[C]`` frame numbers, and whether each frame is present.
    pick, picked : ``[T]`` rows of the window in the context, and whether each is present; None without a context.
    sums : ``[V, 3]`` over all frames of the person so far, for a calibrated model; see `TorchModel.measure`.
    """

    keypoints: np.ndarray
    number: np.ndarray
    present: np.ndarray
    pick: np.ndarray | None = None
    picked: np.ndarray = field(default_factory=lambda: np.ones(0, bool))
    sums: np.ndarray | None = None


class History:
    """The newest frames of one person, at most ``most``: ``keypoints [L, V, 3]`` and ``number [L]``, in order."""

    def __init__(self, points: int, most: int) -> None:
        self.keypoints, self.number = np.empty((0, points, 3), np.float32), np.empty(0, np.int64)
        self._most = most
        self._sums: list[np.ndarray | None] = []

    def measure(self, measured: Sequence[np.ndarray | None]) -> None:
        """Accumulate the calibration sums of a frame, ``[V, 3]`` by model."""
        before = self._sums or [None] * len(measured)
        self._sums = [
            new if old is None or new is None else old + new for old, new in zip(before, measured, strict=True)
        ]

    def __len__(self) -> int:
        return len(self.number)

    def append(self, keypoints: np.ndarray | None, number: int) -> None:
        """Add a frame; None if the person is not visible in it."""
        frame = np.zeros((1, *self.keypoints.shape[1:]), np.float32) if keypoints is None else keypoints[None]
        self.keypoints = np.concatenate([self.keypoints, frame])[-self._most :]
        self.number = np.append(self.number, number)[-self._most :]

    def row(self, number: int) -> int:
        """Row of a frame number; -1 if absent."""
        row = int(np.searchsorted(self.number, number))
        return row if row < len(self) and self.number[row] == number else -1

    def view(self, target: int, step: float, shape: Shape, number: int = 0) -> View:
        """Input of the ``number``-th model, of that shape, for the frame number ``target``."""
        view = self._view(target, step, shape)
        return replace(view, sums=self._sums[number]) if self._sums else view

    def _view(self, target: int, step: float, shape: Shape) -> View:
        if shape.clip:
            length = min(len(self), shape.clip)
            share = (np.arange(shape.length) + 0.5) / shape.length
            rows = np.minimum((share * length).astype(int), length - 1) + len(self) - length
            present = np.ones(shape.length, bool)
        else:
            rows, distance = nearest(self.number, target, shape.offsets * step)
            present = distance <= shape.dilation * step / 2
        if not shape.context:
            return View(self.keypoints[rows], self.number[rows], present)
        first = min(max(0, len(self) - shape.context), int(rows[present].min(initial=len(self) - 1)))
        rows = np.maximum(rows, first)
        number = self.number[first:]
        return View(self.keypoints[first:], number, np.ones(len(number), bool), rows - first, present)
