"""Reading videos with PyAV: their properties, and upright frames in display order."""

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from skelemo.errors import ConfigError, InputError
from skelemo.openpose.names import printable
from skelemo.text import count

if TYPE_CHECKING:
    from av.container import InputContainer
    from av.video.stream import VideoStream

#: The frame rate is variable if more than this fraction of steps (_FEW) deviate from the median by more than _UNEVEN.
_UNEVEN, _FEW = 0.5, 0.01
#: A video is incomplete if its frames end before this fraction of its duration.
_WHOLE = 0.9


@dataclass(frozen=True)
class Video:
    """A video that can be decoded."""

    path: Path
    width: int  # of the upright image in pixels
    height: int
    fps: float  # mean frames per second; 0 for unknown
    frames: int  # from the header or duration; 0 for unknown
    turn: int = 0  # counterclockwise quarter turns that make the stored image upright

    @property
    def name(self) -> str:
        """The name of its recording."""
        return printable(self.path.stem)


def probe(path: Path) -> Video:
    """Read a video's properties from its header and first frame.

    Raises `InputError`: not found, not a video, no frames, or cannot be decoded; `ConfigError`: PyAV is not installed.
    """
    with _opened(path) as (container, stream):
        first = next(_decoded(container, stream, []), None)
        if first is None:
            raise InputError(f"{path}: no frame can be decoded")
        rate = stream.average_rate or stream.guessed_rate
        fps, listed, seconds = float(rate) if rate else 0.0, stream.frames, _seconds(container, stream)
        turn = round(getattr(first, "rotation", 0) / 90) % 4
        size = (first.height, first.width) if turn % 2 else (first.width, first.height)
        exact = path.is_char_device() or (listed and "mp4" in container.format.name)  # MP4 lists all frames and times
    return Video(path, *size, *((fps, listed or round(seconds * fps)) if exact else _counted(path, fps)), turn)


def _counted(path: Path, nominal: float) -> tuple[float, int]:
    """Mean frames per second and number of frames, from the times of all packets.

    The headers of Matroska, WebM, AVI and MPEG-TS have only the nominal rate, and no or a nominal number of frames. The
    nominal rate is kept unless it misses the time of the last frame by more than a frame: it has more digits.
    """
    with _opened(path) as (container, stream):
        packets = [packet.pts for packet in container.demux(stream) if packet.size]
        times = [pts for pts in packets if pts is not None]
        span = float((max(times) - min(times)) * stream.time_base) if times and stream.time_base else 0.0
    steps = len(times) - 1
    return nominal if not span or abs(steps - span * nominal) < 1 else steps / span, len(packets)


def require_av() -> Any:
    """PyAV, which includes FFmpeg. Raises `ConfigError` if it is not installed."""
    try:
        import av
    except ImportError:
        raise ConfigError("reading video needs PyAV: pip install 'skelemo[video]'") from None
    return av


def frames(video: Video, every: int, notes: list[str]) -> Iterator[tuple[int, np.ndarray, float | None]]:
    """Yield the number, RGB ``[height, width, 3]``, uint8, and time in seconds, if known, of every n-th frame.

    Frames are numbered from 0 in display order, as by OpenPose and OpenCV, regardless of their time, which counts from
    the first frame. Variable frame rates, a missing end, and damaged packets, which are skipped, are noted.

    Raises `InputError`: the image size changes, or no frame can be decoded.
    """
    times: list[float] = []
    number = -1
    with _opened(video.path) as (container, stream):
        for number, frame in enumerate(_decoded(container, stream, notes)):
            if frame.time is not None and not video.path.is_char_device():  # a camera has no end and no constant rate
                times.append(frame.time)
            if number % every:
                continue
            pixels = np.rot90(frame.to_ndarray(format="rgb24"), video.turn)
            if pixels.shape[:2] != (video.height, video.width):
                raise InputError(
                    f"{video.path}: the first frame is {video.width}x{video.height}, frame {number} "
                    f"{pixels.shape[1]}x{pixels.shape[0]}; expected one size: cut the video there"
                )
            seconds = frame.time - times[0] if times and frame.time is not None else None
            yield number, np.ascontiguousarray(pixels), seconds
        stated = _seconds(container, stream)
    if number < 0:
        raise InputError(f"{video.path}: no frame can be decoded")
    steps = np.diff(times)
    usual = float(np.median(steps)) if len(steps) else 0.0
    if usual > 0 and (uneven := int(np.count_nonzero(np.abs(steps - usual) > _UNEVEN * usual))) > _FEW * len(steps):
        notes.append(
            f"{video.path}: variable frame rate ({uneven:,} of {len(times):,} frames early or late); times are "
            f"computed with the mean, {video.fps:.4g} frames/s; for exact times, convert it to a constant rate first"
        )
    if usual and times[-1] - times[0] + steps.max() < _WHOLE * stated:
        shown = times[-1] - times[0] + usual
        notes.append(f"{video.path}: its frames end at {shown:.1f} s of {stated:.1f} s; is the file incomplete?")


def _seconds(container: "InputContainer", stream: "VideoStream") -> float:
    """The duration of a video as its file states it; 0 for unknown."""
    if stream.duration and stream.time_base:
        return float(stream.duration * stream.time_base)
    return (container.duration or 0) / 1e6


@contextmanager
def _opened(path: Path) -> "Iterator[tuple[InputContainer, VideoStream]]":
    av = require_av()
    try:
        with av.open(str(path), format="v4l2" if path.is_char_device() else None) as container:
            if not container.streams.video:
                raise InputError(f"{path}: no video stream; expected a video")
            stream = container.streams.video[0]
            stream.thread_type = "SLICE"  # with threads by frame, a damaged frame would affect others
            yield container, stream
    except av.error.FileNotFoundError:
        raise InputError(f"{path}: not found; expected a video") from None
    except (av.error.FFmpegError, ValueError) as error:  # no decoder, no container, nothing to read
        reason = getattr(error, "strerror", "") or str(error).strip() or type(error).__name__
        raise InputError(f"{path}: cannot be decoded as a video ({reason})") from None


def _decoded(container: "InputContainer", stream: "VideoStream", notes: list[str]) -> Iterator[Any]:
    """Yield frames, and note packets that cannot be decoded."""
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
            f"{container.name}: {count(damaged, 'packet')} cannot be decoded; later frames are numbered without a gap"
        )
