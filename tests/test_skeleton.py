"""Parts and layouts are what OpenPose's own tables say."""

import pytest

from skelemo import skeleton
from skelemo.errors import ConfigError
from skelemo.skeleton import (
    BODY_25,
    BODY_MODELS,
    COCO_17,
    DEFAULT_LAYOUT,
    FACE_70,
    HAND_LEFT,
    HAND_RIGHT,
    MEDIAPIPE_33,
    Part,
    Reference,
    layout,
    layout_of,
    part_models,
    stream_layout,
)

BODIES = [*BODY_MODELS.values(), COCO_17, MEDIAPIPE_33]
ALL_PARTS = [*BODIES, FACE_70, HAND_LEFT, HAND_RIGHT]
LAYOUTS = [
    "body_25", "face_70", "hand_21x2", "body_25+face_70", "body_25+hand_21x2", "face_70+hand_21x2",
    "body_25+face_70+hand_21x2", "coco_17", "mediapipe_33", "coco_17+face_70+hand_21x2", "coco_18", "mpi_15+face_70",
]  # fmt: skip


def opposite(name):
    """The keypoint of the other side, by its name alone."""
    side = {"L": "R", "R": "L"}.get(name[0])
    return side + name[1:] if side and name[1].isupper() else name


@pytest.mark.parametrize("part", ALL_PARTS, ids=lambda part: part.name)
def test_parts_have_as_many_points_as_openpose_writes(part):
    counts = {"body_25": 25, "coco_18": 18, "mpi_15": 15, "body_25b": 25, "face_70": 70, "coco_17": 17}
    counts["mediapipe_33"] = 33
    assert len(part) == counts.get(part.name, 21)
    assert len(set(part.keypoints)) == len(part)
    assert [part.index(name) for name in part.keypoints] == list(range(len(part)))


@pytest.mark.parametrize("part", ALL_PARTS, ids=lambda part: part.name)
def test_limbs_join_two_points_of_the_part_once(part):
    assert all(0 <= a < len(part) and 0 <= b < len(part) and a != b for a, b in part.limbs)
    assert len({frozenset(limb) for limb in part.limbs}) == len(part.limbs)


def test_limbs_are_as_many_as_openpose_draws():
    counts = {"body_25": 24, "coco_18": 17, "mpi_15": 14, "hand_left_21": 20, "hand_right_21": 20}
    assert {part.name: len(part.limbs) for part in ALL_PARTS if part.name in counts} == counts
    ends = {part.name: {point for limb in part.limbs for point in limb} for part in ALL_PARTS}
    assert all(ends[name] == set(range(count + 1)) for name, count in counts.items())
    assert ends["face_70"] == set(range(68)), "only the pupils hang on nothing"


@pytest.mark.parametrize("part", BODIES, ids=lambda part: part.name)
def test_limbs_of_a_body_are_the_same_on_both_sides(part):
    named = {frozenset((part.keypoints[a], part.keypoints[b])) for a, b in part.limbs}
    assert {frozenset(map(opposite, limb)) for limb in named} == named


@pytest.mark.parametrize("part", ALL_PARTS, ids=lambda part: part.name)
def test_mirroring_twice_is_nothing(part):
    assert [part.mirror[part.mirror[index]] for index in range(len(part))] == list(range(len(part)))


@pytest.mark.parametrize("part", BODIES, ids=lambda part: part.name)
def test_a_mirrored_body_has_its_left_on_the_right(part):
    for index, name in enumerate(part.keypoints):
        assert part.keypoints[part.mirror[index]] == opposite(name)
    middle = {"Nose", "Neck", "MidHip", "Head", "Chest", "HeadTop"}
    assert {name for index, name in enumerate(part.keypoints) if part.mirror[index] == index} <= middle


