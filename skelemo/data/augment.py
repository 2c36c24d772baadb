"""Changes that leave the emotion as it is, drawn anew for every window, as batched tensor operations.

They work on normalized coordinates, so a shift of 0.05 is a twentieth of the torso or of the eyes' distance, or of the
picture's longer side. Trembling goes with the person even in the picture, where a face is small: there its unit is each
part's own size. A missing point stays missing, and a window keeps one draw for all its frames, so that motion is not
invented.
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
    jitter: float = 0.0  # standard deviation of each point's own displacement by frame, in units of its part
    drop: float = 0.0  # probability that a keypoint is missing throughout the window

    def __bool__(self) -> bool:
        return any(vars(self).values())


def augment(
    keypoints: Tensor, settings: Augmentation, layout: Layout, generator: torch.Generator, *, in_picture: bool = False
) -> Tensor:
    """Draw one change of every kind for each window of ``keypoints [B, T, V, 3]``.

    Parameters
    ----------
    in_picture : coordinates are the picture's; otherwise each part's, whose unit is about its size.
    """
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
        unit = sizes(keypoints, layout) if in_picture else 1
        x, y = x + noise[0] * unit, y + noise[1] * unit
    if settings.drop:
        seen = seen & (uniform(batch, 1, points, 1) >= settings.drop)
    return torch.stack([x, y, confidence], -1) * seen


def sizes(keypoints: Tensor, layout: Layout) -> Tensor:
    """``[B, 1, V]`` how large each point's part is in a window: the root mean square distance from its middle.

    It is about the torso for a body and the distance of the eyes for a face.
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
