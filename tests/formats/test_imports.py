"""Imports: keypoints of other programs become the same people, in OpenPose's order, with their labels."""

import json

import numpy as np
import pandas as pd
import pytest
from click.testing import CliRunner

from skelemo.cache.store import open_cache
from skelemo.cli import main
from skelemo.errors import CacheError, InputError
from skelemo.formats import coco_wholebody, mediapipe
from skelemo.formats.importing import import_keypoints
from skelemo.formats.keypoint_files import Reader
from skelemo.ingest.task import Settings
from skelemo.skeleton import FACE_70, MEDIAPIPE_33, layout
from skelemo.skeleton.mapping import MEDIAPIPE_FACE

EVERYTHING = "body_25+face_70+hand_21x2"
ALL = layout(EVERYTHING)
COCO = "Nose LEye REye LEar REar LShoulder RShoulder LElbow RElbow LWrist RWrist LHip RHip LKnee RKnee LAnkle RAnkle"
FEET = "LBigToe LSmallToe LHeel RBigToe RSmallToe RHeel"


def a_person(x=0.0, seed=0):
    """133 points ``[133, 3]`` of somebody near x, a few missing."""
    rng = np.random.default_rng(seed)
    points = np.column_stack([rng.uniform(x, x + 100, 133), rng.uniform(0, 200, 133), rng.uniform(0.3, 1, 133)])
    points[[3, 40, 100], 2] = 0
    return points.round(3)


def run(tmp_path, told, form="coco_wholebody", name="clip.json", labels=None, **settings):
    """Import what a file tells; the cache by sequence: {id: (facts, keypoints, number)}."""
    (tmp_path / "in").mkdir(exist_ok=True)
    (tmp_path / "in" / name).write_text(told if isinstance(told, str) else json.dumps(told))
    return imported(tmp_path, form, labels, **settings)


def imported(tmp_path, form, labels=None, first_frame=0, **settings):
    settings = Settings(**{"layout": EVERYTHING} | settings)
    import_keypoints(tmp_path / "in", form, tmp_path / "cache", labels, settings, first_frame=first_frame)
    cache = open_cache(tmp_path / "cache")
    frames = cache.read()
    found = {}
    for row in cache.sequences.to_dict("records"):
        here = slice(row["start"], row["start"] + row["length"])
        labels = next((frames.labels[head.name][here] for head in cache.heads if head.kind == "classes"), None)
        found[row["id"]] = row, frames.keypoints[here], frames.number[here], labels
    return found


def expected_of(points):
    """The same person in OpenPose's order, point by point by name."""
    made = np.zeros((len(ALL), 3), np.float32)
    for place, name in enumerate((COCO + " " + FEET).split()):
        made[ALL.index(f"body_25.{name}")] = points[place]
    for middle, sides in (("Neck", "RShoulder LShoulder"), ("MidHip", "RHip LHip")):
        one, other = (made[ALL.index(f"body_25.{side}")] for side in sides.split())
        if one[2] and other[2]:
            made[ALL.index(f"body_25.{middle}")] = [*(one[:2] + other[:2]) / 2, min(one[2], other[2])]
    made[25 : 25 + 68] = points[23:91]
    made[95:116], made[116:137] = points[91:112], points[112:133]
    made[made[:, 2] == 0] = 0
    return made


def results(frames, **more):
    """COCO's results of one person in these frames."""
    return [{"image_id": number, "keypoints": a_person(seed=number).ravel().tolist(), **more} for number in frames]


# COCO-WholeBody


def test_coco_results_become_openposes_points(tmp_path):
    _, keypoints, number, _ = run(tmp_path, results([7, 3, 12]))["clip"]
    assert number.tolist() == [3, 7, 12]
    for frame, one in zip(number.tolist(), keypoints, strict=True):
        np.testing.assert_allclose(one, expected_of(a_person(seed=frame)), rtol=1e-6)
    assert not keypoints[:, ALL.index("face_70.RPupil"), 2].any()


def test_body_and_parts_in_lists_of_their_own_are_the_same_as_133(tmp_path):
    points = a_person().ravel().tolist()
    names = ("keypoints", "foot_kpts", "face_kpts", "lefthand_kpts", "righthand_kpts")
    ends = np.array([0, 17, 23, 91, 112, 133]) * 3
    entry = {name: points[start:end] for name, start, end in zip(names, ends[:-1], ends[1:], strict=True)}
    _, keypoints, _, _ = run(tmp_path, [{"image_id": 0, **entry}])["clip"]
    np.testing.assert_allclose(keypoints[0], expected_of(a_person()), rtol=1e-6)
    del entry["face_kpts"]
    (tmp_path / "second").mkdir()
    _, keypoints, _, _ = run(tmp_path / "second", [{"image_id": 0, **entry}])["clip"]
    assert not keypoints[0, 25:95].any()


