"""Stitching: joins pieces of a person's track across occlusions and missed detections."""

from collections.abc import Iterator
from dataclasses import dataclass
from itertools import pairwise

import numpy as np

from skelemo.tracking.features import COMMON, Array, Features, batches, distance, nearest, ragged

_STAY = 0.1  # cost, in sizes, of stopping instead of moving on
_MEMORY = 8  # detections at either end of a piece that determine its position and velocity
_HORIZON = 15.0  # frames of extrapolated motion


@dataclass(frozen=True)
class Pieces:
    """Rows of the same person: piece i is order[bounds[i]:bounds[i + 1]], in temporal order."""

    order: Array
    bounds: Array

    @classmethod
    def of(cls, follower: Array) -> "Pieces":
        """Pieces from the row that follows each row, -1 for none."""
        rows = np.flatnonzero(follower >= 0)
        return cls.grouped(_chains(len(follower), rows, follower[rows]))

    @classmethod
    def grouped(cls, label: Array) -> "Pieces":
        """Pieces from a label of each row."""
        order = np.argsort(label, kind="stable")
        bounds = np.flatnonzero(np.diff(label[order], prepend=-1, append=-1))
        return cls(order, bounds)

    @property
    def label(self) -> Array:
        """The piece of each row, int64 [P]."""
        label = np.empty(len(self.order), dtype=np.int64)
        label[self.order] = np.repeat(np.arange(len(self.bounds) - 1), np.diff(self.bounds))
        return label

    def joined(self, one: Array, other: Array) -> "Pieces":
        """The pieces after those of `other` are appended to those of `one`."""
        return self.grouped(_chains(len(self.bounds) - 1, one, other)[self.label])

    def ends(self, *, last: bool) -> Array:
        """Up to _MEMORY rows at one end of every piece, outermost first, padded: [pieces, _MEMORY]."""
        first, stop, inwards = self.bounds[:-1, None], self.bounds[1:, None], np.arange(_MEMORY)
        index = np.maximum(stop - 1 - inwards, first) if last else np.minimum(first + inwards, stop - 1)
        return np.asarray(self.order[index])

    def __iter__(self) -> Iterator[Array]:
        return (self.order[first:stop] for first, stop in pairwise(self.bounds.tolist()))


def _chains(count: int, one: Array, other: Array) -> Array:
    """Chain labels of `count` items, where items of `other` follow items of `one`, each at most once.

    Chains are numbered in the order of their first items.
    """
    head = np.arange(count)
    head[other] = one
    while not np.array_equal(further := head[head], head):  # doubles the reach each time
        head = further
    first = np.full(count, count)
    np.minimum.at(first, head, np.arange(count))
    return np.asarray(np.unique(first[head], return_inverse=True)[1])


@dataclass(frozen=True)
class _Ends:
    """One end of every piece: last positions of its features, and velocity."""

    at: Array  # [2, N, A], extrapolated to `time`
    seen: Array  # bool [N, A]
    size: Array  # [N]
    time: Array  # [N]
    velocity: Array  # [2, N] per frame
    steady: Array  # bool [N], whether the piece is long enough to have a velocity


def _ends(features: Features, time: Array, rows: Array) -> _Ends:
    """Ends from rows [N, _MEMORY], outermost first."""
    when, outer, inner = time[rows], rows[:, 0], rows[:, -1]
    both = features.seen[outer] & features.seen[inner]
    span, common = when[:, 0] - when[:, -1], both.sum(axis=1)
    steady = (np.abs(span) >= 3) & (common >= COMMON)
    moved = ((features.at[:, outer] - features.at[:, inner]) * both).sum(axis=2)
    velocity = np.where(steady, moved / np.where(steady, span * common, 1), 0)
    seen = features.seen[rows]  # [N, M, A]
    latest = np.take_along_axis(rows, seen.argmax(axis=1), axis=1)  # [N, A]
    age = when[:, :1] - time[latest]
    at = features.at[:, latest, np.arange(seen.shape[2])] + velocity[..., None] * age
    return _Ends(at, np.any(seen, axis=1), np.median(features.size[rows], axis=1), when[:, 0], velocity, steady)


