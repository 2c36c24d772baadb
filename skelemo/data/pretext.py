"""Self-supervised pretraining: reconstruct positions and displacements of hidden regions.

Regions, such as the mouth, are hidden as a whole, because a single point can be interpolated from its neighbors.
Positions are relative to the person's mean, because differences between people would otherwise dominate them.
"""

from collections.abc import Iterable
from dataclasses import dataclass, replace

import numpy as np
import torch
from torch import Tensor

from skelemo.data.calibration import calibrated
from skelemo.data.corpus import Corpus
from skelemo.skeleton import Layout
from skelemo.targets import MAX_OUTPUTS, Head

#: Name of the reconstruction head.
PRETEXT = "pretext"

#: Most reconstructed frames per window, evenly spaced.
FRAMES = 4

#: Reconstructed values are clipped at this many standard deviations.
FARTHEST = 5.0

#: Least standard deviation, in units of the coordinates: points that define the unit hardly move.
_LEAST_DEVIATION = 0.01


def anchors(frames: int, points: int) -> list[int]:
    """Frames of a window to reconstruct: positions in each, and displacements between them."""
    number = max(1, min(FRAMES, frames, (MAX_OUTPUTS // (2 * points) + 1) // 2))
    return [(2 * index + 1) * frames // (2 * number) for index in range(number)]


def pretext_head(layout: Layout, frames: int) -> Head:
    """The reconstruction head for windows of this length: x and y of each point by frame, then displacements."""
    chosen = anchors(frames, len(layout))
    outputs = [f"{axis}{point}@{frame}" for frame in chosen for point in range(len(layout)) for axis in "xy"]
    outputs += [f"d{axis}{point}@{frame}" for frame in chosen[:-1] for point in range(len(layout)) for axis in "xy"]
    return Head(PRETEXT, "values", tuple(outputs), -FARTHEST, FARTHEST)


def without_labels(corpus: Corpus, frames: int) -> Corpus:
    """The corpus with the reconstruction head instead of its own heads."""
    return replace(corpus, heads=(pretext_head(corpus.layout, frames),), labels={})


def person_means(corpus: Corpus, sequences: np.ndarray) -> Tensor | None:
    """Mean x and y ``[S, V, 2]`` of each sequence's person, shrunk towards the average person of ``sequences``.

    None if the coordinates are the image's, or already calibrated to the person.
    """
    if corpus.preparation.coordinates == "frame" or corpus.shift is not None:
        return None
    found = calibrated(corpus, "track", sequences)
    assert found.shift is not None
    return (torch.tensor(found.preparation.typical) + found.shift).to(corpus.device)


def mean_frame(people: Tensor | None, sequence: Tensor, keypoints: Tensor) -> Tensor:
    """Means ``people [S, V, 2]`` of sequences ``[B]`` as a frame ``[B, 1, V, 3]`` with the points that windows show.

    ``[B, 0, V, 3]`` without people.
    """
    if people is None:
        return keypoints[:, :0]
    return torch.cat([people[sequence][:, None].to(keypoints), keypoints[..., 2:].amax(1, keepdim=True)], -1)


def reconstructed(keypoints: Tensor, mean: Tensor | None = None) -> tuple[Tensor, Tensor]:
    """Values ``[B, O]`` of windows ``[B, T, V, 3]`` in the order of the head, and their visibility ``[B, O]``.

    Parameters
    ----------
    mean : ``[B, 1, V, 3]``, to which positions are relative; ignored if empty.
    """
    chosen = keypoints[:, anchors(keypoints.shape[1], keypoints.shape[2])]  # [B, K, V, 3]
    places, seen = chosen[..., :2], (chosen[..., 2:] > 0).expand(-1, -1, -1, 2)
    moved, known = places[:, 1:] - places[:, :-1], seen[:, 1:] & seen[:, :-1]
    if mean is not None and mean.shape[1]:
        places, seen = places - mean[..., :2], seen & (mean[..., 2:] > 0)
    return torch.cat([places, moved], 1).flatten(1), torch.cat([seen, known], 1).flatten(1)


def region_of(layout: Layout) -> Tensor:
    """First point of the region of each point, ``[V]``; a point in no region is one by itself."""
    region = torch.arange(len(layout))
    for part, where in zip(layout.parts, layout.slices.values(), strict=True):
        for points in part.region_points.values():
            region[[where.start + point for point in points]] = where.start + points[0]
    return region


@dataclass(frozen=True)
class Pretext:
    """Hides points of windows and labels the windows with their positions.

    Parameters
    ----------
    hide_regions : probability that a region is hidden throughout a window.
    hide_frames : share of a window's frames, in one block, in which all points are hidden.
    region : ``[V]`` the region of each point, see `region_of`.
    mean, deviation : ``[O]`` mean and standard deviation of each value, to standardize the labels: an error of 1 is
        that of predicting the mean.
    people : ``[S, V, 2]`` mean x and y of each sequence's person, see `person_means`.
    """

    hide_regions: float
    hide_frames: float
    region: Tensor
    mean: Tensor
    deviation: Tensor
    people: Tensor | None = None

    @classmethod
    def fit(
        cls,
        hide_regions: float,
        hide_frames: float,
        region: Tensor,
        windows: Iterable[tuple[Tensor, Tensor]],
        people: Tensor | None = None,
    ) -> "Pretext":
        """Measure means and standard deviations over batches of windows ``[B, T, V, 3]`` of sequences ``[B]``."""
        count = total = square = torch.zeros((), dtype=torch.float64)
        for keypoints, sequence in windows:
            values, seen = (one.cpu() for one in reconstructed(keypoints, mean_frame(people, sequence, keypoints)))
            values = values.double() * seen
            count, total, square = count + seen.sum(0), total + values.sum(0), square + values.square().sum(0)
        mean = total / count.clamp(min=1)
        variance = (square / count.clamp(min=1) - mean.square()).clamp(min=_LEAST_DEVIATION**2)
        return cls(hide_regions, hide_frames, region, mean.float(), variance.sqrt().float(), people)

    def with_mean(self, keypoints: Tensor, sequence: Tensor) -> Tensor:
        """Append the person's mean to windows as one more frame, to be augmented with them."""
        return torch.cat([keypoints, mean_frame(self.people, sequence, keypoints)], 1)

    def __call__(self, keypoints: Tensor, mask: Tensor, generator: torch.Generator) -> tuple[Tensor, Tensor, Tensor]:
        """Keypoints and mask after hiding, and labels ``[B, O]``, NaN unless the value was visible and is now hidden.

        A displacement is hidden with either of its ends. Of ``keypoints``, frames beyond ``mask [B, T]`` are the mean.
        """
        frames = mask.shape[1]
        keypoints, mean = keypoints[:, :frames], keypoints[:, frames:]
        batch, _, points, _ = keypoints.shape
        device = keypoints.device
        draw = torch.rand((batch, 1, points), generator=generator, device=device)
        hidden = draw[..., self.region.to(device)] < self.hide_regions
        length = round(self.hide_frames * frames)
        first = torch.rand((batch, 1), generator=generator, device=device) * (frames - length + 1)
        offset = torch.arange(frames, device=device) - first.long()
        hidden = hidden | ((offset >= 0) & (offset < length))[..., None]  # [B, T, V]
        values, seen = reconstructed(keypoints, mean)
        remaining = keypoints * ~hidden[..., None]
        _, still_seen = reconstructed(remaining)
        labels = ((values - self.mean.to(device)) / self.deviation.to(device)).clamp(-FARTHEST, FARTHEST)
        labels = labels.masked_fill(~seen | still_seen, torch.nan)
        return remaining, mask & (remaining[..., 2] > 0).any(2), labels
