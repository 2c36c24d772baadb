import json
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from openpose_json import PARTS, frame, person, points

from skelemo.openpose.frame import Rows
from skelemo.openpose.validate import FrameError
from skelemo.skeleton import layout

BODY_FACE = layout()
ALL = layout("body_25+face_70+hand_21x2")
COUNTS = {"pose": (0, 75, 54, 45), "face": (0, 210), "hand_left": (0, 63), "hand_right": (0, 63)}


def read(data: bytes, name: str = ALL.name, body_model: str = "auto") -> np.ndarray:
    rows = Rows(layout(name), body_model)
    rows.add(data)
    return rows.array()


def reason(data: bytes, **settings: str) -> str:
    rows = Rows(BODY_FACE, **settings)
    with pytest.raises(FrameError) as error:
        rows.add(data)
    assert not rows.counts
    assert not len(rows.array())
    return str(error.value)


def test_each_part_fills_its_slot() -> None:
    whole = person(**{part: points(count, first=1000.0 * count) for part, count in PARTS.items()})
    (row,) = read(frame(whole))
    for part, name in zip(PARTS, ALL.slices, strict=True):
        assert row[ALL.slices[name]].ravel().tolist() == np.float32(whole[f"{part}_keypoints_2d"]).tolist()


@pytest.mark.parametrize(
    "seen", [{"face"}, {"hand_left"}, {"hand_right"}, {"pose", "hand_left"}, {"face", "hand_right"}]
)
@pytest.mark.parametrize("absent", ["disabled", "missing key"])
def test_a_missing_part_never_shifts_another_into_its_slot(seen: set[str], absent: str) -> None:
    someone = person(**{part: points(PARTS[part]) for part in seen})
    if absent == "missing key":
        someone = {key: value for key, value in someone.items() if value and not key.endswith("_3d")}
    (row,) = read(frame(someone))
    for part, name in zip(PARTS, ALL.slices, strict=True):
        assert row[ALL.slices[name]].any() == (part in seen)


def test_a_layout_takes_the_parts_it_has_and_ignores_the_rest() -> None:
    someone = person(pose=points(25), face=points(70), hand_left=points(21))
    assert read(frame(someone), "body_25").shape == (1, 25, 3)
    assert read(frame(someone), "face_70").ravel().tolist() == points(70)
    assert read(frame(person(hand_left=points(21))), "body_25").shape == (0, 25, 3)
    assert read(frame(person(pose=[1, 2], face=points(70))), "face_70").shape == (1, 70, 3)


@pytest.mark.parametrize(
    "text",
    [
        '{"version":0.1,"people":[{"body_parts":BODY}]}',
        '{\n\t"version":1.0,\n\t"people":[\n\t\t{\n\t\t\t"pose_keypoints":[\n\t\t\t\tLIST\n\t\t\t],"face_keypoints":[]}]}',
        '{"version":1.1,"people":[{"pose_keypoints":BODY,"hand_left_keypoints":[]}],"part_candidates":[{"0":[1,2,0.5]}]}',
        '{"version":1.2,"people":[{"pose_keypoints_2d":BODY,"face_keypoints_2d":[],"pose_keypoints_3d":[1,2,3,4]}]}',
        '{"version":1.3,"people":[{"person_id":[-1],"pose_keypoints_2d":BODY,"hand_left_keypoints_3d":[0]}]}',
        '{"people":[{"pose_keypoints_2d":BODY}],"canvas_unit":true,"height":null}',
    ],
)
def test_every_version_of_openposes_json_is_read(text: str) -> None:
    numbers = json.dumps(points(18))
    (row,) = read(text.replace("BODY", numbers).replace("LIST", numbers[1:-1]).encode())
    assert row.ravel()[:54].tolist() == points(18)
    assert not row.ravel()[54:].any()


def test_people_keep_their_order_and_empty_people_are_skipped() -> None:
    rows = Rows(BODY_FACE)
    assert rows.add(frame(person(pose=points(25)), person(), {}, person(face=points(70)))) == 2
    assert rows.add(frame()) == 0
    assert rows.add(frame(person(pose=points(18)))) == 1
    assert list(rows.counts) == [75, 0, 54]
    assert rows.array().shape == (3, 95, 3)


