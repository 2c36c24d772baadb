"""OpenPose's files on disk: which a folder holds, and their bytes."""

import errno
import os
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import NamedTuple

from skelemo.errors import InputError

#: A hundred people with face and hands make half a megabyte. A file beyond this is no frame, and is not read.
MAX_BYTES = 16 * 2**20

#: Bytes of a recording's file by its position, and when they were last changed, nanoseconds; or an `OSError`.
Contents = Callable[[int], tuple[bytes, int]]

_READ = os.O_RDONLY | getattr(os, "O_BINARY", 0)


class Folder(NamedTuple):
    """A folder that holds files of OpenPose's."""

    path: str  # absolute
    place: str  # relative to the source, with forward slashes; "" for the source itself
    files: list[str]


class Walk:
    """All folders from a source downwards that hold OpenPose files. Iterate over it once; the counts are right then.

    Entries are listed, not looked up one by one. Hidden ones (``.git``, macOS's ``._name``) are passed over, as they
    are by OpenPose. The source may come from anywhere, so nothing outside it is read: links to folders are not
    followed, because what lies inside is met in its own place, and links to files only where they stay inside.
    """

    def __init__(self, source: Path) -> None:
        self.source = os.path.abspath(source)
        self.folders = 0
        self.other_json = 0
        self.passed_over: list[str] = []  # links that lead out, and folders that cannot be listed

    def __iter__(self) -> Iterator[Folder]:
        waiting = [(self.source, "")]
        while waiting:
            path, place = waiting.pop()
            self.folders += 1
            try:
                files, folders = self._list(path)
            except OSError as error:
                if not place:
                    raise InputError(f"{path}: cannot be listed: {error.strerror}") from error
                self.passed_over.append(path)
                continue
            waiting += [(os.path.join(path, name), f"{place}/{name}" if place else name) for name in folders]
            if files:
                yield Folder(path, place, files)

    def _list(self, path: str) -> tuple[list[str], list[str]]:
        files, folders = [], []
        with os.scandir(path) as entries:
            for entry in entries:
                name = entry.name
                if name.startswith("."):
                    continue
                if entry.is_dir(follow_symlinks=False):
                    folders.append(name)
                elif entry.is_file(follow_symlinks=False) or (entry.is_symlink() and self._may_follow(entry)):
                    if is_openpose(name):
                        files.append(name)
                    else:
                        self.other_json += name.endswith(".json")
        return files, folders

    def _may_follow(self, link: os.DirEntry[str]) -> bool:
        """Whether a link leads to a file of the source's own. One that leads out of it is noted."""
        target = os.path.realpath(link.path)
        if os.path.join(target, "").startswith(os.path.join(os.path.realpath(self.source), "")):
            return os.path.isfile(target)
        if is_openpose(link.name) or os.path.isdir(target):
            self.passed_over.append(link.path)
        return False


def is_openpose(name: str) -> bool:
    """Whether a name may be one of OpenPose's, by a look that is quick enough for a million of them."""
    return name.endswith(".json") and "_keypoints" in name


def in_folder(folder: str, names: Sequence[str]) -> Contents:
    """The contents of files that lie in a folder."""
    start = os.path.join(folder, "")
    return lambda index: read_file(start + names[index])


def read_file(path: str) -> tuple[bytes, int]:
    """A file's bytes, and when it was last changed, in nanoseconds.

    Straight from the system: `open` would ask it for three things more, and take twice as long.

    Raises
    ------
    OSError
        It cannot be read, or is larger than `MAX_BYTES`.
    """
    descriptor = os.open(path, _READ)
    try:
        status = os.fstat(descriptor)
        if status.st_size > MAX_BYTES:
            raise OSError(errno.EFBIG, f"has {status.st_size:,} bytes, far more than a frame")
        data = os.read(descriptor, status.st_size)
        while len(data) < status.st_size and (more := os.read(descriptor, status.st_size - len(data))):
            data += more  # a network's file system may hand out less than was asked for
        return data, status.st_mtime_ns
    finally:
        os.close(descriptor)
