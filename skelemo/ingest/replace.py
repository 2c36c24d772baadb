"""Removes sequences from a cache: outdated ones, and contradictions with another ingest.

Shards never change: the remaining sequences are written as a new shard before the old one is removed. If the process is
killed, the cache stays readable, and the next ingest adds what is missing.
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

#: Selects sequences of a shard to remove, bool [S].
Choice = Callable[["pd.DataFrame"], np.ndarray]


def publish(out: Path, staged: Collection[Staged]) -> list[Path]:
    """Remove outdated sequences from the cache, then move the staged shards into it."""
    valid = {video: ids for shard in staged for video, ids in shard.valid.items()}

    def outdated(rows: "pd.DataFrame") -> np.ndarray:
        listed = zip(rows["id"], rows["video"], rows["sha256"], strict=True)
        return np.array([video in valid and valid[video].get(name) != sha256 for name, video, sha256 in listed], bool)

    with locked(out):
        _remove(out, shards_in(out), outdated)
        published = [out / shard.path.name for shard in staged]
        for shard, path in zip(staged, published, strict=True):
            os.replace(shard.path, path)
    return published


def withdraw_contradictions(out: Path, mine: Collection[Path], before: Collection[str]) -> list[Problem]:
    """Remove from this ingest's shards the sequences that a concurrent ingest has written with other content.

    Otherwise the cache could not be opened. Each removed sequence is a problem. Under the lock, only one of the ingests
    removes a sequence.
    """
    names = {path.name for path in mine}
    if not mine or not _others(out, names, before):
        return []
    others: dict[str, tuple[str, Path]] = {}

    def contradicted(rows: "pd.DataFrame") -> np.ndarray:
        listed = zip(rows["id"], rows["sha256"], strict=True)
        return np.array([others.get(name, (sha256,))[0] != sha256 for name, sha256 in listed], bool)

    with locked(out):
        for path in _others(out, names, before):
            rows = open_shard(path).sequences
            others |= {name: (sha256, path) for name, sha256 in zip(rows["id"], rows["sha256"], strict=True)}
        removed = _remove(out, [path for path in mine if path.exists()], contradicted)
    return [
        Problem(name, f"removed, because a concurrent ingest wrote other content of this sequence to {others[name][1]}")
        for name in removed
    ]


def _others(out: Path, mine: Collection[str], before: Collection[str]) -> list[Path]:
    return [path for path in shards_in(out) if path.name not in mine and path.name not in before]


def _remove(out: Path, shards: Iterable[Path], choose: Choice) -> list[str]:
    """Remove sequences from shards; returns their ids."""
    removed: list[str] = []
    for path in shards:
        shard = open_shard(path)
        chosen = choose(shard.sequences) if len(shard.sequences) else np.zeros(0, bool)
        if chosen.any():
            removed += shard.sequences["id"][chosen].tolist()
            if path not in extract(shard, ~chosen, out, complete):
                path.unlink()
    return removed