def bridge(
    features: Features, pieces: Pieces, time: Array, max_gap: int, max_distance: float, second: Array
) -> tuple[Array, Array]:
    """Pieces and their continuations by minimum-cost assignment.

    Parameters
    ----------
    time : of each row, [P].
    second : bool [P], rows that are not joined.
    """
    tail, head = (_ends(features, time, pieces.ends(last=last)) for last in (True, False))
    open_ = ~second[pieces.order[pieces.bounds[:-1]]]
    by_start = np.flatnonzero(open_)[np.argsort(head.time[open_], kind="stable")]
    starts = head.time[by_start]
    first = np.searchsorted(starts, tail.time, side="right")
    stop = np.searchsorted(starts, tail.time + max_gap + 1 + 1e-6, side="right")  # rounding of times
    pairs = np.where(open_, stop - first, 0)
    found = [(np.zeros(0, np.int64), np.zeros(0, np.int64), np.zeros(0))]
    for batch in batches(pairs):
        before, index = ragged(batch, pairs[batch])
        after = by_start[first[before] + index]
        cost = _cost(tail, head, before, after)
        near = np.flatnonzero(cost <= max_distance)
        near = near[nearest(before[near], cost[near])]
        found.append((before[near], after[near], cost[near]))
    before, after, cost = (np.concatenate(column) for column in zip(*found, strict=True))
    return _match(before, after, cost, max_distance)


def _cost(tail: _Ends, head: _Ends, before: Array, after: Array) -> Array:
    """Distance of `after` from the extrapolation of `before` at their mean velocity, or from its end; [N]."""
    size = np.maximum(tail.size[before], head.size[after])
    both = tail.velocity[:, before] + head.velocity[:, after]  # 0 where unsteady
    velocity = both / np.maximum(tail.steady[before].astype(np.int8) + head.steady[after], 1)
    moved = velocity * np.minimum(head.time[after] - tail.time[before], _HORIZON)
    start = (head.at[:, after], head.seen[after])
    extrapolated = distance((tail.at[:, before] + moved[..., None], tail.seen[before]), start, size)
    stayed = distance((tail.at[:, before], tail.seen[before]), start, size)
    return np.asarray(np.minimum(extrapolated, stayed + _STAY))


def _match(before: Array, after: Array, cost: Array, alone: float) -> tuple[Array, Array]:
    """Pairs of the minimum-cost assignment, in which no partner costs `alone`."""
    if not len(before):
        return before, after
    only = (np.bincount(before)[before] == 1) & (np.bincount(after)[after] == 1)
    if only.all():
        return before, after
    one, other = _assign(before[~only], after[~only], cost[~only], alone)
    return np.concatenate([before[only], one]), np.concatenate([after[only], other])


def _assign(before: Array, after: Array, cost: Array, alone: float) -> tuple[Array, Array]:
    """As `_match`. scipy needs a partner for every row, so an extra column for each represents none."""
    # Imported only when people cross, because the import is a third of a worker's startup time.
    from scipy.sparse import csr_array
    from scipy.sparse.csgraph import min_weight_full_bipartite_matching

    rows, row = np.unique(before, return_inverse=True)
    columns, column = np.unique(after, return_inverse=True)
    self = np.arange(len(rows))
    weights = np.concatenate([cost, np.full(len(rows), alone)]) + 1e-6  # a weight of 0 would not be an edge
    indices = (np.concatenate([row, self]), np.concatenate([column, len(columns) + self]))
    edges = csr_array((weights, indices), shape=(len(rows), len(columns) + len(rows)))
    one, other = min_weight_full_bipartite_matching(edges)
    paired = other < len(columns)
    return rows[one[paired]], columns[other[paired]]
