"""A cache: a folder of shards, read as their union."""

import hashlib
import json
import os
import shlex
from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, replace
from functools import cached_property
from itertools import combinations
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from skelemo import skeleton
from skelemo.cache.sequence import KEYPOINT_TYPE, LABELS, NUMBER_TYPE, label_type
from skelemo.cache.shard import SUFFIX, Shard, open_shard
from skelemo.cache.statistics import Counts, joined
from skelemo.cache.tables import as_frame, joined_columns
from skelemo.errors import CacheError, UnreadableError, os_reason
from skelemo.targets import Head
from skelemo.text import count, natural_order

if TYPE_CHECKING:
    import pandas as pd


@dataclass(frozen=True, repr=False)
class Frames:
    """All frames of a cache, sequence after sequence: ``keypoints [N, V, 3]``, ``number [N]``, labels by head.

    Each head's labels are an attribute, and so is each value or flag, ``[N]``, whose name is unique.
    """

    keypoints: np.ndarray
    number: np.ndarray
    labels: Mapping[str, np.ndarray]
    heads: tuple[Head, ...] = ()

    def __repr__(self) -> str:
        return (
            f"<{count(len(self.number), 'frame')}: keypoints {list(self.keypoints.shape)}, {', '.join(self._names())}>"
        )

    def __dir__(self) -> list[str]:
        return sorted({*super().__dir__(), *self._names()})

    def _names(self) -> list[str]:
        """The dynamic attributes."""
        outputs = [output for head in self.heads if head.kind != "classes" for output in head.outputs]
        return [*self.labels, *(name for name in outputs if outputs.count(name) == 1 and name not in self.labels)]

    def __getattr__(self, name: str) -> np.ndarray:
        if name.startswith("_") or name == "labels":
            raise AttributeError(name)
        if name in self.labels:
            return self.labels[name]
        matches = [head for head in self.heads if head.kind != "classes" and name in head.outputs]
        if len(matches) != 1:
            raise AttributeError(f"no head or output {name!r}; heads are {', '.join(self.labels) or 'none'}")
        return self.labels[matches[0].name][:, matches[0].outputs.index(name)]


