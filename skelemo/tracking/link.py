"""Link: people of neighboring frames who are surely the same."""

from typing import Any

import numpy as np
from numpy.typing import NDArray

from skelemo.tracking.features import Marks, boxes_apart, distance
from skelemo.tracking.pairs import batches, ragged

Array = NDArray[Any]

# Set on simulated crossings with every fifth or second detection taken away, at 30, 10 and 3 frames a second.
_LIMIT = (0.05, 1.7)  # linked are people no farther apart than so many sizes, or so many times the usual move
_CLEAR = 1.5  # how many times farther the next best candidate must be


def link(marks: Marks, start: Array, time: Array, max_gap: int, max_distance: float) -> tuple[Array, float]:
    """The row that surely follows each row in the next frame, [P], else -1; and how far people usually move.

    Somebody who is alone for long needs only to be near.
    """
    follower = np.full(len(marks.size), -1, dtype=np.int64)
    frame, before, after, cost = _neighbors(marks, start, time, max_distance)
    if not len(frame):
        return follower, 0.0
    usual = float(np.median(np.minimum.reduceat(cost, np.flatnonzero(np.diff(before, prepend=-1)))))
    alone = _alone(np.diff(start), max_gap)
    limit = np.where(alone[frame], max_distance, max(_LIMIT[0], _LIMIT[1] * usual))
    rivals = cost <= _CLEAR * limit
    before, after, cost, near = before[rivals], after[rivals], cost[rivals], (cost <= limit)[rivals]
    sure = near & (_CLEAR * cost <= np.minimum(_rival(cost, before), _rival(cost, after)))
    follower[before[sure]] = after[sure]
    return follower, usual


def _alone(count: Array, frames: int) -> Array:
    """Whether in no frame up to so many before and after there is more than one person, bool [F]."""
    crowded, here = np.concatenate([[0], np.cumsum(count > 1)]), np.arange(len(count))
    return np.asarray(crowded[np.minimum(here + frames + 1, len(count))] == crowded[np.maximum(here - frames, 0)])


def _neighbors(marks: Marks, start: Array, time: Array, max_distance: float) -> tuple[Array, Array, Array, Array]:
    """Pairs of people of neighboring frames who are near: frame, row, row of the next frame, and distance; by row."""
    count = np.diff(start)
    pairs = np.where(np.diff(time) <= 2, count[:-1] * count[1:], 0)
    found = [(np.zeros(0, np.int64), np.zeros(0, np.int64), np.zeros(0, np.int64), np.zeros(0))]
    for frames in batches(pairs):
        frame, place = ragged(frames, pairs[frames])
        before, after = start[frame] + place // count[frame + 1], start[frame + 1] + place % count[frame + 1]
        size = np.maximum(marks.size[before], marks.size[after])
        touching = boxes_apart(marks, before, after) <= max_distance * size
        frame, before, after, size = (each[touching] for each in (frame, before, after, size))
        one, other = ((marks.at[:, rows], marks.seen[rows]) for rows in (before, after))
        cost = distance(one, other, size)
        near = cost <= max_distance
        found.append((frame[near], before[near], after[near], cost[near]))
    frame, before, after, cost = (np.concatenate(column) for column in zip(*found, strict=True))
    return frame, before, after, cost


def _rival(cost: Array, group: Array) -> Array:
    """The least cost of the others in each one's group, [N]; inf where there are none."""
    found = np.full(len(cost), np.inf)
    several = np.flatnonzero(np.bincount(group)[group] > 1)
    order = several[np.lexsort((cost[several], group[several]))]
    first = np.flatnonzero(np.diff(group[order], prepend=-1))  # of each group, the one of least cost
    least = np.repeat(cost[order[first]], np.diff(first, append=len(order)))
    found[order] = least
    found[order[first]] = cost[order[first + 1]]
    return found
