"""MediaPipe's landmarks in the JSON of the usual converters: every form says the same."""

import json

import numpy as np
import pytest
from click.testing import CliRunner

from skelemo.cache.store import open_cache
from skelemo.cli import main
from skelemo.errors import InputError
from skelemo.formats.importing import import_keypoints
from skelemo.formats.mediapipe_json import POSE_NAMES
from skelemo.ingest.task import Settings
from skelemo.skeleton import layout

EVERYTHING = "body_25+face_70+hand_21x2"
ALL = layout(EVERYTHING)
KINDS = {"pose": 33, "face": 478, "left_hand": 21, "right_hand": 21}


def frame(seed, kinds=tuple(KINDS)):
    """Landmarks of each kind ``[landmarks, 4]``: x, y, z, visibility."""
    rng = np.random.default_rng(seed)
    return {kind: rng.uniform(0.2, 0.8, (KINDS[kind], 4)).round(4) for kind in kinds}


FRAMES = [frame(seed) for seed in range(4)]
POSES = [frame(seed, ("pose",)) for seed in range(4)]


def objects(points):
    return [dict(zip(("x", "y", "z", "visibility"), point, strict=True)) for point in points.tolist()]


def lists(points):
    return points.tolist()


def indexed(points):
    return [{"id": index, **point} for index, point in enumerate(objects(points))][::-1]


def parts(one, write=objects, key="{}_landmarks"):
    return {key.format(kind): write(points) for kind, points in one.items()}


def camel(kind):
    first, *rest = f"{kind}_landmarks".split("_")
    return first + "".join(map(str.title, rest))


def imported(folder, told, name="clip.json", **settings):
    """Keypoints ``[T, V, 3]`` and frame numbers of the one sequence that a file becomes."""
    folder.mkdir(exist_ok=True)
    (folder / name).write_text(told if isinstance(told, str) else json.dumps(told))
    settings = Settings(**{"layout": EVERYTHING} | settings)
    import_keypoints(folder / name, "mediapipe", folder / "cache", None, settings)
    cache = open_cache(folder / "cache")
    frames = cache.read()
    return frames.keypoints, frames.number, cache.sequences


#: One recording of `FRAMES` in every form that is read.
FORMS = {
    "a list of frames": [parts(one) for one in FRAMES],
    "frames in an object": {"fps": 30, "frames": [parts(one) for one in FRAMES]},
    "frames called landmarks": {"landmarks": [{"frame": n, **parts(one)} for n, one in enumerate(FRAMES)]},
    "frames by number": {f"frame_{n:04}": parts(one) for n, one in enumerate(FRAMES)},
    "kinds over frames": {f"{kind}_landmarks": [objects(one[kind]) for one in FRAMES] for kind in KINDS},
    "lines": "\n".join(json.dumps({"frame_idx": n, **parts(one)}) for n, one in enumerate(FRAMES)),
    "lists of numbers": [parts(one, lists) for one in FRAMES],
    "flat lists": [parts(one, lambda points: points.ravel().tolist()) for one in FRAMES],
    "JavaScript's names": [{camel(kind): objects(points) for kind, points in one.items()} for one in FRAMES],
    "short names": [parts(one, key="{}") for one in FRAMES],
    "protobuf": [parts(one, lambda points: {"landmark": objects(points)}) for one in FRAMES],
    "the Tasks API, a list of people": [parts(one, lambda points: [objects(points)]) for one in FRAMES],
    "people": [{"people": [parts(one)]} for one in FRAMES],
    "one person by name": {"persons": {"7": {"frames": [parts(one) for one in FRAMES]}}},
    "indices": [parts(one, indexed) for one in FRAMES],
}  # fmt: skip


