"""Frames of a camera or a video, in which one of the programs of `skelemo.pose` finds the keypoints."""

import re
import sys
from collections.abc import Iterator
from pathlib import Path

from skelemo.errors import ConfigError, InputError
from skelemo.inference.live_sources import Frame, decode
from skelemo.openpose.stream import FrameReader
from skelemo.pose.registry import PROGRAMS, Options
from skelemo.pose.video import probe

#: A camera as a source: the first one, or another by its number.
_CAMERA = re.compile(r"camera(?::([0-9]{1,3}))?")


def camera_device(source: str) -> Path | None:
    """The device of a source that is a camera (``camera``, ``camera:1``), as Linux names it; else None."""
    found = _CAMERA.fullmatch(source)
    return Path(f"/dev/video{int(found[1] or 0)}") if found else None


def read_video(source: str, options: Options | None, reader: FrameReader) -> Iterator[Frame]:
    """The frames of a video, or of a camera for as long as it sends any.

    Raises `ConfigError`: no program is named, or it cannot be used; `InputError`: the video cannot be decoded; there is
    no such camera, or it disappears.
    """
    camera = camera_device(source)
    path = camera or Path(source)
    if camera and not camera.exists():
        raise InputError(f"{source}: there is no {camera}; connect a camera, or follow a folder that OpenPose writes")
    if options is None:
        raise ConfigError(f"{source}: a program must find the keypoints in it: name one, as in --with mediapipe")
    if camera and options.program == "openpose":
        raise ConfigError(
            f"{source}: OpenPose reads cameras itself; start it with --camera {camera.name[5:]} --write_json FOLDER "
            "and follow that folder"
        )
    return _frames(path, options, reader, camera is not None)


def _frames(path: Path, options: Options, reader: FrameReader, endless: bool) -> Iterator[Frame]:
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
        raise InputError(f"{path}: the camera has sent nothing more after frame {number}")