def test_a_mirrored_face_keeps_its_shape():
    """The mean face, by the places of iBUG's scheme: each point lies where its twin does, across the nose."""
    pairs = (
        "0-16 8-8 17-26 21-22 27-27 30-30 31-35 33-33 36-45 37-44 38-43 39-42 40-47 41-46 48-54 49-53 51-51 57-57 "
        "55-59 60-64 61-63 62-62 65-67 66-66 68-69"
    )
    for one, other in (map(int, pair.split("-")) for pair in pairs.split()):
        assert FACE_70.mirror[one] == other
        assert FACE_70.mirror[other] == one
    still = [index for index in range(70) if FACE_70.mirror[index] == index]
    assert still == [8, 27, 28, 29, 30, 33, 51, 57, 62, 66]


def test_contours_of_a_face_are_the_same_on_both_sides():
    limbs = {frozenset(limb) for limb in FACE_70.limbs}
    assert {frozenset(FACE_70.mirror[point] for point in limb) for limb in limbs} == limbs


@pytest.mark.parametrize("part", ALL_PARTS, ids=lambda part: part.name)
def test_every_point_has_a_color(part):
    for index in range(len(part)):
        assert all(0 <= value <= 255 for value in part.drawing.color(index))
    assert len(part.drawing.colors) in (1, len(part))


def test_known_points_are_where_openpose_puts_them():
    body = layout("body_25")
    places = {"Nose": 0, "Neck": 1, "RWrist": 4, "LWrist": 7, "MidHip": 8, "LBigToe": 19, "RHeel": 24}
    assert {name: body.index(f"body_25.{name}") for name in places} == places
    assert FACE_70.index("REye0") == 36
    assert FACE_70.index("LEye0") == 42
    assert FACE_70.index("RPupil") == 68


# Layouts


@pytest.mark.parametrize("name", LAYOUTS)
def test_a_layout_lays_its_parts_end_to_end(name):
    found = layout(name)
    assert found.name == name
    assert len(found) == len(found.keypoints) == sum(len(part) for part in found.parts)
    ends = 0
    for part in found.parts:
        assert found.slices[part.name] == slice(ends, ends + len(part))
        ends += len(part)
        assert found.part(part.name) is part
        for keypoint in part.keypoints:
            assert found.keypoints[found.index(f"{part.name}.{keypoint}")] == f"{part.name}.{keypoint}"
    assert len(found.limbs) == sum(len(part.limbs) for part in found.parts)
    owner = [part.name for part in found.parts for _ in range(len(part))]
    assert all(owner[a] == owner[b] for a, b in found.limbs)


@pytest.mark.parametrize("name", LAYOUTS)
def test_mirroring_a_layout_twice_is_nothing(name):
    mirror = layout(name).mirror
    assert [mirror[mirror[index]] for index in range(len(mirror))] == list(range(len(mirror)))


def test_the_left_hand_becomes_the_right_one():
    found = layout("body_25+face_70+hand_21x2")
    for joint in HAND_LEFT.keypoints:
        left, right = found.index(f"hand_left_21.{joint}"), found.index(f"hand_right_21.{joint}")
        assert found.mirror[left] == right
    assert found.mirror[found.index("face_70.REye0")] == found.index("face_70.LEye3")


def test_sizes_of_the_usual_layouts():
    assert len(layout()) == len(layout(DEFAULT_LAYOUT)) == 95
    assert len(layout("body_25+face_70+hand_21x2")) == 137
    assert layout("body_25").part("face_70") is None


@pytest.mark.parametrize("name", ["body_25 + face_70", " body_25+face_70 ", "body_25+ face_70"])
def test_spaces_in_a_name_do_not_matter(name):
    assert layout(name) == layout("body_25+face_70")


