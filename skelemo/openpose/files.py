"""OpenPose's files: recognizing their names, reading their bytes, and what is known of a video beside them."""

import errno
import json
import math
import os
from collections.abc import Callable, Sequence
from contextlib import suppress
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np

from skelemo.errors import NOT_OF_THE_FILE
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

#: The file that `skelemo extract` leaves in each recording's folder.
FACTS = "skelemo-video.json"
#: It is a screen long.
_MOST_FACTS = 1 << 16
_WIDEST = 1_000_000

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


@dataclass(frozen=True)
class VideoFacts:
    """Width and height of the picture in pixels and frames per second; 0 for unknown."""

    width: int = 0
    height: int = 0
    fps: float = 0.0


NO_FACTS = VideoFacts()


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


def parse_facts(data: bytes) -> VideoFacts:
    """What a file tells; nothing where it is damaged or says what no video has."""
    told: Any = {}
    with suppress(ValueError, RecursionError):
        told = json.loads(data[:_MOST_FACTS])
    if not isinstance(told, dict):
        return NO_FACTS
    size = told.get("width"), told.get("height")
    width, height = (value if type(value) is int and 0 < value < _WIDEST else 0 for value in size)
    fps: Any = told.get("fps")
    known = type(fps) in (int, float) and math.isfinite(fps) and 0 < fps < _WIDEST
    return VideoFacts(*((width, height) if width and height else (0, 0)), float(fps) if known else 0.0)


def read_facts(path: str) -> VideoFacts:
    """What a file tells; nothing where it cannot be read."""
    with suppress(OSError), open(path, "rb") as file:
        return parse_facts(file.read(_MOST_FACTS))
    return NO_FACTS
