"""Sequences taken out of a cache: what is outdated, and what contradicts another ingest's.

A shard is never changed. What is left of it is written as a new shard, then it is removed: killed at any moment, the
cache can be read, and what is missing is ingested by the next ingest.
"""

import os
from collections.abc import Callable, Collection, Iterable
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from skelemo.atomic import locked
from skelemo.cache.shard import open_shard
from skelemo.cache.shard_writer import complete, extract
from skelemo.cache.store import shards_in
from skelemo.ingest.result import Staged
from skelemo.openpose.files import Problem

if TYPE_CHECKING:
    import pandas as pd

#: Of a shard's sequences, those to take out: bool [S].
Choice = Callable[["pd.DataFrame"], np.ndarray]


def put_in_place(out: Path, staged: Collection[Staged]) -> list[Path]:
    """Take outdated sequences out of the cache, then let finished shards that replace them be seen."""
    valid = {video: ids for one in staged for video, ids in one.valid.items()}

    def outdated(rows: "pd.DataFrame") -> np.ndarray:
        listed = zip(rows["id"], rows["video"], rows["sha256"], strict=True)
        return np.array([video in valid and valid[video].get(name) != sha256 for name, video, sha256 in listed], bool)

    with locked(out):
        _take_out(out, shards_in(out), outdated)
        placed = [out / one.path.name for one in staged]
        for one, path in zip(staged, placed, strict=True):
            os.replace(one.path, path)
    return placed


def withdraw_contradictions(out: Path, mine: Collection[Path], before: Collection[str]) -> list[Problem]:
    """Take out of this ingest's shards what another, at work at the same time, has put there with other content.

    Without it the cache could not be opened. Each sequence that is taken out is a problem. One ingest after the other
    does so, for what one takes out is gone when the other looks for it.
    """
    names = {path.name for path in mine}
    if not mine or not _others(out, names, before):
        return []
    theirs: dict[str, tuple[str, Path]] = {}

    def contradicted(rows: "pd.DataFrame") -> np.ndarray:
        listed = zip(rows["id"], rows["sha256"], strict=True)
        return np.array([theirs.get(name, (sha256,))[0] != sha256 for name, sha256 in listed], bool)

    with locked(out):
        for path in _others(out, names, before):
            rows = open_shard(path).sequences
            theirs |= {name: (sha256, path) for name, sha256 in zip(rows["id"], rows["sha256"], strict=True)}
        gone = _take_out(out, [path for path in mine if path.exists()], contradicted)
    return [
        Problem(name, f"another ingest has written this sequence with other content, into {theirs[name][1]}: taken out")
        for name in gone
    ]


def _others(out: Path, mine: Collection[str], before: Collection[str]) -> list[Path]:
    return [path for path in shards_in(out) if path.name not in mine and path.name not in before]


def _take_out(out: Path, shards: Iterable[Path], choose: Choice) -> list[str]:
    """Write shards again without some of their sequences, and say which these were."""
    gone: list[str] = []
    for path in shards:
        shard = open_shard(path)
        chosen = choose(shard.sequences) if len(shard.sequences) else np.zeros(0, bool)
        if chosen.any():
            gone += shard.sequences["id"][chosen].tolist()
            if path not in extract(shard, ~chosen, out, complete):
                path.unlink()
    return gone
