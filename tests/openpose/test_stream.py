"""Frames read one at a time: body model, units and image size are found once and kept."""

import numpy as np
import pytest
from openpose_json import frame, person, points

from skelemo.openpose.stream import FrameReader
from skelemo.openpose.validate import FrameError
from skelemo.skeleton import BODY_25, BODY_25B, COCO_18, layout

# A standing person, x and y of the joints that BODY_25 and BODY_25B share.
PLACES = {
    **{"Nose": (0, 0), "Neck": (0, 20), "RShoulder": (-18, 20), "LShoulder": (18, 20), "RElbow": (-20, 50)},
    **{"LElbow": (20, 50), "RWrist": (-20, 75), "LWrist": (20, 75), "MidHip": (0, 70), "RHip": (-10, 70)},
    **{"LHip": (10, 70), "RKnee": (-10, 110), "LKnee": (10, 110), "RAnkle": (-10, 150), "LAnkle": (10, 150)},
    **{"REye": (-3, -3), "LEye": (3, -3), "REar": (-7, 0), "LEar": (7, 0), "HeadTop": (0, -15)},
    **{"LBigToe": (14, 158), "LSmallToe": (17, 157), "LHeel": (9, 155)},
    **{"RBigToe": (-14, 158), "RSmallToe": (-17, 157), "RHeel": (-9, 155)},
}


def standing(model, x=200.0):
    """The JSON of a frame with this person in the order of a body model."""
    listed = [(x + PLACES[name][0], 100 + PLACES[name][1], 0.8) for name in model.keypoints]
    return frame(person(pose=[float(value) for point in listed for value in point]))


def nose_and_wrist(read):
    return read[0, [BODY_25.index("Nose"), BODY_25.index("LWrist")], 0].tolist()


def test_bodies_of_25_points_are_read_in_the_model_that_fits_most_frames():
    reader = FrameReader(layout("body_25"))
    for x in (200, 210, 220):
        assert nose_and_wrist(reader.read(standing(BODY_25B, x))) == [x, x + 20]
    for _ in range(40):
        reader.read(standing(BODY_25B))
        read = nose_and_wrist(reader.read(standing(BODY_25, 100)))
    for _ in range(50):
        read = nose_and_wrist(reader.read(standing(BODY_25, 100)))
    assert read != [100, 120], "the model is decided once, by the first frames"


def test_after_a_restart_body_model_and_units_are_found_anew():
    reader = FrameReader(layout("body_25"), size=(641, 481))
    for _ in range(3):
        assert nose_and_wrist(reader.read(standing(BODY_25B))) == [200, 220]
    reader.restart()
    assert nose_and_wrist(reader.read(standing(BODY_25, 300))) == [300, 320]
    assert reader.scale == "pixels"
    reader.restart()
    share = frame(person(pose=[0, 0, 0, *[0.5, 0.25, 0.9] * 24]))
    assert reader.read(share)[0, 1, :2].tolist() == [320, 120]
    assert reader.scale == "unit"


def test_a_body_of_another_size_than_before_is_refused_and_the_stream_goes_on():
    reader = FrameReader(layout("body_25"))
    reader.read(frame(person(pose=points(18))))
    with pytest.raises(FrameError, match="has BODY_25 bodies, unlike earlier frames with COCO_18"):
        reader.read(standing(BODY_25))
    assert len(reader.read(frame(person(pose=points(18))))) == 1


def test_a_smaller_body_is_mapped_by_name_with_the_hips_midpoint():
    (read,) = FrameReader(layout("body_25")).read(frame(person(pose=points(18))))
    right, left = (read[BODY_25.index(name)] for name in ("RHip", "LHip"))
    assert right[0] == 100 + 2 * COCO_18.index("RHip")
    assert read[BODY_25.index("MidHip"), 0] == (right[0] + left[0]) / 2


def test_coordinates_beyond_any_image_are_refused():
    with pytest.raises(FrameError, match=r"has coordinates beyond any image \(2e\+06\)"):
        FrameReader(layout("body_25")).read(frame(person(pose=[2e6, 5.0, 0.9, *points(24)])))


def test_people_without_points_are_dropped_and_damage_is_that_of_the_last_frame():
    reader = FrameReader(layout("body_25+face_70"))
    empty = person(pose=[0.0] * 75)
    assert len(reader.read(frame(empty, person(pose=points(25)), empty))) == 1
    assert len(reader.read(frame(person(pose=points(25), face=["x"] * 210)))) == 1
    assert "face_keypoints_2d has text at position 1" in reader.damage
    reader.read(frame(person(pose=points(25))))
    assert reader.damage == ""


def test_fractions_become_pixels_of_the_size_that_is_given_or_in_the_file():
    share = b'{"people": [{"pose_keypoints_2d": [0, 0, 0, %s]}], "canvas_width": 101, "canvas_height": 51}'
    share %= b", ".join([b"0.5, 0.2, 0.9"] * 24)
    for size, expected in (((0, 0), [50, 10]), ((201, 101), [100, 20])):
        reader = FrameReader(layout("body_25"), size=size)
        np.testing.assert_allclose(reader.read(share)[0, 1, :2], expected, rtol=1e-6)
    without = FrameReader(layout("body_25"))
    fractions = without.read(frame(person(pose=[0, 0, 0, *[0.5, 0.2, 0.9] * 24])))[0, 1, :2]
    np.testing.assert_allclose(fractions, [0.5, 0.2], rtol=1e-6)
    assert without.image_size == (1, 1), "fractions are those of an image of size 1"


def test_units_that_one_frame_leaves_open_are_decided_by_a_later_one():
    reader = FrameReader(layout("body_25"), size=(101, 101))
    few = frame(person(pose=[*[0.5, 0.2, 0.9] * 3, *[0.0] * 66]))
    assert reader.read(few)[0, 0, 0] == 50
    assert reader.scale == "", "three points may be in the corner of an image"
    assert reader.read(standing(BODY_25))[0, 0, 0] == 200
    assert reader.scale == "pixels"


def test_a_frame_in_two_scales_is_refused_and_the_next_is_read():
    reader = FrameReader(layout("body_25"), size=(101, 101))
    pixels, shares = person(pose=points(25)), person(pose=[0.5, 0.2, 0.9] * 25)
    with pytest.raises(FrameError, match=r"^has coordinates are in two scales|^has coordinates in two scales"):
        reader.read(frame(pixels, shares))
    assert reader.scale == "", "nothing is known of the units yet"
    assert reader.read(frame(pixels))[0, 0].tolist() == [100, 101, 0.5]