def expected(one):
    """BODY_25 and hands by hand, from a frame's landmarks."""
    pose = {"Nose": 0, "LShoulder": 11, "RShoulder": 12, "LWrist": 15, "RHip": 24, "LHip": 23, "RAnkle": 28,
            "LHeel": 29, "RBigToe": 32, "LEye": 2, "REar": 8}  # fmt: skip
    found = {f"body_25.{name}": one["pose"][index][[0, 1, 3]] for name, index in pose.items()}
    ends = one["pose"][[11, 12]]
    found["body_25.Neck"] = np.array([*ends[:, :2].mean(0), ends[:, 3].min()])
    found |= {
        "hand_left_21.Wrist": [*one["left_hand"][0, :2], 1],
        "hand_right_21.Pinky4": [*one["right_hand"][20, :2], 1],
    }
    return found | {"face_70.RPupil": [*one["face"][468, :2], 1], "face_70.OuterMouth0": [*one["face"][61, :2], 1]}


@pytest.mark.parametrize("told", FORMS.values(), ids=FORMS)
def test_every_form_becomes_the_same_points(tmp_path, told):
    keypoints, number, sequences = imported(tmp_path / "in", told)
    assert number.tolist() == [0, 1, 2, 3]
    for row, one in enumerate(FRAMES):
        for name, point in expected(one).items():
            np.testing.assert_allclose(keypoints[row, ALL.index(name)], point, rtol=1e-5, err_msg=name)
    assert not keypoints[:, ALL.index("body_25.LSmallToe")].any(), "MediaPipe has no small toes"
    assert sequences["scale"].tolist() == ["unit"]


#: A pose alone, whose form needs no name.
ALONE = {
    "landmarks of each frame": [objects(one["pose"]) for one in POSES],
    "by the pose's names": [dict(zip(POSE_NAMES, objects(one["pose"]), strict=True)) for one in POSES],
    "under landmarks": [{"landmarks": objects(one["pose"])} for one in POSES],
}


@pytest.mark.parametrize("told", ALONE.values(), ids=ALONE)
def test_a_pose_is_recognized_by_its_number_of_landmarks_or_their_names(tmp_path, told):
    keypoints, number, _ = imported(tmp_path / "in", told)
    assert number.tolist() == [0, 1, 2, 3]
    np.testing.assert_allclose(keypoints[2, 0], POSES[2]["pose"][0, [0, 1, 3]], rtol=1e-6)
    assert not keypoints[:, 25:].any()


def test_a_frame_without_people_is_kept(tmp_path):
    told = [parts(FRAMES[0]), {"pose_landmarks": None, "face_landmarks": []}, None, parts(FRAMES[3])]
    keypoints, number, _ = imported(tmp_path / "in", told)
    assert number.tolist() == [0, 1, 2, 3]
    assert keypoints[..., 2].any(1).tolist() == [True, False, False, True]


def test_landmarks_outside_or_hidden_are_missing(tmp_path):
    one = {kind: points.copy() for kind, points in FRAMES[0].items()}
    one["pose"][15, 1] = 1.2  # the left wrist is below the picture
    one["pose"][16, 3] = 0.05  # the right one is hidden
    one["pose"][11, 3] = 0.05  # and a shoulder, so that nothing lies halfway
    one["face"][61, 0] = -0.01
    one["left_hand"][:, 3] = 0  # converters write 0 where MediaPipe says nothing
    keypoints, _, _ = imported(tmp_path / "in", [parts(one)])
    for name in ("body_25.LWrist", "body_25.RWrist", "body_25.LShoulder", "body_25.Neck", "face_70.OuterMouth0"):
        assert keypoints[0, ALL.index(name)].tolist() == [0, 0, 0], name
    assert keypoints[0, ALL.index("body_25.MidHip"), 2] > 0
    assert (keypoints[0, ALL.slices["hand_left_21"], 2] == 1).all()


def test_a_size_makes_pixels_and_pixels_stay(tmp_path):
    (tmp_path / "in").mkdir()
    told = {"metadata": {"width": 640, "height": 480}, "frames": [parts(one) for one in POSES]}
    keypoints, _, sequences = imported(tmp_path / "shares", told)
    np.testing.assert_allclose(keypoints[1, 0, :2], POSES[1]["pose"][0, :2] * [640, 480], rtol=1e-6)
    assert (sequences["width"][0], sequences["height"][0]) == (640, 480)
    scaled = [{"pose": one["pose"] * [640, 480, 1, 1]} for one in POSES]
    again, _, sequences = imported(tmp_path / "pixels", [parts(one) for one in scaled])
    np.testing.assert_allclose(again, keypoints, rtol=1e-6)
    assert sequences["scale"].tolist() == ["pixels"]


