"""A cache: a folder of shards, read as their union."""

import hashlib
import json
import os
import shlex
from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, replace
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from skelemo import skeleton
from skelemo.cache.sequence import KEYPOINT_TYPE, LABELS, NUMBER_TYPE, label_type
from skelemo.cache.shard import SUFFIX, Shard, open_shard
from skelemo.cache.statistics import Counts, joined
from skelemo.cache.tables import as_frame, joined_columns
from skelemo.errors import CacheError, UnreadableError
from skelemo.targets import Head
from skelemo.text import count, natural_order

if TYPE_CHECKING:
    import pandas as pd


@dataclass(frozen=True, repr=False)
class Frames:
    """Every frame of a cache, sequence after sequence: ``keypoints [N, V, 3]``, ``number [N]``, labels by head.

    A head's labels are an attribute too, and so is each of its values or flags, ``[N]``, where one head alone has it.
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
        """What can be asked for beside keypoints and number."""
        outputs = [output for head in self.heads if head.kind != "classes" for output in head.outputs]
        return [*self.labels, *(name for name in outputs if outputs.count(name) == 1 and name not in self.labels)]

    def __getattr__(self, name: str) -> np.ndarray:
        if name.startswith("_") or name == "labels":
            raise AttributeError(name)
        if name in self.labels:
            return self.labels[name]
        having = [head for head in self.heads if head.kind != "classes" and name in head.outputs]
        if len(having) != 1:
            raise AttributeError(f"no head or output {name!r}; heads are {', '.join(self.labels) or 'none'}")
        return self.labels[having[0].name][:, having[0].outputs.index(name)]


@dataclass(frozen=True, repr=False)
class Cache:
    """The union of shards.

    ``sequences`` has one row per sequence: the shard's columns, ``start`` counted over the whole cache, ``splits``
    as a mapping, and ``shard`` and ``row``, which say where it lies. ``counts`` has a row for each of them.
    """

    paths: tuple[Path, ...]
    shards: tuple[Shard, ...]
    sequences: "pd.DataFrame"
    counts: Counts

    def __repr__(self) -> str:
        heads = ", ".join(f"{head.name} ({len(head)})" for head in self.heads) or "no labels"
        size = f"{count(len(self.sequences), 'sequence')}, {count(self.frames, 'frame')}"
        return f"<cache {self.name}: {size} of {self.layout.name}, {heads}{', simulated' * self.simulated}>"

    @property
    def name(self) -> str:
        """The folders' names."""
        return " + ".join(path.name for path in self.paths)

    def only(self, rows: np.ndarray) -> "Cache":
        """The cache of some of its sequences, by their rows, in the order of these."""
        sequences = self.sequences.iloc[rows].reset_index(drop=True)
        sequences["start"] = sequences["length"].cumsum() - sequences["length"]
        return replace(self, sequences=sequences, counts=self.counts.of(rows))

    @property
    def layout(self) -> skeleton.Layout:
        """Which keypoints the axis V holds."""
        return skeleton.layout(self.shards[0].header.layout)

    @cached_property
    def heads(self) -> tuple[Head, ...]:
        """What frames may have labels of; those of a shard that lacks a head are unlabeled."""
        return _union(self.shards)

    @cached_property
    def shares(self) -> frozenset[str]:
        """Heads of classes whose labels are shares in any shard, and thus are read as shares."""
        return frozenset(name for shard in self.shards for name in shard.shares)

    @property
    def simulated(self) -> bool:
        """Whether any of it was made by `skelemo synth`."""
        return any(shard.header.simulated for shard in self.shards)

    @cached_property
    def recordings(self) -> "pd.DataFrame":
        """One row per recording that was ingested, however often it was."""
        return self._table("recordings").drop_duplicates(["source", "video"], ignore_index=True)

    @cached_property
    def fingerprints(self) -> dict[str, set[str]]:
        """What each ingested recording was made of, by its source; several where it was ingested more than once."""
        known: dict[str, set[str]] = {}
        rows = self._table("recordings")
        for source, fingerprint in zip(rows["source"], rows["fingerprint"], strict=True):
            known.setdefault(source, set()).add(fingerprint)
        return known

    @cached_property
    def problems(self) -> "pd.DataFrame":
        """One row per file that could not be read."""
        return self._table("problems")

    def _table(self, name: str) -> "pd.DataFrame":
        table = as_frame(joined_columns([shard.columns[name] for shard in self.shards]))
        return table.drop_duplicates(ignore_index=True)

    @property
    def frames(self) -> int:
        """How many frames all sequences have together."""
        return int(self.sequences["length"].sum())

    @cached_property
    def hash(self) -> str:
        """Hash of what the cache says, whatever shards it is spread over."""
        heads = sorted((head.to_json() for head in self.heads), key=lambda head: str(head["name"]))
        known = sorted(zip(self.sequences["id"], self.sequences["sha256"], strict=True))
        return hashlib.sha256(json.dumps([self.layout.name, heads, known]).encode()).hexdigest()

    def read(self) -> Frames:
        """Read every frame, in the order of ``sequences``; raises what `read_into` raises."""
        frames = self.allocate()
        self.read_into(frames, 0, len(self.sequences))
        return frames

    def allocate(self) -> Frames:
        """Arrays as large as the cache, for `read_into` to fill."""
        total = self.frames
        labels = {}
        for head in self.heads:
            shape, kind = label_type(head, shares=head.name in self.shares)
            labels[head.name] = np.full((total, *shape), np.nan if kind.kind == "f" else -1, kind)
        return Frames(
            np.empty((total, len(self.layout), 3), KEYPOINT_TYPE), np.empty(total, NUMBER_TYPE), labels, self.heads
        )

    def read_into(self, frames: Frames, first: int, last: int) -> None:
        """Fill the rows of the sequences ``first`` up to but without ``last``.

        Raises
        ------
        CacheError
            A shard cannot be read; the message names it.
        """
        arrays = {"keypoints": frames.keypoints, "number": frames.number}
        arrays |= {LABELS + name: labels for name, labels in frames.labels.items()}
        for shard_index, rows in self.sequences.iloc[first:last].groupby("shard", sort=True):
            shard = self.shards[int(str(shard_index))]
            for row, start, length in _runs(rows):
                with repairable(shard.path):
                    shard.read_into(arrays, slice(row, row + length), slice(start, start + length))


