"""Iterates over the sequences of a cache, in the memory of one shard."""

from collections.abc import Iterator
from typing import Any

import numpy as np

from skelemo.cache.integrity import read_frames, runs
from skelemo.cache.sequence import LABELS, Sequence
from skelemo.cache.shard import Shard
from skelemo.cache.store import Cache, repairable
from skelemo.errors import CacheError

#: Frames per shard, unless a single sequence has more.
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
        first = run[0]["start"]
        arrays = read_frames(shard, first, run[-1]["start"] + run[-1]["length"])
        for row in run:
            frames = slice(row["start"] - first, row["start"] - first + row["length"])
            facts: dict[str, Any] = {name: row[name] for name in _FACTS}
            labels = {name.removeprefix(LABELS): a[frames] for name, a in arrays.items() if name.startswith(LABELS)}
            keypoints, number = (arrays[name][frames] for name in ("keypoints", "number"))
            sequence = Sequence(**facts, keypoints=keypoints, number=number, labels=labels)
            if sequence.sha256 != row["sha256"]:
                raise CacheError(f"{shard.path}: sequence {row['id']!r} is damaged")
            yield sequence
