"""What OpenPose writes, made by hand for these tests."""

import json
from pathlib import Path
from typing import Any

PARTS = {"pose": 25, "face": 70, "hand_left": 21, "hand_right": 21}


def points(count: int, first: float = 100.0, confidence: float = 0.5) -> list[float]:
    """A list of `count` points at (first, first + 1), (first + 2, first + 3), … that differ from each other."""
    return [n for i in range(count) for n in (first + 2 * i, first + 2 * i + 1, confidence)]


def person(**parts: list[Any]) -> dict[str, Any]:
    """A person as JSON version 1.3 has them; parts that are not given are disabled."""
    two = {f"{part}_keypoints_2d": parts.get(part, []) for part in PARTS}
    three: dict[str, Any] = {f"{part}_keypoints_3d": [] for part in PARTS}
    return {"person_id": [-1], **two, **three}


def frame(*people: Any) -> bytes:
    return json.dumps({"version": 1.3, "people": list(people)}, separators=(",", ":")).encode()


def write_video(folder: Path, frames: dict[int, bytes], stem: str = "clip", ending: str = "_keypoints.json") -> None:
    folder.mkdir(parents=True, exist_ok=True)
    for number, data in frames.items():
        (folder / f"{stem}_{number:012d}{ending}").write_bytes(data)
