"""Changes that leave the emotion as it is, drawn anew for every window, as batched tensor operations.

They work on normalised coordinates, so a shift of 0.05 is a twentieth of the torso or of the eyes' distance. A missing
point stays missing, and a window keeps one draw for all its frames, so that motion is not invented.
"""

import math
from dataclasses import dataclass

import torch
from torch import Tensor

from skelemo.skeleton import Layout


@dataclass(frozen=True)
class Augmentation:
    """How much of each change; all zero means none."""

    mirror: float = 0.0  # probability that left and right change places
    rotate: float = 0.0  # largest turn to either side, degrees
    scale: float = 0.0  # largest relative growth or shrinkage
    shift: float = 0.0  # largest displacement along each axis
    jitter: float = 0.0  # standard deviation of each point's own displacement by frame
    drop: float = 0.0  # probability that a keypoint is missing throughout the window

    def __bool__(self) -> bool:
        return any(vars(self).values())


def augment(keypoints: Tensor, settings: Augmentation, layout: Layout, generator: torch.Generator) -> Tensor:
    """Draw one change of every kind for each window of ``keypoints [B, T, V, 3]``."""
    batch, _, points, _ = keypoints.shape
    device = keypoints.device

    def uniform(*shape: int) -> Tensor:
        return torch.rand(shape, generator=generator, device=device)

    def either_way(limit: float) -> Tensor:
        return (2 * uniform(batch, 1, 1) - 1) * limit

    seen = keypoints[..., 2:] > 0
    if settings.mirror:
        mirrored = keypoints[:, :, list(layout.mirror)] * keypoints.new_tensor([-1, 1, 1])
        flip = uniform(batch, 1, 1, 1) < settings.mirror
        keypoints = torch.where(flip, mirrored, keypoints)
        seen = keypoints[..., 2:] > 0
    x, y, confidence = keypoints.unbind(-1)
    if settings.rotate:
        angle = either_way(math.radians(settings.rotate))
        x, y = x * angle.cos() - y * angle.sin(), x * angle.sin() + y * angle.cos()
    if settings.scale:
        factor = 1 + either_way(settings.scale)
        x, y = x * factor, y * factor
    if settings.shift:
        x, y = x + either_way(settings.shift), y + either_way(settings.shift)
    if settings.jitter:
        noise = torch.randn((2, *x.shape), generator=generator, device=device) * settings.jitter
        x, y = x + noise[0], y + noise[1]
    if settings.drop:
        seen = seen & (uniform(batch, 1, points, 1) >= settings.drop)
    return torch.stack([x, y, confidence], -1) * seen
