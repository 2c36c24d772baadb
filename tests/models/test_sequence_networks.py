"""Networks over time and graphs: one batch for all, and frames in which nobody was seen change nothing."""

import copy
import math

import pytest
import torch
from torch import Tensor, nn

from skelemo.errors import ConfigError
from skelemo.models import create, temporal
from skelemo.models.attention import time_positions
from skelemo.models.joint_layers import FrameNorm, Frames, LinearNorm
from skelemo.models.registry import Spec, entry
from skelemo.models.temporal import Recurrent
from skelemo.skeleton import COCO_18, Layout
from skelemo.targets import Head

GRAPH = {"widths": [8, 8, 16]}
TOKENS = {"width": 16, "attention_heads": 2, "blocks": 1, "dropout": 0.0}
FLAT = {"width": 32, "dropout": 0.0}
DRAWN = {"image_size": 32, "width": 16, "dropout": 0.0}
SMALL = {
    "lstm": FLAT,
    "gru": FLAT,
    "tcn": FLAT | {"layers": 2},
    "transformer": FLAT | {"layers": 1},
    "stgcn": GRAPH,
    "stgcnpp": GRAPH,
    "ctrgcn": GRAPH,
    "gat": TOKENS,
    "graph_transformer": TOKENS,
    "cnn_lstm": DRAWN,
    "cnn_transformer": DRAWN | {"layers": 1, "attention_heads": 2},
}
KEYPOINTS = [name for name in SMALL if not name.startswith("cnn")]


def build(name: str, **changes) -> nn.Module:
    torch.manual_seed(0)
    settings = {"layout_name": "body_25", "heads": ("expression", "va"), "frames": 8} | changes
    return create(name, **settings, **SMALL[name])


def windows(count: int, frames: int, points: int, seed: int = 0) -> Tensor:
    """People that wander: smooth in time, some points missing now and then, one never seen."""
    generator = torch.Generator().manual_seed(seed)
    place = torch.rand(count, 1, points, 2, generator=generator) * 0.6 - 0.3
    moved = torch.randn(count, frames, points, 2, generator=generator).cumsum(1) * 0.01
    seen = (torch.rand(count, frames, points, 1, generator=generator) > 0.1) * (torch.arange(points) != 4)[:, None]
    confidence = 0.5 + 0.5 * torch.rand(count, frames, points, 1, generator=generator)
    return torch.cat([place + moved, confidence], -1) * seen


def holes(count: int, frames: int) -> Tensor:
    """Masks with gaps, an unseen beginning and an unseen end; the last window shows nobody at all."""
    mask = torch.rand(count, frames, generator=torch.Generator().manual_seed(1)) > 0.3
    mask[:, 0] = mask[0, -1] = False
    mask[0, 1] = True
    mask[-1] = False
    return mask


def furthest(some: dict[str, Tensor], others: dict[str, Tensor]) -> float:
    return max(float((some[head] - others[head]).abs().max().detach()) for head in some)


@pytest.mark.parametrize("name", SMALL)
def test_masked_frames_do_not_affect_predictions(name):
    model = build(name).eval()
    shake(model)
    keypoints, mask = windows(4, 8, 25), holes(4, 8)
    answers = model(keypoints * mask[..., None, None], mask)
    other = torch.where(mask[..., None, None], keypoints, windows(4, 8, 25, seed=5))
    assert furthest(answers, model(other, mask)) < 1e-5
    for added in (1, 6):
        longer = torch.cat([keypoints, windows(4, added, 25, seed=6)], 1)
        none = torch.zeros(4, added, dtype=torch.bool)
        assert furthest(answers, model(longer, torch.cat([mask, none], 1))) < 1e-5
    alone = {head: answer[1:2] for head, answer in answers.items()}
    assert furthest(alone, model(keypoints[1:2], mask[1:2])) < 1e-5
    assert furthest(answers, model(windows(4, 8, 25, seed=7), mask)) > 1e-4


@pytest.mark.parametrize("name", SMALL)
def test_unseen_frames_change_nothing_in_training(name):
    model = build(name).train()
    padded = copy.deepcopy(model)
    keypoints, seen = windows(4, 8, 25), torch.ones(4, 8, dtype=torch.bool)
    junk, none = windows(4, 4, 25, seed=6), torch.zeros(4, 4, dtype=torch.bool)
    torch.manual_seed(3)
    answers = model(keypoints, seen)
    torch.manual_seed(3)
    again = padded(torch.cat([keypoints, junk], 1), torch.cat([seen, none], 1))
    assert furthest(answers, again) < 1e-4
    for ours, theirs in zip(model.buffers(), padded.buffers(), strict=True):
        torch.testing.assert_close(ours, theirs, atol=1e-5, rtol=1e-4)


