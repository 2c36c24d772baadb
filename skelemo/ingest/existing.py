"""Compares an ingest with its existing cache."""

import os
from collections.abc import Iterable
from dataclasses import replace
from pathlib import Path

from skelemo.cache.corrections import CORRECTIONS
from skelemo.cache.shard import SUFFIX, Header
from skelemo.cache.store import Cache, by_name, open_cache, require_agreement
from skelemo.errors import CacheError
from skelemo.ingest.problems import PROBLEMS
from skelemo.ingest.task import Cached, Task, fingerprint


def existing(out: Path, header: Header) -> Cache | None:
    """The cache in the output folder of an ingest, if there is one.

    Raises `CacheError`: the folder contains something else, or a cache with another layout or other heads.
    """
    if out.exists() and not out.is_dir():
        raise CacheError(f"{out} is a file: expected the folder of a cache as --out")
    names = {path.name for path in out.iterdir() if not path.name.startswith(".")} if out.is_dir() else set()
    if not any(name.endswith(SUFFIX) for name in names):
        if others := names - {PROBLEMS, CORRECTIONS}:
            raise CacheError(f"{out} is not a cache, it has {min(others)!r}: choose another --out")
        return None
    cache = open_cache(out)
    require_agreement(
        (out, cache.layout.name, by_name(cache.heads)),
        ("this ingest", header.layout, by_name(header.heads)),
        "choose another --out",
    )
    return cache


def to_do(cache: Cache | None, tasks: list[Task], header: Header) -> list[Task]:
    """The tasks that are new or changed, with the related sequences in the cache."""
    if cache is None:
        return tasks
    cached = _cached(cache, {task.video for task in tasks})
    tasks = [replace(task, cached=cached[task.video]) for task in tasks]
    return [task for task in tasks if not _has(cache, task, header)]


def _cached(cache: Cache, videos: Iterable[str]) -> dict[str, dict[str, Cached]]:
    """Sequences in the cache by video and id, including those of other videos that could have the same id."""
    found: dict[str, dict[str, Cached]] = {video: {} for video in videos}
    rows = cache.sequences
    for name, video, sha256, shard in zip(rows["id"], rows["video"], rows["sha256"], rows["shard"], strict=True):
        for owner in {video, name, name.rpartition("_")[0]} & found.keys():
            found[owner][name] = Cached(sha256, str(cache.shards[shard].path), video == owner)
    return found


def _has(cache: Cache, task: Task, header: Header) -> bool:
    """Whether the cache has the recording with the same files, labels and settings."""
    fingerprints = cache.fingerprints.get(task.recording.source)
    if not fingerprints:
        return False
    hashes = {name: sequence.sha256 for name, sequence in task.cached.items() if sequence.own}
    if archive := task.recording.archive:
        return fingerprint(task, header, archive.size, archive.changed, hashes) in fingerprints
    try:
        stats = [os.stat(os.path.join(task.recording.folder, name)) for name in task.recording.files]
    except OSError:
        return False
    size, newest = sum(stat.st_size for stat in stats), max(stat.st_mtime_ns for stat in stats)
    return fingerprint(task, header, size, newest, hashes) in fingerprints
