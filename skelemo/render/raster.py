"""Rasterizing strokes: the pixels that a span covers, and the order of overlapping strokes."""

import math

import torch
from torch import Tensor, nn

from skelemo.render.strokes import Spans, at_most
from skelemo.render.views import Size
from skelemo.skeleton import Color

LEVELS = 128  # steps of coverage in a layer of several colors


def covered(spans: Spans, size: Size, most: int) -> tuple[Tensor, Tensor]:
    """The pixels (up to ``most``) across each line of the spans: index in the flat image and coverage.

    Both ``[N, K, L, S]``. A pixel outside the image is clamped to its border, where it repeats that pixel's coverage.
    """
    height, width = size
    count = at_most(most, 2 * spans.half + spans.ramp)
    first = torch.floor(spans.center - spans.half - spans.ramp / 2 + 0.5).unsqueeze(1)  # [N, 1, L, S]
    steps = torch.arange(count, device=first.device).view(-1, 1, 1)
    pixel = torch.minimum(
        (first + steps).clamp(min=0), torch.where(spans.steep, width - 1.0, height - 1.0).unsqueeze(1)
    )
    # Overlap of the stroke with a window as wide as the ramp.
    reach = spans.half / spans.ramp
    distance = ((pixel + (0.5 - spans.center).unsqueeze(1)) / spans.ramp.unsqueeze(1)).abs()
    cover = torch.minimum(((reach + 0.5).unsqueeze(1) - distance).clamp(min=0), (2 * reach).clamp(max=1).unsqueeze(1))
    line = spans.line * torch.where(spans.steep, width, 1)
    place = pixel * torch.where(spans.steep, 1, width).unsqueeze(1) + line.unsqueeze(1)
    return place.long(), cover * spans.share.unsqueeze(1)


class Layer(nn.Module):
    """Strokes drawn into one buffer of the image, and their colors.

    Where strokes overlap, the last one that covers half of a pixel wins; otherwise, the one that covers most. Each
    pixel keeps the largest number written into it, which encodes coverage and order: below half coverage, coverage is
    the leading digit, above it order. So all strokes can be written at once, in any order.
    """

    order: Tensor
    inks: Tensor

    def __init__(self, colors: list[Color]) -> None:
        super().__init__()
        self.single = len(set(colors)) == 1
        count, half = len(colors), LEVELS // 2
        number = torch.arange(LEVELS * count)
        beyond = number - half * count
        level = torch.where(beyond < 0, number // count, half + beyond % half)
        stroke = torch.where(beyond < 0, number % count, beyond // half)
        palette = torch.tensor([(*color, 255) for color in colors]).T  # red, green, blue, coverage
        inks = palette[:, :1] if self.single else (palette[:, stroke] * level / (LEVELS - 1)).round()
        self.register_buffer("inks", inks.to(torch.uint8), persistent=False)  # [4, numbers]
        self.register_buffer("order", torch.arange(count), persistent=False)

    def draw(self, image: Tensor | None, spans: Spans, size: Size, most: int) -> Tensor:
        """Draw strokes, up to ``most`` pixels wide, over the image ``[N, 3, P]``, or over black."""
        place, cover = covered(spans, size, most)
        empty = self.inks.new_zeros(
            place.shape[0], math.prod(size), dtype=torch.float32 if self.single else torch.int64
        )
        return self._over(image, empty.scatter_reduce_(1, place.flatten(1), self._number(cover).flatten(1), "amax"))

    def _number(self, cover: Tensor) -> Tensor:
        if self.single:
            return cover
        count, half = self.order.shape[0], LEVELS // 2
        level = (cover * (LEVELS - 1) + 0.5).to(torch.int64)
        return torch.where(level < half, level * count + self.order, level + half * (count - 1 + self.order))

    def _over(self, image: Tensor | None, number: Tensor) -> Tensor:
        inks = self.inks.float() / 255
        if self.single:
            color, cover = inks[:3], number.unsqueeze(1)
            return color * cover if image is None else image.lerp_(color, cover)
        inks = (inks[:3] if image is None else inks).unsqueeze(0).expand(number.shape[0], -1, -1)
        ink = inks.gather(-1, number.unsqueeze(1).expand(-1, inks.shape[1], -1))  # premultiplied colors
        return ink if image is None else image.mul_(1 - ink[:, 3:]).add_(ink[:, :3])
