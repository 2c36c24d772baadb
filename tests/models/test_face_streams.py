"""The streams organ, frontal and angle: what of a face they keep, and what they leave out."""

import pytest
import torch
from torch.testing import assert_close

from skelemo.errors import ConfigError
from skelemo.models.face_streams import Angles, Frontal, Organs
from skelemo.models.registry import Spec, create
from skelemo.models.streams import Streams, mirrored
from skelemo.preprocess import Preparation, prepare
from skelemo.simulate.face import _SHAPE
from skelemo.skeleton import FACE_70, layout
from skelemo.targets import VA

WHOLE, FACE = layout("body_25+face_70"), layout("face_70")
START = WHOLE.slices["face_70"].start
MOUTH = [START + index for index, name in enumerate(FACE_70.keypoints) if "Mouth" in name]
JAW = [START + index for index, name in enumerate(FACE_70.keypoints) if "Jaw" in name]


def faces(count: int = 5, *, turned: float = 0.3) -> torch.Tensor:
    """Faces ``[count, 95, 3]`` of several shapes and turns, all of them seen, and bodies."""
    draw = torch.Generator().manual_seed(0)
    points = torch.rand(count, 95, 3, generator=draw) + 0.1
    shape = torch.tensor(_SHAPE[:, :2] * (1, -1), dtype=torch.float32) / 60
    shape = shape + 0.03 * torch.randn(count, 70, 2, generator=draw)
    affine = torch.eye(2) + turned * (torch.rand(count, 2, 2, generator=draw) - 0.5)
    points[:, START:, :2] = shape @ affine + torch.randn(count, 1, 2, generator=draw)
    return points


def shown(module: torch.nn.Module, points: torch.Tensor) -> torch.Tensor:
    return module(points, points[..., 2:] > 0)


@pytest.mark.parametrize(
    "beginnings", [("RBrow",), ("LBrow",), ("Nose",), ("REye", "RPupil"), ("LEye", "LPupil"), ("OuterM", "InnerM")]
)
def test_an_organ_keeps_its_shape_wherever_it_lies(beginnings: tuple[str, ...]):
    points = faces()
    organ = [START + index for index, name in enumerate(FACE_70.keypoints) if name.startswith(beginnings)]
    moved = points.clone()
    moved[:, organ, :2] += torch.tensor([0.3, -0.2])
    found = shown(Organs(WHOLE), points)
    assert_close(shown(Organs(WHOLE), moved), found, atol=1e-5, rtol=0)
    assert_close(found[:, organ, :2], points[:, organ, :2] - points[:, organ, :2].mean(1, True), atol=1e-5, rtol=0)


def test_what_is_no_organ_and_what_is_missing_is_zero():
    points = faces()
    points[:, MOUTH[3]] = 0
    found = shown(Organs(WHOLE), points)
    assert not found[:, :START].any()
    assert not found[:, JAW].any()
    assert not found[:, MOUTH[3]].any()
    rest = [index for index in MOUTH if index != MOUTH[3]]
    assert_close(found[:, rest, :2].mean(1), torch.zeros(5, 2), atol=1e-5, rtol=0)
    assert_close(found[:, rest, 2], points[:, rest, 2])


def test_a_face_from_before_is_the_same_however_the_picture_of_it_was_stretched():
    points, stretched = faces(), faces(turned=1.0)
    straight = shown(Frontal(WHOLE), points)
    stretched[:, START:, :2] = points[:, START:, :2] @ torch.tensor([[1.3, 0.2], [-0.1, 0.7]]) + 2
    stretched[..., 2] = points[..., 2]
    assert_close(shown(Frontal(WHOLE), stretched), straight, atol=1e-4, rtol=0)
    assert not straight[:, :START].any()
    assert straight[:, START:].all()


def test_a_usual_face_from_before_is_as_it_is_placed():
    points = torch.cat([torch.tensor(_SHAPE[:, :2] * (1, -1), dtype=torch.float32), torch.ones(70, 1)], -1)[None]
    placed = prepare(points[None], FACE, Preparation())[0][0]
    assert_close(shown(Frontal(FACE), placed), placed, atol=0.02, rtol=0)