def test_visibility_of_annotations_becomes_confidence_and_images_without_people_are_frames(tmp_path):
    points = a_person()
    points[:, 2] = np.arange(133) % 3
    images = [{"id": 50 + number, "file_name": f"day 1/walk_{number:04}.jpg"} for number in (1, 2, 4)]
    told = {"images": images, "annotations": [{"image_id": 52, "keypoints": points.ravel().tolist()}]}
    row, keypoints, number, _ = run(tmp_path, told)["clip/day 1/walk"]
    assert number.tolist() == [1, 2, 4]
    points[:, 2] /= 2
    np.testing.assert_allclose(keypoints[1], expected_of(points), rtol=1e-6)
    assert not keypoints[[0, 2]].any()
    assert row["video"] == "clip/day 1/walk"


def sized(number, **size):
    return {"id": number, "file_name": f"1-30-1280x720_{number}.jpg", **size}


@pytest.mark.parametrize(
    ("second", "size"),
    [
        ({"width": 640, "height": 480}, (640, 480)),
        ({}, (640, 480)),
        ({"width": None, "height": 0}, (640, 480)),
        ({"width": 320, "height": 240}, (1280, 720)),
    ],
    ids=["alike", "not there", "not known", "at odds, so that the name tells"],
)
def test_the_size_of_the_images_is_that_of_the_recording(tmp_path, second, size):
    told = {"images": [sized(1, width=640, height=480), sized(2, **second)], "annotations": results([1, 2])}
    row, *_ = run(tmp_path, told, width=99, height=99)["clip/1-30-1280x720"]
    assert (row["width"], row["height"]) == size


def test_the_given_size_is_used_without_one_in_file_or_name(tmp_path):
    told = {"images": [{"id": 1, "file_name": "walk_1.jpg", "width": 640}], "annotations": results([1])}
    row, *_ = run(tmp_path, told, width=99, height=66)["clip/walk"]
    assert (row["width"], row["height"]) == (99, 66)


def predictions(first):
    """MMPose's of somebody in two of three frames, the first with this number."""
    frames = []
    for place in range(3):
        points = a_person(seed=place)
        one = {"keypoints": points[:, :2].tolist(), "keypoint_scores": points[:, 2].tolist(), "bbox": [[0, 0, 1, 1]]}
        frames.append({"frame_id": first + place, "instances": [one] if place != 1 else []})
    return frames


@pytest.mark.parametrize("first_frame", [0, 1])
@pytest.mark.parametrize(
    "told",
    [{"meta_info": {}, "instance_info": predictions(1)}, predictions(0), {"instance_info": predictions(0)}],
    ids=["a demo's, counted from 1", "an inferencer's, from 0", "in a demo's form, but from 0"],
)
def test_mmposes_predictions_begin_with_frame_0_and_keep_their_empty_frames(tmp_path, told, first_frame):
    _, keypoints, number, _ = run(tmp_path, told, first_frame=first_frame)["clip"]
    assert number.tolist() == [0, 1, 2]
    assert not keypoints[1].any()
    np.testing.assert_allclose(keypoints[2], expected_of(a_person(seed=2)), rtol=1e-6)


def test_mmposes_prediction_of_one_image_is_frame_0(tmp_path):
    (one,) = predictions(0)[0]["instances"]
    assert run(tmp_path, {"instance_info": [one]})["clip"][2].tolist() == [0]


@pytest.mark.parametrize(("first_frame", "expected"), [(1, [0, 1, 6]), (0, [1, 2, 7])])
def test_labels_count_from_the_first_frame_number(tmp_path, first_frame, expected):
    told = [{"file_name": f"{one['image_id']:05}.jpg", **one} for one in results([1, 2, 7])]
    (tmp_path / "labels.csv").write_text("video,frame,label\nclip,0,happy\nclip,1,sad\nclip,6,fear\nclip,7,anger\n")
    labels = f"table:{tmp_path / 'labels.csv'}"
    _, _, number, expression = run(tmp_path, told, labels=labels, first_frame=first_frame)["clip"]
    assert number.tolist() == expected
    assert expression.tolist() == ([0, 1, 6] if first_frame else [1, -1, 3])


def test_a_table_counts_from_its_first_frame_unless_it_has_no_numbers(tmp_path):
    for place, table in (
        ("numbers", landmarks(3).assign(frame=lambda one: one["frame"] + 1)),
        ("none", wide(landmarks(3))),
    ):
        (tmp_path / place).mkdir()
        written(tmp_path / place, table.drop(columns="frame") if place == "none" else table)
        assert imported(tmp_path / place, "mediapipe", first_frame=1)["clip"][2].tolist() == [0, 1, 2]


def test_a_frame_before_the_first_is_refused(tmp_path):
    with pytest.raises(
        InputError, match=r"clip\.json, walk: frame 0; expected numbers from --first-frame 1: "
    ) as error:
        run(tmp_path, [{"file_name": "walk_0.jpg", **one} for one in results([0])], first_frame=1)
    assert "\n" not in str(error.value)
    assert not (tmp_path / "cache").exists()


