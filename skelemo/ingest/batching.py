"""Batching: which recordings are read together into one shard, within the memory limit of a process."""

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


def grouped(tasks: Sequence[Task], most_unpacked: int) -> list[Task]:
    """Assign tasks to groups of about `GROUP_FILES` files, those in a compressed archive in its order.

    Groups depend on all recordings of a source, not on what is left to do, so that a repeated or resumed ingest writes
    the same shards.
    """
    group = files = unpacked = 0
    found = []
    for task in _in_order_of_archives(tasks):
        count, size = len(task.recording.files), _unpacked(task.recording)
        if files and (files + count > GROUP_FILES or unpacked + size > most_unpacked):
            group, files, unpacked = group + 1, 0, 0
        files, unpacked = files + count, unpacked + size
        found.append(dataclasses.replace(task, group=group))
    return found


def jobs(tasks: Sequence[Task]) -> Iterator[tuple[Group, ...]]:
    """Yield the groups of tasks for one job each; those in one compressed archive share a job."""
    row: list[Group] = []
    for _, members in groupby(tasks, key=lambda task: task.group):
        group = tuple(members)
        if row and not _continues(row[-1], group):
            yield tuple(row)
            row = []
        row.append(group)
    if row:
        yield tuple(row)


def _continues(group: Group, following: Group) -> bool:
    """Whether two groups share a compressed archive, so that one process reads it once for both."""
    packed = packed_in(group[-1].recording)
    return bool(packed) and packed == packed_in(following[0].recording)


def packed_in(recording: Recording) -> str:
    """Path of a recording's archive if it can only be read sequentially, otherwise empty."""
    return recording.archive.path if recording.archive and recording.archive.sequential else ""


def _in_order_of_archives(tasks: Sequence[Task]) -> list[Task]:
    """Reorder tasks: those in one compressed archive together, by position in it."""
    first: dict[str, int] = {}
    order = []
    for position, task in enumerate(tasks):
        packed, positions = packed_in(task.recording), task.recording.positions
        if packed and positions is not None:
            order.append((first.setdefault(packed, position), int(positions["start"].min()), position))
        else:
            order.append((position, 0, position))
    return [tasks[position] for _, _, position in sorted(order)]


def _unpacked(recording: Recording) -> int:
    """Bytes of files that may be buffered until they are needed."""
    if recording.positions is None or not packed_in(recording):
        return 0
    return int(np.minimum(recording.positions["size"], MAX_BYTES).sum())


DEFAULT = 512 << 20

#: Memory of a process before reading, and for a recording of typical length.
_BASE = 208 << 20
#: Copies of a frame in memory: in its sequence, in the shard's array, in the file's image.
_COPIES = 4
_UNITS = {"": 1, "K": 1 << 10, "M": 1 << 20, "G": 1 << 30, "T": 1 << 40}


@dataclass(frozen=True)
class Bounds:
    """Memory limits of a process; a single recording may exceed them.

    Parameters
    ----------
    shard : bytes of the sequences of one shard.
    unpacked : bytes of buffered files of an archive that can only be read sequentially.
    """

    shard: int
    unpacked: int


def bounds(memory: int) -> Bounds:
    """The limits of a process with this much memory. Raises `ConfigError`: it is too little."""
    left = memory - _BASE
    if left < 16 << 20:
        given = f"{memory >> 20} MB" if memory >> 20 else count(memory, "byte")
        raise ConfigError(
            f"memory of {given}: a process that ingests takes {(_BASE >> 20) + 16} MB or more; "
            "give more, or use fewer --jobs"
        )
    return Bounds(shard=left // _COPIES, unpacked=left // 3)


def parse_size(text: str, name: str = "memory") -> int:
    """Parse ``512MB``, ``1.5 GiB`` or ``2G`` as bytes; units are powers of 1,024.

    Raises `ConfigError`: invalid syntax; the message begins with ``name``.
    """
    found = re.fullmatch(r"\s*([0-9]{1,9}(?:\.[0-9]{1,9})?)\s*([KMGT]?)(?:I?B)?\s*", text, re.IGNORECASE | re.ASCII)
    if not found:
        raise ConfigError(f"{name} {text!r}: expected a number and a unit, as in 512MB or 2GB")
    return int(float(found[1]) * _UNITS[found[2].upper()])
