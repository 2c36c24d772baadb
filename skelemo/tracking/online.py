"""Online tracking: frame by frame, with the same features and distances, without lookahead."""

from collections import deque
from dataclasses import dataclass

import numpy as np
from scipy.optimize import linear_sum_assignment

from skelemo.tracking.features import COMMON, MAX_DISTANCE, MAX_GAP, Array, Features, distance, features_of
from skelemo.tracking.link import SAME

#: Identity of a second skeleton, or a fragment, of a person already in the frame.
NOBODY = -1

_MEMORY = 8.0  # steps for which the last position of a feature is used
_HORIZON = 15.0  # steps of extrapolated motion
_STAY = 0.1  # cost, in sizes, of stopping instead of moving on
_FAINT = 0.05  # cost, in sizes, of a detection with confidence 0, to prefer the best of several
_GONE = 0.1  # cost, in sizes, of the longest absence
_NEW = 0.05  # cost, in sizes, of a new person, to prefer the older of two
_NEAR = (0.3, 5.0)  # maximum move among several people: in sizes, or in typical moves
_USUAL = 0.02  # initial typical move, in sizes
_BRIEF = 3  # steps after which a person with a single detection is dropped


@dataclass
class _Person:
    """A person visible now or recently."""

    at: Array  # [2, A], last positions of the features, shifted with the person since
    when: Array  # [A], time of each last position; -inf for never
    size: float
    time: float  # of the last detection
    velocity: Array  # [2] per step
    detections: int = 1


