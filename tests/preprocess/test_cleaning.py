"""Cleaning against what a patient clerk would do, point by point."""

import numpy as np
import pytest
import torch

from skelemo.preprocess import Clips, cleaning


def fill_gaps(keypoints, sequence, number, max_gap, **how):
    return cleaning.fill_gaps(torch.from_numpy(keypoints), clips(sequence, number), max_gap, **how).numpy()


def smooth(keypoints, sequence, number, width, **how):
    return cleaning.smooth(torch.from_numpy(keypoints), clips(sequence, number), width, **how).numpy()


def clips(sequence, number):
    return Clips(torch.from_numpy(sequence), torch.from_numpy(number))


def filter_by_confidence(keypoints, threshold):
    return cleaning.filter_by_confidence(torch.from_numpy(keypoints), threshold).numpy()


def some_frames(seed, sequences=6, longest=40, points=4, missing=0.4, largest_step=3):
    """Random sequences laid end to end, with gaps in their numbers."""
    rng = np.random.default_rng(seed)
    lengths = rng.integers(1, longest, sequences)
    sequence = np.repeat(np.arange(sequences) * 2, lengths)
    number = np.concatenate([np.cumsum(rng.integers(1, largest_step + 1, length)) for length in lengths]).astype(
        np.int32
    )
    keypoints = rng.uniform(1, 100, (len(number), points, 3)).astype(np.float32)
    keypoints[..., 2] = rng.uniform(0.1, 1, keypoints.shape[:2])
    keypoints[rng.random(keypoints.shape[:2]) < missing] = 0
    return keypoints, sequence, number


def filled_by_hand(keypoints, sequence, number, max_gap):
    out = keypoints.astype(float)
    for frame, point in np.argwhere(keypoints[..., 2] == 0):
        known = [i for i in range(len(number)) if sequence[i] == sequence[frame] and keypoints[i, point, 2] > 0]
        left, right = [i for i in known if i < frame], [i for i in known if i > frame]
        if left and right and number[right[0]] - number[left[-1]] - 1 <= max_gap:
            a, b = keypoints[left[-1], point].astype(float), keypoints[right[0], point].astype(float)
            share = (number[frame] - number[left[-1]]) / (number[right[0]] - number[left[-1]])
            out[frame, point] = a + share * (b - a)
            out[frame, point, 2] = min(a[2], b[2])
    return out


def smoothed_by_hand(keypoints, sequence, number, window):
    out = keypoints.astype(float)
    reach = window // 2
    for frame, point in np.argwhere(keypoints[..., 2] > 0):
        total, weights = np.zeros(2), 0.0
        for other in range(len(number)):
            distance = abs(int(number[other]) - int(number[frame]))
            if sequence[other] == sequence[frame] and distance <= reach and keypoints[other, point, 2] > 0:
                weight = reach + 1 - distance
                total, weights = total + weight * keypoints[other, point, :2].astype(float), weights + weight
        out[frame, point, :2] = total / weights
    return out


@pytest.mark.parametrize("seed", range(4))
@pytest.mark.parametrize("max_gap", [0, 1, 2, 5, 1000])
def test_gaps_are_filled_as_by_hand(seed, max_gap):
    frames = some_frames(seed)
    np.testing.assert_allclose(fill_gaps(*frames, max_gap), filled_by_hand(*frames, max_gap), rtol=1e-5)


@pytest.mark.parametrize("seed", range(3))
@pytest.mark.parametrize("window", [0, 1, 2, 3, 5, 8, 101])
def test_points_are_smoothed_as_by_hand(seed, window):
    frames = some_frames(seed, longest=20)
    np.testing.assert_allclose(smooth(*frames, window), smoothed_by_hand(*frames, window), rtol=1e-5)


def some_windows(seed, windows=8, length=12):
    """Windows of one length each, with gaps in their numbers."""
    rng = np.random.default_rng(seed)
    number = np.cumsum(rng.integers(1, 4, (windows, length)), 1)
    keypoints = rng.uniform(1, 100, (windows * length, 4, 3)).astype(np.float32)
    keypoints[rng.random(keypoints.shape[:2]) < 0.5] = 0
    return keypoints, np.repeat(np.arange(windows), length), number


@pytest.mark.parametrize("seed", range(3))
@pytest.mark.parametrize("reach", [1, 2, 5, 1000])
def test_windows_are_cleaned_as_clips_by_hand(seed, reach):
    keypoints, sequence, number = some_windows(seed)
    windows, flat = Clips.windows(torch.from_numpy(number)), number.flatten()
    filled = cleaning.fill_gaps(torch.from_numpy(keypoints), windows, reach).numpy()
    np.testing.assert_allclose(filled, filled_by_hand(keypoints, sequence, flat, reach), rtol=1e-5)
    smoothed = cleaning.smooth(torch.from_numpy(keypoints), windows, min(reach, 99)).numpy()
    np.testing.assert_allclose(smoothed, smoothed_by_hand(keypoints, sequence, flat, min(reach, 99)), rtol=1e-5)
    held = cleaning.fill_gaps(torch.from_numpy(keypoints), windows, reach, causal=True).numpy()
    np.testing.assert_array_equal(held, fill_gaps(keypoints, sequence, flat, reach, causal=True))


@pytest.mark.parametrize(("max_gap", "filled"), [(2, False), (3, True)])
def test_a_gap_is_measured_in_frame_numbers(max_gap, filled):
    keypoints = np.array([[[0, 0, 0.9]], [[0, 0, 0]], [[4, 8, 0.5]]], np.float32)
    out = fill_gaps(keypoints, np.zeros(3, int), np.array([10, 11, 14]), max_gap)
    assert out[1].tolist() == ([[1, 2, 0.5]] if filled else [[0, 0, 0]])


def test_nothing_crosses_into_another_sequence():
    keypoints = np.array([[[10, 10, 1]], [[0, 0, 0]], [[0, 0, 0]], [[30, 30, 1]]], np.float32)
    sequence, number = np.array([0, 0, 1, 1]), np.array([0, 1, 2, 3])
    assert np.array_equal(fill_gaps(keypoints, sequence, number, 10), keypoints)
    two = np.array([[[10, 10, 1]], [[20, 20, 1]]], np.float32)
    assert np.array_equal(smooth(two, np.array([0, 1]), np.array([3, 4]), 9), two)


def test_what_is_missing_is_not_smoothed_into_being():
    keypoints, sequence, number = some_frames(7)
    out = smooth(keypoints, sequence, number, 7)
    assert np.array_equal(out[..., 2], keypoints[..., 2])
    assert not out[keypoints[..., 2] == 0].any()


def test_doubtful_points_become_missing():
    keypoints, _, _ = some_frames(1)
    out = filter_by_confidence(keypoints, 0.5)
    kept = keypoints[..., 2] >= 0.5
    assert np.array_equal(out[kept], keypoints[kept])
    assert not out[~kept].any()


@pytest.mark.parametrize("frames", [0, 1])
def test_hardly_any_frames_stay_as_they_are(frames):
    keypoints = np.ones((frames, 3, 3), np.float32)
    sequence = number = np.zeros(frames, int)
    assert np.array_equal(fill_gaps(keypoints, sequence, number, 5), keypoints)
    assert np.array_equal(smooth(keypoints, sequence, number, 5), keypoints)


def test_the_frames_given_are_not_touched():
    keypoints, sequence, number = some_frames(3)
    before = keypoints.copy()
    fill_gaps(keypoints, sequence, number, 5)
    smooth(keypoints, sequence, number, 5)
    filter_by_confidence(keypoints, 0.5)
    assert np.array_equal(keypoints, before)
