"""Skeletons and cards of a video's people, drawn onto its frames."""

from dataclasses import dataclass
from typing import Any

import numpy as np
import pandas as pd
import torch

from skelemo.cache.store import Cache
from skelemo.data.images import Images
from skelemo.inference import cards
from skelemo.inference.table import output_names
from skelemo.render.over import draw_over
from skelemo.targets import Head

#: Default frame rate, and largest side of an image of unknown size.
USUAL_FPS, LARGEST = 25.0, 1920
#: Height of the head above its highest keypoint, relative to the person's shorter side.
HEAD = 0.2
#: Most people with full-size cards; cards shrink beyond that.
FEW = 4
#: Seconds over which the position of a card is averaged.
_CALM = 0.5


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

    def box(self, row: int, scale: tuple[float, float]) -> cards.Box:
        """Bounding box with the head in pixels of the image; NaN without any visible point."""
        left, top, right, bottom = self.boxes[row].tolist()
        top -= HEAD * min(right - left, bottom - top)
        return left * scale[0], top * scale[1], right * scale[0], bottom * scale[1]

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
            boxes = {who: one.box(row, scale) for who, one in enumerate(self.people) if (row := rows[who, index]) >= 0}
            boxes = {who: box for who, box in boxes.items() if not np.isnan(box[0])}
            crowd = max(1, int((rows[:, index] >= 0).sum()) / FEW)
            text = max(9 if crowd > 1 else 11, round(images.shape[1] / 34 / crowd**0.5))
            for who, box in boxes.items():
                one, row = self.people[who], rows[who, index]
                if (content := one.content(int(number))) is None:
                    continue
                patch = cards.draw_card(content, text)
                if not bool(one.keypoints[row, :, 2].any()):  # a gap: draw the card half transparent
                    if crowd > 1:
                        continue
                    patch = patch * np.array([1, 1, 1, 0.5])
                others = [other for person, other in boxes.items() if person != who]
                place = placing.place(who, box, (patch.shape[1], patch.shape[0]), taken, others)
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