def test_identities_come_from_track_ids_or_tracking(tmp_path):
    told = []
    for frame in range(12):
        for name, x in ((8, 0), (5, 500)):
            crossed = x if frame < 6 else 500 - x  # where they stand: the ids change places in the middle
            entry = {"image_id": frame, "keypoints": a_person(crossed, seed=crossed).ravel().tolist(), "track_id": name}
            told.append(entry)
    found = run(tmp_path, told, person="all")
    assert len(found) == 2
    for _, keypoints, _, _ in found.values():
        assert abs(keypoints[0, 0, 0] - keypoints[-1, 0, 0]) > 300
    (tmp_path / "second").mkdir()
    for entry in told:
        del entry["track_id"]
    for _, keypoints, _, _ in run(tmp_path / "second", told, person="all").values():
        assert abs(keypoints[0, 0, 0] - keypoints[-1, 0, 0]) < 100


def test_a_person_without_an_identity_leaves_the_others_theirs(tmp_path):
    told = [one for frame in (3, 2) for one in (*results([frame], track_id=8), *results([frame]))]
    (tmp_path / "clip.json").write_text(json.dumps(told))
    (clip,) = coco_wholebody.read(tmp_path / "clip.json", ALL, (0, 0))
    assert clip.number.tolist() == [2, 3]
    assert clip.owner.tolist() == [0, 0, 1, 1]
    assert clip.identity.tolist() == [8, -1, 8, -1]
    for entry in told:
        entry.pop("track_id", None)
    (tmp_path / "none.json").write_text(json.dumps(told))
    (clip,) = coco_wholebody.read(tmp_path / "none.json", ALL, (0, 0))
    assert clip.identity is None


def test_labels_are_matched_as_by_an_ingest(tmp_path):
    (tmp_path / "labels.csv").write_text("video,label,subject,split\nclip,happy,Ann,train\n")
    row, _, _, expression = run(tmp_path, results(range(3)), labels=f"table:{tmp_path / 'labels.csv'}")["clip"]
    assert (row["subject"], row["splits"]) == ("Ann", {"split": "train"})
    assert expression.tolist() == [0, 0, 0]


# Halpe's 26 points by BODY_25's names, written from its own list; the others have no place.
HALPE = COCO + " Head Neck Hip LBigToe RBigToe LSmallToe RSmallToe LHeel RHeel"
OPENPOSE_18 = "Nose Neck RShoulder RElbow RWrist LShoulder LElbow LWrist RHip RKnee RAnkle LHip LKnee LAnkle REye LEye"


def points_of(count):
    """Points whose x is 10 and their place, for telling them apart."""
    return np.column_stack([np.arange(count) + 10.0, np.full(count, 5.0), np.full(count, 0.5)])


def assert_named(person, names, first=10.0):
    """The names that BODY_25 has are where they should be; its neck and middle of the hips are made."""
    for place, name in enumerate(names.split()):
        if f"body_25.{name}" in ALL.keypoints and name not in ("Neck", "MidHip"):
            np.testing.assert_allclose(person[ALL.index(f"body_25.{name}")], [first + place, 5, 0.5], err_msg=name)


@pytest.mark.parametrize(("count", "names"), [(17, COCO), (26, HALPE), (136, HALPE)])
def test_alphaposes_results_have_17_26_or_136_points_and_identities(tmp_path, count, names):
    told = [
        {"image_id": f"{frame}.jpg", "keypoints": points_of(count).ravel().tolist(), "score": 2.5, "idx": 4}
        for frame in range(12)
    ]
    ((_, keypoints, number, _),) = run(tmp_path, told, "alphapose", person="all").values()
    assert number.tolist() == list(range(12))
    assert open_cache(tmp_path / "cache").sequences["person"].tolist() == ["person4"]
    assert_named(keypoints[3], names)
    if count == 136:
        assert keypoints[3, 25:93, 0].tolist() == list(range(36, 104)), "the face"
        assert keypoints[3, 95:137, 0].tolist() == list(range(104, 146)), "left hand, right hand"


def test_mmposes_body_models_are_read_too(tmp_path):
    points = points_of(17)
    one = {"keypoints": points[:, :2].tolist(), "keypoint_scores": points[:, 2].tolist()}
    told = {"instance_info": [{"frame_id": 1, "instances": [one]}]}
    assert_named(run(tmp_path, told, "mmpose")["clip"][1][0], COCO)


