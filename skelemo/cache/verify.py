"""Verifies the shards of a cache, and finds what is damaged."""

import json
import math
import os
import re
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor, as_completed
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path

from skelemo import skeleton
from skelemo.cache import hdf5
from skelemo.cache.reading import damaged_sequences
from skelemo.cache.shard import SUFFIX, open_shard, read_attributes, to_header
from skelemo.cache.store import shard_files
from skelemo.cache.tables import read_table, to_columns
from skelemo.errors import CacheError, UnreadableError

#: A file name derived from a shard's content.
NAME = re.compile(rf"[0-9a-f]{{20}}{re.escape(SUFFIX)}")

#: Errors listed in one line.
_MOST_ERRORS = 8

#: Limits of the child process that reads a damaged shard, seconds.
_MAX_CPU_TIME, _TIMEOUT = 0.5, 10

#: Called as shards are checked: bytes so far, and the total.
Report = Callable[[int, int], None]


@dataclass(frozen=True)
class Finding:
    """Damage of a shard."""

    path: Path
    reason: str  # why the whole shard is unusable; empty if only some sequences are damaged
    damaged: tuple[str, ...]  # ids of sequences: the damaged ones, or all that an unusable shard lists
    recordings: tuple[str, ...] | None  # sources of the affected recordings; None if they cannot be read


class UncheckedError(UnreadableError):
    """Some shards could not be checked, one per error; ``findings`` is the damage of the others."""

    def __init__(self, errors: list[UnreadableError], findings: list[Finding]) -> None:
        more = [f"{len(errors) - _MOST_ERRORS:,} more cannot be opened"] if len(errors) > _MOST_ERRORS else []
        super().__init__("; ".join([*map(str, errors[:_MOST_ERRORS]), *more]))
        self.findings = findings


def verify(folder: Path, *, jobs: int = 1, report: Report = lambda *_: None) -> list[Finding]:
    """Verify the entire content of a cache, with ``jobs`` threads; nothing is changed.

    Raises `CacheError`: there is no cache; `UncheckedError`: some shards cannot be opened, all others were checked.
    """
    paths = shard_files(folder)
    sizes = {path: _size(path) for path in paths}
    found: dict[Path, Finding | None] = {}
    unread: dict[Path, UnreadableError] = {}
    done, total = 0, sum(sizes.values())
    report(0, total)
    with thread_pool(jobs) as pool:
        checks = {pool.submit(check, path): path for path in paths}
        for future in as_completed(checks):
            path = checks[future]
            try:
                found[path] = future.result()
            except UnreadableError as error:
                unread[path] = error
            done += sizes[path]
            report(done, total)
    findings = [finding for path in paths if (finding := found.get(path))]
    if unread:
        raise UncheckedError([unread[path] for path in paths if path in unread], findings)
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


def salvage(path: Path) -> tuple[list[str], list[str] | None]:
    """Ids of sequences, and sources of recordings or None, that can be read from a damaged shard.

    A child process with a timeout reads them, because damaged structures may crash or hang HDF5.
    """
    code = "import sys; from skelemo.cache.verify import print_salvaged; print_salvaged(sys.argv[1])"
    try:
        done = subprocess.run([sys.executable, "-c", code, str(path)], capture_output=True, timeout=_TIMEOUT)
        found = json.loads(done.stdout or b"{}")
    except (subprocess.TimeoutExpired, ValueError):
        found = {}
    return found.get("sequences", []), found.get("recordings")


def print_salvaged(path: str) -> None:
    """Print the names in tables whose checksums match; run in the child process of `salvage`."""
    with suppress(ImportError):  # not on Windows
        import resource

        most = math.ceil(time.process_time() + _MAX_CPU_TIME)
        resource.setrlimit(resource.RLIMIT_CPU, (most, most + 1))
    found = {}
    layout = skeleton.layout(skeleton.DEFAULT_LAYOUT)
    for table, column in (("sequences", "id"), ("recordings", "source")):
        with suppress(CacheError), hdf5.opened(Path(path), check=False) as file:
            header = to_header(read_attributes(file))
            layout = skeleton.layout(header.layout)
            found[table] = to_columns(read_table(file, table, layout, header.heads))[column]
    print(json.dumps(found))


def _examine(path: Path) -> Finding | None:
    try:
        shard = open_shard(path)
    except UnreadableError:
        raise
    except CacheError as error:
        sequences, recordings = salvage(path)
        found = None if recordings is None else tuple(recordings)
        return Finding(path, hdf5.reason(error, path), tuple(sequences), found)
    if NAME.fullmatch(path.name) and path.name != shard.name:
        return Finding(path, f"its content belongs to {shard.name}", (), None)
    damaged = damaged_sequences(shard)
    if not damaged:
        return None
    videos = shard.sequences["video"][shard.sequences["id"].isin(damaged)]
    sources = shard.recordings["source"][shard.recordings["video"].isin(videos)]
    return Finding(path, "", tuple(damaged), tuple(sources) if len(sources) else None)


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
