"""OpenPose's strokes: thickness of limbs and circles, and their coverage of each row or column of the image.

The rules are those of ``renderKeypointsCpu`` (OpenPose, ``keypoint.cpp``). OpenPose draws with OpenCV's ``line`` and
``circle``, whose strokes are wider than the requested thickness: widths here are the covered ones, in source pixels.
"""

import math
from dataclasses import dataclass

import torch
from torch import Tensor

from skelemo.render.views import Size
from skelemo.skeleton import Drawing

BOX_CONFIDENCE = 0.1  # points above it define the box that scales the thickness
THINNEST = 2  # pixels
SMALL_PERSON = 0.05  # share of the picture below which circles are outlines of one pixel


@dataclass(frozen=True)
class Spans:
    """Strokes cut along rows or columns of the image: on ``line``, pixels ``center`` ± ``half`` are covered.

    S strokes are cut into L lines each. ``share`` is the part of the line's width that belongs to the stroke, ``ramp``
    the number of pixels over which its edges fade. Steep strokes are cut along rows, the others along columns.
    """

    line: Tensor  # [N, L, S]
    share: Tensor  # [N, L, S]
    center: Tensor  # [N, L, S]
    half: Tensor  # [N, L or 1, S]
    ramp: Tensor  # [N, 1, S]
    steep: Tensor  # [N, 1, S]


def thickness(points: Tensor, confidence: Tensor, picture: Tensor, drawing: Drawing) -> tuple[Tensor, Tensor]:
    """Thickness in source pixels and the person's share of the picture, both ``[N, 1]``; share 0 draws nothing.

    ``points [N, 2, V]`` in source pixels, ``confidence [N, V]``, ``picture [N, 2]`` in pixels.
    """
    outside = (confidence <= BOX_CONFIDENCE).unsqueeze(1)
    box = points.masked_fill(outside, -torch.inf).amax(-1) - points.masked_fill(outside, torch.inf).amin(-1)  # [N, 2]
    share = (box / picture).amax(-1, keepdim=True).clamp(max=1)
    share = torch.where((box > 0).all(-1, keepdim=True), share, 0)
    full = picture.prod(-1, keepdim=True).sqrt() * drawing.thickness
    return _round(full * share).clamp(min=THINNEST), share


def disc_radius(thick: Tensor, share: Tensor) -> Tensor:
    """Radius of the disc with the area of OpenCV's circle of radius ``thick // 2`` and stroke ``thick``.

    Measured: 21, 25, 41 and 73 pixels for strokes 2 to 5, a disc of radius ``thick + 1/4`` beyond, and 4 pixels for the
    outline of small people.
    """
    radius = thick + 0.25
    for stroke, pixels in ((2, 21), (3, 25), (4, 41), (5, 73)):
        radius = torch.where(thick == stroke, math.sqrt(pixels / math.pi), radius)
    return torch.where(share > SMALL_PERSON, radius, math.sqrt(4 / math.pi))


def limb_half(thick: Tensor, drawing: Drawing) -> Tensor:
    """Reach of OpenCV's line beyond its center pixel: 0 for width 1, else half the width, rounded up."""
    width = _round(thick * drawing.line_ratio).clamp(min=1)
    return torch.where(width > 1, torch.floor((width + 1) / 2), 0)


def discs(center: Tensor, radius: Tensor, size: Size, most: int) -> Spans:
    """Discs cut along up to ``most`` rows: ``center [N, 2, S]`` and ``radius [N, 1]`` in image pixels.

    Lines outside the image of ``size`` have share 0.
    """
    x, y = center.unsqueeze(2).unbind(1)  # [N, 1, S]
    radius = radius.unsqueeze(-1)
    line, top, bottom = _lines(y - radius, y + radius, y.new_full((), size[0] - 1), most)
    upper, lower = (((edge - y) / radius).clamp(-1, 1) for edge in (top, bottom))
    # The mean half chord between two heights, so that a disc smaller than a pixel keeps its area.
    half = radius * (_disc_area(lower) - _disc_area(upper)) / (lower - upper).clamp(min=1e-6)
    flat = torch.ones_like(x)
    return Spans(line, (bottom - top).clamp(min=0), x.expand_as(line), half, flat, flat > 0)


