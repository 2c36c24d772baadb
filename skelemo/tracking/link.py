"""Pairs of people in neighboring frames, and which of them are certainly the same person."""

from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from skelemo.tracking.features import Features, batches, distance_between, nearest, ragged

Array = NDArray[Any]

# Set on simulated crossings with every fifth or second detection removed, at 30, 10 and 3 frames a second.
_LIMIT = (0.05, 1.7)  # people are linked up to so many sizes apart, or so many times the usual move
_CLEAR = 1.5  # how many times farther the next best candidate must be
SAME = 0.15  # skeletons of one frame so near each other, in sizes, may be one person's


class Pairs(NamedTuple):
    """Pairs of people in neighboring frames who are near each other, sorted by ``before``."""

    before: Array  # int64 [N], rows
    after: Array  # int64 [N], rows
    cost: Array  # float [N], distance in sizes

    def where(self, mask: Array) -> "Pairs":
        """Some of the pairs."""
        return Pairs(*(column[mask] for column in self))


def neighbors(features: Features, start: Array, time: Array, max_distance: float) -> Pairs:
    """All pairs of neighboring frames, at most two usual steps apart, whose distance is at most ``max_distance``."""
    count = np.diff(start)
    pairs = np.where(np.diff(time) <= 2, count[:-1] * count[1:], 0)
    found = [Pairs(np.zeros(0, np.int64), np.zeros(0, np.int64), np.zeros(0))]
    for frames in batches(pairs):
        frame, place = ragged(frames, pairs[frames])
        before, after = start[frame] + place // count[frame + 1], start[frame + 1] + place % count[frame + 1]
        cost = distance_between(features, before, after, max_distance)
        near = Pairs(before, after, cost).where(cost <= max_distance)
        found.append(near.where(nearest(near.before, near.cost)))
    return Pairs(*(np.concatenate(column) for column in zip(*found, strict=True)))


def usual_move(pairs: Pairs) -> float:
    """How far people usually move from frame to frame, in sizes."""
    if not len(pairs.cost):
        return 0.0
    return float(np.median(np.minimum.reduceat(pairs.cost, np.flatnonzero(np.diff(pairs.before, prepend=-1)))))


def pieces_of_others(features: Features, keypoints: Array, pairs: Pairs, usual: float) -> Array:
    """Whether a detection is a piece of a person of whom the same frame has another, more confident one, bool [P].

    Two detections are pieces of one person when both lie on one skeleton of a neighboring frame and share no feature.
    """
    found = np.zeros(len(keypoints), bool)
    near = pairs.cost <= max(SAME, _LIMIT[1] * usual)
    for whole, piece in ((pairs.before[near], pairs.after[near]), (pairs.after[near], pairs.before[near])):
        several = np.flatnonzero(np.bincount(whole)[whole] > 1) if len(whole) else whole
        order = several[np.lexsort((piece[several], whole[several]))]
        whole, piece = whole[order], piece[order]
        same = np.flatnonzero(whole[1:] == whole[:-1])  # neighbors among the pieces of one skeleton
        one, other = piece[same], piece[same + 1]
        apart = ~(features.seen[one] & features.seen[other]).any(axis=1)
        found[fainter(keypoints, one[apart], other[apart])] = True
    return found


def fainter(keypoints: Array, one: Array, other: Array) -> Array:
    """Of pairs of rows [N], the ones with less confidence in total."""
    return np.where(keypoints[one, :, 2].sum(axis=1) < keypoints[other, :, 2].sum(axis=1), one, other)


def link(people: int, pairs: Pairs, lonely: Array, usual: float, max_distance: float) -> Array:
    """The row that certainly follows each row in the next frame, int64 [P], else -1.

    Parameters
    ----------
    lonely : bool [P], whether nobody else is around for long, so that being near is enough.
    """
    follower = np.full(people, -1, dtype=np.int64)
    limit = np.where(lonely[pairs.before], max_distance, max(_LIMIT[0], _LIMIT[1] * usual))
    rivals = pairs.cost <= _CLEAR * limit
    near = (pairs.cost <= limit)[rivals]
    before, after, cost = pairs.where(rivals)
    sure = near & (_CLEAR * cost <= np.minimum(_rival(cost, before), _rival(cost, after)))
    follower[before[sure]] = after[sure]
    return follower


def alone(count: Array, frames: int) -> Array:
    """Whether no frame up to so many before and after has more than one person, bool [F]."""
    crowded, here = np.concatenate([[0], np.cumsum(count > 1)]), np.arange(len(count))
    return np.asarray(crowded[np.minimum(here + frames + 1, len(count))] == crowded[np.maximum(here - frames, 0)])


def _rival(cost: Array, group: Array) -> Array:
    """The least cost of the others in each one's group, [N]; inf where there are none."""
    found = np.full(len(cost), np.inf)
    if not len(cost):
        return found
    several = np.flatnonzero(np.bincount(group)[group] > 1)
    order = several[np.lexsort((cost[several], group[several]))]
    first = np.flatnonzero(np.diff(group[order], prepend=-1))  # the least cost of each group
    least = np.repeat(cost[order[first]], np.diff(first, append=len(order)))
    found[order] = least
    found[order[first]] = cost[order[first + 1]]
    return found
