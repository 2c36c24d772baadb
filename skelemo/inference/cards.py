"""Cards beside people in a video: number, classes, flags, values, and a dial for each head of two values."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from functools import lru_cache
from pathlib import Path
from typing import Any

import numpy as np
from PIL import Image, ImageDraw, ImageFont

from skelemo.targets import Head

#: Color by person: Okabe and Ito's palette, lightened for a dark background.
COLORS = ((86, 180, 233), (240, 170, 50), (64, 200, 150), (245, 130, 80), (220, 150, 195), (240, 228, 66))
_BACKGROUND, _INK, _MUTED = (15, 18, 24, 205), (255, 255, 255, 255), (190, 198, 210, 255)
_RIM, _FACE, _AXIS, _EDGE = (150, 155, 165, 255), (38, 42, 50, 225), (88, 93, 103, 255), (84, 89, 99, 225)
#: Supersampling factor for smooth edges.
_FINE = 3
#: Most flags listed on a card.
_FLAGS = 4

Box = tuple[float, float, float, float]  # left, top, right, bottom


@dataclass(frozen=True)
class Content:
    """Content of a card for one person and frame, rounded to what is visible (so that cards can be cached).

    Parameters
    ----------
    lines : text, and muted text after it.
    dials : for each head of two values, their names and the point in [-1, 1]²; None without a prediction.
    """

    number: str
    color: tuple[int, int, int]
    lines: tuple[tuple[str, str], ...]
    dials: tuple[tuple[tuple[str, str], tuple[float, float] | None], ...]


def card_content(
    row: Mapping[str, Any], heads: Sequence[Head], names: Mapping[str, Sequence[str]], number: str, color: int
) -> Content:
    """The card's content from a row of the table of predictions; ``names`` are its columns by head."""
    lines: list[tuple[str, str]] = []
    dials = []
    for head in heads:
        values = [float(row[name]) for name in names[head.name]]
        known = not any(np.isnan(values))
        if head.kind == "classes":
            lines.append((str(row[head.name]), f"{max(values):.0%}") if known else ("–", ""))
        elif head.kind == "flags":
            shown = [output for output, value in zip(head.outputs, values, strict=True) if value >= 0.5]
            lines.append((" ".join(shown[:_FLAGS]) + (" …" if len(shown) > _FLAGS else "") if shown else "–", ""))
        elif len(head) == 2:
            middle, half = (head.high + head.low) / 2, (head.high - head.low) / 2
            x, y = (round(min(1.0, max(-1.0, (value - middle) / half)), 2) if known else 0.0 for value in values)
            dials.append(((head.outputs[0], head.outputs[1]), (x, y) if known else None))
        else:
            lines += [
                (output, f"{value:.2f}" if known else "–") for output, value in zip(head.outputs, values, strict=True)
            ]
    return Content(number, COLORS[color % len(COLORS)], tuple(lines), tuple(dials))


@lru_cache(32)
def _font(size: int, bold: bool) -> ImageFont.FreeTypeFont:
    from matplotlib import get_data_path

    return ImageFont.truetype(str(Path(get_data_path()) / "fonts" / "ttf" / f"DejaVuSans{'-Bold' * bold}.ttf"), size)


@lru_cache(4096)
def draw_card(content: Content, text: int) -> np.ndarray:
    """Draw a card ``[H, W, 4]`` with text of ``text`` pixels height."""
    unit = text * _FINE
    plain, bold, small = _font(unit, False), _font(unit, True), _font(round(unit * 0.72), False)
    pad, gap, row = round(unit * 0.55), round(unit * 0.4), round(unit * 1.45)
    chip = round(unit * 1.5)
    lines = content.lines or (("", ""),) * (not content.dials)
    wide = [bold.getlength(name) + (gap + plain.getlength(value) if value else 0) for name, value in lines]
    body = max(wide, default=0)
    tall = max(chip, row * len(lines))
    dial = round(max(3.1 * unit, tall + pad))
    label = round(unit * 0.95)
    inner = max(tall, dial + label if content.dials else 0)
    width = round(pad + chip + (gap + body if lines else 0) + len(content.dials) * (pad + dial + label) + pad)
    height = inner + 2 * pad
    image = Image.new("RGBA", (width, height), (0, 0, 0, 0))
    draw = ImageDraw.Draw(image)
    draw.rounded_rectangle((0, 0, width - 1, height - 1), radius=pad, fill=_BACKGROUND, outline=_EDGE, width=_FINE)
    middle = height / 2
    draw.ellipse((pad, middle - chip / 2, pad + chip, middle + chip / 2), fill=content.color)
    size = unit if len(content.number) < 3 else round(unit * 2 / len(content.number))
    draw.text((pad + chip / 2, middle), content.number, (15, 18, 24), _font(size, True), "mm")
    left = pad + chip + gap
    for index, (name, value) in enumerate(lines):
        y = middle + (index - (len(lines) - 1) / 2) * row
        draw.text((left, y), name, _INK, bold, "lm")
        draw.text((left + bold.getlength(name) + gap, y), value, _MUTED, plain, "lm")
    right = left + body if lines else left - gap
    for titles, point in content.dials:
        _dial(draw, (right + pad, (height - dial + label) / 2, dial), content.color, titles, point, small)
        right += pad + dial + label
    return np.asarray(image.resize((max(1, round(width / _FINE)), max(1, round(height / _FINE))), Image.Resampling.BOX))


