"""Image networks: torchvision's names and numbers, the frame round them, and what they cost."""

import copy
import hashlib
import math

import numpy as np
import pytest
import torch
from torch import Tensor, nn
from torch.nn import functional as F

from skelemo.errors import ConfigError, InputError
from skelemo.models import create, list_models
from skelemo.models.image import BACKBONES, image_encoder
from skelemo.models.registry import Spec, cost, cost_of, entry
from skelemo.models.resnet import basic
from skelemo.models.vit import SelfAttention
from skelemo.skeleton import layout
from skelemo.targets import EXPRESSION, VA

NETWORKS = ("resnet18_paper", "resnet18", "resnet34", "resnet50", "densenet121", "densenet201", "vit_s16", "vit_b16")
SMALL = ("resnet18_paper", "vit_s16")

# Parameters with 1,000 classes, and SHA-256 of the lines "name shape" of the state_dict of torchvision 0.29.2;
# of ViT-S/16, which torchvision lacks, timm 1.0.31's count.
TORCHVISION = {
    "resnet18": (11_689_512, "84fb10d9c6905a1cbb020b284537dc97c4f4ec55fb2a780a41152a23a2dd0e9d"),
    "resnet34": (21_797_672, "28f9096d5130749948981c6900083e57b19456b8b835829b8bdfe415bddc3f32"),
    "resnet50": (25_557_032, "d7e4f8bb0a5363446a59c81c3887ccf66900a11651a0ae2dec96d1bb1eb6ea81"),
    "densenet121": (7_978_856, "aa0fd9923b0003b813430af55d9350bcf2555273dedae08042b92025727ccac8"),
    "densenet201": (20_013_928, "0d234ad7e9a31b957bbeb9dd839891322165cff56d2424f3a25983fc4b0d2127"),
    "vit_b16": (86_567_656, "b124b34d9346c58cb7db25e1bfc36a321c153aac78f17bcb61cff204718a9f73"),
    "vit_s16": (22_050_664, None),
}

# Logits 0, 250, 500, 750 and 999 of torchvision 0.29.2's networks for the second of two pictures, both weights and
# pictures being `noise`: side of the picture, logits.
TORCHVISION_LOGITS = {
    "resnet18": (64, [-25.3621, 24.3512, 7.88362, -17.0239, 8.15908]),
    "resnet34": (64, [-56.8257, 269.625, 244.659, 273.12, -62.0762]),
    "resnet50": (64, [-592.829, 199.676, -164.282, -40.4416, 407.517]),
    "densenet121": (64, [-0.469523, -2.2154, 1.81763, -1.60963, -1.30343]),
    "densenet201": (64, [-0.998158, 0.191113, 0.950914, 1.28138, -0.394971]),
    "vit_b16": (224, [-1.09328, -3.02286, 2.30469, 0.978322, -0.494295]),
}


def noise(count: int, seed: int) -> Tensor:
    """Uniform numbers in [-1, 1) by splitmix64: the same on every machine and in every release."""
    with np.errstate(over="ignore"):
        x = np.arange(count, dtype=np.uint64) + np.uint64(seed << 32)
        x *= np.uint64(0x9E3779B97F4A7C15)
        x = (x ^ (x >> np.uint64(30))) * np.uint64(0xBF58476D1CE4E5B9)
        x = (x ^ (x >> np.uint64(27))) * np.uint64(0x94D049BB133111EB)
    return torch.from_numpy((x >> np.uint64(40)).astype(np.float32) / 2**23 - 1)


def noisy(state: dict[str, Tensor]) -> dict[str, Tensor]:
    filled = {}
    for index, (name, tensor) in enumerate(sorted(state.items())):
        values = noise(tensor.numel(), index + 1).view(tensor.shape)
        if name.endswith("num_batches_tracked"):
            filled[name] = torch.zeros_like(tensor)
        elif tensor.ndim > 1:
            filled[name] = values * (math.sqrt(6 / tensor[0].numel()) if "embedding" not in name else 1)
        elif name.endswith(("running_var", "weight")):
            filled[name] = 1 + 0.3 * values
        else:
            filled[name] = 0.1 * values
    return filled


