"""Which recordings are read together and become one shard, within the memory that a process may take."""

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

#: Files that one worker reads for one shard: 16,384 frames of body and face are 19 MB.
GROUP_FILES = 16_384

Group = tuple[Task, ...]


def grouped(tasks: Sequence[Task], most_unpacked: int) -> list[Task]:
    """Put tasks into groups of about `GROUP_FILES` files, those in a packed archive in its order.

    Groups go by all the recordings of a source, not by what is left to do, so that two ingests of it, or one that is
    taken up again, make the same shards.
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
    """The groups of tasks, each by itself; but in one row those in one archive that is read from front to back."""
    row: list[Group] = []
    for _, members in groupby(tasks, key=lambda task: task.group):
        group = tuple(members)
        if row and not _goes_on(row[-1], group):
            yield tuple(row)
            row = []
        row.append(group)
    if row:
        yield tuple(row)


def _goes_on(group: Group, following: Group) -> bool:
    """Whether two groups share a packed archive, which one process then reads once for both."""
    packed = packed_in(group[-1].recording)
    return bool(packed) and packed == packed_in(following[0].recording)


def packed_in(recording: Recording) -> str:
    """The archive that a recording lies in, if it can only be read from front to back."""
    return recording.archive.path if recording.archive and recording.archive.sequential else ""


def _in_order_of_archives(tasks: Sequence[Task]) -> list[Task]:
    """The tasks as they are, but those in one packed archive together and as they begin in it."""
    first: dict[str, int] = {}
    order = []
    for position, task in enumerate(tasks):
        packed, places = packed_in(task.recording), task.recording.places
        if packed and places is not None:
            order.append((first.setdefault(packed, position), int(places["start"].min()), position))
        else:
            order.append((position, 0, position))
    return [tasks[position] for _, _, position in sorted(order)]


def _unpacked(recording: Recording) -> int:
    """Bytes of files that may have to wait in memory for their turn."""
    if recording.places is None or not packed_in(recording):
        return 0
    return int(np.minimum(recording.places["size"], MAX_BYTES).sum())


DEFAULT = 512 << 20

#: What a process takes before it has read anything, and to read a recording of usual length.
_BASE = 208 << 20
#: Bytes that are held at most for one of a shard's frames: in its sequence, in the shard's array, in the file's image.
_COPIES = 4
_UNITS = {"": 1, "K": 1 << 10, "M": 1 << 20, "G": 1 << 30, "T": 1 << 40}


@dataclass(frozen=True)
class Bounds:
    """What a process holds at most at a time; a single recording beyond it is held nevertheless.

    Parameters
    ----------
    shard : bytes of the sequences that go into one shard.
    unpacked : bytes of files that wait in memory because an archive can only be read from front to back.
    """

    shard: int
    unpacked: int


def bounds(memory: int) -> Bounds:
    """The bounds for a process that may take so many bytes.

    Raises
    ------
    ConfigError
        They are too few to do anything.
    """
    left = memory - _BASE
    if left < 16 << 20:
        raise ConfigError(
            f"memory of {memory >> 20} MB: a process that ingests takes {(_BASE >> 20) + 16} MB or more; "
            "give more, or use fewer --jobs"
        )
    return Bounds(shard=left // _COPIES, unpacked=left // 3)


def parse_size(text: str) -> int:
    """Bytes, from ``512MB``, ``1.5 GiB`` or ``2G``; units are powers of 1,024.

    Raises
    ------
    ConfigError
        It is no size.
    """
    found = re.fullmatch(r"\s*([0-9]{1,9}(?:\.[0-9]{1,9})?)\s*([KMGT]?)(?:I?B)?\s*", text, re.IGNORECASE | re.ASCII)
    if not found:
        raise ConfigError(f"size {text!r}: expected a number and a unit, as in 512MB or 2GB")
    return int(float(found[1]) * _UNITS[found[2].upper()])
