"""Each change of a window against what it should be, reckoned in complex numbers."""

import math

import pytest
import torch
from small_caches import a_sequence

from skelemo.data.augment import Augmentation, augment
from skelemo.skeleton import layout

LAYOUT = layout("body_25+face_70+hand_21x2")
WINDOWS, FRAMES = 400, 6
ALL = Augmentation(mirror=0.5, rotate=15, scale=0.2, shift=0.1, jitter=0.01, drop=0.1)


def windows(missing=True):
    """Windows ``[B, T, V, 3]`` that are all the same, with holes."""
    keypoints = torch.as_tensor(a_sequence("a", FRAMES, points=len(LAYOUT)).keypoints / (400, 400, 1)).float()
    keypoints[..., :2] -= 0.5
    keypoints[..., 2] = keypoints[..., 2].where(keypoints[..., 2] > 0, torch.tensor(0.0 if missing else 0.3))
    keypoints = keypoints * (keypoints[..., 2:] > 0)
    return keypoints.expand(WINDOWS, -1, -1, -1).clone()


def changed(seed=0, missing=True, **how):
    before = windows(missing)
    kept = before.clone()
    after = augment(before, Augmentation(**how), LAYOUT, torch.Generator().manual_seed(seed))
    assert torch.equal(before, kept), "what is given is not touched"
    return before, after


def places(keypoints):
    return torch.complex(keypoints[..., 0], keypoints[..., 1])


def seen(keypoints):
    return keypoints[..., 2] > 0


def the_same_all_over(values, where):
    """``[B]`` the one value that each window has at all points where it counts."""
    shown = values[:, where]
    torch.testing.assert_close(shown, shown[:, :1].expand_as(shown), rtol=1e-3, atol=1e-4)
    return shown[:, 0]


def assert_uniform(values, limit):
    """Even over [-limit, limit]: no end is missed and neither side preferred."""
    assert values.abs().max() <= limit * 1.001
    assert values.min() < -0.95 * limit
    assert values.max() > 0.95 * limit
    assert abs(values.mean()) < 4 * limit / math.sqrt(3 * WINDOWS)
    torch.testing.assert_close(values.std(), torch.tensor(limit / math.sqrt(3)), rtol=0.1, atol=0)


def test_none_is_none():
    before, after = changed()
    assert torch.equal(before, after)
    assert not Augmentation()
    assert Augmentation(drop=0.1)


def test_mirroring_swaps_sides_and_turns_x_alone():
    before, after = changed(mirror=1)
    for index, name in enumerate(LAYOUT.keypoints):
        twin = LAYOUT.keypoints[LAYOUT.mirror[index]]
        assert torch.equal(after[..., index, 0], -before[..., LAYOUT.index(twin), 0]), name
        assert torch.equal(after[..., index, 1:], before[..., LAYOUT.index(twin), 1:]), name
    assert torch.equal(after[..., LAYOUT.index("body_25.LWrist"), 1], before[..., LAYOUT.index("body_25.RWrist"), 1])
    wrists = [f"hand_{side}_21.Wrist" for side in ("left", "right")]
    assert torch.equal(after[..., LAYOUT.index(wrists[0]), 1], before[..., LAYOUT.index(wrists[1]), 1])


def test_as_many_windows_are_mirrored_as_asked_for_and_whole():
    before, after = changed(mirror=0.3)
    mirrored = (before[:, :, list(LAYOUT.mirror)] * torch.tensor([-1, 1, 1]) == after).all((1, 2, 3))
    same = (before == after).all((1, 2, 3))
    assert (mirrored ^ same).all()
    assert abs(mirrored.float().mean() - 0.3) < 0.08


def test_turning_is_one_angle_for_a_window_and_even_to_both_sides():
    before, after = changed(rotate=20)
    where = seen(before)[0] & (places(before)[0].abs() > 0.1)
    turn = the_same_all_over(places(after) / places(before), where)
    torch.testing.assert_close(turn.abs(), torch.ones(WINDOWS))
    assert_uniform(turn.angle(), math.radians(20))


def test_growing_is_one_factor_for_a_window_and_even_to_both_sides():
    before, after = changed(scale=0.25)
    where = seen(before)[0] & (places(before)[0].abs() > 0.1)
    factor = the_same_all_over(places(after) / places(before), where)
    assert factor.imag.abs().max() < 1e-6
    assert_uniform(factor.real - 1, 0.25)


