"""Coordinates that do not tell where, how large or how tilted somebody was filmed."""

import warnings

import numpy as np
import pytest
import torch
from numpy.testing import assert_allclose

from skelemo.preprocess import Clips, in_image, place
from skelemo.preprocess.reference import by_part
from skelemo.simulate import Cast, long_clip
from skelemo.skeleton import Layout, Part, layout

FULL = layout("body_25+face_70+hand_21x2")
BODY, FACE = layout("body_25"), layout("face_70")
FRAMES = 30


def a_person(seed=0, where=FULL, frames=FRAMES):
    """Keypoints of one who moves, all of them seen, with both eyes about a face apart."""
    rng = np.random.default_rng(seed)
    shape = rng.uniform(-50, 50, (len(where), 2))
    motion = rng.normal(0, 6, (frames, 1, 2)).cumsum(0) + rng.normal(0, 1.5, (frames, len(where), 2))
    keypoints = np.ones((frames, len(where), 3))
    keypoints[..., :2] = 300 + shape + motion
    keypoints[..., 2] = rng.uniform(0.2, 1, keypoints.shape[:2])
    if where.part("face_70"):
        face = keypoints[:, where.slices["face_70"]]
        face[:, 36:42, 0] -= 80
        face[:, 42:48, 0] += 80
    return keypoints.astype(np.float32)


def hidden(keypoints, where, *names):
    out = keypoints.copy()
    for name in names:
        out[:, where.index(name)] = 0
    return out


def normal(keypoints, where=FULL, sequence=None):
    sequence = np.zeros(len(keypoints), int) if sequence is None else sequence
    points = torch.from_numpy(keypoints.astype(np.float32))
    clips = Clips(torch.from_numpy(sequence), torch.arange(len(points)))
    reference = by_part(points, clips, where)
    assert reference.dtype == torch.float32
    out = place(points, reference, where).numpy()
    assert np.isfinite(out).all()
    return out


def moved(keypoints, scale=1.0, shift=(0, 0)):
    out = keypoints.astype(float)
    out[..., :2] = out[..., :2] * scale + shift
    return np.where(keypoints[..., 2:] > 0, out, 0)


def rolled(keypoints, degrees):
    angle = np.radians(degrees)
    out = keypoints.astype(float)
    x, y = keypoints[..., 0], keypoints[..., 1]
    out[..., 0], out[..., 1] = x * np.cos(angle) - y * np.sin(angle), x * np.sin(angle) + y * np.cos(angle)
    return np.where(keypoints[..., 2:] > 0, out, 0)


def patchy(keypoints, seed=1, missing=0.3):
    return np.where(np.random.default_rng(seed).random((*keypoints.shape[:2], 1)) < missing, 0, keypoints)


@pytest.mark.parametrize("change", [lambda k: k, patchy], ids=["all seen", "patchy"])
@pytest.mark.parametrize(("scale", "shift"), [(1, (700, -250)), (0.1, (0, 0)), (7.5, (-40, 900))])
def test_place_and_size_in_the_picture_do_not_show(change, scale, shift):
    keypoints = change(a_person())
    assert_allclose(normal(moved(keypoints, scale, shift)), normal(keypoints), atol=2e-3)


def test_a_walk_through_the_picture_does_not_show():
    keypoints = patchy(a_person())
    walk = np.linspace((0, 0), (900, 300), FRAMES)[:, None]
    assert_allclose(normal(moved(keypoints, 1, walk)), normal(keypoints), atol=2e-3)


@pytest.mark.parametrize("degrees", [10, -35, 90, 180])
def test_a_tilted_head_is_level(degrees):
    keypoints = a_person(where=FACE)
    assert_allclose(normal(rolled(keypoints, degrees), FACE), normal(keypoints, FACE), atol=1e-3)


def test_a_face_lies_level_between_its_eyes_a_unit_apart():
    out = normal(rolled(a_person(where=FACE), 25), FACE)
    right, left = out[:, 36:42, :2].mean(1), out[:, 42:48, :2].mean(1)
    assert_allclose((right + left) / 2, 0, atol=1e-5)
    assert_allclose(right[:, 1], left[:, 1], atol=1e-5)
    assert_allclose(np.median(left[:, 0] - right[:, 0]), 1, atol=1e-5)


def test_a_body_hangs_at_its_neck_about_a_torso_long():
    keypoints = a_person(where=BODY)
    for name, x, y in (("Nose", 0, -50), ("Neck", 0, 0), ("RShoulder", -40, 0), ("LShoulder", 40, 0)):
        keypoints[:, BODY.index(f"body_25.{name}"), :2] = (300 + x, 200 + y)
    out = normal(keypoints, BODY)
    assert_allclose(out[:, BODY.index("body_25.Neck"), :2], 0, atol=1e-6)
    assert_allclose(out[:, BODY.index("body_25.Nose"), :2], [[0, -0.5]] * FRAMES, atol=1e-5)
    assert_allclose(out[:, BODY.index("body_25.RHip"), :2], (keypoints[:, 9, :2] - (300, 200)) / 100, atol=1e-4)


