"""What readers of other programs' files make of a few points written by hand."""

import json

import numpy as np
import pandas as pd
import pytest
from small_caches import a_sequence

from skelemo.errors import CacheError, InputError
from skelemo.formats import coco_wholebody, face_tables, mediapipe
from skelemo.formats.pose import _in_time
from skelemo.skeleton import layout

BODY, FACE = layout("body_25"), layout("face_70")


def coco(tmp_path, told):
    (tmp_path / "clip.json").write_text(json.dumps(told))
    return coco_wholebody.read(tmp_path / "clip.json", BODY, (0, 0))


def a_body(*points):
    """COCO's 17 points, the first as given: nose, left eye, right eye."""
    return np.concatenate([np.ravel(points), np.zeros(51 - 3 * len(points))]).tolist()


def found(clip, name, person=0):
    return clip.keypoints[person, BODY.index(f"body_25.{name}")].tolist()


def test_an_annotation_with_confidences_instead_of_visibility_keeps_them(tmp_path):
    body = a_body([10, 20, 0.25], [30, 40, 1], [50, 60, 2])
    told = {"images": [{"id": 1, "file_name": "a_1.jpg"}], "annotations": [{"image_id": 1, "keypoints": body}]}
    (clip,) = coco(tmp_path, told)
    assert [found(clip, name) for name in ("Nose", "LEye", "REye")] == [[10, 20, 0.25], [30, 40, 0.5], [50, 60, 1]]


def test_a_track_id_goes_before_an_index_and_both_before_openpifpafs_identity(tmp_path):
    names = ({"id_": 5, "idx": 4, "track_id": 3}, {"id_": 5, "idx": 4}, {"id_": 5}, {})
    (clip,) = coco(tmp_path, [{"image_id": 0, "keypoints": a_body([1, 2, 1]), **one} for one in names])
    assert clip.identity.tolist() == [3, 4, 5, -1]


@pytest.mark.parametrize(
    ("name", "video", "number"),
    [
        ("day 1\\walk_0012.jpg", "day 1/walk", 12),
        ("//day 1//walk-0012.png", "day 1/walk", 12),
        ("walk 2. 7.jpg", "walk 2", 7),
        ("000012.jpg", "", 12),
        ("take2_3.old.jpg", None, "'take2_3.old.jpg': the name does not end in a frame number"),
        ("a\0_1.jpg", None, "the name does not end in a frame number"),
        (f"a_{'9' * 25}.jpg", None, "the frame number of an image is 'None'; expected a whole number"),
        (True, None, "image_id is 'True'; expected a whole number"),
    ],
)
def test_an_images_name_is_a_recording_and_a_frame(tmp_path, name, video, number):
    told = [{"file_name": name, "keypoints": a_body([1, 2, 1])}]
    if video is None:
        with pytest.raises(InputError, match=r"clip\.json, entry 0: ") as error:
            coco(tmp_path, told)
        assert number in str(error.value)
    else:
        (clip,) = coco(tmp_path, told)
        assert (clip.video, clip.number.tolist()) == (video, [number])


def test_each_recording_has_the_size_of_its_own_images_and_none_if_they_disagree(tmp_path):
    sizes = {"a_1.jpg": (640, 480), "a_2.jpg": (640, 480), "b_1.jpg": (320, 240), "c_1.jpg": (640, 480),
             "c_2.jpg": (320, 240)}  # fmt: skip
    images = [
        {"id": name, "file_name": name, "width": width, "height": height} for name, (width, height) in sizes.items()
    ]
    clips = coco(tmp_path, {"images": images, "annotations": []})
    assert {clip.video: clip.size for clip in clips} == {"a": (640, 480), "b": (320, 240), "c": (0, 0)}
    assert [len(clip.keypoints) for clip in clips] == [0, 0, 0]


def test_the_depth_of_mmposes_points_is_dropped(tmp_path):
    points = [[10 + place, 20, 99] for place in range(17)]
    one = {"keypoints": points, "keypoint_scores": [0.5] * 17}
    (clip,) = coco(tmp_path, [{"frame_id": 4, "instances": [one]}])
    assert (found(clip, "Nose"), found(clip, "LEye")) == ([10, 20, 0.5], [11, 20, 0.5])
    assert (clip.number.tolist(), clip.first_frame) == ([4], 0)


