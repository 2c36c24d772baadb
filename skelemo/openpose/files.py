"""OpenPose's files: recognizing their names, and reading their bytes."""

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

#: Larger files are not frames: a hundred people with face and hands take half a megabyte.
MAX_BYTES = 16 * 2**20

#: Endings of video files in lower case, for `skelemo extract`.
VIDEO_ENDINGS = (
    *(".mp4", ".avi", ".mov", ".mkv", ".webm", ".m4v", ".mpg", ".mpeg"),
    *(".wmv", ".flv", ".mts", ".m2ts", ".3gp", ".ogv"),
)

#: Reads a recording's file by index: its bytes and modification time in nanoseconds; raises `OSError`.
Contents = Callable[[int], tuple[bytes, int]]

#: System errors of a failing disk or network, or of exhausted resources: not the file's fault.
_LOST = NOT_OF_THE_FILE | {errno.EIO}

_READ = os.O_RDONLY | getattr(os, "O_BINARY", 0)


@dataclass(frozen=True)
class Problem:
    """A file that could not be read as a frame, and the reason."""

    file: str  # relative to the ingest source
    reason: str  # continues a sentence that starts with the name: "is empty"
    kept: bool = False  # the rest of the file is used


@dataclass(frozen=True, eq=False)
class Folder:
    """A folder with OpenPose files, on disk or in an archive."""

    path: str  # absolute
    place: str  # relative to the source, with forward slashes; "" for the source itself
    files: list[str]
    archive: "Archive | None" = None
    places: np.ndarray | None = None  # [files] positions in the archive
    simulated: bool = False  # the marker of `skelemo synth` lies in it, or above it within the source
    video: Group | None = None  # the frames of a whole video, if the archive is one JSON file
    facts: VideoFacts = NO_FACTS  # of its video


def is_openpose(name: str) -> bool:
    """Whether a name is one of OpenPose's; fast, for millions of names."""
    return name.endswith(".json") and "_keypoints" in name


def is_video(name: str) -> bool:
    """Whether a file is a video, by its name."""
    return name.lower().endswith(VIDEO_ENDINGS)


def may_be_openpose(name: str) -> bool:
    """Whether a file with another name may be OpenPose's, depending on its content."""
    return name.lower().endswith((".json", ".json.gz", ".jsonl", ".ndjson"))


def in_folder(folder: str, names: Sequence[str]) -> Contents:
    """The contents of files in a folder."""
    start = os.path.join(folder, "")
    return lambda index: read_file(start + names[index])


def is_lost(error: OSError, folder: str) -> bool:
    """Whether an error concerns the storage rather than this file."""
    return error.errno in _LOST or (error.errno == errno.ENOENT and not os.path.isdir(folder))


def read_file(path: str) -> tuple[bytes, int]:
    """Read a file: its bytes and modification time in nanoseconds.

    By system calls: `open` makes three more and takes twice as long.

    Raises `OSError`: it cannot be read, or is larger than `MAX_BYTES`.
    """
    descriptor = os.open(path, _READ)
    try:
        status = os.fstat(descriptor)
        if status.st_size > MAX_BYTES:
            raise OSError(errno.EFBIG, f"has {status.st_size:,} bytes, far more than a frame")
        data = os.read(descriptor, status.st_size)
        while len(data) < status.st_size and (more := os.read(descriptor, status.st_size - len(data))):
            data += more  # network file systems may return less than requested
        if path.endswith((".gz", ".GZ")) and len(data := unpacked(data, MAX_BYTES)) > MAX_BYTES:
            raise OSError(errno.EFBIG, f"unpacks to more than {MAX_BYTES:,} bytes, far more than a frame")
        return data, status.st_mtime_ns
    finally:
        os.close(descriptor)
