"""Counts of visible points and labels, stored with each sequence, so that reports read no frames."""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from skelemo.skeleton import Layout
from skelemo.targets import Head, hard_labels

#: Type of every count.
COUNT_TYPE: np.dtype = np.dtype("<i8")


@dataclass(frozen=True, eq=False)
class Counts:
    """Counts of each sequence, columns of ``/sequences``, all int64.

    ``labels`` of a head are ``[S, 1 + K]``: labeled frames, then frames of each class (the largest share), with each
    flag set, or with each value.
    """

    seen: np.ndarray  # [S] frames with any visible point
    points: np.ndarray  # [S, P] visible points of each part of the layout, over all frames
    labels: Mapping[str, np.ndarray]

    def of(self, rows: np.ndarray) -> "Counts":
        """Select sequences, by mask or rows."""
        return Counts(self.seen[rows], self.points[rows], {name: array[rows] for name, array in self.labels.items()})


def joined(counts: Sequence[Counts], heads: Iterable[Head]) -> Counts:
    """Concatenate the counts of one or more shards; 0 for heads that a shard lacks."""
    labels = {
        head.name: np.concatenate(
            [part.labels.get(head.name, np.zeros((len(part.seen), 1 + len(head)), COUNT_TYPE)) for part in counts]
        )
        for head in heads
    }
    seen, points = (np.concatenate([getattr(part, name) for part in counts]) for name in ("seen", "points"))
    return Counts(seen, points, labels)


def points_seen(keypoints: np.ndarray) -> np.ndarray:
    """Number of frames in which each point is visible, then of frames with any visible point: int64 ``[V + 1]``."""
    visible = keypoints[..., 2] > 0
    return np.append(visible.sum(0), visible.any(1).sum()).astype(COUNT_TYPE)


def by_part(points: np.ndarray, layout: Layout) -> np.ndarray:
    """Sum counts by point ``[V]`` over each part: int64 ``[P]``."""
    return np.array([points[where].sum() for where in layout.slices.values()], COUNT_TYPE)


def count(seen: np.ndarray, labels: Mapping[str, np.ndarray], layout: Layout, heads: Iterable[Head]) -> dict[str, Any]:
    """The counts of one sequence, for its row in ``/sequences``; ``seen`` is from `points_seen`."""
    counts = {f"labels/{head.name}": count_labels(head, labels.get(head.name)) for head in heads}
    return {"seen": int(seen[-1]), "points": by_part(seen[:-1], layout), **counts}


def count_labels(head: Head, labels: np.ndarray | None) -> np.ndarray:
    """Number of labeled frames, then of frames with each output: int64 ``[1 + K]``, see `Counts`."""
    if labels is None:
        return np.zeros(1 + len(head), COUNT_TYPE)
    if head.kind == "classes":
        numbers = hard_labels(labels)
        each = np.bincount(numbers[numbers >= 0], minlength=len(head))
    else:
        each = (labels == 1 if head.kind == "flags" else ~np.isnan(labels)).sum(0)
    return np.append(head.labeled(labels).sum(), each).astype(COUNT_TYPE)


def name_counts(head: Head, counts: np.ndarray) -> dict[str, int]:
    """Counts of a head, ``[1 + K]``, by output; that of labeled frames has an empty name."""
    outputs = () if head.outputs == (head.name,) else head.outputs
    return dict(zip(("", *outputs), counts.tolist(), strict=False))
