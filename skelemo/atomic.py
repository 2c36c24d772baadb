"""Files and folders that are not finished: how they are named, and whether whoever writes them still lives.

They may lie on a file system that machines share, and whoever writes may be killed. The name of an unfinished file says
who writes it: the machine, the process, and when that was started, because numbers of processes are used again.
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

from filelock import FileLock, Timeout

from skelemo.errors import ConfigError

PARTIAL = ".partial-"
#: The file by which a process holds a folder; see `claimed`.
LOCK = ".lock"

_OWNER = re.compile(r"([0-9a-f]{12})-([0-9]+)-([0-9]+)")
#: Nobody writes one file for a day.
_OLD_SECONDS = 24 * 3600


def partial_path(path: Path, kind: str = "") -> Path:
    """A name beside ``path`` for what will be ``path`` when it is finished."""
    return path.with_name(f"{PARTIAL}{owner()}-{kind or uuid.uuid4().hex[:16]}")


@contextmanager
def finished(path: Path, kind: str = "") -> Iterator[Path]:
    """A name for a file or folder to write, which becomes ``path`` when all has gone well and otherwise goes away.

    A folder takes the place of an empty one, a file of any.
    """
    partial = partial_path(path, kind)
    try:
        yield partial
        os.replace(partial, path)
    finally:
        if partial.is_dir():
            shutil.rmtree(partial, ignore_errors=True)
        else:
            with suppress(OSError):
                partial.unlink(missing_ok=True)


@contextmanager
def claimed(folder: Path) -> Iterator[None]:
    """Hold a folder that only one process may write, made where it is missing and removed if it stays empty.

    The claim ends with the process, however that ends.

    Raises
    ------
    ConfigError
        Another process holds it.
    """
    try:
        folder.mkdir(parents=True, exist_ok=True)
    except FileExistsError:
        raise ConfigError(f"{folder} is a file: choose a folder") from None
    path = folder / LOCK
    lock = FileLock(path)
    try:
        lock.acquire(blocking=False)
    except Timeout:
        raise ConfigError(f"{folder} is being written by another process: choose another --out, or wait") from None
    try:
        yield
    finally:
        path.unlink(missing_ok=True)
        lock.release()
        with suppress(OSError):  # it holds something, as it should
            folder.rmdir()


def owner() -> str:
    """Machine, process and its start, as text for names."""
    return f"{_machine()}-{os.getpid()}-{_started(os.getpid())}"


def sweep(folder: Path, kind: str = "") -> int:
    """Remove what killed processes have left unfinished in a folder, all or of a kind, and say how many that were.

    On this machine it is known who lives; what another machine writes is left alone for a day.
    """
    swept = 0
    for path in _listed(folder):
        if path.name.startswith(PARTIAL) and path.name.endswith(kind) and is_left_over(path, path.name, _OLD_SECONDS):
            with suppress(OSError):
                if path.is_dir() and not path.is_symlink():
                    shutil.rmtree(path)
                else:
                    path.unlink()
                swept += 1
    return swept


def is_left_over(path: Path, said: str, seconds: float) -> bool:
    """Whether whoever writes it, by what is ``said`` of its `owner`, is dead or has not touched it for so long."""
    try:
        touched = path.lstat().st_mtime
    except OSError:
        return False
    return is_abandoned(said, touched, seconds)


def is_abandoned(said: str, touched: float, seconds: float = _OLD_SECONDS) -> bool:
    """`is_left_over`, of what may lie anywhere and was last touched then, in seconds since 1970."""
    if (found := _OWNER.search(said)) and found[1] == _machine():
        return not _lives(int(found[2]), found[3])
    return time.time() - touched > seconds


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
