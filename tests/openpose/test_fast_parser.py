"""The quick reader takes what OpenPose writes, and nothing that the slow one would read otherwise."""

from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from openpose_json import PARTS, frame, person, points

from skelemo.openpose.fast_parser import FastParser
from skelemo.openpose.frame import Rows
from skelemo.openpose.schema import slots
from skelemo.openpose.validate import FrameError
from skelemo.skeleton import layout

BODY_FACE = layout()
ALL = layout("body_25+face_70+hand_21x2")
WHOLE = person(**{part: points(count) for part, count in PARTS.items()})
USUAL = frame(person(pose=points(25), face=points(70)), person(pose=points(18)))


def outcome(rows: Rows, data: bytes) -> int | str:
    try:
        return rows.add(data)
    except FrameError as error:
        return str(error)


def slow(name: str = BODY_FACE.name) -> Rows:
    """Rows that every file reaches by the slow reader."""
    rows = Rows(layout(name))
    rows._plain.read = lambda data: None  # type: ignore[method-assign]
    return rows


def assert_read_alike(*files: bytes, name: str = BODY_FACE.name) -> None:
    quick, other = Rows(layout(name)), slow(name)
    for data in files:
        assert outcome(quick, data) == outcome(other, data), data
    with np.errstate(invalid="ignore"):
        assert quick.array().tobytes() == other.array().tobytes()
    assert np.array_equal(quick.identity(), other.identity())


@pytest.mark.parametrize("name", [BODY_FACE.name, ALL.name, "body_25", "face_70"])
@pytest.mark.parametrize("tracked", [[-1], [3]])
def test_openposes_files_take_the_fast_parser(name: str, tracked: list[int]) -> None:
    reader = FastParser(slots(layout(name)))
    someone = {**person(pose=points(25), face=points(70)), "person_id": tracked}
    files = [frame(), frame(someone), frame(WHOLE, someone), frame(), frame(someone, WHOLE, person())]
    assert all(reader.read(data) is not None for data in files)
    assert_read_alike(*files, name=name)


def test_both_parsers_agree_on_real_files(shared_data: Path) -> None:
    for version in (
        "v1.2-body25-face",
        "v1.2-body25-signer",
        "v1.2-coco18-candidates",
        "v1.3-coco18",
        "v1.3-body25-kicks",
    ):
        files = [file.read_bytes() for file in sorted((shared_data / "openpose" / version).rglob("*.json"))[:20]]
        reader = FastParser(slots(BODY_FACE))
        assert all(reader.read(data) is not None for data in files)
        assert_read_alike(*files)


NUMBERS = ",".join(map(str, range(75)))
OTHERS = ",".join(map(str, range(100, 175)))


@pytest.mark.parametrize(
    "text",
    [
        # Twice the same key, as it stands or spelt otherwise: the last counts.
        '{"version":1.3,"people":[{"pose_keypoints_2d":[A],"face_keypoints_2d":[],"pose_keypoints_2d":[B]}]}',
        '{"version":1.3,"people":[{"pose_keypoints_2d":[A],"face_keypoints_2d":[],"p\\u006fse_keypoints_2d":[B]}]}',
        '{"version":1.3,"people":[{"pose_keypoints_2d":[A],"face_keypoints_2d":[]}],"people":[]}',
        '{"version":1.3,"people":[{"pose_keypoints_2d":[A],"face_keypoints_2d":[],"people":[]}]}',
        '{"people":[],"people":[{"pose_keypoints_2d":[A],"face_keypoints_2d":[]}]}',
        # Lists in lists, of as many numbers.
        '{"version":1.3,"people":[{"pose_keypoints_2d":[[A]],"face_keypoints_2d":[]}]}',
        '{"version":1.3,"people":[{"pose_keypoints_2d":[[],[0,1],C],"face_keypoints_2d":[]}]}',
        '{"version":1.3,"people":[{"pose_keypoints_2d":[[0],1,C],"face_keypoints_2d":[]}]}',
        # A byte order mark, and what stands behind the end.
        '\ufeff{"version":1.3,"people":[{"pose_keypoints_2d":[A],"face_keypoints_2d":[]}]}',
        '{"version":1.3,"people":[{"pose_keypoints_2d":[A],"face_keypoints_2d":[]}]}\n',
        '{"version":1.3,"people":[{"pose_keypoints_2d":[A],"face_keypoints_2d":[]}]}]',
        # Words that hold what numbers lie between, and other kinds of values.
        '{"version":1.3,"people":[{"x":"],","pose_keypoints_2d":[A],"face_keypoints_2d":[]}]}',
        '{"version":1.3,"people":[{"x":{"pose_keypoints_2d":[B]},"face_keypoints_2d":[]}]}',
        '{"version":1.3,"people":[{"pose_keypoints_2d":null,"face_keypoints_2d":[]}]}',
        '{"version":1.3,"people":[{"pose_keypoints_2d":"","face_keypoints_2d":{}}]}',
        '{"version":1.3,"people":[{"pose_keypoints_2d":[true,1,C],"face_keypoints_2d":[]}]}',
        '{"version":1.3,"people":{}}',
        '{"version":1.3,"people":[{}]}',
        '{"version":"people"}',
        # Numbers that only one of the readers knows.
        '{"version":1.3,"people":[{"pose_keypoints_2d":[123456789012345678901234567890,1,C],"face_keypoints_2d":[]}]}',
        '{"version":1.3,"people":[{"pose_keypoints_2d":[-0,-0.0,C],"face_keypoints_2d":[]}]}',
        '{"version":1.3,"people":[{"pose_keypoints_2d":[18446744073709551615,1e39,C],"face_keypoints_2d":[]}]}',
    ],
)
def test_ambiguous_files_take_the_slow_parser(text: str) -> None:
    odd = text.replace("A", NUMBERS).replace("B", OTHERS).replace("C", ",".join(map(str, range(2, 75)))).encode()
    usual = b'{"version":1.3,"people":[{"pose_keypoints_2d":[%s],"face_keypoints_2d":[]}]}' % NUMBERS.encode()
    assert_read_alike(odd)
    assert_read_alike(usual, odd, usual, USUAL, odd, usual)


@given(st.data())
@settings(max_examples=200, deadline=None)
def test_both_parsers_agree_on_damaged_files(data: st.DataObject) -> None:
    damaged = bytearray(USUAL)
    for _ in range(data.draw(st.integers(1, 3))):
        place, kind = data.draw(st.integers(0, len(damaged) - 1)), data.draw(st.integers(0, 2))
        if kind == 0:
            damaged[place] = data.draw(st.sampled_from(b'[]{}",:-.e0tn\\ \n'))
        elif kind == 1:
            damaged[place:place] = data.draw(st.sampled_from([b"]", b"[", b'],"', b'],"face_keypoints_2d":[', b"}]}"]))
        else:
            del damaged[place : place + data.draw(st.integers(1, 400))]
    assert_read_alike(USUAL, bytes(damaged), USUAL)
    assert_read_alike(bytes(damaged), bytes(damaged), USUAL)
