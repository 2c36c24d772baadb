import json
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest

Person = tuple[float, float]
Write = Callable[..., None]


def person_json(x: float, y: float, size: float = 100, face: bool = False) -> dict[str, object]:
    """A body of 25 points on a grid around (x, y), confidence 0.9."""
    grid = [[x + size * (i % 5) / 5, y + size * (i // 5) / 5, 0.9] for i in range(25)]
    points = [[x + size * (i % 10) / 50, y + size * (i // 10) / 50, 0.8] for i in range(70)] if face else []
    return {
        "person_id": [-1],
        "pose_keypoints_2d": np.ravel(grid).tolist(),
        "face_keypoints_2d": np.ravel(points).tolist(),
        "hand_left_keypoints_2d": [],
        "hand_right_keypoints_2d": [],
    }


@pytest.fixture
def write_recording(tmp_path: Path) -> Write:
    """Write ``name`` as a recording below ``json/``: one list of (x, y) per frame."""

    def write(name: str, frames: list[list[Person]], folder: str = "json", first: int = 0) -> None:
        place = tmp_path / folder
        place.mkdir(parents=True, exist_ok=True)
        for number, people in enumerate(frames, first):
            text = json.dumps({"version": 1.3, "people": [person_json(*person) for person in people]})
            (place / f"{name}_{number:012d}_keypoints.json").write_text(text)

    return write
