"""Weaving: joins pieces of one person that alternate in time, or overlap where the person was detected twice."""

from dataclasses import dataclass

import numpy as np

from skelemo.tracking.features import COMMON, MAX_GAP, Array, Features, distance_between
from skelemo.tracking.link import SAME, Pairs, fainter
from skelemo.tracking.stitch import Pieces

_FEW = 3  # consecutive frames in which two detections need not coincide, only be near each other
_PASSES = 20
_CANDIDATES = 2048  # per pass, those of least cost


@dataclass(frozen=True)
class Detections:
    """Detections and limits for joining pieces."""

    features: Features
    keypoints: Array
    time: Array  # float [P], of each row, in typical steps
    known: Array  # bool [P], rows that may be joined to others but not to one another
    usual: float  # median move from frame to frame, in sizes
    limit: float  # largest move, in sizes


def weave(detections: Detections, pieces: Pieces, pairs: Pairs) -> Pieces:
    """Join pieces of the same person that continue one another.

    Two pieces are joined if they have few common frames, every step from one to the other is as short as a person's
    move, and detections in common frames coincide or show different joints. The more confident of two such detections
    is kept, unless only the other fits; the rest becomes a separate piece.

    Parameters
    ----------
    pairs : of adjacent frames, the candidates.
    """
    for _ in range(_PASSES):
        label = _one_pass(detections, pieces, pairs)
        if label is None:
            break
        pieces = Pieces.grouped(label)
    return pieces


def _one_pass(detections: Detections, pieces: Pieces, pairs: Pairs) -> Array | None:
    """Labels of all rows after one pass, which joins each piece at most once; None if no pieces were joined."""
    label, rows = pieces.label, list(pieces)
    following, changed = len(rows), set[int]()
    for one, other in _candidates(detections, label, pieces, pairs):
        if one in changed or other in changed:
            continue
        joined = _joined(detections, rows[one], rows[other])
        if joined is not None:
            kept, left = joined
            label[kept], label[left] = one, following
            following += 1
            changed |= {one, other}
    return label if changed else None


def _candidates(detections: Detections, label: Array, pieces: Pieces, pairs: Pairs) -> list[tuple[int, int]]:
    """Pairs of pieces that continue one another in any frame, by increasing cost."""
    one, other = label[pairs.before], label[pairs.after]
    near = (one != other) & (pairs.cost <= detections.limit)
    one, other, cost = one[near], other[near], pairs.cost[near]
    one, other = np.minimum(one, other), np.maximum(one, other)
    length, time = np.diff(pieces.bounds), detections.time[pieces.order]
    first, last = time[pieces.bounds[:-1]], time[pieces.bounds[1:] - 1]
    span = np.maximum(last[one], last[other]) - np.minimum(first[one], first[other]) + 1
    roomy = np.maximum(length[one], length[other]) < span  # otherwise the shorter has no frame of its own
    one, other, cost = one[roomy], other[roomy], cost[roomy]
    order = np.argsort(cost, kind="stable")
    return list(dict.fromkeys(zip(one[order].tolist(), other[order].tolist(), strict=True)))[:_CANDIDATES]


def _joined(detections: Detections, one: Array, other: Array) -> tuple[Array, Array] | None:
    """Joined rows of two pieces, and the remaining ones; None if they are not the same person."""
    features, time = detections.features, detections.time
    _, in_one, in_other = np.intersect1d(time[one], time[other], assume_unique=True, return_indices=True)
    first, second = one[in_one], other[in_other]  # in common frames
    known = detections.known[one].any(), detections.known[other].any()
    if all(known) or (any(known) and len(first)):
        return None
    apart = _apart(features, first, second)
    brief = _brief(time[first]) & (2 * len(first) < min(len(one), len(other)))
    if (apart > np.where(brief, detections.limit, SAME)).any():
        return None
    both = np.concatenate([one, other])
    left = np.where(apart > SAME, [first, second], fainter(detections.keypoints, first, second))
    kept = np.setdiff1d(both, left)
    kept = kept[np.argsort(time[kept], kind="stable")]
    for pair in zip(first[apart > SAME], second[apart > SAME], strict=True):
        at = int(np.searchsorted(time[kept], time[pair[0]]))
        kept = np.insert(kept, at, _fitting(features, pair, kept[max(0, at - 1) : at + 1]))
    changes = np.flatnonzero(np.diff(np.isin(kept, one)))
    before, after = kept[changes], kept[changes + 1]
    steps = time[after] - time[before]
    moved = distance_between(features, before, after, np.inf)
    if not len(changes) or (steps > MAX_GAP + 1).any():
        return None
    if (moved > detections.limit + detections.usual * np.maximum(steps - 1, 0)).any():
        return None
    return kept, np.setdiff1d(both, kept)


def _apart(features: Features, first: Array, second: Array) -> Array:
    """Distance of two detections of each frame, [N]; 0 for fragments of one person, without common features."""
    comparable = (features.seen[first] & features.seen[second]).sum(axis=1) >= COMMON
    return np.where(comparable, distance_between(features, first, second, np.inf), 0)


def _brief(time: Array) -> Array:
    """Whether each frame belongs to a run of at most _FEW, bool [N]."""
    run = np.cumsum(np.diff(time, prepend=-np.inf) > 1)
    return np.asarray(np.bincount(run)[run] <= _FEW) if len(time) else np.zeros(0, bool)


def _fitting(features: Features, pair: tuple[int, int], around: Array) -> int:
    """The one of two detections that is nearer to the detections before and after."""
    costs = [(distance_between(features, np.full(len(around), row), around, np.inf) ** 2).sum() for row in pair]
    return pair[int(np.argmin(costs))]
