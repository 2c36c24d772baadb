"""Checks a shard's frames against their hashes, in bounded memory."""

from collections.abc import Iterator, Mapping
from typing import TYPE_CHECKING, Any

import numpy as np

from skelemo.cache.sequence import facts_hash, hashed_names, splits_text
from skelemo.errors import CacheError, UnreadableError

if TYPE_CHECKING:
    from skelemo.cache.shard import Shard

#: Frames read at once: 27 MB of body, face and hands.
BLOCK = 16_384


def damaged_sequences(shard: "Shard") -> list[str]:
    """Ids of the sequences that cannot be read, have invalid values, or do not match their hash."""
    rows = [{str(name): fact for name, fact in row.items()} for row in shard.sequences.to_dict("records")]
    for row in rows:
        row["splits"] = splits_text(row["splits"])
    return [name for run in runs(rows, BLOCK) for name in _damaged(shard, run)]


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
    """Check adjacent sequences in one read, or one longer than a block; if that fails, one by one."""
    first, last = rows[0]["start"], rows[-1]["start"] + rows[-1]["length"]
    names = shard.stored.keys() - ({"keypoints"} if last - first > BLOCK else set())
    try:
        arrays = read_frames(shard, first, last, *names)
        frames = [slice(row["start"] - first, row["start"] - first + row["length"]) for row in rows]
        each = [{name: array[where] for name, array in arrays.items()} for where in frames]
        return [row["id"] for row, columns in zip(rows, each, strict=True) if not _is_intact(shard, row, columns)]
    except UnreadableError:
        raise
    except CacheError:
        return [rows[0]["id"]] if len(rows) == 1 else [name for row in rows for name in _damaged(shard, [row])]


def _is_intact(shard: "Shard", row: Mapping[str, Any], columns: Mapping[str, np.ndarray]) -> bool:
    """Check a sequence; keypoints that are not among its columns are read block by block."""
    digest = facts_hash(row)
    for name in hashed_names(columns):
        digest.update(f"{name}\0".encode())
        for block in [columns[name]] if name in columns else _keypoints(shard, row):
            digest.update(block.data)
    return bool(digest.hexdigest() == row["sha256"])


def _keypoints(shard: "Shard", row: Mapping[str, Any]) -> Iterator[np.ndarray]:
    last = row["start"] + row["length"]
    for start in range(row["start"], last, BLOCK):
        yield read_frames(shard, start, min(start + BLOCK, last), "keypoints")["keypoints"]
