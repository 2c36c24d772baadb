"""Other programs' keypoints in OpenPose's order, each value set by hand."""

import numpy as np
import pytest

from skelemo.skeleton import BODY_25, FACE_70, MEDIAPIPE_33, Part, layout
from skelemo.skeleton.mapping import LANDMARKS, by_name, face_70, from_mediapipe, in_layout


def landmarks(**points: tuple[float, float, float]) -> dict[str, np.ndarray]:
    """One person of MediaPipe with these points of the pose; all others are not visible."""
    found = {name: np.zeros((1, count, 3), np.float32) for name, count in LANDMARKS.items()}
    for name, point in points.items():
        found["pose"][0, MEDIAPIPE_33.index(name)] = point
    return found


def body(points: dict[str, np.ndarray], **options: bool) -> dict[str, list[float]]:
    """The visible points of the body, by name."""
    (found,) = from_mediapipe(layout("body_25"), points, **options)
    return {name: point.tolist() for name, point in zip(BODY_25.keypoints, found, strict=True) if point.any()}


@pytest.mark.parametrize(
    ("point", "kept"),
    [
        ((0.5, 0.25, 0.9), True),
        ((0.5, 0.25, 0.09), False),  # extrapolated
        ((1.25, 0.25, 0.9), False),  # outside the image
        ((0.5, -0.25, 0.9), False),
        ((50.0, 0.25, 0.9), True),  # damage, which the reader refuses
    ],
)
def test_extrapolated_landmarks_are_missing_and_damage_is_kept(point, kept):
    found = body(landmarks(Nose=point))
    assert list(found) == (["Nose"] if kept else [])
    if kept:
        np.testing.assert_allclose(found["Nose"], point, rtol=1e-6)


def test_landmarks_in_pixels_may_be_outside_the_image():
    assert list(body(landmarks(Nose=(700.0, -3.0, 1.0)), relative=False)) == ["Nose"]


def test_neck_and_mid_hip_are_midpoints_with_the_lower_confidence():
    found = body(landmarks(RShoulder=(0.25, 0.5, 0.75), LShoulder=(0.75, 0.25, 0.5), RHip=(0.25, 0.75, 1)))
    assert found["Neck"] == [0.5, 0.375, 0.5]
    assert "MidHip" not in found, "one hip is not visible"


def test_a_point_that_the_source_names_is_not_replaced_by_a_midpoint():
    names = ("Neck", "RShoulder", "LShoulder")
    points = np.array([[[5, 5, 0.5], [0, 0, 1], [4, 0, 1]]], np.float32)
    found = by_name(BODY_25, points, names)[0]
    assert found[BODY_25.index("Neck")].tolist() == [5, 5, 0.5]
    assert by_name(BODY_25, points[:, 1:], names[1:])[0, BODY_25.index("Neck")].tolist() == [2, 0, 1]


def test_a_mesh_without_irises_has_no_pupils_and_pairs_of_vertices_are_averaged():
    mesh = np.ones((1, 478, 3), np.float32)
    mesh[0, :, 0] = np.arange(478)
    with_pupils, without = face_70(mesh)[0], face_70(mesh[:, :468])[0]
    assert with_pupils[[68, 69], 0].tolist() == [468, 473]
    assert (without[[68, 69]] == 0).all()
    assert np.array_equal(with_pupils[:68], without[:68])
    assert with_pupils[3, 0] == (132 + 58) / 2
    assert with_pupils[[0, 8, 16], 0].tolist() == [127, 152, 356]


def test_parts_are_placed_by_name_and_others_are_missing():
    where = layout("body_25+face_70+hand_21x2")
    hand = np.full((2, 21, 3), 7, np.float32)
    found = in_layout({"hand_right_21": hand, FACE_70.name: np.full((2, 68, 3), 5, np.float32)}, where)
    assert (found[:, where.slices["hand_right_21"]] == 7).all()
    assert (found[:, where.slices["face_70"]][:, :68] == 5).all()
    assert (found[:, where.slices["face_70"]][:, 68:] == 0).all()
    assert (found[:, where.slices["body_25"]] == 0).all()
    assert (found[:, where.slices["hand_left_21"]] == 0).all()


def test_only_l_or_r_before_a_capital_is_a_side():
    part = Part("mouth_5", ("LCorner", "Lip", "RCorner", "Rim", "L"))
    assert part.mirror == (2, 1, 0, 3, 4)
