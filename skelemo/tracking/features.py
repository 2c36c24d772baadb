"""Features for tracking: positions and sizes of people, and distances between them."""

from collections.abc import Iterator
from dataclasses import dataclass
from functools import cache
from itertools import combinations, pairwise
from typing import Any

import numpy as np
from numpy.typing import NDArray

from skelemo.skeleton import BODY_25, FACE_70, HAND_LEFT, HAND_RIGHT, PARTS, layout

Array = NDArray[Any]

COMMON = 2  # features that two people must share to be comparable
MAX_GAP = 30  # longest absence of a person, in frames of the recording's typical step
MAX_DISTANCE = 0.6  # largest distance from the expected position, averaged over common features, in a person's sizes

_ROWS = 256  # people at a time, so that temporary arrays stay in the CPU cache
_PAIRS = 4096  # pairs at a time, for the same reason
_CROWD = 32  # candidates kept per person

# First points of groups that are compared by their mean, because points of a face or hand move together.
_GROUPS = {FACE_70.name: (0, 9, 17, 22, 27, 36, 42, 48, 68), HAND_LEFT.name: (0,), HAND_RIGHT.name: (0,)}

# Limbs of BODY_25 and their length relative to a standing person, to estimate the size of partly occluded people.
_LIMBS = {
    **{("Neck", "MidHip"): 0.5, ("Neck", "Nose"): 0.19, ("RShoulder", "RElbow"): 0.3, ("RElbow", "RWrist"): 0.26},
    **{("LShoulder", "LElbow"): 0.3, ("LElbow", "LWrist"): 0.26, ("RHip", "RKnee"): 0.41, ("RKnee", "RAnkle"): 0.42},
    **{("LHip", "LKnee"): 0.41, ("LKnee", "LAnkle"): 0.42},
}
_LIMB_ENDS = np.array([[BODY_25.index(joint) for joint in limb] for limb in _LIMBS]).T
_LIMB_LENGTHS = np.array(list(_LIMBS.values()), dtype=np.float32)[:, None]


@dataclass(frozen=True)
class Features:
    """Body joints and means of groups of points; the axis of x and y comes first, which is faster."""

    at: Array  # float32 [2, P, A]
    seen: Array  # bool [P, A]
    low: Array  # float32 [2, P], corners of the bounding box
    high: Array
    size: Array  # float32 [P], root of the bounding box's area, or the size implied by two limbs if larger

    def rows(self, rows: Array) -> tuple[Array, Array]:
        """Positions and visibility of some people, for `distance`."""
        return self.at[:, rows], self.seen[rows]


def features_of(keypoints: Array) -> Features:
    """Features of people ``[P, V, 3]`` in any layout; missing points are 0, 0, 0."""
    people, points = keypoints.shape[:2]
    begins, has_body = _begins(points), BODY_25.name in _parts(points)
    at, seen = np.empty((2, people, len(begins)), np.float32), np.empty((people, len(begins)), bool)
    low, high = np.empty((2, 2, people), np.float32)
    size = np.empty(people, np.float32)
    for start in range(0, people, _ROWS):
        rows = slice(start, start + _ROWS)
        mean, known = _means(keypoints[rows], begins)
        at[:, rows], seen[rows] = mean.transpose(0, 2, 1), known.T
        low[:, rows] = np.where(known, mean, np.inf).min(axis=1)
        high[:, rows] = np.where(known, mean, -np.inf).max(axis=1)
        size[rows] = _size_of_box(low[:, rows], high[:, rows])
        if has_body:
            size[rows] = np.maximum(size[rows], _size_by_limbs(mean, known))
    usual = np.median(size[size > 0]) if (size > 0).any() else 1.0
    return Features(at, seen, low, high, np.where(size > 0, size, usual))


def _means(keypoints: Array, begins: list[int]) -> tuple[Array, Array]:
    """Features [2, A, P] and their visibility [A, P]; people are the last axis, so that contiguous rows are added."""
    axes = keypoints.transpose(2, 1, 0).copy()  # [3, V, P]
    axes[2] = axes[2] > 0
    total = np.empty((3, len(begins), len(keypoints)), np.float32)
    for feature, (begin, end) in enumerate(pairwise([*begins, axes.shape[1]])):
        np.add.reduce(axes[:, begin:end], axis=1, out=total[:, feature])
    return total[:2] / np.maximum(total[2], 1), total[2] > 0


