"""Checks a shard's frames against their hashes, in bounded memory."""

from collections.abc import Callable, Iterator, Mapping
from typing import TYPE_CHECKING, Any

import numpy as np

from skelemo.cache.sequence import LABELS, content_hash, facts_hash, hashed_names, splits_text
from skelemo.cache.statistics import count, points_seen
from skelemo.errors import CacheError, UnreadableError
from skelemo.skeleton import layout

if TYPE_CHECKING:
    from skelemo.cache.shard import Shard

#: Frames read at once: 27 MB of body, face and hands.
BLOCK = 16_384

#: Called with the number of frames checked since the last call.
Report = Callable[[int], None]


def damaged_sequences(shard: "Shard", report: Report = lambda _: None) -> list[str]:
    """Ids of the sequences that cannot be read, have invalid values, or do not match their hash and counts."""
    rows = [{str(name): fact for name, fact in row.items()} for row in shard.sequences.to_dict("records")]
    for index, row in enumerate(rows):
        row |= {"index": index, "splits": splits_text(row["splits"])}
    damaged: list[str] = []
    for run in runs(rows, BLOCK):
        frames = sum(row["length"] for row in run)
        damaged += _damaged(shard, run) if frames <= BLOCK else [] if _is_intact(shard, run[0]) else [run[0]["id"]]
        report(frames)
    return damaged


def read_frames(shard: "Shard", first: int, last: int, *names: str) -> dict[str, np.ndarray]:
    """Read arrays of ``/frames``, by default all, from frame ``first`` up to but excluding ``last``.

    Raises as `Shard.read_into`.
    """
    stored = {name: shard.stored[name] for name in names or shard.stored}
    arrays = {name: np.empty((last - first, *chunks.shape[1:]), chunks.dtype) for name, chunks in stored.items()}
    shard.read_into(arrays, slice(first, last))
    return arrays


def runs(rows: list[dict[str, Any]], most: int) -> Iterator[list[dict[str, Any]]]:
    """Group adjacent rows of ``/sequences`` into runs of at most ``most`` frames, or of one longer sequence."""
    run: list[dict[str, Any]] = []
    for row in rows:
        end = run[-1]["start"] + run[-1]["length"] if run else 0
        if run and (row["start"] != end or end + row["length"] - run[0]["start"] > most):
            yield run
            run = []
        run.append(row)
    if run:
        yield run


def _damaged(shard: "Shard", rows: list[dict[str, Any]]) -> list[str]:
    """Check adjacent sequences in one read; if that fails, one by one."""
    first, last = rows[0]["start"], rows[-1]["start"] + rows[-1]["length"]
    try:
        arrays = read_frames(shard, first, last)
    except UnreadableError:
        raise
    except CacheError:
        return [rows[0]["id"]] if len(rows) == 1 else [name for row in rows for name in _damaged(shard, [row])]
    damaged = []
    for row in rows:
        where = slice(row["start"] - first, row["start"] - first + row["length"])
        frames = {name: array[where] for name, array in arrays.items()}
        if content_hash(row, frames) != row["sha256"] or not _counts_match(
            shard, row, points_seen(frames["keypoints"]), frames
        ):
            damaged.append(row["id"])
    return damaged


def _is_intact(shard: "Shard", row: Mapping[str, Any]) -> bool:
    """Check a sequence longer than a block: keypoints block by block, other arrays in one read."""
    first, last = row["start"], row["start"] + row["length"]
    digest, seen = facts_hash(row), np.zeros(1, np.int64)
    try:
        columns = read_frames(shard, first, last, *(shard.stored.keys() - {"keypoints"}))
        for name in hashed_names(columns):
            digest.update(f"{name}\0".encode())
            if name != "keypoints":
                digest.update(columns[name].data)
                continue
            for start in range(first, last, BLOCK):
                keypoints = read_frames(shard, start, min(start + BLOCK, last), name)[name]
                digest.update(keypoints.data)
                seen = seen + points_seen(keypoints)
    except UnreadableError:
        raise
    except CacheError:
        return False
    return bool(digest.hexdigest() == row["sha256"]) and _counts_match(shard, row, seen, columns)


def _counts_match(shard: "Shard", row: Mapping[str, Any], seen: np.ndarray, frames: Mapping[str, np.ndarray]) -> bool:
    labels = {name.removeprefix(LABELS): array for name, array in frames.items() if name.startswith(LABELS)}
    return shard.counts.has(row["index"], count(seen, labels, layout(shard.header.layout), shard.header.heads))
