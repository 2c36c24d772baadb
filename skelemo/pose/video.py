"""Videos, read by PyAV: what they are, and their frames upright, in the order in which they are shown."""

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from skelemo.errors import ConfigError, InputError, os_reason
from skelemo.openpose.names import printable
from skelemo.text import count

if TYPE_CHECKING:
    from av.container import InputContainer
    from av.video.stream import VideoStream

#: Frames whose distance differs from the usual one by more than this share, and how many make the rate a variable one.
_UNEVEN, _FEW = 0.5, 0.01


@dataclass(frozen=True)
class Video:
    """A video that can be decoded.

    Parameters
    ----------
    width, height : of the upright picture, pixels.
    fps : mean frames per second; 0 for unknown.
    frames : how many there are by its header or length; 0 for unknown.
    turn : quarter turns, counterclockwise, that set the stored picture upright.
    """

    path: Path
    width: int
    height: int
    fps: float
    frames: int
    turn: int = 0

    @property
    def name(self) -> str:
        """What its recording is called."""
        return printable(self.path.stem)


def probe(path: Path) -> Video:
    """What a video is, by its header and first frame.

    Raises `InputError`: it is not there, is no video, has no frames, or cannot be decoded; `ConfigError`: PyAV is not
    installed.
    """
    with _opened(path) as (container, stream):
        first = next(_decoded(container, stream, []), None)
        if first is None:
            raise InputError(f"{path}: there is no frame in it that can be decoded")
        rate = stream.average_rate or stream.guessed_rate
        fps = float(rate) if rate else 0.0
        if stream.duration and stream.time_base:
            seconds = float(stream.duration * stream.time_base)
        else:
            seconds = (container.duration or 0) / 1e6
        turn = round(getattr(first, "rotation", 0) / 90) % 4
        size = (first.height, first.width) if turn % 2 else (first.width, first.height)
        return Video(path, *size, fps, stream.frames or round(seconds * fps), turn)


def frames(video: Video, every: int, notes: list[str]) -> Iterator[tuple[int, np.ndarray]]:
    """Number and RGB ``[height, width, 3]``, uint8, of one frame in ``every``.

    Frames are numbered from 0 in the order in which they are shown, as OpenPose and OpenCV number them, whatever their
    time; where they are not evenly spaced, ``notes`` says so. What cannot be decoded is passed over and noted.

    Raises `InputError`: the picture changes its size, or no frame can be decoded.
    """
    times: list[float] = []
    number = -1
    with _opened(video.path) as (container, stream):
        for number, frame in enumerate(_decoded(container, stream, notes)):
            if frame.time is not None and not video.path.is_char_device():  # a camera has no end, nor a steady rate
                times.append(frame.time)
            if number % every:
                continue
            pixels = np.rot90(frame.to_ndarray(format="rgb24"), video.turn)
            if pixels.shape[:2] != (video.height, video.width):
                raise InputError(
                    f"{video.path}: the picture is {video.width}x{video.height} in its first frame and "
                    f"{pixels.shape[1]}x{pixels.shape[0]} in frame {number}; expected one size: cut the video there"
                )
            yield number, np.ascontiguousarray(pixels)
    if number < 0:
        raise InputError(f"{video.path}: there is no frame in it that can be decoded")
    steps = np.diff(times)
    usual = float(np.median(steps)) if len(steps) else 0.0
    if usual > 0 and (uneven := int(np.count_nonzero(np.abs(steps - usual) > _UNEVEN * usual))) > _FEW * len(steps):
        notes.append(
            f"{video.path}: its frame rate varies ({uneven:,} of {len(times):,} frames come early or late); they "
            f"are numbered as they are shown, and times follow the mean, {video.fps:.4g} frames/s"
        )


@contextmanager
def _opened(path: Path) -> "Iterator[tuple[InputContainer, VideoStream]]":
    try:
        import av
    except ImportError:
        raise ConfigError("reading video takes PyAV: pip install 'skelemo[video]'") from None
    try:
        with av.open(str(path), format="v4l2" if path.is_char_device() else None) as container:
            if not container.streams.video:
                raise InputError(f"{path}: there is no picture in it, only other streams")
            stream = container.streams.video[0]
            stream.thread_type = "SLICE"  # by frames, a damaged one would take others with it
            yield container, stream
    except av.error.FileNotFoundError:
        raise InputError(f"{path}: not found; expected a video") from None
    except (av.error.FFmpegError, ValueError) as error:  # no decoder, no container, nothing to read
        reason = os_reason(error) if isinstance(error, OSError) else str(error)
        raise InputError(f"{path}: cannot be decoded as a video ({reason.strip() or type(error).__name__})") from None


def _decoded(container: "InputContainer", stream: "VideoStream", notes: list[str]) -> Iterator[Any]:
    """The frames of the packets that can be decoded."""
    import av

    damaged = 0
    for packet in container.demux(stream):
        try:
            found = packet.decode()
        except av.error.InvalidDataError:
            damaged += 1
            continue
        yield from found
    if damaged:
        notes.append(
            f"{container.name}: {count(damaged, 'packet')} cannot be decoded; frames after it count on without a gap"
        )
