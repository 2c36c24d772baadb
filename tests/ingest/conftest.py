import json
from collections.abc import Callable
from pathlib import Path

import pytest
from people_by_hand import person_json

Person = tuple[float, float]
Write = Callable[..., None]


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
