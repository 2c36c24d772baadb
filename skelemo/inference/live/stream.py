"""Live prediction from a stream of frames, causal and in bounded memory."""

import time
from collections import deque
from collections.abc import Collection, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from itertools import chain
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeAlias

import numpy as np

from skelemo.data.window_frames import usual_steps
from skelemo.errors import ConfigError
from skelemo.evaluation.circumplex import with_reading
from skelemo.inference.live.history import History
from skelemo.inference.live.sources import Frame, Problems, open_stream
from skelemo.inference.table import output_names
from skelemo.openpose.stream import FrameReader
from skelemo.skeleton import layout, stream_layout
from skelemo.targets import Head
from skelemo.tracking.online import NOBODY, OnlineTracker

if TYPE_CHECKING:
    from skelemo.inference.live.onnx_model import OnnxModel
    from skelemo.inference.live.torch_model import TorchModel
    from skelemo.inference.predictor import Model
    from skelemo.pose.registry import Options

    LiveModel: TypeAlias = TorchModel | OnnxModel

#: Latest frame numbers that give the stream's step; an even number of differences, for those that alternate.
_NUMBERS = 33

#: Outputs ``{head: [P, K]}`` for one shape, and the shares ``[P]`` of visible frames and points.
Prediction = tuple[Mapping[str, np.ndarray], np.ndarray, np.ndarray]


@dataclass(frozen=True)
class LivePerson:
    """One person in a frame.

    Parameters
    ----------
    name : ``person0``, ``person1``, ...; never reused.
    seen : whether the model's parts are visible in this frame and there is a prediction.
    keypoints : ``[V, 3]`` in pixels, in the stream's layout; zeros if the person is not visible.
    outputs : ``[K]`` by head: probabilities of classes and flags, values; empty without a prediction.
    """

    name: str
    seen: bool
    keypoints: np.ndarray
    outputs: Mapping[str, np.ndarray]


@dataclass(frozen=True)
class LiveFrame:
    """The predictions for one frame.

    Parameters
    ----------
    time : seconds: from the source, else from number and frame rate, else since the first frame arrived.
    latency : seconds since the frame arrived.
    """

    video: str
    number: int
    time: float
    people: tuple[LivePerson, ...]
    heads: tuple[Head, ...]
    latency: float = 0.0

    def rows(self) -> list[dict[str, Any]]:
        """A row for each person with the columns of `Model.predict`; None without a prediction."""
        names = output_names(self.heads)
        return [
            {
                "video": self.video,
                "person": one.name,
                "frame": self.number,
                "time": self.time,
                **_columns(self.heads, names, one.outputs),
                "seen": one.seen,
            }
            for one in self.people
        ]


def _columns(
    heads: Sequence[Head], names: Mapping[str, Sequence[str]], outputs: Mapping[str, np.ndarray]
) -> dict[str, Any]:
    columns: dict[str, Any] = {}
    for head in heads:
        if head.kind == "classes":
            columns[head.name] = head.outputs[int(outputs[head.name].argmax())] if outputs else ""
        found = outputs[head.name].tolist() if outputs else [None] * len(head)
        columns.update(zip(names[head.name], found, strict=True))
    return columns


