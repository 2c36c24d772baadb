"""Verifies the shards of a cache, and finds what is damaged."""

import os
import re
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from skelemo.cache import hdf5
from skelemo.cache.reading import damaged_sequences
from skelemo.cache.shard import SUFFIX, open_shard
from skelemo.cache.store import shard_files
from skelemo.errors import CacheError, UnreadableError

#: A file name derived from a shard's content.
NAME = re.compile(rf"[0-9a-f]{{20}}{re.escape(SUFFIX)}")

#: Called with the bytes or frames processed so far, and the total.
Report = Callable[[int, int], None]


@dataclass(frozen=True)
class Finding:
    """Damage of a shard."""

    path: Path
    reason: str  # why the whole shard is unusable; empty if only some sequences are damaged
    sequences: tuple[str, ...] = ()  # ids of the damaged ones; empty if unknown
    recordings: tuple[str, ...] = ()  # their sources; empty if unknown


def verify(folder: Path, *, jobs: int = 1, report: Report = lambda *_: None) -> list[Finding]:
    """Verify the entire content of a cache, with ``jobs`` threads; nothing is changed.

    Raises `CacheError`: there is no cache; `UnreadableError`: a shard cannot be opened.
    """
    paths = shard_files(folder)
    sizes = [_size(path) for path in paths]
    findings: list[Finding] = []
    done, total = 0, sum(sizes)
    report(done, total)
    with thread_pool(jobs) as pool:
        for finding, size in zip(pool.map(check, paths), sizes, strict=True):
            findings += [finding] if finding else []
            report(done := done + size, total)
    return findings


def check(path: Path) -> Finding | None:
    """Damage of one shard; None if it is intact or was removed. Raises `UnreadableError`: it cannot be opened."""
    try:
        finding = _examine(path)
    except UnreadableError:
        if not _is_removed(path):
            raise
        return None
    return None if _is_removed(path) else finding


def quarantine(path: Path) -> Path:
    """Rename a damaged shard to exclude it from its cache; returns its new path."""
    aside = path.with_name(f"{path.name}.damaged")
    path.replace(aside)
    return aside


def _is_removed(path: Path) -> bool:
    """Whether a concurrent ingest replaced the shard."""
    try:
        path.lstat()
    except OSError as error:
        return isinstance(error, FileNotFoundError)
    return False


def _examine(path: Path) -> Finding | None:
    try:
        shard = open_shard(path)
    except UnreadableError:
        raise
    except CacheError as error:
        return Finding(path, hdf5.reason(error, path))
    if NAME.fullmatch(path.name) and path.name != shard.name:
        return Finding(path, f"its content belongs to {shard.name}")
    damaged = damaged_sequences(shard)
    if not damaged:
        return None
    videos = shard.sequences["video"][shard.sequences["id"].isin(damaged)]
    sources = shard.recordings["source"][shard.recordings["video"].isin(videos)]
    return Finding(path, "", tuple(damaged), tuple(sources))


@contextmanager
def thread_pool(jobs: int) -> Iterator[ThreadPoolExecutor]:
    """Threads whose pending tasks are canceled on exit."""
    pool = ThreadPoolExecutor(jobs)
    try:
        yield pool
    finally:
        pool.shutdown(cancel_futures=True)


def _size(path: Path) -> int:
    try:
        return os.path.getsize(path)
    except OSError:
        return 0
