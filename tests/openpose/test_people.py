import json
import os
import pickle
from pathlib import Path

import numpy as np
import pytest
from openpose_json import frame, person, points, write_video
from recordings import find_recordings

from skelemo.errors import ConfigError, InputError
from skelemo.openpose.files import MAX_BYTES
from skelemo.openpose.people import Guess, People, Problem, RecordingError, read_people
from skelemo.skeleton import BODY_25, BODY_25B, COCO_18, MPI_15, Layout, Part, layout

BODY_FACE = layout()


def read(folder: Path, frames: dict[int, bytes], of: Layout = BODY_FACE, **settings: object) -> People:
    write_video(folder, frames)
    (recording,) = find_recordings(folder)
    return read_people(recording, of, **settings)


def one(folder: Path, *people: object, **settings: object) -> People:
    return read(folder, {0: frame(*people)}, **settings)


def body(model: Part, **seen: tuple[float, float, float]) -> list[float]:
    """The list of a body of which only the named points are seen."""
    return [n for name in model.keypoints for n in seen.get(name, (0, 0, 0))]


def test_people_are_stored_frame_by_frame_with_numbers(tmp_path: Path) -> None:
    frames = {
        3: frame(person(pose=points(25, 10)), person(pose=points(25, 20))),
        4: frame(),
        90: frame(person(pose=points(25, 30))),
    }
    people = read(tmp_path, frames)
    assert people.number.tolist() == [3, 4, 90]
    assert people.number.dtype == np.int32
    assert people.start.tolist() == [0, 2, 2, 3]
    assert people.start.dtype == np.int64
    assert people.keypoints.dtype == np.float32
    assert people.keypoints[:, 0, 0].tolist() == [10, 20, 30]
    assert (people.body_model, people.scale, people.problems) == ("body_25", "pixels", ())


def test_damaged_files_are_skipped_and_listed(tmp_path: Path) -> None:
    good = frame(person(pose=points(25)))
    frames = {0: b"", 1: good, 2: good[:100], 3: good, 4: b'{"people":[{"pose_keypoints_2d":[nan]}]}'}
    people = read(tmp_path / "day 1", frames)
    assert people.number.tolist() == [1, 3]
    assert people.start.tolist() == [0, 1, 2]
    assert people.problems == (
        Problem("clip_000000000000_keypoints.json", "is empty"),
        Problem("clip_000000000002_keypoints.json", "is truncated after 100 bytes"),
        Problem("clip_000000000004_keypoints.json", "is not JSON: it has nan instead of a number"),
    )


def test_a_problem_names_its_file_relative_to_the_source(tmp_path: Path) -> None:
    write_video(tmp_path / "train" / "a", {0: b"", 1: frame()})
    (recording,) = find_recordings(tmp_path)
    assert read_people(recording, BODY_FACE).problems[0].file == "train/a/clip_000000000000_keypoints.json"


def test_with_strict_the_first_problem_is_an_error(tmp_path: Path) -> None:
    with pytest.raises(InputError, match=r"^clip_000000000001_keypoints.json is empty$"):
        read(tmp_path, {0: frame(), 1: b"", 2: b"x"}, strict=True)
    with pytest.raises(InputError, match=r"^clip_000000000001_keypoints.json has body_25.Nose at \(1e\+30, "):
        read(tmp_path, {1: frame(person(pose=[1e30, *points(25)[1:]])), 2: frame()}, strict=True)


def test_an_unreadable_recording_is_an_error_with_its_problems(tmp_path: Path) -> None:
    with pytest.raises(
        RecordingError, match=r"^clip: none of its files can be read; clip_0+_keypoints.json is empty$"
    ) as error:
        read(tmp_path, {0: b"", 1: b"{}"})
    assert [problem.reason for problem in error.value.problems] == [
        "is empty",
        'is not an OpenPose file: it has no "people"',
    ]
    copy = pickle.loads(pickle.dumps(error.value))
    assert (str(copy), copy.problems) == (str(error.value), error.value.problems)


def test_missing_and_oversized_files_are_problems(tmp_path: Path) -> None:
    write_video(tmp_path, {0: frame(), 1: frame(), 2: frame()})
    (recording,) = find_recordings(tmp_path)
    (tmp_path / recording.files[0]).unlink()
    os.truncate(tmp_path / recording.files[1], MAX_BYTES + 1)
    people = read_people(recording, BODY_FACE)
    assert people.number.tolist() == [2]
    assert people.problems[0].reason == "cannot be read: No such file or directory"
    assert people.problems[1].reason == f"cannot be read: has {MAX_BYTES + 1:,} bytes, far more than a frame"