class OnlineTracker:
    """Assigns persistent identities to the people of successive frames.

    Identities agree with those of `track` over the whole recording, except for more errors at crossings, for lack of
    lookahead. Memory is bounded by the people visible in the last `MAX_GAP` frames.
    """

    def __init__(self) -> None:
        self._people: dict[int, _Person] = {}
        self._next, self._usual = 0, _USUAL
        self._number = -1
        self._steps: deque[int] = deque([1], maxlen=9)
        self._clock = 0.0  # in usual steps of the frame numbers

    def __len__(self) -> int:
        """Number of people tracked."""
        return len(self._people)

    @property
    def people(self) -> tuple[int, ...]:
        """Identities of the tracked people."""
        return tuple(self._people)

    def restart(self) -> None:
        """Drop all people, for frame numbers that restart; identities are not reused."""
        self._people.clear()
        self._number, self._clock = -1, 0.0

    def update(self, keypoints: Array, number: int | None = None) -> Array:
        """Identities of the people of the next frame, int64 [P]: numbers from 0, never reused, or `NOBODY`.

        Raises `ValueError`: frame numbers do not increase.

        Parameters
        ----------
        keypoints : float [P, V, 3] in any constant layout; missing points are 0, 0, 0.
        number : of the frame; by default the next.
        """
        self._advance(self._number + 1 if number is None else number)
        identity = np.full(len(keypoints), NOBODY, np.int64)
        if len(keypoints):
            features = features_of(np.asarray(keypoints, np.float32))
            confidence = keypoints[..., 2].sum(axis=1)
            names = list(self._people)
            cost, moved = self._costs(features, confidence / max(float(confidence.max()), 1e-9), names)
            for person, row in self._assign(cost, len(keypoints)):
                identity[row] = names[person]
                self._update(self._people[names[person]], features, row, float(moved[person, row]))
            self._add_new(features, identity, moved, names)
        return identity

    def _advance(self, number: int) -> None:
        """Advance the clock to a frame, and drop people after a long absence."""
        if self._number >= 0 or number <= self._number:
            if number <= self._number:
                raise ValueError(f"frame {number} after frame {self._number}: expected increasing numbers")
            self._steps.append(number - self._number)
            self._clock += (number - self._number) / sorted(self._steps)[len(self._steps) // 2]
        self._number = number
        for name, person in list(self._people.items()):
            if self._clock - person.time > (MAX_GAP if person.detections > 1 else _BRIEF) + 1:
                del self._people[name]

    def _costs(self, features: Features, confidence: Array, names: list[int]) -> tuple[Array, Array]:
        """Cost of assigning detections to people, and the implied moves, [people, P]."""
        if not names:
            return np.zeros((0, len(confidence))), np.zeros((0, len(confidence)))
        people = [self._people[name] for name in names]
        at = np.stack([person.at for person in people], axis=1)[:, :, None]  # [2, K, 1, A]
        seen = np.stack([person.time - person.when <= _MEMORY for person in people])[:, None]
        size = np.maximum(np.array([person.size for person in people])[:, None], features.size)
        detections = (features.at[:, None], features.seen[None])
        absence = self._clock - np.array([person.time for person in people])
        shift = np.stack([person.velocity for person in people], axis=1) * np.minimum(absence, _HORIZON)
        stayed = distance((at, seen), detections, size)
        moved = np.minimum(distance((at + shift[..., None, None], seen), detections, size), stayed + _STAY)
        wait = _GONE * np.minimum(absence - 1, MAX_GAP) / MAX_GAP
        wait += _NEW * 10 / (10 + np.array([person.detections for person in people]))
        return moved + wait[:, None] + _FAINT * (1 - confidence), moved

    def _assign(self, cost: Array, detections: int) -> list[tuple[int, int]]:
        """Pairs of person and row in the minimum-cost assignment, which may omit people and rows."""
        alone = len(cost) == detections == 1
        limit = MAX_DISTANCE if alone else min(max(_NEAR[0], _NEAR[1] * self._usual), MAX_DISTANCE)
        limit += _FAINT + _NEW
        if not len(cost):
            return []
        if min(cost.shape) == 1:
            person, row = np.unravel_index(int(cost.argmin()), cost.shape)
            return [(int(person), int(row))] if cost[person, row] <= limit else []
        one, other = linear_sum_assignment(np.minimum(cost, limit * 1.01))
        return [(int(i), int(j)) for i, j in zip(one, other, strict=True) if cost[i, j] <= limit]

    def _update(self, person: _Person, features: Features, row: int, moved: float) -> None:
        """Update a person with a detection."""
        seen, steps = features.seen[row], self._clock - person.time
        both = seen & (self._clock - person.when <= _MEMORY + steps)
        if np.count_nonzero(both) >= COMMON:
            shift = (features.at[:, row] - person.at)[:, both].mean(axis=1)
            weight = 0.5 if person.detections > 2 else 1.0
            person.velocity = (1 - weight) * person.velocity + weight * shift / steps
            person.at = person.at + shift[:, None]
        person.at = np.where(seen, features.at[:, row], person.at)
        person.when = np.where(seen, self._clock, person.when)
        person.size += 0.3 * (float(features.size[row]) - person.size)
        person.time, person.detections = self._clock, person.detections + 1
        self._usual += 0.05 * (min(moved, MAX_DISTANCE) / max(steps, 1.0) - self._usual)

    def _add_new(self, features: Features, identity: Array, moved: Array, names: list[int]) -> None:
        """Give new identities to unassigned detections that do not coincide with a person of the frame."""
        taken = [names.index(name) for name in identity[identity != NOBODY].tolist()]
        for row in np.flatnonzero(identity == NOBODY).tolist():
            others = np.flatnonzero(identity != NOBODY)
            detection = (features.at[:, row, None], features.seen[row, None])
            size = np.maximum(features.size[others], features.size[row])
            coincides = (distance(detection, features.rows(others), size) <= SAME).any()
            if coincides or (moved[taken, row] <= SAME).any():
                continue
            when = np.where(features.seen[row], self._clock, -np.inf)
            self._people[self._next] = _Person(
                features.at[:, row].copy(), when, float(features.size[row]), self._clock, np.zeros(2)
            )
            identity[row] = self._next
            self._next += 1
