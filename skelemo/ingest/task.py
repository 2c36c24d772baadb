"""One recording to ingest: what it is called, who is meant by its labels, and how to see that it has changed."""

import hashlib
import json
import os
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Any, NamedTuple

import numpy as np

from skelemo.annotations.options import Options
from skelemo.annotations.registry import Annotation
from skelemo.cache.shard import Header
from skelemo.openpose.facts import NO_FACTS
from skelemo.openpose.names import FrameNames, printable
from skelemo.openpose.recording import Recording
from skelemo.skeleton import DEFAULT_LAYOUT

_NOT_KEPT = ("strict", "classes", "map", "unit", "va_scale")


@dataclass(frozen=True)
class Settings:
    """How recordings are read; the cache keeps what changes them.

    Parameters
    ----------
    strict : whether a file that cannot be read ends the ingest.
    identity : ``file`` to tell people apart by the files' own identities, ``tracking``, or ``auto`` (`identify`).
    person : who carries the labels where these do not say: ``auto``, ``largest``, ``left``, ``right`` or ``all``.
    width, height, fps : of every video, where its name does not tell; 0 for unknown.
    classes, map, unit, va_scale : how labels are to be read (`skelemo.annotations.options.Options`).
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

    def options(self) -> Options:
        """How labels are to be read.

        Raises
        ------
        ConfigError
            As `Options.parse`.
        """
        return Options.parse(self.classes, self.map, self.unit, self.va_scale)

    def kept(self) -> dict[str, Any]:
        """What a cache says of them; how labels were read only where the user has said it."""
        ours = {name: getattr(self, name) for name in self.__dataclass_fields__ if name not in _NOT_KEPT}
        return ours | self.options().kept()


class Known(NamedTuple):
    """A sequence that the cache has."""

    sha256: str
    shard: str
    own: bool  # it is of the very video, not of another whose name goes on from this one's


@dataclass(frozen=True, eq=False, slots=True)
class Task:
    """One recording to read."""

    recording: Recording
    video: str
    annotations: tuple[Annotation, ...]
    known: Mapping[str, Known]  # sequences in the cache by id: this video's own, and those that could be called alike
    group: int = 0  # recordings of one group are read together and become one shard


def fingerprint(task: Task, header: Header, size: int, newest: int, made: Mapping[str, str]) -> str:
    """What a recording's sequences depend on, and which they are: its files' names, sizes and times, labels, settings.

    Parameters
    ----------
    size, newest : bytes of all files and the latest time of change, nanoseconds; of the archive where they lie in one.
    made : id and sha256 of each sequence that came of it.
    """
    said = [
        header.layout,
        [head.to_json() for head in header.heads if any(head.name in one.labels for one in task.annotations)],
        header.settings,
        task.video,
        size,
        newest,
        sorted(made.items()),
    ]
    said += map(_digest, task.annotations)
    if task.recording.facts != NO_FACTS:
        said.append([task.recording.facts.width, task.recording.facts.height, task.recording.facts.fps])
    if archive := task.recording.archive:
        said.append(printable(os.path.basename(archive.path)))
    digest = hashlib.sha256(json.dumps(said, sort_keys=True).encode())
    files = task.recording.files
    names = files[:1] if isinstance(files, FrameNames) else files  # of a video's the numbers tell the others
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