def test_openpifpafs_video_is_a_line_for_each_frame(tmp_path):
    one = {"keypoints": points_of(17).ravel().tolist(), "bbox": [0, 0, 1, 1], "category_id": 1, "id_": 3}
    lines = [json.dumps({"frame": frame, "predictions": [one] if frame != 2 else []}) for frame in (1, 2, 3)]
    _, keypoints, number, _ = run(tmp_path, "\n".join(lines), "openpifpaf", first_frame=1)["clip"]
    assert number.tolist() == [0, 1, 2]
    assert keypoints[..., 2].any(axis=1).tolist() == [True, False, True]
    assert_named(keypoints[2], COCO)


def test_kinetics_skeletons_are_openposes_18_points_in_shares_of_the_image(tmp_path):
    points = points_of(18) / (100, 10, 1)
    one = {"pose": points[:, :2].ravel().tolist(), "score": points[:, 2].tolist()}
    told = {"data": [{"frame_index": n, "skeleton": [one]} for n in (1, 2)], "label": "waving", "label_index": 7}
    row, keypoints, number, _ = run(tmp_path, told, "kinetics_skeleton")["clip"]
    assert number.tolist() == [0, 1]
    assert row["scale"] == "unit"
    assert_named(keypoints[1] * (100, 10, 1), OPENPOSE_18)


UNKNOWN_IMAGE = {"images": [{"id": 1, "file_name": "a_1.jpg"}], "annotations": [{"image_id": 2}]}
SIXTEEN = {"keypoints": [[1, 2]] * 16, "keypoint_scores": [1] * 16}
BODY_ONLY = {"instance_info": [{"frame_id": 0, "instances": [SIXTEEN]}]}
COCO_HOSTILE = {
    "no JSON": ("{", "not JSON"),
    "NaN": ('[{"image_id": 0, "keypoints": [NaN]}]', "not JSON"),
    "a word": ('"people"', "the file: is str; expected a list"),
    "nothing": ("[]", "no frames; expected"),
    "no object": ("[3]", "entry 0: is int; expected an object"),
    "too few numbers": ([{"image_id": 0, "keypoints": [1, 2, 3]}], "entry 0: keypoints has 3 numbers; expected 399"),
    "ragged numbers": ([{"image_id": 0, "keypoints": [[1], [2, 3]]}], "entry 0: keypoints is ragged"),
    "words": ([{"image_id": 0, "keypoints": ["a"] * 399}], "entry 0: keypoints is not a list of numbers"),
    "an endless number": (f'[{{"image_id": 0, "keypoints": [1e999{", 1" * 398}]}}]', "not"),
    "no keypoints": ([*results([0]), {"image_id": 1}], "entry 1: keypoints is not a list of numbers"),
    "a negative frame": ([{"image_id": -4, "keypoints": [0] * 399}], "entry 0: image_id is '-4'"),
    "an absurd frame": ([{"image_id": 2**40, "keypoints": [0] * 399}], "whole number from 0 to 2147483647"),
    "no frame": ([{"keypoints": [0] * 399}], "entry 0: image_id is 'None'"),
    "a name without a frame": ([{"file_name": "x.jpg", "keypoints": [0] * 399}], "does not end in a frame number"),
    "a wrong hand": (
        [{"image_id": 0, "keypoints": [0] * 51, "lefthand_kpts": [0] * 60}],
        "lefthand_kpts has 60 numbers; expected 63",
    ),
    "an unknown image": (UNKNOWN_IMAGE, "annotation 0: image_id '2' is not in images"),
    "an image without id": ({"images": [{}], "annotations": []}, "an image has no id"),
    "an image of no size": (
        {"images": [{"id": 1, "width": -640, "height": 480}], "annotations": []},
        "the width of an image is '-640'",
    ),
    "instances of 16 points": (BODY_ONLY, "frame 0: keypoints are"),
    "a frame without id": ({"instance_info": [{"instances": []}]}, "frame 0: frame_id is 'None'"),
    "a point beyond any image": (
        [{"image_id": 4, "keypoints": [1e9, 0, 1] * 133}],
        r"frame 4 has a coordinate beyond 1e\+06",
    ),
}


@pytest.mark.parametrize(("told", "said"), COCO_HOSTILE.values(), ids=COCO_HOSTILE)
def test_an_invalid_coco_file_is_a_one_line_error(tmp_path, told, said):
    with pytest.raises(InputError, match=said) as error:
        run(tmp_path, told)
    assert str(tmp_path / "in" / "clip.json") in str(error.value)
    assert "\n" not in str(error.value)
    assert [path.name for path in tmp_path.iterdir()] == ["in"]


# MediaPipe


def landmarks(frames=4, kinds=("pose", "face", "left_hand", "right_hand"), irises=True, seed=0):
    """Rows as Kaggle has them: frame, type, landmark_index, x, y, z."""
    counts = {"pose": 33, "face": 478 if irises else 468, "left_hand": 21, "right_hand": 21}
    rng = np.random.default_rng(seed)
    rows = [(frame, kind, index) for frame in range(frames) for kind in kinds for index in range(counts[kind])]
    table = pd.DataFrame(rows, columns=["frame", "type", "landmark_index"])
    for axis in "xyz":
        table[axis] = rng.uniform(0.1, 0.9, len(table)).round(6)
    table.loc[(table["frame"] == 1) & (table["type"] == "left_hand"), ["x", "y", "z"]] = np.nan
    return table


