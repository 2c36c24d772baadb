"""Applying corrections to labels: of a recording that is ingested, and of a cache that is trained on."""

import math
from collections.abc import Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass

import numpy as np

from skelemo.cache.corrections import TRACKS, Correction, Corrections
from skelemo.errors import ConfigError, InputError, unknown
from skelemo.targets import Head

#: Labels by head of one sequence's frames; `apply` changes them in place.
Labels = Mapping[str, np.ndarray]


@dataclass(frozen=True)
class LabelEdit:
    """One correction of labels, ready to apply.

    Parameters
    ----------
    outputs : ``[K]`` by head: what each output becomes, NaN to keep it; None to take the label away.
    """

    first: int
    last: float
    outputs: Mapping[str, np.ndarray | None]


#: Edits by recording and person, in order.
Edits = dict[tuple[str, str], list[LabelEdit]]


def label_edits(corrections: Corrections, heads: Sequence[Head]) -> Edits:
    """The effective corrections of labels, by recording and person; those of a merged person are the remaining one's.

    ``wrong`` and ``unsure`` do the same: a label that somebody doubts is neither learned from nor scored.

    Raises `InputError`: a head, class or number of values that these heads do not have; the message names the
    correction.
    """
    by_name, into = {head.name: head for head in heads}, merged(corrections.tracks)
    edits: Edits = {}
    for row in corrections.effective:
        if row.action in TRACKS:
            continue
        try:
            named = [_named(row.head, by_name)] if row.head else heads
            outputs = {head.name: parse_value(head, row.value) if row.action == "set" else None for head in named}
        except ConfigError as error:
            where = f"{corrections.path}: correction {row.id} of {row.video!r}"
            raise InputError(f"{where}: {error}") from None
        edit = LabelEdit(row.first, math.inf if row.last is None else row.last, outputs)
        edits.setdefault(into.get((row.video, row.person), (row.video, row.person)), []).append(edit)
    return edits


def merged(tracks: Iterable[Correction]) -> dict[tuple[str, str], tuple[str, str]]:
    """Who each merged person is, by recording and person."""
    into: dict[tuple[str, str], tuple[str, str]] = {}
    for row in tracks:
        if row.action == "merge":
            whose, gone = (row.video, row.person), (row.video, row.value)
            whose = into.get(whose, whose)
            if whose != gone:
                into = {name: whose if who == gone else who for name, who in into.items()} | {gone: whose}
    return into


def _named(name: str, heads: Mapping[str, Head]) -> Head:
    if name not in heads:
        raise unknown("head", name, heads)
    return heads[name]


def parse_value(head: Head, text: str) -> np.ndarray:
    """What each output of a head becomes, float64 ``[K]``: 1 for the named class, or the numbers, NaN for ``-``.

    Raises `ConfigError`: a class that the head does not have, another number of values than it has, or one out of
    range.
    """
    if head.kind == "classes":
        if text not in head.outputs:
            raise unknown(f"class of {head.name}", text, head.outputs)
        return np.array([name == text for name in head.outputs], np.float64)
    words = text.split()
    low, high = (head.low, head.high) if head.kind == "values" else (0, 1)
    try:
        numbers = np.array([math.nan if word == "-" else float(word) for word in words])
    except ValueError:
        numbers = np.zeros(0)
    fits = np.array([word == "-" or low <= number <= high for word, number in zip(words, numbers, strict=False)], bool)
    whole = head.kind == "values" or all(word in ("0", "1", "-") for word in words)
    if len(numbers) != len(head) or not fits.all() or not whole:
        kind = f"numbers in [{low:g}, {high:g}]" if head.kind == "values" else "times 0 or 1"
        raise ConfigError(f"{head.name} = {text[:60]!r}: expected {len(head)} {kind}, or - to keep one")
    return numbers


def apply(edits: Iterable[LabelEdit], number: np.ndarray, labels: Labels, *, clips: Collection[str] = ()) -> int:
    """Change the labels of one person's frames in place; returns how many edits met a frame.

    Parameters
    ----------
    number : ``[T]`` frame numbers, increasing.
    labels : ``[T]`` or ``[T, K]`` by head, as `skelemo.targets` has them.
    clips : heads whose labels belong to the clip as a whole: a correction of any of its frames is one of all of them.
    """
    met = 0
    for edit in edits:
        first, last = np.searchsorted(number, edit.first), np.searchsorted(number, edit.last, side="right")
        met += bool(last > first)
        for name, outputs in edit.outputs.items() if last > first else ():
            rows = slice(None) if name in clips else slice(int(first), int(last))
            _put(labels[name], rows, outputs)
    return met


def _put(labels: np.ndarray, rows: slice, outputs: np.ndarray | None) -> None:
    if outputs is None:
        labels[rows] = -1 if labels.dtype.kind == "i" else np.nan
    elif labels.ndim == 1:
        labels[rows] = int(outputs.argmax())
    else:
        given = ~np.isnan(outputs)
        labels[rows, given] = outputs[given].astype(labels.dtype)