def open_cache(paths: str | os.PathLike[str] | Iterable[str | os.PathLike[str]]) -> Cache:
    """Open one cache folder, or several as one, also while an ingest takes shards out of it.

    Raises
    ------
    CacheError
        No folder is named, or there is none; no shard in it, a damaged shard, shards of different layouts or with
        different heads of one name, or one sequence with different contents in two shards.
    """
    folders = (Path(paths),) if isinstance(paths, str | os.PathLike) else tuple(map(Path, paths))
    if not folders:
        raise CacheError("no cache is named; skelemo ingest SOURCE --out cache/NAME makes one")
    listed: list[Path] = []
    while True:
        before, listed = listed, [path for folder in folders for path in shard_files(folder)]
        try:
            shards = [_open(path) for path in listed]
        except CacheError:
            if listed == before:
                raise
        else:
            return join(folders, shards)


@contextmanager
def repairable(path: Path) -> Iterator[None]:
    """An error about a damaged shard says what to do: this one lies in a cache, not under a name of the moment."""
    try:
        yield
    except UnreadableError:
        raise
    except CacheError as error:
        command = f"skelemo cache verify {shlex.quote(str(path.parent))} --quarantine"
        raise CacheError(f"{error}; to set it aside, and then ingest again: {command}") from error


def _open(path: Path) -> Shard:
    with repairable(path):
        return open_shard(path)


def join(folders: tuple[Path, ...], shards: list[Shard]) -> Cache:
    """The cache that shards, at least one, make together.

    Raises
    ------
    CacheError
        Shards of different layouts or with different heads of one name, or one sequence with different contents in two.
    """
    # Names of shards tell when files were written, too: one content is in one order, whatever it was ingested from.
    shards = sorted(shards, key=lambda shard: natural_order(next(iter(shard.columns["sequences"]["id"]), "")))
    require_same(shards)
    columns = joined_columns([shard.columns["sequences"] for shard in shards])
    where = np.repeat(np.arange(len(shards)), [len(shard.columns["sequences"]["id"]) for shard in shards])
    sequences = as_frame(columns).assign(shard=where, row=columns["start"])
    _refuse_contradictions(sequences, shards)
    once = ~sequences["id"].duplicated().to_numpy()
    sequences = sequences[once].reset_index(drop=True)
    sequences["start"] = sequences["length"].cumsum() - sequences["length"]
    counts = joined([shard.counts for shard in shards], _union(shards)).of(once)
    return Cache(folders, tuple(shards), sequences, counts)


