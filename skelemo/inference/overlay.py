"""Predictions drawn onto the video or a black background: skeletons in OpenPose's colors and a card per person."""

import hashlib
from collections import Counter
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from fractions import Fraction
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

from skelemo.atomic import finished
from skelemo.errors import ConfigError, InputError
from skelemo.inference import cards
from skelemo.inference.drawing import USUAL_FPS, Drawing
from skelemo.inference.keypoints import Stage
from skelemo.inference.sources import OpenedSource
from skelemo.targets import Head
from skelemo.text import count, file_names

SUFFIX = ".mp4"
#: Frames drawn at a time.
BATCH = 16


def require_av() -> Any:
    """PyAV, which includes FFmpeg. Raises `ConfigError` if it is not installed."""
    try:
        import av
    except ImportError:
        raise ConfigError("--overlay needs PyAV: pip install 'skelemo[video]'") from None
    return av


@dataclass(frozen=True)
class Overlay:
    """Output of an overlay and the videos to draw onto.

    Parameters
    ----------
    out : ``FILE.mp4`` for a single video, or a folder.
    film : the video, or a folder of videos named as in the source; None for a black background.
    """

    out: Path
    film: Path | None = None

    def check(self) -> None:
        """Check the paths before any work. Raises `ConfigError` or `InputError`."""
        require_av()
        if self.film and not self.film.exists():
            raise InputError(f"no video at {self.film}")
        if self.out.suffix.lower() == SUFFIX and self.out.is_dir():
            raise ConfigError(f"{self.out} is a folder: name a file, or a folder without {SUFFIX}")
        if self.out.suffix and self.out.suffix.lower() != SUFFIX and not self.out.is_dir():
            raise ConfigError(f"{self.out}: expected a folder or a file that ends in {SUFFIX}")

    def targets(self, videos: list[str]) -> dict[str, Path]:
        """The file of each video. Raises `ConfigError`: one file for several videos."""
        if self.out.suffix.lower() == SUFFIX:
            if len(videos) > 1:
                raise ConfigError(f"{self.out} is one file, but the source has {len(videos)} videos: name a folder")
            return dict.fromkeys(videos, self.out)
        return {video: self.out / f"{name}{SUFFIX}" for video, name in zip(videos, file_names(videos), strict=True)}

    def films(self, found: OpenedSource, videos: list[str]) -> dict[str, Path]:
        """The film of each video that has one.

        Raises `ConfigError` or `InputError`: one film for several videos, or a folder without any of them.
        """
        if self.film is None:
            return dict(found.films)
        if self.film.is_file():
            if len(videos) > 1:
                raise ConfigError(f"{self.film} is one video, but the source has {len(videos)}: name a folder of them")
            return dict.fromkeys(videos, self.film)
        files = {path.stem: path for path in sorted(self.film.rglob("*")) if path.is_file()}
        shared = Counter(name for video in videos for name in {*video.split("/")})
        known: dict[str, Path] = {}
        for video in videos:  # ``one/take`` may be one.mp4 if several recordings are called take
            names = [name for name in reversed(video.split("/")) if shared[name] == 1 and name in files]
            if names:
                known[video] = files[names[0]]
        if not known:
            raise InputError(
                f"{self.film} has no file named {videos[0].rpartition('/')[2]}.*, like a video of the source"
            )
        return known


def draw_videos(
    overlay: Overlay,
    heads: tuple[Head, ...],
    found: OpenedSource,
    tables: Iterable[pd.DataFrame],
    folder: Path,
    stage: Stage,
    every: int = 1,
) -> tuple[list[Path], list[str]]:
    """Draw each video of the tables, skipping those marked as finished in ``folder``.

    Returns the files, and notes on assumptions.
    """
    cache = found.cache
    videos = list(dict.fromkeys(cache.sequences["video"]))
    targets, films = overlay.targets(videos), overlay.films(found, videos)
    code = {video: np.flatnonzero(cache.sequences["video"] == video) for video in videos} if len(videos) == 1 else (
        cache.sequences.groupby("video", sort=False).indices
    )  # fmt: skip
    notes = []
    if films and len(films) < len(videos):
        notes.append(f"{count(len(videos) - len(films), 'video')} drawn onto black: no film")
    if not (cache.sequences["fps"] > 0).all() and len(films) < len(videos):
        notes.append(f"frame rate unknown: drawn at {USUAL_FPS:g} frames per second (set --fps)")
    of, before = cache.frames, 0
    with stage("drawing", "frames") as report:
        for table in tables:
            for video, rows in table.groupby("video", sort=False):
                target, sequences = targets[str(video)], cache.only(np.asarray(code[str(video)]))
                mark = folder / f"{hashlib.sha256(str(video).encode(errors='surrogateescape')).hexdigest()[:32]}.drawn"
                if not (mark.exists() and target.is_file()):

                    def tell(done: int, start: int = before, most: int = sequences.frames) -> None:
                        report(start + min(done, most), of)

                    drawing = Drawing.of(sequences, rows, heads, every)
                    target.parent.mkdir(parents=True, exist_ok=True)
                    with finished(target) as partial:
                        draw_video(drawing, partial, films.get(str(video)), tell)
                    mark.write_bytes(b"")
                before += sequences.frames
                report(before, of)
    return list(targets.values()), notes


