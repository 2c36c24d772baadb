"""Streams of facial shape without the position of the features (`Organs`) or without head rotation (`Frontal`).

Both modules map points ``[..., V, C]`` of a layout, x and y first, and their visibility, bool ``[..., V, 1]``, to
points of the same shape, zero where undefined. They use sums since matrix products lose precision under autocast.
"""

import torch
from torch import Tensor, nn

from skelemo.errors import ConfigError
from skelemo.skeleton import FACE_70, Layout

# Prefixes of the names of points that move together.
_ORGANS = (("RBrow",), ("LBrow",), ("Nose",), ("REye", "RPupil"), ("LEye", "LPupil"), ("OuterMouth", "InnerMouth"))
# Rigid points of the right half and the midline of an average face, in inter-ocular distances relative to the origin of
# `preprocess`, from the anthropometry of `skelemo.simulate.face`.
_FIRM = {
    **{"REye0": (-0.71, 0.0), "REye3": (-0.27, 0.02), "NoseBase0": (-0.22, 0.65), "NoseBase1": (-0.11, 0.69)},
    **{"NoseBridge0": (0, -0.03), "NoseBridge1": (0, 0.16), "NoseBridge2": (0, 0.33), "NoseBridge3": (0, 0.5)},
    **{"NoseBase2": (0, 0.72)},
}
_LEAST_FIRM = 4
# In profile they are almost collinear, and the affine map is undefined.
_LEAST_SPREAD = 0.01


class Organs(nn.Module):
    """Each brow, each eye, the nose and the mouth relative to the mean of its points.

    Raises `ConfigError`: the layout has no face.
    """

    member: Tensor

    def __init__(self, layout: Layout) -> None:
        super().__init__()
        members = torch.stack([_named(layout, organ) for organ in _ORGANS])
        self.register_buffer("member", members[..., None], persistent=False)  # [O, V, 1]

    def forward(self, points: Tensor, seen: Tensor) -> Tensor:
        """``[..., V, C]``."""
        visible = seen[..., None, :, :] * self.member  # [..., O, V, 1]
        middle = (points[..., None, :, :2] * visible).sum(-2) / visible.sum(-2).clamp(min=1)  # [..., O, 2]
        around = (middle[..., None, :] * self.member).sum(-3)  # [..., V, 2]
        shape = torch.cat([points[..., :2] - around, points[..., 2:]], -1)
        return torch.where(seen & (self.member.sum(0) > 0), shape, 0)


class Frontal(nn.Module):
    """The face under the affine map that best fits nose and eye corners to an average frontal face.

    This removes most of a small head rotation and of the proportions of the face. Zero if fewer than four of these
    points are visible, or if they are almost collinear.

    Raises `ConfigError`: the layout has no face.
    """

    face: Tensor
    firm: Tensor
    usual: Tensor

    def __init__(self, layout: Layout) -> None:
        super().__init__()
        usual, firm = torch.zeros(len(layout), 2), torch.zeros(len(layout), 1)
        start = _face_of(layout).start
        for name, (x, y) in _FIRM.items():
            here = FACE_70.index(name)
            for index, side in ((here, 1), (FACE_70.mirror[here], -1)):
                usual[start + index] = torch.tensor([side * x, y])
                firm[start + index] = 1
        self.register_buffer("face", _named(layout, ("",))[:, None] > 0, persistent=False)
        self.register_buffer("firm", firm, persistent=False)
        self.register_buffer("usual", usual, persistent=False)

    def forward(self, points: Tensor, seen: Tensor) -> Tensor:
        """``[..., V, C]``."""
        weight = seen * self.firm  # [..., V, 1]
        count = weight.sum(-2, keepdim=True)
        middle = (points[..., :2] * weight).sum(-2, keepdim=True) / count.clamp(min=1)
        goal = (self.usual * weight).sum(-2, keepdim=True) / count.clamp(min=1)
        place = points[..., :2] - middle
        x, y = (place * weight).unbind(-1)
        xx, xy, yy = ((a * b).sum(-1, keepdim=True)[..., None] for a, b in ((x, x), (x, y), (y, y)))
        wanted = self.usual - goal
        to_x, to_y = ((axis[..., None] * wanted).sum(-2, keepdim=True) for axis in (x, y))  # [..., 1, 2]
        spread = xx * yy - xy * xy
        known = (count >= _LEAST_FIRM) & (spread > _LEAST_SPREAD * ((xx + yy) / 2).square())
        spread = torch.where(known, spread, 1)
        across, down = (yy * to_x - xy * to_y) / spread, (xx * to_y - xy * to_x) / spread
        mapped = place[..., :1] * across + place[..., 1:] * down + goal
        return torch.where(seen & self.face & known, torch.cat([mapped, points[..., 2:]], -1), 0)


def _named(layout: Layout, beginnings: tuple[str, ...]) -> Tensor:
    """1 for each face point of the layout whose name has one of the prefixes, else 0: ``[V]``."""
    chosen = torch.zeros(len(layout))
    chosen[_face_of(layout)] = torch.tensor([float(name.startswith(beginnings)) for name in FACE_70.keypoints])
    return chosen


def _face_of(layout: Layout) -> slice:
    if FACE_70 not in layout.parts:
        raise ConfigError(
            f"the streams organ and frontal need a face, which the layout {layout.name} lacks: choose other streams, "
            "or ingest with --layout body_25+face_70"
        )
    return layout.slices[FACE_70.name]
