"""What an existing cache already has of an ingest."""

import os
from collections.abc import Iterable
from dataclasses import replace
from pathlib import Path

from skelemo.cache.corrections import CORRECTIONS
from skelemo.cache.shard import SUFFIX, Header
from skelemo.cache.store import Cache, describe_head, open_cache
from skelemo.errors import CacheError
from skelemo.ingest.problems import PROBLEMS
from skelemo.ingest.task import Known, Task, fingerprint


def existing(out: Path, header: Header) -> Cache | None:
    """The cache in the output folder of an ingest, if there is one.

    Raises `CacheError`: the folder contains something else, or a cache with another layout or other heads.
    """
    if out.exists() and not out.is_dir():
        raise CacheError(f"{out} is a file; --out names the folder of a cache")
    inside = {path.name for path in out.iterdir() if not path.name.startswith(".")} if out.is_dir() else set()
    if not any(name.endswith(SUFFIX) for name in inside):
        if inside - {PROBLEMS, CORRECTIONS}:
            raise CacheError(
                f"{out} holds {min(inside - {PROBLEMS, CORRECTIONS})!r} and no cache: choose another --out"
            )
        return None
    cache = open_cache(out)
    if header.layout != cache.layout.name:
        raise CacheError(
            f"{out} holds a cache with the layout {cache.layout.name}; this ingest has {header.layout}: "
            "choose another --out"
        )
    known = {head.name: head for head in cache.heads}
    for head in header.heads:
        if known.get(head.name, head) != head:
            raise CacheError(
                f"{out} holds a cache whose {head.name} is {describe_head(known[head.name])}; this ingest has "
                f"{describe_head(head)}: choose another --out"
            )
    return cache


def to_do(cache: Cache | None, tasks: list[Task], header: Header) -> list[Task]:
    """The tasks that are new or changed, with the sequences in the cache that concern them."""
    if cache is None:
        return tasks
    known, nothing = _known(cache, {task.video for task in tasks}), dict[str, Known]()
    tasks = [replace(task, known=known.get(task.video, nothing)) for task in tasks]
    return [task for task in tasks if not _has(cache, task, header)]


def _known(cache: Cache, videos: Iterable[str]) -> dict[str, dict[str, Known]]:
    """By video, the sequences in the cache that belong to it or could have the same id."""
    known: dict[str, dict[str, Known]] = {video: {} for video in videos}
    rows = cache.sequences
    for name, video, sha256, shard in zip(rows["id"], rows["video"], rows["sha256"], rows["shard"], strict=True):
        for owner in {video, name, name.rpartition("_")[0]} & known.keys():
            known[owner][name] = Known(sha256, str(cache.shards[shard].path), video == owner)
    return known


def _has(cache: Cache, task: Task, header: Header) -> bool:
    """Whether the cache has the recording with the same files, labels and settings."""
    written = cache.fingerprints.get(task.recording.source)
    if not written:
        return False
    made = {name: one.sha256 for name, one in task.known.items() if one.own}
    if archive := task.recording.archive:
        return fingerprint(task, header, archive.size, archive.changed, made) in written
    try:
        found = [os.stat(os.path.join(task.recording.folder, name)) for name in task.recording.files]
    except OSError:
        return False
    size, newest = sum(stat.st_size for stat in found), max(stat.st_mtime_ns for stat in found)
    return fingerprint(task, header, size, newest, made) in written
