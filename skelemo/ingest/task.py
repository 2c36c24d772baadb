"""One recording to ingest: its name, labels, and the fingerprint that detects changes."""

import hashlib
import json
import os
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Any, NamedTuple

import numpy as np

from skelemo.annotations.affwild2 import video_facts
from skelemo.annotations.options import Options
from skelemo.annotations.registry import Annotation
from skelemo.cache.corrections import Correction
from skelemo.cache.shard import Header
from skelemo.openpose.files import NO_INFO, VideoInfo
from skelemo.openpose.names import FrameNames, printable
from skelemo.openpose.recording import Recording
from skelemo.skeleton import DEFAULT_LAYOUT

_NOT_KEPT = ("strict", "classes", "map", "unit", "va_scale", "corrections")


@dataclass(frozen=True)
class Settings:
    """Settings of an ingest; the cache records those that affect its content.

    Parameters
    ----------
    strict : stop at an unreadable file.
    identity : ``file`` for the identities in the files, ``tracking``, or ``auto`` (see `identify`).
    person : who gets labels without a person: ``auto``, ``largest``, ``left``, ``right`` or ``all``.
    width, height, fps : of videos that do not say so themselves (`video_info`); 0 for unknown.
    classes, map, unit, va_scale : how labels are read (`skelemo.annotations.options.Options`).
    corrections : correction table to apply (`skelemo.cache.corrections`).
    """

    layout: str = DEFAULT_LAYOUT
    body_model: str = "auto"
    scale: str = "auto"
    person: str = "auto"
    sequence: bool | None = None
    strict: bool = False
    width: int = 0
    height: int = 0
    fps: float = 0.0
    first_frame: int | None = None
    identity: str = "auto"
    classes: str | Iterable[str] | None = None
    map: Mapping[str, str] | Iterable[str] = ()
    unit: str = "auto"
    va_scale: str | None = None
    corrections: str | os.PathLike[str] | None = None

    def options(self) -> Options:
        """How labels are read. Raises `ConfigError`: as `Options.parse`."""
        return Options.parse(self.classes, self.map, self.unit, self.va_scale)

    def kept(self) -> dict[str, Any]:
        """The settings that a cache records, including options of label readers that were given."""
        own = {name: getattr(self, name) for name in self.__dataclass_fields__ if name not in _NOT_KEPT}
        return own | self.options().kept()


def video_info(name: str, info: VideoInfo = NO_INFO) -> VideoInfo:
    """Size and frame rate of a recording: from `skelemo extract` if it has them, otherwise from its name."""
    width, height, fps = video_facts(name)
    size = (info.width, info.height) if info.width else (width, height)
    return VideoInfo(*size, info.fps or fps)


class Cached(NamedTuple):
    """A sequence in the cache."""

    sha256: str
    shard: str
    own: bool  # of this video, instead of another whose sequence could have the same id


@dataclass(frozen=True, eq=False, slots=True)
class Task:
    """One recording to read."""

    recording: Recording
    video: str
    annotations: tuple[Annotation, ...]
    cached: Mapping[str, Cached]  # sequences in the cache by id, of this video or with an id that it could have
    group: int = 0  # recordings of one group are read together into one shard
    corrections: tuple[Correction, ...] = ()  # effective ones of this recording
    shares: frozenset[str] = frozenset()  # heads of classes with shares as labels, for corrections


def fingerprint(task: Task, header: Header, size: int, newest: int, hashes: Mapping[str, str]) -> str:
    """Hash of a recording's files (names, sizes, times), labels, corrections, settings and sequences.

    Parameters
    ----------
    size, newest : total bytes and latest modification time in nanoseconds, of the files or of their archive.
    hashes : sha256 of each sequence by id.
    """
    facts = [
        header.layout,
        [head.to_json() for head in header.heads if any(head.name in labels.labels for labels in task.annotations)],
        header.settings,
        task.video,
        size,
        newest,
        sorted(hashes.items()),
    ]
    facts += map(_digest, task.annotations)
    if task.recording.info != NO_INFO:
        facts.append([task.recording.info.width, task.recording.info.height, task.recording.info.fps])
    if task.corrections:
        facts.append([[row.person, row.first, row.last, row.action, row.head, row.value] for row in task.corrections])
    if archive := task.recording.archive:
        facts.append(printable(os.path.basename(archive.path)))
    digest = hashlib.sha256(json.dumps(facts, sort_keys=True).encode())
    files = task.recording.files
    names = files[:1] if isinstance(files, FrameNames) else files  # the numbers determine the others
    digest.update("\0".join(names).encode(errors="surrogateescape"))
    digest.update(task.recording.numbers.tobytes())
    return digest.hexdigest()[:32]


def _digest(annotation: Annotation) -> str:
    number = annotation.number if annotation.number is not None else np.zeros(0)
    digest = hashlib.sha256(json.dumps([annotation.person, annotation.subject, dict(annotation.splits)]).encode())
    digest.update(number.tobytes())
    if annotation.end is not None:
        digest.update(annotation.end.tobytes())
    for name, array in sorted(annotation.labels.items()):
        digest.update(name.encode())
        digest.update(np.ascontiguousarray(array).tobytes())
    return digest.hexdigest()
