"""One group of recordings into one shard."""

from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np

from skelemo.annotations.affwild2 import video_facts
from skelemo.annotations.registry import Annotation
from skelemo.cache import sequence as cached
from skelemo.cache.counts import by_part, frames_by_class
from skelemo.cache.shard import Header, write_shard
from skelemo.errors import CacheError, ConfigError
from skelemo.ingest.plan import Settings, Task, fingerprint
from skelemo.openpose.people import People, Problem, RecordingError, read_people
from skelemo.skeleton import Layout, layout
from skelemo.tracking import Track, choose, track


@dataclass
class Tally:
    """What a group, or a whole ingest, has done."""

    recordings: int = 0
    files: int = 0
    sequences: int = 0
    frames: int = 0
    people: int = 0
    seen: Counter[str] = field(default_factory=Counter)  # points by part
    points: Counter[str] = field(default_factory=Counter)  # points by part, seen or not
    labels: Counter[str] = field(default_factory=Counter)  # frames by class, and "valence, arousal"
    problems: list[Problem] = field(default_factory=list)
    failures: list[Problem] = field(default_factory=list)  # recordings that could not be used at all
    notes: list[str] = field(default_factory=list)
    shards: list[Path] = field(default_factory=list)

    def add(self, other: "Tally") -> None:
        """Take over what another group has done."""
        for name, value in vars(other).items():
            if isinstance(value, Counter):
                getattr(self, name).update(value)
            else:
                setattr(self, name, getattr(self, name) + value)


def ingest_group(tasks: Sequence[Task], header: Header, settings: Settings, out: Path) -> Tally:
    """Read the recordings of a group and write what is new in them as one shard.

    A recording of which nothing can be used is a failure of its own and does not stop the others.

    Raises
    ------
    CacheError
        A sequence is in the cache already with other content.
    InputError
        With ``strict``, the first file that cannot be read.
    """
    tally = Tally()
    rows: list[dict[str, Any]] = []
    problems: list[dict[str, str]] = []
    sequences: list[cached.Sequence] = []
    for task in tasks:
        tally.files += len(task.recording.files)
        try:
            people = read_people(
                task.recording,
                layout(settings.layout),
                body_model=settings.body_model,
                scale=settings.scale,
                strict=settings.strict,
            )
        except RecordingError as error:
            if settings.strict:
                raise
            tally.problems += error.problems
            reason = str(error).removeprefix(f"{task.recording.source}: ")
            tally.failures.append(Problem(task.recording.source, reason))
            continue
        found = list(sequences_of(task, people, settings))
        if not len(people.keypoints):
            tally.notes.append(f"{task.recording.source}: OpenPose saw nobody in its {len(people.number)} frames")
        _count(tally, found, people, header)
        tally.notes += [note for one in task.annotations if (note := one.mismatch(int(task.recording.numbers[-1])))]
        sequences += [one for one in found if _is_new(one, task, out)]
        rows.append(_row(task, people, header))
        problems += [{"file": problem.file, "reason": problem.reason} for problem in people.problems]
    if rows:
        tally.shards.append(write_shard(out, header, sequences, rows, problems))
    return tally


def sequences_of(task: Task, people: People, settings: Settings) -> Iterator[cached.Sequence]:
    """The sequences of a recording: one for each labelled person, or for whom the settings choose where none is.

    Whoever carries a video's labels has a row for every frame that has a file, seen, lost or damaged, so that a score
    counts them all; with ``all``, a person has rows from the first to the last sight.
    """
    tracks = track(people)
    numbers = task.recording.numbers
    width, height, fps = video_facts(task.recording.name)
    for annotation in task.annotations or (None,):
        person = (annotation.person if annotation else "") or settings.person
        for name, points, number in _people_chosen(people, tracks, person, numbers, labelled=annotation is not None):
            expression, valence, arousal = _labels(annotation, number)
            yield cached.Sequence(
                id=f"{task.video}_{name}" if name else task.video,
                video=task.video,
                person=name,
                subject=annotation.subject if annotation else "",
                keypoints=points,
                number=number,
                expression=expression,
                valence=valence,
                arousal=arousal,
                width=width or settings.width,
                height=height or settings.height,
                fps=fps or settings.fps,
                splits=annotation.splits if annotation else {},
            )


def _people_chosen(
    people: People, tracks: list[Track], person: str, numbers: np.ndarray, *, labelled: bool
) -> Iterator[tuple[str, np.ndarray, np.ndarray]]:
    """Name, keypoints ``[T, V, 3]`` and frame numbers of each chosen person, out of the recording's ``numbers``."""
    if person == "all":
        for index, one in enumerate(choose(people, tracks, "all")):
            first, last = np.searchsorted(numbers, people.number[one.frames[[0, -1]]])
            yield f"person{index}", _spread(people, [one], numbers)[first : last + 1], numbers[first : last + 1]
        return
    if person.isdecimal():
        if int(person) >= len(tracks):
            raise ConfigError(f"person {person} is asked for, but only {len(tracks)} people were tracked (from 0)")
        chosen = [tracks[int(person)]]
    else:
        chosen = choose(people, tracks, person)
    if chosen or labelled:
        name = "" if person in ("auto", "largest") else person
        yield name, _spread(people, chosen, numbers), numbers


def _spread(people: People, tracks: list[Track], numbers: np.ndarray) -> np.ndarray:
    """Keypoints of every frame number; zeros where the tracks do not see the person."""
    points = np.zeros((len(numbers), *people.keypoints.shape[1:]), np.float32)
    place = np.searchsorted(numbers, people.number)  # [F] among the numbers
    for one in tracks:
        points[place[one.frames]] = people.keypoints[one.rows]
    return points


def _labels(annotation: Annotation | None, number: np.ndarray) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    if annotation is not None:
        return annotation.at(number)
    nothing = np.full(len(number), np.nan, np.float32)
    return np.full(len(number), -1, np.int8), nothing, nothing


def _is_new(one: cached.Sequence, task: Task, out: Path) -> bool:
    sha256, shard = task.known.get(one.id, ("", ""))
    if sha256 and sha256 != one.sha256:
        raise CacheError(
            f"{out}: sequence {one.id!r} is in {shard} with other content (files, labels or settings have "
            "changed): choose another --out, or remove that shard and all of it is ingested anew"
        )
    return not sha256


def _row(task: Task, people: People, header: Header) -> dict[str, Any]:
    return {
        "source": task.recording.source,
        "video": task.video,
        "fingerprint": fingerprint(task, header, people.bytes_read, people.newest),
        "files": len(task.recording.files),
        "frames": len(people.number),
        "people": len(people.keypoints),
        "body_model": people.body_model,
        "scale": people.scale,
    }


def _count(tally: Tally, found: Sequence[cached.Sequence], people: People, header: Header) -> None:
    where: Layout = layout(header.layout)
    tally.recordings += 1
    tally.sequences += len(found)
    tally.people += len(people.keypoints)
    tally.problems += people.problems
    for one in found:
        tally.frames += len(one)
        for part, seen in zip(where.parts, by_part(one.points_seen[:-1], where).tolist(), strict=True):
            tally.seen[part.name] += seen
            tally.points[part.name] += len(part) * len(one)
        labelled = frames_by_class(one.expression, len(header.classes)).tolist()
        tally.labels.update(dict(zip((*header.classes, ""), labelled, strict=True)))
        tally.labels["valence, arousal"] += int(np.isfinite(one.valence).sum())
