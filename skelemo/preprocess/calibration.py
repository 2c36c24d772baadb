"""A person's usual face and posture, without labels, taken off before the network; and other data made alike.

What a person looks like when nothing happens differs more between people than an emotion changes it. The usual place of
a point is the mean of its normalized places over all that is known of the person; it is replaced by that of the average
person of the training subset, so that a calibrated skeleton is still one.
"""

import torch
from torch import Tensor

#: For how many stills the average person counts in a person's mean. The best number is the variance within people by
#: that between them: 1.8 over the points of 1,232 stills of 29 actors.
PRIOR = 2.0
#: Frames of a video that count as one still: neighbors show the same face.
SPAN = 30
#: For how many stills one's own data count in the statistics of other data.
DATASET_PRIOR = 20.0
_LEAST = 1e-4


def sums_by(places: Tensor, group: Tensor, groups: int) -> Tensor:
    """Sums of x and y over the seen points and their number, float64 ``[groups, V, 3]``.

    Parameters
    ----------
    places : ``[N, V, 3]`` normalized.
    group : ``[N]`` to which of the groups a frame belongs.
    """
    return places.new_zeros(groups, places.shape[1], 3, dtype=torch.float64).index_add_(0, group, _counted(places))


def running_sums(places: Tensor, start: Tensor, first: int, before: Tensor) -> Tensor:
    """The same over each frame and those before it in its clip, ``[N, V, 3]`` for N frames in a row.

    Parameters
    ----------
    start : ``[N]`` row of the first frame of each frame's clip.
    first : row of the first of the frames.
    before : ``[V, 3]`` the sums of the frame before it; zeros for none.
    """
    total = before + _counted(places).cumsum(0)
    behind = torch.cat([before[None], total[:-1]])
    own = behind[(start - first).clamp(min=0)]
    return total - torch.where((start >= first)[:, None, None], own, 0)


def _counted(places: Tensor) -> Tensor:
    seen = places[..., 2:] > 0
    return torch.cat([torch.where(seen, places[..., :2], 0), seen.to(places.dtype)], -1).double()


def evidence_of(count: Tensor) -> Tensor:
    """What so many frames of one clip tell of a person, in stills."""
    return (count > 0) + (count - 1).clamp(min=0) / SPAN


def typical_of(sums: Tensor) -> Tensor:
    """The usual places ``[V, 2]`` of the average of several people ``[P, V, 3]``, of those who show a point."""
    known = sums[..., 2:] > 0
    means = torch.where(known, sums[..., :2] / sums[..., 2:].clamp(min=1), 0)
    return (means.sum(0) / known.sum(0).clamp(min=1)).float()


def shifts(sums: Tensor, evidence: Tensor, typical: Tensor) -> Tensor:
    """By how much people's usual places differ from those of the average person, ``[..., V, 2]``.

    A mean of little evidence is drawn towards the average person, as if `PRIOR` stills had shown that one; of none,
    nothing is taken off.

    Parameters
    ----------
    sums, evidence : ``[..., V, 3]`` and ``[..., V]``.
    typical : ``[V, 2]``, see `typical_of`.
    """
    apart = sums[..., :2] / sums[..., 2:].clamp(min=1) - typical
    share = evidence / (evidence + PRIOR)
    return (share[..., None] * apart).float()


def moments_by(places: Tensor) -> Tensor:
    """Number of frames that show each point, and sums of x, y, x² and y² over them, float64 ``[V, 5]``."""
    counted = _counted(places)
    return torch.cat([counted[..., 2:], counted[..., :2], counted[..., :2].square()], -1).sum(0)


def statistics_of(moments: Tensor) -> Tensor:
    """Means and standard deviations of x and y, ``[V, 4]``, of ``[V, 5]``; 0 and 0 for a point that is never seen."""
    mean, square = (moments[:, 1:] / moments[:, :1].clamp(min=1)).chunk(2, -1)
    return torch.cat([mean, (square - mean.square()).clamp(min=0).sqrt()], -1)


def standardizing(own: Tensor, other: Tensor, evidence: Tensor) -> tuple[Tensor, Tensor]:
    """Factor and offset ``[V, 2]`` that give other data the means and deviations of one's own.

    Statistics of little evidence are drawn towards one's own, as if `DATASET_PRIOR` stills of those were among them.

    Parameters
    ----------
    own, other : ``[V, 4]``, see `statistics_of`.
    evidence : ``[V]`` stills that the other ones are of.
    """
    share = (evidence / (evidence + DATASET_PRIOR))[:, None]
    mean = own[:, :2] + share * (other[:, :2] - own[:, :2])
    ratio = own[:, 2:].clamp(min=_LEAST) / other[:, 2:].clamp(min=_LEAST)
    factor = torch.where((own[:, 2:] > _LEAST) & (other[:, 2:] > _LEAST), ratio, 1) ** share
    return factor.float(), (own[:, :2] - mean * factor).float()


def scaled(places: Tensor, factor: Tensor, offset: Tensor) -> Tensor:
    """Places ``[..., V, 3]`` times a factor plus an offset, ``[V, 2]`` each; missing points stay zero."""
    moved = torch.cat([places[..., :2] * factor + offset, places[..., 2:]], -1)
    return torch.where(places[..., 2:] > 0, moved, 0)


def without(places: Tensor, shift: Tensor) -> Tensor:
    """Places ``[..., V, 3]`` less ``shift [..., V, 2]``; missing points stay zero."""
    moved = torch.cat([places[..., :2] - shift, places[..., 2:]], -1)
    return torch.where(places[..., 2:] > 0, moved, 0)
