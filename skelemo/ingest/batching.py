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
    for task in _in_archive_order(tasks):
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
    archive = sequential_archive(group[-1].recording)
    return bool(archive) and archive == sequential_archive(following[0].recording)


def sequential_archive(recording: Recording) -> str:
    """Path of a recording's archive if it can only be read sequentially, otherwise empty."""
    return recording.archive.path if recording.archive and recording.archive.sequential else ""


def _in_archive_order(tasks: Sequence[Task]) -> list[Task]:
    """Sort the tasks of each compressed archive by position in it, after the archive's first task."""
    first: dict[str, int] = {}
    order = []
    for index, task in enumerate(tasks):
        archive, positions = sequential_archive(task.recording), task.recording.positions
        if archive and positions is not None:
            order.append((first.setdefault(archive, index), int(positions["start"].min()), index))
        else:
            order.append((index, 0, index))
    return [tasks[index] for _, _, index in sorted(order)]


def _buffered(recording: Recording) -> int:
    """Bytes of files that may be buffered until they are needed."""
    if recording.positions is None or not sequential_archive(recording):
        return 0
    return int(np.minimum(recording.positions["size"], MAX_BYTES).sum())


DEFAULT = 512 << 20

#: Memory of a process before reading, plus that for a recording of typical length.
_BASE = 208 << 20
#: Copies of a frame in memory: in its sequence, in the shard's array, in the image of the file.
_COPIES = 4
_UNITS = {"": 1, "K": 1 << 10, "M": 1 << 20, "G": 1 << 30, "T": 1 << 40}


@dataclass(frozen=True)
class Bounds:
    """Memory limits of a process; a single recording may exceed them.

    Parameters
    ----------
    shard : bytes of the sequences of one shard.
    buffered : bytes of buffered files of an archive that can only be read sequentially.
    """

    shard: int
    buffered: int


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