def backbone(name: str, classes: int = 1000) -> nn.Module:
    entry(name)
    return BACKBONES[name](classes=classes)


def clips(count: int, frames: int, classes: int = 7) -> tuple[Tensor, Tensor, Tensor, Tensor]:
    """Windows whose class is a pose of its own, with valence and arousal that follow: keypoints, mask, class, va."""
    chance = torch.Generator().manual_seed(5)
    poses = torch.rand(classes, 1, 95, 2, generator=chance) - 0.5
    expression = torch.arange(count) % classes
    points = poses[expression] + 0.01 * torch.randn(count, frames, 95, 2, generator=chance)
    keypoints = torch.cat([points, torch.full((count, frames, 95, 1), 0.9)], -1)
    va = torch.stack([expression / classes - 0.4, 0.5 - expression / classes], -1)
    return keypoints, torch.ones(count, frames, dtype=torch.bool), expression, va


@pytest.fixture(autouse=True)
def _same_chance() -> None:
    torch.manual_seed(0)


# --- torchvision's names and numbers


def batch_norm(name: str) -> list[str]:
    return [f"{name}.{part}" for part in ("weight", "bias", "running_mean", "running_var", "num_batches_tracked")]


def resnet_names(depths: tuple[int, ...], convolutions: int) -> list[str]:
    names = ["conv1.weight", *batch_norm("bn1")]
    for stage, depth in enumerate(depths, start=1):
        for block in range(depth):
            at = f"layer{stage}.{block}"
            for number in range(1, convolutions + 1):
                names += [f"{at}.conv{number}.weight", *batch_norm(f"{at}.bn{number}")]
            if block == 0 and (stage > 1 or convolutions == 3):
                names += [f"{at}.downsample.0.weight", *batch_norm(f"{at}.downsample.1")]
    return [*names, "fc.weight", "fc.bias"]


def densenet_names(depths: tuple[int, ...]) -> list[str]:
    names = ["features.conv0.weight", *batch_norm("features.norm0")]
    for block, depth in enumerate(depths, start=1):
        for layer in range(1, depth + 1):
            for number in (1, 2):
                at = f"features.denseblock{block}.denselayer{layer}"
                names += [*batch_norm(f"{at}.norm{number}"), f"{at}.conv{number}.weight"]
        if block < len(depths):
            names += [*batch_norm(f"features.transition{block}.norm"), f"features.transition{block}.conv.weight"]
    return [*names, *batch_norm("features.norm5"), "classifier.weight", "classifier.bias"]


def vit_names(depth: int) -> list[str]:
    names = ["class_token", "conv_proj.weight", "conv_proj.bias", "encoder.pos_embedding"]
    for layer in range(depth):
        at = f"encoder.layers.encoder_layer_{layer}"
        names += [f"{at}.{norm}.{kind}" for norm in ("ln_1", "ln_2") for kind in ("weight", "bias")]
        names += [f"{at}.self_attention.{kind}" for kind in ("in_proj_weight", "in_proj_bias")]
        names += [f"{at}.self_attention.out_proj.{kind}" for kind in ("weight", "bias")]
        names += [f"{at}.mlp.{number}.{kind}" for number in (0, 3) for kind in ("weight", "bias")]
    return [*names, "encoder.ln.weight", "encoder.ln.bias", "heads.head.weight", "heads.head.bias"]


