"""Clips as HTML that plays by itself: in the report's page, in a notebook, anywhere without a server.

Nothing is requested. Coordinates have 16 bits of their range, confidences 8; names are data of the page, never markup.
"""

import base64
from collections.abc import Sequence
from dataclasses import dataclass
from functools import cache
from html import escape
from importlib.resources import files
from typing import Any

import numpy as np
import orjson

from skelemo.errors import ConfigError
from skelemo.skeleton import Layout, Part
from skelemo.targets import Head, hard_labels

_STEPS = 65_535
_SCRIPTS = ("skeleton.js", "tracks.js", "player.js")


@dataclass(frozen=True, eq=False)
class Track:
    """What is drawn below a clip over time: labels or predictions of one head.

    Parameters
    ----------
    name : in the page, such as ``label`` or a run's name.
    values : class numbers ``[N]`` (-1 for none), or numbers ``[N, K]`` (NaN, for flags -1, for none).
    at : positions ``[N]`` in the clip, ascending; all of them unless given.
    shares : ``[N]`` probabilities of the classes.
    """

    name: str
    head: Head
    values: np.ndarray
    at: np.ndarray | None = None
    shares: np.ndarray | None = None

    def to_json(self) -> dict[str, Any]:
        """The track as ``tracks.js`` takes it, numbers in base64."""
        gaps = np.diff(self.at) if self.at is not None and len(self.at) > 1 else np.ones(1)
        return self.head.to_json() | {
            "head": self.head.name,
            "name": self.name,
            "count": len(self.values),
            "every": float(np.median(gaps)),
            "values": packed(self.values, "<f4"),
            "at": None if self.at is None else packed(self.at, "<i4"),
            "shares": None if self.shares is None else packed(self.shares, "<f4"),
        }


@dataclass(frozen=True, eq=False)
class Clip:
    """Keypoints that a player shows.

    Parameters
    ----------
    points : ``[T, V, 3]`` x, y, confidence.
    numbers : ``[T]`` frame numbers; 0, 1, 2, ... unless given.
    size : width and height of the image, 0 where unknown.
    others : other people of the same frames, ``[T, V, 3]`` each, drawn pale.
    at : position of the frame that is shown first.

    Raises
    ------
    ConfigError
        Points that do not fit the layout, or no frame.
    """

    points: np.ndarray
    layout: Layout
    title: str = ""
    fps: float = 0.0
    size: tuple[int, int] = (0, 0)
    numbers: np.ndarray | None = None
    tracks: Sequence[Track] = ()
    others: Sequence[np.ndarray] = ()
    at: int = 0

    def __post_init__(self) -> None:
        expected = (max(1, len(self.points)), len(self.layout), 3)
        for points in (self.points, *self.others):
            if points.shape != expected:
                raise ConfigError(
                    f"points {list(points.shape)} of a clip; expected {list(expected)}: {self.layout.name}"
                )


def html(*clips: Clip) -> str:
    """Clips as one fragment of HTML with all that it takes to play them, for a notebook's cell or a page."""
    return f"{assets()}\n{''.join(map(fragment, clips))}<script>skelemo.start()</script>"


def assets(nonce: str = "") -> str:
    """Style and script, once in a page; every `fragment` in it then plays."""
    mark = f' nonce="{escape(nonce)}"' if nonce else ""
    return f"<style{mark}>\n{_text('player.css')}</style>\n<script{mark}>\n{script()}</script>"


def style() -> str:
    """The style sheet of the player."""
    return _text("player.css")


def script(*names: str) -> str:
    """The JavaScript of the player, or of some of its files."""
    return "".join(_text(name) for name in names or _SCRIPTS)


def fragment(clip: Clip) -> str:
    """A clip's element, to be placed in a page that has the `assets`."""
    data = {
        "title": clip.title,
        "fps": float(clip.fps),
        "size": list(clip.size),
        "parts": describe(clip.layout),
        "points": _pack(clip.points),
        "others": [_pack(points) for points in clip.others],
        "numbers": None if clip.numbers is None else packed(clip.numbers, "<i4"),
        "tracks": [track.to_json() for track in clip.tracks],
        "at": clip.at,
    }
    text = orjson.dumps(data).decode()
    for sign in "<>&\u2028\u2029":
        text = text.replace(sign, f"\\u{ord(sign):04x}")
    title = escape(clip.title or "skeleton")
    return (
        f'<div class="skelemo-player" data-skelemo-clip aria-label="{title}">'
        f'<script type="application/json">{text}</script></div>\n'
    )


def describe(layout: Layout) -> list[dict[str, Any]]:
    """By part what it takes to draw it: place on V, limbs, OpenPose's colors, names and sides of its points."""
    return [
        {
            "name": part.name,
            "kind": part.kind,
            "start": layout.slices[part.name].start,
            "points": len(part),
            "limbs": part.limbs,
            "colors": ["#{:02x}{:02x}{:02x}".format(*part.drawing.color(point)) for point in range(len(part))],
            "names": part.keypoints,
            "sides": [_side(part, name) for name in part.keypoints],
        }
        for part in layout.parts
    ]


def label_track(name: str, head: Head, labels: np.ndarray) -> Track:
    """A track of labels by the head's kind; shares of classes become the largest one."""
    if head.kind != "classes":
        return Track(name, head, labels)
    largest = np.nan_to_num(labels).max(1) if labels.ndim == 2 else None
    return Track(name, head, hard_labels(labels), shares=largest)


def head_track(name: str, head: Head, outputs: np.ndarray, at: np.ndarray, length: int) -> Track:
    """Outputs ``[N, K]`` at positions of a clip as a track; a single one counts for the whole clip."""
    if len(at) == 1 and length > 1:
        outputs, at = np.repeat(outputs, length, axis=0), np.arange(length)
    if head.kind == "classes":
        return Track(f"{head.name}: {name}", head, outputs.argmax(1), at, outputs.max(1))
    return Track(f"{head.name}: {name}", head, outputs, at)


def _side(part: Part, keypoint: str) -> str:
    """``left``, ``right`` or nothing, by the names of parts and keypoints."""
    if part.kind == "hand":
        return next((side for side in ("left", "right") if side in part.name), "")
    sided = part.kind == "body" and keypoint[1:2].isupper()
    return {"L": "left", "R": "right"}.get(keypoint[0], "") if sided else ""


def _pack(points: np.ndarray) -> dict[str, Any]:
    """Coordinates as steps of their range, confidences as 255ths; a visible point never becomes a missing one."""
    visible = points[..., 2] > 0
    places = points[visible][:, :2].astype(np.float64)
    low, high = (places.min(0), places.max(0)) if len(places) else (np.zeros(2), np.ones(2))
    step = np.where(high > low, (high - low) / _STEPS, 1)
    steps = np.where(visible[..., None], np.round((points[..., :2] - low) / step), 0)
    sure = np.where(visible, np.clip(np.round(points[..., 2] * 255), 1, 255), 0)
    return {"xy": packed(steps.clip(0, _STEPS), "<u2"), "confidence": packed(sure, "u1"),
            "low": low.tolist(), "step": step.tolist()}  # fmt: skip


def packed(array: np.ndarray, kind: str) -> str:
    """Numbers of a type, in base64."""
    return base64.b64encode(np.ascontiguousarray(array, kind).tobytes()).decode()


@cache
def _text(name: str) -> str:
    return files("skelemo.player").joinpath(name).read_text("utf-8")
