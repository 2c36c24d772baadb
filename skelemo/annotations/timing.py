"""Converts intervals of time to frames, given the recording."""

from collections.abc import Sequence
from dataclasses import replace
from typing import NamedTuple

import numpy as np

from skelemo.annotations.registry import Annotation
from skelemo.errors import InputError
from skelemo.text import count

#: Times are integers in microseconds.
TICKS = 1_000_000
_MINUTE = 60
#: Seconds by which labels in seconds may extend beyond the last frame.
_SLACK = 0.5


class Span(NamedTuple):
    """First and last frame number of a recording, and its frames per second (0 for unknown)."""

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
    """Convert annotations to frame numbers; also returns the recordings with all labels outside.

    Times become the nearest frames, ends the frame before. Labels outside the recording are dropped.

    Raises `InputError`: the frame rate for times is unknown, or starts and ends may be frames or times.
    """
    groups = list(zip(annotations, spans, strict=True))
    _require_frames([(label, span) for group, span in groups for label in group if label.unit == "unknown"])
    converted = tuple(tuple(_in_frames(label, span) for label in group) for group, span in groups)
    outside = [
        span.source
        for (group, span), labels in zip(groups, converted, strict=True)
        if any(map(_rows, group)) and not any(label.number is None or _rows(label) for label in labels)
    ]
    return converted, outside


def _rows(annotation: Annotation) -> int:
    return 0 if annotation.number is None else len(annotation.number)


def _in_frames(annotation: Annotation, span: Span) -> Annotation:
    if annotation.number is None:
        return replace(annotation, unit="frames")
    start = annotation.number
    end = start if annotation.end is None else annotation.end
    if annotation.unit == "microseconds":
        if not span.fps:
            raise InputError(
                f"{annotation.source}: starts and ends for {annotation.video!r} are times, but the frame rate of its "
                "recording is unknown: give --fps, or --unit frames if they are frames"
            )
        start = np.rint(start * (span.fps / TICKS)).astype(np.int64)
        end = np.rint((end + 1) * (span.fps / TICKS)).astype(np.int64) - 1
    kept = start <= end  # not shorter than half a frame
    kept &= (kept & (start <= span.last) & (end >= span.first)).any()
    return replace(
        annotation,
        number=start[kept].astype(np.int32),
        end=None if annotation.end is None else end[kept].astype(np.int32),
        labels={name: values[kept] for name, values in annotation.labels.items()},
        unit="frames",
    )


def _require_frames(pairs: Sequence[tuple[Annotation, Span]]) -> None:
    """Refuse integers without a unit that cannot be frames, or that may be seconds."""
    remedy = "give --unit frames, seconds or milliseconds"
    for label, span in pairs:
        if label.number is not None and len(label.number) and label.number[-1] > span.last:
            raise InputError(
                f"{label.source}: an interval of {label.video!r} begins at {label.number[-1]}, but its recording "
                f"{span.source} ends at frame {span.last}: are these frames? {remedy}"
            )
    timed = [(int(label.end[-1]), span) for label, span in pairs if label.end is not None and len(label.end)]
    if timed and all(end < _MINUTE and span.fps and end <= span.seconds + _SLACK for end, span in timed):
        end, span = max(timed, key=lambda pair: pair[0])
        raise InputError(
            f"{pairs[0][0].source}: starts and ends are integers up to {end}, which may be frames or seconds of "
            f"{span.source} ({count(span.last + 1, 'frame')} in {span.seconds:.3g} s): {remedy}"
        )