@pytest.mark.parametrize(
    ("name", "expected"),
    [
        ("resnet18", resnet_names((2, 2, 2, 2), 2)),
        ("resnet34", resnet_names((3, 4, 6, 3), 2)),
        ("resnet50", resnet_names((3, 4, 6, 3), 3)),
        ("densenet121", densenet_names((6, 12, 24, 16))),
        ("densenet201", densenet_names((6, 12, 48, 32))),
        ("vit_s16", vit_names(12)),
        ("vit_b16", vit_names(12)),
    ],
)
def test_parameters_are_named_shaped_and_counted_as_in_torchvision(name: str, expected: list[str]) -> None:
    with torch.device("meta"):
        network = backbone(name)
    state = network.state_dict()
    assert sorted(state) == sorted(expected)
    count, listing = TORCHVISION[name]
    assert sum(parameter.numel() for parameter in network.parameters()) == count
    lines = "\n".join(f"{key} {tuple(tensor.shape)}" for key, tensor in state.items())
    assert listing in (None, hashlib.sha256(lines.encode()).hexdigest())


def test_the_papers_resnet18_is_the_standards_plan_at_half_the_width() -> None:
    with torch.device("meta"):
        paper, standard = backbone("resnet18_paper"), backbone("resnet18")
    assert list(paper.state_dict()) == list(standard.state_dict())
    convolutions = [m for n, m in paper.named_modules() if isinstance(m, nn.Conv2d) and "downsample" not in n]
    assert len(convolutions) == 17, "with the fully connected layer: 18"
    assert sum(p.numel() for p in paper.parameters()) < sum(p.numel() for p in standard.parameters()) / 3


@pytest.mark.parametrize(
    "name",
    [
        name if name in ("resnet18", "densenet121") else pytest.param(name, marks=pytest.mark.slow)
        for name in TORCHVISION_LOGITS
    ],
)
def test_outputs_equal_torchvisions_recorded_ones(name: str) -> None:
    side, expected = TORCHVISION_LOGITS[name]
    network = backbone(name).eval()
    network.load_state_dict(noisy(network.state_dict()))
    pictures = noise(2 * 3 * side * side, 0).view(2, 3, side, side)
    with torch.no_grad():
        logits = network(pictures)[1]
    assert logits[[0, 250, 500, 750, 999]].tolist() == pytest.approx(
        expected, rel=1e-4, abs=1e-4 * max(map(abs, expected))
    )


@pytest.mark.slow
@pytest.mark.parametrize("name", list(TORCHVISION_LOGITS))
def test_outputs_equal_torchvisions_where_it_can_be_imported(name: str) -> None:
    try:
        from torchvision import models
    except Exception as error:  # a torchvision that does not fit its torch fails with RuntimeError
        pytest.skip(f"torchvision: {error}")
    theirs, ours = getattr(models, name.replace("t_b", "t_b_"))().eval(), backbone(name).eval()
    theirs.load_state_dict(noisy(theirs.state_dict()))
    ours.load_state_dict(theirs.state_dict())
    pictures = torch.randn(2, 3, 224, 224)
    with torch.no_grad():
        torch.testing.assert_close(ours(pictures), theirs(pictures), rtol=1e-4, atol=1e-4)


def test_a_basic_block_is_two_convolutions_with_batch_norm_and_a_projected_skip() -> None:
    block = basic(4, 6, stride=2).eval()
    block.load_state_dict(noisy(block.state_dict()))
    w = block.state_dict()
    x = torch.randn(2, 4, 9, 9)

    def norm(x: Tensor, at: str) -> Tensor:
        mean, variance, weight, bias = (
            w[f"{at}.{part}"].view(-1, 1, 1) for part in ("running_mean", "running_var", "weight", "bias")
        )
        return (x - mean) / torch.sqrt(variance + 1e-5) * weight + bias

    inner = norm(F.conv2d(x, w["conv1.weight"], stride=2, padding=1), "bn1").clamp(min=0)
    inner = norm(F.conv2d(inner, w["conv2.weight"], padding=1), "bn2")
    skip = norm(F.conv2d(x, w["downsample.0.weight"], stride=2), "downsample.1")
    torch.testing.assert_close(block(x), (inner + skip).clamp(min=0))


