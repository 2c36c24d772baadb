"""What is done to OpenPose's keypoints before a model sees them: doubtful points, gaps, trembling.

Every function takes keypoints ``[N, V, 3]`` of whole sequences laid end to end, ``sequence [N]`` saying which one a
frame belongs to and ``number [N]`` its frame number, and gives back an array of the same shape. Nothing crosses from
one sequence into another.
"""

import numpy as np


def drop_doubtful(keypoints: np.ndarray, min_confidence: float) -> np.ndarray:
    """Points below a confidence become missing.

    OpenPose's faces come with low confidence rather than zeros where they are turned away, so a threshold above 0.2
    takes many faces with it.
    """
    return np.where(keypoints[..., 2:] >= min_confidence, keypoints, np.float32(0))


def fill_gaps(keypoints: np.ndarray, sequence: np.ndarray, number: np.ndarray, max_gap: int) -> np.ndarray:
    """Missing points between two seen ones are put on the straight line between them, in time.

    Parameters
    ----------
    max_gap : how many frame numbers may lie between the two; wider gaps stay missing, and so do a sequence's ends.
        A filled point has the lower confidence of its two neighbors.

    Notes
    -----
    With ``max_gap`` longer than a gesture (about half a second) the straight line invents stillness.
    """
    if max_gap < 1 or not len(keypoints):
        return keypoints
    seen = keypoints[..., 2] > 0  # [N, V]
    row = np.arange(len(keypoints), dtype=np.int32)[:, None]
    before = np.maximum.accumulate(np.where(seen, row, -1), axis=0)
    after = np.minimum.accumulate(np.where(seen, row, len(row))[::-1], axis=0)[::-1]
    first, last = _ends(sequence)
    # No more rows than frame numbers lie in a gap: most of what is missing for long is left out before any index.
    inside = (before >= first[:, None]) & (after <= last[:, None]) & (after - before - 1 <= max_gap)
    frame, point = np.nonzero(inside & ~seen)
    left, right = before[frame, point], after[frame, point]
    near = number[right] - number[left] - 1 <= max_gap
    frame, point, left, right = frame[near], point[near], left[near], right[near]
    share = ((number[frame] - number[left]) / (number[right] - number[left])).astype(np.float32)[:, None]
    start, end = keypoints[left, point], keypoints[right, point]
    filled = keypoints.copy()
    filled[frame, point, :2] = start[:, :2] + share * (end[:, :2] - start[:, :2])
    filled[frame, point, 2] = np.minimum(start[:, 2], end[:, 2])
    return filled


def smooth(keypoints: np.ndarray, sequence: np.ndarray, number: np.ndarray, window: int) -> np.ndarray:
    """Seen points become the mean of their seen neighbors in time, weighted by a triangle ``window`` frames wide.

    A missing point stays missing and lends no weight. OpenPose trembles by about a pixel; windows beyond a fifth of a
    second blunt fast gestures.
    """
    reach = window // 2
    if reach < 1:
        return keypoints
    seen = (keypoints[..., 2:] > 0).astype(np.float32)
    total = keypoints[..., :2] * seen * (reach + 1)
    weight = seen * (reach + 1)
    for step in range(1, reach + 1):
        here, there = slice(None, -step), slice(step, None)
        gap = number[there] - number[here]
        near = (sequence[here] == sequence[there]) & (gap <= reach)
        share = np.where(near, reach + 1 - gap, 0).astype(np.float32)[:, None, None]
        total[here] += share * keypoints[there, :, :2] * seen[there]
        total[there] += share * keypoints[here, :, :2] * seen[here]
        weight[here] += share * seen[there]
        weight[there] += share * seen[here]
    smoothed = keypoints.copy()
    smoothed[..., :2] = np.where(seen > 0, total / np.maximum(weight, 1), 0)
    return smoothed


def _ends(sequence: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """``[N]`` the first and ``[N]`` the last row of the sequence that each row belongs to."""
    cut = np.flatnonzero(np.diff(sequence)) + 1
    starts = np.concatenate([[0], cut])
    lengths = np.diff(np.concatenate([starts, [len(sequence)]]))
    return np.repeat(starts, lengths), np.repeat(starts + lengths - 1, lengths)
