"""Batches recordings into shards, within the memory limit of a process."""

import dataclasses
import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from itertools import groupby

import numpy as np

from skelemo.errors import ConfigError
from skelemo.ingest.task import Task
from skelemo.openpose.files import MAX_BYTES
from skelemo.openpose.reader import archive_order
from skelemo.openpose.recording import Recording
from skelemo.text import count

#: Files per shard: 16,384 frames of body and face are 19 MB.
GROUP_FILES = 16_384

Group = tuple[Task, ...]


def grouped(tasks: Sequence[Task], most_buffered: int) -> list[Task]:
    """Assign tasks to groups of about `GROUP_FILES` files; tasks in a compressed archive follow its order.

    Groups depend on all recordings of a source, not only on pending ones, so that a resumed ingest writes the same
    shards.
    """
    group = files = buffered = 0
    found = []
    for task in (tasks[index] for index in archive_order([task.recording for task in tasks])):
        count, size = len(task.recording.files), _buffered(task.recording)
        if files and (files + count > GROUP_FILES or buffered + size > most_buffered):
            group, files, buffered = group + 1, 0, 0
        files, buffered = files + count, buffered + size
        found.append(dataclasses.replace(task, group=group))
    return found


def jobs(tasks: Sequence[Task]) -> Iterator[tuple[Group, ...]]:
    """Yield the groups of each job; groups in one compressed archive share a job, which reads it once."""
    row: list[Group] = []
    for _, members in groupby(tasks, key=lambda task: task.group):
        group = tuple(members)
        if row and not _share_archive(row[-1], group):
            yield tuple(row)
            row = []
        row.append(group)
    if row:
        yield tuple(row)


def _share_archive(group: Group, following: Group) -> bool:
    archive = group[-1].recording.sequential_archive
    return bool(archive) and archive == following[0].recording.sequential_archive


def _buffered(recording: Recording) -> int:
    """Bytes of files that may be buffered until they are needed."""
    if recording.positions is None or not recording.sequential_archive:
        return 0
    return int(np.minimum(recording.positions["size"], MAX_BYTES).sum())


DEFAULT_MEMORY = 512 << 20
#: Memory of a process before reading, plus that for a recording of typical length.
_BASE = 208 << 20
#: Copies of a frame in memory: in its sequence, in the shard's array, in the image of the file.
_COPIES = 4
_UNITS = {"": 1, "K": 1 << 10, "M": 1 << 20, "G": 1 << 30, "T": 1 << 40}


@dataclass(frozen=True)
class Bounds:
    """Memory limits of a process in bytes; a single recording may exceed them."""

    shard: int  # sequences of one shard
    buffered: int  # buffered files of an archive that can only be read sequentially


def bounds(memory: int) -> Bounds:
    """The limits of a process with this much memory. Raises `ConfigError`: too little memory."""
    left = memory - _BASE
    if left < 16 << 20:
        given = f"{memory >> 20} MB" if memory >> 20 else count(memory, "byte")
        raise ConfigError(
            f"memory of {given}: an ingest process needs {(_BASE >> 20) + 16} MB or more; "
            "allow more, or use fewer --jobs"
        )
    return Bounds(shard=left // _COPIES, buffered=left // 3)


def parse_size(text: str, name: str = "memory") -> int:
    """Parse ``512MB``, ``1.5 GiB`` or ``2G`` as bytes, with units of powers of 1,024; raises `ConfigError`."""
    found = re.fullmatch(r"\s*([0-9]{1,9}(?:\.[0-9]{1,9})?)\s*([KMGT]?)(?:I?B)?\s*", text, re.IGNORECASE | re.ASCII)
    if not found:
        raise ConfigError(f"{name} {text!r}: expected a number and a unit, as in 512MB or 2GB")
    return int(float(found[1]) * _UNITS[found[2].upper()])