@pytest.mark.parametrize(
    ("skeleton", "said"),
    [
        ([{"pose": [0.5] * 34, "score": [1] * 18}], "frame 0: pose has 34 numbers and score 18; expected 36 and 18"),
        ([{"pose": [0.5] * 36, "score": [1] * 17}], "frame 0: pose has 36 numbers and score 17; expected 36 and 18"),
        ([7], "frame 0: an instance is not an object"),
        (None, "frame 0: is NoneType; expected a list"),
    ],
)
def test_a_damaged_frame_of_kinetics_skeleton_is_named(tmp_path, skeleton, said):
    with pytest.raises(InputError, match=rf"clip\.json, {said}$"):
        coco(tmp_path, {"data": [{"frame_index": 1, "skeleton": skeleton}]})


def media(tmp_path, text, size=(0, 0)):
    (tmp_path / "clip.csv").write_text(text, "utf-8")
    return mediapipe.read(tmp_path / "clip.csv", BODY, size)


HEADER = "frame,type,landmark_index,x,y\n"


@pytest.mark.parametrize(("size", "kept"), [((0, 0), (0, 0)), ((640, 480), (640, 480)), ((640, 0), (0, 0))])
def test_landmarks_in_pixels_stay_as_they_are(tmp_path, size, kept):
    (clip,) = media(tmp_path, HEADER + "3,pose,0,300,200\n3,pose,15,-4,0.5\n", size)
    assert (found(clip, "Nose"), found(clip, "LWrist")) == ([300, 200, 1], [-4, 0.5, 1])
    assert (clip.scale, clip.size) == ("pixels", kept)


def test_a_single_landmark_far_outside_makes_no_pixels_of_shares(tmp_path):
    rows = ["0,pose,0,0.5,0.25", "0,pose,15,0.5,0.5", "0,pose,16,40,0.5"]
    (clip,) = media(tmp_path, HEADER + "\n".join(rows), (200, 100))
    assert (found(clip, "Nose"), found(clip, "LWrist")) == ([100, 25, 1], [100, 50, 1])
    (clip,) = media(tmp_path, HEADER + "\n".join(rows), (200, 0))
    assert (found(clip, "Nose"), clip.scale, clip.size) == ([0.5, 0.25, 1], "unit", (0, 0))


def test_a_tables_header_may_have_a_byte_order_mark_blanks_and_capitals(tmp_path):
    (clip,) = media(tmp_path, "\ufeffFrame, Type ,LANDMARK_INDEX,X,Y\n5, Pose ,0,0.5,0.25\n")
    assert (clip.number.tolist(), found(clip, "Nose")) == ([5], [0.5, 0.25, 1])


def test_the_index_of_a_parquet_file_is_a_column(tmp_path):
    table = pd.DataFrame({"frame": [4, 3], "x_pose_0": [0.5, 0.25], "y_pose_0": [0.5, 0.5]}).set_index("frame")
    table.to_parquet(tmp_path / "clip.parquet")
    (clip,) = mediapipe.read(tmp_path / "clip.parquet", BODY, (0, 0))
    assert (clip.number.tolist(), clip.first_frame) == ([3, 4], None)
    assert clip.keypoints[:, 0, 0].tolist() == [0.25, 0.5]


def test_rows_without_numbers_count_within_their_recording_and_person(tmp_path):
    rows = ["a,0,0.1", "b,0,0.2", "a,1,0.3", "a,0,0.4", "b,0,0.5", "a,1,0.6", "b,0,0.7"]
    clips = media(tmp_path, "video,person,x_pose_0,y_pose_0\n" + "\n".join(f"{row},0.5" for row in rows))
    assert {clip.video: clip.number.tolist() for clip in clips} == {"a": [0, 1], "b": [0, 1, 2]}
    first, second = clips
    assert (first.owner.tolist(), first.identity.tolist()) == ([0, 0, 1, 1], [0, 1, 0, 1])
    assert first.keypoints[:, 0, 0].tolist() == pytest.approx([0.1, 0.3, 0.4, 0.6])
    assert second.identity is None
    assert second.keypoints[:, 0, 0].tolist() == pytest.approx([0.2, 0.5, 0.7])