def wide(table):
    """The same, a row for each frame."""
    columns = {"frame": sorted(set(table["frame"]))}
    for axis in "xyz":
        for (kind, index), rows in table.groupby(["type", "landmark_index"]):
            columns[f"{axis}_{kind}_{index}"] = rows.sort_values("frame")[axis].to_numpy()
    return pd.DataFrame(columns)


def written(tmp_path, table, name="clip.csv"):
    (tmp_path / "in").mkdir(exist_ok=True)
    path = tmp_path / "in" / name
    if name.endswith("parquet"):
        table.to_parquet(path)
    else:
        table.to_csv(path, index=False)


def at(table, frame, kind, index):
    row = table[(table["frame"] == frame) & (table["type"] == kind) & (table["landmark_index"] == index)]
    return row[["x", "y"]].to_numpy(np.float32)[0]


def test_mediapipes_landmarks_become_openposes_points(tmp_path):
    table = landmarks()
    written(tmp_path, table)
    _, keypoints, number, _ = imported(tmp_path, "mediapipe")["clip"]
    assert number.tolist() == [0, 1, 2, 3]
    single = {
        "body_25.Nose": 0,
        "body_25.LShoulder": 11,
        "body_25.RAnkle": 28,
        "body_25.LHeel": 29,
        "body_25.RBigToe": 32,
    }
    for name, index in single.items():
        np.testing.assert_allclose(keypoints[2, ALL.index(name)], [*at(table, 2, "pose", index), 1], rtol=1e-6)
    neck = (at(table, 2, "pose", 11) + at(table, 2, "pose", 12)) / 2
    np.testing.assert_allclose(keypoints[2, ALL.index("body_25.Neck"), :2], neck, rtol=1e-6)
    assert not keypoints[:, ALL.index("body_25.LSmallToe")].any()
    for name, vertices in {
        "REye0": [33],
        "LEye3": [263],
        "OuterMouth0": [61],
        "NoseBridge0": [168, 6],
        "LPupil": [473],
    }.items():
        middle = np.mean([at(table, 3, "face", vertex) for vertex in vertices], axis=0)
        np.testing.assert_allclose(keypoints[3, ALL.index(f"face_70.{name}"), :2], middle, rtol=1e-6)
    np.testing.assert_allclose(keypoints[0, ALL.index("hand_right_21.Pinky4"), :2], at(table, 0, "right_hand", 20))
    assert not keypoints[1, 95:116].any(), "a hand that was not seen is missing"
    assert open_cache(tmp_path / "cache").sequences["scale"].tolist() == ["unit"]


@pytest.mark.parametrize("name", ["clip.csv", "clip.csv.gz", "clip.parquet"])
def test_wide_and_long_tables_are_equivalent(tmp_path, name):
    for place, table in (("long", landmarks()), ("wide", wide(landmarks()))):
        (tmp_path / place).mkdir()
        written(tmp_path / place, table, name)
    long, other = (imported(tmp_path / place, "mediapipe")["clip"][1] for place in ("long", "wide"))
    assert np.array_equal(long, other)


def test_a_known_picture_makes_pixels_of_shares(tmp_path):
    table = landmarks(kinds=("pose",))
    written(tmp_path, table, "1-30-640x480.csv")
    row, keypoints, _, _ = imported(tmp_path, "mediapipe")["1-30-640x480"]
    np.testing.assert_allclose(keypoints[0, 0, :2], at(table, 0, "pose", 0) * [640, 480], rtol=1e-6)
    assert (row["width"], row["height"], row["fps"]) == (640, 480, 30)
    assert open_cache(tmp_path / "cache").sequences["scale"].tolist() == ["pixels"]


def test_people_of_a_mediapipe_table_keep_their_identities(tmp_path):
    rows = [f"{frame},{person},pose,0,0.{person},0.5" for frame in (1, 0) for person in (7, 3)]
    (tmp_path / "two.csv").write_text("\n".join(["frame,person,type,landmark_index,x,y", *rows]))
    (clip,) = mediapipe.read(tmp_path / "two.csv", ALL, (100, 100))
    assert (clip.owner.tolist(), clip.identity.tolist()) == ([0, 0, 1, 1], [3, 7, 3, 7])
    assert clip.keypoints[:, ALL.index("body_25.Nose"), 0].tolist() == pytest.approx([30, 70, 30, 70])
    (tmp_path / "one.csv").write_text("\n".join(["frame,person,type,landmark_index,x,y", *rows[::2]]))
    assert mediapipe.read(tmp_path / "one.csv", ALL, (100, 100))[0].identity is None


