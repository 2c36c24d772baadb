"""Streams of frames: lines of JSON, dictionaries, a camera, a video or a folder."""

import os
import re
import sys
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from time import monotonic
from typing import TYPE_CHECKING, Any, BinaryIO

import numpy as np
import orjson

from skelemo.errors import ConfigError, InputError
from skelemo.openpose.files import MAX_BYTES, is_openpose
from skelemo.openpose.stream import FrameReader
from skelemo.openpose.validate import FrameError
from skelemo.text import visible

if TYPE_CHECKING:
    from skelemo.pose.registry import Options

#: Standard input as a source.
STDIN = "-"
#: A camera as a source: the first, or one by number.
_CAMERA = re.compile(r"camera(?::([0-9]{1,3}))?")


@dataclass(frozen=True)
class Frame:
    """One frame of a stream.

    Parameters
    ----------
    number : increases within a video; a lower number means that the stream restarted.
    people : ``[P, V, 3]`` in pixels; None if the frame is unreadable.
    time : seconds, if the source has them.
    late : a newer frame is waiting, so no prediction is needed.
    problem : why the frame, or a part of it, is unreadable.
    arrived : arrival time, by `time.monotonic`.
    """

    number: int
    people: np.ndarray | None
    video: str
    time: float | None = None
    late: bool = False
    problem: str = ""
    arrived: float = field(default_factory=monotonic)


@dataclass
class Problems:
    """Count of unreadable frames, with the first and latest problem."""

    count: int = 0
    first: str = ""
    latest: str = ""

    def add(self, text: str) -> None:
        """Count a problem."""
        self.count += 1
        self.first = self.first or text
        self.latest = text


def decode(reader: FrameReader, data: bytes, where: str) -> tuple[np.ndarray | None, str]:
    """The people in a frame, and its problem, prefixed with ``where``."""
    try:
        people = reader.read(data)
    except FrameError as error:
        return None, f"{where} {error}"
    return people, f"{where}: {reader.damage}" if reader.damage else ""


def read_lines(stream: BinaryIO, reader: FrameReader) -> Iterator[Frame]:
    """Frames from lines of JSON, counted from 0. An invalid line counts as an unreadable frame."""
    number = count = 0
    while line := stream.readline(MAX_BYTES):
        arrived = monotonic()
        count += 1
        whole = line.endswith(b"\n") or len(line) < MAX_BYTES
        while not whole and (rest := stream.readline(MAX_BYTES)):
            whole = rest.endswith(b"\n")
        if len(line) >= MAX_BYTES:
            people, problem = None, f"line {count} has more than {MAX_BYTES:,} bytes, far more than a frame"
        elif not line.strip():
            continue
        else:
            people, problem = decode(reader, line, f"line {count}")
        yield Frame(number, people, "stdin", problem=problem, arrived=arrived)
        number += 1


def read_dictionaries(frames: Iterable[Any], reader: FrameReader) -> Iterator[Frame]:
    """Frames from OpenPose's dictionaries, or pairs of a dictionary and its time in seconds."""
    for number, item in enumerate(frames):
        arrived = monotonic()
        document, seconds = item if isinstance(item, tuple) and len(item) == 2 else (item, None)
        if not isinstance(document, Mapping):
            raise InputError(
                f"frame {number} of the stream is a {type(item).__name__}; expected OpenPose's dictionary, or a pair "
                "of a dictionary and its time in seconds"
            )
        try:
            data = orjson.dumps(document, option=orjson.OPT_SERIALIZE_NUMPY)
        except TypeError as error:
            people, problem = None, f"frame {number} cannot be written as JSON: {error}"
        else:
            people, problem = decode(reader, data, f"frame {number}")
        yield Frame(number, people, "stream", seconds, problem=problem, arrived=arrived)


def camera_device(source: str) -> Path | None:
    """The Linux device of a camera (``camera``, ``camera:1``); None for any other source."""
    found = _CAMERA.fullmatch(source)
    return Path(f"/dev/video{int(found[1] or 0)}") if found else None


def read_video(source: str, options: "Options | None", reader: FrameReader) -> Iterator[Frame]:
    """The frames of a video, or of a camera until it stops.

    Raises `ConfigError`: no program is given, or it is unusable; `InputError`: the video cannot be decoded; the camera
    does not exist or disappears.
    """
    camera = camera_device(source)
    path = camera or Path(source)
    if camera and not camera.exists():
        raise InputError(
            f"{source}: {camera} does not exist; connect a camera, or follow a folder that OpenPose writes"
        )
    if options is None:
        raise ConfigError(f"{source}: needs a pose estimator, e.g. --with mediapipe")
    if camera and options.program == "openpose":
        raise ConfigError(
            f"{source}: OpenPose reads cameras itself; start it with --camera {camera.name[5:]} --write_json FOLDER "
            "and follow that folder"
        )
    return _frames(path, options, reader, camera is not None)


def _frames(path: Path, options: "Options", reader: FrameReader, endless: bool) -> Iterator[Frame]:
    from skelemo.pose.registry import PROGRAMS
    from skelemo.pose.video import probe

    video, notes, number = probe(path), list[str](), -1
    reader.size = reader.size if all(reader.size) else (video.width, video.height)
    with PROGRAMS.find(options.program).function(options) as find:
        for number, data in find(video, notes):
            people, problem = decode(reader, data, f"frame {number}")
            seconds = number / video.fps if video.fps and not endless else None
            yield Frame(number, people, video.name, seconds, problem=problem)
    for note in notes:
        print(f"note: {note}", file=sys.stderr)
    if endless:
        raise InputError(f"{path}: the camera stopped after frame {number}")


def _check_folder(folder: Path) -> None:
    """Raise `InputError` for a cache, and print a note if only subfolders have frames."""
    names = os.listdir(folder)
    if any(name.endswith(".h5") for name in names):
        raise InputError(f"{folder} is a cache; expected a folder that OpenPose writes (skelemo predict reads caches)")
    if not any(map(is_openpose, names)) and (file := next(folder.glob("*/*_keypoints*.json"), None)):
        below = visible(str(file.parent))
        print(f"note: {folder} has no frame yet; its subfolders, such as {below}, are not followed", file=sys.stderr)


def open_stream(
    source: Any,
    reader: FrameReader,
    *,
    context: int,
    from_start: bool,
    every_frame: bool,
    stop_after: float,
    pose: "Options | None" = None,
) -> Iterator[Frame]:
    """The frames of a source as they arrive; see `skelemo.inference.live.stream.live`.

    Raises `InputError` or `ConfigError`: the source does not exist or cannot be followed.
    """
    if source == STDIN:
        return read_lines(sys.stdin.buffer, reader)
    if isinstance(source, str | Path):
        from skelemo.inference.live.folder import Follower

        path = Path(source)
        if path.is_dir():
            _check_folder(path)
            follower = Follower(path, reader, context=context, from_start=from_start, every_frame=every_frame)
            return follower.frames(stop_after)
        if path.exists() or camera_device(str(source)):
            return read_video(str(source), pose, reader)
        raise InputError(
            f"{path}: no such folder; expected an existing folder that OpenPose writes (--write_json), a video, "
            "camera for the first camera, or - for standard input"
        )
    if isinstance(source, Iterable):
        return read_dictionaries(source, reader)
    raise ConfigError(f"source {visible(repr(source))}: expected a folder, - or an iterable of OpenPose's dictionaries")
