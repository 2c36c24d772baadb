"""Detects and converts the body model of a recording, and canonicalizes missing points."""

from dataclasses import dataclass

import numpy as np

from skelemo.skeleton import BODY_25, BODY_25B, Layout, Part
from skelemo.skeleton.mapping import by_name

# A model wins if limb lengths are shorter than this ratio to the other's: the wrong one connects hips to ears.
_MAX_RATIO = 0.85
_MIN_LIMBS = 6  # visible limbs for a body to count
_BODIES = 2000  # sampled evenly from the recording

# Rows per block, so that temporary arrays stay in the CPU cache.
_ROWS = 512


@dataclass(frozen=True)
class Extent:
    """Extent of each person, arrays ``[P]``, from `canonicalize`."""

    seen: np.ndarray  # int, number of visible points
    low: np.ndarray  # float32, minimum of 0 and the coordinates of visible points
    high: np.ndarray  # float32, maximum of 0 and the coordinates and confidences of visible points
    minus_one: np.ndarray  # bool, whether a missing point has x = -1

    @property
    def reach(self) -> np.ndarray:
        """Largest absolute coordinate, float32 ``[P]``."""
        return np.maximum(self.high, -self.low)

    def of(self, people: np.ndarray) -> "Extent":
        """Select people, by mask or rows."""
        return Extent(self.seen[people], self.low[people], self.high[people], self.minus_one[people])


def convert(body: np.ndarray, model: Part, part: Part) -> None:
    """Reorder the first ``len(model)`` points of ``[P, V, 3]`` from the model to the part by name, in place."""
    for start in range(0, len(body), _ROWS):
        rows = body[start : start + _ROWS]
        rows[:] = by_name(part, rows[:, : len(model)], model.keypoints)


def detect_model(body: np.ndarray) -> Part | None:
    """Whether bodies of 25 points ``[P, 25, 3]`` are BODY_25 or BODY_25B; None if undecided.

    Each body votes for the model in which its limbs are clearly shorter on average.
    """
    body = body[:: max(len(body) // _BODIES, 1)]
    first, second = (_limb_length(body, model) for model in (BODY_25, BODY_25B))
    votes = int((first < _MAX_RATIO * second).sum()), int((second < _MAX_RATIO * first).sum())
    if votes[0] == votes[1]:
        return None
    return BODY_25 if votes[0] > votes[1] else BODY_25B


def _limb_length(body: np.ndarray, model: Part) -> np.ndarray:
    """Mean length of each body's visible limbs, ``[P]``; NaN if fewer than `_MIN_LIMBS`."""
    first, second = np.array(model.limbs).T
    visible = (body[:, first, 2] > 0) & (body[:, second, 2] > 0)
    with np.errstate(invalid="ignore"):  # garbage may be infinite
        length = np.linalg.norm(body[:, first, :2].astype(float) - body[:, second, :2], axis=2)
    limbs = visible.sum(axis=1)
    total = np.where(visible, length, 0).sum(axis=1)
    return np.where(limbs >= _MIN_LIMBS, total / np.maximum(limbs, 1), np.nan)


def points_of_model(layout: Layout, model: Part | None) -> np.ndarray:
    """Indices on V of the points that a body model provides; empty without a body."""
    if not (layout.body and model):
        return np.arange(0)
    shared = [layout.body.index(name) for name in model.keypoints if name in layout.body.keypoints]
    return layout.slices[layout.body.name].start + np.array(shared, int)


def canonicalize(points: np.ndarray) -> Extent:
    """Set missing points to ``(0, 0, 0)`` and limit confidence to 1, in place.

    A point is missing if its confidence is not above 0, whatever its coordinates: OpenPose rescales missing points too
    (``keypointScaler.cpp``), and the peak of a face's heat map may be -0.0002 or 1.05.

    Parameters
    ----------
    points : float32 ``[P, V, 3]``, as in the files.
    """
    count = len(points)
    low, high = np.zeros((2, count), np.float32)
    extent = Extent(np.zeros(count, np.int64), low, high, np.zeros(count, bool))
    for start in range(0, count, _ROWS):
        block = slice(start, start + _ROWS)
        rows = points[block]
        confidence = rows[..., 2]
        missing = ~(confidence > 0)
        extent.minus_one[block] = (missing & (rows[..., 0] == -1)).any(axis=1)
        rows[missing] = 0
        np.minimum(confidence, 1, out=confidence)
        flat = rows.reshape(len(rows), -1)
        extent.seen[block] = missing.shape[1] - missing.sum(axis=1)
        extent.low[block] = flat.min(axis=1, initial=0)
        extent.high[block] = flat.max(axis=1, initial=0)
    return extent
