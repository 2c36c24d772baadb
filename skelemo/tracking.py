"""People to tracks: who is who from frame to frame, for OpenPose's order of people means nothing.

Two steps, each over the whole recording at once. *Link*: people of neighbouring frames who are close together for
their size, and clearly closer than anybody else, are the same. *Bridge*: the pieces that this leaves, where people came
close, were hidden or got lost, are joined by assignments of least total cost (scipy's) of ends to beginnings, each
expected to move on as it did: first what is nearly certain, then, with longer pieces to judge by, what is less so.
"""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from functools import cache
from itertools import combinations, pairwise
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray
from scipy.ndimage import maximum_filter1d
from scipy.sparse import csr_array
from scipy.sparse.csgraph import connected_components, min_weight_full_bipartite_matching

from skelemo.errors import unknown
from skelemo.skeleton import FACE_70, HAND_LEFT, HAND_RIGHT, PARTS, layout

if TYPE_CHECKING:
    from skelemo.openpose.people import People

Array = NDArray[Any]

PERSONS = ("auto", "largest", "left", "right", "all")

# Set on simulated crossings with every fifth or second detection taken away, at 30, 10 and 3 frames a second. Distances
# are in people's sizes; `usual` is how far a person of the recording moves from frame to frame.
_LINK = (0.05, 1.7)  # linked are people no farther apart than this, or than this times the usual
_CLEAR = 1.5  # how many times farther the next best candidate must be
_STAGES = ((2, 0.1, 3.0), (4, 0.2, 4.0), (12, 0.3, 5.0))  # bridged: frames out of sight, and distances as above
_STAY = 0.1  # what it costs to have stopped rather than gone on
_COMMON = 2  # points that must be seen of both to compare them
_MEMORY = 8  # detections at either end of a piece that tell where its points are and how they move
_HORIZON = 15.0  # frames for which a motion is expected to go on
_PAIRS = 100_000  # compared at once: bounds the memory

# Where runs of points begin that are compared by their mean: those of a face or a hand tell little more than it.
_RUNS = {FACE_70.name: (0, 9, 17, 22, 27, 36, 42, 48, 68), HAND_LEFT.name: (0,), HAND_RIGHT.name: (0,)}


@dataclass(frozen=True)
class Track:
    """One person through a recording."""

    rows: Array  # int64 [T], of People.keypoints
    frames: Array  # int64 [T], indices into People.number; increasing, gaps allowed

    def __len__(self) -> int:
        return len(self.rows)


def track(people: "People", *, max_gap: int = 30, max_distance: float = 0.6) -> list[Track]:
    """Tell the people of a recording apart; the most prominent track (frames times size) comes first.

    Every row of ``people.keypoints`` is in exactly one track.

    Parameters
    ----------
    max_gap
        Frames, in the recording's usual step, for which somebody may be out of sight and still be the same.
    max_distance
        How far somebody may be from where they are expected: mean over the points that both frames show, in units of
        the person's size, which is the root of the area of their points' box.
    """
    if not len(people.keypoints):
        return []
    marks = _marks(people.keypoints)
    frame = np.repeat(np.arange(len(people.number)), np.diff(people.start))
    time = _times(people.number)
    follower, usual = _link(marks, people.start, time, max_gap, max_distance)
    pieces = _Pieces.of(follower)
    for gap, least, moves in (*_STAGES, (max_gap, max_distance, 0.0)):
        limit = min(max(least, moves * usual), max_distance)
        pieces = pieces.joined(*_bridge(marks, pieces, time[frame], min(gap, max_gap), limit))
    tracks = [Track(rows, frame[rows]) for rows in pieces]
    return sorted(tracks, key=lambda one: -float(marks.size[one.rows].sum()))


def choose(people: "People", tracks: Sequence[Track], person: str = "auto", *, min_frames: int = 10) -> list[Track]:
    """The tracks of whoever is meant by a word of `PERSONS`.

    ``auto`` is the most prominent person (frames times size), ``largest`` the one with the largest mean box, ``left``
    and ``right`` the one on that side of the picture among the two most prominent who are seen together; where nobody
    is seen together, either is the most prominent. These are tracks that do not overlap, in order of time: while the
    chosen one is out of sight, as after a cut, the next most prominent of at least half the size and `min_frames`
    stands in. ``all`` is every track of at least `min_frames`.

    Raises
    ------
    ConfigError
        An unknown word.
    """
    if person not in PERSONS:
        raise unknown("person", person, PERSONS)
    long = [one for one in tracks if len(one) >= min(min_frames, len(people.number))]
    if person == "all":
        return long
    sizes = _marks(people.keypoints).size
    if person == "largest":
        return _in_turn(sorted(long or tracks, key=lambda one: -float(sizes[one.rows].mean())), sizes)
    prominent = sorted(long or tracks, key=lambda one: -float(sizes[one.rows].sum()))
    if person == "auto":
        return _in_turn(prominent, sizes)
    return _in_turn(_on_side(people, prominent, person), sizes)