def test_a_landmark_without_x_or_y_is_missing_and_one_without_visibility_is_sure(tmp_path):
    cells = ["0,0.5,0.25,", "11,0.5,,0.9", "12,,0.5,0.9", "15,0.5,0.5,0.75"]
    rows = ["frame,type,landmark_index,x,y,visibility", *(f"0,pose,{cell}" for cell in cells), "1,pose,0,0.5,0.5,0.9"]
    ((_, keypoints, _, _),) = run(tmp_path, "\n".join(rows), "mediapipe", "clip.csv", width=200, height=100).values()
    names = ("Nose", "LShoulder", "RShoulder", "LWrist", "Neck")
    found = {name: keypoints[0, ALL.index(f"body_25.{name}")].tolist() for name in names}
    assert found == {name: [0, 0, 0] for name in names} | {"Nose": [100, 25, 1], "LWrist": [100, 50, 0.75]}


def test_the_mesh_without_irises_has_no_pupils(tmp_path):
    written(tmp_path, landmarks(irises=False))
    _, keypoints, _, _ = imported(tmp_path, "mediapipe")["clip"]
    assert not keypoints[:, 25 + 68 : 25 + 70].any()
    assert keypoints[:, 25 : 25 + 68, 2].all()


def test_bare_columns_are_a_pose_with_its_visibility(tmp_path):
    columns = {f"{axis}_{index}": [0.25, 0.5] for index in range(33) for axis in "xy"}
    columns |= {f"visibility_{index}": [0.7, 0.0] for index in range(33)}
    written(tmp_path, pd.DataFrame(columns))
    _, keypoints, number, _ = imported(tmp_path, "mediapipe")["clip"]
    assert number.tolist() == [0, 1]
    np.testing.assert_allclose(keypoints[0, 0], [0.25, 0.25, 0.7])
    assert not keypoints[1].any()


def test_a_file_of_several_recordings_and_people(tmp_path):
    one, two = landmarks(kinds=("pose",)), landmarks(kinds=("pose",), seed=1)
    pair = pd.concat([one.assign(person=0), two.assign(person=1)])
    written(tmp_path, pd.concat([pair.assign(sequence_id=11), one.assign(person=0, sequence_id=12)]))
    found = imported(tmp_path, "mediapipe", person="all")
    assert set(found) == {"clip/11_person0", "clip/11_person1", "clip/12_person0"}


LONG = "frame,type,landmark_index,x,y\n"
MEDIAPIPE_HOSTILE = {
    "no rows": (LONG, "the table has no rows"),
    "an empty file": ("", "cannot be read as a table"),
    "ragged rows": (LONG + "0,pose,0,1,1\n0,pose,1,1,1,1,1\n", "cannot be read as a table"),
    "no column x": ("frame,type,landmark_index,y\n0,pose,0,1\n", "no column 'x'; expected frame"),
    "no landmarks at all": ("time,speed\n0,1\n", "no columns of landmarks; expected frame"),
    "a word for a number": (LONG + "0,pose,0,1,1\n0,pose,1,left,1\n", "row 2: x is 'left'; expected a number"),
    "an endless number": (LONG + "0,pose,0,inf,1\n", "row 1: x is 'inf'"),
    "a negative frame": (LONG + "-1,pose,0,1,1\n", "row 1: frame is '-1'; expected a whole number"),
    "half a frame": (LONG + "0.5,pose,0,1,1\n", "row 1: frame is '0.5'"),
    "no frame": (LONG + ",pose,0,1,1\n", "row 1: frame is 'nan'"),
    "an unknown type": (LONG + "0,tail,0,1,1\n", "row 1: type is 'tail'; expected pose or"),
    "an unknown landmark": (LONG + "0,pose,33,1,1\n", "row 1: landmark_index is '33'"),
    "a landmark twice": (LONG + "0,pose,1,1,1\n0,pose,1,1,1\n", "frame 0 has a duplicate landmark"),
    "a frame twice": ("frame,x_pose_0,y_pose_0\n3,1,1\n3,1,1\n", "frame 3 has a duplicate landmark"),
    "an absurd column": ("frame,x_pose_40,y_pose_40\n3,1,1\n", "column 'x_pose_40'; expected pose landmarks 0 to 32"),
    "an unknown count": ("frame,x_20,y_20\n3,1,1\n", "expected 33 landmarks of a pose, or"),
    "a column twice": ("frame,x_pose_0,X_pose_0\n3,1,1\n", "duplicate column 'x_pose_0'"),
    "a point beyond any image": (LONG + "0,pose,0,1e9,1\n", "frame 0 has a coordinate beyond"),
}


