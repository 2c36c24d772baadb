"""Merges caches, or extracts sequences into a separate cache."""

from collections.abc import Collection, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np

from skelemo.atomic import finished, reserved
from skelemo.cache.corrections import corrections_file, to_bytes
from skelemo.cache.corrections_merge import merged, read_all
from skelemo.cache.reading import read_from_cache
from skelemo.cache.select import select
from skelemo.cache.shard_writer import Rows, ShardWriter, with_sequences
from skelemo.cache.store import Cache, open_cache
from skelemo.cache.verify import Report
from skelemo.errors import CacheError


@dataclass(frozen=True)
class Combined:
    """The contents of a new cache."""

    sequences: int
    frames: int
    duplicates: int  # sequences that were omitted because they occurred before, with the same content
    shards: list[str]
    corrections: int = 0


def merge(sources: Sequence[Path], out: Path, report: Report = lambda *_: None) -> Combined:
    """Write the union of caches as a new one: each sequence once, with every recording and problem.

    Correction tables are merged.

    Raises `InputError`: a correction table is damaged, or two contradict each other; `CacheError`: layouts or
    heads differ, a sequence has different contents, a shard is damaged, or ``out`` is not empty; nothing is left
    behind.
    """
    cache = open_cache(sources)
    return _copy(cache, np.ones(len(cache.sequences), bool), out, report)


def subset(source: Path, only: Sequence[str], out: Path, report: Report = lambda *_: None) -> Combined:
    """Write the sequences that match all filters (`skelemo.cache.select`) as a separate cache.

    Recordings with a matching sequence are kept; if only some of its sequences match, an ingest into the new cache
    reads the recording again. The correction table is copied.

    Raises `InputError`: the correction table is damaged; `ConfigError`: a filter is invalid; `CacheError`: no
    sequence matches, a shard is damaged, or ``out`` is not empty; nothing is left behind.
    """
    cache = open_cache(source)
    return _copy(cache, select(cache, only), out, report)


@contextmanager
def new_folder(out: Path, sources: Collection[Path]) -> Iterator[Path]:
    """Create a folder under a temporary name; it is renamed to ``out`` on success and removed on an error."""
    target = out.resolve()
    for source in sources:
        if target == source.resolve() or source.resolve() in target.parents:
            raise CacheError(f"{out} is inside the source cache {source}: choose another --out")
    with reserved(target):
        if out.exists() and (not out.is_dir() or any(out.iterdir())):
            raise CacheError(f"{out} exists and is not an empty folder: choose another --out")
        with finished(target) as partial:
            partial.mkdir()
            yield partial


def _copy(cache: Cache, chosen: np.ndarray, out: Path, report: Report) -> Combined:
    """Write the chosen sequences of a cache, bool ``[S]``, as a new one; shards have uniform settings."""
    total, read = int(cache.sequences["length"][chosen].sum()), 0
    seen: set[tuple[object, ...]] = set()  # rows of recordings and problems

    def once(rows: Rows) -> Rows:
        new = {values: row for row in rows if (values := tuple(row.values())) not in seen}
        seen.update(new)
        return list(new.values())

    corrections, ids = merged(read_all(cache.paths)), set(cache.sequences["id"][chosen])
    with new_folder(out, cache.paths) as folder:
        writer = ShardWriter(folder, replace(cache.shards[0].header, heads=cache.heads))
        for index, shard in enumerate(cache.shards):
            keep = np.array([name in ids for name in shard.columns["sequences"]["id"]], bool)
            if not (keep.any() or chosen.all()):
                continue
            header = replace(shard.header, heads=cache.heads)
            if header != writer.header:
                writer.flush()
                writer.header = header
            rows = cache.sequences[chosen & (cache.sequences["shard"] == index)]  # without those of earlier shards
            for sequence in read_from_cache(shard, rows.assign(start=rows["row"]).to_dict("records")):
                writer.add([sequence])
                read += len(sequence)
                report(read, total)
            writer.add((), *map(once, with_sequences(shard, keep)))
        writer.flush()
        if corrections:
            corrections_file(folder).write_bytes(to_bytes(corrections))
    duplicates = sum(len(shard.sequences) for shard in cache.shards) - len(cache.sequences) if chosen.all() else 0
    names = [path.name for path in writer.shards]
    return Combined(writer.written, writer.frames, duplicates, names, len(corrections))
