"""Reads all people of a recording into one array."""

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
from skelemo.openpose.validate import keys_with_numbers
from skelemo.skeleton import BODY_25, BODY_25B, FARTHEST, SCALES, Layout, Part, part_models


@dataclass(frozen=True)
class Guess:
    """Properties of files that are not stored in them; "" for unknown."""

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
    size: tuple[int, int] = (0, 0)  # width and height of the image, if the files give them
    certain: Guess = NO_GUESS  # body model and scale, if the points determine them
    notes: tuple[str, ...] = ()
    unread: tuple[str, ...] = ()  # if nobody was read, the keys of the first person whose numbers were passed over


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
    prior: Guess | None = None,
) -> People:
    """Read a recording's files into one array of people.

    People without any point of the layout are skipped. Unreadable files are skipped and listed in `People.problems`,
    and so are the minority of files if there are bodies of two models. A part that cannot be read is missing, and its
    file is listed.

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
    faults = _Faults(recording, strict)
    rows = Rows(layout, body_model)
    try:
        with nullcontext(contents) if contents else opened(recording) as read:
            counts, bytes_read, newest, passed = _read_files(read, rows, faults)
    except OSError as error:
        raise faults.error(f"{error.filename} {error.strerror or error}") from error
    points, identity = rows.array(), rows.identity()
    owner = np.repeat(np.arange(len(counts)), counts)  # file of each person
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
        unread=() if len(points) else tuple(map(printable, passed)),
    )


@dataclass
class _Faults:
    """Problems of a recording's files."""

    recording: Recording
    strict: bool
    reasons: dict[int, str] = field(default_factory=dict)
    damage: dict[int, str] = field(default_factory=dict)  # of files that are partially used
    notes: list[str] = field(default_factory=list)

    def __post_init__(self) -> None:
        self.sound = np.ones(len(self.recording.files), bool)

    def add(self, file: int, reason: str) -> None:
        """Record a file's first fault."""
        self.reasons.setdefault(file, reason)
        self.sound[file] = False
        if self.strict:
            raise RecordingError(f"{self.path(file)} {self.reasons[file]}", self.problems())

    def add_damage(self, file: int, reason: str) -> None:
        """Record a part that cannot be read."""
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
        """The error for an unusable recording."""
        problems = self.problems()
        first = f"; {problems[0].file} {problems[0].reason}" if problems else ""
        return RecordingError(f"{self.recording.source}: {finding}{first}", problems)


def check_model_and_scale(layout: Layout, body_model: str, scale: str) -> None:
    """`ConfigError` for an unknown `body_model` or `scale`."""
    known = {"body model": (body_model, part_models(layout.body or BODY_25)), "scale": (scale, SCALES)}
    for kind, (name, choices) in known.items():
        if name not in ("auto", *choices):
            raise unknown(kind, name, ("auto", *choices))


def _read_files(contents: Contents, rows: Rows, faults: _Faults) -> tuple[np.ndarray, int, int, list[str]]:
    """Read every file into `rows`.

    Returns people by file, int64 ``[files]``, total bytes, latest modification, and, where the first people have no
    numbers of the layout, the keys of those that they have.
    """
    counts = np.zeros(len(faults.sound), np.int64)
    bytes_read = newest = people = 0
    passed: list[str] = []
    for index in range(len(counts)):
        try:
            data, changed = contents(index)
            bytes_read += len(data)
            newest = max(newest, changed)
            counts[index] = rows.add(data)
            people += counts[index]
            passed = passed or ([] if people else keys_with_numbers(data))
            if rows.damage:
                faults.add_damage(index, rows.damage)
        except OSError as error:
            if is_lost(error, faults.recording.folder):
                raise
            faults.add(index, f"cannot be read: {error.strerror}")
        except FrameError as error:
            faults.add(index, str(error))
    return counts, bytes_read, newest, passed


def _map_bodies(
    points: np.ndarray, rows: Rows, owner: np.ndarray, layout: Layout, faults: _Faults, named: str, prior: Guess
) -> tuple[Part | None, bool]:
    """Convert bodies from the model of most frames to the layout's; returns the model, and whether it is certain.

    Frames with another model are problems.
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
    """Record files with coordinates that are absurdly large or not finite."""
    for person in np.flatnonzero(~(extent.reach <= FARTHEST)).tolist():
        outside = ~(np.abs(points[person]) <= FARTHEST).all(axis=1)
        x, y, _ = points[person, outside.argmax()].tolist()
        where = layout.keypoints[outside.argmax()]
        faults.add(int(owner[person]), f"has {where} at ({x:g}, {y:g}), beyond any image")


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
    """Units of the coordinates, and whether they are certain."""
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
