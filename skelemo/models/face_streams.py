"""Streams of facial shape without the position of the features (`Organs`), without head rotation (`Frontal`), or as
angles between points (`Angles`).

The modules map points ``[..., V, C]`` of a layout, x and y first, and their visibility, bool ``[..., V, 1]``, to
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
# Ends of the angle at points of the right half and the midline: how open mouth and eyes are, how lips and brows are
# arched, and where they are relative to nose, chin and each other.
_ENDS = {
    **{"Jaw4": "OuterMouth0 Jaw8", "Jaw6": "OuterMouth0 Jaw8", "Jaw8": "OuterMouth0 OuterMouth6"},
    **{"RBrow0": "RBrow2 RBrow4", "RBrow1": "REye0 REye3", "RBrow2": "REye1 REye5", "RBrow3": "REye0 REye3"},
    **{"RBrow4": "LBrow0 NoseBridge0", "NoseBridge0": "RBrow4 LBrow0", "NoseBridge1": "REye0 LEye3"},
    **{"NoseBridge3": "NoseBase0 NoseBase4", "NoseBase0": "OuterMouth0 NoseBase2"},
    **{"NoseBase1": "OuterMouth0 OuterMouth3", "NoseBase2": "OuterMouth0 OuterMouth6"},
    **{"REye0": "REye1 REye5", "REye1": "REye0 REye3", "REye2": "RBrow4 REye4", "REye3": "REye2 REye4"},
    **{"REye4": "REye0 REye3", "REye5": "REye1 OuterMouth0", "OuterMouth0": "OuterMouth3 OuterMouth9"},
    **{"OuterMouth1": "NoseBase0 OuterMouth0", "OuterMouth2": "NoseBase2 OuterMouth10"},
    **{"OuterMouth3": "OuterMouth0 OuterMouth6", "OuterMouth9": "OuterMouth0 OuterMouth6"},
    **{"OuterMouth10": "OuterMouth0 Jaw8", "OuterMouth11": "NoseBase0 Jaw8", "InnerMouth0": "InnerMouth2 InnerMouth6"},
    **{"InnerMouth1": "InnerMouth7 OuterMouth0", "InnerMouth2": "InnerMouth0 InnerMouth4"},
    **{"InnerMouth6": "InnerMouth0 InnerMouth4", "InnerMouth7": "InnerMouth1 OuterMouth0"},
}
# A length in inter-ocular distances: angles and ratios of shorter sides are noise, and drawn to zero.
_TINY = 0.01
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


class Angles(nn.Module):
    """At 55 points of the face, the angle from 0 to pi between two other points, and the log ratio of their distances.

    Independent of position, rotation and scale. Zero if one of the three points is missing.

    Raises `ConfigError`: the layout has no face.
    """

    ends: Tensor
    has_angle: Tensor

    def __init__(self, layout: Layout) -> None:
        super().__init__()
        start, ends = _face_of(layout).start, torch.arange(len(layout)).repeat(2, 1)
        for name, others in _ENDS.items():
            here, pair = FACE_70.index(name), [FACE_70.index(other) for other in others.split()]
            twin, twins = FACE_70.mirror[here], [FACE_70.mirror[index] for index in pair]
            ends[:, start + twin] = start + torch.tensor(twins)
            ends[:, start + here] = start + torch.tensor(pair)
        self.register_buffer("ends", ends, persistent=False)  # [2, V]
        self.register_buffer("has_angle", (ends[0] != ends[1])[:, None], persistent=False)

    def forward(self, points: Tensor, seen: Tensor) -> Tensor:
        """``[..., V, C]``."""
        first, second = self.ends
        known = seen & seen[..., first, :] & seen[..., second, :] & self.has_angle
        place = points[..., :2]
        # Any triangle where the angle is unknown: the gradient of atan2 is not finite at zero.
        x, y = torch.where(known, place[..., first, :] - place, 1).unbind(-1)
        u, v = torch.where(known, place[..., second, :] - place, 1).unbind(-1)
        little = _TINY**2
        angle = torch.atan2((x * v - y * u).abs(), x * u + y * v + little)
        ratio = ((x * x + y * y + little) / (u * u + v * v + little)).log() / 2
        return torch.where(known, torch.cat([torch.stack([angle, ratio], -1), points[..., 2:]], -1), 0)


def _named(layout: Layout, beginnings: tuple[str, ...]) -> Tensor:
    """1 for each face point of the layout whose name has one of the prefixes, else 0: ``[V]``."""
    chosen = torch.zeros(len(layout))
    chosen[_face_of(layout)] = torch.tensor([float(name.startswith(beginnings)) for name in FACE_70.keypoints])
    return chosen


def _face_of(layout: Layout) -> slice:
    if FACE_70 not in layout.parts:
        raise ConfigError(
            f"the streams organ, frontal and angle need a face, which the layout {layout.name} lacks: choose others, "
            "or ingest with --layout body_25+face_70"
        )
    return layout.slices[FACE_70.name]
