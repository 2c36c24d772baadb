"""Reads the sequences of a cache and checks them against their hashes, in the memory of one shard."""

from collections.abc import Iterator
from typing import Any

import numpy as np

from skelemo.cache import hdf5
from skelemo.cache.sequence import LABELS, Sequence
from skelemo.cache.shard import Shard
from skelemo.cache.store import Cache, repairable
from skelemo.errors import CacheError, UnreadableError

#: Frames per shard, and frames read at once, unless a single sequence has more.
MOST_FRAMES = 16_384

_FACTS = ("id", "video", "person", "subject", "width", "height", "fps", "scale", "splits")


def read_sequences(cache: Cache, chosen: np.ndarray) -> Iterator[Sequence]:
    """Yield the chosen sequences in the order of ``cache.sequences``.

    Raises `CacheError`: a shard cannot be read, or a sequence does not match its hash.

    Parameters
    ----------
    chosen : a mask, bool ``[S]``, or row numbers.
    """
    rows = cache.sequences.iloc[np.flatnonzero(chosen) if chosen.dtype == bool else chosen]
    for index, shard in enumerate(cache.shards):
        inside = rows[rows["shard"] == index]
        yield from read_from_cache(shard, inside.assign(start=inside["row"]).to_dict("records"))


def read_from_cache(shard: Shard, rows: list[Any]) -> Iterator[Sequence]:
    """As `read_rows`; errors include advice on repairing the cache."""
    with repairable(shard.path):
        yield from read_rows(shard, rows)


def read_rows(shard: Shard, rows: list[Any]) -> Iterator[Sequence]:
    """Yield sequences of a shard by their rows of ``/sequences``; adjacent ones are read together.

    Raises as `read_sequences`.
    """
    for run in runs(rows, MOST_FRAMES):
        yield from _read_run(shard, run)


def damaged_sequences(shard: Shard) -> list[str]:
    """Ids of the sequences that cannot be read, have invalid values, or do not match their hash.

    Raises `UnreadableError`: the frames cannot be read, but may be intact.
    """
    return [name for run in runs(shard.sequences.to_dict("records"), MOST_FRAMES) for name in _damaged(shard, run)]


def runs(rows: list[Any], most: int) -> Iterator[list[Any]]:
    """Group adjacent rows of ``/sequences`` into runs of at most ``most`` frames, or of one longer sequence."""
    run: list[Any] = []
    for row in rows:
        end = run[-1]["start"] + run[-1]["length"] if run else 0
        if run and (row["start"] != end or end + row["length"] - run[0]["start"] > most):
            yield run
            run = []
        run.append(row)
    if run:
        yield run


def _read_run(shard: Shard, run: list[Any]) -> Iterator[Sequence]:
    first, last = run[0]["start"], run[-1]["start"] + run[-1]["length"]
    stored = shard.stored.items()
    with hdf5.reading(shard.path):  # memory may not suffice
        arrays = {name: np.empty((last - first, *chunks.shape[1:]), chunks.dtype) for name, chunks in stored}
    shard.read_into(arrays, slice(first, last))
    for row in run:
        frames = slice(row["start"] - first, row["start"] - first + row["length"])
        facts: dict[str, Any] = {name: row[name] for name in _FACTS}
        labels = {name.removeprefix(LABELS): a[frames] for name, a in arrays.items() if name.startswith(LABELS)}
        keypoints, number = (arrays[name][frames] for name in ("keypoints", "number"))
        sequence = Sequence(**facts, keypoints=keypoints, number=number, labels=labels)
        if sequence.sha256 != row["sha256"]:
            raise CacheError(f"{shard.path}: sequence {row['id']!r} is damaged")
        yield sequence


def _damaged(shard: Shard, run: list[Any]) -> list[str]:
    """Check adjacent sequences in one read; if that fails, one by one."""
    try:
        for _ in _read_run(shard, run):
            pass
    except UnreadableError:
        raise
    except CacheError:
        return [run[0]["id"]] if len(run) == 1 else [name for row in run for name in _damaged(shard, [row])]
    return []