def test_attention_is_that_of_torch_with_the_same_weights() -> None:
    ours, theirs = SelfAttention(24, 3), nn.MultiheadAttention(24, 3, batch_first=True)
    theirs.load_state_dict(noisy(ours.state_dict()))
    ours.load_state_dict(theirs.state_dict())
    x = torch.randn(2, 7, 24)
    torch.testing.assert_close(ours(x), theirs(x, x, x, need_weights=False)[0])


def test_positions_of_a_transformer_follow_the_size_of_the_picture() -> None:
    network = backbone("vit_s16", 0)
    before = network.encoder.pos_embedding.detach().clone()
    network.fit(96, 64)
    after = network.encoder.pos_embedding.detach()
    assert after.shape == (1, 1 + 6 * 4, 384)
    old, new = before[:, 1:].unflatten(1, (14, 14)), after[:, 1:].unflatten(1, (6, 4))
    torch.testing.assert_close(after[:, 0], before[:, 0])
    for corner in ((0, 0), (0, -1), (-1, 0), (-1, -1)):
        torch.testing.assert_close(new[0, *corner], old[0, *corner], rtol=1e-4, atol=1e-5)
    assert network(torch.rand(2, 3, 96, 64)).shape == (2, 384)


# --- the frame


@pytest.mark.parametrize("training", [False, True])
@pytest.mark.parametrize("name", SMALL)
def test_unseen_frames_change_neither_outputs_nor_statistics(name: str, training: bool) -> None:
    network = create(name, heads=("expression", "va"), frames=4, image_size=32).train(training)
    twin = copy.deepcopy(network)
    keypoints, mask, *_ = clips(3, 2)
    blank = torch.zeros_like(keypoints)
    padded = torch.cat([blank[:, :1], keypoints, blank[:, :1]], 1)
    seen = torch.tensor([False, True, True, False]).expand(3, 4)
    expected, found = network(keypoints, mask), twin(padded, seen)
    for head in expected:
        torch.testing.assert_close(found[head], expected[head], rtol=1e-4, atol=1e-5)
    for (key, a), b in zip(network.state_dict().items(), twin.state_dict().values(), strict=True):
        torch.testing.assert_close(a, b, msg=key)


@pytest.mark.parametrize("name", ["resnet18_paper", "densenet121"])
def test_a_single_small_picture_can_be_trained_on(name: str) -> None:
    keypoints, mask, *_ = clips(1, 1)
    assert create(name, image_size=32).train()(keypoints, mask)["expression"].isfinite().all()


def test_body_without_face_and_missing_people_are_drawn() -> None:
    network = create("resnet18_paper", layout_name="body_25", image_size=32)
    keypoints, mask, *_ = clips(2, 2)
    keypoints = keypoints[:, :, :25].clone()
    keypoints[0] = 0  # seen frames with nobody in them
    assert network(keypoints, mask)["expression"].isfinite().all()


def test_a_picture_reaches_the_backbone_with_imagenets_mean_and_deviation() -> None:
    encoder = image_encoder("resnet18_paper", Spec(layout("body_25"), (VA,), 1), image_size=32)
    images = []
    encoder.backbone.register_forward_pre_hook(lambda _, inputs: images.append(inputs[0]))
    encoder(torch.zeros(1, 1, 25, 3), torch.ones(1, 1, dtype=torch.bool))
    black = -torch.tensor([0.485, 0.456, 0.406]) / torch.tensor([0.229, 0.224, 0.225])
    torch.testing.assert_close(images[0][0, :, 7, 9], black)


def test_frozen_stages_keep_weights_and_statistics_and_the_rest_learns() -> None:
    network = create("resnet18_paper", image_size=32, freeze=2).train()
    before = copy.deepcopy(network.encoder.backbone.state_dict())
    optimizer = torch.optim.SGD(network.parameters(), lr=0.1)
    keypoints, mask, expression, _ = clips(8, 1)
    F.cross_entropy(network(keypoints, mask)["expression"], expression).backward()
    optimizer.step()
    changed = {
        key.split(".")[0]
        for key, value in network.encoder.backbone.state_dict().items()
        if not value.equal(before[key])
    }
    assert changed == {"layer2", "layer3", "layer4"}


