"""Partitions recordings among machines (``--partition``), deterministically and evenly."""

import hashlib
import heapq
import re
from collections.abc import Sequence
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path

from skelemo.cache.shard import Header, open_shard
from skelemo.cache.store import shards_in
from skelemo.errors import CacheError, ConfigError
from skelemo.openpose.recording import Recording
from skelemo.text import count

_MAX_PARTITIONS = 100_000

#: Key in a shard's origin: the recordings that were partitioned.
_WHOLE = "partition of"


@dataclass(frozen=True)
class Partition:
    """One partition of several, numbered from 1."""

    number: int = 1
    of: int = 1

    def __str__(self) -> str:
        return f"{self.number}/{self.of}"


def parse_partition(text: str) -> Partition:
    """Parse ``--partition 3/8``. Raises `ConfigError`: invalid syntax or number."""
    found = re.fullmatch(r"\s*([0-9]{1,9})\s*/\s*([0-9]{1,9})\s*", text)
    if not found:
        raise ConfigError(f"partition {text!r}: expected NUMBER/OF, as in 3/8 for the third of eight partitions")
    number, of = int(found[1]), int(found[2])
    if not 1 <= number <= of <= _MAX_PARTITIONS:
        raise ConfigError(
            f"partition {text!r}: expected 1/{of} to {of}/{of}, of at most {_MAX_PARTITIONS:,} partitions"
        )
    return Partition(number, of)


def take_partition(sizes: Sequence[int], partition: Partition) -> list[int]:
    """Sorted indices of a partition's items; the next largest size goes to the smallest partition so far.

    The result depends only on the sizes and their order, so it is the same on every machine. Two partitions differ
    by at most the largest size.
    """
    loads = [(0, 0, number) for number in range(1, partition.of + 1)]  # size, count, partition
    mine = []
    for index in sorted(range(len(sizes)), key=lambda index: (-sizes[index], index)):
        size, count, number = loads[0]
        heapq.heapreplace(loads, (size + sizes[index], count + 1, number))
        if number == partition.number:
            mine.append(index)
    return sorted(mine)


def whole(recordings: Sequence[Recording]) -> dict[str, str]:
    """Fingerprint of all recordings for the cache; equal on machines with the same recordings."""
    listed = "\n".join(f"{len(recording.files)} {recording.source}" for recording in recordings)
    digest = hashlib.sha256(listed.encode()).hexdigest()[:8]
    return {_WHOLE: f"{count(len(recordings), 'recording')} ({digest})"}


def other_partitions(out: Path, header: Header) -> list[str]:
    """A note if other shards of the same source are partitions of different recordings."""
    own, wholes = header.origin, set()
    for path in shards_in(out):
        with suppress(CacheError):  # damaged, or just replaced by another ingest
            other = open_shard(path).header.origin
            if other.get("source") == own["source"]:
                wholes.add(other.get(_WHOLE, own[_WHOLE]))
    others = sorted(wholes - {own[_WHOLE]})
    if not others:
        return []
    return [
        f"{out}: other partitions are of {' or '.join(others)}, this one of {own[_WHOLE]}, so recordings may be "
        "missing: give all machines the same source, and ingest every partition again"
    ]
