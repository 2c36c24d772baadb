"""OpenPose's files: which names may be theirs, and their bytes."""

import errno
import os
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from skelemo.errors import NOT_OF_THE_FILE
from skelemo.openpose.facts import NO_FACTS, VideoFacts
from skelemo.openpose.names import Group
from skelemo.openpose.sniff import unpacked

if TYPE_CHECKING:
    from skelemo.openpose.archive import Archive

#: A hundred people with face and hands make half a megabyte. A file beyond this is no frame, and is not read.
MAX_BYTES = 16 * 2**20

#: Endings of video files, in lower case: those of `skelemo extract`, which makes OpenPose's files of them.
VIDEO_ENDINGS = (
    *(".mp4", ".avi", ".mov", ".mkv", ".webm", ".m4v", ".mpg", ".mpeg"),
    *(".wmv", ".flv", ".mts", ".m2ts", ".3gp", ".ogv"),
)

#: Bytes of a recording's file by its position, and when they were last changed, nanoseconds; or an `OSError`.
Contents = Callable[[int], tuple[bytes, int]]

#: What the system says when a disk or a network fails, or when it has run out of something: no fault of the file.
_LOST = NOT_OF_THE_FILE | {errno.EIO}

_READ = os.O_RDONLY | getattr(os, "O_BINARY", 0)


@dataclass(frozen=True)
class Problem:
    """A file that could not be read as a frame, and why."""

    file: str  # relative to the ingest source
    reason: str  # goes on from the name: "is empty"
    kept: bool = False  # only a part of the file is lost


@dataclass(frozen=True, eq=False)
class Folder:
    """A folder that holds files of OpenPose's, on the disk or in an archive."""

    path: str  # absolute
    place: str  # relative to the source, with forward slashes; "" for the source itself
    files: list[str]
    archive: "Archive | None" = None
    places: np.ndarray | None = None  # [files] where the bytes of each lie in the archive
    simulated: bool = False  # the mark of `skelemo synth` lies in it, or above it as far as in the source
    video: Group | None = None  # the frames of a whole video in one JSON file, which the archive is then
    facts: VideoFacts = NO_FACTS  # of the video that its files are of


def is_openpose(name: str) -> bool:
    """Whether a name is one of OpenPose's, by a look that is quick enough for a million of them."""
    return name.endswith(".json") and "_keypoints" in name


def is_video(name: str) -> bool:
    """Whether a file is a video, by its name."""
    return name.lower().endswith(VIDEO_ENDINGS)


def may_be_openpose(name: str) -> bool:
    """Whether a file of another name may be OpenPose's: its content tells."""
    return name.lower().endswith((".json", ".json.gz", ".jsonl", ".ndjson"))


def in_folder(folder: str, names: Sequence[str]) -> Contents:
    """The contents of files that lie in a folder."""
    start = os.path.join(folder, "")
    return lambda index: read_file(start + names[index])


def is_lost(error: OSError, folder: str) -> bool:
    """Whether not one file, but what it lies on is the matter: then it says nothing of the frame."""
    return error.errno in _LOST or (error.errno == errno.ENOENT and not os.path.isdir(folder))


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
        if path.endswith((".gz", ".GZ")) and len(data := unpacked(data, MAX_BYTES)) > MAX_BYTES:
            raise OSError(errno.EFBIG, f"unpacks to more than {MAX_BYTES:,} bytes, far more than a frame")
        return data, status.st_mtime_ns
    finally:
        os.close(descriptor)
