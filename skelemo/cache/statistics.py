"""What sequences have of their frames, counted once when they are written, so that no frame is read to report it."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from skelemo.errors import CacheError
from skelemo.skeleton import Layout

#: Type of every count.
COUNT_TYPE: np.dtype = np.dtype("<i8")


@dataclass(frozen=True, eq=False)
class Counts:
    """Counts of each sequence, as the columns of the same names in ``/sequences`` hold them, all int64.

    Parameters
    ----------
    seen : ``[S]`` frames in which any point of the person was seen.
    points : ``[S, P]`` points seen of each part of the layout, in all frames together.
    labels : ``[S, C + 1]`` frames of each class, and of none.
    rated : ``[S]`` frames with a valence or an arousal.
    """

    seen: np.ndarray
    points: np.ndarray
    labels: np.ndarray
    rated: np.ndarray

    def has(self, row: int, counted: Mapping[str, Any]) -> bool:
        """Whether the counts of a row are those that `count` gives."""
        return all(np.array_equal(array[row], counted[name]) for name, array in vars(self).items())

    def of(self, rows: np.ndarray) -> "Counts":
        """The counts of some of the sequences, by a mask or their rows."""
        return Counts(*(array[rows] for array in vars(self).values()))


def joined(counts: Sequence[Counts]) -> Counts:
    """The counts of several shards, one behind the other; at least one."""
    return Counts(*(np.concatenate(arrays) for arrays in zip(*(vars(one).values() for one in counts), strict=True)))


def points_seen(keypoints: np.ndarray) -> np.ndarray:
    """How many of the ``[T, V]`` points are seen, by point, and behind them the frames with any: int64 ``[V + 1]``."""
    there = keypoints[..., 2] > 0
    return np.append(there.sum(0), there.any(1).sum()).astype(COUNT_TYPE)


def by_part(points: np.ndarray, layout: Layout) -> np.ndarray:
    """Points seen of each part, int64 ``[P]``, from those of each point ``[V]``."""
    return np.array([points[where].sum() for where in layout.slices.values()], COUNT_TYPE)


def count(seen: np.ndarray, frames: Mapping[str, np.ndarray], layout: Layout, classes: int) -> dict[str, Any]:
    """The counts of one sequence, as its row in ``/sequences`` has them.

    Parameters
    ----------
    seen : what `points_seen` found, ``[V + 1]``.
    frames : its ``expression``, ``valence`` and ``arousal``.
    """
    return {
        "seen": int(seen[-1]),
        "points": by_part(seen[:-1], layout),
        "labels": frames_by_class(frames["expression"], classes),
        "rated": int(np.count_nonzero(~(np.isnan(frames["valence"]) & np.isnan(frames["arousal"])))),
    }


def frames_by_class(expression: np.ndarray, classes: int) -> np.ndarray:
    """Frames of each class and, behind them, of none: int64 ``[C + 1]``."""
    found = np.bincount(expression.astype(np.intp) + 1, minlength=classes + 1).astype(COUNT_TYPE)
    return np.roll(found, -1)


def require_possible(counts: Counts, length: np.ndarray, layout: Layout) -> None:
    """Refuse counts that no sequences of these lengths ``[S]`` can have.

    Raises
    ------
    CacheError
        A count below 0 or beyond the frames or points that there are, or classes that do not make up the length.
    """
    most = np.array([len(part) for part in layout.parts], COUNT_TYPE)
    # Each is bounded before it is multiplied or summed, so that nothing overflows.
    possible = _within(counts.seen, length) and _within(counts.rated, length) and _within(counts.labels.T, length)
    possible = possible and _within(counts.points, counts.seen[:, None] * most)
    possible = possible and bool((counts.points.sum(1) >= counts.seen).all())
    if not (possible and (counts.labels.sum(1) == length).all()):
        raise CacheError("the counts of points seen or of labelled frames are none that the sequences can have")


def _within(counts: np.ndarray, most: np.ndarray) -> bool:
    return bool(((counts >= 0) & (counts <= most)).all())
