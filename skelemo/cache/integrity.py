"""Whether a shard's frames are what was written: every byte of them is read and hashed, in little memory."""

from collections.abc import Callable, Iterator, Mapping
from typing import TYPE_CHECKING, Any

import numpy as np

from skelemo.cache.sequence import LABELS, content_hash, facts_hash, hashed_names, splits_text
from skelemo.cache.statistics import count, points_seen
from skelemo.errors import CacheError, UnreadableError
from skelemo.skeleton import layout

if TYPE_CHECKING:
    from skelemo.cache.shard import Shard

#: Frames whose keypoints are in memory at once: whole chunks, 27 MB of body, face and hands.
STRETCH = 16_384

#: Told as frames are checked: how many.
Report = Callable[[int], None]


def damaged_sequences(shard: "Shard", report: Report = lambda _: None) -> list[str]:
    """Ids of the sequences that cannot be read, hold what none may hold, or are not what their hash and counts say."""
    rows = [{str(name): fact for name, fact in row.items()} for row in shard.sequences.to_dict("records")]
    for index, row in enumerate(rows):
        row |= {"index": index, "splits": splits_text(row["splits"])}
    found: list[str] = []
    for group in neighbors(rows, STRETCH):
        frames = sum(row["length"] for row in group)
        found += _damaged(shard, group) if frames <= STRETCH else [] if _is_whole(shard, group[0]) else [group[0]["id"]]
        report(frames)
    return found


def read_frames(shard: "Shard", first: int, last: int, *names: str) -> dict[str, np.ndarray]:
    """Arrays of ``/frames``, all of them unless named, from frame ``first`` of the shard to before ``last``.

    Raises
    ------
    CacheError
        As in `Shard.read_into`.
    """
    stored = {name: shard.stored[name] for name in names or shard.stored}
    arrays = {name: np.empty((last - first, *one.shape[1:]), one.kind) for name, one in stored.items()}
    shard.read_into(arrays, slice(first, last))
    return arrays


def neighbors(rows: list[dict[str, Any]], most: int) -> Iterator[list[dict[str, Any]]]:
    """Rows of ``/sequences`` in groups of together at most some frames; who is longer is a group of its own."""
    group: list[dict[str, Any]] = []
    size = 0
    for row in rows:
        if group and size + row["length"] > most:
            yield group
            group, size = [], 0
        group.append(row)
        size += row["length"]
    if group:
        yield group


def _damaged(shard: "Shard", rows: list[dict[str, Any]]) -> list[str]:
    """Those of some neighbors; they are read at once, and one by one only if that fails."""
    first, last = rows[0]["start"], rows[-1]["start"] + rows[-1]["length"]
    try:
        arrays = read_frames(shard, first, last)
    except UnreadableError:
        raise
    except CacheError:
        return [rows[0]["id"]] if len(rows) == 1 else [name for row in rows for name in _damaged(shard, [row])]
    found = []
    for row in rows:
        here = slice(row["start"] - first, row["start"] - first + row["length"])
        frames = {name: array[here] for name, array in arrays.items()}
        seen = points_seen(frames["keypoints"])
        if content_hash(row, frames) != row["sha256"] or not _counted(shard, row, seen, frames):
            found.append(row["id"])
    return found


def _is_whole(shard: "Shard", row: Mapping[str, Any]) -> bool:
    """A sequence longer than a stretch: its columns are read at once, its keypoints stretch by stretch."""
    first, last = row["start"], row["start"] + row["length"]
    digest, seen = facts_hash(row), np.zeros(1, np.int64)
    try:
        columns = read_frames(shard, first, last, *(shard.stored.keys() - {"keypoints"}))
        for name in hashed_names(columns):
            digest.update(f"{name}\0".encode())
            if name != "keypoints":
                digest.update(columns[name].data)
                continue
            for start in range(first, last, STRETCH):
                keypoints = read_frames(shard, start, min(start + STRETCH, last), name)[name]
                digest.update(keypoints.data)
                seen = seen + points_seen(keypoints)
    except UnreadableError:
        raise
    except CacheError:
        return False
    return bool(digest.hexdigest() == row["sha256"]) and _counted(shard, row, seen, columns)


def _counted(shard: "Shard", row: Mapping[str, Any], seen: np.ndarray, frames: Mapping[str, np.ndarray]) -> bool:
    labels = {name.removeprefix(LABELS): array for name, array in frames.items() if name.startswith(LABELS)}
    return shard.counts.has(row["index"], count(seen, labels, layout(shard.header.layout), shard.header.heads))
