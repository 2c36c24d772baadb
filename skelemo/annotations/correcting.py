"""Applies corrections to labels, during ingest and training."""

import math
from collections.abc import Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass

import numpy as np

from skelemo.cache.corrections import TRACKS, Correction, Corrections
from skelemo.errors import ConfigError, InputError, unknown
from skelemo.targets import Head

#: Labels of one sequence's frames by head; `apply` changes them in place.
Labels = Mapping[str, np.ndarray]


@dataclass(frozen=True)
class LabelEdit:
    """A parsed correction of labels.

    Parameters
    ----------
    outputs : by head, new value of each output, ``[K]``, NaN to keep it; None to remove the label.
    """

    first: int
    last: float
    outputs: Mapping[str, np.ndarray | None]


#: Edits by recording and person, in order.
Edits = dict[tuple[str, str], list[LabelEdit]]


def label_edits(corrections: Corrections, heads: Sequence[Head]) -> Edits:
    """The effective corrections of labels by recording and person, after merges.

    ``wrong`` and ``unsure`` both remove a label, which excludes it from training and scores.

    Raises `InputError`: a head, class or number of values does not exist in these heads.
    """
    by_name, merges = {head.name: head for head in heads}, merged(corrections.tracks)
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
        edits.setdefault(merges.get((row.video, row.person), (row.video, row.person)), []).append(edit)
    return edits


def merged(tracks: Iterable[Correction]) -> dict[tuple[str, str], tuple[str, str]]:
    """The remaining person of each merged one, both as recording and person."""
    merges: dict[tuple[str, str], tuple[str, str]] = {}
    for row in tracks:
        if row.action == "merge":
            kept, dropped = (row.video, row.person), (row.video, row.value)
            kept = merges.get(kept, kept)
            if kept != dropped:
                merges = {name: kept if into == dropped else into for name, into in merges.items()} | {dropped: kept}
    return merges


def _named(name: str, heads: Mapping[str, Head]) -> Head:
    if name not in heads:
        raise unknown("head", name, heads)
    return heads[name]


def parse_value(head: Head, text: str) -> np.ndarray:
    """Parse the new outputs of a head, float64 ``[K]``: one-hot for a class, or the numbers, NaN for ``-``.

    Raises `ConfigError`: an unknown class, a wrong number of values, or a value out of range.
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
        raise ConfigError(f"{head.name} = {text[:60]!r}: expected {len(head)} {kind}, with - to keep a value")
    return numbers


def apply(edits: Iterable[LabelEdit], number: np.ndarray, labels: Labels, *, clips: Collection[str] = ()) -> int:
    """Change the labels of one person's frames in place; returns the number of edits that matched a frame.

    Parameters
    ----------
    number : ``[T]`` frame numbers, increasing.
    labels : ``[T]`` or ``[T, K]`` by head, see `skelemo.targets`.
    clips : heads with labels of the whole clip, which a correction of any frame changes.
    """
    matched = 0
    for edit in edits:
        first, last = np.searchsorted(number, edit.first), np.searchsorted(number, edit.last, side="right")
        matched += bool(last > first)
        for name, outputs in edit.outputs.items() if last > first else ():
            rows = slice(None) if name in clips else slice(int(first), int(last))
            _put(labels[name], rows, outputs)
    return matched


def _put(labels: np.ndarray, rows: slice, outputs: np.ndarray | None) -> None:
    if outputs is None:
        labels[rows] = -1 if labels.dtype.kind == "i" else np.nan
    elif labels.ndim == 1:
        labels[rows] = int(outputs.argmax())
    else:
        given = ~np.isnan(outputs)
        labels[rows, given] = outputs[given].astype(labels.dtype)
