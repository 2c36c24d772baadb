"""Tracks of the people in a recording."""

from collections.abc import Iterable
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from skelemo.tracking.features import MAX_DISTANCE, MAX_GAP, Array, Features, features_of
from skelemo.tracking.link import Pairs, alone, fragments, link, neighbors, usual_move
from skelemo.tracking.stitch import Pieces, bridge
from skelemo.tracking.weave import Detections, weave

if TYPE_CHECKING:
    from skelemo.openpose.people import People

# Stages of stitching, short gaps first: frames of absence, and distance in sizes or in typical moves.
_STAGES = ((2, 0.1, 3.0), (4, 0.2, 4.0), (12, 0.3, 5.0), (MAX_GAP, MAX_DISTANCE, 0.0))
_WOVEN = (0.3, 5.0)  # distance between alternating pieces


@dataclass(frozen=True)
class Track:
    """One person in a recording."""

    rows: Array  # int64 [T], of People.keypoints
    frames: Array  # int64 [T], indices into People.number; increasing, gaps allowed
    size: Array  # float32 [T], in the units of the keypoints
    identity: int = -1  # from the files; -1 if they have none, or tracking is used

    def __len__(self) -> int:
        return len(self.rows)


def track(people: "People") -> list[Track]:
    """Track the people of a recording; the most prominent track (frames times size) is the first.

    Every row of ``people.keypoints`` is in exactly one track. A second skeleton of a person in a frame, or a fragment,
    is a separate track.
    """
    if not len(people.keypoints):
        return []
    scene = Scene.of(people)
    return scene.tracks(scene.pieces())


@dataclass(frozen=True)
class Scene:
    """The detections of a recording, and nearby pairs of adjacent frames."""

    people: "People"
    features: Features
    pairs: Pairs
    usual: float  # median move from frame to frame, in sizes

    @classmethod
    def of(cls, people: "People") -> "Scene":
        """The scene of a recording."""
        features = features_of(people.keypoints)
        pairs = neighbors(features, people.start, _times(people.number))
        return cls(people, features, pairs, usual_move(pairs))

    def certain(self, wanted: Array) -> Array:
        """The row that certainly continues each row in the next frame, int64 [P]; -1 for none.

        Rows are only linked within ``wanted``, bool [P], and within the others.
        """
        count = np.diff(self.people.start)
        lonely = np.repeat(alone(count), count)
        pairs = self.pairs.where(wanted[self.pairs.before] == wanted[self.pairs.after])
        return link(len(wanted), pairs, lonely, self.usual)

    def pieces(self, identity: Array | None = None) -> Pieces:
        """Group rows by person.

        Parameters
        ----------
        identity : int64 [P], -1 for unknown. Rows of the same identity stay together, rows of different ones apart.
        """
        keypoints = self.people.keypoints
        known = np.zeros(len(keypoints), bool) if identity is None else identity >= 0
        time = np.repeat(_times(self.people.number), np.diff(self.people.start))
        second = fragments(self.features, keypoints, self.pairs, self.usual) & ~known
        pieces = Pieces.of(self.certain(known | second) if known.any() or second.any() else self.certain(known))
        if known.any():
            label = pieces.label
            label[known] = len(label) + np.unique(identity[known], return_inverse=True)[1]  # type: ignore[index]
            pieces = Pieces.grouped(label)
        for gap, sizes, moves in _STAGES:
            if len(pieces.bounds) > 2:
                limit = self._limit(sizes, moves)
                pieces = pieces.joined(*bridge(self.features, pieces, time, gap, limit, second | known))
        if len(pieces.bounds) > 2:
            detections = Detections(self.features, keypoints, time, known, self.usual, self._limit(*_WOVEN))
            pieces = weave(detections, pieces, self.pairs)
        return pieces

    def _limit(self, sizes: float, moves: float) -> float:
        return min(max(sizes, moves * self.usual), MAX_DISTANCE)

    def tracks(self, pieces: Iterable[Array]) -> list[Track]:
        """Convert pieces to tracks, the most prominent first."""
        frame = np.repeat(np.arange(len(self.people.number)), np.diff(self.people.start))
        tracks = [Track(rows, frame[rows], self.features.size[rows]) for rows in pieces]
        return sorted(tracks, key=lambda found: -float(found.size.sum()))


def _times(number: Array) -> Array:
    """Frame numbers in units of the recording's median step, [F]."""
    steps = np.diff(number)
    return np.asarray(number / max(1.0, float(np.median(steps)) if len(steps) else 1.0), dtype=np.float64)
