"""Files and folders that appear whole or not at all, and the lock of a folder that is changed.

What is being written has a temporary name that tells its writer: the machine, the process and when that was started
(process numbers are used again). So what a killed process has left is recognized and removed.
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
#: The file by which a process holds a folder.
LOCK = ".lock"

_OWNER = re.compile(r"([0-9a-f]{12})-([0-9]+)-([0-9]+)")
#: No single file takes a day to write.
_OLD_SECONDS = 24 * 3600


def partial_path(path: Path, kind: str = "") -> Path:
    """A temporary name beside ``path``."""
    return path.with_name(f"{PARTIAL}{owner()}-{kind or uuid.uuid4().hex[:16]}")


@contextmanager
def finished(path: Path, kind: str = "") -> Iterator[Path]:
    """A temporary name to write a file or folder under, which becomes ``path`` at the end, or is removed on an error.

    A folder replaces an empty one, a file any file. An `OSError` names ``path``.
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
    """One process at a time changes a folder; the system releases the lock of a process that dies.

    Raises
    ------
    OSError
        Another process has had it for ``patience`` seconds, or the folder cannot be written.
    """
    try:
        with FileLock(folder / LOCK, timeout=patience):
            yield
    except Timeout:
        reason = f"another process has been changing this folder for {patience:g} s: try again when it has ended"
        raise TimeoutError(None, reason, str(folder)) from None


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
    try:
        with _held(folder / LOCK, folder):
            yield
    finally:
        with suppress(OSError):  # it holds something, as it should
            folder.rmdir()


@contextmanager
def reserved(path: Path) -> Iterator[None]:
    """Be the one process that makes a file or a folder, which is not there until it is finished.

    Raises
    ------
    ConfigError
        Another process is making it.
    """
    path.parent.mkdir(parents=True, exist_ok=True)
    name = hashlib.sha256(os.fsencode(path.name)).hexdigest()[:16]  # as long for any name
    with _held(path.with_name(f"{LOCK}-{name}"), path):
        yield


@contextmanager
def _held(file: Path, path: Path) -> Iterator[None]:
    """Hold the lock of a path as long as this process lives."""
    lock = FileLock(file)
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
    """Machine, process and its start, as text for names."""
    return f"{_machine()}-{os.getpid()}-{_started(os.getpid())}"


def lives(name: str) -> bool | None:
    """Whether the process that `owner` named still runs; None for one of another machine."""
    found = _OWNER.fullmatch(name)
    return _lives(int(found[2]), found[3]) if found and found[1] == _machine() else None


def sweep(folder: Path, kind: str = "") -> int:
    """Remove what killed processes have left in a folder, all or of a kind, and return how many that were.

    On this machine the system tells which processes live; what another machine writes is left alone for a day.
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
        pass  # another user's, so it lives; or no process can have this number
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
    names = [socket.gethostname()]
    with suppress(OSError):
        names.append(Path("/proc/sys/kernel/random/boot_id").read_text())
    with suppress(OSError):
        names.append(os.readlink("/proc/self/ns/pid"))
    return hashlib.sha256("\n".join(names).encode()).hexdigest()[:12]
