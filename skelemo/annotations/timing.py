"""Intervals of time as intervals of frames, once the recording is known that they are for."""

from collections.abc import Sequence
from dataclasses import replace
from typing import NamedTuple

import numpy as np

from skelemo.annotations.registry import Annotation
from skelemo.errors import InputError
from skelemo.text import count

#: Of times, which are whole numbers of microseconds until they are frames.
TICKS = 1_000_000
_MINUTE = 60
#: Seconds by which labels in seconds may run on after the last frame.
_SLACK = 0.5


class Span(NamedTuple):
    """A recording's place in time: first and last frame number, and frames per second (0 for unknown)."""

    source: str
    first: int
    last: int
    fps: float

    @property
    def seconds(self) -> float:
        """From frame 0 to the end of the last frame."""
        return (self.last + 1) / self.fps


Labeled = tuple[tuple[Annotation, ...], ...]


def in_frames(annotations: Labeled, spans: Sequence[Span]) -> tuple[Labeled, list[str]]:
    """Annotations of recordings by frame number, and the recordings outside of which all of their labels lie.

    Times become the nearest frames, an end the frame before it. Labels that lie outside the recording are left out.

    Raises `InputError`: times of a recording whose frame rate is unknown; or starts and ends that may be frames or
    times.
    """
    pairs = [(one, span) for group, span in zip(annotations, spans, strict=True) for one in group]
    _require_frames([(one, span) for one, span in pairs if one.unit == "unknown"])
    outside = []
    placed = []
    for group, span in zip(annotations, spans, strict=True):
        mine = tuple(_placed(one, span) for one in group)
        if any(_rows(one) for one in group) and not any(one.number is None or _rows(one) for one in mine):
            outside.append(span.source)
        placed.append(mine)
    return tuple(placed), outside


def _rows(annotation: Annotation) -> int:
    return 0 if annotation.number is None else len(annotation.number)


def _placed(annotation: Annotation, span: Span) -> Annotation:
    if annotation.number is None or not len(annotation.number):
        return replace(annotation, unit="frames")
    start = annotation.number
    end = start if annotation.end is None else annotation.end
    if annotation.unit == "microseconds":
        if not span.fps:
            raise InputError(
                f"{annotation.source}: starts and ends for {annotation.video!r} are times, and the frame rate of its "
                "recording is unknown: say --fps, or --unit frames if they are frames"
            )
        start = np.rint(start * (span.fps / TICKS)).astype(np.int64)
        end = np.rint((end + 1) * (span.fps / TICKS)).astype(np.int64) - 1
        kept = start <= end
        annotation = replace(
            annotation,
            number=start[kept].astype(np.int32),
            end=end[kept].astype(np.int32),
            labels={name: values[kept] for name, values in annotation.labels.items()},
        )
        start, end = start[kept], end[kept]
    within = (start <= span.last) & (end >= span.first)
    if not within.any():
        nothing = np.zeros(0, np.int32)
        empty = {name: values[:0] for name, values in annotation.labels.items()}
        return replace(annotation, number=nothing, end=None, labels=empty, unit="frames")
    return replace(annotation, unit="frames")


def _require_frames(pairs: Sequence[tuple[Annotation, Span]]) -> None:
    """Whole numbers that no unit was said of: refuse those that cannot be frames, or that may be seconds too."""
    remedy = "say --unit frames, seconds or milliseconds"
    for one, span in pairs:
        if one.number is not None and len(one.number) and one.number[-1] > span.last:
            raise InputError(
                f"{one.source}: an interval of {one.video!r} begins at {one.number[-1]}, but its recording "
                f"{span.source} ends at frame {span.last}: are these frames at all? {remedy}"
            )
    timed = [(int(one.end[-1]), span) for one, span in pairs if one.end is not None and len(one.end)]
    if timed and all(end < _MINUTE and span.fps and end <= span.seconds + _SLACK for end, span in timed):
        end, span = max(timed, key=lambda pair: pair[0])
        raise InputError(
            f"{pairs[0][0].source}: starts and ends are whole numbers up to {end}, which may be frames or seconds of "
            f"{span.source} ({count(span.last + 1, 'frame')} in {span.seconds:.3g} s): {remedy}"
        )
