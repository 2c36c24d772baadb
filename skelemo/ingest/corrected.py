"""Applies corrections to the sequences of a recording: merges and swaps tracks, then edits labels."""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np

from skelemo.annotations.correcting import apply, label_edits
from skelemo.cache import sequence as cached
from skelemo.cache.corrections import CORRECTIONS, Correction, Corrections
from skelemo.ingest.task import Task
from skelemo.targets import Head, labeled, unlabeled_like


def corrected(
    found: Sequence[cached.Sequence], task: Task, heads: Sequence[Head]
) -> tuple[list[cached.Sequence], list[str]]:
    """Apply a recording's corrections to its sequences; notes list the corrections without a match.

    Swapping exchanges keypoints but not labels. A merged person fills frames in which the other is not visible or not
    labeled. A correction of any frame of a clip labeled as a whole applies to the entire clip.
    """
    if not task.corrections:
        return list(found), []
    table = Corrections(Path(CORRECTIONS), task.corrections)
    numbers, notes = np.asarray(task.recording.numbers), []
    people = {sequence.person: _Person.of(sequence, numbers) for sequence in found}
    for row in table.tracks:
        person, other = people.get(row.person), people.get(row.value)
        if person is None or other is None:
            notes.append(_note(task, row, row.person if person is None else row.value))
        elif row.action == "merge":
            people[row.person] = _merged(person, people.pop(row.value))
        else:
            people[row.person], people[row.value] = _swapped(person, other, numbers, row)
    edited = {name: person.sequence(numbers) for name, person in people.items()}
    sequences = {name: sequence for name, sequence in edited.items() if sequence is not None}
    clips = {name for annotation in task.annotations if annotation.number is None for name in annotation.labels}
    for (_, name), edits in label_edits(table, heads).items():
        if name not in sequences:
            notes.append(_note(task, next(row for row in table.effective if row.person == name), name))
            continue
        sequence = sequences[name]
        labels = {head.name: _labels(sequence, head, head.name in task.shares) for head in heads}
        if apply(edits, sequence.number, labels, clips=clips) < len(edits):
            notes.append(f"{task.recording.source}: a correction of {name or 'its person'} is outside its frames")
        sequences[name] = replace(sequence, labels=labels)
    return list(sequences.values()), notes


def _note(task: Task, row: Correction, name: str) -> str:
    who = f"person {name!r}" if name else "an unnamed person"
    return f"{task.recording.source}: correction {row.id} ({row.action}) not applied: {who} does not occur"


def _labels(sequence: cached.Sequence, head: Head, shares: bool) -> np.ndarray:
    if head.name in sequence.labels:
        return sequence.labels[head.name].copy()
    return np.full((len(sequence), len(head)), np.nan, np.float32) if shares else head.unlabeled(len(sequence))


@dataclass
class _Person:
    """A sequence spread over all frames of its recording."""

    template: cached.Sequence
    points: np.ndarray  # [F, V, 3]
    labels: dict[str, np.ndarray]
    inside: np.ndarray  # bool [F], frames of the sequence

    @classmethod
    def of(cls, sequence: cached.Sequence, numbers: np.ndarray) -> "_Person":
        rows = np.searchsorted(numbers, sequence.number)
        points = np.zeros((len(numbers), *sequence.keypoints.shape[1:]), sequence.keypoints.dtype)
        points[rows] = sequence.keypoints
        labels = {}
        for name, given in sequence.labels.items():
            labels[name] = unlabeled_like(given, len(numbers))
            labels[name][rows] = given
        inside = np.zeros(len(numbers), bool)
        inside[rows] = True
        return cls(sequence, points, labels, inside)

    @property
    def visible(self) -> np.ndarray:
        """Frames in which the person is visible, bool [F]."""
        return np.asarray(self.points[..., 2].any(1))

    def sequence(self, numbers: np.ndarray) -> cached.Sequence | None:
        """Convert to a sequence; None without frames."""
        rows = np.flatnonzero(self.inside)
        if not len(rows):
            return None
        labels = {name: given[rows] for name, given in self.labels.items()}
        return replace(self.template, keypoints=self.points[rows], number=numbers[rows], labels=labels)


def _span(rows: np.ndarray) -> np.ndarray:
    """All frames from the first to the last of the given ones, bool [F]."""
    return np.asarray(np.logical_or.accumulate(rows) & np.logical_or.accumulate(rows[::-1])[::-1])


def _merged(person: _Person, other: _Person) -> _Person:
    filled = other.visible & ~person.visible
    points = np.where(filled[:, None, None], other.points, person.points)
    labels = dict(person.labels)
    for name, given in other.labels.items():
        own = labels.setdefault(name, unlabeled_like(given, len(given))).copy()
        unlabeled = ~labeled(own)
        own[unlabeled] = given[unlabeled]
        labels[name] = own
    template = replace(person.template, subject=person.template.subject or other.template.subject)
    return _Person(template, points, labels, _span(person.inside | other.inside))


def _swapped(person: _Person, other: _Person, numbers: np.ndarray, row: Correction) -> tuple[_Person, _Person]:
    swap = (numbers >= row.first) & (numbers <= (numbers[-1] if row.last is None else row.last))
    swapped = []
    for mine, theirs in ((person, other), (other, person)):
        points = np.where(swap[:, None, None], theirs.points, mine.points)
        result = _Person(mine.template, points, mine.labels, mine.inside)
        if not mine.inside.all():  # the sequence spans only visible or labeled frames
            result.inside = _span(np.any([result.visible, *map(labeled, mine.labels.values())], axis=0))
        swapped.append(result)
    return swapped[0], swapped[1]
