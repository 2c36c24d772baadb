"""Selects the people who get a recording's labels."""

from collections.abc import Sequence
from typing import TYPE_CHECKING

import numpy as np

from skelemo.errors import unknown
from skelemo.tracking.tracks import Track

if TYPE_CHECKING:
    from skelemo.openpose.people import People

SIDES = ("left", "right")
PERSONS = ("auto", "largest", *SIDES, "all")

LONG = 10  # minimum frames of a person; shorter tracks may be false detections
_OVERLAP = 0.05  # share of a track's frames that may overlap a higher-ranked track


def choose(people: "People", tracks: Sequence[Track], person: str = "auto") -> list[Track]:
    """Select tracks by one of `PERSONS`.

    ``auto`` is the most prominent person (frames times size), ``largest`` the one with the largest mean box, ``left``
    and ``right`` the one on that side of the image among the two most prominent who are visible together, or else the
    most prominent. The result is a list of tracks without common frames, in temporal order: while the selected person
    is not visible, as after a cut, it continues with the next most prominent person of at least half the size who has
    `LONG` frames or is alone in the image. ``all`` is every track of at least `LONG` frames.

    Raises `ConfigError`: an unknown choice.
    """
    if person not in PERSONS:
        raise unknown("person", person, PERSONS)
    long = _long(people, tracks)
    if person == "all":
        return long
    by_size = np.mean if person == "largest" else np.sum
    ranked = sorted(long or tracks, key=lambda track: -float(by_size(track.size)))
    if person in SIDES and (middle := _between(people, ranked)) is not None:
        ranked = _on_side(people, ranked, person, middle)
    elif long:
        alone = np.diff(people.start) == 1  # [T]
        ranked += [track for track in tracks if len(track) < LONG and alone[track.frames].all()]
    return _in_turn(ranked, len(people.number))


def choose_sides(people: "People", tracks: Sequence[Track], middle: float | None) -> dict[str, list[Track]]:
    """The tracks of the left and of the right person, if both are labeled.

    No track is selected twice: if no two people are visible together, each track belongs to its side of the image.

    Parameters
    ----------
    middle : x of the image's center, in the units of the keypoints. If it is needed and None, both sides are empty.
    """
    ranked = sorted(_long(people, tracks) or tracks, key=lambda track: -float(track.size.sum()))
    between = _between(people, ranked)
    middle = middle if between is None else between
    if middle is None:
        return {side: [] for side in SIDES}
    return {side: _in_turn(_on_side(people, ranked, side, middle), len(people.number)) for side in SIDES}


def _long(people: "People", tracks: Sequence[Track]) -> list[Track]:
    return [track for track in tracks if len(track) >= min(LONG, len(people.number))]


def _in_turn(ranked: Sequence[Track], frames: int) -> list[Track]:
    """The first track, and tracks that fill its gaps, by rank; in temporal order."""
    chosen: list[Track] = []
    taken = np.zeros(frames, dtype=bool)
    for track in ranked:
        free = ~taken[track.frames]
        large = not chosen or track.size.mean() >= 0.5 * chosen[0].size.mean()
        if large and free.any() and (~free).sum() <= _OVERLAP * len(track):
            rest = track if free.all() else Track(track.rows[free], track.frames[free], track.size[free])
            chosen.append(rest)
            taken[rest.frames[0] : rest.frames[-1] + 1] = True
    return sorted(chosen, key=lambda track: int(track.frames[0]))


def _between(people: "People", ranked: Sequence[Track]) -> float | None:
    """The middle between the first track and the next that overlaps it; None if there is none."""
    first, last = ranked[0].frames[[0, -1]] if ranked else (0, 0)
    partner = next((track for track in ranked[1:] if first <= track.frames[-1] and track.frames[0] <= last), None)
    return None if partner is None else (_mean_x(people, ranked[0]) + _mean_x(people, partner)) / 2


def _on_side(people: "People", ranked: Sequence[Track], side: str, middle: float) -> list[Track]:
    return [track for track in ranked if (_mean_x(people, track) < middle) == (side == "left")]


def _mean_x(people: "People", track: Track) -> float:
    points = people.keypoints[track.rows]
    return float(points[..., 0].sum() / max(1, np.count_nonzero(points[..., 2])))