def limbs(start: Tensor, end: Tensor, half: Tensor, pixel: Tensor, size: Size, most: int) -> Spans:
    """Limbs cut across their longer axis into up to ``most`` lines.

    ``start`` and ``end [N, 2, S]`` in image pixels, ``half [N, 1]`` from `limb_half` in source pixels, each of
    ``pixel [N, 1]`` image pixels. Lines outside the image of ``size`` have share 0.
    """
    half, pixel = half.unsqueeze(-1), pixel.unsqueeze(-1)
    (x0, y0), (x1, y1) = start.unsqueeze(2).unbind(1), end.unsqueeze(2).unbind(1)  # [N, 1, S]
    steep = (y1 - y0).abs() > (x1 - x0).abs()
    along0, across0 = torch.where(steep, y0, x0), torch.where(steep, x0, y0)
    along1, across1 = torch.where(steep, y1, x1), torch.where(steep, x1, y1)
    length = along1 - along0
    slope = (across1 - across0) / torch.where(length == 0, 1, length)
    first, final = torch.minimum(along0, along1), torch.maximum(along0, along1)
    # OpenCV's line covers its last pixel entirely.
    last = torch.where(steep, size[0] - 1.0, size[1] - 1.0)
    line, low, high = _lines(first - pixel / 2, final + pixel / 2, last, most)
    center = across0 + slope * ((low + high) / 2 - along0)
    width = _across(half, slope.abs()) * pixel
    return Spans(line, (high - low).clamp(min=0), center, width, torch.sqrt(1 + slope * slope), steep)


def widest(drawing: Drawing, extent: float, pixel: float) -> tuple[float, float]:
    """The largest disc radius and half-width of a limb in an image, in image pixels.

    ``extent`` is the root of the picture's area in the image, ``pixel`` the largest size of a source pixel there, which
    limits the effect of rounding.
    """
    full = extent * drawing.thickness
    thick = torch.arange(THINNEST, 256, dtype=torch.float32, device="cpu")
    pixels = (full / (thick - 0.5)).masked_fill(thick == THINNEST, torch.inf).clamp(max=pixel)
    radius = disc_radius(thick, torch.ones_like(thick)) * pixels
    half = _across(limb_half(thick, drawing), torch.ones_like(thick)) * pixels
    return float(radius.max()), float(half.max())


def at_most(bound: int, length: Tensor) -> int:
    """Number of lines or pixels for the longest of these lengths, up to ``bound``.

    It is ``bound`` itself in a compiled or exported network, whose shapes are fixed, and on devices other than the CPU,
    where inspecting data forces a synchronization.
    """
    fixed = torch.compiler.is_compiling() or torch.jit.is_tracing() or length.device.type != "cpu"
    if fixed or not length.numel():
        return bound
    return max(1, min(bound, math.ceil(float(length.max()))))


def _round(value: Tensor) -> Tensor:
    """OpenPose's ``positiveIntRound``: half rounds up."""
    return torch.floor(value + 0.5)


def _across(half: Tensor, slope: Tensor) -> Tensor:
    """Half the extent of OpenCV's line across its longer axis, in source pixels, at a slope from 0 to 1.

    A line of one pixel, and the outline of a wide one, has one pixel there at any slope. A line that reaches one pixel
    sideways has rounded corners: it is thinner than it should be up to 30°, then thicker.
    """
    wide = half * torch.sqrt(1 + slope * slope) + 0.5
    narrow = torch.where(slope < math.tan(math.radians(30)), 1.5 - 0.2 * slope, 1.6 + 0.6 * slope)
    return torch.where(half == 1, narrow, wide)


def _lines(start: Tensor, end: Tensor, last: Tensor, most: int) -> tuple[Tensor, Tensor, Tensor]:
    """Up to ``most`` lines of the image from ``start`` to ``end``, and the covered interval of each."""
    begin = start.clamp(min=0).floor()  # [N, 1, S]
    count = at_most(most, torch.minimum(end, last + 1) - begin)
    line = torch.minimum(begin + torch.arange(count, device=start.device).unsqueeze(-1), last)  # [N, L, S]
    return line, torch.maximum(line, start), torch.minimum(line + 1, end)


def _disc_area(height: Tensor) -> Tensor:
    """Integral of the unit disc's half chord up to a height in [-1, 1]."""
    return (height * torch.sqrt(1 - height * height) + torch.asin(height)) / 2
