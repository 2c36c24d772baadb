"""Writes ``problems.csv`` of a cache: every file and recording that no ingest could read.

Problems of files are collected from the shards. Unusable recordings are kept in a hidden file for each source and
partition, which the next ingest of both overwrites.
"""

import csv
import hashlib
import os
from collections.abc import Iterable
from contextlib import suppress
from pathlib import Path

from skelemo.atomic import finished
from skelemo.cache.shard import open_shard
from skelemo.cache.store import shards_in
from skelemo.errors import CacheError
from skelemo.ingest.partition import Partition
from skelemo.openpose.files import Problem, is_openpose
from skelemo.text import cell

PROBLEMS = "problems.csv"
_FAILURES = ".failures-"


def write_problems(out: Path, source: Path, partition: Partition, failures: Iterable[Problem]) -> None:
    """Record the unusable recordings of a source, then write all problems of the cache.

    Concurrent ingests are safe: each checks for changes after writing, so the last one includes everything.
    """
    _write_failures(out, source, partition, failures)
    before = {PROBLEMS} if (out / PROBLEMS).exists() else set()  # an empty cache has no table
    while (now := _origins(out)) != before:
        before = now
        _write(out / PROBLEMS, {(cell(file), cell(reason)) for file, reason in _collected(out)})


def unusable(out: Path) -> dict[str, str]:
    """Unusable recordings, archives and folders, and why."""
    return {file: reason for file, reason in sorted(_failures(out)) if not is_openpose(file)}


def _write_failures(out: Path, source: Path, partition: Partition, failures: Iterable[Problem]) -> None:
    key = hashlib.sha256(os.fsencode(os.path.abspath(source))).hexdigest()[:12]
    mine = out / f"{_FAILURES}{key}-{partition.number}of{partition.of}.csv"
    for other in out.glob(f"{_FAILURES}{key}-*.csv"):
        if other == mine or not other.name.endswith(f"of{partition.of}.csv"):
            other.unlink(missing_ok=True)
    if rows := {(problem.file, problem.reason) for problem in failures}:
        _write(mine, rows)


def _collected(out: Path) -> set[tuple[str, str]]:
    rows: set[tuple[str, str]] = set()
    for shard in shards_in(out):
        with suppress(CacheError):  # damaged, or just replaced by another ingest
            table = open_shard(shard).columns["problems"]
            rows |= set(zip(table["file"], table["reason"], strict=True))
    return rows | _failures(out)


def _failures(out: Path) -> set[tuple[str, str]]:
    """Rows of the hidden files."""
    rows: set[tuple[str, str]] = set()
    for path in out.glob(f"{_FAILURES}*.csv"):
        with suppress(OSError), path.open(newline="", encoding="utf-8") as file:
            rows |= {(row["file"], row["reason"]) for row in csv.DictReader(file)}
    return rows


def _origins(out: Path) -> set[str]:
    """Versions of the inputs of the table: names of shards, which never change, and times of hidden files."""
    found = {path.name for path in shards_in(out)}
    for path in out.glob(f"{_FAILURES}*.csv"):
        with suppress(FileNotFoundError):  # just replaced by another ingest
            found.add(f"{path.name} {path.stat().st_mtime_ns}")
    return found


def _write(path: Path, rows: set[tuple[str, str]]) -> None:
    with finished(path) as partial, partial.open("w", newline="", encoding="utf-8", errors="replace") as file:
        writer = csv.writer(file)
        writer.writerow(["file", "reason"])
        writer.writerows(sorted(rows))
