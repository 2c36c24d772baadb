"""Streams: keypoints as joints, bones, motion, or facial shape; missing points are zero."""

from collections.abc import Sequence
from typing import cast

import torch
from torch import Tensor, nn

from skelemo.errors import ConfigError, unknown
from skelemo.models.face_streams import Angles, Frontal, Organs
from skelemo.models.graph import parents
from skelemo.models.registry import Spec
from skelemo.skeleton import Layout

#: Coordinates are clamped to this many standard deviations: OpenPose sometimes places a point far outside the person.
FARTHEST = 10.0
#: Coordinates with a smaller variance are centered but not scaled.
CONSTANT = 1e-6
#: Streams of the face; all other points are zero.
SHAPES: dict[str, type[nn.Module]] = {"organ": Organs, "frontal": Frontal, "angle": Angles}


def mirrored(keypoints: Tensor, layout: Layout) -> Tensor:
    """Windows ``[N, T, V, 3]`` flipped horizontally about their origin, left and right keypoints swapped."""
    twin = keypoints[:, :, list(layout.mirror)]
    return torch.cat([-twin[..., :1], twin[..., 1:]], -1)


def present(points: Tensor) -> Tensor:
    """Visibility of points ``[…, V, 3]``, ``[…, V, 1]`` bool."""
    return points[..., 2:] > 0


def bone(points: Tensor, parent: Tensor) -> Tensor:
    """Vectors from each point's parent to the point, ``[…, V, 3]``; zero if either is missing, and for a root.

    The confidence of a bone (and of a motion) is the mean of its ends'.
    """
    ends = points[..., parent, :]
    root = parent == torch.arange(len(parent), device=parent.device)
    both = present(points) & present(ends) & ~root[:, None]
    return _difference(points, ends) * both


def motion(points: Tensor) -> Tensor:
    """Displacement of each point to the next frame, ``[B, T, V, 3]``; zero if either is missing, and at the end."""
    before, after = points[:, :-1], points[:, 1:]
    moved = _difference(after, before) * (present(before) & present(after))
    return torch.cat([moved, torch.zeros_like(points[:, :1])], 1)


def _difference(points: Tensor, others: Tensor) -> Tensor:
    return torch.cat([points[..., :2] - others[..., :2], (points[..., 2:] + others[..., 2:]) / 2], -1)


class Streams(nn.Module):
    """Keypoints ``[B, T, V, 3]`` and mask ``[B, T]`` to features ``[B, T, V, channels]``, normalized point by point.

    ``joint`` is the position, ``bone`` the vector from the parent (`parents`), ``joint_motion`` and ``bone_motion``
    their change to the next frame, ``organ`` the shape of each facial feature (`Organs`), ``frontal`` the face
    mapped to the front (`Frontal`), ``angle`` angles between its points (`Angles`). In the last three all other points
    are zero.

    Every coordinate of every point is standardized over the frames in which the point is visible, with batch statistics
    in training and running statistics afterwards; a missing point stays zero. Confidence is replaced by visibility, 1
    or 0, so that models transfer between detectors.

    Raises `ConfigError`: no stream, an unknown one, or one that the layout lacks.

    Parameters
    ----------
    spec : the layout.
    names : one or more of `NAMES`; several are concatenated.
    normalize : standardize as described.
    """

    NAMES = ("joint", "bone", "joint_motion", "bone_motion", *SHAPES)
    parent: Tensor
    mean: Tensor
    variance: Tensor
    is_coordinate: Tensor

    def __init__(self, spec: Spec, names: Sequence[str] = ("joint",), *, normalize: bool = True) -> None:
        super().__init__()
        self.names = (names,) if isinstance(names, str) else tuple(names)
        if not self.names:
            raise ConfigError(f"streams is empty: expected one or more of {', '.join(self.NAMES)}")
        for name in self.names:
            if name not in self.NAMES:
                raise unknown("stream", name, self.NAMES)
        self.channels = 3 * len(self.names)
        self.shapes = nn.ModuleDict({name: SHAPES[name](spec.layout) for name in self.names if name in SHAPES})
        self.normalize = normalize
        coordinate = torch.arange(self.channels) % 3 < 2
        self.register_buffer("parent", torch.tensor(parents(spec.layout)), persistent=False)
        self.register_buffer("is_coordinate", coordinate, persistent=False)
        self.register_buffer("mean", torch.zeros(len(spec.layout), self.channels), persistent=normalize)
        self.register_buffer("variance", torch.ones(len(spec.layout), self.channels), persistent=normalize)

    def forward(self, keypoints: Tensor, mask: Tensor) -> Tensor:
        """The streams, concatenated; zeros at masked frames and missing points."""
        keypoints = torch.where(present(keypoints) & mask[..., None, None], keypoints, 0)
        keypoints = torch.cat([keypoints[..., :2], present(keypoints).to(keypoints.dtype)], -1)
        streams = [self._stream(name, keypoints) for name in self.names]
        if not self.normalize:
            return torch.cat(streams, -1)
        seen = torch.cat([present(stream).expand_as(stream) for stream in streams], -1)
        return self._normalize(torch.cat(streams, -1), seen)

    def _stream(self, name: str, keypoints: Tensor) -> Tensor:
        if name in self.shapes:
            return cast(Tensor, self.shapes[name](keypoints, present(keypoints)))
        points = bone(keypoints, self.parent) if name.startswith("bone") else keypoints
        return motion(points) if name.endswith("motion") else points

    def _normalize(self, values: Tensor, seen: Tensor) -> Tensor:
        mean, variance = self._statistics(values, seen) if self.training else (self.mean, self.variance)
        # 1e-4: deviations below a hundredth of the unit of length are not amplified to 1.
        scale = torch.where(variance > CONSTANT, torch.rsqrt(variance + 1e-4), 1)
        scaled = ((values - mean) * scale).clamp(-FARTHEST, FARTHEST)
        return torch.where(self.is_coordinate, scaled, values) * seen

    def _statistics(self, values: Tensor, seen: Tensor) -> tuple[Tensor, Tensor]:
        """Mean and variance of visible points over batch and time, ``[V, channels]``; running ones if never visible."""
        count = seen.sum((0, 1))
        mean = values.sum((0, 1)) / count.clamp(min=1)
        variance = ((values - mean).square() * seen).sum((0, 1)) / count.clamp(min=1)
        mean = torch.where(count > 0, mean, self.mean)
        variance = torch.where(count > 0, variance, self.variance)
        with torch.no_grad():
            share = torch.where(count > 1, 0.1, 0.0)  # the momentum of torch's batch norms
            self.mean.lerp_(mean.detach().to(self.mean.dtype), share)
            self.variance.lerp_(variance.detach().to(self.variance.dtype), share)
        return mean, variance
