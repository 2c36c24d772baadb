"""Linking: finds pairs of detections in adjacent frames that are certainly the same person."""

from typing import NamedTuple

import numpy as np

from skelemo.tracking.features import MAX_DISTANCE, MAX_GAP, Array, Features, batches, distance_between, nearest, ragged

# Tuned on simulated crossings with every fifth or second detection removed, at 30, 10 and 3 frames per second.
_LIMIT = (0.05, 1.7)  # maximum distance of a link: in sizes, or in typical moves
_CLEAR = 1.5  # minimum ratio of the next best candidate's distance
SAME = 0.15  # distance, in sizes, up to which skeletons of one frame may belong to one person


class Pairs(NamedTuple):
    """Nearby people in adjacent frames, sorted by ``before``."""

    before: Array  # int64 [N], rows
    after: Array  # int64 [N], rows
    cost: Array  # float [N], distance in sizes

    def where(self, mask: Array) -> "Pairs":
        """Select pairs."""
        return Pairs(*(column[mask] for column in self))


def neighbors(features: Features, start: Array, time: Array) -> Pairs:
    """Pairs of adjacent frames, at most two typical steps apart, up to a distance of `MAX_DISTANCE`."""
    count = np.diff(start)
    pairs = np.where(np.diff(time) <= 2, count[:-1] * count[1:], 0)
    found = [Pairs(np.zeros(0, np.int64), np.zeros(0, np.int64), np.zeros(0))]
    for frames in batches(pairs):
        frame, index = ragged(frames, pairs[frames])
        before, after = start[frame] + index // count[frame + 1], start[frame + 1] + index % count[frame + 1]
        cost = distance_between(features, before, after, MAX_DISTANCE)
        near = Pairs(before, after, cost).where(cost <= MAX_DISTANCE)
        found.append(near.where(nearest(near.before, near.cost)))
    return Pairs(*(np.concatenate(column) for column in zip(*found, strict=True)))


def usual_move(pairs: Pairs) -> float:
    """Median move from frame to frame, in sizes."""
    if not len(pairs.cost):
        return 0.0
    return float(np.median(np.minimum.reduceat(pairs.cost, np.flatnonzero(np.diff(pairs.before, prepend=-1)))))


def fragments(features: Features, keypoints: Array, pairs: Pairs, usual: float) -> Array:
    """Detections that are fragments of a person with a more confident one in the same frame, bool [P].

    Two detections are fragments of one person if both match one skeleton of an adjacent frame and share no feature.
    """
    found = np.zeros(len(keypoints), bool)
    near = pairs.cost <= max(SAME, _LIMIT[1] * usual)
    for whole, piece in ((pairs.before[near], pairs.after[near]), (pairs.after[near], pairs.before[near])):
        several = np.flatnonzero(np.bincount(whole)[whole] > 1) if len(whole) else whole
        order = several[np.lexsort((piece[several], whole[several]))]
        whole, piece = whole[order], piece[order]
        same = np.flatnonzero(whole[1:] == whole[:-1])  # adjacent fragments of one skeleton
        one, other = piece[same], piece[same + 1]
        apart = ~(features.seen[one] & features.seen[other]).any(axis=1)
        found[fainter(keypoints, one[apart], other[apart])] = True
    return found


def fainter(keypoints: Array, one: Array, other: Array) -> Array:
    """The row of lower total confidence of each pair, [N]."""
    return np.where(keypoints[one, :, 2].sum(axis=1) < keypoints[other, :, 2].sum(axis=1), one, other)


def link(people: int, pairs: Pairs, lonely: Array, usual: float) -> Array:
    """The row that certainly continues each row in the next frame, int64 [P]; -1 for none.

    Parameters
    ----------
    lonely : bool [P], isolated detections, for which only the maximum distance applies.
    """
    follower = np.full(people, -1, dtype=np.int64)
    limit = np.where(lonely[pairs.before], MAX_DISTANCE, max(_LIMIT[0], _LIMIT[1] * usual))
    rivals = pairs.cost <= _CLEAR * limit
    near = (pairs.cost <= limit)[rivals]
    before, after, cost = pairs.where(rivals)
    sure = near & (_CLEAR * cost <= np.minimum(_rival(cost, before), _rival(cost, after)))
    follower[before[sure]] = after[sure]
    return follower


def alone(count: Array) -> Array:
    """Whether no frame within `MAX_GAP` before or after has more than one person, bool [F]."""
    crowded, here = np.concatenate([[0], np.cumsum(count > 1)]), np.arange(len(count))
    return np.asarray(crowded[np.minimum(here + MAX_GAP + 1, len(count))] == crowded[np.maximum(here - MAX_GAP, 0)])


def _rival(cost: Array, group: Array) -> Array:
    """The least cost among the others of the same group, [N]; inf if there are none."""
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
