"""Calibration to a person, and standardization to another data set; neither uses labels.

Neutral faces and postures differ more between people than an emotion changes them. Calibration therefore replaces a
person's mean keypoints by those of the average person of the training subset, so the result is still a skeleton.
"""

import torch
from torch import Tensor

#: Weight of the average person in a person's mean, in stills. The optimum is the variance within people divided by the
#: variance between them: 1.8 over the points of 1,232 stills of 29 actors.
PRIOR = 2.0
#: Video frames that count as one still, because adjacent frames show the same face.
SPAN = 30
#: Weight of the training data in the statistics of other data, in stills.
DATASET_PRIOR = 20.0
_LEAST = 1e-4


def sums_by(places: Tensor, group: Tensor, groups: int) -> Tensor:
    """Sums of x and y over the visible points, and their number, by group: float64 ``[groups, V, 3]``.

    Parameters
    ----------
    places : ``[N, V, 3]`` normalized keypoints.
    group : ``[N]`` the group of each frame.
    """
    return places.new_zeros(groups, places.shape[1], 3, dtype=torch.float64).index_add_(0, group, _counted(places))


def running_sums(places: Tensor, start: Tensor, first: int, before: Tensor) -> Tensor:
    """Cumulative `sums_by` within each clip, ``[N, V, 3]`` for N consecutive frames.

    Parameters
    ----------
    start : ``[N]`` row of the first frame of each frame's clip.
    first : row of the first of the N frames.
    before : ``[V, 3]`` the sums up to the preceding frame, or zeros.
    """
    total = before + _counted(places).cumsum(0)
    behind = torch.cat([before[None], total[:-1]])
    own = behind[(start - first).clamp(min=0)]
    return total - torch.where((start >= first)[:, None, None], own, 0)


def _counted(places: Tensor) -> Tensor:
    seen = places[..., 2:] > 0
    return torch.cat([torch.where(seen, places[..., :2], 0), seen.to(places.dtype)], -1).double()


def evidence_of(count: Tensor) -> Tensor:
    """How many stills ``count`` frames of one clip are worth."""
    return (count > 0) + (count - 1).clamp(min=0) / SPAN


def typical_of(sums: Tensor) -> Tensor:
    """Mean keypoints ``[V, 2]`` of the average person, from the sums ``[P, V, 3]`` of P people.

    Each point is averaged over the people who show it.
    """
    known = sums[..., 2:] > 0
    means = torch.where(known, sums[..., :2] / sums[..., 2:].clamp(min=1), 0)
    return (means.sum(0) / known.sum(0).clamp(min=1)).float()


def shifts(sums: Tensor, evidence: Tensor, typical: Tensor) -> Tensor:
    """Offset of people's mean keypoints from the average person's, ``[..., V, 2]``.

    The mean is shrunk towards the average person, who counts as `PRIOR` stills; without evidence the offset is 0.

    Parameters
    ----------
    sums : ``[..., V, 3]`` as from `sums_by`.
    evidence : ``[..., V]`` number of stills.
    typical : ``[V, 2]`` the average person, see `typical_of`.
    """
    apart = sums[..., :2] / sums[..., 2:].clamp(min=1) - typical
    share = evidence / (evidence + PRIOR)
    return (share[..., None] * apart).float()


def moments_by(places: Tensor) -> Tensor:
    """Number of frames that show each point, and their sums of x, y, x² and y²: float64 ``[V, 5]``."""
    counted = _counted(places)
    return torch.cat([counted[..., 2:], counted[..., :2], counted[..., :2].square()], -1).sum(0)


def statistics_of(moments: Tensor) -> Tensor:
    """Means and standard deviations of x and y, ``[V, 4]``, from moments ``[V, 5]``; 0 for a point never visible."""
    mean, square = (moments[:, 1:] / moments[:, :1].clamp(min=1)).chunk(2, -1)
    return torch.cat([mean, (square - mean.square()).clamp(min=0).sqrt()], -1)


def standardizing(own: Tensor, other: Tensor, evidence: Tensor) -> tuple[Tensor, Tensor]:
    """Factor and offset ``[V, 2]`` that give another data set the means and deviations of the training data.

    The other data's statistics are shrunk towards the training data's, which count as `DATASET_PRIOR` stills.

    Parameters
    ----------
    own : ``[V, 4]`` statistics of the training data, see `statistics_of`.
    other : ``[V, 4]`` statistics of the other data.
    evidence : ``[V]`` number of stills behind ``other``.
    """
    share = (evidence / (evidence + DATASET_PRIOR))[:, None]
    mean = own[:, :2] + share * (other[:, :2] - own[:, :2])
    ratio = own[:, 2:].clamp(min=_LEAST) / other[:, 2:].clamp(min=_LEAST)
    factor = torch.where((own[:, 2:] > _LEAST) & (other[:, 2:] > _LEAST), ratio, 1) ** share
    return factor.float(), (own[:, :2] - mean * factor).float()


def scaled(places: Tensor, factor: Tensor, offset: Tensor) -> Tensor:
    """Keypoints ``[..., V, 3]`` times a factor plus an offset, ``[V, 2]`` each; missing points stay zero."""
    moved = torch.cat([places[..., :2] * factor + offset, places[..., 2:]], -1)
    return torch.where(places[..., 2:] > 0, moved, 0)


def without(places: Tensor, shift: Tensor) -> Tensor:
    """Keypoints ``[..., V, 3]`` minus ``shift [..., V, 2]``; missing points stay zero."""
    moved = torch.cat([places[..., :2] - shift, places[..., 2:]], -1)
    return torch.where(places[..., 2:] > 0, moved, 0)
