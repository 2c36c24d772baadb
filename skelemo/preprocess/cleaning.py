"""Cleaning raw keypoints: units, doubtful points, gaps, jitter.

Every function takes keypoints ``[N, V, 3]`` of clips laid end to end and returns a tensor of the same shape. Nothing
crosses from one clip into another.
"""

import torch
from torch import Tensor

from skelemo.preprocess.clips import Clips
from skelemo.skeleton import SCALES


def to_pixels(keypoints: Tensor, size: Tensor, scale: Tensor) -> Tensor:
    """Keypoints ``[N, V, 3]`` in pixels; a missing point stays zero.

    An image's last pixel is at 1: ``x / (width - 1)`` or ``2 x / (width - 1) - 1`` (OpenPose's `keypointScaler.cpp`).

    Parameters
    ----------
    size : ``[N, 2]`` width and height of each frame's image; (1, 1) where unknown, of which they stay shares.
    scale : ``[N]`` what the coordinates are in, as positions in `skelemo.skeleton.SCALES`.
    """
    relative, signed = ((scale == SCALES.index(name))[:, None, None] for name in ("unit", "signed"))
    last = (size - 1).clamp(min=1)[:, None].to(keypoints.dtype)
    places, confidence = keypoints[..., :2], keypoints[..., 2:]
    places = torch.where(signed, (places + 1) / 2 * last, torch.where(relative, places * last, places))
    return torch.where(confidence > 0, torch.cat([places, confidence], -1), 0)


def filter_by_confidence(keypoints: Tensor, threshold: float) -> Tensor:
    """Drop points whose confidence is below the threshold.

    OpenPose gives faces that are turned away a low confidence rather than none: above 0.2 many faces are lost.
    """
    return torch.where(keypoints[..., 2:] >= threshold, keypoints, 0)


def fill_gaps(keypoints: Tensor, clips: Clips, max_gap: int, *, causal: bool = False) -> Tensor:
    """Interpolate missing points linearly in time between the two sightings around a gap.

    Parameters
    ----------
    max_gap : the widest gap that is filled, in frame numbers. A filled point has the lower confidence of its neighbors.
    causal : hold the last sighting instead, for as long, so that no frame depends on a later one.

    Notes
    -----
    Gaps longer than a gesture (about half a second) become invented stillness.
    """
    if max_gap < 1 or not len(keypoints):
        return keypoints
    seen = keypoints[..., 2] > 0  # [N, V]
    count = len(keypoints)
    row = torch.arange(count, dtype=torch.int32, device=keypoints.device)[:, None]
    before = _spread(torch.where(seen, row, -1), min(max_gap, count - 1))
    after = torch.full_like(before, count) if causal else _spread(torch.where(seen, row, count), max_gap, backward=True)
    between = ~seen & (before >= 0) & ((after < count) | causal)
    frame, point = between.nonzero(as_tuple=True)
    left = before[frame, point].long()
    right = left if causal else after[frame, point].long()
    sequence, number = clips.sequence, clips.number
    gap = number[frame] - number[left] if causal else number[right] - number[left] - 1
    near = (gap <= max_gap) & (sequence[left] == sequence[frame]) & (sequence[right] == sequence[frame])
    frame, point, left, right = frame[near], point[near], left[near], right[near]
    start, end = keypoints[left, point], keypoints[right, point]
    share = (number[frame] - number[left]) / (number[right] - number[left]).clamp(min=1)
    share = torch.zeros_like(share) if causal else share
    places = start[:, :2] + share[:, None].to(start.dtype) * (end[:, :2] - start[:, :2])
    filled = keypoints.clone()
    filled[frame, point] = torch.cat([places, torch.minimum(start[:, 2:], end[:, 2:])], -1)
    return filled


def smooth(keypoints: Tensor, clips: Clips, width: int, *, causal: bool = False) -> Tensor:
    """Average each seen point over the frames around it, weighted by a triangle ``width`` frames wide.

    Missing points stay missing and have no weight. OpenPose jitters by about a pixel; more than a fifth of a second
    blunts fast gestures.

    Parameters
    ----------
    causal : average over the frame and those before it alone.
    """
    reach = width // 2
    if reach < 1:
        return keypoints
    seen = (keypoints[..., 2:] > 0).to(keypoints.dtype)
    total, weight = keypoints[..., :2] * seen * (reach + 1), seen * (reach + 1)
    for step in range(1, min(reach, len(keypoints) - 1) + 1):
        here, there = slice(None, -step), slice(step, None)
        gap = clips.number[there] - clips.number[here]
        near = (clips.sequence[here] == clips.sequence[there]) & (gap <= reach)
        share = torch.where(near, reach + 1 - gap, 0).to(keypoints.dtype)[:, None, None]
        total[there] += share * keypoints[here, :, :2] * seen[here]
        weight[there] += share * seen[here]
        if not causal:
            total[here] += share * keypoints[there, :, :2] * seen[there]
            weight[here] += share * seen[there]
    places = torch.where(seen > 0, total / weight.clamp(min=1), 0)
    return torch.cat([places, keypoints[..., 2:]], -1)


def _spread(rows: Tensor, reach: int, *, backward: bool = False) -> Tensor:
    """The largest of ``[N, V]`` over each row and at least ``reach`` rows before it; the smallest of those after it."""
    step = 1
    while step <= min(2 * reach, len(rows) - 1):
        later, earlier = rows[step:], rows[:-step]
        if backward:
            rows = torch.cat([torch.minimum(earlier, later), rows[-step:]])
        else:
            rows = torch.cat([rows[:step], torch.maximum(later, earlier)])
        step *= 2
    return rows