@pytest.mark.parametrize(("told", "said"), MEDIAPIPE_HOSTILE.values(), ids=MEDIAPIPE_HOSTILE)
def test_an_invalid_mediapipe_table_is_a_one_line_error(tmp_path, told, said):
    with pytest.raises(InputError, match=said) as error:
        run(tmp_path, told, "mediapipe", "clip.csv")
    assert str(tmp_path / "in" / "clip.csv") in str(error.value)
    assert "\n" not in str(error.value)
    assert [path.name for path in tmp_path.iterdir()] == ["in"]


@pytest.mark.parametrize(("name", "size", "rest"), [("clip.parquet", -20, b""), ("clip.csv.gz", 200, b"x" * 999)])
def test_a_damaged_packed_table_is_refused(tmp_path, name, size, rest):
    written(tmp_path, landmarks(1, ("pose",)), name)
    path = tmp_path / "in" / name
    path.write_bytes(path.read_bytes()[:size] + rest)
    with pytest.raises(InputError, match=rf"{name}: cannot be read as a table"):
        imported(tmp_path, "mediapipe")


def test_the_mapping_of_the_face_is_the_same_on_both_sides():
    mirrored = {
        **{127: 356, 234: 454, 93: 323, 132: 361, 58: 288, 172: 397, 136: 365, 150: 379, 176: 400},  # jaw
        **{70: 300, 63: 293, 105: 334, 66: 296, 107: 336, 98: 327, 97: 326},  # brows, nose
        **{33: 263, 160: 387, 158: 385, 133: 362, 153: 380, 144: 373, 468: 473},  # eyes
        **{61: 291, 39: 269, 37: 267, 91: 321, 84: 314, 78: 308, 82: 312, 87: 317},  # mouth
    }
    mirrored |= {other: one for one, other in mirrored.items()}
    assert len(MEDIAPIPE_FACE) == len(FACE_70)
    for place, vertices in enumerate(MEDIAPIPE_FACE):
        twin = MEDIAPIPE_FACE[FACE_70.mirror[place]]
        assert sorted(mirrored.get(vertex, vertex) for vertex in vertices) == sorted(twin), FACE_70.keypoints[place]


def test_landmarks_of_the_pose_have_mediapipes_order():
    """Numbers of ``PoseLandmark`` in MediaPipe's documentation."""
    numbers = {"Nose": 0, "LEyeInner": 1, "LEye": 2, "REyeInner": 4, "REye": 5, "LEar": 7, "LMouth": 9, "LShoulder": 11}
    numbers |= {"RWrist": 16, "LPinky": 17, "LIndex": 19, "LThumb": 21, "RHip": 24, "LHeel": 29, "RBigToe": 32}
    assert {name: MEDIAPIPE_33.index(name) for name in numbers} == numbers


# OpenFace and py-feat


def face_table(frames, **more):
    """A row for each frame, whose landmark n lies at (100 + n + frame, 200 - n)."""
    columns = {f"x_{n}": [100 + n + frame for frame in frames] for n in range(68)}
    columns |= {f"y_{n}": [200 - n] * len(frames) for n in range(68)}
    return pd.DataFrame({"frame": frames} | more | columns)


def test_openfaces_landmarks_are_the_faces_first_68(tmp_path):
    table = face_table([1, 2, 3], face_id=[0] * 3, confidence=[0.9, 0.8, 0.7], success=[1, 0, 1])
    table.columns = [f" {name}" if place else name for place, name in enumerate(table)]  # as OpenFace writes them
    written(tmp_path, table)
    row, keypoints, number, _ = imported(tmp_path, "openface")["clip"]
    assert number.tolist() == [0, 1, 2]
    assert row["scale"] == "pixels"
    face = keypoints[:, 25:95]
    np.testing.assert_allclose(face[2, :68], [[103 + n, 200 - n, 0.7] for n in range(68)], rtol=1e-6)
    assert not face[:, 68:].any(), "no pupils"
    assert not face[1].any(), "no success"
    assert not keypoints[:, :25].any()


def test_openfaces_face_ids_are_identities(tmp_path):
    frames = [t for t in range(1, 21) for _ in range(2)]
    table = face_table(frames, face_id=[4, 2] * 20)
    table.loc[table["face_id"] == 2, [f"x_{n}" for n in range(68)]] += 1000
    written(tmp_path, table)
    assert set(imported(tmp_path, "openface", person="all")) == {"clip_person2", "clip_person4"}


def test_pyfeats_table_may_hold_several_videos_and_counts_from_0(tmp_path):
    table = face_table([0, 1, 0], FaceScore=[0.5, 1, 1], input=["/d/a.mp4", "/d/a.mp4", "/d/b.mp4"], AU01=[0.1] * 3)
    written(tmp_path, table)
    found = imported(tmp_path, "pyfeat", first_frame=1)
    assert {name: one[2].tolist() for name, one in found.items()} == {"clip/a": [0, 1], "clip/b": [0]}
    assert found["clip/a"][1][0, 25, 2] == 0.5


