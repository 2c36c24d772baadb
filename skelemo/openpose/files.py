"""OpenPose's files: recognizes their names, and reads their bytes and the video information beside them."""

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
from skelemo.openpose.sniff import decompressed

if TYPE_CHECKING:
    from skelemo.openpose.archive import Archive

#: Larger files are not frames: a hundred people with face and hands take half a megabyte.
MAX_BYTES = 16 * 2**20

#: Endings of video files in lower case, for `skelemo extract`.
VIDEO_ENDINGS = (
    *(".mp4", ".avi", ".mov", ".mkv", ".webm", ".m4v", ".mpg", ".mpeg"),
    *(".wmv", ".flv", ".mts", ".m2ts", ".3gp", ".ogv"),
)

#: Video information that `skelemo extract` writes into each recording's folder.
INFO_FILE = "skelemo-video.json"
_MAX_INFO = 1 << 16  # bytes
_MAX_VALUE = 1_000_000  # of width, height and frame rate

#: Reads a recording's file by index: its bytes and modification time in nanoseconds; raises `OSError`.
Contents = Callable[[int], tuple[bytes, int]]

#: System errors of a failing disk or network, or of exhausted resources.
_STORAGE_ERRORS = NOT_OF_THE_FILE | {errno.EIO}

_READ = os.O_RDONLY | getattr(os, "O_BINARY", 0)


@dataclass(frozen=True)
class Problem:
    """A file that could not be read as a frame, and the reason."""

    file: str  # relative to the ingest source
    reason: str  # follows the name in a sentence: "is empty"
    kept: bool = False  # the rest of the file is used


@dataclass(frozen=True)
class VideoInfo:
    """Width and height in pixels, and frames per second; 0 for unknown."""

    width: int = 0
    height: int = 0
    fps: float = 0.0


NO_INFO = VideoInfo()


@dataclass(frozen=True, eq=False)
class Folder:
    """A folder with OpenPose files, on disk or in an archive."""

    path: str  # absolute
    subfolder: str  # relative to the source, with forward slashes; "" for the source itself
    files: list[str]
    archive: "Archive | None" = None
    positions: np.ndarray | None = None  # [files] positions in the archive
    simulated: bool = False  # whether it, or a folder above it within the source, has the marker of `skelemo synth`
    video: Group | None = None  # the frames of a whole video, if the archive is one JSON file
    info: VideoInfo = NO_INFO


def is_openpose(name: str) -> bool:
    """Whether a name is one of OpenPose's; fast enough for millions of names."""
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


def is_storage_error(error: OSError, folder: str) -> bool:
    """Whether an error concerns the storage rather than this file."""
    return error.errno in _STORAGE_ERRORS or (error.errno == errno.ENOENT and not os.path.isdir(folder))


def read_file(path: str) -> tuple[bytes, int]:
    """Read a file: its bytes and modification time in nanoseconds.

    Uses system calls, because `open` makes three more of them and takes twice as long.

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
        if path.endswith((".gz", ".GZ")) and len(data := decompressed(data, MAX_BYTES)) > MAX_BYTES:
            raise OSError(errno.EFBIG, f"decompresses to more than {MAX_BYTES:,} bytes, far more than a frame")
        return data, status.st_mtime_ns
    finally:
        os.close(descriptor)


def parse_info(data: bytes) -> VideoInfo:
    """Parse video information; invalid values are unknown."""
    document: Any = {}
    with suppress(ValueError, RecursionError):
        document = json.loads(data[:_MAX_INFO])
    if not isinstance(document, dict):
        return NO_INFO
    fps: Any = document.get("fps")
    valid = type(fps) in (int, float) and math.isfinite(fps) and 0 < fps < _MAX_VALUE
    return VideoInfo(*image_size(document.get("width"), document.get("height")), float(fps) if valid else 0.0)


def image_size(width: Any, height: Any) -> tuple[int, int]:
    """Validate a size from a file; (0, 0) unless both values are plausible."""
    valid = all(type(value) is int and 0 < value < _MAX_VALUE for value in (width, height))
    return (width, height) if valid else (0, 0)


def read_info(path: str) -> VideoInfo:
    """Read video information; unknown if the file cannot be read."""
    with suppress(OSError), open(path, "rb") as file:
        return parse_info(file.read(_MAX_INFO))
    return NO_INFO
