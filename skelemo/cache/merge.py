"""Caches out of caches: several merged into one, or a part of one as a cache of its own."""

from collections.abc import Callable, Collection, Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

import numpy as np

from skelemo.atomic import finished
from skelemo.cache import sequence as cached
from skelemo.cache.extract import belongings
from skelemo.cache.reading import MOST_FRAMES, read_from_cache
from skelemo.cache.select import select, unmet
from skelemo.cache.shard import Header, Shard, write_shard
from skelemo.cache.store import Cache, describe_head, open_cache
from skelemo.errors import CacheError
from skelemo.targets import Head
from skelemo.text import count

#: Told as frames are done: how many so far, and of how many.
Report = Callable[[int, int], None]


@dataclass
class Combined:
    """What a new cache was made of."""

    sequences: int = 0
    frames: int = 0
    twice: int = 0  # sequences that were there already, with the same content
    shards: list[str] = field(default_factory=list)


def merge(sources: Sequence[Path], out: Path, report: Report = lambda *_: None) -> Combined:
    """Write the union of caches as a new one: each sequence once, with every recording and problem.

    Where a head's classes differ, the longest list must have every class of the others: labels are carried over by
    name. The list of a cache without a label does not count.

    Raises
    ------
    CacheError
        Other layouts, classes that only one has, a sequence with different contents, a damaged shard, or an ``out``
        that is not free; nothing is left then.
    """
    caches = [open_cache(source) for source in sources]
    heads = _common_heads(caches)
    _require_one_layout(caches)
    _refuse_contradictions(caches)
    total = sum(cache.frames for cache in caches)
    with new_folder(out, sources) as folder:
        writer = _Writer(folder, total, report)
        for shard in (shard for cache in caches for shard in cache.shards):
            writer.take(shard, np.ones(len(shard.columns["sequences"]["id"]), bool), heads)
        writer.flush()
    return writer.done


def subset(source: Path, only: Sequence[str], out: Path, report: Report = lambda *_: None) -> Combined:
    """Write the sequences that all of the filters want (`skelemo.cache.select`) as a cache of their own.

    A recording goes with its sequences; where one of these stays behind, an ingest into the new cache reads it again.

    Raises
    ------
    ConfigError
        A filter that cannot be meant.
    CacheError
        Nothing is chosen, a damaged shard, or an ``out`` that is not free; nothing is left then.
    """
    cache = open_cache(source)
    chosen = select(cache, only)
    if not chosen.any():
        there = count(len(chosen), "sequence")
        raise CacheError(f"{source}: none of its {there} is wanted by {' '.join(only)}{unmet(cache.sequences, only)}")
    wanted = set(cache.sequences["id"][chosen])
    total = int(cache.sequences["length"][chosen].sum())
    with new_folder(out, [source]) as folder:
        writer = _Writer(folder, total, report)
        for shard in cache.shards:
            keep = np.array([name in wanted for name in shard.columns["sequences"]["id"]], bool)
            if keep.any():
                writer.take(shard, keep, cache.heads)
        writer.flush()
    return writer.done


@contextmanager
def new_folder(out: Path, sources: Collection[Path]) -> Iterator[Path]:
    """A folder under another name, which becomes ``out`` when all has gone well and otherwise goes away."""
    place = out.resolve()
    for source in sources:
        if place == source.resolve() or source.resolve() in place.parents:
            raise CacheError(f"{out} is, or lies in, the cache {source} that is read: choose another --out")
    if out.exists() and (not out.is_dir() or any(out.iterdir())):
        raise CacheError(f"{out} is there already and not an empty folder: choose another --out")
    place.parent.mkdir(parents=True, exist_ok=True)
    with finished(place) as partial:
        partial.mkdir()
        yield partial