def test_several_people_and_their_names(tmp_path):
    apart = [{"pose": one["pose"] * [0.4, 1, 1, 1]} for one in POSES]
    people = {"a": {"frames": [parts(one) for one in apart]}, "b": {"frames": [parts(one) for one in POSES]}}
    _, _, sequences = imported(tmp_path / "named", {"persons": people}, person="all")
    assert sequences["length"].tolist() == [4, 4]
    pairs = zip(apart, POSES, strict=True)
    told = [{"pose_landmarks": [objects(one["pose"]), objects(other["pose"])]} for one, other in pairs]
    _, _, sequences = imported(tmp_path / "tasks", told, person="all")
    assert sequences["length"].tolist() == [4, 4]


POSE = parts(POSES[0])
HOSTILE = {
    "no JSON": ("{", "not JSON"),
    "nothing": ("[]", "no frames; expected"),
    "something else": ('{"images": [1, 2]}', "no landmarks in any frame"),
    "too few landmarks": ([{"pose": POSE["pose_landmarks"][:20]}], "frame 0: pose: 20 landmarks; expected 33"),
    "an odd number of numbers": ([{"face_landmarks": [0.5] * 1000}], "face: a list of 1000 numbers; expected 2 to 4"),
    "a word for a number": ([POSE, {"pose": [{"x": "l", "y": 1}] * 33}], "frame 1: pose landmark 0: x is 'l'"),
    "one number for a landmark": ([{"pose": [[0.5, 0.5], *[[0.5]] * 32]}], "pose landmark 1 is .*; expected x and y"),
    "a word for landmarks": ([{"pose_landmarks": "none"}], "pose is 'none'; expected a list of landmarks"),
    "an endless number": ('[{"pose": [' + ",".join(['{"x": 1e999, "y": 1}'] * 33) + "]}]", "x is 'inf'|not JSON"),
    "a negative frame": ([{"frame": -1, **POSE}], "frame is '-1'; expected a whole number"),
    "a frame twice": ([{"frame": 3, **POSE}] * 2, "frame 3 occurs twice"),
    "an index too large": ([{"pose_landmarks": [{"id": 33, "x": 0, "y": 0}]}], "id is '33'; expected 0 to 32"),
    "an unknown name": ([{"pose_landmarks": {"TAIL": {"x": 0, "y": 0}}}], "'TAIL' is not a pose landmark"),
    "a hand without a side": ([[{"x": 0.1, "y": 0.2}] * 21], "21 landmarks without a key; expected left_hand_"),
    "a point beyond any picture": ([{"pose_landmarks": [{"x": 1e9, "y": 0.5}] * 33}], "frame 0 has a coordinate"),
}  # fmt: skip


@pytest.mark.parametrize(("told", "said"), HOSTILE.values(), ids=HOSTILE)
def test_an_unknown_form_is_a_one_line_error(tmp_path, told, said):
    with pytest.raises(InputError, match=said) as error:
        imported(tmp_path / "in", told)
    assert str(tmp_path / "in" / "clip.json") in str(error.value)
    assert "\n" not in str(error.value)
    assert [path.name for path in (tmp_path / "in").iterdir()] == ["clip.json"]


def test_the_verb_reads_json_below_a_folder(tmp_path):
    (tmp_path / "in").mkdir()
    for name, frames in (("walk", FRAMES), ("talk", FRAMES[::-1])):
        (tmp_path / "in" / f"{name}.json").write_text(json.dumps([parts(one) for one in frames]))
    words = [
        "cache",
        "import",
        str(tmp_path / "in"),
        "--from",
        "mediapipe",
        "--out",
        str(tmp_path / "cache"),
        "--fps",
        "25",
    ]
    done = CliRunner().invoke(main, words)
    assert done.exit_code == 0, done.output
    assert sorted(open_cache(tmp_path / "cache").sequences["video"]) == ["talk", "walk"]
