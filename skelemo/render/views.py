"""Views: the picture that OpenPose would draw, and its placement in the image.

Keypoints are in frame coordinates: the picture is centered on 0 and its longer side spans [-0.5, 0.5]. A view places
them in a *source picture* in pixels, where OpenPose's rules apply, and downscales it.
"""

from dataclasses import dataclass

import torch
from torch import Tensor

#: The whole picture, the person, the face, or an image of the person beside one of the face.
VIEWS = ("frame", "person", "face", "person+face")

MARGIN = 0.1  # of a crop, as a share of the longer side of its content
SMALLEST = 0.01  # least size of a crop in longer sides of the picture, so that a single point is not enlarged

Size = tuple[int, int]  # height, width
USUAL = (1280, 720)  # default width and height of pictures in pixels


@dataclass(frozen=True)
class Placement:
    """N pictures (or one for all): a point p lies at ``p * zoom + origin`` in the source picture, in pixels.

    A pixel of the source has ``scale`` pixels of the image; the source's corner lies at ``corner`` in the image.
    """

    picture: Tensor  # [N, 2] width, height of the source picture in pixels
    zoom: Tensor  # [N, 1]
    origin: Tensor  # [N, 2]
    scale: Tensor  # [N, 1]
    corner: Tensor  # [N, 2]


def whole(frame: Tensor, image: Tensor) -> Placement:
    """The whole frame of ``frame [N, 2]`` pixels (width, height), fitted into an image of ``image [2]`` and centered.

    A frame smaller than the image is treated as one of the image's size; otherwise OpenPose's thinnest stroke of
    2 pixels would be enlarged.
    """
    fit = (image / frame).amin(-1, keepdim=True)  # [N, 1]
    frame = frame * fit.clamp(min=1)
    scale = fit.clamp(max=1)
    return Placement(frame, frame.amax(-1, keepdim=True), frame / 2, scale, (image - frame * scale) / 2)


def crop(points: Tensor, seen: Tensor, image: Tensor) -> Placement:
    """The bounding box of the visible points with `MARGIN`, as a picture whose longer side is as in `USUAL`.

    ``points [N, 2, V]`` and ``seen [N, V]``; each image has its own box, an empty one without visible points.
    """
    scale = (image.amax(-1, keepdim=True) / max(USUAL)).clamp(max=1)[None]  # [1, 1]
    picture = image / scale  # [1, 2]
    unseen = seen.logical_not().unsqueeze(1)
    low = points.masked_fill(unseen, torch.inf).amin(-1)  # [N, 2]
    high = points.masked_fill(unseen, -torch.inf).amax(-1)
    anything = seen.any(1, keepdim=True)
    extent = torch.where(anything, high - low, 0)
    box = (extent + 2 * MARGIN * extent.amax(-1, keepdim=True)).clamp(min=SMALLEST)
    zoom = (picture / box).amin(-1, keepdim=True)
    center = torch.where(anything, (low + high) / 2, 0)
    return Placement(picture, zoom, picture / 2 - center * zoom, scale, torch.zeros_like(picture))