def test_shoulders_in_profile_hardly_shrink_the_unit():
    """Neck to nose, with weight 2, says 100; the shoulders say 10: the power mean is 90, the plain one 70."""
    keypoints = np.zeros((1, 25, 3), np.float32)
    for name, x, y in (("Nose", 300, 150), ("Neck", 300, 200), ("RShoulder", 296, 200), ("LShoulder", 304, 200)):
        keypoints[0, BODY.index(f"body_25.{name}")] = x, y, 1
    unit = ((2 * 100**4 + 10**4) / 3) ** 0.25
    assert_allclose(normal(keypoints, BODY)[0, BODY.index("body_25.Nose"), :2], (0, -50 / unit), atol=1e-6)


def test_a_face_whose_level_is_hidden_takes_the_turn_of_the_others_and_keeps_its_size():
    """Level in one frame and turned by 90° in the other: the third, without its left eye, is turned by 45°."""
    still = a_person(frames=1, where=FACE)[0]
    frames = np.stack([still, rolled(still[None], 90)[0], rolled(still[None], 45)[0]])
    frames[2, 42:48] = 0
    out = normal(frames, FACE)
    rest = [index for index in range(70) if not 42 <= index < 48]
    spread = [out[frame, rest, :2] - out[frame, 27, :2] for frame in range(3)]
    assert_allclose(spread[1], spread[0], atol=1e-4)
    assert_allclose(spread[2], spread[0], atol=1e-4)


def test_a_hand_is_measured_from_wrist_to_middle_knuckle():
    out = normal(a_person())[:, FULL.slices["hand_right_21"]]
    assert_allclose(out[:, 0, :2], 0, atol=1e-6)
    assert_allclose(np.median(np.linalg.norm(out[:, 9, :2], axis=-1)), 1, atol=1e-5)


def test_the_scale_is_the_clips_own():
    one, other = a_person(1), a_person(2)
    together = normal(np.concatenate([one, moved(other, 3)]), sequence=np.repeat([4, 9], FRAMES))
    assert_allclose(together, np.concatenate([normal(one), normal(other)]), atol=2e-3)


def test_growing_within_a_clip_stays_visible():
    keypoints = np.repeat(a_person(frames=1, where=BODY), 3, axis=0)
    keypoints[2] = moved(keypoints[2], 1.5)
    out = normal(keypoints, BODY)
    assert_allclose(out[0], out[1])
    assert_allclose(out[2, :, :2], 1.5 * out[0, :, :2], atol=1e-5)


def test_who_is_mirrored_comes_out_mirrored():
    keypoints = patchy(a_person())
    mirrored = keypoints[:, list(FULL.mirror)]
    mirrored[..., 0] = np.where(mirrored[..., 2] > 0, 1280 - mirrored[..., 0], 0)
    expected = normal(keypoints)[:, list(FULL.mirror)] * (-1, 1, 1)
    assert_allclose(normal(mirrored), expected, atol=2e-3)


def test_missing_stays_missing_and_confidence_stays():
    keypoints = patchy(a_person())
    out = normal(keypoints)
    missing = keypoints[..., 2] == 0
    assert not out[missing].any()
    assert np.array_equal(out[..., 2], keypoints[..., 2])


@pytest.mark.parametrize("name", ["Neck", "MidHip", "LShoulder"])
def test_a_point_that_is_hidden_for_moments_makes_no_jump(name):
    keypoints = np.repeat(a_person(frames=1, where=BODY), FRAMES, axis=0)
    point = BODY.index(f"body_25.{name}")
    keypoints[[3, 4, 5, 20], point] = 0
    out = normal(keypoints, BODY)
    others = [index for index in range(25) if index != point]
    assert_allclose(out[:, others], np.broadcast_to(out[0, others], out[:, others].shape), atol=1e-4)


def test_without_head_and_shoulders_the_trunk_is_the_measure():
    out = normal(
        hidden(a_person(where=BODY), BODY, *(f"body_25.{name}" for name in ("Nose", "RShoulder", "LShoulder"))), BODY
    )
    assert_allclose(np.median(np.linalg.norm(out[:, BODY.index("body_25.MidHip"), :2], axis=-1)), 1, atol=1e-5)


def test_legs_alone_are_measured_by_thigh_and_shin_and_hang_where_a_torso_would():
    keypoints = np.zeros((FRAMES, 25, 3), np.float32)
    for side, x in (("R", 90), ("L", 110)):
        for row, name in enumerate(("Hip", "Knee", "Ankle")):
            keypoints[:, BODY.index(f"body_25.{side}{name}")] = (x, 200 + 80 * row, 1)
    out = normal(keypoints, BODY)
    assert_allclose(out[:, BODY.index("body_25.RHip"), :2], [[-0.2, 1]] * FRAMES, atol=1e-5)
    assert_allclose(out[:, BODY.index("body_25.RAnkle"), :2], [[-0.2, 2.6]] * FRAMES, atol=1e-5)


