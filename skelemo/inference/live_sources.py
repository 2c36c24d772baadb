"""Streams of frames: JSON in the lines of standard input, dictionaries, and whatever `live_folder` follows."""

import sys
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from time import monotonic
from typing import TYPE_CHECKING, Any, BinaryIO

import numpy as np
import orjson

from skelemo.errors import ConfigError, InputError
from skelemo.openpose.files import MAX_BYTES
from skelemo.openpose.frame import FrameError
from skelemo.openpose.stream import FrameReader
from skelemo.text import visible

if TYPE_CHECKING:
    from skelemo.pose.registry import Options

#: Standard input, as a source.
STDIN = "-"


@dataclass(frozen=True)
class Frame:
    """One frame of a stream.

    Parameters
    ----------
    number : rises within a video; a smaller one means that the stream began anew.
    people : ``[P, V, 3]`` in pixels; None where the frame could not be read.
    time : seconds, where the source knows.
    late : a newer frame is waiting, so that this one need not be answered.
    problem : why the frame, or a part of it, could not be read.
    arrived : when it could be read, by `time.monotonic`.
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
    """Frames that could not be read: how many, and the first of them."""

    count: int = 0
    first: str = ""
    latest: str = ""

    def add(self, text: str) -> None:
        """Count one."""
        self.count += 1
        self.first = self.first or text
        self.latest = text


def decode(reader: FrameReader, data: bytes, where: str) -> tuple[np.ndarray | None, str]:
    """The people of a frame, and what is wrong with it, after the name of the place where it was found."""
    try:
        people = reader.read(data)
    except FrameError as error:
        return None, f"{where} {error}"
    return people, f"{where}: {reader.damage}" if reader.damage else ""


def read_lines(stream: BinaryIO, reader: FrameReader, video: str = "stdin") -> Iterator[Frame]:
    """Frames from lines of JSON, counted from 0. A line that is none counts as a frame that could not be read."""
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
        yield Frame(number, people, video, problem=problem, arrived=arrived)
        number += 1


def read_dictionaries(frames: Iterable[Any], reader: FrameReader, video: str = "stream") -> Iterator[Frame]:
    """Frames from OpenPose's dictionaries, or pairs of one and its time in seconds."""
    for number, item in enumerate(frames):
        arrived = monotonic()
        document, seconds = item if isinstance(item, tuple) and len(item) == 2 else (item, None)
        if not isinstance(document, Mapping):
            raise InputError(
                f"frame {number} of the stream is a {type(item).__name__}; expected OpenPose's dictionary, or a pair "
                "of it and its time in seconds"
            )
        try:
            data = orjson.dumps(document, option=orjson.OPT_SERIALIZE_NUMPY)
        except TypeError as error:
            people, problem = None, f"frame {number} cannot be written as JSON: {error}"
        else:
            people, problem = decode(reader, data, f"frame {number}")
        yield Frame(number, people, video, seconds, problem=problem, arrived=arrived)


def open_stream(
    source: Any,
    reader: FrameReader,
    *,
    context: int,
    from_start: bool,
    every_frame: bool,
    idle: float,
    pose: "Options | None" = None,
) -> Iterator[Frame]:
    """The frames of a source, as they come; see `skelemo.inference.live.live`.

    Raises `InputError` or `ConfigError`: the source is not there, or nothing that can be followed.
    """
    if source == STDIN:
        return read_lines(sys.stdin.buffer, reader)
    if isinstance(source, str | Path):
        from skelemo.inference.live_folder import Follower

        path = Path(source)
        if path.is_dir():
            follower = Follower(path, reader, context=context, from_start=from_start, every_frame=every_frame)
            return follower.frames(idle)
        from skelemo.inference.live_video import camera_device, read_video

        if path.exists() or camera_device(str(source)):
            return read_video(str(source), pose, reader)
        raise InputError(
            f"{path}: no such folder; expected the one that OpenPose writes (--write_json), made before, a video, "
            "camera for the first camera, or - for standard input"
        )
    if isinstance(source, Iterable):
        return read_dictionaries(source, reader)
    raise ConfigError(f"a source is a folder, - or an iterable of OpenPose's dictionaries, not {visible(repr(source))}")
