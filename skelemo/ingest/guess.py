"""Guesses properties from all recordings of an ingest: units, body model, number of the first frame."""

from collections import Counter
from collections.abc import Sequence
from contextlib import suppress
from dataclasses import replace

import numpy as np

from skelemo.annotations.registry import Annotation
from skelemo.errors import InputError
from skelemo.ingest.task import Settings, Task
from skelemo.openpose.names import FrameNames
from skelemo.openpose.people import Guess, People, read_people
from skelemo.openpose.recording import Recording
from skelemo.skeleton import layout

#: Recordings to sample, and files of each.
_RECORDINGS = 24
_FILES = 6

_UNITS = {"pixels": "pixels", "unit": "[0, 1]", "signed": "[-1, 1]"}


def guess(recordings: Sequence[Recording], settings: Settings) -> Guess:
    """Body model and units by majority, from some files of some recordings."""
    models: Counter[str] = Counter()
    scales: Counter[str] = Counter()
    cheap = [recording for recording in recordings if not (recording.archive and recording.archive.sequential)]
    sampled = cheap or recordings[:1]
    for recording in (_few_files(sampled[index]) for index in _spread(len(sampled), _RECORDINGS)):
        with suppress(InputError):
            people = read_people(recording, layout(settings.layout), body_model=settings.body_model)
            models[people.certain.body_model] += 1
            scales[people.certain.scale] += 1
    del models[""], scales[""]
    return Guess(*(found.most_common(1)[0][0] if found else "" for found in (models, scales)))


def contradictions(task: Task, people: People, shared: Guess) -> list[str]:
    """Notes if a recording clearly differs from the majority."""
    source, certain = task.recording.source, people.certain
    notes = [f"{source}: {note}" for note in people.notes]
    if len(people.keypoints) and shared.scale not in ("", people.scale):
        ours, theirs = _UNITS[people.scale], _UNITS[shared.scale]
        notes.append(f"{source}: coordinates appear to be in {ours}, but {theirs} in most recordings (see --scale)")
    if certain.body_model and shared.body_model not in ("", certain.body_model):
        ours, theirs = certain.body_model.upper(), shared.body_model.upper()
        notes.append(f"{source}: bodies appear to be {ours}, but {theirs} in most recordings (see --body-model)")
    return notes


def counts_from_zero(recordings: Sequence[Recording], labels: Sequence[Sequence[Annotation]]) -> bool:
    """Whether images without a number 0 or 1 count from 0, because their last number matches the label rows."""
    pairs = []
    lowest = []
    for recording, annotations in zip(recordings, labels, strict=True):
        if recording.images and isinstance(recording.files, FrameNames):
            lowest.append(recording.files.numbers[0])
            pairs += [(recording.files.numbers[-1], label.last) for label in annotations if label.last is not None]
    fits = [sum(image - first == row for image, row in pairs) for first in (0, 1)]
    return min(lowest, default=0) > 1 and fits[0] > fits[1]


def _few_files(recording: Recording) -> Recording:
    rows = _spread(len(recording.files), _FILES)
    positions = recording.positions[rows] if recording.positions is not None else None
    return replace(recording, files=tuple(recording.files[row] for row in rows), positions=positions)


def _spread(count: int, most: int) -> list[int]:
    """Up to ``most`` indices below ``count``, spread evenly."""
    return np.unique(np.linspace(0, count - 1, min(most, count)).astype(int)).tolist()
