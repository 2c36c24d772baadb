"""Reads all people of a recording into one array."""

from contextlib import nullcontext
from dataclasses import dataclass, field

import numpy as np

from skelemo.errors import InputError, os_reason, unknown
from skelemo.openpose.files import Contents, Problem, is_storage_error
from skelemo.openpose.frame import Rows
from skelemo.openpose.names import printable
from skelemo.openpose.points import Extent, canonicalize, convert, detect_model, points_of_model
from skelemo.openpose.reader import opened
from skelemo.openpose.recording import Recording
from skelemo.openpose.scale import clearly_visible, detect_scale, refuse_scale
from skelemo.openpose.validate import FrameError
from skelemo.skeleton import BODY_25, BODY_25B, FARTHEST, SCALES, Layout, Part, part_models
from skelemo.text import count


@dataclass(frozen=True)
class Guess:
    """Properties that OpenPose does not write into its files; "" for unknown."""

    body_model: str = ""
    scale: str = ""


NO_GUESS = Guess()


@dataclass(frozen=True)
class People:
    """All people of one recording, frame by frame, in OpenPose's arbitrary order."""

    number: np.ndarray  # int32 [F], numbers of readable frames
    start: np.ndarray  # int64 [F + 1], the people of frame i are rows start[i] to start[i + 1]
    keypoints: np.ndarray  # float32 [P, V, 3] in the layout; missing points are 0, 0, 0; confidence in [0, 1]
    body_model: str  # of the source, name of its part; "" without bodies
    scale: str  # units of x and y: "pixels" | "unit" ([0, 1]) | "signed" ([-1, 1])
    problems: tuple[Problem, ...]  # files that could not be read completely, in frame order
    bytes_read: int  # of all files that could be opened
    newest: int  # latest modification time, nanoseconds
    identity: np.ndarray | None = None  # int64 [P], from the files, -1 if not given; None if they have none
    size: tuple[int, int] = (0, 0)  # width and height of the image, if the files have it
    certain: Guess = NO_GUESS  # body model and scale, if the points determine them
    notes: tuple[str, ...] = ()


class RecordingError(InputError):
    """An unusable recording, with the problems of its files."""

    def __init__(self, message: str, problems: tuple[Problem, ...] = ()) -> None:
        super().__init__(message)
        self.problems = problems


def read_people(
    recording: Recording,
    layout: Layout,
    *,
    body_model: str = "auto",
    scale: str = "auto",
    strict: bool = False,
    contents: Contents | None = None,
    prior: Guess = NO_GUESS,
) -> People:
    """Read a recording's files into one array of people.

    People without any point of the layout are skipped. Unreadable files are skipped and listed in `People.problems`,
    as are the minority of files if there are bodies of two models. An unreadable part is missing, and its file is
    listed.

    Raises `RecordingError`: no file can be read, coordinates are in two scales or not in the given one, or with
    `strict` a file cannot be read; `ConfigError`: an unknown `body_model` or `scale`.

    Parameters
    ----------
    body_model : body model, a name of `part_models`. By default it follows from the count of numbers; BODY_25B and
        BODY_25 are distinguished by limb lengths.
    scale : units of the coordinates, by default detected (`detect_scale`). They are never converted.
    strict : raise on the first problem.
    contents : source of the files' bytes; by default the recording's folder or archive.
    prior : used if the recording itself is ambiguous.
    """
    check_model_and_scale(layout, body_model, scale)
    reading = _Reading(recording, layout, strict)
    rows = Rows(layout, body_model)
    try:
        with nullcontext(contents) if contents else opened(recording) as read:
            reading.read_files(read, rows)
    except OSError as error:
        raise reading.error(f"{error.filename} {os_reason(error)}") from error
    points, identity = rows.array(), rows.identity()
    model, model_certain = _map_bodies(points, rows, reading, body_model, prior.body_model)
    extent = canonicalize(points)
    _report_outliers(points, extent, reading)
    keep = (extent.seen > 0) & reading.readable[reading.owner]
    if not keep.all():
        points, reading.owner, extent = points[keep], reading.owner[keep], extent.of(keep)
        identity = None if identity is None else identity[keep]
    frames = np.flatnonzero(reading.readable)
    if not len(frames):
        raise reading.error("none of its files can be read")
    scale, scale_certain = _scale(scale, prior.scale, points, extent, model, reading)
    people = np.bincount(reading.owner, minlength=len(reading.readable))[frames]
    return People(
        number=recording.numbers[frames],
        start=np.concatenate([[0], people.cumsum()]),
        keypoints=points,
        body_model=model.name if model else "",
        scale=scale,
        problems=reading.problems(),
        bytes_read=reading.bytes_read,
        newest=reading.newest,
        identity=identity,
        size=rows.sizes.most_common(1)[0][0] if rows.sizes else (0, 0),
        certain=Guess(model.name if model and model_certain else "", scale if scale_certain else ""),
        notes=tuple(reading.notes),
    )


def check_model_and_scale(layout: Layout, body_model: str, scale: str) -> None:
    """Raise `ConfigError` for an unknown `body_model` or `scale`."""
    choices = {"body model": (body_model, part_models(layout.body or BODY_25)), "scale": (scale, SCALES)}
    for kind, (name, known) in choices.items():
        if name not in ("auto", *known):
            raise unknown(kind, name, ("auto", *known))


