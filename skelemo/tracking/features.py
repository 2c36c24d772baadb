"""Marks: where people are, how large, and how far from one another."""

from dataclasses import dataclass
from functools import cache
from itertools import combinations, pairwise
from typing import Any

import numpy as np
from numpy.typing import NDArray

from skelemo.skeleton import BODY_25, FACE_70, HAND_LEFT, HAND_RIGHT, PARTS, layout

Array = NDArray[Any]

COMMON = 2  # points that must be seen of both to compare them

# People at a time: temporary arrays then stay in the processor's cache.
_ROWS = 256

# Where runs of points begin that are compared by their mean: those of a face or a hand tell little more than it.
_RUNS = {FACE_70.name: (0, 9, 17, 22, 27, 36, 42, 48, 68), HAND_LEFT.name: (0,), HAND_RIGHT.name: (0,)}

# Limbs of BODY_25 and how long they are in sizes of a standing person: they tell the size of one who is partly hidden.
_LIMBS = {
    **{("Neck", "MidHip"): 0.5, ("Neck", "Nose"): 0.19, ("RShoulder", "RElbow"): 0.3, ("RElbow", "RWrist"): 0.26},
    **{("LShoulder", "LElbow"): 0.3, ("LElbow", "LWrist"): 0.26, ("RHip", "RKnee"): 0.41, ("RKnee", "RAnkle"): 0.42},
    **{("LHip", "LKnee"): 0.41, ("LKnee", "LAnkle"): 0.42},
}
_LIMB_ENDS = np.array([[BODY_25.index(joint) for joint in limb] for limb in _LIMBS]).T
_LIMB_LENGTHS = np.array(list(_LIMBS.values()), dtype=np.float32)[:, None]


@dataclass(frozen=True)
class Marks:
    """Where people are: joints, and the means of runs of points. The axis of x and y comes first: it is faster so."""

    at: Array  # float32 [2, P, A]
    seen: Array  # bool [P, A]
    low: Array  # float32 [2, P], corners of the box around all that is seen
    high: Array
    size: Array  # float32 [P], root of the area of the box, or what two limbs say that it would be if all was seen


def marks_of(keypoints: Array) -> Marks:
    """The marks of people [P, V, 3] in any layout; missing points are 0, 0, 0."""
    people, points = keypoints.shape[:2]
    begins, has_body = _begins(points), BODY_25.name in _parts(points)
    at, seen = np.empty((2, people, len(begins)), np.float32), np.empty((people, len(begins)), bool)
    low, high = np.empty((2, 2, people), np.float32)
    size = np.empty(people, np.float32)
    for start in range(0, people, _ROWS):
        rows = slice(start, start + _ROWS)
        mean, known = _means(keypoints[rows], begins)
        at[:, rows], seen[rows] = mean.transpose(0, 2, 1), known.T
        low[:, rows], high[:, rows] = _corners(mean, known)
        size[rows] = _size_of_box(low[:, rows], high[:, rows])
        if has_body:
            size[rows] = np.maximum(size[rows], _size_by_limbs(mean, known))
    usual = np.median(size[size > 0]) if (size > 0).any() else 1.0
    return Marks(at, seen, low, high, np.where(size > 0, size, usual))


def _means(keypoints: Array, begins: list[int]) -> tuple[Array, Array]:
    """Where the marks are, [2, A, P], and whether any of their points is seen, [A, P]: people last, to add by rows."""
    axes = keypoints.transpose(2, 1, 0).copy()  # [3, V, P]
    axes[2] = axes[2] > 0
    total = np.empty((3, len(begins), len(keypoints)), np.float32)
    for mark, (begin, end) in enumerate(pairwise([*begins, axes.shape[1]])):
        np.add.reduce(axes[:, begin:end], axis=1, out=total[:, mark])
    return total[:2] / np.maximum(total[2], 1), total[2] > 0


def _corners(at: Array, seen: Array) -> tuple[Array, Array]:
    return np.where(seen, at, np.inf).min(axis=1), np.where(seen, at, -np.inf).max(axis=1)


def _size_of_box(low: Array, high: Array) -> Array:
    """The root of its area, or of a thin one part of its length, [P]."""
    width, height = np.maximum(high - low, 0)  # of nobody: 0
    return np.asarray(np.maximum(np.sqrt(width * height), 0.4 * np.maximum(width, height)))


def _size_by_limbs(at: Array, seen: Array) -> Array:
    """The second largest size that a limb speaks for, [P]: the largest may end in a joint found elsewhere."""
    one, other = _LIMB_ENDS
    x, y = at[:, one] - at[:, other]
    sizes = np.where(seen[one] & seen[other], np.sqrt(x * x + y * y) / _LIMB_LENGTHS, 0)
    return np.asarray(np.partition(sizes, -2, axis=0)[-2])


@cache
def _parts(points: int) -> dict[str, slice]:
    """The parts of the layout that has so many points, and where they lie; of an unknown one, none."""
    for count in range(1, len(PARTS) + 1):
        for words in combinations(PARTS, count):
            known = layout("+".join(words))
            if len(known) == points:
                return known.slices
    return {}


@cache
def _begins(points: int) -> list[int]:
    """Where the marks begin in the layout of that many points; in an unknown one every point is a mark."""
    parts = _parts(points) or {"": slice(0, points)}
    runs = ((where, _RUNS.get(name, range(where.stop - where.start))) for name, where in parts.items())
    return [where.start + begin for where, run in runs for begin in run]


def distance(one: tuple[Array, Array], other: tuple[Array, Array], size: Array) -> Array:
    """Mean distance [N] in sizes of marks [2, N, A] that both show, each 1 at most; inf where too few are common."""
    both = one[1] & other[1]
    x, y = one[0] - other[0]
    far = np.minimum(np.sqrt(x * x + y * y) / size[:, None], 1.0)
    count = both.sum(axis=1)
    return np.where(count >= COMMON, (far * both).sum(axis=1) / np.maximum(count, 1), np.inf)


def boxes_apart(marks: Marks, before: Array, after: Array) -> Array:
    """How far apart the boxes of people are, [N]: no two points of theirs are nearer."""
    gap = np.maximum(marks.low[:, after] - marks.high[:, before], marks.low[:, before] - marks.high[:, after])
    return np.asarray(gap.max(axis=0))
