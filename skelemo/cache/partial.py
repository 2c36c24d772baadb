"""What of a cache is not finished: its files, whole or not there, and the lock of whoever changes it."""

import os
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

from skelemo import atomic
from skelemo.atomic import is_left_over, owner, partial_path
from skelemo.errors import CacheError

LOCK = ".lock"
#: Nobody holds a lock for a quarter of an hour.
_LOCKED_SECONDS = 900


@contextmanager
def finished(path: Path) -> Iterator[Path]:
    """As `skelemo.atomic.finished`, of a cache.

    Raises
    ------
    CacheError
        It cannot be written.
    """
    try:
        with atomic.finished(path) as partial:
            yield partial
    except OSError as error:
        raise CacheError(f"{path}: cannot be written ({error.strerror or error})") from error


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
        if is_left_over(lock, _said(lock), _LOCKED_SECONDS):
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
        if not is_left_over(aside, _said(aside), _LOCKED_SECONDS):
            os.link(aside, lock)
    aside.unlink(missing_ok=True)


def _said(lock: Path) -> str:
    """Who has a lock, as it says; nobody where it is gone."""
    try:
        return lock.read_text()
    except OSError:
        return ""
