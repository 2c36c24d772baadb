"""Verifies every shard of a cache and names what is damaged."""

import json
import math
import os
import re
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor, as_completed
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path

from skelemo import skeleton
from skelemo.cache import hdf5
from skelemo.cache.shard import SUFFIX, open_shard, read_attributes, to_header
from skelemo.cache.store import shard_files
from skelemo.cache.tables import read_table, to_columns
from skelemo.errors import CacheError, UnreadableError

#: A file name derived from a shard's content.
NAME = re.compile(rf"[0-9a-f]{{20}}{re.escape(SUFFIX)}")

#: Errors listed in one line.
_MOST_ERRORS = 8

#: A child process that reads a damaged shard may compute for so long, in seconds, and wait for the disk so long.
_MOST_COMPUTED, _MOST_SECONDS = 0.5, 10

#: Called as shards are checked: bytes so far, and the total.
Report = Callable[[int, int], None]


@dataclass(frozen=True)
class Finding:
    """Damage of a shard.

    Parameters
    ----------
    reason : why the whole shard is unusable; empty if only some sequences are damaged.
    damaged : ids of the damaged sequences, or of all that the shard still lists.
    recordings : sources of their recordings, and of those without a sequence if the whole shard is damaged; None if
        they can no longer be read.
    """

    path: Path
    reason: str
    damaged: tuple[str, ...]
    recordings: tuple[str, ...] | None


class UncheckedError(UnreadableError):
    """Some shards could not be checked.

    Parameters
    ----------
    errors : one for each of them.
    findings : damage of the others.
    """

    def __init__(self, errors: list[UnreadableError], findings: list[Finding]) -> None:
        more = [f"{len(errors) - _MOST_ERRORS:,} more cannot be opened"] if len(errors) > _MOST_ERRORS else []
        super().__init__("; ".join([*map(str, errors[:_MOST_ERRORS]), *more]))
        self.findings = findings


def verify(folder: Path, *, jobs: int = 1, report: Report = lambda *_: None) -> list[Finding]:
    """Verify all content of a cache; nothing is changed.

    Raises `CacheError`: there is no cache; `UncheckedError`: some shards cannot be opened; all others were checked.

    Parameters
    ----------
    jobs : number of threads.
    """
    paths = shard_files(folder)
    sizes = {path: _size(path) for path in paths}
    found: dict[Path, Finding | None] = {}
    unread: dict[Path, UnreadableError] = {}
    done, total = 0, sum(sizes.values())
    report(0, total)
    for path, checked in _in_threads(paths, jobs):
        try:
            found[path] = checked.result()
        except UnreadableError as error:
            unread[path] = error
        done += sizes[path]
        report(done, total)
    findings = [finding for path in paths if (finding := found.get(path))]
    if unread:
        raise UncheckedError([unread[path] for path in paths if path in unread], findings)
    return findings


def check(path: Path) -> Finding | None:
    """Damage of one shard; None if it is intact or gone. Raises `UnreadableError` if it cannot be opened."""
    try:
        finding = _examined(path)
    except UnreadableError:
        if not is_gone(path):
            raise
        return None
    return None if is_gone(path) else finding


def quarantine(path: Path) -> Path:
    """Rename a damaged shard to exclude it from its cache; returns its new path."""
    aside = path.with_name(f"{path.name}.damaged")
    path.replace(aside)
    return aside


def is_gone(path: Path) -> bool:
    """Whether a shard was removed, because a concurrent ingest replaced it."""
    try:
        path.lstat()
    except OSError as error:
        return isinstance(error, FileNotFoundError)
    return False


def remains(path: Path) -> tuple[list[str], list[str] | None]:
    """Ids of sequences and sources of recordings that can be read from a damaged shard; None if they cannot.

    A child process with a timeout reads them: damaged structures may crash HDF5 or keep it busy.
    """
    code = "import sys; from skelemo.cache.verify import print_remains; print_remains(sys.argv[1])"
    try:
        done = subprocess.run([sys.executable, "-c", code, str(path)], capture_output=True, timeout=_MOST_SECONDS)
        found = json.loads(done.stdout or b"{}")
    except (subprocess.TimeoutExpired, ValueError):
        found = {}
    return found.get("sequences", []), found.get("recordings")


def print_remains(path: str) -> None:
    """Print, in the child process of `remains`, the names in tables whose checksums match."""
    with suppress(ImportError):  # a system that cannot limit it has the timeout alone
        import resource

        most = math.ceil(time.process_time() + _MOST_COMPUTED)
        resource.setrlimit(resource.RLIMIT_CPU, (most, most + 1))
    found = {}
    layout = skeleton.layout(skeleton.DEFAULT_LAYOUT)
    for table, column in (("sequences", "id"), ("recordings", "source")):
        with suppress(CacheError), hdf5.opened(Path(path), check=False) as file:
            header = to_header(read_attributes(file))
            layout = skeleton.layout(header.layout)
            found[table] = to_columns(read_table(file, table, layout, header.heads))[column]
    print(json.dumps(found))


def _examined(path: Path) -> Finding | None:
    try:
        shard = open_shard(path)
    except UnreadableError:
        raise
    except CacheError as error:
        return _whole(path, hdf5.reason(error, path))
    if NAME.fullmatch(path.name) and path.name != shard.name:
        return Finding(path, f"it holds what belongs into {shard.name}", (), None)
    damaged = shard.damaged()
    if not damaged:
        return None
    videos = shard.sequences["video"][shard.sequences["id"].isin(damaged)]
    sources = shard.recordings["source"][shard.recordings["video"].isin(videos)]
    return Finding(path, "", tuple(damaged), tuple(sources) if len(sources) else None)


def _whole(path: Path, reason: str) -> Finding:
    sequences, recordings = remains(path)
    return Finding(path, reason, tuple(sequences), None if recordings is None else tuple(recordings))


def _in_threads(paths: list[Path], jobs: int) -> Iterator[tuple[Path, "Future[Finding | None]"]]:
    pool = ThreadPoolExecutor(jobs)
    try:
        checks = {pool.submit(check, path): path for path in paths}
        for one in as_completed(checks):
            yield checks[one], one
    finally:
        pool.shutdown(cancel_futures=True)


def _size(path: Path) -> int:
    try:
        return os.path.getsize(path)
    except OSError:
        return 0
