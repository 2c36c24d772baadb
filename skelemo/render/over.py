"""Skeleton overlays: OpenPose's drawing on the frames of a video, in batches."""

import math
from functools import lru_cache

import torch
from torch import Tensor

from skelemo.render.part import PartDrawing
from skelemo.render.views import Placement, Size
from skelemo.skeleton import Layout

#: Opacity of strokes; OpenPose's own 0.6 is faint on bright video.
OPACITY = 0.85
#: Drawn regions are multiples of it, so that few sizes occur.
_STEP = 64


def draw_over(images: Tensor, keypoints: Tensor, layout: Layout) -> None:
    """Draw a person into each of the images ``[N, H, W, 3]`` of 0 to 255, in place.

    ``keypoints [N, V, 3]`` in pixels of the images. Faces are drawn without circles, which would hide them.
    Only the part of the images that the person moves in is touched.
    """
    height, width = images.shape[1:3]
    threshold = torch.tensor([part.drawing.threshold for part in layout.parts for _ in range(len(part))])
    sound = keypoints[..., :2].isfinite().all(-1) & (keypoints[..., :2].abs() < 1e6).all(-1)
    seen = (keypoints[..., 2] > threshold) & sound
    if not bool(seen.any()):
        return
    keypoints = torch.where(sound[..., None], keypoints, 0.0).float()
    root = math.sqrt(width * height)
    margin = 3 + 2 * root * max(part.drawing.thickness for part in layout.parts)
    places = keypoints[seen][:, :2]
    low, high = (places.amin(0) - margin).tolist(), (places.amax(0) + margin).tolist()
    (left, right), (top, bottom) = (_cut(a, b, side) for a, b, side in zip(low, high, (width, height), strict=True))
    if left >= right or top >= bottom:
        return
    here = images[:, top:bottom, left:right]
    size = (bottom - top, right - left)
    under = here.permute(0, 3, 1, 2).float().div_(255).flatten(2)
    image = under.clone()
    place = Placement(
        picture=torch.tensor([[width, height]], dtype=torch.float32),
        zoom=torch.ones(1, 1),
        origin=torch.zeros(1, 2),
        scale=torch.ones(1, 1),
        corner=torch.tensor([[-left, -top]], dtype=torch.float32),
    )
    points, confidence = keypoints[..., :2].transpose(1, 2), keypoints[..., 2] * sound
    for drawing in _drawings(layout, size, root):
        image = drawing(image, points, confidence, place, usual=True)
    image = under.lerp_(image, OPACITY).mul_(255).round_().clamp_(0, 255)
    here.copy_(image.unflatten(2, size).permute(0, 2, 3, 1))


def _cut(low: float, high: float, side: int) -> tuple[int, int]:
    """An interval widened to multiples of `_STEP`, within an image."""
    return max(0, math.floor(low / _STEP) * _STEP), min(side, math.ceil(high / _STEP) * _STEP)


@lru_cache(64)
def _drawings(layout: Layout, size: Size, root: float) -> list[PartDrawing]:
    scales = {True: (root, 1.0), False: (root, 1.0)}
    return [
        PartDrawing(part, layout.slices[part.name], size, scales, circles=part.kind != "face" or not part.limbs)
        for part in layout.parts
    ]