class _Writer:
    """Puts sequences into shards of the usual size, one set of settings each, in the memory that one shard takes."""

    def __init__(self, folder: Path, total: int, report: Report) -> None:
        self.folder = folder
        self.total = total
        self.report = report
        self.done = Combined()
        self.read = 0
        self.known: dict[str, tuple[str, Path]] = {}  # id -> hash, and where it comes from
        self.noted: set[tuple[Any, ...]] = set()  # rows of recordings and problems
        self.header: Header | None = None
        self.sequences: list[cached.Sequence] = []
        self.recordings: list[dict[str, Any]] = []
        self.problems: list[dict[str, Any]] = []

    def take(self, shard: Shard, keep: np.ndarray, heads: tuple[Head, ...]) -> None:
        """Add the sequences of a shard that are kept, bool ``[S]``, and what belongs to them."""
        header = replace(shard.header, heads=heads)
        if header != self.header:
            self.flush()
            self.header = header
        for sequence, path in self._new(shard, keep, heads):
            if self.sequences and sum(map(len, self.sequences)) + len(sequence) > MOST_FRAMES:
                self.flush()
            self.sequences.append(sequence)
            self.known[sequence.id] = sequence.sha256, path
        recordings, problems = belongings(shard, keep)
        self.recordings += self._unnoted("recordings", recordings)
        self.problems += self._unnoted("problems", problems)

    def flush(self) -> None:
        """Write what has been added since the last time."""
        if self.header and (self.sequences or self.recordings or self.problems or not self.done.shards):
            path = write_shard(self.folder, self.header, self.sequences, self.recordings, self.problems)
            self.done.shards.append(path.name)
            self.done.sequences += len(self.sequences)
            self.done.frames += sum(map(len, self.sequences))
        self.sequences, self.recordings, self.problems = [], [], []

    def _new(self, shard: Shard, keep: np.ndarray, heads: tuple[Head, ...]) -> Iterator[tuple[cached.Sequence, Path]]:
        rows = shard.sequences[keep].to_dict("records")
        places = _places(shard.header.heads, heads)
        same = not places
        fresh = [row for row in rows if not (same and self._has(row["id"], row["sha256"], shard.path))]
        self._told(sum(row["length"] for row in rows) - sum(row["length"] for row in fresh))
        self.done.twice += len(rows) - len(fresh)
        for sequence in read_from_cache(shard, fresh):
            if places:
                sequence = replace(sequence, labels=_moved(sequence.labels, places))
            there = self._has(sequence.id, sequence.sha256, shard.path)
            self.done.twice += there
            self._told(len(sequence))
            if not there:
                yield sequence, shard.path

    def _has(self, name: str, sha256: str, path: Path) -> bool:
        """Whether a sequence is there with the same content; another one of its name is an error."""
        if name not in self.known:
            return False
        before, first = self.known[name]
        if before != sha256:
            raise _contradiction(name, first, path)
        return True

    def _told(self, frames: int) -> None:
        self.read += frames
        self.report(self.read, self.total)

    def _unnoted(self, table: str, rows: list[dict[str, Any]]) -> list[dict[str, Any]]:
        fresh = []
        for row in rows:
            key = (table, *row.values())
            if key not in self.noted:
                self.noted.add(key)
                fresh.append(row)
        return fresh


def _places(theirs: Iterable[Head], ours: Iterable[Head]) -> dict[str, np.ndarray]:
    """For each head whose classes stand elsewhere among ours, where; -1 for a class that ours lack, and behind all.

    A class that ours lack labels no frame (`_common_heads`).
    """
    known, found = {head.name: head.outputs for head in ours}, {}
    for head in theirs:
        names = known[head.name]
        if names != head.outputs:
            found[head.name] = np.array([*(names.index(n) if n in names else -1 for n in head.outputs), -1], np.int16)
    return found


def _moved(labels: Mapping[str, np.ndarray], places: Mapping[str, np.ndarray]) -> dict[str, np.ndarray]:
    return {name: places[name][values] if name in places else values for name, values in labels.items()}


def _common_heads(caches: Collection[Cache]) -> tuple[Head, ...]:
    """All heads of caches; of classes that differ, the longest list among those in which any frame has a class."""
    found: dict[str, Head] = {}
    for name in dict.fromkeys(head.name for cache in caches for head in cache.heads):
        having = [(cache, head) for cache in caches for head in cache.heads if head.name == name]
        labeled = [(cache, head) for cache, head in having if cache.counts.labels[name][:, 0].any()]
        widest, best = max(labeled or having, key=lambda pair: len(pair[1]))
        for cache, head in labeled:
            missing = [output for output in head.outputs if output not in best.outputs]
            mergeable = head.kind == best.kind == "classes" and not {name} & (cache.shares | widest.shares)
            if head != best and (missing or not mergeable):
                what = f"the class {missing[0]!r}, which" if missing else f"{name} as {describe_head(head)}, which"
                raise CacheError(
                    f"{cache.name} has {what} {widest.name} does not have ({describe_head(best)}): "
                    "one cache must have all of them"
                )
        found[name] = best
    return tuple(found.values())


def _require_one_layout(caches: Sequence[Cache]) -> None:
    for cache in caches:
        if cache.layout != caches[0].layout:
            raise CacheError(
                f"{cache.name} has the layout {cache.layout.name}, {caches[0].name} has {caches[0].layout.name}: "
                "caches of one layout can be merged; ingest one of them again with --layout"
            )


def _refuse_contradictions(caches: Collection[Cache]) -> None:
    """Tell before anything is written what can be told from tables: of shards with the same heads."""
    known: dict[tuple[str, tuple[Head, ...]], tuple[str, Path]] = {}
    for shard in (shard for cache in caches for shard in cache.shards):
        columns = shard.columns["sequences"]
        for name, sha256 in zip(columns["id"], columns["sha256"], strict=True):
            before, path = known.setdefault((name, shard.header.heads), (sha256, shard.path))
            if before != sha256:
                raise _contradiction(name, path, shard.path)


def _contradiction(name: str, first: Path, second: Path) -> CacheError:
    return CacheError(f"sequence {name!r} differs between {first} and {second}: leave one of them out")
