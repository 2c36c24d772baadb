"""The sequences of a recording as corrections say: tracks merged and swapped, then labels set or taken away."""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np

from skelemo.annotations.correcting import apply, label_edits
from skelemo.cache import sequence as cached
from skelemo.cache.corrections import CORRECTIONS, Correction, Corrections
from skelemo.ingest.task import Task
from skelemo.targets import Head, unlabeled_like


def corrected(
    found: Sequence[cached.Sequence], task: Task, heads: Sequence[Head]
) -> tuple[list[cached.Sequence], list[str]]:
    """Apply a recording's corrections to its sequences; notes name those that met nobody.

    Labels stay with a person whose track is swapped. A merged person is the other where that one is not seen, and gives
    labels where that one has none. A correction of any frame of a clip that is labeled as a whole counts for all of it.
    """
    if not task.corrections:
        return list(found), []
    table, by_name = Corrections(Path(CORRECTIONS), task.corrections), {head.name: head for head in heads}
    numbers, notes = np.asarray(task.recording.numbers), []
    people = {one.person: _Person.of(one, numbers) for one in found}
    for row in table.tracks:
        one, other = people.get(row.person), people.get(row.value)
        if one is None or other is None:
            notes.append(_note(task, row, row.person if one is None else row.value))
        elif row.action == "merge":
            people[row.person] = _merged(one, people.pop(row.value), by_name)
        else:
            people[row.person], people[row.value] = _swapped(one, other, numbers, row)
    sequences = {person: made for person, one in people.items() if (made := one.sequence(numbers)) is not None}
    clips = {name for one in task.annotations if one.number is None for name in one.labels}
    for (_, person), edits in label_edits(table, heads).items():
        if person not in sequences:
            notes.append(_note(task, next(row for row in table.effective if row.person == person), person))
            continue
        sequence = sequences[person]
        labels = {head.name: _labels(sequence, head, head.name in task.shares) for head in heads}
        if apply(edits, sequence.number, labels, clips=clips) < len(edits):
            notes.append(
                f"{task.recording.source}: a correction of {person or 'its person'} lies outside of its frames"
            )
        sequences[person] = replace(sequence, labels=labels)
    return list(sequences.values()), notes


def _note(task: Task, row: Correction, person: str) -> str:
    who = f"the person {person!r}" if person else "a person without a name"
    return f"{task.recording.source}: correction {row.id} ({row.action}) names {who}, who is not in it: not applied"


def _labels(one: cached.Sequence, head: Head, shares: bool) -> np.ndarray:
    if head.name in one.labels:
        return one.labels[head.name].copy()
    return np.full((len(one), len(head)), np.nan, np.float32) if shares else head.unlabeled(len(one))


@dataclass
class _Person:
    """A sequence spread over all frames of its recording."""

    template: cached.Sequence
    points: np.ndarray  # [F, V, 3]
    labels: dict[str, np.ndarray]
    inside: np.ndarray  # bool [F], frames that the sequence has

    @classmethod
    def of(cls, one: cached.Sequence, numbers: np.ndarray) -> "_Person":
        rows = np.searchsorted(numbers, one.number)
        points = np.zeros((len(numbers), *one.keypoints.shape[1:]), one.keypoints.dtype)
        points[rows] = one.keypoints
        labels = {}
        for name, given in one.labels.items():
            labels[name] = unlabeled_like(given, len(numbers))
            labels[name][rows] = given
        inside = np.zeros(len(numbers), bool)
        inside[rows] = True
        return cls(one, points, labels, inside)

    @property
    def seen(self) -> np.ndarray:
        """Frames that show the person, bool [F]."""
        return np.asarray(self.points[..., 2].any(1))

    def sequence(self, numbers: np.ndarray) -> cached.Sequence | None:
        """The sequence again; None where no frame is left."""
        rows = np.flatnonzero(self.inside)
        if not len(rows):
            return None
        labels = {name: given[rows] for name, given in self.labels.items()}
        return replace(self.template, keypoints=self.points[rows], number=numbers[rows], labels=labels)


def _span(rows: np.ndarray) -> np.ndarray:
    """From the first to the last of some frames, bool [F]."""
    return np.asarray(np.logical_or.accumulate(rows) & np.logical_or.accumulate(rows[::-1])[::-1])


def _merged(one: _Person, other: _Person, heads: dict[str, Head]) -> _Person:
    taken = other.seen & ~one.seen
    points = np.where(taken[:, None, None], other.points, one.points)
    labels = dict(one.labels)
    for name, given in other.labels.items():
        own = labels.setdefault(name, unlabeled_like(given, len(given))).copy()
        free = ~heads[name].labeled(own)
        own[free] = given[free]
        labels[name] = own
    template = replace(one.template, subject=one.template.subject or other.template.subject)
    return _Person(template, points, labels, _span(one.inside | other.inside))


def _swapped(one: _Person, other: _Person, numbers: np.ndarray, row: Correction) -> tuple[_Person, _Person]:
    there = (numbers >= row.first) & (numbers <= (numbers[-1] if row.last is None else row.last))
    mixed = []
    for mine, theirs in ((one, other), (other, one)):
        points = np.where(there[:, None, None], theirs.points, mine.points)
        person = _Person(mine.template, points, mine.labels, mine.inside)
        if not mine.inside.all():  # rows only from where somebody is seen
            labeled = [(v >= 0) if v.dtype.kind == "i" else ~np.isnan(v) for v in mine.labels.values()]
            known = [array.reshape(len(numbers), -1).any(1) for array in labeled]
            person.inside = _span(np.any([person.seen, *known], axis=0))
        mixed.append(person)
    return mixed[0], mixed[1]