@pytest.mark.parametrize(
    ("name", "said"),
    [
        ("", "unknown part of a layout ''"),
        ("body_24", "did you mean 'body_25'"),
        ("body_25+", "unknown part"),
        ("face_70+body_25", "wrong order of parts; expected body, face, hands, others"),
        ("body_25+body_25", "choose one of body_25, body_25"),
        ("body_25+coco_17", "choose one of body_25, coco_17"),
    ],
)
def test_a_name_that_spells_no_layout_is_refused(name, said):
    with pytest.raises(ConfigError, match=said):
        layout(name)


def test_an_unknown_keypoint_offers_the_nearest():
    with pytest.raises(ConfigError, match=r"unknown keypoint of body_25 'body_25\.Knee'"):
        layout("body_25").index("body_25.Knee")
    with pytest.raises(ConfigError, match="did you mean 'RWrist'"):
        skeleton.BODY_25.index("RWrits")


@pytest.mark.parametrize("part", ALL_PARTS, ids=lambda part: part.name)
def test_the_reference_rule_of_every_part_names_its_points(part):
    assert part.origins
    assert part.units
    assert part.level is None or all(part.level)


def test_a_reference_rule_is_read_as_places():
    reference = Reference("B 0 0; A+C* 1 -.5", "A-B|B-C1 2, A-C* 1 3; A-C2 4", "A-C*")
    part = Part("mine", ("A", "B", "C1", "C2"), (), BODY_25.drawing, reference=reference)
    assert part.origins == ((((1,),), 0, 0), (((0,), (2, 3)), 1, -0.5))
    a, b, c, c1, c2 = ((0,),), ((1,),), ((2, 3),), ((2,),), ((3,),)
    assert part.units == (((((a, b), (b, c1)), 2, 1), (((a, c),), 1, 3)), ((((a, c2),), 4, 1),))
    assert part.level == (((0,),), ((2, 3),))
    with pytest.raises(ConfigError, match="keypoint of mine"):
        _ = Part("mine", ("A",), (), BODY_25.drawing, reference=Reference("B 0 0")).origins


ALL = layout("body_25+face_70+hand_21x2")


def test_a_layout_is_reduced_to_parts_in_its_order():
    assert ALL.only({"hand_left_21", "hand_right_21", "face_70"}).name == "face_70+hand_21x2"
    assert ALL.only({"hand_right_21", "body_25"}).name == "body_25+hand_right_21"
    assert ALL.only({"body_25"}) == layout("body_25")


def test_columns_are_the_positions_of_the_named_parts():
    assert ALL.columns({"hand_right_21", "face_70"}) == [*range(25, 95), *range(116, 137)]
    assert ALL.columns({"coco_17"}) == []


@pytest.mark.parametrize(
    "name",
    ["body_25", "face_70+hand_21x2", "body_25+face_70+hand_21x2", "mediapipe_33+face_70+hand_left_21", "hand_right_21"],
)
def test_parts_make_their_layout_whatever_their_order(name):
    parts = [part.name for part in layout(name).parts]
    assert layout_of(parts) == layout_of(parts[::-1]) == layout(name)


@pytest.mark.parametrize(
    ("wanted", "read"),
    [
        ("face_70", "body_25+face_70"),
        ("body_25", "body_25+face_70"),
        ("body_25+hand_left_21", "body_25+face_70+hand_21x2"),
        ("coco_17", "coco_17"),
        ("coco_17+face_70", "coco_17+face_70"),
    ],
)
def test_a_stream_is_read_with_body_and_face_for_tracking(wanted, read):
    assert stream_layout(layout(wanted)).name == read


def test_one_hand_without_its_twin_stays_in_its_place_when_mirrored():
    assert layout("hand_left_21").mirror == tuple(range(21))
    assert layout("hand_21x2").mirror == (*range(21, 42), *range(21))


def test_body_models_share_openposes_key():
    assert next(iter(part_models(BODY_25))) == "body_25"
    assert {"body_25b", "coco_17", "coco_18", "mediapipe_33", "mpi_15"} < set(part_models(BODY_25))
    assert set(part_models(FACE_70)) == {"face_70"}
