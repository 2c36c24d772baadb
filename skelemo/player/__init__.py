"""The skeleton player: clips as self-contained HTML, drawn in OpenPose's colors on a canvas.

Coordinates are stored as 16 bits of their range, confidences as 8 bits; names are data, never markup.
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
    """Labels or predictions of one head over time, drawn below a clip.

    Parameters
    ----------
    name : title, such as ``label`` or a run's name.
    values : class indices ``[N]`` (-1 for none), or numbers ``[N, K]`` (NaN, or -1 for flags, for none).
    at : sorted positions ``[N]`` in the clip; by default all frames.
    shares : ``[N]`` probabilities of the classes.
    """

    name: str
    head: Head
    values: np.ndarray
    at: np.ndarray | None = None
    shares: np.ndarray | None = None

    def to_json(self) -> dict[str, Any]:
        """The track for ``tracks.js``, with numbers in base64."""
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
    """Keypoints to play.

    Parameters
    ----------
    points : ``[T, V, 3]`` x, y, confidence.
    numbers : ``[T]`` frame numbers; by default 0, 1, 2, ...
    size : width and height of the image; 0 for unknown.
    others : other people in the same frames, ``[T, V, 3]`` each, drawn faintly.
    at : position of the frame to show first.

    Raises `ConfigError`: points do not fit the layout, or there are no frames.
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
                    f"points of the clip: {list(points.shape)}; expected {list(expected)} for {self.layout.name}"
                )


def assets(nonce: str = "") -> str:
    """Style and script, needed once in a page with fragments (`fragment`)."""
    mark = f' nonce="{escape(nonce)}"' if nonce else ""
    return f"<style{mark}>\n{_text('player.css')}</style>\n<script{mark}>\n{script()}</script>"


def style() -> str:
    """The player's style sheet."""
    return _text("player.css")


def script(*names: str) -> str:
    """The player's JavaScript, or some of its files."""
    return "".join(_text(name) for name in names or _SCRIPTS)


def fragment(clip: Clip) -> str:
    """A clip's element, for a page with the `assets`, which plays after ``skelemo.start()``."""
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


def html(*clips: Clip) -> str:
    """Clips as one self-contained HTML fragment, for a notebook cell or a page."""
    return f"{assets()}\n{''.join(map(fragment, clips))}<script>skelemo.start()</script>"


def describe(layout: Layout) -> list[dict[str, Any]]:
    """What is needed to draw each part: position on V, limbs, colors, and names and sides of its points."""
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
    """A track of labels; soft labels become the largest share."""
    if head.kind != "classes":
        return Track(name, head, labels)
    largest = np.nan_to_num(labels).max(1) if labels.ndim == 2 else None
    return Track(name, head, hard_labels(labels), shares=largest)


def head_track(name: str, head: Head, outputs: np.ndarray, at: np.ndarray, length: int) -> Track:
    """A track of outputs ``[N, K]`` at positions of a clip; a single output applies to the whole clip."""
    if len(at) == 1 and length > 1:
        outputs, at = np.repeat(outputs, length, axis=0), np.arange(length)
    if head.kind == "classes":
        return Track(f"{head.name}: {name}", head, outputs.argmax(1), at, outputs.max(1))
    return Track(f"{head.name}: {name}", head, outputs, at)


def _side(part: Part, keypoint: str) -> str:
    """``left``, ``right`` or "", from the names of parts and keypoints."""
    if part.kind == "hand":
        return next((side for side in ("left", "right") if side in part.name), "")
    sided = part.kind == "body" and keypoint[1:2].isupper()
    return {"L": "left", "R": "right"}.get(keypoint[0], "") if sided else ""


def _pack(points: np.ndarray) -> dict[str, Any]:
    """Coordinates in steps of their range, confidences in 255ths, at least 1 for visible points."""
    visible = points[..., 2] > 0
    places = points[visible][:, :2].astype(np.float64)
    low, high = (places.min(0), places.max(0)) if len(places) else (np.zeros(2), np.ones(2))
    step = np.where(high > low, (high - low) / _STEPS, 1)
    steps = np.where(visible[..., None], np.round((points[..., :2] - low) / step), 0)
    confidence = np.where(visible, np.clip(np.round(points[..., 2] * 255), 1, 255), 0)
    return {"xy": packed(steps.clip(0, _STEPS), "<u2"), "confidence": packed(confidence, "u1"),
            "low": low.tolist(), "step": step.tolist()}  # fmt: skip


def packed(array: np.ndarray, kind: str) -> str:
    """An array converted to a type, in base64."""
    return base64.b64encode(np.ascontiguousarray(array, kind).tobytes()).decode()


@cache
def _text(name: str) -> str:
    return files("skelemo.player").joinpath(name).read_text("utf-8")