def test_total_size_and_latest_modification(tmp_path: Path) -> None:
    frames = {0: frame(), 1: frame(person(pose=points(25))), 2: b"broken"}
    write_video(tmp_path, frames)
    for number in frames:
        os.utime(tmp_path / f"clip_{number:012d}_keypoints.json", ns=(1, 1_700_000_000_000_000_007 - number))
    people = read(tmp_path, {})
    assert people.bytes_read == sum(map(len, frames.values()))
    assert people.newest == 1_700_000_000_000_000_007


def test_short_reads_are_completed(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    whole_read = os.read
    monkeypatch.setattr(os, "read", lambda descriptor, size: whole_read(descriptor, min(size, 50)))
    assert one(tmp_path, person(pose=points(25))).keypoints[0, :25].ravel().tolist() == points(25)


def test_points_without_confidence_are_missing_whatever_their_coordinates(tmp_path: Path) -> None:
    pose = points(25, 100)
    pose[0:12] = [-1, -1, 0, 640, 480, 0, 1e30, -1e300, 0, 50, 60, -0.001]
    seen = one(tmp_path, person(pose=pose)).keypoints[0, :25]
    assert not seen[:4].any()
    assert (seen[4:, 2] == 0.5).all()


def test_confidence_is_limited_to_one(tmp_path: Path) -> None:
    pose = points(25)
    pose[2], pose[5] = 1.08, 7
    assert one(tmp_path, person(pose=pose)).keypoints[0, :3, 2].tolist() == [1, 1, 0.5]


@pytest.mark.parametrize("value", [1e30, -1e30, 1e39, 2e6, 10**18])
def test_coordinates_beyond_any_image_are_a_damaged_frame(tmp_path: Path, value: float) -> None:
    face = points(70)
    face[4] = value
    people = read(tmp_path, {0: frame(person(face=points(70)), person(face=face)), 1: frame(person(pose=points(25)))})
    assert people.number.tolist() == [1]
    assert people.start.tolist() == [0, 1]
    assert "has face_70.Jaw1 at (102, " in people.problems[0].reason


def test_people_without_points_are_skipped(tmp_path: Path) -> None:
    zeros = person(pose=[0] * 75, face=[0] * 210)
    rescaled = person(pose=[-1, -1, 0] * 25)
    people = read(tmp_path, {0: frame(zeros, person(face=points(70)), rescaled), 1: frame(zeros)})
    assert people.number.tolist() == [0, 1]
    assert people.start.tolist() == [0, 1, 1]
    assert people.keypoints[0, 25:, 2].all()
    assert one(tmp_path, person(face=points(70)), of=layout("body_25")).keypoints.shape == (0, 25, 3)


def test_coco_bodies_are_mapped_by_name_and_mid_hip_is_halfway(tmp_path: Path) -> None:
    pose = body(COCO_18, RHip=(100, 200, 0.25), LHip=(110, 210, 0.75), LEar=(7, 8, 0.5), Neck=(9, 9, 1))
    people = one(tmp_path, person(pose=pose, face=points(70)))
    found = {name: people.keypoints[0, BODY_25.index(name)].tolist() for name in BODY_25.keypoints}
    assert people.body_model == "coco_18"
    assert found["MidHip"] == [105, 205, 0.25]
    assert (found["RHip"], found["LHip"], found["LEar"], found["Neck"]) == (
        [100, 200, 0.25],
        [110, 210, 0.75],
        [7, 8, 0.5],
        [9, 9, 1],
    )
    assert sum(any(point) for point in found.values()) == 5
    assert people.keypoints[0, 25:].ravel().tolist() == points(70)


@pytest.mark.parametrize("lost", ["RHip", "LHip"])
@pytest.mark.parametrize("missing", [(0, 0, 0), (-1, -1, 0)])
def test_mid_hip_is_missing_when_a_hip_is(tmp_path: Path, lost: str, missing: tuple[float, float, float]) -> None:
    hips = {"RHip": (100, 200, 0.25), "LHip": (110, 210, 0.75), lost: missing}
    people = one(tmp_path, person(pose=body(COCO_18, Neck=(100, 100, 1), **hips)))
    assert not people.keypoints[0, BODY_25.index("MidHip")].any()


@pytest.mark.parametrize("model", [COCO_18, MPI_15, BODY_25B])
def test_keypoints_are_mapped_by_name(tmp_path: Path, model: Part) -> None:
    people = one(tmp_path, person(pose=points(len(model))), body_model=model.name)
    assert people.body_model == model.name
    written = dict(zip(model.keypoints, np.reshape(points(len(model)), (-1, 3)).tolist(), strict=True))
    for name in set(BODY_25.keypoints) - {"MidHip"}:
        assert people.keypoints[0, BODY_25.index(name)].tolist() == written.get(name, [0, 0, 0])
    assert people.keypoints[0, BODY_25.index("MidHip"), 2] == 0.5


def test_people_with_only_dropped_points_are_skipped(tmp_path: Path) -> None:
    assert len(one(tmp_path, person(pose=body(MPI_15, Head=(9, 9, 1), Chest=(9, 50, 1)))).keypoints) == 0


#: A standing figure, by the names of its points.
FIGURE = {
    "Nose": (100, 20), "Neck": (100, 40), "MidHip": (100, 100), "HeadTop": (100, 5), "REye": (97, 17),
    "LEye": (103, 17), "REar": (93, 19), "LEar": (107, 19), "RShoulder": (85, 40), "LShoulder": (115, 40),
    "RElbow": (80, 65),
    "LElbow": (120, 65), "RWrist": (78, 90), "LWrist": (122, 90), "RHip": (92, 100), "LHip": (108, 100),
    "RKnee": (91, 140), "LKnee": (109, 140), "RAnkle": (90, 180), "LAnkle": (110, 180), "LBigToe": (114, 186),
    "LSmallToe": (117, 185), "LHeel": (108, 184), "RBigToe": (86, 186), "RSmallToe": (83, 185), "RHeel": (92, 184),
}  # fmt: skip


def standing(model: Part, *hidden: str) -> list[float]:
    return body(model, **{name: (*place, 0.9) for name, place in FIGURE.items() if name not in hidden})


LEGS = [name for name in FIGURE if any(word in name for word in ("Knee", "Ankle", "Toe", "Heel"))]


@pytest.mark.parametrize("hidden", [[], LEGS], ids=["whole", "without legs"])
@pytest.mark.parametrize("model", [BODY_25, BODY_25B])
def test_25_points_are_recognized_by_limb_lengths(tmp_path: Path, model: Part, hidden: list[str]) -> None:
    people = one(tmp_path, person(pose=standing(model, *hidden)))
    assert (people.body_model, people.certain.body_model) == (model.name, model.name)
    for name in ("Neck", "LEar", "RShoulder", "LWrist"):
        assert people.keypoints[0, BODY_25.index(name), :2].tolist() == list(FIGURE[name])


def test_ambiguous_25_points_are_body_25_or_the_prior(tmp_path: Path) -> None:
    pose = body(BODY_25B, LAnkle=(50, 60, 0.5))
    place = BODY_25B.index("LAnkle")
    assert one(tmp_path, person(pose=pose)).keypoints[0, place].tolist() == [50, 60, 0.5]
    for settings in ({"prior": Guess("body_25b")}, {"body_model": "body_25b"}):
        read_as = one(tmp_path, person(pose=pose), **settings)
        assert read_as.keypoints[0, BODY_25.index("LAnkle")].tolist() == [50, 60, 0.5]
        assert read_as.certain.body_model == ""


def test_a_contradicted_body_model_is_used_and_noted(tmp_path: Path) -> None:
    people = one(tmp_path, person(pose=standing(BODY_25)), body_model="body_25b")
    assert people.body_model == "body_25b"
    assert people.notes == ("limb lengths suggest BODY_25; read as BODY_25B, as given",)


def test_a_damaged_part_is_a_problem_and_the_frame_is_kept(tmp_path: Path) -> None:
    frames = {0: frame(person(pose=points(25), face=points(69))), 1: frame(person(pose=points(25), face=points(70)))}
    people = read(tmp_path, frames)
    assert people.number.tolist() == [0, 1]
    (problem,) = people.problems
    assert problem.kept
    assert problem.reason == (
        "person 1: face_keypoints_2d has 207 numbers; FACE_70 has 210, FACE_68 has 204; the rest of the frame is kept"
    )
    with pytest.raises(RecordingError, match="face_keypoints_2d has 207 numbers"):
        read(tmp_path, {}, strict=True)


def test_the_size_of_the_image_is_that_of_most_files(tmp_path: Path) -> None:
    def sized(width: int) -> bytes:
        return json.dumps({"people": [person(pose=points(25))], "canvas_width": width, "canvas_height": 720}).encode()

    assert read(tmp_path / "a", {0: sized(1280), 1: sized(640), 2: sized(1280), 3: frame()}).size == (1280, 720)
    assert read(tmp_path / "b", {0: frame()}).size == (0, 0)


def test_files_of_another_body_model_than_most_are_problems(tmp_path: Path) -> None:
    frames = {number: frame(person(pose=points(25))) for number in (1, 2, 3)}
    frames |= {0: frame(person(pose=points(18))), 4: frame(person(pose=points(25)), person(pose=points(15)))}
    people = read(tmp_path, frames)
    assert people.number.tolist() == [1, 2, 3]
    assert people.body_model == "body_25"
    assert [problem.reason for problem in people.problems] == [
        "has COCO_18 bodies, unlike 4 other files with BODY_25",
        "has MPI_15 bodies, unlike 4 other files with BODY_25",
    ]


def test_faces_alone_are_people_without_a_body_model(tmp_path: Path) -> None:
    people = one(tmp_path, person(face=points(70)), person(face=points(70, 500)))
    assert people.body_model == ""
    assert people.keypoints[:, 25, 0].tolist() == [100, 500]


def test_long_recordings_are_canonicalized_completely(tmp_path: Path) -> None:
    frames = {n: frame(*(person(pose=body(COCO_18, Neck=(n + 5, 50, 2))) for _ in range(3))) for n in range(400)}
    people = read(tmp_path, frames)
    assert people.start.tolist() == list(range(0, 1201, 3))
    assert people.keypoints[:, 1].tolist() == [[n + 5, 50, 1] for n in range(400) for _ in range(3)]
    assert np.count_nonzero(people.keypoints) == 3 * 1200


def test_unknown_settings_are_refused_with_suggestions(tmp_path: Path) -> None:
    with pytest.raises(
        ConfigError,
        match=r"unknown body model 'coco': .*from auto, body_25, body_25b, coco_17, coco_18, mediapipe_33, mpi_15",
    ):
        one(tmp_path, body_model="coco")
    with pytest.raises(ConfigError, match=r"unknown scale 'pixel': did you mean 'pixels'\?"):
        one(tmp_path, scale="pixel")


def test_the_array_is_writable(tmp_path: Path) -> None:
    people = one(tmp_path, person(pose=points(25)))
    people.keypoints[0, 0] = 1, 2, 0.5
    assert people.keypoints[0, 0].tolist() == [1, 2, 0.5]


def test_people_keep_openposes_order(tmp_path: Path) -> None:
    firsts = [400.0, 30.0, 250.0]
    people = one(tmp_path, *(person(pose=points(25, first)) for first in firsts))
    assert people.keypoints[:, 0, 0].tolist() == firsts
    assert (
        json.loads((tmp_path / "clip_000000000000_keypoints.json").read_text())["people"][0]["pose_keypoints_2d"][0]
        == 400
    )


def identified(identity: object, first: float = 10.0) -> dict[str, object]:
    return {**person(pose=points(25, first)), "person_id": identity}


def test_identities_are_read_from_the_files(tmp_path: Path) -> None:
    frames = {
        0: frame(identified([7]), identified([9])),
        1: frame(identified([9]), person(), identified([-1])),
        2: frame(),
        3: frame(identified([9]), identified([7])),
    }
    assert read(tmp_path, frames).identity.tolist() == [7, 9, 9, -1, 9, 7]


@pytest.mark.parametrize(
    ("written", "identity"),
    [([0], 0), (3, 3), ([2.0], 2), ([], -1), (["a"], -1), ([1, 2], -1), (True, -1), ([0.5], -1)],
)
def test_an_identity_is_a_non_negative_integer(tmp_path: Path, written: object, identity: int) -> None:
    people = one(tmp_path, identified(written), identified([5]))
    assert people.identity.tolist() == [identity, 5]


def test_files_without_identities_have_none(tmp_path: Path) -> None:
    assert read(tmp_path, {0: frame(person(pose=points(25)), identified([-1]))}).identity is None


def test_people_of_a_refused_file_are_left_out_with_their_identities(tmp_path: Path) -> None:
    far = identified([5]) | {"face_keypoints_2d": points(70, 1e7)}
    people = read(tmp_path, {0: frame(identified([4])), 1: frame(identified([8]), far), 2: frame(identified([6]))})
    assert people.number.tolist() == [0, 2]
    assert people.start.tolist() == [0, 1, 2]
    assert len(people.keypoints) == 2
    assert people.identity.tolist() == [4, 6]


def test_clear_fractions_are_never_pixels_whatever_the_other_recordings_are(tmp_path: Path) -> None:
    share = frame(person(pose=[0.5, 0.25, 0.9] * 25))
    assert read(tmp_path / "a", {0: share}, prior=Guess(scale="pixels")).scale == "unit"
    assert read(tmp_path / "b", {0: share}, prior=Guess(scale="signed")).scale == "signed"
    corner = frame(person(pose=[0.5, 0.25, 0.9] * 3 + [0.0] * 66))
    assert read(tmp_path / "c", {0: corner}, prior=Guess(scale="pixels")).scale == "pixels"


def test_an_unreadable_file_is_not_reported_as_kept(tmp_path: Path) -> None:
    odd = frame(person(pose=points(18), face=["x"] * 210))
    people = read(tmp_path, {0: frame(person(pose=points(25))), 1: frame(person(pose=points(25))), 2: odd})
    (problem,) = people.problems
    assert "COCO_18 bodies" in problem.reason
    assert not problem.kept
    assert people.number.tolist() == [0, 1]