def _in_turn(ranked: Sequence[Track], sizes: Array) -> list[Track]:
    """The first of the tracks, and of the others those that fill its gaps, by rank; in order of time."""
    chosen: list[Track] = []
    for one in ranked:
        large = not chosen or sizes[one.rows].mean() >= 0.5 * sizes[chosen[0].rows].mean()
        if large and not any(_together(one, other) for other in chosen):
            chosen.append(one)
    return sorted(chosen, key=lambda one: int(one.frames[0]))


def _together(one: Track, other: Track) -> bool:
    """Whether their times overlap."""
    return bool(one.frames[0] <= other.frames[-1] and other.frames[0] <= one.frames[-1])


def _on_side(people: "People", ranked: Sequence[Track], side: str) -> list[Track]:
    """Those of the tracks that lie on one side of the middle between the first and the next who is seen with it."""
    partner = next((one for one in ranked[1:] if _together(ranked[0], one)), None)
    if partner is None:
        return list(ranked)
    across = {id(one): _across(people, one) for one in ranked}
    middle = (across[id(ranked[0])] + across[id(partner)]) / 2
    return [one for one in ranked if (across[id(one)] < middle) == (side == "left")]


def _across(people: "People", one: Track) -> float:
    points = people.keypoints[one.rows]
    return float(points[..., 0].sum() / max(1, np.count_nonzero(points[..., 2])))


@dataclass(frozen=True)
class _Marks:
    """Where people are: joints, and the means of runs of points. The axis of x and y comes first: it is faster so."""

    at: Array  # float32 [2, P, A]
    seen: Array  # bool [P, A]
    low: Array  # float32 [2, P], corners of the box around all that is seen
    high: Array
    size: Array  # float32 [P], root of the area of the box; of a thin box, part of its length


def _marks(keypoints: Array) -> _Marks:
    begins = _begins(keypoints.shape[1])
    shown = keypoints[..., 2] > 0
    count = np.add.reduceat(shown, begins, axis=1, dtype=np.float32)
    total = [np.add.reduceat(keypoints[..., axis] * shown, begins, axis=1) for axis in (0, 1)]
    at, seen = np.stack(total) / np.maximum(count, 1), count > 0
    low, high = np.where(seen, at, np.inf).min(axis=-1), np.where(seen, at, -np.inf).max(axis=-1)
    width, height = np.maximum(high - low, 0)  # of nobody: 0
    size = np.maximum(np.sqrt(width * height), 0.4 * np.maximum(width, height))
    usual = np.median(size[size > 0]) if (size > 0).any() else 1.0
    return _Marks(at, seen, low, high, np.where(size > 0, size, usual))


@cache
def _begins(points: int) -> list[int]:
    """Where the marks begin in a layout of that many points; in an unknown one every point is a mark."""
    for count in range(1, len(PARTS) + 1):
        for words in combinations(PARTS, count):
            known = layout("+".join(words))
            if len(known) == points:
                runs = ((known.slices[part.name].start, _RUNS.get(part.name, range(len(part)))) for part in known.parts)
                return [start + begin for start, run in runs for begin in run]
    return list(range(points))


def _times(number: Array) -> Array:
    """Frame numbers in units of the recording's usual step, [F]."""
    steps = np.diff(number)
    return np.asarray(number / max(1.0, float(np.median(steps)) if len(steps) else 1.0), dtype=np.float64)


def _distance(one: tuple[Array, Array], other: tuple[Array, Array], size: Array) -> Array:
    """Mean distance [N] in sizes of marks [2, N, A] that both show, each 1 at most; inf where too few are common."""
    both = one[1] & other[1]
    x, y = one[0] - other[0]
    far = np.minimum(np.sqrt(x * x + y * y) / size[:, None], 1.0)
    count = both.sum(axis=1)
    return np.where(count >= _COMMON, (far * both).sum(axis=1) / np.maximum(count, 1), np.inf)


def _link(marks: _Marks, start: Array, time: Array, max_gap: int, max_distance: float) -> tuple[Array, float]:
    """The row that surely follows each row in the next frame, [P], else -1; and how far people usually move.

    Somebody who is alone for long needs only to be near.
    """
    follower = np.full(len(marks.size), -1, dtype=np.int64)
    frame, before, after, cost = _neighbours(marks, start, time, max_distance)
    if not len(frame):
        return follower, 0.0
    usual = float(np.median(np.minimum.reduceat(cost, np.flatnonzero(np.diff(before, prepend=-1)))))
    alone = maximum_filter1d(np.diff(start), 2 * max_gap + 1) == 1
    limit = np.where(alone[frame], max_distance, max(_LINK[0], _LINK[1] * usual))
    rivals = cost <= _CLEAR * limit
    before, after, cost, near = before[rivals], after[rivals], cost[rivals], (cost <= limit)[rivals]
    sure = near & (_CLEAR * cost <= np.minimum(_rival(cost, before), _rival(cost, after)))
    follower[before[sure]] = after[sure]
    return follower, usual