@pytest.mark.parametrize(
    ("firm", "told"),
    [
        (["REye0", "LEye3", "NoseBridge3", "NoseBase2"], True),
        (["REye0", "LEye3", "NoseBase2"], False),
        (["REye0", "LEye3", "NoseBase2", "OuterMouth9"], False),  # the mouth is not firm
        ([], False),
    ],
)
def test_four_firm_points_tell_how_a_face_looks_from_before(firm: list[str], told: bool):
    points = faces()
    rest = [i for i, name in enumerate(FACE_70.keypoints) if name not in [*firm, "Jaw3"]]
    points[:, [START + i for i in rest]] = 0
    found = shown(Frontal(WHOLE), points).any(-1)
    assert found.any() == told
    if told:
        assert torch.equal(found[:, START:], points[:, START:, 2] > 0)  # what is missing stays so


@pytest.mark.parametrize(("squeezed", "told"), [(0.3, True), (0.02, False)])
def test_a_face_in_profile_tells_nothing(squeezed: float, told: bool):
    points = faces()
    points[:, START:, 0] *= squeezed
    assert shown(Frontal(WHOLE), points).any() == told


def test_a_face_beyond_all_bounds_is_no_number_to_nobody():
    points = torch.cat([torch.randn(4, 70, 2) * 5e9, torch.ones(4, 70, 1)], -1)
    assert torch.isfinite(shown(Frontal(FACE), points)).all()


def test_a_face_on_a_line_tells_nothing_and_hurts_nothing():
    points = faces()
    points[..., 1] = points[..., 0] * 0.5
    points.requires_grad_()
    found = shown(Frontal(WHOLE), points)
    assert not found.any()
    found.sum().backward()
    assert torch.isfinite(points.grad).all()


def test_angles_and_ratios_of_lengths_do_not_depend_on_where_and_how_large_a_face_is():
    points = faces()
    turn = torch.tensor([[0.8, 0.6], [-0.6, 0.8]])
    moved = torch.cat([points[..., :2] @ turn * 3 + 5, points[..., 2:]], -1)
    found = shown(Angles(WHOLE), points)
    assert_close(shown(Angles(WHOLE), moved), found, atol=0.1, rtol=0)  # tiny sides count less
    assert found.any(-1).sum(1).tolist() == [55] * 5
    assert not found[:, :START].any()


def test_the_angle_at_a_mouth_corner_is_how_far_the_mouth_is_open():
    points = faces(1)
    corner, above, below = (START + FACE_70.index(f"OuterMouth{index}") for index in (0, 3, 9))
    points[0, corner, :2] = torch.zeros(2)
    points[0, above, :2] = torch.tensor([0.6, -0.6])
    points[0, below, :2] = torch.tensor([0.3, 0.3])
    found = shown(Angles(WHOLE), points)[0, corner]
    assert_close(found[:2], torch.tensor([torch.pi / 2, 0.68]), atol=0.02, rtol=0)
    assert found[2] == points[0, corner, 2]
    points[0, below] = 0
    assert not shown(Angles(WHOLE), points)[0, corner].any()


def test_left_and_right_angles_change_places_in_a_mirrored_face():
    points = faces()[:, None]
    found = mirrored(shown(Angles(WHOLE), points), WHOLE)[..., :2].abs()
    assert_close(shown(Angles(WHOLE), mirrored(points, WHOLE))[..., :2].abs(), found, atol=1e-5, rtol=0)


def test_angles_between_points_in_one_place_are_finite_and_so_are_their_gradients():
    points = torch.ones(2, 95, 3, requires_grad=True)
    found = shown(Angles(WHOLE), points)
    assert not found[..., :2].any()
    found.sum().backward()
    assert torch.isfinite(points.grad).all()


def test_a_layout_without_a_face_is_refused():
    for name in ("organ", "frontal", "angle"):
        with pytest.raises(ConfigError, match="need a face, which the layout body_25 lacks"):
            Streams(Spec(layout("body_25"), (VA,), 1), [name])


@pytest.mark.parametrize("arch", ["ann", "gru", "stgcnpp"])
def test_networks_take_them(arch: str):
    model = create(
        arch,
        layout_name="body_25+face_70",
        frames=4,
        heads=("expression", "va"),
        streams=["joint", "organ", "frontal", "angle"],
    )
    points, mask = faces(8).reshape(2, 4, 95, 3), torch.ones(2, 4, dtype=torch.bool)
    mask[1, 2:] = False
    with torch.autocast("cpu", torch.bfloat16):
        found = model(points, mask)
    assert found["expression"].shape == (2, 7)
    sum(value.float().sum() for value in found.values()).backward()
    assert all(torch.isfinite(p.grad).all() for p in model.parameters() if p.grad is not None)
