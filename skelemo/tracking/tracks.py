"""Tracks: the people of a recording, each through all of it."""

from collections.abc import Iterable
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from skelemo.tracking.features import Features, features_of
from skelemo.tracking.link import alone, link, neighbors, pieces_of_others, usual_move
from skelemo.tracking.stitch import Pieces, bridge
from skelemo.tracking.weave import Detections, weave

if TYPE_CHECKING:
    from skelemo.openpose.people import People

Array = NDArray[Any]

# Stitched first are short absences of people who are near: frames out of sight, and distance in sizes or usual moves.
_STAGES = ((2, 0.1, 3.0), (4, 0.2, 4.0), (12, 0.3, 5.0))


@dataclass(frozen=True)
class Track:
    """One person through a recording."""

    rows: Array  # int64 [T], of People.keypoints
    frames: Array  # int64 [T], indices into People.number; increasing, gaps allowed
    size: Array  # float32 [T], in the units of the keypoints

    def __len__(self) -> int:
        return len(self.rows)


def track(people: "People", *, max_gap: int = 30, max_distance: float = 0.6) -> list[Track]:
    """Tell the people of a recording apart; the most prominent track (frames times size) comes first.

    Every row of ``people.keypoints`` is in exactly one track. A second skeleton of the same person, or a piece of it,
    is a track of its own wherever the person has a better one in that frame.

    Parameters
    ----------
    max_gap
        Frames, in the recording's usual step, for which a person may be out of sight and still be the same.
    max_distance
        How far a person may be from the expected place: mean over the features that both frames show, in units of the
        person's size, which is the root of the area of the box around all points.
    """
    if not len(people.keypoints):
        return []
    features, count = features_of(people.keypoints), np.diff(people.start)
    time = _times(people.number)
    pairs = neighbors(features, people.start, time, max_distance)
    usual = usual_move(pairs)
    second = pieces_of_others(features, people.keypoints, pairs, usual)
    lonely = np.repeat(alone(count, max_gap), count)
    alike = pairs.where(second[pairs.before] == second[pairs.after]) if second.any() else pairs
    follower = link(len(second), alike, lonely, usual, max_distance)
    pieces, when = Pieces.of(follower), np.repeat(time, count)
    for gap, least, moves in (*_STAGES, (max_gap, max_distance, 0.0)):
        if len(pieces.bounds) > 2:
            limit = min(max(least, moves * usual), max_distance)
            pieces = pieces.joined(*bridge(features, pieces, when, min(gap, max_gap), limit, second))
    if len(pieces.bounds) > 2:
        limit = min(max(_STAGES[-1][1], _STAGES[-1][2] * usual), max_distance)
        pieces = weave(Detections(features, people.keypoints, when, usual, limit, max_gap), pieces, pairs)
    return _tracks(people, features, pieces)


def known_tracks(people: "People", identity: Array) -> list[Track]:
    """The tracks of people of whom it is known who they are, ``[P]``; the most prominent comes first.

    Nobody is twice in a frame.
    """
    if not len(people.keypoints):
        return []
    return _tracks(people, features_of(people.keypoints), Pieces.grouped(np.unique(identity, return_inverse=True)[1]))


def _tracks(people: "People", features: Features, pieces: Iterable[Array]) -> list[Track]:
    frame = np.repeat(np.arange(len(people.number)), np.diff(people.start))
    tracks = [Track(rows, frame[rows], features.size[rows]) for rows in pieces]
    return sorted(tracks, key=lambda one: -float(one.size.sum()))


def _times(number: Array) -> Array:
    """Frame numbers in units of the recording's usual step, [F]."""
    steps = np.diff(number)
    return np.asarray(number / max(1.0, float(np.median(steps)) if len(steps) else 1.0), dtype=np.float64)
