"""Real recordings: everybody and every frame that an independent count finds is read, to the last number."""

import json
import re
from collections import defaultdict
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from recordings import find_recordings

from skelemo.openpose.people import read_people
from skelemo.skeleton import BODY_25, BODY_MODELS, layout

EXPECTED = {
    "v1.0-coco18-old-keys": (1, 1),
    "v1.2-body25-face": (1, 8),
    "v1.2-body25-signer": (2, 300),
    "v1.2-coco18-candidates": (1, 90),
    "v1.3-body25-crowd": (1, 300),
    "v1.3-body25-kicks": (6, 546),
    "v1.3-coco18": (5, 5),
}


def numbers(person: dict[str, Any], part: str) -> np.ndarray:
    found = person.get(f"{part}_keypoints_2d", person.get(f"{part}_keypoints", []))
    return np.reshape(np.float32(found), (-1, 3))


def settled(points: np.ndarray) -> list[list[float]]:
    """Points as the cache holds them. Real confidences reach from -0.0002 to 1.05."""
    return [[x, y, min(c, 1.0)] if c > 0 else [0.0, 0.0, 0.0] for x, y, c in points.tolist()]


def by_hand(folder: Path) -> dict[str, dict[str, list[Any]]]:
    """People of each file, by recording, straight from the JSON."""
    found: dict[str, dict[str, list[Any]]] = defaultdict(dict)
    for file in sorted(folder.glob("*.json")):
        stem = re.sub(r"(_?\d{12}|^\d{4})?_keypoints\.json$", "", file.name) or folder.name
        found[stem][file.name] = json.loads(file.read_text())["people"]
    return found


@pytest.mark.parametrize("name", EXPECTED)
def test_counts_of_people_and_frames_match_an_independent_reading(shared_data: Path, name: str) -> None:
    folder = shared_data / "openpose" / name
    recordings, expected = find_recordings(folder), by_hand(folder)
    assert sorted(recording.name for recording in recordings) == sorted(expected)
    assert (len(recordings), sum(len(recording.files) for recording in recordings)) == EXPECTED[name]
    for recording in recordings:
        people = read_people(recording, layout())
        frames = expected[recording.name]
        assert people.problems == ()
        assert list(recording.files) == sorted(frames)
        assert np.diff(people.start).tolist() == [len(frames[file]) for file in recording.files]
        assert people.bytes_read == sum((folder / file).stat().st_size for file in frames)
        model = BODY_MODELS[people.body_model]
        written = [person for file in recording.files for person in frames[file]]
        for person, keypoints in zip(written, people.keypoints, strict=True):
            pose, face = numbers(person, "pose"), numbers(person, "face")
            assert len(pose) == len(model)
            for keypoint, point in zip(model.keypoints, settled(pose), strict=True):
                assert keypoints[BODY_25.index(keypoint)].tolist() == point
            assert keypoints[25:][: len(face)].tolist() == settled(face)


def test_the_faces_are_376_stills_of_one_person_without_a_body(shared_data: Path) -> None:
    recordings = find_recordings(shared_data / "faces")
    assert len(recordings) == 376
    assert len({recording.source for recording in recordings}) == 376
    assert {recording.source.split("/")[0] for recording in recordings} == {
        file.name for file in (shared_data / "faces").iterdir()
    }
    for recording in recordings:
        (person,) = json.loads((Path(recording.folder) / recording.files[0]).read_text())["people"]
        people = read_people(recording, layout())
        assert (people.body_model, people.scale, len(people.keypoints)) == ("", "pixels", 1)
        assert not people.keypoints[0, :25].any()
        assert np.array_equal(people.keypoints[0, 25:], numbers(person, "face"))
        assert (people.keypoints[0, 25:, 2] > 0).sum() == 67


def test_a_crowd_is_read_whole(shared_data: Path) -> None:
    (recording,) = find_recordings(shared_data / "openpose" / "v1.3-body25-crowd")
    people = read_people(recording, layout("body_25"))
    assert people.keypoints.shape == (4714, 25, 3)
    assert (np.diff(people.start).min(), np.diff(people.start).max()) == (14, 18)
    assert people.keypoints[..., 2].max() == 1