@dataclass
class Live:
    """Tracks people through a stream of frames and predicts for each of them.

    Keeps only the frames that the model's windows need, and drops the people that `OnlineTracker` drops.

    Parameters
    ----------
    fps : frame rate, 0 if unknown.
    min_seen : share of a window's points that must be visible for a prediction.
    """

    model: "LiveModel"
    fps: float = 0.0
    min_seen: float = 0.0
    reader: FrameReader = field(default_factory=lambda: FrameReader(layout()))
    tracker: OnlineTracker = field(default_factory=OnlineTracker)
    problems: Problems = field(default_factory=Problems)

    def __post_init__(self) -> None:
        if not 0 <= self.min_seen <= 1:
            raise ConfigError(f"min_seen = {self.min_seen:g}: expected 0 to 1")
        self._histories: dict[int, History] = {}
        self._most = max(shape.rows for shape in self.model.shapes)
        self._lag = max(shape.ahead for shape in self.model.shapes)
        self._numbers: deque[int] = deque(maxlen=_NUMBERS)
        self._times: deque[tuple[int, float]] = deque(maxlen=1 + 2 * self._lag)
        self._newest, self._size = Frame(-1, None, ""), (0, 0)
        self._done, self._began = -1, 0.0
        self._columns = self.reader.layout.columns(self.model.layout.slices)

    def __len__(self) -> int:
        """Number of people currently tracked."""
        return len(self._histories)

    def feed(self, frame: Frame) -> list[LiveFrame]:
        """Process the next frame; returns its predictions, or nothing if a newer frame is waiting.

        A model whose target is the middle of its window predicts for an earlier frame, after a gap for several, and
        at a restart for those left of the previous recording.
        """
        if frame.problem:
            self.problems.add(frame.problem)
        before = []
        if frame.video != self._newest.video or frame.number <= self._newest.number:
            before = list(self.finish())
            self._restart()
        self._newest, self._size = frame, self.reader.image_size
        self._numbers.append(frame.number)
        self._times.append((frame.number, self._time(frame)))
        points = np.zeros((0, len(self.reader.layout), 3), np.float32) if frame.people is None else frame.people
        self._follow(points, frame.number)
        newest = frame.number - round(self._lag * self._step())
        due = [one for one in self._times if self._done < one[0] <= newest]
        self._done = max(self._done, newest)
        return before + ([] if frame.late else [self._predict(frame, *one) for one in due])

    def finish(self) -> Iterator[LiveFrame]:
        """Predict for the last frames, whose windows extend beyond the end of the stream."""
        for one in [one for one in self._times if one[0] > self._done]:
            yield self._predict(replace(self._newest, arrived=time.monotonic()), *one)

    def _restart(self) -> None:
        self.tracker.restart()
        self._histories.clear()
        self._numbers.clear()
        self._times.clear()
        self._done = -1

    def _step(self) -> float:
        """The usual difference of frame numbers, as `window_frames` has it for a recording."""
        return float(usual_steps(np.array(self._numbers), np.zeros(len(self._numbers), int), 1)[0])

    def _time(self, frame: Frame) -> float:
        if frame.time is not None:
            return frame.time
        if self.fps:
            return frame.number / self.fps
        self._began = self._began or frame.arrived
        return frame.arrived - self._began

    def _follow(self, points: np.ndarray, number: int) -> None:
        """Add a frame to each person's history and drop people who have left."""
        row_of = {name: row for row, name in enumerate(self.tracker.update(points, number).tolist()) if name != NOBODY}
        remembered = self.tracker.people
        for name in self._histories.keys() - set(remembered):
            del self._histories[name]
        for name in remembered:
            if name not in self._histories:
                self._histories[name] = History(points.shape[1], self._most)
            row = row_of.get(name)
            self._histories[name].append(None if row is None else points[row], number)
        seen = [name for name in remembered if name in row_of]
        measured = self.model.measure(points[[row_of[name] for name in seen]], self._size) if seen else []
        for index, name in enumerate(seen if measured else ()):
            self._histories[name].measure([None if one is None else one[index] for one in measured])

    def _predict(self, frame: Frame, target: int, time_of: float) -> LiveFrame:
        names, rows = [], []
        for name, history in self._histories.items():
            if (row := history.row(target)) >= 0:
                names.append(name)
                rows.append(history.keypoints[row])
        outputs, known = self._outputs([self._histories[name] for name in names], target)
        people = []
        for index, (name, keypoints) in enumerate(zip(names, rows, strict=True)):
            confidence = keypoints[self._columns, 2]
            visible = bool(((confidence > 0) & (confidence >= self.model.min_confidence)).any())
            if known[index] or keypoints[:, 2].any():
                found = {head: values[index] for head, values in outputs.items()} if known[index] else {}
                people.append(LivePerson(f"person{name}", visible and bool(found), keypoints, found))
        latency = time.monotonic() - frame.arrived
        return LiveFrame(frame.video, target, time_of, tuple(people), self.model.heads, latency)

    def _outputs(self, histories: Sequence[History], target: int) -> tuple[dict[str, np.ndarray], np.ndarray]:
        """Outputs ``[P, K]`` by head, averaged over members, and ``[P]`` whether enough points are visible."""
        if not histories:
            return {}, np.zeros(0, bool)
        step = self._step()
        views = [
            [one.view(target, step, shape, number) for one in histories]
            for number, shape in enumerate(self.model.shapes)
        ]
        found = self.model(views, self._size)
        means = {}
        for name in {name: None for outputs, _, _ in found for name in outputs}:
            pieces = [outputs[name] for outputs, _, _ in found if name in outputs]
            means[name] = pieces[0] if len(pieces) == 1 else np.mean(pieces, 0)
        frames, points = np.min([one[1] for one in found], 0), np.min([one[2] for one in found], 0)
        return with_reading(means, self.model.radius), (frames > 0) & (points >= self.min_seen)