def _size_of_box(low: Array, high: Array) -> Array:
    """Root of the area, or 0.4 of the longer side for a thin box, [P]."""
    width, height = np.maximum(high - low, 0)  # an empty box has size 0
    return np.asarray(np.maximum(np.sqrt(width * height), 0.4 * np.maximum(width, height)))


def _size_by_limbs(at: Array, seen: Array) -> Array:
    """Second largest size implied by a limb, [P], because the largest may be due to a misplaced joint."""
    first, second = _LIMB_ENDS
    x, y = at[:, first] - at[:, second]
    sizes = np.where(seen[first] & seen[second], np.sqrt(x * x + y * y) / _LIMB_LENGTHS, 0)
    return np.asarray(np.partition(sizes, -2, axis=0)[-2])


@cache
def _parts(points: int) -> dict[str, slice]:
    """Slices by part of the layout with this number of points; empty for an unknown layout."""
    bodies = [word for word in PARTS if layout(word).body]
    others = [word for word in ("face_70", "hand_21x2") if len(layout(word)) < points]
    for body in (BODY_25.name, "", *bodies):
        for count in range(len(others) + 1):
            for words in combinations(others, count):
                known = layout("+".join(filter(None, (body, *words)))) if body or words else None
                if known and len(known) == points:
                    return known.slices
    return {}


@cache
def _begins(points: int) -> list[int]:
    """First points of the features in the layout with this number of points; all points of an unknown layout."""
    parts = _parts(points) or {"": slice(0, points)}
    groups = ((where, _GROUPS.get(name, range(where.stop - where.start))) for name, where in parts.items())
    return [where.start + begin for where, group in groups for begin in group]


def distance(one: tuple[Array, Array], other: tuple[Array, Array], size: Array) -> Array:
    """Mean distance [N], in sizes, over common features [2, N, A], each clipped to 1; inf for too few of them."""
    both = one[1] & other[1]
    x, y = one[0] - other[0]
    far = np.minimum(np.sqrt(x * x + y * y) / size[..., None], 1.0)
    count = both.sum(axis=-1)
    return np.where(count >= COMMON, (far * both).sum(axis=-1) / np.maximum(count, 1), np.inf)


def distance_between(features: Features, one: Array, other: Array, max_distance: float) -> Array:
    """`distance` [N] between rows of the same features; inf beyond ``max_distance``, tested first by bounding boxes."""
    size = np.maximum(features.size[one], features.size[other])
    low, high = features.low, features.high
    gap = np.maximum(low[:, other] - high[:, one], low[:, one] - high[:, other]).max(axis=0)
    found = np.full(len(one), np.inf)
    touching = np.flatnonzero(gap <= max_distance * size)
    for begin in range(0, len(touching), 4 * _PAIRS):  # a crowd has a quarter of a million pairs per frame
        block = touching[begin : begin + 4 * _PAIRS]
        cost = distance(features.rows(one[block]), features.rows(other[block]), size[block])
        found[block] = np.where(cost <= max_distance, cost, np.inf)
    return found


def nearest(group: Array, cost: Array) -> Array:
    """Whether each pair is among the cheapest `_CROWD` of its group, bool [N]."""
    sizes = np.bincount(group - group.min()) if len(group) else np.zeros(1, np.int64)
    if sizes.max() <= _CROWD:
        return np.ones(len(group), bool)
    order = np.lexsort((cost, group))
    rank = np.arange(len(group)) - np.repeat(np.cumsum(sizes) - sizes, sizes)
    kept = np.zeros(len(group), bool)
    kept[order[rank < _CROWD]] = True
    return kept


def batches(counts: Array) -> Iterator[Array]:
    """Indices with counts above 0, in batches of about _PAIRS in total."""
    some = np.flatnonzero(counts)
    if len(some):
        yield from np.split(some, np.flatnonzero(np.diff(np.cumsum(counts[some]) // _PAIRS)) + 1)


def ragged(indices: Array, counts: Array) -> tuple[Array, Array]:
    """Each index repeated by its count, and its repetition number 0, 1, ..."""
    ends = np.cumsum(counts)
    return np.repeat(indices, counts), np.arange(ends[-1]) - np.repeat(ends - counts, counts)