@dataclass
class _Reading:
    """Reads the files of a recording, and collects their problems."""

    recording: Recording
    layout: Layout
    strict: bool
    reasons: dict[int, str] = field(default_factory=dict)  # by index of an unreadable file
    damage: dict[int, str] = field(default_factory=dict)  # by index of a partially readable file
    notes: list[str] = field(default_factory=list)
    bytes_read: int = 0
    newest: int = 0

    def __post_init__(self) -> None:
        self.readable = np.ones(len(self.recording.files), bool)
        self.owner = np.zeros(0, np.int64)  # file of each person

    def read_files(self, contents: Contents, rows: Rows) -> None:
        """Read every file into `rows`."""
        counts = np.zeros(len(self.readable), np.int64)
        for index in range(len(counts)):
            try:
                data, changed = contents(index)
                self.bytes_read += len(data)
                self.newest = max(self.newest, changed)
                counts[index] = rows.add(data)
                if rows.damage:
                    self.add_damage(index, rows.damage)
            except OSError as error:
                if is_storage_error(error, self.recording.folder):
                    raise
                self.add_problem(index, f"cannot be read: {os_reason(error)}")
            except FrameError as error:
                self.add_problem(index, str(error))
        self.owner = np.repeat(np.arange(len(counts)), counts)

    def add_problem(self, file: int, reason: str) -> None:
        """Record why a file is unreadable; only its first problem counts."""
        self.reasons.setdefault(file, reason)
        self.readable[file] = False
        if self.strict:
            raise RecordingError(f"{self.path(file)} {self.reasons[file]}", self.problems())

    def add_damage(self, file: int, reason: str) -> None:
        """Record an unreadable part of a file."""
        self.damage[file] = f"{reason}; the rest of the frame is kept"
        if self.strict:
            raise RecordingError(f"{self.path(file)} {reason}", self.problems())

    def path(self, file: int) -> str:
        """A file's path relative to the ingest source."""
        return printable("/".join(filter(None, (self.recording.subfolder, self.recording.files[file]))))

    def path_of_person(self, person: int) -> str:
        return self.path(int(self.owner[person]))

    def problems(self) -> tuple[Problem, ...]:
        unreadable = {file: Problem(self.path(file), reason) for file, reason in self.reasons.items()}
        damaged = {file: Problem(self.path(file), reason, kept=True) for file, reason in self.damage.items()}
        return tuple(problem for _, problem in sorted((damaged | unreadable).items()))

    def error(self, finding: str) -> RecordingError:
        """The error for an unusable recording."""
        problems = self.problems()
        first = f"; {problems[0].file} {problems[0].reason}" if problems else ""
        return RecordingError(f"{self.recording.source}: {finding}{first}", problems)


def _map_bodies(
    points: np.ndarray, rows: Rows, reading: _Reading, body_model: str, prior: str
) -> tuple[Part | None, bool]:
    """Convert bodies from the model of most frames to the layout's; returns the model, and whether it is certain.

    Frames with another model are problems.
    """
    part = reading.layout.body
    if part is None:
        return None, False
    lengths = np.frombuffer(rows.counts, np.uint8)
    models = rows.slots[reading.layout.parts.index(part)].models
    frames = {length: np.unique(reading.owner[lengths == length]) for length in np.unique(lengths).tolist() if length}
    if not frames:
        return None, False
    usual = max(frames, key=lambda length: (len(frames[length]), length))
    for length in frames.keys() - {usual}:
        for file in frames[length].tolist():
            others = f"{count(len(frames[usual]), 'other file')} with {models[usual].name.upper()}"
            reading.add_problem(file, f"has {models[length].name.upper()} bodies, unlike {others}")
    model, body, certain = models[usual], points[:, reading.layout.slices[part.name]], True
    if part is BODY_25 and len(model) == len(BODY_25):
        detected = detect_model(body[lengths == usual])
        certain = detected is not None
        if body_model == "auto":
            model = detected or (BODY_25B if prior == BODY_25B.name else BODY_25)
        elif detected not in (None, model):
            reading.notes.append(
                f"limb lengths suggest {detected.name.upper()}; read as {model.name.upper()}, as given"
            )
    if model is not part:
        convert(body, model, part)
    return model, certain


def _report_outliers(points: np.ndarray, extent: Extent, reading: _Reading) -> None:
    """Record files with coordinates that are absurdly large or not finite."""
    for person in np.flatnonzero(~(extent.reach <= FARTHEST)).tolist():
        outside = ~(np.abs(points[person]) <= FARTHEST).all(axis=1)
        x, y, _ = points[person, outside.argmax()].tolist()
        name = reading.layout.keypoints[outside.argmax()]
        reading.add_problem(int(reading.owner[person]), f"has {name} at ({x:g}, {y:g}), beyond any image")


def _scale(
    scale: str, prior: str, points: np.ndarray, extent: Extent, model: Part | None, reading: _Reading
) -> tuple[str, bool]:
    """Units of the coordinates, and whether they are certain."""
    try:
        if scale != "auto":
            refuse_scale(scale, extent, reading.path_of_person)
            return scale, True
        scale, certain = detect_scale(extent, points, points_of_model(reading.layout, model), reading.path_of_person)
    except InputError as error:
        raise reading.error(str(error)) from error
    if not certain and prior and (prior != "pixels" or not clearly_visible(extent).any()):
        scale = prior
    return scale, certain