def test_shifting_is_one_step_for_a_window_and_each_axis_has_its_own():
    before, after = changed(shift=0.3)
    step = the_same_all_over(places(after) - places(before), seen(before)[0])
    assert_uniform(step.real, 0.3)
    assert_uniform(step.imag, 0.3)
    assert abs(torch.corrcoef(torch.stack([step.real, step.imag]))[0, 1]) < 0.2


def test_jitter_is_every_points_own_in_every_frame():
    before, after = changed(jitter=0.02)
    noise = (after - before)[:, seen(before)[0]][..., :2]  # [B, points seen, 2]
    torch.testing.assert_close(noise.std(), torch.tensor(0.02), rtol=0.02, atol=0)
    assert noise.mean().abs() < 1e-4
    correlation = torch.corrcoef(noise[..., 0].T).fill_diagonal_(0)
    assert correlation.abs().max() < 0.35
    assert abs(torch.corrcoef(noise.flatten(0, 1).T)[0, 1]) < 0.02


def test_a_dropped_keypoint_is_gone_from_the_whole_window():
    before, after = changed(missing=False, drop=0.2)
    gone = ~seen(after)
    assert torch.equal(gone, gone[:, :1].expand_as(gone))
    assert not after[gone].any()
    assert torch.equal(after[~gone], before[~gone])
    assert abs(gone.float().mean() - 0.2) < 0.01
    assert (gone.float().mean((0, 1)) > 0.1).all(), "every keypoint has its turn"


def test_a_dropped_part_is_gone_from_the_whole_window_and_one_always_stays():
    before, after = changed(missing=False, drop_part=0.6)
    gone = torch.stack([~seen(after)[:, :, where].flatten(1).any(1) for where in LAYOUT.slices.values()], 1)
    whole = torch.stack([seen(after)[:, :, where].flatten(1).all(1) for where in LAYOUT.slices.values()], 1)
    assert (gone ^ whole).all()
    assert torch.equal(after[seen(after)], before[seen(after)])
    assert not gone.all(1).any()
    spared = 0.6**4  # where all four would go, all stay
    assert abs(gone.float().mean() - (0.6 - spared)) < 0.05


def test_the_only_part_that_is_seen_is_never_dropped():
    before = windows(missing=False)
    before[:, :, 25:] = 0
    after = augment(before, Augmentation(drop_part=0.9), LAYOUT, torch.Generator().manual_seed(0))
    assert torch.equal(after, before)


def test_in_the_picture_a_small_face_trembles_less_than_the_body_it_belongs_to():
    before = windows(missing=False)
    face = LAYOUT.slices["face_70"]
    before[:, :, face, :2] *= 0.05
    generator = torch.Generator().manual_seed(3)
    after = augment(before, Augmentation(jitter=0.02), LAYOUT, generator, in_image=True)
    for name, where in LAYOUT.slices.items():
        points = before[0, :, where, :2]
        size = (points - points.mean(1, keepdim=True)).square().sum(-1).mean().sqrt()
        moved = (after - before)[:, :, where, :2].std()
        torch.testing.assert_close(moved, 0.02 * size, rtol=0.02, atol=0, msg=name)


@pytest.mark.parametrize("change", ["mirror", "rotate", "scale", "shift", "jitter"])
def test_what_is_missing_stays_missing_and_confidence_stays(change):
    before, after = changed(**{change: 1 if change == "mirror" else getattr(ALL, change)})
    if change == "mirror":
        before = before[:, :, list(LAYOUT.mirror)]
    assert not after[~seen(before)].any()
    assert torch.equal(after[..., 2], before[..., 2])


def test_all_changes_together_differ_by_window_and_by_draw():
    def drawn(seed):
        return augment(windows(), ALL, LAYOUT, torch.Generator().manual_seed(seed))

    first = drawn(1)
    assert torch.equal(first, drawn(1))
    assert len(torch.cat([first, drawn(2)]).flatten(1).unique(dim=0)) == 2 * WINDOWS
    assert not first[first[..., 2] == 0].any()


def test_frames_of_zeros_stay_zeros():
    assert not augment(torch.zeros(8, 3, len(LAYOUT), 3), ALL, LAYOUT, torch.Generator().manual_seed(1)).any()
