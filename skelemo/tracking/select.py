"""Selecting the people who get a recording's labels."""

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from skelemo.errors import unknown
from skelemo.tracking.tracks import Track

if TYPE_CHECKING:
    from skelemo.openpose.people import People

Array = NDArray[Any]

SIDES = ("left", "right")
PERSONS = ("auto", "largest", *SIDES, "all")

LONG = 10  # frames of a person; shorter tracks may be false detections
_OVERLAP = 0.05  # share of a track's frames that a higher-ranked one may have too


def choose(people: "People", tracks: Sequence[Track], person: str = "auto", *, min_frames: int = LONG) -> list[Track]:
    """The tracks that a choice of `PERSONS` selects.

    ``auto`` is the most prominent person (frames times size), ``largest`` the one with the largest mean box, ``left``
    and ``right`` the one on that side of the image among the two most prominent who are visible together; if there are
    none, the most prominent. The result is tracks without common frames, in temporal order: while the selected person
    is out of sight, as after a cut, the next most prominent of at least half the size takes over, who has `min_frames`
    or is alone in the image. ``all`` is every track of at least `min_frames`.

    Raises `ConfigError`: an unknown choice.
    """
    if person not in PERSONS:
        raise unknown("person", person, PERSONS)
    long = _long(people, tracks, min_frames)
    if person == "all":
        return long
    by_size = np.mean if person == "largest" else np.sum
    ranked = sorted(long or tracks, key=lambda one: -float(by_size(one.size)))
    if person in SIDES and (middle := _between(people, ranked)) is not None:
        ranked = _on_side(people, ranked, person, middle)
    elif long:
        ranked += [one for one in tracks if len(one) < min_frames and _is_alone(people, one)]
    return _in_turn(ranked, len(people.number))


def choose_sides(
    people: "People", tracks: Sequence[Track], middle: float | None, *, min_frames: int = LONG
) -> dict[str, list[Track]]:
    """The tracks of the left and of the right person, when both are labeled.

    No track is selected twice: if no two are visible together, each belongs to the side of the image where it lies.

    Parameters
    ----------
    middle : x of the image's center, in the units of the keypoints. If it is needed and None, both sides are empty.
    """
    ranked = sorted(_long(people, tracks, min_frames) or tracks, key=lambda one: -float(one.size.sum()))
    between = _between(people, ranked)
    middle = middle if between is None else between
    if middle is None:
        return {side: [] for side in SIDES}
    return {side: _in_turn(_on_side(people, ranked, side, middle), len(people.number)) for side in SIDES}


def _long(people: "People", tracks: Sequence[Track], min_frames: int) -> list[Track]:
    return [one for one in tracks if len(one) >= min(min_frames, len(people.number))]


def _is_alone(people: "People", one: Track) -> bool:
    return bool((np.diff(people.start)[one.frames] == 1).all())


def _in_turn(ranked: Sequence[Track], frames: int) -> list[Track]:
    """The first track, and those that fill its gaps, by rank; in temporal order."""
    chosen: list[Track] = []
    taken = np.zeros(frames, dtype=bool)
    for one in ranked:
        free = ~taken[one.frames]
        large = not chosen or one.size.mean() >= 0.5 * chosen[0].size.mean()
        if large and (~free).sum() <= _OVERLAP * len(one) and (rest := _only(one, free)):
            chosen.append(rest)
            taken[rest.frames[0] : rest.frames[-1] + 1] = True
    return sorted(chosen, key=lambda one: int(one.frames[0]))


def _only(one: Track, rows: Array) -> Track | None:
    """A track restricted to some rows; None if there are none."""
    if rows.all():
        return one
    return Track(one.rows[rows], one.frames[rows], one.size[rows]) if rows.any() else None


def _together(one: Track, other: Track) -> bool:
    """Whether two tracks overlap in time."""
    return bool(one.frames[0] <= other.frames[-1] and other.frames[0] <= one.frames[-1])


def _between(people: "People", ranked: Sequence[Track]) -> float | None:
    """The middle between the first track and the next that overlaps it; None if there is none."""
    partner = next((one for one in ranked[1:] if _together(ranked[0], one)), None)
    return None if partner is None else (_across(people, ranked[0]) + _across(people, partner)) / 2


def _on_side(people: "People", ranked: Sequence[Track], side: str, middle: float) -> list[Track]:
    return [one for one in ranked if (_across(people, one) < middle) == (side == "left")]


def _across(people: "People", one: Track) -> float:
    points = people.keypoints[one.rows]
    return float(points[..., 0].sum() / max(1, np.count_nonzero(points[..., 2])))