def test_numbers_in_any_c_notation_are_read() -> None:
    body = "[1.23457e+06,-0,0.9,1.234e-05,-0.0,1,5E2,7,1.08" + ",0" * 66 + "]"
    (row,) = read(b'{"people":[{"pose_keypoints_2d":%s}]}' % body.encode())
    assert row[:3].tolist() == np.float32([[1234570, 0, 0.9], [1.234e-05, 0, 1], [500, 7, 1.08]]).tolist()


BODY = json.dumps(points(25))


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("", "is empty"),
        ("\0" * 400, "has only blanks or zero bytes"),
        ("  \n", "has only blanks or zero bytes"),
        ('{"version":1.3,"people":[{"pose_keypoints_2d":[1,2,', "is truncated after 51 bytes"),
        ('{"people":[{"pose_keypoints_2d":[1,-nan,0.5]}]}', "is not JSON: it has -nan instead of a number"),
        ('{"people":[{"pose_keypoints_2d":[1,inf,0.5]}]}', "is not JSON: it has inf instead of a number"),
        ('{"people":[{"pose_keypoints_2d":[1,NaN,0.5]}]}', "is not JSON: it has NaN instead of a number"),
        ("not json", "is not JSON"),
        ('{"people":[]}{"people":[]}', "is not JSON"),
        ('{"people":[]}}', "is not JSON: unexpected content after document"),
        ('[{"people":[]}', "is not JSON: unexpected end of data"),
        ("[1, 2]", "is a list of 2; expected the object of one frame"),
        ("[]", "is a list of 0; expected the object of one frame"),
        ("7", 'is not an OpenPose file: it is a number; expected an object with "people"'),
        (
            '{"people":[{"pose_keypoints_2d":[[1,2],[3,4]]}]}',
            "has a list of 2; expected the 3 numbers of a point",
        ),
        ('{"images":[]}', 'is not an OpenPose file: it has no "people"'),
        ('{"people":"none"}', 'is not an OpenPose file: its "people" is text; expected a list'),
        ('{"people":[[]]}', "person 1: is a list; expected an object"),
        ('{"people":[{}, 7]}', "person 2: is a number; expected an object"),
        ('{"people":[{"keypoints":[1,2,3]}]}', "person 1: has none of OpenPose's keys, but 'keypoints'"),
        ('{"people":[{"pose_keypoints_2d":"%s"}]}' % ("7" * 75), "pose_keypoints_2d is text; expected a list"),
        (
            f'{{"people":[{{"pose_keypoints_2d":{json.dumps(dict.fromkeys(range(75), 1))}}}]}}',
            "is an object; expected a list",
        ),
    ],
)
def test_other_files_are_refused_with_a_reason(text: str, expected: str) -> None:
    assert expected in reason(text.replace("BODY", BODY).encode())


@pytest.mark.parametrize(
    ("part", "count", "expected"),
    [
        ("pose", 36, "has 36 numbers; BODY_25 has 75, COCO_18 has 54, MPI_15 has 45 (is this an x,y-only export?)"),
        ("pose", 50, "has 50 numbers; BODY_25 has 75, COCO_18 has 54, MPI_15 has 45 (is this an x,y-only export?)"),
        ("pose", 100, "(is this a 3-D list?)"),
        ("pose", 405, "(this is BODY_135, which skelemo does not support)"),
        ("pose", 74, "has 74 numbers; BODY_25 has 75, COCO_18 has 54, MPI_15 has 45"),
        ("pose", 210, "has 210 numbers; BODY_25 has 75"),
        (
            "face",
            140,
            "face_keypoints_2d has 140 numbers; FACE_70 has 210, FACE_68 has 204 (is this an x,y-only export?)",
        ),
        ("face", 75, "face_keypoints_2d has 75 numbers; FACE_70 has 210, FACE_68 has 204"),
    ],
)
def test_a_list_of_another_length_is_refused_with_the_expected_one(part: str, count: int, expected: str) -> None:
    assert expected in reason(frame(person(**{part: [1] * count})))


