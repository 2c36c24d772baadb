from pathlib import Path

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from openpose_json import frame, person, points, write_video
from recordings import find_recordings

from skelemo.openpose.people import Guess, People, RecordingError, read_people
from skelemo.openpose.scale import to_pixels as without_torch
from skelemo.preprocess import to_pixels
from skelemo.skeleton import SCALES, layout

WIDTH, HEIGHT = 1280, 720
MODES = {"pixels": 0, "unit": 3, "signed": 4}


def rescale(keypoints: np.ndarray, mode: int) -> np.ndarray:
    """OpenPose's ``scaleKeypoints2d`` for a picture of 1280 x 720: missing points are moved along."""
    x, y, c = keypoints.astype(float).T
    if mode == 3:
        x, y = x / (WIDTH - 1), y / (HEIGHT - 1)
    if mode == 4:
        x, y = 2 * x / (WIDTH - 1) - 1, 2 * y / (HEIGHT - 1) - 1
    return np.stack([x, y, c], axis=1)


def someone(x: float, y: float, size: float, missing: int, mode: int, face: bool = True) -> dict[str, object]:
    """A body, of which the first points are missing, and a face; the face reaches out to the left and above."""
    random = np.random.default_rng(7)
    body = np.hstack([random.uniform((x, y), (x + size, y + size), (25, 2)), random.uniform(0.1, 1, (25, 1))])
    body[:missing] = 0
    faces = np.hstack([random.uniform((x - 60, y - 60), (x + 30, y + 30), (70, 2)), random.uniform(0.1, 1, (70, 1))])
    parts = {"pose": body, "face": faces if face else np.zeros((0, 3))}
    return person(**{part: rescale(array, mode).ravel().tolist() for part, array in parts.items()})


def read(folder: Path, *frames: bytes, scale: str = "auto") -> People:
    write_video(folder, dict(enumerate(frames)))
    (recording,) = find_recordings(folder)
    return read_people(recording, layout(), scale=scale)


@pytest.mark.parametrize("scale", MODES)
@pytest.mark.parametrize(("x", "y"), [(0, 0), (10, 300), (800, 500), (500, 100)])
@pytest.mark.parametrize("missing", [1, 6, 20])
def test_the_scale_is_detected_from_coordinates(tmp_path: Path, scale: str, x: float, y: float, missing: int) -> None:
    people = read(tmp_path, frame(someone(x, y, 200, missing, MODES[scale])), frame())
    assert people.scale == scale
    assert (people.keypoints[0, :25, 2] > 0).sum() == 25 - missing
    assert np.count_nonzero(people.keypoints[0].any(axis=1)) == 95 - missing


@pytest.mark.parametrize("scale", MODES)
def test_the_scale_is_detected_without_missing_points(tmp_path: Path, scale: str) -> None:
    assert read(tmp_path, frame(someone(500, 100, 200, 0, MODES[scale]))).scale == scale


@settings(max_examples=40, deadline=None)
@given(
    scale=st.sampled_from(list(MODES)),
    x=st.floats(0, WIDTH - 50),
    y=st.floats(0, HEIGHT - 50),
    missing=st.integers(1, 20),
    face=st.booleans(),
)
def test_the_scale_of_one_frame_with_a_missing_body_point_is_certain(
    tmp_path_factory: pytest.TempPathFactory, scale: str, x: float, y: float, missing: int, face: bool
) -> None:
    folder = tmp_path_factory.mktemp("clip")
    assert read(folder, frame(someone(x, y, 50, missing, MODES[scale], face))).scale == scale


def test_without_people_the_scale_is_pixels(tmp_path: Path) -> None:
    assert read(tmp_path, frame(), frame(person(pose=[0] * 75))).scale == "pixels"


def test_missing_points_at_minus_one_do_not_affect_pixels(tmp_path: Path) -> None:
    pose = points(25, 100)
    pose[:3] = [-1, -1, 0]
    assert read(tmp_path, frame(person(pose=pose))).scale == "pixels"


def test_a_few_points_in_the_corner_of_an_image_do_not_matter(tmp_path: Path) -> None:
    corner = [0.5, 1.5, 0.3] * 4 + [0] * 63
    assert read(tmp_path, frame(person(pose=corner)), frame(person(pose=points(25)))).scale == "pixels"


