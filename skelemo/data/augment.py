"""Random augmentation of windows as batched tensor operations.

Works on normalized coordinates: a shift of 0.05 is a twentieth of the torso, of the distance between the eyes, or of
the image's longer side. In image coordinates jitter scales with the size of the part. Missing points stay missing, and
all frames of a window share their random parameters (except jitter), which adds no motion.
"""

import math
from collections.abc import Callable
from dataclasses import dataclass

import torch
from torch import Tensor

from skelemo.models.streams import mirrored
from skelemo.skeleton import Layout


@dataclass(frozen=True)
class Augmentation:
    """Strength of each augmentation; 0 disables it."""

    mirror: float = 0.0  # probability of a horizontal flip (left and right keypoints swapped)
    rotate: float = 0.0  # maximum rotation in either direction, degrees
    scale: float = 0.0  # maximum relative change of size
    shift: float = 0.0  # maximum displacement along each axis
    jitter: float = 0.0  # standard deviation of each point's displacement in each frame, relative to its part's size
    drop: float = 0.0  # probability that a keypoint is missing throughout the window
    drop_part: float = 0.0  # probability that a part is missing throughout the window; one visible part always stays

    def __bool__(self) -> bool:
        return any(vars(self).values())


def augment(
    keypoints: Tensor, settings: Augmentation, layout: Layout, generator: torch.Generator, *, in_image: bool = False
) -> Tensor:
    """Augment each window of ``keypoints [B, T, V, 3]``.

    Parameters
    ----------
    in_image : coordinates are the image's; otherwise each part's, with its size as unit.
    """
    batch, _, points, _ = keypoints.shape
    device = keypoints.device

    def uniform(*shape: int) -> Tensor:
        return torch.rand(shape, generator=generator, device=device)

    def symmetric(limit: float) -> Tensor:
        return (2 * uniform(batch, 1, 1) - 1) * limit

    seen = keypoints[..., 2:] > 0
    if settings.mirror:
        flip = uniform(batch, 1, 1, 1) < settings.mirror
        keypoints = torch.where(flip, mirrored(keypoints, layout), keypoints)
        seen = keypoints[..., 2:] > 0
    x, y, confidence = keypoints.unbind(-1)
    if settings.rotate:
        angle = symmetric(math.radians(settings.rotate))
        x, y = x * angle.cos() - y * angle.sin(), x * angle.sin() + y * angle.cos()
    if settings.scale:
        factor = 1 + symmetric(settings.scale)
        x, y = x * factor, y * factor
    if settings.shift:
        x, y = x + symmetric(settings.shift), y + symmetric(settings.shift)
    if settings.jitter:
        noise = torch.randn((2, *x.shape), generator=generator, device=device) * settings.jitter
        unit = sizes(keypoints, layout) if in_image else 1
        x, y = x + noise[0] * unit, y + noise[1] * unit
    if settings.drop_part:
        seen = seen & _kept_parts(seen, settings.drop_part, layout, uniform)
    if settings.drop:
        seen = seen & (uniform(batch, 1, points, 1) >= settings.drop)
    return torch.stack([x, y, confidence], -1) * seen


def _kept_parts(seen: Tensor, drop: float, layout: Layout, uniform: Callable[..., Tensor]) -> Tensor:
    """Mask ``[B, 1, V, 1]`` of points in kept parts; all are kept if no visible part would remain."""
    shown = torch.stack([seen[:, :, where].flatten(1).any(1) for where in layout.slices.values()], 1)  # [B, P]
    kept = uniform(*shown.shape) >= drop
    kept = kept | ~(kept & shown).any(1, keepdim=True)
    lengths = torch.tensor([len(part) for part in layout.parts], device=seen.device)
    return kept.repeat_interleave(lengths, 1, output_size=len(layout))[:, None, :, None]


def sizes(keypoints: Tensor, layout: Layout) -> Tensor:
    """Size ``[B, 1, V]`` of each point's part in a window: root mean square distance from the part's center.

    About the torso for a body and the inter-ocular distance for a face.
    """
    found = []
    for part in layout.parts:
        x, y, confidence = keypoints[:, :, layout.slices[part.name]].unbind(-1)
        seen = (confidence > 0).to(x.dtype)
        count = seen.sum(2, keepdim=True).clamp(min=1)  # [B, T, 1]
        middle = [(axis * seen).sum(2, keepdim=True) / count for axis in (x, y)]
        square = ((x - middle[0]).square() + (y - middle[1]).square()) * seen
        mean = square.sum((1, 2)) / seen.sum((1, 2)).clamp(min=1)
        found.append(mean.sqrt()[:, None, None].expand(-1, 1, len(part)))
    return torch.cat(found, -1)