@pytest.mark.parametrize(
    ("value", "kind"),
    [
        (True, "true or false"),
        (False, "true or false"),
        (None, "null"),
        ("1", "text"),
        ([1], "a list"),
        ({}, "an object"),
    ],
)
@pytest.mark.parametrize("place", [0, 74, 209])
def test_a_non_number_drops_only_its_part(value: Any, kind: str, place: int) -> None:
    parts = {"pose": points(25), "face": points(70)}
    part, other = ("pose", "face") if place < 75 else ("face", "pose")
    parts[part][place] = value
    if value == [1]:
        kind = "a list"
    rows = Rows(BODY_FACE)
    assert rows.add(frame(person(), person(**parts), person(pose=points(25, 500)))) == 2
    assert rows.damage == f"person 2: {part}_keypoints_2d has {kind} at position {place + 1}; expected a number"
    first, second = rows.array()
    kept = BODY_FACE.slices[{"pose": "body_25", "face": "face_70"}[other]]
    assert first[kept].ravel().tolist() == points(len(first[kept]))
    assert np.count_nonzero(first[:, 2]) == kept.stop - kept.start
    assert second[0].tolist() == [500, 501, 0.5]
    assert "; expected" in reason(frame(person(**{part: parts[part]})))


def test_damage_describes_the_last_file() -> None:
    rows = Rows(BODY_FACE)
    rows.add(frame(person(pose=points(25), face=[1, 2])))
    assert rows.damage
    rows.add(frame(person(pose=points(25))))
    assert not rows.damage


BODY_ROW = [value for point in np.reshape(points(25), (25, 3)).tolist() for value in point]
NESTED = json.dumps(np.reshape(points(25), (25, 3)).tolist())


@pytest.mark.parametrize(
    "text",
    [
        '{"people":[{"pose_keypoints_2d":BODY,"face_keypoints_2d":null,"hand_left_keypoints_2d":null}]}',
        '{"people":[null,{"pose_keypoints_2d":BODY},null]}',
        '{"people":{"0":{"pose_keypoints_2d":BODY}}}',
        '{"people":{"pose_keypoints_2d":BODY}}',
        '{"people":[{"pose_keypoints_2d":NESTED}]}',
        '[{"people":[{"pose_keypoints_2d":BODY}],"canvas_width":1280,"canvas_height":720}]',
        '\ufeff{"version":1.3,"people":[{"person_id":[-1],"pose_keypoints_2d":BODY,"face_keypoints_2d":[]}]}',
    ],
)
def test_variants_of_other_programs_are_read(text: str) -> None:
    (row,) = read(text.replace("NESTED", NESTED).replace("BODY", BODY).encode())
    assert row[:25].ravel().tolist() == BODY_ROW
    assert not row[25:].any()


def test_null_and_empty_people_are_skipped() -> None:
    rows = Rows(BODY_FACE)
    assert [rows.add(b'{"people":%s}' % people) for people in (b"null", b"{}", b"[null]", b"[]")] == [0, 0, 0, 0]


def test_a_face_of_68_points_lacks_the_pupils() -> None:
    rows = Rows(BODY_FACE)
    for _ in range(2):  # the second time by the fast parser
        rows.add(frame(person(pose=points(25), face=points(68))))
    for row in rows.array():
        assert row[25:93].ravel().tolist() == points(68)
        assert not row[93:].any()


def test_alphaposes_joints_are_a_coco_body() -> None:
    (row,) = read(json.dumps({"version": "AlphaPose v0.3", "bodies": [{"joints": points(18)}]}).encode())
    assert row.ravel()[:54].tolist() == points(18)


def test_the_size_of_the_image_is_read() -> None:
    rows = Rows(BODY_FACE)
    body = person(pose=points(25))
    sizes = [{"canvas_width": 1280, "canvas_height": 720}] * 2 + [{"canvas_width": 0, "canvas_height": True}, {}]
    for size in sizes:
        assert rows.add(json.dumps({"people": [body], **size}).encode()) == 1
    assert dict(rows.sizes) == {(1280, 720): 2}


def test_a_given_body_model_excludes_others() -> None:
    coco = frame(person(pose=points(18)))
    assert read(coco, body_model="coco_18").shape == (1, 137, 3)
    assert "has 54 numbers; BODY_25B has 75" in reason(coco, body_model="body_25b")


