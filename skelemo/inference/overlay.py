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
import torch

from skelemo.atomic import finished
from skelemo.cache.store import Cache
from skelemo.data.images import Images
from skelemo.errors import ConfigError, InputError
from skelemo.inference import cards
from skelemo.inference.keypoints import Stage
from skelemo.inference.sources import OpenedSource
from skelemo.inference.table import output_names
from skelemo.render.over import draw_over
from skelemo.targets import Head
from skelemo.text import count, file_names

SUFFIX = ".mp4"
#: Frames drawn at a time.
BATCH = 16
#: Default frame rate, and largest side of an image of unknown size.
USUAL_FPS, LARGEST = 25.0, 1920
#: Height of the head above its highest keypoint, relative to the person's shorter side.
HEAD = 0.2
#: Most people with full-size cards; cards shrink beyond that.
FEW = 4
#: Seconds over which the position of a card is averaged.
_CALM = 0.5


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


@dataclass(frozen=True)
class Person:
    """One person: keypoints ``[T, V, 3]`` in pixels by frame number, and the content of cards."""

    number: np.ndarray
    keypoints: torch.Tensor
    boxes: np.ndarray  # [T, 4], smoothed
    content_frames: np.ndarray  # frame numbers of the cards
    contents: list[cards.Content]
    hold: int  # frames for which a card is displayed

    def at(self, number: int) -> int:
        """Row of a frame, or -1."""
        row = int(np.searchsorted(self.number, number))
        return row if row < len(self.number) and self.number[row] == number else -1

    def content(self, number: int) -> cards.Content | None:
        """The card displayed in a frame."""
        row = int(np.searchsorted(self.content_frames, number, "right")) - 1
        return self.contents[row] if row >= 0 and number - self.content_frames[row] < self.hold else None


@dataclass(frozen=True)
class Drawing:
    """The people of a video, the size of its images and its frame rate, 0 if unknown."""

    layout: Any
    people: list[Person]
    size: tuple[int, int]
    fps: float

    @classmethod
    def of(cls, cache: Cache, table: pd.DataFrame, heads: tuple[Head, ...], every: int) -> "Drawing":
        """From a video's sequences and their rows of the table."""
        frames, images = cache.read(), Images.of(cache)
        code = torch.from_numpy(np.repeat(np.arange(len(cache.sequences)), cache.sequences["length"]))
        points = images.to_pixels(torch.from_numpy(frames.keypoints), code)
        size = tuple(int(side) for side in cache.sequences[["width", "height"]].max())
        fps = float(cache.sequences["fps"].max())
        by_person, names, people = dict(list(table.groupby("person", sort=False))), output_names(heads), []
        listed = cache.sequences[["person", "start", "length"]].itertuples(index=False)
        for index, (person, start, length) in enumerate(listed):
            if person not in by_person:
                continue
            rows, here = by_person[person], slice(start, start + length)
            called = str(person).removeprefix("person") or "1"
            short = called if called.isdecimal() else called[:1].upper()
            records: Any = rows.to_dict("records")
            contents = [cards.card_content(row, heads, names, short, index) for row in records]
            whole = len(rows) == 1  # a prediction for the whole clip
            hold = 1 << 31 if whole else every * int(np.median(np.diff(frames.number[here])))
            content_frames = np.zeros(1, int) if whole else rows["frame"].to_numpy()
            boxes = _boxes(points[here], round(_CALM * (fps or USUAL_FPS)))
            people.append(Person(frames.number[here], points[here], boxes, content_frames, contents, hold))
        return cls(cache.layout, people, (size[0], size[1]), fps)

    @property
    def numbers(self) -> np.ndarray:
        """Numbers of all frames with people."""
        return np.unique(np.concatenate([one.number for one in self.people]))

    @property
    def canvas(self) -> tuple[int, int]:
        """Width and height of a black background; if unknown, from the keypoints."""
        if all(self.size):
            return self.size
        most = torch.stack([one.keypoints[..., :2].nan_to_num(0).amax((0, 1)) for one in self.people]).amax(0)
        width, height = (max(64, min(LARGEST, int(side * 1.05) + 16)) for side in most.tolist())
        return width, height

    def draw(self, images: np.ndarray, numbers: np.ndarray, placing: cards.Placing, scale: tuple[float, float]) -> None:
        """Draw frames into images ``[N, H, W, 3]``, in place; ``scale`` converts keypoints to their pixels."""
        factor = torch.tensor([*scale, 1.0])
        canvas = torch.from_numpy(images)
        rows = np.array([[one.at(number) for number in numbers] for one in self.people]).reshape(len(self.people), -1)
        for one, where in zip(self.people, rows, strict=True):
            if (where >= 0).any():
                points = one.keypoints[torch.from_numpy(np.maximum(where, 0))] * factor
                points[torch.from_numpy(where < 0)] = 0
                draw_over(canvas, points, self.layout)
        for index, number in enumerate(numbers):
            taken: list[cards.Box] = []
            crowd = max(1, int((rows[:, index] >= 0).sum()) / FEW)
            text = max(9 if crowd > 1 else 11, round(images.shape[1] / 34 / crowd**0.5))
            for who, one in enumerate(self.people):
                row, content = rows[who, index], one.content(int(number))
                if row < 0 or content is None or np.isnan(one.boxes[row, 0]):
                    continue
                patch = cards.draw_card(content, text)
                if not bool(one.keypoints[row, :, 2].any()):  # a gap: draw the card half transparent
                    if crowd > 1:
                        continue
                    patch = patch * np.array([1, 1, 1, 0.5])
                left, top, right, bottom = one.boxes[row].tolist()
                top -= HEAD * min(right - left, bottom - top)
                box = (left * scale[0], top * scale[1], right * scale[0], bottom * scale[1])
                place = placing.place(who, box, (patch.shape[1], patch.shape[0]), taken)
                taken.append(place)
                cards.draw_leader(images[index], place, box, content.color)
                cards.paste(images[index], patch, place)


def _boxes(points: torch.Tensor, calm: int) -> np.ndarray:
    """Bounding boxes ``[T, 4]`` of visible points, averaged over ``calm`` frames; NaN without any visible point."""
    xy = torch.where(points[..., 2:] > 0.05, points[..., :2], torch.nan).numpy()
    some = ~np.isnan(xy[..., 0]).all(1)
    box = np.full((len(xy), 4), np.nan)
    if some.any():
        box[some] = np.concatenate([np.nanmin(xy[some], 1), np.nanmax(xy[some], 1)], 1)
    width = max(1, calm // 2 * 2 + 1)
    return pd.DataFrame(box).rolling(width, center=True, min_periods=1).mean().to_numpy()


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
