"""Import of other programs' keypoints, with labels, into a new cache."""

from dataclasses import dataclass, field
from pathlib import Path

from skelemo.cache.merge import new_folder
from skelemo.cache.shard import Header
from skelemo.cache.shard_writer import ShardWriter
from skelemo.cache.verify import Report
from skelemo.errors import InputError
from skelemo.formats.keypoint_files import Reader
from skelemo.ingest.labels import labeled, origin
from skelemo.ingest.sequences import remarks, sequences_of
from skelemo.ingest.task import Settings, Task, video_info
from skelemo.ingest.worker import recording_row
from skelemo.skeleton import layout
from skelemo.text import count
from skelemo.tracking import identify


@dataclass
class Imported:
    """The result of an import."""

    recordings: int = 0
    sequences: int = 0
    frames: int = 0
    people: int = 0
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
    """Import a file of keypoints, or those below a folder, into a new cache.

    People are tracked and selected, and labels matched, as by ingest.

    Raises `InputError` or `ConfigError`: nothing to read, an invalid file (the message names it and the row), labels
    without a recording, or no people; `CacheError`: ``out`` is not empty or cannot be written. ``out`` is not created
    on an error.

    Parameters
    ----------
    form : a name in `skelemo.formats.registry.IMPORTS`.
    labels : as for ``skelemo ingest --labels``.
    first_frame : number of a video's first frame in names of images or in tables; a cache counts from 0.
    """
    settings = settings or Settings()
    where = layout(settings.layout)
    reader = Reader(form, where, first_frame)
    found = reader.find(source, (settings.width, settings.height))
    given = labeled(found, source, labels, settings)
    kept = settings.kept() | {"form": form, "first_frame": first_frame}
    header = Header(where.name, given.heads, False, kept, origin(source, labels, given.words))
    total = sum(len(recording.frames) for recording in found)
    notes = [*given.notes, *(f"{title}: {text}" for title, text in given.facts)]
    done, read = Imported(len(found), notes=notes), 0
    with new_folder(out, [source]) as folder:
        writer = ShardWriter(folder, header)
        for recording, annotations in zip(found, given.annotations, strict=True):
            task = Task(recording, recording.source, annotations, {})
            info = video_info(recording.name, recording.info)
            people = reader.read(recording, (info.width or settings.width, info.height or settings.height))
            who = identify(people, settings.identity)
            sequences = list(sequences_of(task, people, settings, who.tracks))
            row = recording_row(task, people, header, {one.id: one.sha256 for one in sequences})
            writer.add(sequences, [row])
            done.notes += [f"{recording.source}: {who.note}"] if who.note else []
            done.notes += remarks(task, people, sequences)
            done.people += len(people.keypoints)
            read += len(people.number)
            report(read, total)
        writer.flush()
        done.sequences, done.frames = writer.written, writer.frames
        _require_sequences(source, done, total, settings.person)
    return done


def _require_sequences(source: Path, done: Imported, frames: int, person: str) -> None:
    if done.sequences:
        return
    if not done.people:
        seen = f"nobody is visible in {count(frames, 'frame')}"
        raise InputError(f"{source}: {seen}, and there are no labels: no cache is created")
    raise InputError(
        f"{source}: {count(done.people, 'detection')}, but no person long enough for --person {person}: use --person "
        "auto for the most prominent person"
    )