def live(
    model: "LiveModel | Model | str | Path | Iterable[str | Path]",
    source: Any,
    *,
    fps: float = 0.0,
    size: tuple[int, int] = (0, 0),
    min_seen: float = 0.0,
    clip: int = 0,
    from_start: bool = False,
    every_frame: bool = False,
    stop_after: float = 0.0,
    scale: str = "auto",
    body_model: str = "auto",
    pose: "str | Options | None" = None,
    problems: Problems | None = None,
) -> Iterator[LiveFrame]:
    """Predict for every frame of a stream as it arrives.

    Parameters
    ----------
    model : what `skelemo.load` returns, the path of a run, or several paths for an ensemble.
    source : a folder that OpenPose is writing, ``"-"`` for standard input with the JSON of one frame per line, a video,
        ``"camera"`` or ``"camera:1"``, or an iterable of OpenPose's dictionaries.
    fps, size : frame rate, and width and height of the images, if the source lacks them.
    min_seen : share of a window's points that must be visible for a prediction.
    clip : frames treated as a clip, for a model of whole clips.
    from_start : also read the files already in the folder.
    every_frame : predict for a frame even if a newer one is waiting.
    stop_after : stop after so many seconds without a frame; 0 waits forever.
    scale, body_model : as for ``skelemo ingest``.
    pose : pose estimator for a video or camera: ``mediapipe``, ``openpose``, or `skelemo.pose.Options`.
    problems : counts unreadable frames.

    Raises
    ------
    InputError
        The source does not exist or disappears.
    ConfigError
        A model of whole clips without ``clip``, or an option out of range.
    """
    from skelemo.pose.registry import Options

    pose = Options(pose) if isinstance(pose, str) else pose
    ready: Any = model if hasattr(model, "shapes") else live_model(model, clip=clip)
    reader = FrameReader(stream_layout(ready.layout), body_model=body_model, scale=scale, size=size)
    engine = Live(ready, fps, min_seen, reader, problems=Problems() if problems is None else problems)
    context = max(shape.rows for shape in ready.shapes)
    stream = open_stream(
        source,
        reader,
        context=context,
        from_start=from_start,
        every_frame=every_frame,
        stop_after=stop_after,
        pose=pose,
    )
    return chain((found for frame in stream for found in engine.feed(frame)), engine.finish())


def live_model(model: Any, *, clip: int = 0, device: str = "cpu", allow: Collection[str] = ()) -> "LiveModel":
    """The adapter of a model, the path of a run or several, or the path of an exported file."""
    from skelemo.inference.base import BasePredictor
    from skelemo.inference.onnx import Exported, open_model

    if not isinstance(model, BasePredictor):
        model = open_model(model, allow=allow)
    if isinstance(model, Exported):
        from skelemo.inference.live.onnx_model import OnnxModel

        model.choose_device(device)
        return OnnxModel(model, clip=clip)
    from skelemo.inference.live.torch_model import TorchModel

    return TorchModel(model, clip=clip, device=device)