def _neighbours(marks: _Marks, start: Array, time: Array, max_distance: float) -> tuple[Array, Array, Array, Array]:
    """Pairs of people of neighbouring frames who are near: frame, row, row of the next frame, and distance; by row."""
    count = np.diff(start)
    pairs = np.where(np.diff(time) <= 2, count[:-1] * count[1:], 0)
    found = [(np.zeros(0, np.int64), np.zeros(0, np.int64), np.zeros(0, np.int64), np.zeros(0))]
    for frames in _batches(pairs):
        frame, place = _ragged(frames, pairs[frames])
        before, after = start[frame] + place // count[frame + 1], start[frame + 1] + place % count[frame + 1]
        size = np.maximum(marks.size[before], marks.size[after])
        touching = _boxes_apart(marks, before, after) <= max_distance * size
        frame, before, after, size = (each[touching] for each in (frame, before, after, size))
        one, other = ((marks.at[:, rows], marks.seen[rows]) for rows in (before, after))
        cost = _distance(one, other, size)
        near = cost <= max_distance
        found.append((frame[near], before[near], after[near], cost[near]))
    frame, before, after, cost = (np.concatenate(column) for column in zip(*found, strict=True))
    return frame, before, after, cost


def _boxes_apart(marks: _Marks, before: Array, after: Array) -> Array:
    """How far apart the boxes of people are, [N]: no two points of theirs are nearer."""
    gap = np.maximum(marks.low[:, after] - marks.high[:, before], marks.low[:, before] - marks.high[:, after])
    return np.asarray(gap.max(axis=0))


def _rival(cost: Array, group: Array) -> Array:
    """The least cost of the others in each one's group, [N]; inf where there are none."""
    order = np.lexsort((cost, group))
    begin = np.searchsorted(group[order], group)
    follow = np.minimum(begin + 1, len(order) - 1)
    others = (follow > begin) & (group[order[follow]] == group)
    second = np.where(others, cost[order[follow]], np.inf)
    return np.where(order[begin] == np.arange(len(cost)), second, cost[order[begin]])


@dataclass(frozen=True)
class _Pieces:
    """Rows in which the same person is seen: piece i is order[bounds[i]:bounds[i + 1]]."""

    order: Array
    bounds: Array

    @classmethod
    def of(cls, follower: Array) -> "_Pieces":
        """The pieces that follow from who follows whom."""
        rows = np.flatnonzero(follower >= 0)
        return cls._grouped(_chains(len(follower), rows, follower[rows]))

    def joined(self, one: Array, other: Array) -> "_Pieces":
        """The pieces when those of `other` continue those of `one`."""
        label = np.empty(len(self.order), dtype=np.int64)
        label[self.order] = np.repeat(_chains(len(self.bounds) - 1, one, other), np.diff(self.bounds))
        return self._grouped(label)

    def ends(self, *, last: bool) -> Array:
        """Up to _MEMORY rows at one end of every piece, outermost first, the innermost repeated: [pieces, _MEMORY]."""
        first, stop = self.bounds[:-1, None], self.bounds[1:, None]
        inwards = np.arange(_MEMORY)
        return np.asarray(
            self.order[np.maximum(stop - 1 - inwards, first) if last else np.minimum(first + inwards, stop - 1)]
        )

    def __iter__(self) -> Iterator[Array]:
        return (self.order[first:stop] for first, stop in pairwise(self.bounds.tolist()))

    @classmethod
    def _grouped(cls, label: Array) -> "_Pieces":
        order = np.argsort(label, kind="stable")  # rows of a piece stay in order of time
        return cls(order, np.concatenate([[0], np.cumsum(np.bincount(label))]))


def _chains(count: int, one: Array, other: Array) -> Array:
    """A label for each of `count` things, the same for those that pairs connect."""
    edges = csr_array((np.ones(len(one), dtype=np.int8), (one, other)), shape=(count, count))
    return np.asarray(connected_components(edges, directed=False)[1], dtype=np.int64)


@dataclass(frozen=True)
class _Ends:
    """One end of every piece: where its marks were last seen, and how it moves."""

    at: Array  # [2, N, A], carried on to `time`
    seen: Array  # bool [N, A]
    size: Array  # [N]
    time: Array  # [N]
    velocity: Array  # [2, N] per frame
    steady: Array  # bool [N], whether it is long enough to have a velocity


