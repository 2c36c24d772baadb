"""Cleaning raw keypoints: units, doubtful points, gaps, jitter.

Every function takes keypoints ``[N, V, 3]`` of clips laid end to end and returns a tensor of the same shape. Nothing
crosses from one clip into another.
"""

import torch
from torch import Tensor
from torch.nn.functional import pad

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
    if max_gap < 1 or clips.window == 1 or not keypoints.shape[0]:
        return keypoints
    if clips.window:
        return _fill_windows(clips.grid(keypoints), clips.grid(clips.number), max_gap, causal=causal)
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


def _fill_windows(keypoints: Tensor, number: Tensor, max_gap: int, *, causal: bool) -> Tensor:
    """`fill_gaps` of windows ``[B, T, V, 3]`` as ``[N, V, 3]``; no shape depends on what is missing."""
    frames = keypoints.shape[1]
    seen = keypoints[..., 2] > 0  # [B, T, V]
    row, reach = torch.arange(frames, device=keypoints.device)[:, None], min(max_gap, frames - 1)
    before = _spread(torch.where(seen, row, -1), reach, dim=1)
    after = before if causal else _spread(torch.where(seen, row, frames), reach, dim=1, backward=True)
    left, right = before.clamp(min=0), after.clamp(min=0, max=frames - 1)
    numbers = number[..., None].expand_as(left)
    start, end = (keypoints.gather(1, at[..., None].expand_as(keypoints)) for at in (left, right))
    first, last = (numbers.gather(1, at) for at in (left, right))
    gap = numbers - first if causal else last - first - 1
    filled = ~seen & (before >= 0) & (after < frames) & (gap <= max_gap)
    share = torch.zeros_like(first) if causal else (numbers - first) / (last - first).clamp(min=1)
    places = start[..., :2] + share[..., None].to(start.dtype) * (end[..., :2] - start[..., :2])
    added = torch.cat([places, torch.minimum(start[..., 2:], end[..., 2:])], -1)
    return torch.where(filled[..., None], added, keypoints).flatten(0, 1)


def smooth(keypoints: Tensor, clips: Clips, width: int, *, causal: bool = False) -> Tensor:
    """Average each seen point over the frames around it, weighted by a triangle ``width`` frames wide.

    Missing points stay missing and have no weight. OpenPose jitters by about a pixel; more than a fifth of a second
    blunts fast gestures.

    Parameters
    ----------
    causal : average over the frame and those before it alone.
    """
    reach = width // 2
    if reach < 1 or clips.window == 1 or not keypoints.shape[0]:
        return keypoints
    grid, number, sequence = (clips.grid(values) for values in (keypoints, clips.number, clips.sequence))
    seen = (grid[..., 2:] > 0).to(grid.dtype)
    places = grid[..., :2] * seen  # [B, T, V, 2]
    total, weight = places * (reach + 1), seen * (reach + 1)
    for step in range(1, min(reach, grid.shape[1] - 1) + 1):
        here, there = slice(None, -step), slice(step, None)
        gap = number[:, there] - number[:, here]
        near = (sequence[:, here] == sequence[:, there]) & (gap <= reach)
        share = torch.where(near, reach + 1 - gap, 0).to(grid.dtype)[..., None, None]
        for neighbor, ends in ((here, (step, 0)), (there, (0, step)))[: 1 if causal else 2]:
            total = total + pad(share * places[:, neighbor], (0, 0, 0, 0, *ends))
            weight = weight + pad(share * seen[:, neighbor], (0, 0, 0, 0, *ends))
    mean = torch.where(seen > 0, total / weight.clamp(min=1), 0)
    return torch.cat([mean, grid[..., 2:]], -1).flatten(0, 1)


def _spread(rows: Tensor, reach: int, *, dim: int = 0, backward: bool = False) -> Tensor:
    """The largest over each row and at least ``reach`` rows before it; the smallest over those after it."""
    step, count = 1, rows.shape[dim]
    while step <= min(2 * reach, count - 1):
        later, earlier = rows.narrow(dim, step, count - step), rows.narrow(dim, 0, count - step)
        if backward:
            rows = torch.cat([torch.minimum(earlier, later), rows.narrow(dim, count - step, step)], dim)
        else:
            rows = torch.cat([rows.narrow(dim, 0, step), torch.maximum(later, earlier)], dim)
        step *= 2
    return rows
