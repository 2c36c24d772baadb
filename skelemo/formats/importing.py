"""Keypoints of other programs, with labels, as a new cache: the way of an ingest, but for the reading."""

from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

from skelemo.annotations.affwild2 import video_facts
from skelemo.cache import sequence as cached
from skelemo.cache.merge import Report, new_folder
from skelemo.cache.reading import MOST_FRAMES
from skelemo.cache.shard import Header, write_shard
from skelemo.errors import InputError
from skelemo.formats.keypoint_files import KeypointFile, Reader
from skelemo.ingest.labels import labeled, origin
from skelemo.ingest.sequences import remarks, sequences_of
from skelemo.ingest.task import Settings, Task
from skelemo.ingest.worker import recording_row
from skelemo.openpose.people import People
from skelemo.skeleton import layout
from skelemo.text import count
from skelemo.tracking import identify


@dataclass
class Imported:
    """What an import has made."""

    recordings: int = 0
    sequences: int = 0
    frames: int = 0
    people: int = 0
    shards: list[str] = field(default_factory=list)
    notes: list[str] = field(default_factory=list)


def import_keypoints(
    source: Path,
    form: str,
    out: Path,
    labels: str | None = None,
    settings: Settings | None = None,
    report: Report = lambda *_: None,
    *,
    first_frame: int = 0,
) -> Imported:
    """Make a new cache of a file of keypoints, or of those below a folder.

    People are tracked and chosen, and labels matched, as by an ingest.

    Parameters
    ----------
    form : a name in `skelemo.formats.registry.FORMATS`.
    labels : as for ``skelemo ingest --labels``.
    first_frame : the number that a video's first frame has in names of images or in tables; a cache counts from 0.

    Raises
    ------
    InputError, ConfigError
        Nothing to read, a file that is not of the form (the message names it and the row), labels that fit nothing,
        nobody to import.
    CacheError
        ``out`` is not free or cannot be written; nothing is left then.
    """
    settings = settings or Settings()
    where = layout(settings.layout)
    reader = Reader(form, where, first_frame)
    found = reader.find(source, (settings.width, settings.height))
    heads, annotated, notes = labeled(found, source, labels)
    kept = settings.kept() | {"form": form, "first_frame": first_frame}
    header = Header(where.name, heads, False, kept, origin(source, labels))
    total = sum(len(recording.frames) for recording in found)
    with new_folder(out, [source]) as folder:
        writer = _Writer(folder, header)
        writer.done.notes += notes
        for recording, annotations in zip(found, annotated, strict=True):
            task = Task(recording, recording.source, annotations, {})
            width, height = _size(recording, settings)
            people = reader.read(recording, (width, height))
            who = identify(people, settings.identity)
            writer.done.notes += [f"{recording.source}: {who.note}"] if who.note else []
            sequences = sequences_of(task, people, replace(settings, width=width, height=height), who.tracks)
            writer.add(task, people, [replace(one, width=width, height=height) for one in sequences])
            report(writer.read, total)
        _require_somebody(source, writer.done, total, settings.person)
        writer.flush()
    return writer.done


class _Writer:
    """Puts recordings into shards of the usual size."""

    def __init__(self, folder: Path, header: Header) -> None:
        self.folder, self.header = folder, header
        self.done, self.read = Imported(), 0
        self.sequences: list[cached.Sequence] = []
        self.rows: list[dict[str, Any]] = []
        self.known: dict[str, str] = {}

    def add(self, task: Task, people: People, sequences: list[cached.Sequence]) -> None:
        """Take over a recording."""
        for one in sequences:
            other = self.known.setdefault(one.id, task.recording.source)
            if other != task.recording.source or sum(again.id == one.id for again in sequences) > 1:
                raise InputError(f"{task.recording.source}: the sequence {one.id!r} is there twice (see {other})")
        if self.sequences and sum(map(len, [*self.sequences, *sequences])) > MOST_FRAMES:
            self.flush()
        self.sequences += sequences
        self.rows.append(recording_row(task, people, self.header, {one.id: one.sha256 for one in sequences}))
        self.read += len(people.number)
        self.done.notes += remarks(task, people, sequences)
        self.done.recordings += 1
        self.done.people += len(people.keypoints)
        self.done.sequences += len(sequences)
        self.done.frames += sum(map(len, sequences))

    def flush(self) -> None:
        """Write what has been added since the last time."""
        if self.rows:
            self.done.shards.append(write_shard(self.folder, self.header, self.sequences, self.rows).name)
        self.sequences, self.rows = [], []


def _require_somebody(source: Path, done: Imported, frames: int, person: str) -> None:
    """Refuse to make a cache of no sequence."""
    if done.sequences:
        return
    if not done.people:
        raise InputError(
            f"{source}: nobody is seen in {count(frames, 'frame')}, and nothing is labeled: no cache is made"
        )
    raise InputError(
        f"{source}: people are seen {count(done.people, 'time')}, but none of them long enough for --person {person}: "
        "import with --person auto, who is the most prominent"
    )


def _size(recording: KeypointFile, settings: Settings) -> tuple[int, int]:
    """Of the picture: what the file says, else the name, else the settings; (0, 0) for unknown."""
    if all(recording.size):
        return recording.size
    width, height, _ = video_facts(recording.name)
    return width or settings.width, height or settings.height
