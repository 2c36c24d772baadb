"""What is known of a video beside its keypoints: a file that `skelemo extract` leaves in each recording's folder."""

import json
import math
from contextlib import suppress
from dataclasses import dataclass
from typing import Any

#: The file's name.
FACTS = "skelemo-video.json"
#: It is a screen long.
MOST_BYTES = 1 << 16
_WIDEST = 1_000_000


@dataclass(frozen=True)
class VideoFacts:
    """Width and height of the picture in pixels and frames per second; 0 for unknown."""

    width: int = 0
    height: int = 0
    fps: float = 0.0


NO_FACTS = VideoFacts()


def parse_facts(data: bytes) -> VideoFacts:
    """What a file tells; nothing where it is damaged or says what no video has."""
    told: Any = {}
    with suppress(ValueError, RecursionError):
        told = json.loads(data[:MOST_BYTES])
    if not isinstance(told, dict):
        return NO_FACTS
    size = told.get("width"), told.get("height")
    width, height = (value if type(value) is int and 0 < value < _WIDEST else 0 for value in size)
    fps: Any = told.get("fps")
    known = type(fps) in (int, float) and math.isfinite(fps) and 0 < fps < _WIDEST
    return VideoFacts(*((width, height) if width and height else (0, 0)), float(fps) if known else 0.0)


def read_facts(path: str) -> VideoFacts:
    """What a file tells; nothing where it cannot be read."""
    with suppress(OSError), open(path, "rb") as file:
        return parse_facts(file.read(MOST_BYTES))
    return NO_FACTS