@dataclass(frozen=True, repr=False)
class Cache:
    """The union of shards.

    ``sequences`` has one row per sequence: the shard's columns, with ``start`` in the whole cache and ``splits`` as a
    mapping, the ``shard``, and the first ``row`` in its arrays. ``counts`` has the same rows.
    """

    paths: tuple[Path, ...]
    shards: tuple[Shard, ...]
    sequences: "pd.DataFrame"
    counts: Counts

    def __repr__(self) -> str:
        heads = ", ".join(f"{head.name} ({len(head)})" for head in self.heads) or "no labels"
        size = f"{count(len(self.sequences), 'sequence')}, {count(self.frames, 'frame')}"
        return f"<cache {self.name}: {size} of {self.layout.name}, {heads}{', simulated' * self.simulated}>"

    def _repr_html_(self) -> str:
        from skelemo.cache.summary import as_html

        return as_html(self)

    @property
    def name(self) -> str:
        """The folders' names."""
        return " + ".join(path.name for path in self.paths)

    def only(self, rows: np.ndarray) -> "Cache":
        """Select sequences by mask, or by row in the given order."""
        sequences = self.sequences.iloc[rows].reset_index(drop=True)
        sequences["start"] = sequences["length"].cumsum() - sequences["length"]
        return replace(self, sequences=sequences, counts=self.counts.of(rows))

    @property
    def layout(self) -> skeleton.Layout:
        """The layout of the axis V."""
        return skeleton.layout(self.shards[0].header.layout)

    @cached_property
    def heads(self) -> tuple[Head, ...]:
        """The union of the shards' heads; frames of a shard without a head are unlabeled."""
        return _union(self.shards)

    @cached_property
    def shares(self) -> frozenset[str]:
        """Heads of classes that are read as shares, because any shard has shares."""
        return frozenset(name for shard in self.shards for name in shard.shares)

    @property
    def simulated(self) -> bool:
        """Whether any shard was simulated by `skelemo synth`."""
        return any(shard.header.simulated for shard in self.shards)

    @cached_property
    def recordings(self) -> "pd.DataFrame":
        """One row per ingested recording."""
        return self._table("recordings").drop_duplicates(["source", "video"], ignore_index=True)

    @cached_property
    def fingerprints(self) -> dict[str, set[str]]:
        """Fingerprints of the ingested recordings by source; several if it was ingested more than once."""
        found: dict[str, set[str]] = {}
        rows = self._table("recordings")
        for source, fingerprint in zip(rows["source"], rows["fingerprint"], strict=True):
            found.setdefault(source, set()).add(fingerprint)
        return found

    @cached_property
    def problems(self) -> "pd.DataFrame":
        """One row per file that could not be read."""
        return self._table("problems")

    def _table(self, name: str) -> "pd.DataFrame":
        table = as_frame(joined_columns([shard.columns[name] for shard in self.shards]))
        return table.drop_duplicates(ignore_index=True)

    @property
    def frames(self) -> int:
        """Total number of frames."""
        return int(self.sequences["length"].sum())

    @cached_property
    def hash(self) -> str:
        """Hash of the content, independent of its distribution over shards."""
        heads = sorted((head.to_json() for head in self.heads), key=lambda head: str(head["name"]))
        contents = sorted(zip(self.sequences["id"], self.sequences["sha256"], strict=True))
        return hashlib.sha256(json.dumps([self.layout.name, heads, contents]).encode()).hexdigest()

    def read(self) -> Frames:
        """Read all frames, in the order of ``sequences``; raises as `read_into`."""
        frames = self.allocate()
        self.read_into(frames, 0, len(self.sequences))
        return frames

    def allocate(self, keypoints: np.ndarray | None = None) -> Frames:
        """Allocate arrays for all frames, to be filled by `read_into`; ``keypoints`` may be given."""
        total = self.frames
        labels = {}
        for head in self.heads:
            shape, kind = label_type(head, shares=head.name in self.shares)
            labels[head.name] = np.full((total, *shape), np.nan if kind.kind == "f" else -1, kind)
        points = np.empty((total, len(self.layout), 3), KEYPOINT_TYPE) if keypoints is None else keypoints
        return Frames(points, np.empty(total, NUMBER_TYPE), labels, self.heads)

    def read_into(self, frames: Frames, first: int, last: int, offset: int = 0) -> None:
        """Read the sequences from ``first`` up to but excluding ``last``; the arrays begin with frame ``offset``.

        Raises `CacheError`: a shard cannot be read.
        """
        arrays = {"keypoints": frames.keypoints, "number": frames.number}
        arrays |= {LABELS + name: labels for name, labels in frames.labels.items()}
        for shard_index, rows in self.sequences.iloc[first:last].groupby("shard", sort=True):
            shard = self.shards[int(str(shard_index))]
            for row, start, length in _runs(rows):
                with repairable(shard.path):
                    shard.read_into(arrays, slice(row, row + length), slice(start - offset, start - offset + length))


def open_cache(paths: str | os.PathLike[str] | Iterable[str | os.PathLike[str]]) -> Cache:
    """Open one cache folder, or several as one; safe while an ingest replaces shards.

    Raises `CacheError`: a folder is missing or has no shards, a shard is damaged, or shards contradict each other (see
    `join`).
    """
    folders = (Path(paths),) if isinstance(paths, str | os.PathLike) else tuple(map(Path, paths))
    if not folders:
        raise CacheError("no cache given; skelemo ingest SOURCE --out cache/NAME creates one")
    listed: list[Path] = []
    while True:
        before, listed = listed, [path for folder in folders for path in shard_files(folder)]
        shards = []
        try:
            for path in listed:
                with repairable(path):
                    shards.append(open_shard(path))
        except CacheError:
            if listed == before:
                raise
        else:
            return join(folders, shards)


@contextmanager
def repairable(path: Path) -> Iterator[None]:
    """Add advice to errors about a damaged shard of a cache."""
    try:
        yield
    except UnreadableError:
        raise
    except CacheError as error:
        command = f"skelemo cache verify {shlex.quote(str(path.parent))} --quarantine"
        raise CacheError(f"{error}; to set it aside before ingesting again: {command}") from error


def join(folders: tuple[Path, ...], shards: list[Shard]) -> Cache:
    """Combine one or more shards.

    Raises `CacheError`: shards have different layouts, or heads of one name differ, or the contents of a sequence.
    """
    # By content, not by file name: the order must not depend on the history of the ingest.
    shards = sorted(shards, key=lambda shard: natural_order(next(iter(shard.columns["sequences"]["id"]), "")))
    require_same(shards)
    columns = joined_columns([shard.columns["sequences"] for shard in shards])
    origin = np.repeat(np.arange(len(shards)), [len(shard.columns["sequences"]["id"]) for shard in shards])
    sequences = as_frame(columns).assign(shard=origin, row=columns["start"])
    _refuse_contradictions(sequences, shards)
    counts = joined([shard.counts for shard in shards], _union(shards))
    return Cache(folders, tuple(shards), sequences, counts).only(~sequences["id"].duplicated().to_numpy())


