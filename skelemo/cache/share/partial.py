"""Files that are on their way: continued where they were cut off, and never in two hands."""

import fcntl
import os
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import BinaryIO

from skelemo.atomic import PARTIAL, partial_path


@contextmanager
def partial_file(folder: Path, name: str) -> Iterator[tuple[BinaryIO, Path]]:
    """What there is of a file so far, open to go on with, and where it lies; at the end what is in it stays.

    While another process or thread is at it, or where the file system has no locks to tell, it is a new file of one's
    own, removed at the end.
    """
    path = folder / f"{PARTIAL}{name}"
    file = _alone(path)
    private = file is None
    if file is None:
        path = partial_path(folder / name)
        file = path.open("x+b")
    with file:
        try:
            yield file, path
        finally:
            if private or not file.seek(0, os.SEEK_END):
                path.unlink(missing_ok=True)


def _alone(path: Path) -> BinaryIO | None:
    """The file, locked, or nothing if somebody else has it."""
    while True:
        file = os.fdopen(os.open(path, os.O_RDWR | os.O_CREAT | os.O_NOFOLLOW, 0o666), "r+b")
        try:
            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except OSError:
            file.close()
            return None
        with suppress(FileNotFoundError):
            if os.path.samestat(os.fstat(file.fileno()), path.stat()):
                return file
        file.close()  # whoever had it has just put it in place
