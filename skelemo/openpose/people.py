"""All people of a recording, read from its files into one array."""

from contextlib import nullcontext
from dataclasses import dataclass, field

import numpy as np

from skelemo.errors import InputError, unknown
from skelemo.openpose.files import Contents, Problem, is_lost
from skelemo.openpose.frame import FrameError, Rows
from skelemo.openpose.names import printable
from skelemo.openpose.points import Extent, convert, model_of, settle, shared_points
from skelemo.openpose.reader import opened
from skelemo.openpose.recording import Recording
from skelemo.openpose.scale import detect_scale, plainly_seen, refuse_scale
from skelemo.skeleton import BODY_25, BODY_25B, FARTHEST, SCALES, Layout, Part, part_models


@dataclass(frozen=True)
class Guess:
    """What the files of one program share and do not say; "" where it is not known."""

    body_model: str = ""
    scale: str = ""


NO_GUESS = Guess()


@dataclass(frozen=True)
class People:
    """All people that OpenPose found in one recording, frame after frame, in its own unstable order."""

    number: np.ndarray  # int32 [F], numbers of the frames that could be read
    start: np.ndarray  # int64 [F + 1], the people of frame i are rows start[i] to start[i + 1]
    keypoints: np.ndarray  # float32 [P, V, 3] in the layout; missing points are 0, 0, 0; confidence in [0, 1]
    body_model: str  # the source's, by its part's name; "" where there are no bodies
    scale: str  # units of x and y: "pixels" | "unit", which is [0, 1] | "signed", which is [-1, 1]
    problems: tuple[Problem, ...]  # files that could not be read, all or a part of them, in frame order
    bytes_read: int  # of all files that could be opened
    newest: int  # when the last of them was changed, nanoseconds
    identity: np.ndarray | None = None  # int64 [P], who each is by the files, -1 where they do not say; None: never
    size: tuple[int, int] = (0, 0)  # width and height of the image, where the files tell them
    certain: Guess = NO_GUESS  # what of body model and scale the points themselves tell
    notes: tuple[str, ...] = ()


class RecordingError(InputError):
    """A recording that cannot be used, with the problems of its single files."""

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
    prior: Guess | None = None,
) -> People:
    """Read a recording's files into one array of people.

    A person without a point of the layout is left out. A file that cannot be read is a frame not seen: it is left out
    and listed in `People.problems`. So are the fewer files where bodies are of two models, which come from another run
    of OpenPose. A part that cannot be read is missing, and its file listed.

    Parameters
    ----------
    body_model
        What the bodies are, by a name of `part_models`. By default the count of numbers tells it, and where the
        points lie tells BODY_25B from BODY_25.
    scale
        The units of the coordinates; by default detected (`detect_scale`). They are never converted.
    strict
        The first problem is an error.
    contents
        Where the bytes of each file come from; by default the recording's folder or archive.
    prior
        What counts where the recording itself does not tell.

    Raises
    ------
    RecordingError
        No file can be read, coordinates are in two scales or not in the one named, or with `strict` one file cannot be
        read.
    ConfigError
        An unknown `body_model` or `scale`.
    """
    check_model_and_scale(layout, body_model, scale)
    faults = _Faults(recording, strict)
    rows = Rows(layout, body_model)
    try:
        with nullcontext(contents) if contents else opened(recording) as read:
            counts, bytes_read, newest = _read_files(read, rows, faults)
    except OSError as error:
        raise faults.error(f"{error.filename} {error.strerror or error}") from error
    points, identity = rows.array(), rows.identity()
    owner = np.repeat(np.arange(len(counts)), counts)  # the file that each person is in
    prior = prior or NO_GUESS
    model, sure = _map_bodies(points, rows, owner, layout, faults, body_model, prior)
    extent = settle(points)
    _find_garbage(points, extent, owner, layout, faults)
    real = (extent.seen > 0) & faults.sound[owner]
    if not real.all():
        points, owner, extent = points[real], owner[real], extent.of(real)
        identity = None if identity is None else identity[real]
    frames = np.flatnonzero(faults.sound)
    if not len(frames):
        raise faults.error("none of its files can be read")
    scale, certain = _scale(scale, prior.scale, points, extent, owner, model, layout, faults)
    people = np.bincount(owner, minlength=len(counts))[frames]
    return People(
        number=recording.numbers[frames],
        start=np.concatenate([[0], people.cumsum()]),
        keypoints=points,
        body_model=model.name if model else "",
        scale=scale,
        problems=faults.problems(),
        bytes_read=bytes_read,
        newest=newest,
        identity=identity,
        size=rows.sizes.most_common(1)[0][0] if rows.sizes else (0, 0),
        certain=Guess(model.name if model and sure else "", scale if certain else ""),
        notes=tuple(faults.notes),
    )


