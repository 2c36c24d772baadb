"""Which labels recordings carry, and what a cache tells of where both come from."""

import os
from collections.abc import Sequence
from pathlib import Path

from skelemo.annotations.matching import match
from skelemo.annotations.registry import Annotation, read_annotations
from skelemo.openpose.names import printable
from skelemo.openpose.recording import Recording
from skelemo.targets import Head

#: Heads, the annotations of each recording, and notes.
Labeled = tuple[tuple[Head, ...], tuple[tuple[Annotation, ...], ...], list[str]]


def labeled(recordings: Sequence[Recording], source: Path, labels: str | None) -> Labeled:
    """Heads, the annotations of each recording, and what the user should know of how they fit.

    Raises
    ------
    InputError, ConfigError
        Labels that cannot be read, or fit no recording.
    """
    if not labels:
        return (), ((),) * len(recordings), []
    names = [(recording.name, recording.source, recording.is_folder) for recording in recordings]
    annotations = read_annotations(labels, source, names)
    matching = match(annotations, names)
    return annotations.heads, matching.annotations, [*annotations.notes, *matching.summary()]


def origin(source: Path, labels: str | None) -> dict[str, str]:
    """What is ingested, for a cache to tell: names alone, for where they lie is nobody else's business."""
    told = {"source": _name(source)}
    if labels:
        form, _, path = labels.partition(":")
        told["labels"] = f"{form}:{_name(Path(path))}" if path else form
    return told


def _name(path: Path) -> str:
    return printable(os.path.basename(os.path.abspath(path)))
