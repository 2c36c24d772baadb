"""Files that are not finished: how they are named, and whether whoever writes them still lives.

A cache may lie on a file system that machines share, and whoever writes may be killed. The name of an unfinished file
says who writes it: the machine, the process, and when that was started, because numbers of processes are used again.
"""

import hashlib
import os
import re
import shutil
import socket
import time
import uuid
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from functools import cache
from pathlib import Path

from skelemo.errors import CacheError

PARTIAL = ".partial-"
LOCK = ".lock"

_OWNER = re.compile(r"([0-9a-f]{12})-([0-9]+)-([0-9]+)")
#: Nobody writes one shard for a day, nor holds a lock for a quarter of an hour.
_OLD_SECONDS = 24 * 3600
_LOCKED_SECONDS = 900


def partial_path(path: Path, kind: str = "") -> Path:
    """A name beside ``path`` for what will be ``path`` when it is finished."""
    return path.with_name(f"{PARTIAL}{owner()}-{kind or uuid.uuid4().hex[:16]}")


@contextmanager
def finished(path: Path) -> Iterator[Path]:
    """A name for a file or folder to write, which becomes ``path`` when all has gone well and otherwise goes away.

    Raises
    ------
    CacheError
        It cannot be written.
    """
    partial = partial_path(path)
    try:
        yield partial
        os.replace(partial, path)
    except OSError as error:
        raise CacheError(f"{path}: cannot be written ({error.strerror or error})") from error
    finally:
        if partial.is_dir():
            shutil.rmtree(partial, ignore_errors=True)
        else:
            with suppress(OSError):
                partial.unlink(missing_ok=True)


def owner() -> str:
    """Machine, process and its start, as text for names."""
    return f"{_machine()}-{os.getpid()}-{_started(os.getpid())}"


def sweep(folder: Path) -> int:
    """Remove what killed processes have left unfinished in a folder, and say how many files that were.

    On this machine it is known who lives; what another machine writes is left alone for a day.
    """
    swept = 0
    for path in _listed(folder):
        if path.name.startswith(PARTIAL) and _is_left_over(path, _OLD_SECONDS):
            with suppress(OSError):
                if path.is_dir() and not path.is_symlink():
                    shutil.rmtree(path)
                else:
                    path.unlink()
                swept += 1
    return swept


@contextmanager
def locked(folder: Path, patience: float = 600) -> Iterator[None]:
    """One process at a time, on whatever machine, to take shards out of a cache.

    A file says who has the lock: locks of the system do not reach over every shared file system.

    Raises
    ------
    CacheError
        Somebody else has had it for ``patience`` seconds, or the folder cannot be written.
    """
    lock, since = folder / LOCK, time.monotonic()
    while not _take(lock):
        if _is_left_over(lock, _LOCKED_SECONDS):
            _break(lock)
        elif time.monotonic() - since > patience:
            raise CacheError(f"{lock}: another process changes this cache; remove the file if none does")
        else:
            time.sleep(0.05)
    try:
        yield
    finally:
        lock.unlink(missing_ok=True)


def _take(lock: Path) -> bool:
    try:
        with lock.open("x") as file:
            file.write(owner())
    except FileExistsError:
        return False
    except OSError as error:
        raise CacheError(f"{lock}: cannot be written ({error.strerror or error})") from error
    return True


def _break(lock: Path) -> None:
    """Take a lock away that is left over. Where somebody else did so just before and has it now, he gets it back."""
    aside = partial_path(lock)
    with suppress(OSError):
        os.replace(lock, aside)
        if not _is_left_over(aside, _LOCKED_SECONDS, aside.read_text()):
            os.link(aside, lock)
    aside.unlink(missing_ok=True)


def _is_left_over(path: Path, seconds: float, said: str = "") -> bool:
    """Whether whoever writes it, by what its name or it says, is known to be dead or has not touched it for long."""
    try:
        said = said or (path.read_text() if path.name == LOCK else path.name)
        age = time.time() - path.lstat().st_mtime
    except OSError:
        return False
    if (found := _OWNER.search(said)) and found[1] == _machine():
        return not _lives(int(found[2]), found[3])
    return age > seconds


def _lives(process: int, started: str) -> bool:
    try:
        os.kill(process, 0)
    except ProcessLookupError:
        return False
    except (OSError, OverflowError):
        pass  # somebody else's, so it lives; or no process can have this number
    return _started(process) in (started, "0")


def _started(process: int) -> str:
    """When a process was started, in ticks since the machine was; "0" where the system does not tell."""
    try:
        stat = Path(f"/proc/{process}/stat").read_text()
    except OSError:
        return "0"
    state, *fields = stat.rpartition(")")[2].split()  # from field 3 of proc(5) on; the second may hold blanks
    return fields[18] if state not in "ZX" else "dead"


@cache
def _machine() -> str:
    """This machine since it was started, and this container of it: where a process's number means one process."""
    said = [socket.gethostname()]
    with suppress(OSError):
        said.append(Path("/proc/sys/kernel/random/boot_id").read_text())
    with suppress(OSError):
        said.append(os.readlink("/proc/self/ns/pid"))
    return hashlib.sha256("\n".join(said).encode()).hexdigest()[:12]


def _listed(folder: Path) -> list[Path]:
    try:
        return list(folder.iterdir())
    except OSError:
        return []