@pytest.mark.parametrize(
    ("text", "said"),
    [
        (HEADER + "0,pose,0,True,0.5\n0,pose,1,False,0.5\n", "row 1: x is 'True'; expected a number"),
        ("video,x_pose_0,y_pose_0\na,1,1\n,1,1\n", "row 2: video is 'nan'; expected the name of a recording"),
        (
            "sequence_id,x_pose_0,y_pose_0\n7,1,1\n,1,1\n",
            "row 2: sequence_id is 'nan'; expected the name of a recording",
        ),
    ],
)
def test_a_cell_that_cannot_be_meant_is_refused(tmp_path, text, said):
    with pytest.raises(InputError, match=said):
        media(tmp_path, text)


def face(tmp_path, frames, **more):
    """A table whose landmark n of row r lies at (100 + n + 1000 r, 200 - n)."""
    columns = {f"x_{n}": [100 + n + 1000 * row for row in range(len(frames))] for n in range(68)}
    columns |= {f"y_{n}": [200 - n] * len(frames) for n in range(68)}
    pd.DataFrame(columns | {"frame": frames} | more).to_csv(tmp_path / "face.csv", index=False)
    return face_tables.read(tmp_path / "face.csv", FACE, (0, 0))


@pytest.mark.parametrize(
    ("frames", "more", "first"),
    [
        ([1, 2], {"success": [1, 1]}, 1),
        ([9, 12], {"face_id": [0, 0]}, 1),
        ([0, 1], {"face_id": [0, 0], "success": [1, 1]}, 0),
        ([1, 2], {"FaceScore": [1, 1]}, 0),
    ],
    ids=["OpenFace", "OpenFace, cut out of a video", "another program, from 0", "py-feat"],
)
def test_the_number_of_the_first_frame_depends_on_the_program(tmp_path, frames, more, first):
    (clip,) = face(tmp_path, frames, **more)
    assert (clip.first_frame, clip.number.tolist()) == (first, frames)


def test_rows_in_any_order_keep_their_points_and_identities(tmp_path):
    (clip,) = face(tmp_path, [3, 1, 3], face_id=[7, 8, 9], confidence=[0.25, 0.5, 0.75])
    assert (clip.number.tolist(), clip.owner.tolist(), clip.identity.tolist()) == ([1, 3], [0, 1, 1], [8, 7, 9])
    assert clip.keypoints[:, 0].tolist() == [[1100, 200, 0.5], [100, 200, 0.25], [2100, 200, 0.75]]


def test_a_landmark_with_an_empty_cell_is_missing_alone(tmp_path):
    (clip,) = face(tmp_path, [1, 2], y_3=[None, 150])
    assert clip.keypoints[0, 2:5].tolist() == [[102, 198, 1], [0, 0, 0], [104, 196, 1]]
    assert clip.keypoints[1, 3].tolist() == [1103, 150, 1]


def test_videos_of_one_table_are_told_apart_by_name_and_a_single_one_is_the_files(tmp_path):
    clips = face(tmp_path, [0, 0, 1], input=["C:\\d\\b.mp4", "C:\\d\\a.mp4", "C:\\d\\b.mp4"])
    assert {clip.video: clip.keypoints[:, 0, 0].tolist() for clip in clips} == {"b": [100, 2100], "a": [1100]}
    assert [clip.video for clip in face(tmp_path, [0, 1], input=["/d/a.mp4"] * 2)] == [""]
    with pytest.raises(InputError, match=r"face\.csv, row 2: input is 'nan'; expected the name of a recording"):
        face(tmp_path, [0, 1], input=["/d/a.mp4", None])


def test_a_pose_file_may_have_a_hundred_numbers_per_frame_and_ten_thousand_more():
    """Two people; the longer has two frames: 10,200 numbers at most, counted over both."""
    late = a_sequence("late", 1, video="v", number=np.array([10_203]))
    early = a_sequence("early", 2, video="v", number=np.array([4, 6]))
    points = _in_time([late, early])
    assert points.shape == (10_200, 2, 25, 3)
    np.testing.assert_array_equal(points[[0, 2], 1], early.keypoints)
    np.testing.assert_array_equal(points[10_199, 0], late.keypoints[0])
    later = a_sequence("late", 1, video="v", number=np.array([10_204]))
    with pytest.raises(CacheError, match=r"v: 2 frames with numbers from 4 to 10204; a \.pose file would be"):
        _in_time([later, early])
