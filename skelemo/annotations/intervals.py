"""Makes labeled intervals disjoint, and refuses contradicting overlaps."""

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np

from skelemo.errors import InputError
from skelemo.targets import labeled, unlabeled_like


@dataclass(frozen=True, eq=False)
class Intervals:
    """Labels of intervals of one video's frames; start and end are -1 for the whole video."""

    start: np.ndarray  # int64 [S], first frame
    end: np.ndarray  # int64 [S], last frame
    labels: Mapping[str, np.ndarray]  # by head, [S] or [S, K]; -1 or NaN unlabeled
    line: np.ndarray  # int64 [S], line in the file, for messages
    ticks: int = 1  # per frame or second
    remedy: str = ""  # advice on contradictions, for messages

    def __getitem__(self, rows: np.ndarray) -> "Intervals":
        labels = {name: values[rows] for name, values in self.labels.items()}
        return Intervals(self.start[rows], self.end[rows], labels, self.line[rows], self.ticks, self.remedy)

    def between(self, start: int, end: int) -> str:
        """Describe an interval for messages."""
        if self.ticks == 1:
            return f"the same frames ({start} to {end})"
        return f"the same time ({start / self.ticks:g} to {(end + 1) / self.ticks:g} s)"


def spread(intervals: Intervals, where: str) -> tuple[np.ndarray | None, np.ndarray | None, dict[str, np.ndarray]]:
    """First and last frames int64 ``[R]`` of disjoint intervals in order, and their labels.

    Intervals of different heads may overlap: all are cut where any begins or ends, so R is at most twice the number of
    rows. A label of the whole video gives None, None and one row.

    Raises `InputError`: labels of overlapping intervals differ, or both the whole video and some frames are labeled.
    """
    if len(intervals.start) == 1 and intervals.start[0] < 0:
        return None, None, dict(intervals.labels)
    known = {name: labeled(values) for name, values in intervals.labels.items()}
    given, whole = np.any([*known.values()], axis=0), intervals.start < 0
    if (whole & given).any() and (~whole).any():
        clip, framed = intervals.line[whole & given][0], intervals.line[~whole][0]
        raise InputError(
            f"{where}: line {clip} labels the whole video, line {framed} some frames; expected one or the other"
        )
    if whole.all():
        rows = {name: _one_row(values, known[name], intervals.line, where) for name, values in intervals.labels.items()}
        return None, None, rows
    framed = intervals[~whole]
    edges = np.unique(np.concatenate([framed.start, framed.end + 1]))
    covered = _covering(framed, np.zeros((len(framed.start), 0)), edges, where) >= 0
    pieces = edges[covered]
    labels = {}
    for name, values in framed.labels.items():
        given = np.flatnonzero(labeled(values))
        row = _covering(framed[given], values.reshape(len(values), -1)[given], pieces, where)
        labels[name] = unlabeled_like(values, len(pieces))
        labels[name][row >= 0] = values[given[row[row >= 0]]]
    return pieces, edges[1:][covered[:-1]] - 1, labels


def _one_row(values: np.ndarray, known: np.ndarray, line: np.ndarray, where: str) -> np.ndarray:
    """The label of a whole video, which may be repeated in several rows."""
    given, lines = values.reshape(len(values), -1)[known], line[known]
    differs = (given != given[:1]).any(1)
    if differs.any():
        raise InputError(f"{where}: lines {lines[0]} and {lines[differs.argmax()]} label this video differently")
    return values[known][:1] if len(given) else values[:1]


def _covering(intervals: Intervals, values: np.ndarray, frames: np.ndarray, where: str) -> np.ndarray:
    """Index of an interval that covers each frame ``[N]``, -1 without one; refuses overlaps with different values.

    Sorted by start, an interval overlaps an earlier one if it begins before the furthest end so far. If no overlapping
    interval differs from its predecessor, all overlapping intervals agree.
    """
    if not len(intervals.start):
        return np.full(len(frames), -1)
    order = np.lexsort((intervals.end, intervals.start))
    start, end, values = intervals.start[order], intervals.end[order], values[order]
    reach = np.maximum.accumulate(end)
    clash = (start[1:] <= reach[:-1]) & (values[1:] != values[:-1]).any(axis=1)
    if clash.any():
        second = int(clash.argmax()) + 1
        first = int(end[:second].argmax())
        lines = sorted((int(intervals.line[order[first]]), int(intervals.line[order[second]])))
        raise InputError(
            f"{where}: lines {lines[0]} and {lines[1]} label "
            f"{intervals.between(start[second], min(end[first], end[second]))} differently; "
            f"expected one label per frame{intervals.remedy}"
        )
    at = np.searchsorted(start, frames, side="right") - 1
    return np.where((at >= 0) & (frames <= reach[at]), order[at], -1)
