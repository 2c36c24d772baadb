"""What an ingest has to do: which recordings carry which labels, and which of them the cache has already."""

import hashlib
import json
import os
import warnings
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import asdict, dataclass, field
from pathlib import Path

import numpy as np
import pandas as pd

from skelemo.annotations.matching import match
from skelemo.annotations.registry import EMOTIONS, Annotation, read_annotations
from skelemo.cache.shard import SUFFIX, Header
from skelemo.cache.store import Cache, open_cache
from skelemo.errors import CacheError
from skelemo.openpose.recording import Recording, find_recordings
from skelemo.skeleton import DEFAULT_LAYOUT, layout

#: Files that one worker reads for one shard: 16,384 frames of body and face are 19 MB.
GROUP_FILES = 16_384
SIMULATED = "simulated.json"
PROBLEMS = "problems.csv"


@dataclass(frozen=True)
class Settings:
    """How recordings are read; the cache keeps them.

    Parameters
    ----------
    person : who carries the labels where these do not say: ``auto``, ``largest``, ``left``, ``right`` or ``all``.
    width, height, fps : of every video, where its name does not tell; 0 for unknown.
    """

    layout: str = DEFAULT_LAYOUT
    body_model: str = "auto"
    scale: str = "auto"
    person: str = "auto"
    sequence: bool = False
    strict: bool = False
    width: int = 0
    height: int = 0
    fps: float = 0.0


@dataclass(frozen=True)
class Task:
    """One recording to read."""

    recording: Recording
    video: str
    annotations: tuple[Annotation, ...]
    known: Mapping[str, tuple[str, str]]  # sequences of this video in the cache: id -> (sha256, shard)


@dataclass(frozen=True)
class Plan:
    """All that an ingest will do, and what it found before reading a single file."""

    out: Path
    header: Header
    settings: Settings
    tasks: tuple[Task, ...]
    unchanged: int
    notes: tuple[str, ...] = field(default=())

    @property
    def files(self) -> int:
        """How many files are to be read."""
        return sum(len(task.recording.files) for task in self.tasks)

    def groups(self) -> Iterator[list[Task]]:
        """The tasks in groups of about `GROUP_FILES` files; each becomes one shard."""
        group: list[Task] = []
        size = 0
        for task in self.tasks:
            if group and size + len(task.recording.files) > GROUP_FILES:
                yield group
                group, size = [], 0
            group.append(task)
            size += len(task.recording.files)
        if group:
            yield group


def make_plan(source: Path, out: Path, labels: str | None, settings: Settings) -> Plan:
    """List the recordings, give each its labels, and leave out what the cache has unchanged.

    Raises
    ------
    InputError, ConfigError
        Nothing to read, unreadable labels, labels that fit no recording.
    CacheError
        ``out`` holds a cache of another layout or other classes.
    """
    layout(settings.layout)
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always")
        recordings = find_recordings(source, sequence=settings.sequence)
    notes = [str(warning.message) for warning in caught]
    classes: tuple[str, ...] = EMOTIONS
    annotated: tuple[tuple[Annotation, ...], ...] = ((),) * len(recordings)
    if labels:
        names = [(recording.name, recording.source) for recording in recordings]
        annotations = read_annotations(labels, source, names)
        matching = match(annotations, names)
        classes, annotated = annotations.classes, matching.annotations
        notes += [*annotations.notes, *matching.summary()]
    header = Header(settings.layout, classes, _is_simulated(source), asdict(settings))
    cache = _existing(out, header)
    videos = _video_names(recording.source for recording in recordings)
    tasks = [
        Task(recording, video, labels_of, {})
        for recording, video, labels_of in zip(recordings, videos, annotated, strict=True)
    ]
    fresh = [task for task in tasks if cache is None or not _has(cache, task, header)]
    known = _known_sequences(cache, {task.video for task in fresh})
    planned = tuple(Task(task.recording, task.video, task.annotations, known.get(task.video, {})) for task in fresh)
    return Plan(out, header, settings, planned, len(tasks) - len(fresh), tuple(notes))


def fingerprint(task: Task, header: Header, size: int, newest: int) -> str:
    """What a recording's sequences depend on: its files' names, sizes and times, its labels, the settings.

    Parameters
    ----------
    size, newest : bytes of all files and the latest time of change, nanoseconds.
    """
    said = [header.layout, header.classes, header.settings, task.video, size, newest, *map(_digest, task.annotations)]
    digest = hashlib.sha256(json.dumps(said, sort_keys=True).encode())
    digest.update("\0".join(task.recording.files).encode(errors="surrogateescape"))
    return digest.hexdigest()[:32]


def _digest(annotation: Annotation) -> str:
    number = annotation.number if annotation.number is not None else np.zeros(0)
    digest = hashlib.sha256(json.dumps([annotation.person, annotation.subject, dict(annotation.splits)]).encode())
    for array in (number, annotation.expression, annotation.valence, annotation.arousal):
        digest.update(np.ascontiguousarray(array).tobytes())
    return digest.hexdigest()


def _existing(out: Path, header: Header) -> Cache | None:
    if out.exists() and not out.is_dir():
        raise CacheError(f"{out} is a file; --out names the folder of a cache")
    inside = {path.name for path in out.iterdir() if not path.name.startswith(".")} if out.is_dir() else set()
    if not any(name.endswith(SUFFIX) for name in inside):
        if inside - {PROBLEMS}:
            raise CacheError(f"{out} holds {min(inside)!r} and no cache: choose another --out")
        return None
    cache = open_cache(out)
    for what, ours, theirs in (
        ("layout", header.layout, cache.layout.name),
        ("classes", ", ".join(header.classes), ", ".join(cache.classes)),
    ):
        if ours != theirs:
            raise CacheError(
                f"{out} holds a cache with the {what} {theirs}; this ingest has {ours}: choose another --out"
            )
    return cache


def _has(cache: Cache, task: Task, header: Header) -> bool:
    """Whether the cache has the recording as its files, labels and settings are now."""
    written = cache.fingerprints.get(task.recording.source)
    if not written:
        return False
    try:
        found = [os.stat(os.path.join(task.recording.folder, name)) for name in task.recording.files]
    except OSError:
        return False
    size, newest = sum(stat.st_size for stat in found), max(stat.st_mtime_ns for stat in found)
    return fingerprint(task, header, size, newest) in written


def _known_sequences(cache: Cache | None, videos: set[str]) -> dict[str, dict[str, tuple[str, str]]]:
    known: dict[str, dict[str, tuple[str, str]]] = {}
    if cache is None:
        return known
    rows: pd.DataFrame = cache.sequences[cache.sequences["video"].isin(videos)]
    for name, video, sha256, shard in zip(rows["id"], rows["video"], rows["sha256"], rows["shard"], strict=True):
        known.setdefault(video, {})[name] = (sha256, str(cache.shards[shard].path))
    return known


def _video_names(sources: Iterable[str]) -> list[str]:
    """What sequences are called after: the path of the recording, without saying a folder's name twice.

    ``1-30-1280x720/1-30-1280x720`` is ``1-30-1280x720``, unless that would be another recording's name.
    """
    listed = list(sources)
    taken = set(listed)
    names = []
    for source in listed:
        above, _, name = source.rpartition("/")
        short = above if above.rpartition("/")[2] == name and above not in taken else source
        names.append(short)
    return names


def _is_simulated(source: Path) -> bool:
    """Whether `skelemo synth` left its mark beside the recordings or just above them."""
    place = source.resolve()
    return any((folder / SIMULATED).is_file() for folder in (place, *list(place.parents)[:2]))