def _dial(
    draw: ImageDraw.ImageDraw,
    place: tuple[float, float, float],
    color: tuple[int, int, int],
    titles: tuple[str, str],
    point: tuple[float, float] | None,
    font: ImageFont.FreeTypeFont,
) -> None:
    """Draw two values as a point in a circle, the first to the right, the second up, with initials at the axes."""
    left, top, size = place
    x, y, radius = left + size / 2, top + size / 2, size / 2
    line = max(1, round(size / 40))
    draw.ellipse((left, top, left + size, top + size), fill=_FACE, outline=_RIM, width=line)
    draw.line((left, y, left + size, y), _AXIS, line)
    draw.line((x, top, x, top + size), _AXIS, line)
    gap = font.size * 0.15
    draw.text((left + size + gap, y), titles[0][:1].upper(), _MUTED, font, "lm")
    draw.text((x, top - gap), titles[1][:1].upper(), _MUTED, font, "mb")
    if point is None:
        return
    reach = max(1.0, float(np.hypot(*point)))  # project corners of the square onto the circle
    dx, dy = x + point[0] / reach * radius * 0.86, y - point[1] / reach * radius * 0.86
    dot = size * 0.11
    draw.line((x, y, dx, dy), (*color, 255), max(1, round(size / 16)))
    draw.ellipse((dx - dot, dy - dot, dx + dot, dy + dot), fill=color, outline=_INK, width=max(1, line))


@dataclass
class Placing:
    """Places cards beside people, preferring each card's previous position."""

    width: int
    height: int
    last: dict[int, int] = field(default_factory=dict)

    def place(self, who: int, box: Box, size: tuple[int, int], taken: Sequence[Box], people: Sequence[Box] = ()) -> Box:
        """A position for a card of ``size`` (width, height) beside a person's box.

        It is clear of the ``taken`` boxes and, where possible, of other ``people``.
        """
        places = [self._inside(x, y, size) for x, y in self._corners(box, size)]
        costs = [
            _common(place, box)
            + sum(_common(place, other) for other in people)
            + 4 * sum(_common(place, other) for other in taken)
            + 0.03 * index * size[0] * size[1]
            for index, place in enumerate(places)
        ]
        best = int(np.argmin(costs))
        before = self.last.get(who, best)
        if costs[before] <= costs[best] + 0.15 * size[0] * size[1]:
            best = before
        self.last[who] = best
        return places[best]

    def _corners(self, box: Box, size: tuple[int, int]) -> list[tuple[float, float]]:
        left, top, right, bottom = box
        (width, height), gap = size, self.height / 90
        middle, step = (left + right - width) / 2, height + gap
        above = [(middle, top - step * n) for n in (1, 2, 3)]
        below = [(middle, bottom + gap + step * n) for n in (0, 1)]
        beside = [(right + gap, top), (left - gap - width, top)]
        corners = [(gap, self.height - step), (self.width - gap - width, self.height - step)]
        return [above[0], *beside, *above[1:], *below, *corners]

    def _inside(self, x: float, y: float, size: tuple[int, int]) -> Box:
        left = min(max(x, 2.0), max(self.width - size[0] - 2.0, 0.0))
        top = min(max(y, 2.0), max(self.height - size[1] - 2.0, 0.0))
        return left, top, left + size[0], top + size[1]


def _common(one: Box, other: Box) -> float:
    """Area of the intersection of two boxes."""
    across = min(one[2], other[2]) - max(one[0], other[0])
    down = min(one[3], other[3]) - max(one[1], other[1])
    return max(0.0, across) * max(0.0, down)


def draw_leader(image: np.ndarray, place: Box, box: Box, color: tuple[int, int, int]) -> None:
    """Draw a leader line, in place, from a card to the top of the person's box unless they nearly touch."""
    height, width = image.shape[:2]
    end = ((box[0] + box[2]) / 2, box[1])
    start = (min(max(end[0], place[0]), place[2]), min(max(end[1], place[1]), place[3]))
    if np.hypot(end[0] - start[0], end[1] - start[1]) < height / 40:
        return
    low = [max(0, int(min(a, b)) - 3) for a, b in zip(start, end, strict=True)]
    high = [min(side, int(max(a, b)) + 4) for a, b, side in zip(start, end, (width, height), strict=True)]
    if low[0] >= high[0] or low[1] >= high[1]:
        return
    here = image[low[1] : high[1], low[0] : high[0]]
    fine = Image.new("L", (here.shape[1] * _FINE, here.shape[0] * _FINE))
    ends = [((x - low[0]) * _FINE, (y - low[1]) * _FINE) for x, y in (start, end)]
    ImageDraw.Draw(fine).line(ends, 200, max(_FINE, round(_FINE * height / 400)))
    cover = np.asarray(fine.resize((here.shape[1], here.shape[0]), Image.Resampling.BOX), np.float32)[..., None] / 255
    here[...] = np.round(here * (1 - cover) + np.array(color) * cover).astype(np.uint8)


def paste(image: np.ndarray, patch: np.ndarray, place: Box) -> None:
    """Blend a card ``[h, w, 4]`` into an image ``[H, W, 3]``, in place, clipped to the image."""
    left, top = round(place[0]), round(place[1])
    here = image[top : top + patch.shape[0], left : left + patch.shape[1]]
    patch = patch[: here.shape[0], : here.shape[1]]
    cover = patch[..., 3:].astype(np.float32) / 255
    here[...] = np.round(here * (1 - cover) + patch[..., :3] * cover).astype(np.uint8)