def test_a_damaged_file_leaves_nothing_behind() -> None:
    rows = Rows(BODY_FACE)
    rows.add(frame(person(pose=points(25, first=1))))
    with pytest.raises(FrameError):
        rows.add(frame(person(pose=points(24, first=2)), person(face=points(69))))
    rows.add(frame(person(pose=points(25, first=3))))
    assert rows.array()[:, 0, 0].tolist() == [1, 3]


def test_a_file_truncated_at_any_byte_is_refused_or_complete() -> None:
    data = frame(person(pose=points(25), face=points(70, 0.125)), person(pose=points(25, 7.5)))
    for end in range(len(data)):
        assert f"is truncated after {end} bytes" in reason(data[:end]) or not end
    assert len(read(data)) == 2


def test_deep_nesting_is_refused() -> None:
    assert "is not JSON" in reason(b'{"people":' + b"[" * 100_000)


def people_or_reason(rows: Rows, data: bytes) -> int | str:
    """How many people a file has, or why it is refused, which must be known."""
    try:
        return rows.add(data)
    except FrameError as error:
        found = str(error)
    assert found != "is not what OpenPose writes"
    return found


@given(st.binary(max_size=200))
@settings(deadline=None)
def test_random_bytes_are_refused(data: bytes) -> None:
    assert reason(data)


@given(st.data())
@settings(max_examples=200, deadline=None)
def test_a_frame_with_flipped_bytes_is_refused_or_read(data: st.DataObject) -> None:
    damaged = bytearray(frame(person(pose=points(25), face=points(70)), person(face=points(70))))
    for _ in range(data.draw(st.integers(1, 4))):
        damaged[data.draw(st.integers(0, len(damaged) - 1))] = data.draw(st.integers(0, 255))
    rows = Rows(BODY_FACE)
    count = people_or_reason(rows, bytes(damaged))
    assert rows.array().shape == (count if isinstance(count, int) else 0, 95, 3)


JSON = st.recursive(
    st.none()
    | st.booleans()
    | st.integers(-(2**70), 2**70)
    | st.floats(allow_nan=False, allow_infinity=False)
    | st.text(),
    lambda inner: (
        st.lists(inner, max_size=4) | st.dictionaries(st.sampled_from(["people", "pose_keypoints_2d", "x"]), inner)
    ),
    max_leaves=10,
)


@given(JSON | st.builds(lambda people: {"people": people}, JSON))
@settings(deadline=None)
def test_any_json_is_refused_with_a_reason_or_read(document: Any) -> None:
    people_or_reason(Rows(BODY_FACE), json.dumps(document).encode())


NUMBERS = st.floats(-1e4, 1e4, width=32) | st.integers(-3000, 3000)
PERSON = st.fixed_dictionaries(
    {
        part: st.sampled_from(counts).flatmap(lambda n: st.lists(NUMBERS, min_size=n, max_size=n))
        for part, counts in COUNTS.items()
    }
)


@given(st.lists(PERSON, max_size=2))
@settings(max_examples=50, deadline=None)
def test_rows_match_an_independent_reading(people: list[dict[str, list[float]]]) -> None:
    expected = []
    for someone in people:
        if any(someone.values()):
            row = {part: [0.0] * (3 * count) for part, count in PARTS.items()}
            for part, numbers in someone.items():
                row[part][: len(numbers)] = numbers
            expected.append([n for part in PARTS for n in row[part]])
    found = read(frame(*(person(**someone) for someone in people)))
    assert np.array_equal(found.reshape(-1, 411), np.array(expected, np.float32).reshape(-1, 411))


def test_rows_that_were_taken_leave_no_identity_behind() -> None:
    rows = Rows(layout("body_25"))
    rows.add(frame(person(pose=points(25)) | {"person_id": [7]}))
    assert rows.identity().tolist() == [7]
    points_taken, counts = rows.take()
    assert (len(points_taken), list(counts)) == (1, [75])
    rows.add(frame(person(pose=points(25)), person(pose=points(25))))
    assert rows.identity() is None
    assert rows.array().shape == (2, 25, 3)
