"""Which of the people carry a recording's labels."""

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

LONG = 10  # frames that make a track a person of their own rather than a false detection
_OVERLAP = 0.05  # share of a track's frames that a better ranked one may have too


def choose(people: "People", tracks: Sequence[Track], person: str = "auto", *, min_frames: int = LONG) -> list[Track]:
    """The tracks of the people that a word of `PERSONS` means.

    ``auto`` is the most prominent person (frames times size), ``largest`` the one with the largest mean box, ``left``
    and ``right`` the one on that side of the image among the two most prominent who are seen together; where no two
    are, either is the most prominent. These are tracks without common frames, in order of time: while the chosen
    person is out of sight, as after a cut, the next most prominent of at least half the size stands in, who has
    `min_frames` or is alone in the image. ``all`` is every track of at least `min_frames`.

    Raises
    ------
    ConfigError
        An unknown word.
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
    """The tracks of the left person and of the right one, as `choose` has them, where both are meant.

    No track is both people's: where no two are seen together, each is on the side of the image where it lies.

    Parameters
    ----------
    middle : of the image, from left to right, in the units of the keypoints. Where it is needed and None, neither side
        has anyone.
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
    """The first of the tracks, and of the others those that fill its gaps, by rank; in order of time."""
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
    """Some of a track's frames; None for none."""
    if rows.all():
        return one
    return Track(one.rows[rows], one.frames[rows], one.size[rows]) if rows.any() else None


def _together(one: Track, other: Track) -> bool:
    """Whether their times overlap."""
    return bool(one.frames[0] <= other.frames[-1] and other.frames[0] <= one.frames[-1])


def _between(people: "People", ranked: Sequence[Track]) -> float | None:
    """The middle between the first of the tracks and the next that is seen with it; None where none is."""
    partner = next((one for one in ranked[1:] if _together(ranked[0], one)), None)
    return None if partner is None else (_across(people, ranked[0]) + _across(people, partner)) / 2


def _on_side(people: "People", ranked: Sequence[Track], side: str, middle: float) -> list[Track]:
    return [one for one in ranked if (_across(people, one) < middle) == (side == "left")]


def _across(people: "People", one: Track) -> float:
    points = people.keypoints[one.rows]
    return float(points[..., 0].sum() / max(1, np.count_nonzero(points[..., 2])))