@pytest.mark.parametrize(
    ("change", "said"),
    [
        (lambda table: table.drop(columns="y_67"), "no column 'y_67'; expected frame and x_0"),
        (lambda table: table.drop(columns="frame"), "no column 'frame'"),
        (lambda table: table.assign(x_3="left"), "row 1: x_3 is 'left'; expected a number"),
        (lambda table: table.assign(frame=-1), "row 1: frame is '-1'; expected a whole number"),
    ],
)
def test_an_invalid_face_table_is_a_one_line_error(tmp_path, change, said):
    written(tmp_path, change(face_table([1, 2])))
    with pytest.raises(InputError, match=said) as error:
        imported(tmp_path, "openface")
    assert "\n" not in str(error.value)
    assert not (tmp_path / "cache").exists()


# both


def test_a_file_that_changes_between_two_readings_is_an_error(tmp_path):
    file = tmp_path / "clip.json"
    file.write_text(json.dumps(results([0, 1])))
    reader = Reader("coco_wholebody", ALL)
    (recording,) = reader.find(tmp_path, (0, 0))
    assert reader.read(recording, (0, 0)).number.tolist() == [0, 1]
    file.write_text(json.dumps(results([0, 1, 2])))
    with pytest.raises(InputError, match=r"clip\.json: changed while reading"):
        reader.read(recording, (0, 0))


def test_a_coordinate_outside_of_any_image_is_named_with_its_frame(tmp_path):
    told = results([3, 4])
    told[1]["keypoints"][6] = 1e9
    with pytest.raises(InputError, match=r"clip\.json: frame 4 has a coordinate beyond"):
        run(tmp_path, told)
    assert not (tmp_path / "cache").exists()


def test_files_below_a_folder_are_recordings_by_their_paths(tmp_path):
    (tmp_path / "in" / "day 1").mkdir(parents=True)
    (tmp_path / "in" / "day 1" / "a.json").write_text(json.dumps(results([0, 1])))
    assert set(run(tmp_path, results([5]))) == {"clip", "day 1/a"}


def test_an_import_needs_input_and_overwrites_nothing(tmp_path):
    run(tmp_path, results([0]))
    with pytest.raises(CacheError, match="choose another --out"):
        imported(tmp_path, "coco_wholebody")
    with pytest.raises(InputError, match=r"contains no \.csv file"):
        import_keypoints(tmp_path / "in", "openface", tmp_path / "other")
    with pytest.raises(InputError, match="not found"):
        import_keypoints(tmp_path / "nowhere", "mediapipe", tmp_path / "other")


@pytest.mark.parametrize(("form", "name", "expected"), [("openface", "clip.json", ".csv"),
                                                        ("coco_wholebody", "clip.csv", ".json")])  # fmt: skip
def test_a_wrong_file_ending_is_an_error_with_the_expected_one(tmp_path, form, name, expected):
    (tmp_path / name).write_text(json.dumps(results([0])))
    with pytest.raises(InputError) as error:
        import_keypoints(tmp_path / name, form, tmp_path / "cache")
    assert str(error.value) == f"{tmp_path / name}: expected a {expected} file; is it another format (--from)?"


def test_an_import_without_people_creates_no_cache(tmp_path):
    nobody = [{"image_id": number, "keypoints": [0] * 399} for number in range(3)]
    with pytest.raises(InputError, match="in: nobody is visible in 3 frames, and there are no labels"):
        run(tmp_path, nobody)
    assert [path.name for path in tmp_path.iterdir()] == ["in"]
    (tmp_path / "labels.csv").write_text("video,label\nclip,happy\n")
    found = run(tmp_path, nobody, labels=f"table:{tmp_path / 'labels.csv'}")
    assert found["clip"][2].tolist() == [0, 1, 2], "what is labeled is scored, seen or not"


def test_an_import_without_long_tracks_creates_no_cache(tmp_path):
    told = results([3], track_id=7) + [{"image_id": frame, "keypoints": [0] * 399} for frame in range(20)]
    with pytest.raises(InputError, match=r"1 detection, but no person long enough for --person all: use --person auto"):
        run(tmp_path, told, person="all")
    assert [path.name for path in tmp_path.iterdir()] == ["in"]
    assert run(tmp_path, told)["clip"][2].tolist() == list(range(20))


def test_the_verb_imports(tmp_path):
    (tmp_path / "clip.json").write_text(json.dumps(results(range(1, 4))))
    words = ["cache", "import", str(tmp_path / "clip.json"), "--from", "coco_wholebody", "--out", str(tmp_path / "c")]
    done = CliRunner().invoke(main, [*words, "--first-frame", "1"])
    assert "1 recording, 3 detections of people: 1 sequence, 3 frames" in done.output, done.output
    assert open_cache(tmp_path / "c").read().number.tolist() == [0, 1, 2]
    shown = CliRunner().invoke(main, ["cache", "info", str(tmp_path / "c")], env={"COLUMNS": "150"})
    assert "coco_wholebody" in shown.output
