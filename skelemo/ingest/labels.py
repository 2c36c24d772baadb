"""Matches labels with recordings, and records the origin of both."""

import os
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from skelemo.annotations.matching import match
from skelemo.annotations.registry import Annotation, read_annotations, split_spec
from skelemo.annotations.timing import Span, in_frames
from skelemo.errors import ConfigError
from skelemo.ingest.task import Settings, video_info
from skelemo.openpose.names import printable
from skelemo.openpose.recording import Recording
from skelemo.targets import Head
from skelemo.text import some, tally

#: Number of listed words that became classes of other names.
_MOST_WORDS = 24


@dataclass(frozen=True)
class Labeled:
    """The labels of an ingest."""

    heads: tuple[Head, ...]
    annotations: tuple[tuple[Annotation, ...], ...]  # of each recording, one per labeled person
    notes: tuple[str, ...] = ()  # on the match of labels and recordings
    facts: tuple[tuple[str, str], ...] = ()  # rows for the closing table
    words: str = ""  # words that became classes of other names


def labeled(recordings: Sequence[Recording], source: Path, labels: str | None, settings: Settings) -> Labeled:
    """Read labels and match them with recordings and frames.

    Raises `InputError` or `ConfigError`: labels are unreadable, match no recording, or are ambiguous; an option does
    not apply.
    """
    options = settings.options()
    if not labels:
        if given := options.given():
            raise ConfigError(f"{', '.join(given.values())}: needs --labels")
        return Labeled((), ((),) * len(recordings))
    names = [(recording.name, recording.source, recording.is_folder) for recording in recordings]
    annotations = read_annotations(labels, source, names, options)
    matching = match(annotations, names)
    spans = [_span(*pair, settings) for pair in zip(recordings, matching.annotations, strict=True)]
    placed, outside = in_frames(matching.annotations, spans)
    words = some([f"{word} → {name} ({rows:,})" for word, name, rows in annotations.read_as], _MOST_WORDS)
    facts = [("words read as classes", words)] if words else []
    if outside:
        facts.append(("recordings with all labels outside their frames", tally(outside)))
    notes = (*annotations.notes, *matching.summary(len(outside)))
    return Labeled(annotations.heads, placed, notes, tuple(facts), words)


def _span(recording: Recording, annotations: Sequence[Annotation], settings: Settings) -> Span:
    if all(annotation.number is None for annotation in annotations):
        return Span(recording.source, 0, 0, 0.0)
    numbers = recording.numbers
    fps = video_info(recording.name, recording.info).fps or settings.fps
    return Span(recording.source, int(numbers[0]), int(numbers[-1]), fps)


def origin(source: Path, labels: str | None, words: str = "") -> dict[str, str]:
    """Names of source and labels for the cache, without their folders, which may be private."""
    names = {"source": _name(source)}
    if labels:
        form, path = split_spec(labels)
        names["labels"] = f"{form}:{_name(Path(path))}" if path else form
    if words:
        names["words"] = words
    return names


def _name(path: Path) -> str:
    return printable(os.path.basename(os.path.abspath(path)))
