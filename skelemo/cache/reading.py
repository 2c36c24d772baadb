"""Sequences of a cache one after another, in the memory that one shard takes."""

from collections.abc import Iterator
from typing import Any

import numpy as np

from skelemo.cache.integrity import read_frames
from skelemo.cache.sequence import LABELS, Sequence
from skelemo.cache.shard import Shard
from skelemo.cache.store import Cache, repairable
from skelemo.errors import CacheError

#: Frames that a shard made of others holds, unless one sequence has more: as many as an ingest puts into one.
MOST_FRAMES = 16_384

_FACTS = ("id", "video", "person", "subject", "width", "height", "fps", "scale", "splits")


def read_sequences(cache: Cache, chosen: np.ndarray) -> Iterator[Sequence]:
    """The sequences that are chosen, bool ``[S]`` or rows of ``cache.sequences``, in the order of these.

    Raises
    ------
    CacheError
        A shard cannot be read, or a sequence in it is not what was written.
    """
    rows = cache.sequences.iloc[np.flatnonzero(chosen) if chosen.dtype == bool else chosen]
    for index, shard in enumerate(cache.shards):
        here = rows[rows["shard"] == index]
        yield from read_from_cache(shard, here.assign(start=here["row"]).to_dict("records"))


def read_from_cache(shard: Shard, rows: list[Any]) -> Iterator[Sequence]:
    """As `read_rows`, of a shard that lies in a cache; what is damaged there can be read again."""
    with repairable(shard.path):
        yield from read_rows(shard, rows)


def read_rows(shard: Shard, rows: list[Any]) -> Iterator[Sequence]:
    """Sequences of a shard by their rows of ``/sequences``, checked against their hashes; neighbors are read at once.

    Raises
    ------
    CacheError
        As in `read_sequences`.
    """
    for run in _runs(rows):
        first = run[0]["start"]
        arrays = read_frames(shard, first, run[-1]["start"] + run[-1]["length"])
        for row in run:
            here = slice(row["start"] - first, row["start"] - first + row["length"])
            said: dict[str, Any] = {name: row[name] for name in _FACTS}
            labels = {name.removeprefix(LABELS): a[here] for name, a in arrays.items() if name.startswith(LABELS)}
            keypoints, number = (arrays[name][here] for name in ("keypoints", "number"))
            sequence = Sequence(**said, keypoints=keypoints, number=number, labels=labels)
            if sequence.sha256 != row["sha256"]:
                raise CacheError(f"{shard.path}: sequence {row['id']!r} is damaged")
            yield sequence


def _runs(rows: list[Any]) -> Iterator[list[Any]]:
    """Rows that lie one behind the other in the shard, at most `MOST_FRAMES` or one sequence at a time."""
    run: list[Any] = []
    for row in rows:
        end = run[-1]["start"] + run[-1]["length"] if run else 0
        if run and (row["start"] != end or end + row["length"] - run[0]["start"] > MOST_FRAMES):
            yield run
            run = []
        run.append(row)
    if run:
        yield run