def _ends(marks: _Marks, time: Array, rows: Array) -> _Ends:
    """The ends that rows [N, _MEMORY] make, outermost first."""
    when, outer, inner = time[rows], rows[:, 0], rows[:, -1]
    both = marks.seen[outer] & marks.seen[inner]
    span, common = when[:, 0] - when[:, -1], both.sum(axis=1)
    steady = (np.abs(span) >= 3) & (common >= _COMMON)
    moved = ((marks.at[:, outer] - marks.at[:, inner]) * both).sum(axis=2)
    velocity = np.where(steady, moved / np.where(steady, span * common, 1), 0)
    seen = marks.seen[rows]  # [N, M, A]
    latest = np.take_along_axis(rows, seen.argmax(axis=1), axis=1)  # [N, A]
    age = when[:, :1] - time[latest]
    at = marks.at[:, latest, np.arange(seen.shape[2])] + velocity[..., None] * age
    return _Ends(at, np.any(seen, axis=1), np.median(marks.size[rows], axis=1), when[:, 0], velocity, steady)


def _bridge(marks: _Marks, pieces: _Pieces, time: Array, max_gap: int, max_distance: float) -> tuple[Array, Array]:
    """Pieces, and those that continue them: the assignment of least total cost. `time` is by row."""
    tail, head = (_ends(marks, time, pieces.ends(last=last)) for last in (True, False))
    by_start = np.argsort(head.time, kind="stable")
    starts = head.time[by_start]
    first = np.searchsorted(starts, tail.time, side="right")
    pairs = np.searchsorted(starts, tail.time + max_gap + 1, side="right") - first
    found = [(np.zeros(0, np.int64), np.zeros(0, np.int64), np.zeros(0))]
    for batch in _batches(pairs):
        before, place = _ragged(batch, pairs[batch])
        after = by_start[first[before] + place]
        cost = _cost(tail, head, before, after)
        near = cost <= max_distance
        found.append((before[near], after[near], cost[near]))
    before, after, cost = (np.concatenate(column) for column in zip(*found, strict=True))
    return _match(before, after, cost, max_distance)


def _cost(tail: _Ends, head: _Ends, before: Array, after: Array) -> Array:
    """How far `after` begins from where `before` is by then, moving as both do on the mean, or having stopped; [N]."""
    size = np.maximum(tail.size[before], head.size[after])
    both = tail.velocity[:, before] + head.velocity[:, after]  # 0 where unsteady
    velocity = both / np.maximum(tail.steady[before].astype(np.int8) + head.steady[after], 1)
    moved = velocity * np.minimum(head.time[after] - tail.time[before], _HORIZON)
    there = (head.at[:, after], head.seen[after])
    gone = _distance((tail.at[:, before] + moved[..., None], tail.seen[before]), there, size)
    stayed = _distance((tail.at[:, before], tail.seen[before]), there, size)
    return np.asarray(np.minimum(gone, stayed + _STAY))


def _match(before: Array, after: Array, cost: Array, alone: float) -> tuple[Array, Array]:
    """The pairs of the assignment of least total cost, in which nobody needs a partner: to have none costs `alone`."""
    if not len(before):
        return before, after
    only = (np.bincount(before)[before] == 1) & (np.bincount(after)[after] == 1)
    one, other = _assign(before[~only], after[~only], cost[~only], alone) if not only.all() else (before[:0], after[:0])
    return np.concatenate([before[only], one]), np.concatenate([after[only], other])


def _assign(before: Array, after: Array, cost: Array, alone: float) -> tuple[Array, Array]:
    rows, row = np.unique(before, return_inverse=True)
    columns, column = np.unique(after, return_inverse=True)
    self = np.arange(len(rows))
    weights = np.concatenate([cost, np.full(len(rows), alone)]) + 1e-6  # a weight of 0 would be no edge
    places = (np.concatenate([row, self]), np.concatenate([column, len(columns) + self]))
    edges = csr_array((weights, places), shape=(len(rows), len(columns) + len(rows)))
    one, other = min_weight_full_bipartite_matching(edges)
    paired = other < len(columns)
    return rows[one[paired]], columns[other[paired]]


def _batches(counts: Array) -> Iterator[Array]:
    """The indices that count, as many at a time as count about _PAIRS together."""
    some = np.flatnonzero(counts)
    if len(some):
        yield from np.split(some, np.flatnonzero(np.diff(np.cumsum(counts[some]) // _PAIRS)) + 1)


def _ragged(indices: Array, counts: Array) -> tuple[Array, Array]:
    """Each index as often as it counts, and 0, 1, ... beside it."""
    ends = np.cumsum(counts)
    return np.repeat(indices, counts), np.arange(ends[-1]) - np.repeat(ends - counts, counts)
