"""Streams: keypoints as joints, bones, the motion of either, or shapes of a face; what is missing stays zero in all."""

from collections.abc import Sequence
from typing import cast

import torch
from torch import Tensor, nn

from skelemo.errors import ConfigError, unknown
from skelemo.models.face_streams import Frontal, Organs
from skelemo.models.graph import parents
from skelemo.models.registry import Spec

CONFIDENCE = 2  # the channel of a point that says how surely it was seen
#: Coordinates beyond so many standard deviations are cut off: OpenPose at times puts a point far outside the person.
FARTHEST = 10.0
#: A coordinate whose variance is smaller is constant: it is centered and not scaled.
CONSTANT = 1e-6
#: Streams that show a face alone, and nothing of what else a layout has.
SHAPES: dict[str, type[nn.Module]] = {"organ": Organs, "frontal": Frontal}


def present(points: Tensor) -> Tensor:
    """Which points of ``[…, V, C]`` were seen, ``[…, V, 1]`` bool: by confidence, or without it by any coordinate."""
    if points.shape[-1] > CONFIDENCE:
        return points[..., CONFIDENCE : CONFIDENCE + 1] > 0
    return (points != 0).any(-1, keepdim=True)


def bone(points: Tensor, parent: Tensor) -> Tensor:
    """From each point's parent to the point, ``[…, V, C]``; zero where either is missing, and for a root.

    The confidence of a bone, as of a motion, is the mean of its two ends.
    """
    ends = points[..., parent, :]
    root = parent == torch.arange(len(parent), device=parent.device)
    both = present(points) & present(ends) & ~root[:, None]
    return _difference(points, ends) * both


def motion(points: Tensor) -> Tensor:
    """From each point to where it is in the next frame, ``[B, T, V, C]``; zero where either is missing, and at the end.

    Points of unseen frames are zero, hence missing, hence without motion.
    """
    here, there = points[:, :-1], points[:, 1:]
    moved = _difference(there, here) * (present(here) & present(there))
    return torch.cat([moved, torch.zeros_like(points[:, :1])], 1)


def _difference(points: Tensor, others: Tensor) -> Tensor:
    difference = points - others
    if points.shape[-1] <= CONFIDENCE:
        return difference
    middle = (points[..., CONFIDENCE : CONFIDENCE + 1] + others[..., CONFIDENCE : CONFIDENCE + 1]) / 2
    return torch.cat([difference[..., :CONFIDENCE], middle, difference[..., CONFIDENCE + 1 :]], -1)


class Streams(nn.Module):
    """Keypoints ``[B, T, V, C]`` and mask ``[B, T]`` to features ``[B, T, V, channels]``, normalized point by point.

    ``joint`` is where points are, ``bone`` how they lie to their `parents`, ``joint_motion`` and ``bone_motion`` how
    either changes to the next frame, ``organ`` the shape of each of the face's `Organs`, ``frontal`` the face as it
    would look from before (`Frontal`). In the last two all other points are zero.

    Every coordinate of every point is brought to zero mean and unit deviation over the frames in which the point was
    visible, by batch statistics in training and running ones afterwards; a missing point stays zero. Confidence becomes
    visibility, 1 or 0, so that a model serves detectors whose confidences differ.

    Parameters
    ----------
    spec : layout and channels of the batch.
    names : one or more of `NAMES`; several are concatenated.
    normalize : standardize as described; else coordinates stay as they are.

    Raises
    ------
    ConfigError
        An unknown stream, or none, or one that the layout does not have.
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
        self.channels = len(self.names) * spec.channels
        self.shapes = nn.ModuleDict({name: SHAPES[name](spec.layout) for name in self.names if name in SHAPES})
        self.normalize = normalize
        coordinate = torch.arange(self.channels) % spec.channels != CONFIDENCE
        self.register_buffer("parent", torch.tensor(parents(spec.layout)), persistent=False)
        self.register_buffer("is_coordinate", coordinate, persistent=False)
        self.register_buffer("mean", torch.zeros(len(spec.layout), self.channels), persistent=normalize)
        self.register_buffer("variance", torch.ones(len(spec.layout), self.channels), persistent=normalize)

    def forward(self, keypoints: Tensor, mask: Tensor) -> Tensor:
        """The chosen streams side by side; zeros at unseen frames and missing points."""
        keypoints = torch.where(present(keypoints) & mask[..., None, None], keypoints, 0)
        if keypoints.shape[-1] > CONFIDENCE:  # how sure a detector is differs between detectors and recordings
            visible = (keypoints[..., CONFIDENCE : CONFIDENCE + 1] > 0).to(keypoints.dtype)
            keypoints = torch.cat([keypoints[..., :CONFIDENCE], visible, keypoints[..., CONFIDENCE + 1 :]], -1)
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
        """Mean and variance over batch and time of what was seen, ``[V, channels]``; running ones where nothing was."""
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
