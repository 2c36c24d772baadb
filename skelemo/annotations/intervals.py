"""From labels of stretches of frames to labels of frames, refusing those that overlap and disagree."""

from dataclasses import dataclass

import numpy as np

from skelemo.errors import InputError

Labels = tuple[np.ndarray | None, np.ndarray, np.ndarray, np.ndarray]


@dataclass(frozen=True, eq=False)
class Stretches:
    """Labels of stretches of one video's frames; start and end -1 stand for the whole video."""

    start: np.ndarray  # int64 [S], first frame
    end: np.ndarray  # int64 [S], last frame
    expression: np.ndarray  # int8 [S], -1 unlabelled
    valence: np.ndarray  # float32 [S], NaN unlabelled
    arousal: np.ndarray  # float32 [S], NaN unlabelled
    line: np.ndarray  # int64 [S], line in the file, for messages

    def __getitem__(self, rows: np.ndarray) -> "Stretches":
        columns = (self.start, self.end, self.expression, self.valence, self.arousal, self.line)
        return Stretches(*(column[rows] for column in columns))


def spread(stretches: Stretches, where: str) -> Labels:
    """Frame numbers int32 [R], increasing, with expression int8, valence and arousal float32 [R].

    The class and the valence and arousal of a frame may come from different stretches. Labels of the whole video alone
    give one row and None for the numbers.

    Raises
    ------
    InputError
        Two stretches share a frame and differ, or the whole video and some of its frames are labelled.
    """
    if len(stretches.start) == 1 and stretches.start[0] < 0:
        return None, stretches.expression, stretches.valence, stretches.arousal
    labelled = (stretches.expression >= 0) | ~np.isnan(stretches.valence)
    whole = stretches.start < 0
    if (whole & labelled).any() and (~whole).any():
        clip, part = stretches.line[whole & labelled][0], stretches.line[~whole][0]
        raise InputError(
            f"{where}: line {clip} labels the whole video, line {part} frames of it; expected one or the other"
        )
    if whole.all():
        return _whole_video(stretches, where)
    framed = stretches[~whole]
    classes = framed[framed.expression >= 0]
    scored = framed[~np.isnan(framed.valence)]
    number = _frames(*_apart(framed, np.zeros((len(framed.start), 0)), where)[:2]).astype(np.int32)
    expression = np.full(len(number), -1, np.int8)
    va = np.full((len(number), 2), np.nan, np.float32)
    _fill(expression[:, None], number, classes, classes.expression[:, None], where)
    _fill(va, number, scored, np.stack([scored.valence, scored.arousal], axis=1), where)
    return number, expression, va[:, 0], va[:, 1]


def _whole_video(stretches: Stretches, where: str) -> Labels:
    expression = np.full((1, 1), -1, np.int8)
    va = np.full((1, 2), np.nan, np.float32)
    for out, given, labelled in (
        (expression, stretches.expression[:, None], stretches.expression >= 0),
        (va, np.stack([stretches.valence, stretches.arousal], axis=1), ~np.isnan(stretches.valence)),
    ):
        values, lines = given[labelled], stretches.line[labelled]
        differs = (values != values[:1]).any(axis=1)
        if differs.any():
            raise InputError(f"{where}: lines {lines[0]} and {lines[differs.argmax()]} label this video differently")
        out[: len(values)] = values[:1]
    return None, expression[:, 0], va[:, 0], va[:, 1]


def _fill(out: np.ndarray, number: np.ndarray, stretches: Stretches, values: np.ndarray, where: str) -> None:
    """Write each stretch's values [S, K] into the rows ``out`` [R, K] of its frames."""
    start, end, order = _apart(stretches, values, where)
    rows = np.searchsorted(number, _frames(start, end))
    out[rows] = np.repeat(values[order], end - start + 1, axis=0)


def _apart(stretches: Stretches, values: np.ndarray, where: str) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Cut stretches so that none overlap: starts and ends in order, and the stretch that each came from.

    In order of their starts a stretch overlaps an earlier one if it begins before the furthest end so far. As long as
    none differs from its predecessor there, all that overlap agree.
    """
    order = np.lexsort((stretches.end, stretches.start))
    start, end, values = stretches.start[order], stretches.end[order], values[order]
    reached = np.maximum.accumulate(np.concatenate([[-1], end[:-1]])) if len(end) else end
    differs = np.concatenate([[False], (values[1:] != values[:-1]).any(axis=1)]) if len(end) else np.zeros(0, bool)
    clash = (start <= reached) & differs
    if clash.any():
        second = int(clash.argmax())
        first = int(end[:second].argmax())
        lines = sorted((int(stretches.line[order[first]]), int(stretches.line[order[second]])))
        raise InputError(
            f"{where}: lines {lines[0]} and {lines[1]} label the same frames ({start[second]} to "
            f"{min(end[first], end[second])}) differently; expected one label for a frame"
        )
    start = np.maximum(start, reached + 1)
    kept = start <= end
    return start[kept], end[kept], order[kept]


def _frames(start: np.ndarray, end: np.ndarray) -> np.ndarray:
    """All frames of stretches that lie apart and in order."""
    lengths = end - start + 1
    before = np.cumsum(lengths) - lengths
    return np.arange(lengths.sum()) + np.repeat(start - before, lengths)