Frames = Iterator[tuple[int, np.ndarray, int]]  # number, image [H, W, 3], time in units of the time base


def draw_video(drawing: Drawing, out: Path, film: Path | None, report: Callable[[int], None]) -> None:
    """Draw a video as MP4 (H.264)."""
    av = require_av()
    with _Film(film) as source:
        width, height = source.size if source.size else drawing.canvas
        known = drawing.size if all(drawing.size) else (width, height)
        scale = (width / known[0], height / known[1])
        rate = Fraction(source.rate or drawing.fps or USUAL_FPS).limit_denominator(1001)
        frames = source.frames() if source.size else _black(drawing.numbers, (width, height))
        base = source.base if source.base else 1 / rate
        placing = cards.Placing(width, height)
        with av.open(str(out), "w", format="mp4", options={"movflags": "+faststart"}) as container:
            stream = container.add_stream("libx264" if "libx264" in av.codecs_available else "mpeg4", rate=rate)
            stream.width, stream.height, stream.pix_fmt = width + width % 2, height + height % 2, "yuv420p"
            stream.codec_context.time_base = base
            stream.options = {"crf": "20", "preset": "veryfast"}
            done = 0
            for batch in _batches(frames, BATCH):
                images = np.zeros((len(batch), stream.height, stream.width, 3), np.uint8)
                for index, (_, image, _) in enumerate(batch):
                    images[index, :height, :width] = image
                drawing.draw(images, np.array([number for number, _, _ in batch]), placing, scale)
                for image, (_, _, time) in zip(images, batch, strict=True):
                    frame = av.VideoFrame.from_ndarray(image, format="rgb24")
                    frame.pts, frame.time_base = time, base
                    container.mux(stream.encode(frame))
                done += len(batch)
                report(done)
            container.mux(stream.encode())


def _black(numbers: np.ndarray, size: tuple[int, int]) -> Frames:
    image = np.zeros((size[1], size[0], 3), np.uint8)
    for number in numbers.tolist():
        yield number, image, number - int(numbers[0])


def _batches(frames: Frames, size: int) -> Iterator[list[tuple[int, np.ndarray, int]]]:
    batch = []
    for frame in frames:
        batch.append(frame)
        if len(batch) == size:
            yield batch
            batch = []
    if batch:
        yield batch


class _Film:
    """Decoder of a video file with upright frames; no frames without a path.

    Raises `InputError`: the file cannot be decoded or has no frames.
    """

    def __init__(self, path: Path | None) -> None:
        self.path = path
        self.container: Any = None
        self.first: Any = None
        self.size: tuple[int, int] | None = None
        self.rate: Fraction | None = None
        self.base: Fraction | None = None

    def __enter__(self) -> "_Film":
        if self.path is None:
            return self
        av = require_av()
        try:
            self.container = av.open(str(self.path))
            self.stream = self.container.streams.video[0]
            self.stream.thread_type = "AUTO"
            self.decoded = self.container.decode(self.stream)
            self.first = next(self.decoded)
        except (av.FFmpegError, IndexError, StopIteration, OSError) as error:
            reason = "it has no frames" if isinstance(error, IndexError | StopIteration) else str(error).split(":")[0]
            raise InputError(f"{self.path}: cannot be decoded as a video ({reason})") from None
        image = self._upright(self.first)
        self.size = image.shape[1], image.shape[0]
        self.rate, self.base = self.stream.average_rate, self.stream.time_base
        return self

    def __exit__(self, *_: object) -> None:
        if self.container is not None:
            self.container.close()

    def frames(self) -> Frames:
        """All frames, numbered from 0 in decoding order as by OpenPose."""
        av, last = require_av(), -1
        frame, number = self.first, 0
        while frame is not None:
            time = frame.pts if frame.pts is not None and frame.pts > last else last + 1
            yield number, self._upright(frame), time
            last = time
            try:
                frame = next(self.decoded, None)
            except av.FFmpegError:  # truncated file
                frame = None
            number += 1

    @staticmethod
    def _upright(frame: Any) -> np.ndarray:
        return np.rot90(frame.to_ndarray(format="rgb24"), round(getattr(frame, "rotation", 0) / 90) % 4)
