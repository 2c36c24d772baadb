"""The streams organ and frontal: what of a face they keep, and what they leave out."""

import numpy as np
import pytest
import torch
from torch.testing import assert_close

from skelemo.data.normalising import by_part, place
from skelemo.errors import ConfigError
from skelemo.models.face import Frontal, Organs
from skelemo.models.registry import Spec, create
from skelemo.models.streams import Streams
from skelemo.skeleton import FACE_70, layout
from skelemo.synthesis.face import _SHAPE

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


def test_an_organ_keeps_its_shape_wherever_it_lies():
    points = faces()
    moved = points.clone()
    moved[:, MOUTH, :2] += torch.tensor([0.3, -0.2])
    assert_close(shown(Organs(WHOLE), moved), shown(Organs(WHOLE), points), atol=1e-5, rtol=0)
    middle = points[:, MOUTH, :2].mean(1, keepdim=True)
    assert_close(shown(Organs(WHOLE), points)[:, MOUTH, :2], points[:, MOUTH, :2] - middle, atol=1e-5, rtol=0)


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
    reference = torch.from_numpy(by_part(points.numpy(), np.zeros(1, int), FACE))
    placed = place(points, reference, FACE)
    assert_close(shown(Frontal(FACE), placed), placed, atol=0.02, rtol=0)


@pytest.mark.parametrize("firm", [3, 0])
def test_too_few_firm_points_tell_nothing(firm: int):
    points = faces()
    names = [
        START + i for i, name in enumerate(FACE_70.keypoints) if name.startswith("Nose") or name[1:] in ("Eye0", "Eye3")
    ]
    points[:, names[firm:]] = 0
    assert not shown(Frontal(WHOLE), points).any()


def test_a_face_on_a_line_tells_nothing_and_hurts_nothing():
    points = faces()
    points[..., 1] = points[..., 0] * 0.5
    points.requires_grad_()
    found = shown(Frontal(WHOLE), points)
    assert not found.any()
    found.sum().backward()
    assert torch.isfinite(points.grad).all()


def test_a_layout_without_a_face_is_refused():
    for name in ("organ", "frontal"):
        with pytest.raises(ConfigError, match="show a face; the layout body_25 has none"):
            Streams(Spec(layout("body_25"), ("va",), 7, 1), [name])


@pytest.mark.parametrize("arch", ["ann", "gru", "stgcnpp"])
def test_networks_take_them(arch: str):
    model = create(
        arch, layout_name="body_25+face_70", frames=4, heads=("expression", "va"), streams=["joint", "organ", "frontal"]
    )
    points, mask = faces(8).reshape(2, 4, 95, 3), torch.ones(2, 4, dtype=torch.bool)
    mask[1, 2:] = False
    with torch.autocast("cpu", torch.bfloat16):
        found = model(points, mask)
    assert found["expression"].shape == (2, 7)
    sum(value.float().sum() for value in found.values()).backward()
    assert all(torch.isfinite(p.grad).all() for p in model.parameters() if p.grad is not None)
