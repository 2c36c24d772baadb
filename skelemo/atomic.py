"""Atomic writing of files and folders, and locks.

Unfinished files have a temporary name that contains their writer: the machine, the process ID and the process's start
time (IDs are reused). So the remains of a killed process can be recognized and removed.
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
LOCK = ".lock"

#: Permissions of a lock, which other members of a group must be able to take, too.
_LOCK_MODE = 0o664
_OWNER = re.compile(r"([0-9a-f]{12})-([0-9]+)-([0-9]+)")
#: Age at which another machine's unfinished files count as abandoned: no single file takes a day to write.
_OLD_SECONDS = 24 * 3600


def partial_path(path: Path, kind: str = "") -> Path:
    """A temporary name beside ``path``."""
    return path.with_name(f"{PARTIAL}{owner()}-{kind or uuid.uuid4().hex[:16]}")


@contextmanager
def finished(path: Path, kind: str = "") -> Iterator[Path]:
    """Yield a temporary name for a file or folder, which is renamed to ``path`` on success and removed on an error.

    A file replaces any file, a folder only an empty one. An `OSError` names ``path``.
    """
    partial = partial_path(path, kind)
    try:
        yield partial
        os.replace(partial, path)
    except OSError as error:
        if error.errno is not None and (error.filename is None or PARTIAL in str(error.filename)):
            error.filename, error.filename2 = str(path), None
        raise
    finally:
        if partial.is_dir():
            shutil.rmtree(partial, ignore_errors=True)
        else:
            with suppress(OSError):
                partial.unlink(missing_ok=True)


@contextmanager
def locked(folder: Path, patience: float = 600) -> Iterator[None]:
    """Lock a folder while changing it; the system releases the lock of a process that dies.

    Raises `OSError`: another process has held the lock for ``patience`` seconds, or the folder cannot be written.
    """
    try:
        with FileLock(folder / LOCK, timeout=patience, mode=_LOCK_MODE):
            yield
    except Timeout:
        reason = f"locked by another process for {patience:g} s: try again when it has ended"
        raise TimeoutError(None, reason, str(folder)) from None


@contextmanager
def claimed(folder: Path) -> Iterator[None]:
    """Lock a folder for this process; create it if necessary, and remove it if it stays empty.

    Raises `ConfigError`: another process has the lock, or ``folder`` is a file.
    """
    try:
        folder.mkdir(parents=True, exist_ok=True)
    except FileExistsError:
        raise ConfigError(f"{folder} is a file: choose a folder") from None
    try:
        with _held(folder / LOCK, folder):
            yield
    finally:
        with suppress(OSError):  # not empty, as expected
            folder.rmdir()


@contextmanager
def reserved(path: Path) -> Iterator[None]:
    """Lock the name of a file or folder that does not exist until it is finished.

    Raises `ConfigError`: another process has the lock.
    """
    path.parent.mkdir(parents=True, exist_ok=True)
    name = hashlib.sha256(os.fsencode(path.name)).hexdigest()[:16]  # short for any name
    with _held(path.with_name(f"{LOCK}-{name}"), path):
        yield


@contextmanager
def _held(file: Path, path: Path) -> Iterator[None]:
    lock = FileLock(file, mode=_LOCK_MODE)
    try:
        lock.acquire(blocking=False)
    except Timeout:
        raise ConfigError(f"{path} is being written by another process: choose another --out, or wait") from None
    try:
        yield
    finally:
        file.unlink(missing_ok=True)
        lock.release()


def owner() -> str:
    """This process for use in file names: machine, process ID and start time."""
    return f"{_machine()}-{os.getpid()}-{_started(os.getpid())}"


def lives(name: str) -> bool:
    """Whether a process named by `owner` is running on this machine."""
    found = _OWNER.fullmatch(name)
    return bool(found and found[1] == _machine() and _lives(int(found[2]), found[3]))


def sweep(folder: Path, kind: str = "") -> int:
    """Remove the unfinished files of killed processes from a folder and return their number.

    Files of another machine are removed after a day.
    """
    swept = 0
    with suppress(OSError):
        for path in list(folder.iterdir()):
            if path.name.startswith(PARTIAL) and path.name.endswith(kind) and _is_abandoned(path):
                with suppress(OSError):
                    if path.is_dir() and not path.is_symlink():
                        shutil.rmtree(path)
                    else:
                        path.unlink()
                    swept += 1
    return swept


def _is_abandoned(path: Path) -> bool:
    if (found := _OWNER.search(path.name)) and found[1] == _machine():
        return not _lives(int(found[2]), found[3])
    try:
        return time.time() - path.lstat().st_mtime > _OLD_SECONDS
    except OSError:
        return False


def _lives(process: int, started: str) -> bool:
    try:
        os.kill(process, 0)
    except ProcessLookupError:
        return False
    except (OSError, OverflowError):
        pass  # another user's process; or an impossible ID
    return _started(process) in (started, "0")


def _started(process: int) -> str:
    """Start time of a process in clock ticks since boot; "0" if unknown."""
    try:
        stat = Path(f"/proc/{process}/stat").read_text()
    except OSError:
        return "0"
    state, *fields = stat.rpartition(")")[2].split()  # fields 3 and up of proc(5); the second may contain spaces
    return fields[18] if state not in "ZX" else "dead"


@cache
def _machine() -> str:
    """A hash of host, boot and PID namespace, within which a process ID is unique."""
    names = [socket.gethostname()]
    with suppress(OSError):
        names.append(Path("/proc/sys/kernel/random/boot_id").read_text())
    with suppress(OSError):
        names.append(os.readlink("/proc/self/ns/pid"))
    return hashlib.sha256("\n".join(names).encode()).hexdigest()[:12]