@pytest.mark.parametrize("name", KEYPOINTS)
def test_all_streams_together_train_on_the_whole_layout(name):
    streams = ["joint", "bone", "joint_motion", "bone_motion"]
    torch.manual_seed(0)
    model = create(name, layout_name="body_25+face_70+hand_21x2", frames=4, streams=streams, **SMALL[name]).train()
    outputs = model(windows(2, 4, 137), holes(2, 4))
    outputs["expression"].square().sum().backward()
    assert all(p.grad.isfinite().all() for p in model.parameters() if p.grad is not None)


@pytest.mark.parametrize("name", ["stgcn", "stgcnpp", "ctrgcn", "gat", "graph_transformer", "lstm", "transformer"])
def test_exported_networks_take_any_number_of_windows(name):
    model = build(name).eval()
    size = torch.export.Dim("windows", max=64)
    example = (windows(3, 8, 25), holes(3, 8))
    exported = torch.export.export(model, example, dynamic_shapes=({0: size}, {0: size})).module()
    assert furthest(model(windows(5, 8, 25), holes(5, 8)), exported(windows(5, 8, 25), holes(5, 8))) < 1e-5


def test_st_gcn_plus_plus_has_the_size_of_its_reference():
    spec = Spec(Layout("coco_18", (COCO_18,)), (Head("expression", "classes", tuple(map(str, range(20)))),), 48)
    parameters = sum(p.numel() for p in entry("stgcnpp").function(spec).parameters())
    assert parameters == pytest.approx(1.38e6, rel=0.01)


def test_a_gap_in_time_does_not_touch_a_recurrent_state():
    torch.manual_seed(0)
    network = Recurrent("gru", 6, 5, 2, 0.0, both_ways=True)
    vectors, mask = torch.randn(1, 9, 6), torch.tensor([[0, 1, 1, 0, 0, 1, 0, 1, 0]]).bool()
    kept = vectors[mask][None]
    expected = [
        direction(turned)[0].mean(1) for direction, turned in zip(network.directions, (kept, kept.flip(1)), strict=True)
    ]
    torch.testing.assert_close(network(vectors, mask), torch.cat(expected, -1))


def test_linear_layer_and_norm_are_one_product_outside_training():
    torch.manual_seed(0)
    layer = LinearNorm(5, 4)
    layer(torch.randn(30, 3, 5) * 2 + 1)
    nn.init.normal_(layer.norm.weight)
    nn.init.normal_(layer.norm.bias)
    rows = torch.randn(7, 3, 5)
    torch.testing.assert_close(layer.eval()(rows), layer.norm(layer.linear(rows)))


def test_frames_come_back_where_they_were():
    mask = torch.tensor([[True, False, True, True, False], [False, False, False, True, True]])
    grid = torch.randn(2, 5, 3) * mask[..., None]
    for training, rows in ((True, 5), (False, 10)):
        frames = Frames.of(mask, training)
        assert len(frames.pack(grid)) == rows
        assert torch.equal(frames.spread(frames.pack(grid)), grid)
    assert Frames.of(mask, True).every(2).seen.tolist() == [[True, True, False], [False, True, True]]


def test_batch_norm_of_rows_is_torchs_over_all_joints_and_frames():
    norm, reference = FrameNorm(4), nn.BatchNorm2d(4)
    rows = torch.randn(6, 5, 4)
    expected = reference(rows.permute(0, 2, 1)[..., None])[..., 0].permute(0, 2, 1)
    torch.testing.assert_close(norm(rows), expected)
    torch.testing.assert_close(norm.running_var, reference.running_var)


def test_settings_that_cannot_be_are_refused():
    with pytest.raises(ConfigError, match="did you mean 'bone'"):
        create("stgcn", streams=["bones"])
    with pytest.raises(ConfigError, match="streams is empty"):
        create("lstm", streams=[])
    with pytest.raises(ConfigError, match="not a multiple of attention_heads"):
        create("gat", width=30)
    with pytest.raises(ConfigError, match="does not divide"):
        create("ctrgcn", widths=[20])
    with pytest.raises(ConfigError, match="expected an odd number of frames, such as 5"):
        create("tcn", kernel=4)
    with pytest.raises(ConfigError, match="fewer than the 6 temporal branches"):
        create("stgcnpp", widths=[4])
    with pytest.raises(ConfigError, match="widths is empty"):
        create("stgcn", widths=[])