def test_a_part_without_a_rule_is_measured_by_its_spread():
    part = Part("mine", ("A", "B", "C", "D"), (), FACE.parts[0].drawing, (0, 1, 2, 3))
    where = Layout("mine", (part,))
    seen = normal(a_person(where=where), where)[..., :2]
    assert_allclose(seen.mean(1), 0, atol=1e-5)
    assert_allclose(np.median(np.sqrt((seen**2).sum(-1).mean(-1))), 1, atol=1e-5)


def test_hiding_an_eye_for_moments_neither_moves_nor_turns_the_face():
    keypoints = np.repeat(rolled(a_person(frames=1, where=FACE), 20), FRAMES, axis=0)
    keypoints[4:9, 36:42] = 0
    out = normal(keypoints, FACE)
    rest = [index for index in range(70) if not 36 <= index < 42]
    assert_allclose(out[:, rest], np.broadcast_to(out[0, rest], out[:, rest].shape), atol=1e-4)


def test_a_face_without_eyes_is_measured_by_its_nose_and_mouth():
    eyes = [f"face_70.{side}Eye{index}" for side in "RL" for index in range(6)]
    keypoints = hidden(a_person(where=FACE), FACE, *eyes)
    keypoints[:, 33, :2] = keypoints[:, 27, :2] + (0, 70)
    keypoints[:, 54, :2] = keypoints[:, 48, :2] + (80, 0)
    out = normal(keypoints, FACE)
    assert_allclose(out[:, 27, :2], 0, atol=1e-5)
    assert_allclose(out[:, 33, :2], [[0, 0.7]] * FRAMES, atol=1e-4)


@pytest.mark.parametrize("where", [FULL, BODY, FACE], ids=lambda where: where.name)
@pytest.mark.parametrize(
    "change",
    [
        lambda k: np.zeros_like(k),
        lambda k: k[:1],
        lambda k: patchy(k, missing=0.97),
        lambda k: np.where(np.arange(k.shape[1])[:, None] == 3, k, 0),
        lambda k: np.where(k[..., 2:] > 0, (5, 5, 1), 0),
        lambda k: k * (1, 0, 1),
        lambda k: k * (1e-9, 1e-9, 1),
        lambda k: k * (2e3, 2e3, 1),
        lambda k: np.where(np.arange(len(k))[:, None, None] == 7, k, 0),
    ],
    ids=[
        "nothing",
        "one frame",
        "hardly a point",
        "one point",
        "one place",
        "a line",
        "a dot",
        "far out",
        "one moment",
    ],
)
def test_whatever_is_seen_gives_numbers(where, change):
    keypoints = change(a_person(where=where))
    out = normal(keypoints, where)
    assert np.abs(out).max() < 1e5
    assert not out[keypoints[..., 2] == 0].any()


def test_a_face_whose_eyes_fall_together_is_measured_otherwise():
    keypoints = a_person(where=FACE)
    keypoints[:, 36:48, :2] = (200, 200)
    out = normal(keypoints, FACE)
    assert (out[..., 2] > 0).all()
    assert out[..., :2].std() > 0.1


def test_simulated_people_come_out_near_unit_size():
    clip = long_clip(Cast(6, 0.5, 1), 0, 200)
    keypoints = clip.roles[0].truth.astype(np.float32)
    out = normal(keypoints, layout())
    assert np.abs(out[..., :2]).max() < 6


# In the picture


def test_the_longer_side_reaches_from_minus_to_plus_a_half():
    corners = np.array([[[0, 0, 1], [1280, 720, 1], [640, 360, 0.4], [9, 9, 0]]], np.float32)
    out = place(torch.from_numpy(corners), in_image(torch.tensor([[1280.0, 720]])), FACE)
    expected = [[[-0.5, -0.28125, 1], [0.5, 0.28125, 1], [0, 0, 0.4], [0, 0, 0]]]
    assert_allclose(out, expected, atol=1e-7)


@pytest.mark.parametrize("seed", range(20))
def test_a_median_is_of_each_sequences_known_values(seed: int) -> None:
    draw = np.random.default_rng(seed)
    sequence = np.repeat([2, 3, 7, 40], draw.integers(1, 8, 4))
    values = (draw.normal(size=(2, len(sequence))) * 10 ** draw.uniform(-6, 5)).astype(np.float32)
    values[:, sequence == 3] *= 1e-5
    values[draw.random(values.shape) < 0.4] = np.nan
    with warnings.catch_warnings(action="ignore"):  # of sequences without a number
        expected = np.stack([np.nanmedian(values[:, sequence == one].astype(float), axis=1) for one in sequence], -1)
    clips = Clips(torch.from_numpy(sequence), torch.arange(len(sequence)))
    assert_allclose(clips.median(torch.from_numpy(values)).numpy(), expected, rtol=1e-6)
