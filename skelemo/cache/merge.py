"""Merges caches, or extracts sequences into a separate cache."""

from collections.abc import Callable, Collection, Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np

from skelemo.atomic import finished, reserved
from skelemo.cache import sequence as cached
from skelemo.cache.corrections import Correction, corrections_file, to_bytes
from skelemo.cache.corrections_merge import for_people, merged, read_all
from skelemo.cache.reading import read_from_cache
from skelemo.cache.select import select, unmet
from skelemo.cache.shard import Shard, write_shard
from skelemo.cache.shard_writer import ShardWriter, with_sequences
from skelemo.cache.store import Cache, describe_head, open_cache, require_agreement
from skelemo.errors import CacheError
from skelemo.targets import Head
from skelemo.text import count

#: Called as frames are processed: how many so far, and the total.
Report = Callable[[int, int], None]


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

    If the classes of a head differ, the longest list must contain all others; labels are mapped by name. The class list
    of a cache without labels is ignored. Corrections are merged.

    Raises `InputError`: a table of corrections is damaged, or two contradict each other; `CacheError`: layouts or
    classes are incompatible, a sequence has different contents, a shard is damaged, or ``out`` is not empty; nothing is
    left behind.
    """
    caches = [open_cache(source) for source in sources]
    heads = _common_heads(caches)
    for cache in caches:
        theirs, ours = ((one.name, one.layout.name, dict[str, str]()) for one in (cache, caches[0]))
        require_agreement(theirs, ours, "expected one layout; ingest one of the caches again with --layout")
    _refuse_contradictions(caches)
    corrections = merged(read_all(sources))
    shards = [shard for cache in caches for shard in cache.shards]
    chosen = [(shard, np.ones(len(shard.columns["sequences"]["id"]), bool)) for shard in shards]
    return _combine(chosen, heads, out, sources, sum(cache.frames for cache in caches), corrections, report)


def subset(source: Path, only: Sequence[str], out: Path, report: Report = lambda *_: None) -> Combined:
    """Write the sequences that match all filters (`skelemo.cache.select`) as a separate cache.

    Recordings with a matching sequence are kept; if only some of its sequences match, an ingest into the new cache
    reads the recording again. Corrections are kept with their sequences, those of tracks with their recordings.

    Raises `InputError`: the table of corrections is damaged; `ConfigError`: a filter is invalid; `CacheError`: no
    sequence matches, a shard is damaged, or ``out`` is not empty; nothing is left behind.
    """
    cache = open_cache(source)
    matching = select(cache, only)
    if not matching.any():
        total = count(len(matching), "sequence")
        raise CacheError(f"{source}: none of {total} matches {' '.join(only)}{unmet(cache.sequences, only)}")
    ids = set(cache.sequences["id"][matching])
    people = list(zip(cache.sequences["video"], cache.sequences["person"], strict=True))
    (table,) = read_all([source])
    corrections = for_people(table, {people[i] for i in np.flatnonzero(matching)}, {*people}).rows
    keep = [np.array([name in ids for name in shard.columns["sequences"]["id"]], bool) for shard in cache.shards]
    chosen = [(shard, mask) for shard, mask in zip(cache.shards, keep, strict=True) if mask.any()]
    frames = int(cache.sequences["length"][matching].sum())
    return _combine(chosen, cache.heads, out, [source], frames, corrections, report)


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


def _combine(
    chosen: Sequence[tuple[Shard, np.ndarray]],
    heads: tuple[Head, ...],
    out: Path,
    sources: Collection[Path],
    total: int,
    corrections: Sequence[Correction],
    report: Report,
) -> Combined:
    """Write the kept sequences of shards, bool ``[S]`` each, as a new cache."""
    with new_folder(out, sources) as folder:
        writer = ShardWriter(folder, replace(chosen[0][0].header, heads=heads))
        merger = _Merger(writer, total, report)
        for shard, keep in chosen:
            merger.add(shard, keep)
        writer.flush()
        if not writer.shards:
            writer.shards.append(write_shard(folder, writer.header, ()))
        if corrections:
            corrections_file(folder).write_bytes(to_bytes(corrections))
    names = [path.name for path in writer.shards]
    return Combined(writer.written, writer.frames, merger.duplicates, names, len(corrections))


class _Merger:
    """Adds the sequences of shards to a writer, each once and with the writer's heads; shards have uniform settings."""

    def __init__(self, writer: ShardWriter, total: int, report: Report) -> None:
        self.writer, self.heads, self.total, self.report = writer, writer.header.heads, total, report
        self.duplicates = self.read = 0
        self.contents: dict[str, tuple[str, Path]] = {}  # hash and source shard by id
        self.rows: set[tuple[Any, ...]] = set()  # of recordings and problems

    def add(self, shard: Shard, keep: np.ndarray) -> None:
        """Add the kept sequences of a shard, bool ``[S]``, with their recordings and problems."""
        header = replace(shard.header, heads=self.heads)
        if header != self.writer.header:
            self.writer.flush()
            self.writer.header = header
        for sequence in self._new(shard, keep):
            self.writer.add([sequence])
            self.contents[sequence.id] = sequence.sha256, shard.path
        recordings, problems = with_sequences(shard, keep)
        self.writer.recordings += self._once("recordings", recordings)
        self.writer.problems += self._once("problems", problems)

    def _new(self, shard: Shard, keep: np.ndarray) -> Iterator[cached.Sequence]:
        """Sequences that were not added before; frames of the others are skipped if the heads are equal."""
        rows = shard.sequences[keep].to_dict("records")
        mapping = _class_mapping(shard.header.heads, self.heads)
        new = [row for row in rows if mapping or not self._has(row["id"], row["sha256"], shard.path)]
        self._progress(sum(row["length"] for row in rows) - sum(row["length"] for row in new))
        self.duplicates += len(rows) - len(new)
        for sequence in read_from_cache(shard, new):
            if mapping:
                labels = {name: mapping[name][a] if name in mapping else a for name, a in sequence.labels.items()}
                sequence = replace(sequence, labels=labels)
            duplicate = self._has(sequence.id, sequence.sha256, shard.path)
            self.duplicates += duplicate
            self._progress(len(sequence))
            if not duplicate:
                yield sequence

    def _has(self, name: str, sha256: str, path: Path) -> bool:
        """Whether a sequence was added before; raises `CacheError` if its content differs."""
        before, first = self.contents.get(name, ("", path))
        if before not in ("", sha256):
            raise _contradiction(name, first, path)
        return bool(before)

    def _progress(self, frames: int) -> None:
        self.read += frames
        self.report(self.read, self.total)

    def _once(self, table: str, rows: list[dict[str, Any]]) -> list[dict[str, Any]]:
        """The rows that were not added before."""
        new = {(table, *row.values()): row for row in rows if (table, *row.values()) not in self.rows}
        self.rows |= new.keys()
        return list(new.values())


