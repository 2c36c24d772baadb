"""Which labels recordings carry, and what a cache tells of where both come from."""

import os
from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path

from skelemo.annotations.affwild2 import video_facts
from skelemo.annotations.files import count
from skelemo.annotations.matching import match
from skelemo.annotations.registry import Annotation, read_annotations, split_spec
from skelemo.annotations.timing import Span, in_frames
from skelemo.errors import ConfigError
from skelemo.ingest.task import Settings
from skelemo.openpose.names import printable
from skelemo.openpose.recording import Recording
from skelemo.targets import Head

#: Words that became classes of other names and are listed.
_MOST_WORDS = 24


@dataclass(frozen=True)
class Labeled:
    """The labels of an ingest.

    Parameters
    ----------
    annotations : of each recording, one per labeled person.
    notes : what the user should know of how labels and recordings fit.
    facts : rows for the closing table.
    words : which words became which classes, as one text; "" where all classes are called by the labels' words.
    """

    heads: tuple[Head, ...]
    annotations: tuple[tuple[Annotation, ...], ...]
    notes: tuple[str, ...] = ()
    facts: tuple[tuple[str, str], ...] = ()
    words: str = ""


def labeled(recordings: Sequence[Recording], source: Path, labels: str | None, settings: Settings) -> Labeled:
    """Heads, the annotations of each recording by frame, and what the user should know of how they fit.

    Raises `InputError` or `ConfigError`: labels that cannot be read, fit no recording, or may be read in two ways;
    options that nothing takes.
    """
    options = settings.options()
    if not labels:
        if given := options.given():
            raise ConfigError(f"{', '.join(given.values())}: there are no --labels to read so")
        return Labeled((), ((),) * len(recordings))
    names = [(recording.name, recording.source, recording.is_folder) for recording in recordings]
    annotations = read_annotations(labels, source, names, options)
    matching = match(annotations, names)
    spans = [_span(*pair, settings) for pair in zip(recordings, matching.annotations, strict=True)]
    placed, outside = in_frames(matching.annotations, spans)
    matching = replace(matching, unlabeled=(*matching.unlabeled, *outside))
    words = _words(annotations.read_as)
    facts = [("words read as classes", words)] if words else []
    if outside:
        facts.append(("recordings outside of which their labels lie", count(outside)))
    notes = (*annotations.notes, *matching.summary())
    return Labeled(annotations.heads, placed, notes, tuple(facts), words)


def _span(recording: Recording, annotations: Sequence[Annotation], settings: Settings) -> Span:
    if all(one.number is None for one in annotations):
        return Span(recording.source, 0, 0, 0.0)
    numbers = recording.numbers
    fps = video_facts(recording.name)[2] or settings.fps
    return Span(recording.source, int(numbers[0]), int(numbers[-1]), fps)


def _words(read_as: Sequence[tuple[str, str, int]]) -> str:
    told = [f"{word} → {name} ({rows:,})" for word, name, rows in read_as[:_MOST_WORDS]]
    more = len(read_as) - _MOST_WORDS
    return ", ".join(told) + (f" and {more} more" if more > 0 else "")


def origin(source: Path, labels: str | None, words: str = "") -> dict[str, str]:
    """What is ingested, for a cache to tell: names alone, for where they lie is nobody else's business."""
    told = {"source": _name(source)}
    if labels:
        form, path = split_spec(labels)
        told["labels"] = f"{form}:{_name(Path(path))}" if path else form
    if words:
        told["words"] = words
    return told


def _name(path: Path) -> str:
    return printable(os.path.basename(os.path.abspath(path)))
