"""Every shard of a cache read from end to end: which are damaged, and what of them can still be told."""

import json
import os
import re
import subprocess
import sys
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

#: A name that a shard's content gives it.
NAME = re.compile(rf"[0-9a-f]{{20}}{re.escape(SUFFIX)}")

#: Errors that stand in one line.
_MOST_ERRORS = 8

#: Seconds for a child process to look into a damaged shard.
_MOST_SECONDS = 10

#: Told as shards are checked: bytes so far, and of how many.
Report = Callable[[int, int], None]


@dataclass(frozen=True)
class Finding:
    """What is wrong with a shard.

    Parameters
    ----------
    reason : why nothing of it can be trusted, empty where only some sequences are damaged.
    damaged : ids of the damaged sequences, or of all that it is known to have held.
    recordings : sources of the recordings that these come from, and of those without a sequence if the shard as a
        whole is damaged; None where the file no longer tells.
    """

    path: Path
    reason: str
    damaged: tuple[str, ...]
    recordings: tuple[str, ...] | None


class UncheckedError(UnreadableError):
    """Shards cannot be opened, which says nothing of what is in them.

    Parameters
    ----------
    errors : one for each of them.
    findings : what is wrong with the others.
    """

    def __init__(self, errors: list[UnreadableError], findings: list[Finding]) -> None:
        more = [f"{len(errors) - _MOST_ERRORS:,} more cannot be opened"] if len(errors) > _MOST_ERRORS else []
        super().__init__("; ".join([*map(str, errors[:_MOST_ERRORS]), *more]))
        self.findings = findings


def verify(folder: Path, *, jobs: int = 1, report: Report = lambda *_: None) -> list[Finding]:
    """Read every byte of a cache that means anything, and say what is damaged; nothing is changed.

    Parameters
    ----------
    jobs : threads that read, a shard each.

    Raises
    ------
    CacheError
        There is no cache. `UncheckedError`: shards cannot be opened; all the others are checked.
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
    """What is wrong with one shard; nothing if it is whole or gone. Raises `UnreadableError` if it cannot be opened."""
    try:
        finding = _examined(path)
    except UnreadableError:
        if not is_gone(path):
            raise
        return None
    return None if is_gone(path) else finding


def quarantine(path: Path) -> Path:
    """Rename a damaged shard so that it no longer belongs to its cache; returns its new path."""
    aside = path.with_name(f"{path.name}.damaged")
    path.replace(aside)
    return aside


def is_gone(path: Path) -> bool:
    """Whether a shard is there no longer: whoever ingests meanwhile has put another in its place."""
    try:
        path.lstat()
    except OSError as error:
        return isinstance(error, FileNotFoundError)  # any other says nothing
    return False


def remains(path: Path) -> tuple[list[str], list[str] | None]:
    """Sequences, and sources of recordings, that a damaged shard still names; None where it does not.

    A child process looks, briefly: structures that are damaged may crash HDF5, or keep it busy.
    """
    code = "import sys; from skelemo.cache.verify import print_remains; print_remains(sys.argv[1])"
    try:
        done = subprocess.run([sys.executable, "-c", code, str(path)], capture_output=True, timeout=_MOST_SECONDS)
        found = json.loads(done.stdout or b"{}")
    except (subprocess.TimeoutExpired, ValueError):
        found = {}
    return found.get("sequences", []), found.get("recordings")


def print_remains(path: str) -> None:
    """What `remains` reads in its child process: names in tables whose checksums match."""
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