def shake(model: nn.Module) -> None:
    """Running statistics and zero-initialized parameters as training would leave them."""
    torch.manual_seed(9)
    for name, value in [*model.named_parameters(), *model.named_buffers()]:
        if name.endswith(("running_mean", "mean")) and not name.endswith("encoder.mean"):
            nn.init.normal_(value, std=0.1)
        elif name.endswith(("alpha", "bias")) or (name.endswith("weight") and value.abs().max() < 1e-3):
            nn.init.normal_(value, std=0.5)


@pytest.mark.parametrize("name", ["gat", "graph_transformer"])
def test_which_joint_moves_counts_from_the_first_step(name):
    """What the heads see must depend on which joint moved, not on how far alone."""
    torch.manual_seed(0)
    model = create(name, layout_name="body_25", frames=2, heads=("va",)).eval()
    still = torch.zeros(1, 2, 25, 3)
    still[..., 2] = 1
    # The right and the left knee, the right and the left elbow: in the graph such twins have the same place.
    moved = still.repeat(5, 1, 1, 1)
    for window, joint in enumerate((10, 13, 3, 6), 1):
        moved[window, :, joint, :2] = 2
    found = {}
    model.heads.register_forward_pre_hook(lambda _, given: found.update(features=given[0]))
    model(moved, torch.ones(5, 2, dtype=torch.bool))
    change = found["features"][1:] - found["features"][0]
    apart = (change[::2] - change[1::2]).norm(dim=1) / change.norm(dim=1).mean()
    assert apart.min() > 0.4  # of a mean over joints with one embedding matrix for all 0.04 and 0.14


def test_attention_depends_on_the_distance_and_the_kind_of_edge():
    model, keypoints, mask = build("graph_transformer").eval(), windows(2, 8, 25), torch.ones(2, 8, dtype=torch.bool)
    joints = model.blocks[0].joints
    plain = model(keypoints, mask)
    for bias in (joints.hop_bias, joints.kind_bias):
        nn.init.normal_(bias)
        assert furthest(plain, model(keypoints, mask)) > 1e-4
        nn.init.zeros_(bias)


@pytest.mark.parametrize("name", ["gat", "graph_transformer"])
def test_the_heads_read_every_joint_with_weights_of_its_own(name):
    """A mean over joints leaves as many features as a token has, in which 25 joints cannot be told apart."""
    model = build(name).eval()
    shake(model)
    found = {}
    model.heads.register_forward_pre_hook(lambda _, given: found.update(features=given[0]))
    model(windows(400, 8, 25), torch.ones(400, 8, dtype=torch.bool))
    features = found["features"] - found["features"].mean(0)
    assert torch.linalg.matrix_rank(features, rtol=1e-3) > 2 * TOKENS["width"]


@pytest.mark.parametrize("name", ["gat", "graph_transformer"])
def test_windows_differ_more_than_what_all_have_in_common(name):
    """Else the heads begin with a constant that outweighs what they are to tell apart."""
    torch.manual_seed(0)
    model = create(name, layout_name="body_25", frames=8, heads=("va",)).train()
    found = {}
    model.heads.register_forward_pre_hook(lambda _, given: found.update(features=given[0]))
    model.dropout.p = 0.0
    model(windows(32, 8, 25), torch.ones(32, 8, dtype=torch.bool))
    features = found["features"]
    # A normal variable after ReLU has 1.46, its mean over 8 frames less; without batch norm 0.79 and 0.36.
    assert features.std(0).mean() > 0.85 * features.mean(0).abs().mean()


@pytest.mark.parametrize("name", ["gat", "graph_transformer"])
def test_a_single_visible_frame_trains(name):
    model = build(name).train()
    seen = torch.zeros(2, 8, dtype=torch.bool)
    seen[0, 3] = True
    assert model(windows(2, 8, 25), seen)["expression"].isfinite().all()


def test_temporal_convolutions_of_four_layers_see_31_frames(monkeypatch):
    monkeypatch.setattr(temporal, "masked_mean", lambda vectors, mask: vectors[:, 20])
    torch.manual_seed(0)
    vectors = torch.randn(1, 41, 8, requires_grad=True)
    found = temporal.Convolutional(8, layers=4, kernel=3, dropout=0.0)(vectors, torch.ones(1, 41, dtype=torch.bool))
    found.square().sum().backward()
    assert vectors.grad[0].any(1).nonzero()[:, 0].tolist() == list(range(5, 36))


def test_frames_are_numbered_by_sines_and_cosines():
    """Vaswani et al. 2017, section 3.5: position over 10,000 to the power 2 i / d."""
    found = time_positions(4, 6, torch.zeros(1))[3]
    angles = [3 / 10_000 ** (2 * pair / 6) for pair in range(3)]
    expected = [wave(angle) for angle in angles for wave in (math.sin, math.cos)]
    assert found.tolist() == pytest.approx(expected, abs=1e-6)
