"""Makes the sequences of a recording: selects its people, and assigns labels and keypoints."""

from collections.abc import Iterator, Sequence

import numpy as np

from skelemo.cache import sequence as cached
from skelemo.errors import ConfigError
from skelemo.ingest.task import Settings, Task, video_info
from skelemo.openpose.people import People
from skelemo.text import count
from skelemo.tracking import SIDES, Track, choose, choose_sides


def sequences_of(
    task: Task, people: People, settings: Settings, tracks: list[Track], used: np.ndarray | None = None
) -> Iterator[cached.Sequence]:
    """Yield a sequence for each labeled person, or for those that the settings select.

    A labeled person has a row for every file, even if invisible or damaged, so that scores count all frames; with
    ``all``, a person has rows from the first to the last visible frame. If a left and a right person are labeled, they
    get different tracks.

    Parameters
    ----------
    used : bool [P], set to True for each row of ``people`` that is part of a sequence.
    """
    numbers = task.recording.numbers
    info = video_info(task.recording.name, task.recording.info)
    width, height = (info.width, info.height) if info.width else people.size
    annotations = task.annotations or (None,)
    persons = [(annotation.person if annotation else "") or settings.person for annotation in annotations]
    center = {"unit": 0.5, "signed": 0.0}.get(people.scale, (width or settings.width) / 2 or None)
    sides = choose_sides(people, tracks, center) if {*SIDES} <= {*persons} else {}
    for annotation, person in zip(annotations, persons, strict=True):
        for name, chosen, number in _chosen_people(
            people, tracks, person, numbers, sides.get(person), labeled=annotation is not None
        ):
            points = _all_frames(people, chosen, number)
            if used is not None:
                used[np.concatenate([track.rows for track in chosen] or [np.zeros(0, int)])] = True
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
                fps=info.fps or settings.fps,
                scale=people.scale,
                splits=annotation.splits if annotation else {},
            )


def remarks(task: Task, people: People, found: Sequence[cached.Sequence]) -> list[str]:
    """Notes on mismatches between a recording and its labels."""
    last = int(task.recording.numbers[-1])
    notes = [note for annotation in task.annotations if (note := annotation.mismatch(last))]
    visible = {
        sequence.person: bool(sequence.keypoints[..., 2].any()) for sequence in found if sequence.person in SIDES
    }
    hidden = [side for side in visible if not visible[side]]
    if len(people.keypoints) and len(visible) == len(SIDES) and hidden:
        result = (
            f"so the {hidden[0]} person has no keypoints"
            if len(hidden) == 1
            else "and the image width is unknown (--size WxH), so neither has keypoints"
        )
        notes.append(
            f"{task.recording.source}: a left and a right person are labeled, but no two people are visible together, "
            f"{result}"
        )
    return notes


def _chosen_people(
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
        identified = all(track.identity >= 0 for track in everyone)
        for index, track in enumerate(everyone):
            first, last = np.searchsorted(numbers, people.number[track.frames[[0, -1]]])
            yield f"person{track.identity if identified else index}", [track], numbers[first : last + 1]
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
    identities = [track.identity for track in tracks]
    number = int(person[:10])  # more digits never match
    if number in identities and len(person) <= 10:
        return tracks[identities.index(number)]
    person = f"{person:.20}"
    if max(identities, default=-1) >= 0:
        existing = ", ".join(map(str, sorted({*identities} - {-1})[:10]))
        raise ConfigError(f"person {person} does not exist: identities in the files are {existing}")
    if number >= len(tracks) or len(person) > 10:
        found = count(len(tracks), "person", "people")
        raise ConfigError(f"person {person} does not exist: tracking found {found} (numbered from 0)")
    return tracks[number]


def _all_frames(people: People, tracks: list[Track], numbers: np.ndarray) -> np.ndarray:
    """Keypoints ``[T, V, 3]`` of every frame number; zeros for frames without a track."""
    if not tracks:
        return np.zeros((len(numbers), *people.keypoints.shape[1:]), np.float32)
    rows = np.full(len(numbers), -1)
    for track in tracks:
        rows[np.searchsorted(numbers, people.number[track.frames])] = track.rows
    points = people.keypoints[rows]
    points[rows < 0] = 0
    return points
