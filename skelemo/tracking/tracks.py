"""Tracks: the people of a recording, each through all of it."""

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from skelemo.tracking.features import marks_of
from skelemo.tracking.link import link
from skelemo.tracking.stitch import Pieces, bridge

if TYPE_CHECKING:
    from skelemo.openpose.people import People

Array = NDArray[Any]

# Bridged are at first short absences and near people: frames out of sight, and distance in sizes or in usual moves.
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

    Every row of ``people.keypoints`` is in exactly one track.

    Parameters
    ----------
    max_gap
        Frames, in the recording's usual step, for which somebody may be out of sight and still be the same.
    max_distance
        How far somebody may be from where they are expected: mean over the points that both frames show, in units of
        the person's size, which is the root of the area of the box around all points.
    """
    if not len(people.keypoints):
        return []
    marks = marks_of(people.keypoints)
    frame = np.repeat(np.arange(len(people.number)), np.diff(people.start))
    time = _times(people.number)
    follower, usual = link(marks, people.start, time, max_gap, max_distance)
    pieces = Pieces.of(follower)
    for gap, least, moves in (*_STAGES, (max_gap, max_distance, 0.0)):
        limit = min(max(least, moves * usual), max_distance)
        pieces = pieces.joined(*bridge(marks, pieces, time[frame], min(gap, max_gap), limit))
    tracks = [Track(rows, frame[rows], marks.size[rows]) for rows in pieces]
    return sorted(tracks, key=lambda one: -float(one.size.sum()))


def known_tracks(people: "People", identity: Array) -> list[Track]:
    """The tracks of people of whom it is known who they are, ``[P]``; the most prominent comes first.

    Nobody is twice in a frame.
    """
    if not len(people.keypoints):
        return []
    size = marks_of(people.keypoints).size
    frame = np.repeat(np.arange(len(people.number)), np.diff(people.start))
    each = [np.flatnonzero(identity == one) for one in np.unique(identity)]
    return sorted((Track(rows, frame[rows], size[rows]) for rows in each), key=lambda one: -float(one.size.sum()))


def _times(number: Array) -> Array:
    """Frame numbers in units of the recording's usual step, [F]."""
    steps = np.diff(number)
    return np.asarray(number / max(1.0, float(np.median(steps)) if len(steps) else 1.0), dtype=np.float64)