def find_caches(folder: Path) -> list[Path]:
    """The folder itself if it is a cache, otherwise the caches directly below it; raises `CacheError` if none."""
    if folder.is_dir() and not shards_in(folder):
        below = sorted(path for path in folder.iterdir() if path.is_dir() and _may_be_cache(path))
        if below:
            return below
    shard_files(folder)
    return [folder]


def shard_files(folder: Path) -> list[Path]:
    """The shards of a cache folder, sorted; raises `CacheError` if there are none."""
    if not folder.is_dir():
        raise CacheError(f"{folder}: no such cache; skelemo ingest SOURCE --out {folder} creates it")
    found = shards_in(folder)
    below = sorted({path.parent for path in folder.glob(f"*/*{SUFFIX}")}) if not found else []
    if below:
        raise CacheError(f"{folder} contains {count(len(below), 'cache')}: choose one, such as {below[0]}")
    if not found and (folder / "config.yaml").is_file():
        raise CacheError(f"{folder} is a run folder: name a cache, such as the one in its config.yaml (data)")
    if not found:
        raise CacheError(f"{folder} is not a cache: it has no shards (*{SUFFIX}), which skelemo ingest writes")
    return found


def shards_in(folder: Path) -> list[Path]:
    """The shards in a folder, sorted; raises `CacheError` if it cannot be listed."""
    try:
        return sorted(path for path in folder.iterdir() if path.suffix == SUFFIX and not path.name.startswith("."))
    except OSError as error:
        raise CacheError(f"{folder}: cannot be listed ({os_reason(error)})") from error


def _may_be_cache(folder: Path) -> bool:
    """Whether a folder is a cache or cannot be listed, which opening it reports."""
    try:
        return bool(shards_in(folder))
    except CacheError:
        return True


def require_same(shards: Iterable[Shard]) -> None:
    """Raise `CacheError` for shards that differ in layout, or in a head of the same name."""
    advice = "shards of a cache must agree; ingest one of them again (--layout, --classes) or into a separate folder"
    distinct = {(shard.header.layout, shard.header.heads): shard.path for shard in shards}
    described = [(path, layout, by_name(heads)) for (layout, heads), path in distinct.items()]
    for theirs, ours in combinations(described, 2):
        require_agreement(ours, theirs, advice)


def by_name(heads: Iterable[Head]) -> dict[str, Head]:
    """Heads by name."""
    return {head.name: head for head in heads}


#: Name, layout and heads of a cache or shard; the heads themselves, or as text.
Described = tuple[object, str, Mapping[str, object]]


def require_agreement(ours: Described, theirs: Described, advice: str) -> None:
    """Raise `CacheError` if layouts differ, or heads of the same name."""
    (here, layout, heads), (there, other_layout, others) = ours, theirs
    if layout != other_layout:
        raise CacheError(f"{here} has the layout {layout}, {there} {other_layout}: {advice}")
    for name, head in heads.items():
        if others.get(name, head) != head:
            raise CacheError(f"{name} is {head} in {here}, {others[name]} in {there}: {advice}")


def _union(shards: Iterable[Shard]) -> tuple[Head, ...]:
    return tuple(by_name(head for shard in shards for head in shard.header.heads).values())


def _refuse_contradictions(sequences: "pd.DataFrame", shards: Sequence[Shard]) -> None:
    distinct = sequences.drop_duplicates(["id", "sha256"])
    twice = distinct[distinct.duplicated("id", keep=False)]
    if len(twice):
        name = twice["id"].iloc[0]
        first, second = (shards[index].path for index in twice.loc[twice["id"] == name, "shard"].iloc[:2])
        remedy = (
            "remove the outdated shard"
            if first.parent == second.parent
            else "choose one of the two caches; if their data differ, ingest one from the parent folder of its source, "
            "which gives its sequences other names"
        )
        raise CacheError(f"sequence {name!r} differs between {first} and {second}: {remedy}")


def _runs(rows: "pd.DataFrame") -> list[tuple[int, int, int]]:
    """Join adjacent sequences of a shard into reads: (row in the shard, start in the cache, length)."""
    row, start, length = (rows[name].to_numpy() for name in ("row", "start", "length"))
    apart = (row[1:] != (row + length)[:-1]) | (start[1:] != (start + length)[:-1])
    first = np.flatnonzero(np.append(True, apart))
    return list(zip(row[first].tolist(), start[first].tolist(), np.add.reduceat(length, first).tolist(), strict=True))
