"""Predictions drawn onto the video or a black background: skeletons in OpenPose's colors and a card per person."""

import hashlib
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from fractions import Fraction
from itertools import islice
from pathlib import Path

import numpy as np
import pandas as pd

from skelemo.atomic import finished
from skelemo.errors import ConfigError, InputError
from skelemo.inference import cards
from skelemo.inference.drawing import USUAL_FPS, Drawing
from skelemo.inference.keypoints import Stage
from skelemo.inference.sources import OpenedSource
from skelemo.pose.extract import match_videos
from skelemo.pose.video import frames, probe, require_av
from skelemo.targets import Head
from skelemo.text import count, file_names

SUFFIX = ".mp4"
#: Frames drawn at a time.
BATCH = 16
#: Resolution of times, as usual for video: it divides all common frame rates.
_TICK = Fraction(1, 90_000)


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
        known = match_videos(self.film, videos)
        if not known:
            raise InputError(
                f"{self.film} has no video named {videos[0].rpartition('/')[2]}.*, like a video of the source"
            )
        return known


def draw_videos(
    overlay: Overlay,
    heads: tuple[Head, ...],
    found: OpenedSource,
    tables: Iterable[tuple[str, pd.DataFrame]],
    folder: Path,
    stage: Stage,
    every: int = 1,
) -> tuple[list[Path], list[str]]:
    """Draw each video of the tables and their keys, skipping those marked as finished in ``folder``.

    Returns the files, and notes on assumptions and on damaged films.
    """
    cache = found.cache
    videos = list(dict.fromkeys(cache.sequences["video"]))
    targets, films = overlay.targets(videos), overlay.films(found, videos)
    code = cache.sequences.groupby("video", sort=False).indices
    notes = []
    if films and len(films) < len(videos):
        notes.append(f"{count(len(videos) - len(films), 'video')} drawn on black: no video file of this name")
    if not (cache.sequences["fps"] > 0).all() and len(films) < len(videos):
        notes.append(f"frame rate unknown: drawn at {USUAL_FPS:g} frames per second (set --fps)")
    of, before = cache.frames, 0
    with stage("drawing", "frames") as report:
        for key, table in tables:
            for video, rows in table.groupby("video", sort=False):
                target, sequences = targets[str(video)], cache.only(np.asarray(code[str(video)]))
                drawn = f"{key} {films.get(str(video))} {video}".encode(errors="surrogateescape")
                mark = folder / f"{hashlib.sha256(drawn).hexdigest()[:32]}.drawn"
                if not (mark.exists() and target.is_file()):

                    def tell(done: int, start: int = before, most: int = sequences.frames) -> None:
                        report(start + min(done, most), of)

                    drawing = Drawing.of(sequences, rows, heads, every)
                    target.parent.mkdir(parents=True, exist_ok=True)
                    with finished(target) as partial:
                        draw_video(drawing, partial, films.get(str(video)), tell, notes)
                    mark.write_bytes(b"")
                before += sequences.frames
                report(before, of)
    return list(targets.values()), notes


def draw_video(drawing: Drawing, out: Path, film: Path | None, report: Callable[[int], None], notes: list[str]) -> None:
    """Draw a video as MP4 (H.264). Raises `InputError`: the film cannot be decoded."""
    av, video = require_av(), probe(film) if film else None
    width, height = (video.width, video.height) if video else drawing.canvas
    known = drawing.size if all(drawing.size) else (width, height)
    scale = (width / known[0], height / known[1])
    rate = (video.fps if video else 0) or drawing.fps or USUAL_FPS
    black, first = np.zeros((height, width, 3), np.uint8), drawing.numbers[0]
    each = frames(video, 1, notes) if video else ((n, black, (n - first) / rate) for n in drawing.numbers.tolist())
    placing, done, tick = cards.Placing(width, height), 0, -1
    with av.open(str(out), "w", format="mp4", options={"movflags": "+faststart"}) as container:
        kind = "libx264" if "libx264" in av.codecs_available else "mpeg4"
        stream = container.add_stream(kind, rate=Fraction(rate).limit_denominator(1001))
        stream.width, stream.height, stream.pix_fmt = width + width % 2, height + height % 2, "yuv420p"
        stream.codec_context.time_base = _TICK
        stream.options = {"crf": "20", "preset": "veryfast"}
        while batch := list(islice(each, BATCH)):
            images = np.zeros((len(batch), stream.height, stream.width, 3), np.uint8)
            images[:, :height, :width] = np.stack([image for _, image, _ in batch])
            drawing.draw(images, np.array([number for number, _, _ in batch]), placing, scale)
            for image, (number, _, seconds) in zip(images, batch, strict=True):
                frame = av.VideoFrame.from_ndarray(image, format="rgb24")
                tick = max(tick + 1, round((number / rate if seconds is None else seconds) / _TICK))
                frame.pts, frame.time_base = tick, _TICK
                container.mux(stream.encode(frame))
            done += len(batch)
            report(done)
        container.mux(stream.encode())
