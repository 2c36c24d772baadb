"""Drawing one part: its limbs and circles in image coordinates, and their layers."""

import math

import torch
from torch import Tensor, nn

from skelemo.render import strokes
from skelemo.render.raster import Layer
from skelemo.render.views import Placement, Size
from skelemo.skeleton import Part

AWAY = -1e4  # image pixels: the place of strokes that are not drawn

#: By whether pictures have the default size: root of their area, and size of their pixels, in image pixels.
Scales = dict[bool, tuple[float, float]]


class PartDrawing(nn.Module):
    """Limbs and circles of one part, in one layer each.

    Parameters
    ----------
    part, where : the part, and its slice of the axis V.
    size : height and width of the image.
    scales : bounds for pictures of the default size (True), and of any other (False).
    circles : draw them, not the limbs alone.
    """

    ends: Tensor

    def __init__(self, part: Part, where: slice, size: Size, scales: Scales, *, circles: bool = True) -> None:
        super().__init__()
        self.where = where
        self.size = size
        self.drawing = part.drawing
        self.widest = {usual: strokes.widest(part.drawing, *scale) for usual, scale in scales.items()}
        self.register_buffer(
            "ends", torch.tensor(part.limbs, dtype=torch.long).reshape(-1, 2).T.contiguous(), persistent=False
        )  # [2, limbs]
        self.limbs = Layer([part.drawing.color(end) for _, end in part.limbs])
        self.circles = circles
        self.discs = Layer([part.drawing.color(point) for point in range(len(part))])

    def forward(
        self, image: Tensor | None, points: Tensor, confidence: Tensor, place: Placement, *, usual: bool
    ) -> Tensor:
        """Draw the part onto the image ``[N, 3, P]``, or onto black: limbs first, circles over them.

        ``points [N, 2, V]`` in source pixels, ``confidence [N, V]``; ``usual``: which of the bounds apply.
        """
        points, confidence = points[..., self.where], confidence[..., self.where]
        thick, share = strokes.thickness(points, confidence, place.picture, self.drawing)
        visible = (confidence > self.drawing.threshold) & (share > 0)
        # OpenPose draws from pixel to pixel, and a pixel's center is half a pixel from its corner.
        points = (torch.floor(points + 0.5) + 0.5) * place.scale.unsqueeze(-1) + place.corner.unsqueeze(-1)
        radius, half = self.widest[usual]

        start, end = self.ends
        joined = (visible[:, start] & visible[:, end]).unsqueeze(1)
        starts, ends = (torch.where(joined, points[..., index], AWAY) for index in (start, end))  # [N, 2, limbs]
        reach = strokes.limb_half(thick, self.drawing)
        limbs = strokes.limbs(starts, ends, reach, place.scale, self.size, max(self.size))
        image = self.limbs.draw(image, limbs, self.size, math.ceil(2 * half + math.sqrt(2)))
        if not self.circles:
            return image
        centers = torch.where(visible.unsqueeze(1), points, AWAY)
        radii, widest = strokes.disc_radius(thick, share) * place.scale, math.ceil(2 * radius) + 1
        return self.discs.draw(image, strokes.discs(centers, radii, self.size, widest), self.size, widest)