@pytest.mark.parametrize(("name", "stages"), [("resnet18_paper", 5), ("densenet121", 5), ("vit_s16", 13)])
def test_with_all_stages_frozen_only_the_heads_are_trained(name: str, stages: int) -> None:
    network = create(name, heads=("expression", "va"), image_size=32, freeze=stages)
    assert network.backbone_parameters() == []
    heads = {id(parameter) for parameter in network.heads.parameters()}
    assert {id(p) for p in network.parameters() if p.requires_grad} == heads


def test_an_exported_network_answers_as_the_network_itself() -> None:
    network = create("resnet18_paper", frames=3, image_size=32).eval()
    keypoints, mask, *_ = clips(2, 3)
    exported = torch.export.export(network, (keypoints, mask)).module()
    other = mask.clone()
    other[0, 1:] = False
    torch.testing.assert_close(exported(keypoints, other), network(keypoints, other), rtol=1e-4, atol=1e-5)


@pytest.mark.parametrize(
    ("name", "settings", "message"),
    [
        ("resnet18", {"image_size": 16}, "too small"),
        ("resnet18", {"image_size": "224px"}, "a whole number"),
        ("vit_s16", {"image_size": 40}, "multiples of the patch size, 16"),
        ("resnet18", {"view": "faces"}, "did you mean 'face'"),
        ("resnet18", {"freeze": 6}, "has 5 stages"),
        ("vit_s16", {"freeze": 14}, "has 13 stages"),
        ("resnet18", {"freeze": "heads"}, "whole number"),
        ("resnet18", {"freeze": 1.5}, "whole number"),
        ("resnet18", {"view": "face", "layout_name": "body_25"}, "lacks"),
        ("resnet18", {"dropout": 1.5}, "dropout"),
    ],
)
def test_a_setting_that_cannot_be_met_is_refused(name: str, settings: dict[str, object], message: str) -> None:
    with pytest.raises(ConfigError, match=message):
        create(name, **settings)


def test_only_image_networks_can_be_encoders() -> None:
    with pytest.raises(ConfigError, match="unknown image network 'ann'"):
        image_encoder("ann", Spec(layout(), (VA,), 1))


# --- what they cost


@pytest.mark.parametrize(
    ("name", "expected"),  # 10^9 multiply-adds at 224 x 224, torchvision's published table ("GFLOPS")
    [
        ("resnet18", 1.81),
        ("resnet34", 3.66),
        ("resnet50", 4.09),
        ("densenet121", 2.83),
        ("densenet201", 4.29),
        ("vit_b16", 17.56),
    ],
)
def test_operations_are_twice_the_published_multiply_adds(name: str, expected: float) -> None:
    assert cost_of(name, view="frame")[1] / 2e9 == pytest.approx(expected, abs=0.006)


def test_cost_is_the_same_on_the_meta_device_and_on_a_real_one() -> None:
    network = create("resnet18_paper", frames=2, image_size=64)
    real = cost(network, Spec(layout(), (EXPRESSION,), 2))
    assert real == cost_of("resnet18_paper", frames=2, image_size=64)
    assert network.training, "measuring leaves the mode as it was"


def test_all_image_networks_are_listed_with_what_they_see() -> None:
    assert set(NETWORKS) <= set(list_models())
    assert all(entry(name).facts.coordinates == "frame" and "image" in entry(name).facts.sees for name in NETWORKS)


def test_weights_are_not_asked_for_where_they_could_not_be_kept() -> None:
    with torch.device("meta"):
        create("resnet18", weights="/nowhere.pth")
    with pytest.raises(InputError, match="no such file"):
        create("resnet18", weights="/nowhere.pth")
