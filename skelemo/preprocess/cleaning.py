"""Cleaning raw keypoints: units, low confidence, gaps, jitter.

Every function maps keypoints ``[N, V, 3]`` of concatenated clips to a tensor of the same shape, and treats each clip
separately.
"""

import torch
from torch import Tensor
from torch.nn.functional import pad

from skelemo.preprocess.clips import Clips
from skelemo.skeleton import SCALES


def to_pixels(keypoints: Tensor, size: Tensor, scale: Tensor) -> Tensor:
    """Convert keypoints ``[N, V, 3]`` to pixels; missing points stay zero.

    OpenPose's relative scales put 1 at the last pixel: ``x / (width - 1)`` or ``2 x / (width - 1) - 1``
    (`keypointScaler.cpp`).

    Parameters
    ----------
    size : ``[N, 2]`` width and height of each frame's image; (1, 1) if unknown, which leaves relative coordinates.
    scale : ``[N]`` scale of the coordinates, as indices into `skelemo.skeleton.SCALES`.
    """
    relative, signed = ((scale == SCALES.index(name))[:, None, None] for name in ("unit", "signed"))
    last = (size - 1).clamp(min=1)[:, None].to(keypoints.dtype)
    places, confidence = keypoints[..., :2], keypoints[..., 2:]
    places = torch.where(signed, (places + 1) / 2 * last, torch.where(relative, places * last, places))
    return torch.where(confidence > 0, torch.cat([places, confidence], -1), 0)


def filter_by_confidence(keypoints: Tensor, threshold: float) -> Tensor:
    """Drop points whose confidence is below the threshold.

    OpenPose reports low confidence for faces turned away, so thresholds above 0.2 lose many faces.
    """
    return torch.where(keypoints[..., 2:] >= threshold, keypoints, 0)


def fill_gaps(keypoints: Tensor, clips: Clips, max_gap: int, *, causal: bool = False) -> Tensor:
    """Interpolate missing points linearly over time; a filled point gets the lower confidence of its two neighbors.

    Parameters
    ----------
    max_gap : longest gap to fill, in frame numbers.
    causal : repeat the last visible position instead, so that no frame depends on a later one.

    Notes
    -----
    Filling gaps longer than a gesture (about half a second) invents stillness.
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
    """`fill_gaps` of windows ``[B, T, V, 3]``, returned as ``[N, V, 3]``, with shapes independent of the values."""
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
    """Smooth each visible point over time with a triangular kernel ``width`` frames wide.

    Missing points stay missing and have no weight. OpenPose's jitter is about a pixel; kernels longer than a fifth of a
    second blunt fast gestures.

    Parameters
    ----------
    causal : use the current and earlier frames only.
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
    """Running maximum over each row and at least ``reach`` preceding rows, or backward: minimum over following ones."""
    step, count = 1, rows.shape[dim]
    while step <= min(2 * reach, count - 1):
        later, earlier = rows.narrow(dim, step, count - step), rows.narrow(dim, 0, count - step)
        if backward:
            rows = torch.cat([torch.minimum(earlier, later), rows.narrow(dim, count - step, step)], dim)
        else:
            rows = torch.cat([rows.narrow(dim, 0, step), torch.maximum(later, earlier)], dim)
        step *= 2
    return rows