def _class_mapping(old: Iterable[Head], new: Iterable[Head]) -> Mapping[str, np.ndarray]:
    """New numbers of the old classes, for heads whose classes differ; the last entry maps -1, unlabeled.

    Missing classes map to -1; they label no frame (`_common_heads`).
    """
    outputs, mapping = {head.name: head.outputs for head in new}, {}
    for head in old:
        names = outputs[head.name]
        if names != head.outputs:
            mapping[head.name] = np.array([*(names.index(n) if n in names else -1 for n in head.outputs), -1], np.int16)
    return mapping


def _common_heads(caches: Collection[Cache]) -> tuple[Head, ...]:
    """The union of the caches' heads; if classes differ, the longest list of a cache with labels."""
    common: dict[str, Head] = {}
    for name in dict.fromkeys(head.name for cache in caches for head in cache.heads):
        having = [(cache, head) for cache in caches for head in cache.heads if head.name == name]
        labeled = [(cache, head) for cache, head in having if cache.counts.labels[name][:, 0].any()]
        widest, best = max(labeled or having, key=lambda pair: len(pair[1]))
        for cache, head in labeled:
            missing = [output for output in head.outputs if output not in best.outputs]
            mergeable = head.kind == best.kind == "classes" and not {name} & (cache.shares | widest.shares)
            if head != best and (missing or not mergeable):
                what = f"the class {missing[0]!r}" if missing else f"{name} as {describe_head(head)}"
                raise CacheError(
                    f"{cache.name} has {what}, {widest.name} has {describe_head(best)}: "
                    "one cache must have the classes of all"
                )
        common[name] = best
    return tuple(common.values())


def _refuse_contradictions(caches: Collection[Cache]) -> None:
    """Detect contradictions among shards with the same heads before anything is written."""
    contents: dict[tuple[str, tuple[Head, ...]], tuple[str, Path]] = {}
    for shard in (shard for cache in caches for shard in cache.shards):
        columns = shard.columns["sequences"]
        for name, sha256 in zip(columns["id"], columns["sha256"], strict=True):
            before, path = contents.setdefault((name, shard.header.heads), (sha256, shard.path))
            if before != sha256:
                raise _contradiction(name, path, shard.path)


def _contradiction(name: str, first: Path, second: Path) -> CacheError:
    return CacheError(f"sequence {name!r} differs between {first} and {second}: omit one of the caches")