@pytest.mark.parametrize(("one", "other"), [("pixels", "unit"), ("pixels", "signed"), ("unit", "signed")])
def test_two_scales_in_one_recording_are_refused_unless_given(tmp_path: Path, one: str, other: str) -> None:
    frames = [frame(someone(300, 200, 300, 5, MODES[scale])) for scale in (one, one, one, other, one)]
    with pytest.raises(RecordingError, match=r"^clip: coordinates are in two scales: .*; separate .* or give --scale"):
        read(tmp_path, *frames)
    if one != "pixels":
        assert read(tmp_path, *frames, scale="signed").scale == "signed"


@pytest.mark.parametrize("scale", ["unit", "signed"])
def test_contradicted_units_are_refused(tmp_path: Path, scale: str) -> None:
    pixels, shares = (frame(someone(300, 200, 300, 5, mode)) for mode in (0, 3))
    expected = rf"^clip: --scale {scale}, but coordinates reach \d+ in clip_0+_keypoints.json: they are pixels"
    with pytest.raises(RecordingError, match=expected):
        read(tmp_path / "pixels", pixels, scale=scale)
    with pytest.raises(RecordingError, match="--scale pixels, but all coordinates are within 3 of 0"):
        read(tmp_path / "shares", shares, scale="pixels")


def test_an_ambiguous_recording_uses_the_prior(tmp_path: Path) -> None:
    write_video(tmp_path, {0: frame()})
    (recording,) = find_recordings(tmp_path)
    assert read_people(recording, layout(), prior=Guess(scale="signed")).scale == "signed"
    write_video(tmp_path, {0: frame(someone(300, 200, 300, 5, 0))})
    people = read_people(recording, layout(), prior=Guess(scale="signed"))
    assert (people.scale, people.certain.scale) == ("pixels", "pixels")


def test_the_error_names_a_file_of_each_scale(tmp_path: Path) -> None:
    frames = [frame(someone(300, 200, 300, 5, mode)) for mode in (3, 3, 0)]
    with pytest.raises(RecordingError) as error:
        read(tmp_path, *frames)
    assert "in pixels (1 person, first in clip_000000000002_keypoints.json)" in str(error.value)
    assert "within 3 of 0 (2, first in clip_000000000000_keypoints.json)" in str(error.value)


def test_a_signed_recording_with_zeros_for_missing_points_is_signed(tmp_path: Path) -> None:
    signed = [frame(someone(x, 300, 200, 0, 4)) for x in (300, 900)]
    zeros = frame(person(pose=[0, 0, 0] * 5 + [0.4, 0.3, 0.9] * 20))
    assert read(tmp_path, *signed, zeros).scale == "signed"


def test_to_pixels_inverts_openposes_scaling() -> None:
    rng = np.random.default_rng(2)
    pixels = np.column_stack([rng.uniform(0, [WIDTH - 1, HEIGHT - 1], (60, 2)), rng.integers(0, 2, 60)])
    pixels[:2] = [[WIDTH - 1, HEIGHT - 1, 1], [0, 0, 1]]
    given = np.stack([rescale(pixels, mode) for mode in MODES.values()]).astype(np.float32)
    scale = torch.tensor([SCALES.index(name) for name in MODES])
    found = to_pixels(torch.from_numpy(given), torch.tensor([[WIDTH, HEIGHT]] * 3), scale).numpy()
    expected = np.where(pixels[:, 2:] > 0, pixels, 0)
    np.testing.assert_allclose(found, np.stack([expected] * 3), atol=1e-3)
    assert found.dtype == np.float32
    for mode in (1, 2):
        np.testing.assert_allclose(without_torch(given[mode], list(MODES)[mode], (WIDTH, HEIGHT)), expected, atol=1e-3)


@pytest.mark.parametrize(("left", "scale"), [(-0.45, "unit"), (-0.55, "signed")])
def test_half_of_a_face_may_be_outside_of_an_image_in_fractions(tmp_path: Path, left: float, scale: str) -> None:
    face = [left, 0.1, 0.9] + [0.5, 0.25, 0.9] * 69
    body = [0.0, 0.0, 0.0] + [0.5, 0.25, 0.9] * 24
    assert read(tmp_path, frame(person(pose=body, face=face))).scale == scale


@pytest.mark.parametrize(("left", "scale"), [(-0.04, "unit"), (-0.06, "signed"), (2.9, "unit"), (3.1, "pixels")])
def test_joints_stay_in_the_image_and_only_pixels_are_far_out(tmp_path: Path, left: float, scale: str) -> None:
    body = [0.0, 0.0, 0.0, left, 0.1, 0.9] + [0.5, 0.25, 0.9] * 23
    assert read(tmp_path, frame(person(pose=body))).scale == scale
