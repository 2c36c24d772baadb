"""The sequences of a recording: who gets its labels, and their keypoints."""

from collections.abc import Iterator, Sequence

import numpy as np

from skelemo.annotations.affwild2 import video_facts
from skelemo.cache import sequence as cached
from skelemo.errors import ConfigError
from skelemo.ingest.task import Settings, Task
from skelemo.openpose.people import People
from skelemo.tracking import SIDES, Track, choose, choose_sides, identify


def sequences_of(
    task: Task,
    people: People,
    settings: Settings,
    tracks: list[Track] | None = None,
    used: np.ndarray | None = None,
) -> Iterator[cached.Sequence]:
    """The sequences of a recording: one for each labeled person, or for those that the settings select.

    A labeled person has a row for every file, whether visible, missing or damaged, so that scores count all frames;
    with ``all``, a person has rows from the first to the last visible frame. People are tracked unless tracks are
    given. If a left and a right person are labeled, nobody is both.

    Parameters
    ----------
    used : bool [P], set to True for each row of ``people`` that is part of a sequence.
    """
    tracks = identify(people, settings.identity).tracks if tracks is None else tracks
    numbers = task.recording.numbers
    info = task.recording.info
    width, height, fps = video_facts(task.recording.name)
    if info.width:
        width, height = info.width, info.height
    if not width:
        width, height = people.size
    labels = task.annotations or (None,)
    persons = [(one.person if one else "") or settings.person for one in labels]
    both = choose_sides(people, tracks, _middle(people, width or settings.width)) if {*SIDES} <= {*persons} else {}
    for annotation, person in zip(labels, persons, strict=True):
        chosen = both.get(person)
        for name, mine, number in _people_chosen(
            people, tracks, person, numbers, chosen, labeled=annotation is not None
        ):
            points = _spread(people, mine, number)
            if used is not None:
                used[np.concatenate([one.rows for one in mine] or [np.zeros(0, int)])] = True
            yield cached.Sequence(
                id=f"{task.video}_{name}" if name else task.video,
                video=task.video,
                person=name,
                subject=annotation.subject if annotation else "",
                keypoints=points,
                number=number,
                labels=annotation.at(number) if annotation else {},
                width=width or settings.width,
                height=height or settings.height,
                fps=info.fps or fps or settings.fps,
                scale=people.scale,
                splits=annotation.splits if annotation else {},
            )


def remarks(task: Task, people: People, found: Sequence[cached.Sequence]) -> list[str]:
    """Notes on how the labels of a recording do not fit it, one line each."""
    notes = [note for one in task.annotations if (note := one.mismatch(int(task.recording.numbers[-1])))]
    seen = {one.person: bool(one.keypoints[..., 2].any()) for one in found if one.person in SIDES}
    unseen = [side for side in seen if not seen[side]]
    if len(people.keypoints) and len(seen) == len(SIDES) and unseen:
        fate = (
            f"who is seen is on one side of it, and the {unseen[0]} one's labels have no keypoints"
            if len(unseen) == 1
            else "without its width (--size WxH) nobody knows on which side they are: these labels have no keypoints"
        )
        notes.append(
            f"{task.recording.source}: a left and a right person have labels, but no two people are seen together in "
            f"the picture; {fate}"
        )
    return notes


def _middle(people: People, width: int) -> float | None:
    """x of the image's center in the units of the keypoints; None if the width is needed and unknown."""
    return {"unit": 0.5, "signed": 0.0}.get(people.scale, width / 2 or None)


def _people_chosen(
    people: People,
    tracks: list[Track],
    person: str,
    numbers: np.ndarray,
    chosen: list[Track] | None,
    *,
    labeled: bool,
) -> Iterator[tuple[str, list[Track], np.ndarray]]:
    """Name, tracks and frame numbers of each selected person."""
    if person == "all":
        everyone = choose(people, tracks, "all")
        identified = all(one.identity >= 0 for one in everyone)
        for index, one in enumerate(everyone):
            first, last = np.searchsorted(numbers, people.number[one.frames[[0, -1]]])
            yield f"person{one.identity if identified else index}", [one], numbers[first : last + 1]
        return
    if person.isdecimal():
        chosen = [_numbered(tracks, person)]
    elif chosen is None:
        chosen = choose(people, tracks, person)
    if chosen or labeled:
        name = "" if person in ("auto", "largest") else person
        yield name, chosen, numbers


def _numbered(tracks: list[Track], person: str) -> Track:
    """The track with an identity in the files, or else with a number."""
    identities = [one.identity for one in tracks]
    number = int(person[:10])  # more digits than anybody's number has are nobody's
    if number in identities and len(person) <= 10:
        return tracks[identities.index(number)]
    person = f"{person:.20}"
    if max(identities, default=-1) >= 0:
        known = ", ".join(str(one) for one in sorted({*identities} - {-1})[:10])
        raise ConfigError(f"person {person} is asked for, but the files' identities are {known}")
    if number >= len(tracks) or len(person) > 10:
        raise ConfigError(f"person {person} is asked for, but only {len(tracks)} people were tracked (from 0)")
    return tracks[number]


def _spread(people: People, tracks: list[Track], numbers: np.ndarray) -> np.ndarray:
    """Keypoints ``[T, V, 3]`` of every frame number; zeros where the tracks have none."""
    if not tracks:
        return np.zeros((len(numbers), *people.keypoints.shape[1:]), np.float32)
    rows = np.full(len(numbers), -1)
    for one in tracks:
        rows[np.searchsorted(numbers, people.number[one.frames])] = one.rows
    points = people.keypoints[rows]
    points[rows < 0] = 0
    return points