def find_caches(folder: Path) -> list[Path]:
    """The folder itself if it is a cache, else the caches just below it.

    Raises
    ------
    CacheError
        There is neither.
    """
    if folder.is_dir() and not shards_in(folder):
        below = sorted(path for path in folder.iterdir() if path.is_dir() and _may_be_cache(path))
        if below:
            return below
    shard_files(folder)
    return [folder]


def shard_files(folder: Path) -> list[Path]:
    """The shards of a cache folder, sorted; a folder without any is an error."""
    if not folder.is_dir():
        raise CacheError(f"{folder}: no such cache (skelemo ingest SOURCE --out {folder} makes one)")
    found = shards_in(folder)
    below = sorted({path.parent for path in folder.glob(f"*/*{SUFFIX}")}) if not found else []
    if below:
        raise CacheError(f"{folder} holds {count(len(below), 'cache')} and is none itself: name one, as in {below[0]}")
    if not found:
        raise CacheError(f"{folder}: no shard (*{SUFFIX}) in it; skelemo ingest SOURCE --out {folder} writes some")
    return found


def shards_in(folder: Path) -> list[Path]:
    """The shards right in a folder, sorted; none where it is no cache. One that cannot be listed is an error."""
    try:
        return sorted(path for path in folder.iterdir() if path.suffix == SUFFIX and not path.name.startswith("."))
    except OSError as error:
        raise CacheError(f"{folder}: cannot be listed ({error.strerror or error})") from error


def _may_be_cache(folder: Path) -> bool:
    """Whether a folder is one as far as can be seen; whoever opens it is told why it cannot be seen."""
    try:
        return bool(shards_in(folder))
    except CacheError:
        return True


def require_same(shards: Iterable[Shard]) -> None:
    """Shards of one cache agree on the layout, and on every head that several of them have."""
    first: Shard | None = None
    known: dict[str, tuple[Head, Shard]] = {}
    for shard in shards:
        first = first or shard
        ours, theirs = first.header.layout, shard.header.layout
        if ours != theirs:
            raise CacheError(
                f"{shard.path} has the layout {theirs}, {first.path} has {ours}: shards of one cache agree; ingest one "
                "of them into a folder of its own"
            )
        for head in shard.header.heads:
            other, where = known.setdefault(head.name, (head, shard))
            if other != head:
                raise CacheError(
                    f"{head.name} is {describe_head(head)} in {shard.path}, {describe_head(other)} in {where.path}: "
                    "shards of one cache agree; ingest one of them into a folder of its own"
                )


def describe_head(head: Head) -> str:
    """A head's kind, outputs and range in a few words: ``classes [glad, sad]``, ``values [pain] in [0, 10]``."""
    outputs = f"{head.kind} [{', '.join(head.outputs)}]"
    return outputs + (f" in [{head.low:g}, {head.high:g}]" if head.kind == "values" else "")


def _union(shards: Iterable[Shard]) -> tuple[Head, ...]:
    return tuple({head.name: head for shard in shards for head in shard.header.heads}.values())


def _refuse_contradictions(sequences: "pd.DataFrame", shards: Sequence[Shard]) -> None:
    distinct = sequences.drop_duplicates(["id", "sha256"])
    twice = distinct[distinct.duplicated("id", keep=False)]
    if len(twice):
        name = twice["id"].iloc[0]
        first, second = (shards[index].path for index in twice.loc[twice["id"] == name, "shard"].iloc[:2])
        remedy = (
            "remove the shard that is outdated"
            if first.parent == second.parent
            else "are they different data? name one of the two caches, or ingest one from a folder further up, so "
            "that its sequences have other names"
        )
        raise CacheError(f"sequence {name!r} differs between {first} and {second}: {remedy}")


def _runs(rows: "pd.DataFrame") -> list[tuple[int, int, int]]:
    """Neighboring sequences of a shard as one read each: (row in the shard, start in the cache, length)."""
    runs: list[tuple[int, int, int]] = []
    for row, start, length in zip(rows["row"], rows["start"], rows["length"], strict=True):
        if runs and runs[-1][0] + runs[-1][2] == row and runs[-1][1] + runs[-1][2] == start:
            runs[-1] = (runs[-1][0], runs[-1][1], runs[-1][2] + int(length))
        else:
            runs.append((int(row), int(start), int(length)))
    return runs