@dataclass
class _Faults:
    """What is wrong with which of a recording's files."""

    recording: Recording
    strict: bool
    reasons: dict[int, str] = field(default_factory=dict)
    damage: dict[int, str] = field(default_factory=dict)  # of files of which the rest is kept
    notes: list[str] = field(default_factory=list)

    def __post_init__(self) -> None:
        self.sound = np.ones(len(self.recording.files), bool)

    def add(self, file: int, reason: str) -> None:
        """Note a file's first fault."""
        self.reasons.setdefault(file, reason)
        self.sound[file] = False
        if self.strict:
            raise RecordingError(f"{self.path(file)} {self.reasons[file]}", self.problems())

    def add_damage(self, file: int, reason: str) -> None:
        """Note a part that is lost."""
        self.damage[file] = f"{reason}; the rest of the frame is kept"
        if self.strict:
            raise RecordingError(f"{self.path(file)} {reason}", self.problems())

    def path(self, file: int) -> str:
        """A file's path relative to the ingest source."""
        return printable("/".join(filter(None, (self.recording.place, self.recording.files[file]))))

    def problems(self) -> tuple[Problem, ...]:
        whole = {file: Problem(self.path(file), reason) for file, reason in self.reasons.items()}
        found = {file: Problem(self.path(file), reason, kept=True) for file, reason in self.damage.items()} | whole
        return tuple(found[file] for file in sorted(found))

    def error(self, finding: str) -> RecordingError:
        """The error that ends the reading of this recording."""
        problems = self.problems()
        first = f"; {problems[0].file} {problems[0].reason}" if problems else ""
        return RecordingError(f"{self.recording.source}: {finding}{first}", problems)


def check_model_and_scale(layout: Layout, body_model: str, scale: str) -> None:
    """`ConfigError` for an unknown `body_model` or `scale`."""
    known = {"body model": (body_model, part_models(layout.body or BODY_25)), "scale": (scale, SCALES)}
    for kind, (name, choices) in known.items():
        if name not in ("auto", *choices):
            raise unknown(kind, name, ("auto", *choices))


def _read_files(contents: Contents, rows: Rows, faults: _Faults) -> tuple[np.ndarray, int, int]:
    """Read every file into `rows`: how many people each has, int64 ``[files]``, all their bytes, the latest change."""
    counts = np.zeros(len(faults.sound), np.int64)
    bytes_read = newest = 0
    for index in range(len(counts)):
        try:
            data, changed = contents(index)
            bytes_read += len(data)
            newest = max(newest, changed)
            counts[index] = rows.add(data)
            if rows.damage:
                faults.add_damage(index, rows.damage)
        except OSError as error:
            if is_lost(error, faults.recording.folder):
                raise
            faults.add(index, f"cannot be read: {error.strerror}")
        except FrameError as error:
            faults.add(index, str(error))
    return counts, bytes_read, newest


def _map_bodies(
    points: np.ndarray, rows: Rows, owner: np.ndarray, layout: Layout, faults: _Faults, named: str, prior: Guess
) -> tuple[Part | None, bool]:
    """Bring bodies into the layout's order from the model that most frames have, and tell whether that is certain.

    Frames with another model are at fault.
    """
    part = layout.body
    if part is None:
        return None, False
    lengths = np.frombuffer(rows.counts, np.uint8)
    models = rows.slots[layout.parts.index(part)].models
    frames = {length: np.unique(owner[lengths == length]) for length in np.unique(lengths).tolist() if length}
    if not frames:
        return None, False
    usual = max(frames, key=lambda length: (len(frames[length]), length))
    for length in frames.keys() - {usual}:
        for file in frames[length].tolist():
            others = f"{len(frames[usual])} other files have {models[usual].name.upper()}"
            faults.add(file, f"has a {models[length].name.upper()} body where {others}")
    model, body, certain = models[usual], points[:, layout.slices[part.name]], True
    if part is BODY_25 and len(model) == len(BODY_25):
        found = model_of(body[lengths == usual])
        certain = found is not None
        if named == "auto":
            model = found or (BODY_25B if prior.body_model == BODY_25B.name else BODY_25)
        elif found not in (None, model):
            faults.notes.append(f"its points lie as {found.name.upper()}'s; read as {model.name.upper()}, as asked for")
    if model is not part:
        convert(body, model, part)
    return model, certain


def _find_garbage(points: np.ndarray, extent: Extent, owner: np.ndarray, layout: Layout, faults: _Faults) -> None:
    """Fault the files with coordinates that are no image's, or no finite number in float32."""
    for person in np.flatnonzero(~(extent.reach <= FARTHEST)).tolist():
        outside = ~(np.abs(points[person]) <= FARTHEST).all(axis=1)
        x, y, _ = points[person, outside.argmax()].tolist()
        where = layout.keypoints[outside.argmax()]
        faults.add(int(owner[person]), f"has {where} at ({x:g}, {y:g}), beyond any picture")


def _scale(
    named: str,
    prior: str,
    points: np.ndarray,
    extent: Extent,
    owner: np.ndarray,
    model: Part | None,
    layout: Layout,
    faults: _Faults,
) -> tuple[str, bool]:
    """The units of the coordinates, and whether they are certain."""
    body = np.arange(0)
    if model and layout.body:
        body = layout.slices[layout.body.name].start + np.array(shared_points(model, layout.body)[1])

    def where(person: int) -> str:
        return faults.path(int(owner[person]))

    try:
        if named != "auto":
            refuse_scale(named, extent, where)
            return named, True
        scale, certain = detect_scale(extent, points, body, where)
    except InputError as error:
        raise faults.error(str(error)) from error
    if not certain and prior and (prior != "pixels" or not plainly_seen(extent).any()):
        scale = prior
    return scale, certain
