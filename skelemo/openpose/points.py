"""Keypoints of a whole recording: detecting and converting the body model, and missing points."""

from dataclasses import dataclass

import numpy as np

from skelemo.skeleton import BODY_25, BODY_25B, Part
from skelemo.skeleton.mapping import between

# Ratio of limb lengths that decides between two models: the wrong one connects hips to ears.
_SHORTER = 0.85
_LIMBS = 6  # visible limbs for a body to count
_BODIES = 2000  # sampled evenly from the recording

# Rows at a time, so that temporary arrays stay in the CPU cache.
_ROWS = 512


@dataclass(frozen=True)
class Extent:
    """Extent of each person, arrays ``[P]``, from `settle`."""

    seen: np.ndarray  # int, number of visible points
    low: np.ndarray  # float32, least coordinate of visible points, at most 0
    high: np.ndarray  # float32, greatest coordinate or confidence of visible points, at least 0
    minus: np.ndarray  # bool, whether a missing point has x = -1

    @property
    def reach(self) -> np.ndarray:
        """Largest absolute coordinate, float32 ``[P]``."""
        return np.maximum(self.high, -self.low)

    def of(self, people: np.ndarray) -> "Extent":
        """The extent of some people, by mask or rows."""
        return Extent(self.seen[people], self.low[people], self.high[people], self.minus[people])


def convert(body: np.ndarray, model: Part, part: Part) -> None:
    """Reorder the first ``len(model)`` points of ``[P, V, 3]`` from the model to the part by name, in place.

    Points of the part that the model lacks are missing; those of the model that the part lacks are dropped (Head and
    Chest of MPI, HeadTop of BODY_25B). A point halfway between two others, such as MidHip, has the lower confidence of
    the two, so it is missing if either is.
    """
    there, here = shared_points(model, part)
    for start in range(0, len(body), _ROWS):
        rows = body[start : start + _ROWS]
        found = rows[:, there]
        rows[:] = 0
        rows[:, here] = found
        for middle, (one, other) in part.halfway.items():
            if middle not in here:
                rows[:, middle] = between(rows[:, [one, other]])


def model_of(body: np.ndarray) -> Part | None:
    """Whether bodies of 25 points ``[P, 25, 3]`` are BODY_25 or BODY_25B; None if undecided.

    Each body votes for the model in which its limbs are clearly shorter on average.
    """
    body = body[:: max(len(body) // _BODIES, 1)]
    one, other = (_limb_length(body, model) for model in (BODY_25, BODY_25B))
    votes = int((one < _SHORTER * other).sum()), int((other < _SHORTER * one).sum())
    if votes[0] == votes[1]:
        return None
    return BODY_25 if votes[0] > votes[1] else BODY_25B


def _limb_length(body: np.ndarray, model: Part) -> np.ndarray:
    """Mean length of each body's visible limbs, ``[P]``; NaN for too few of them."""
    first, second = np.array(model.limbs).T
    visible = (body[:, first, 2] > 0) & (body[:, second, 2] > 0)
    with np.errstate(invalid="ignore"):  # garbage may be infinite
        length = np.linalg.norm(body[:, first, :2].astype(float) - body[:, second, :2], axis=2)
    limbs = visible.sum(axis=1)
    total = np.where(visible, length, 0).sum(axis=1)
    return np.where(limbs >= _LIMBS, total / np.maximum(limbs, 1), np.nan)


def shared_points(model: Part, part: Part) -> tuple[list[int], list[int]]:
    """Positions, in a body model and in a part, of the keypoints with common names."""
    names = [name for name in model.keypoints if name in part.keypoints]
    return [model.index(name) for name in names], [part.index(name) for name in names]


def settle(points: np.ndarray) -> Extent:
    """Normalize points to the cache's conventions, in place: missing ones ``(0, 0, 0)``, confidence at most 1.

    A point is missing if its confidence is not above 0, at any position: OpenPose rescales missing points too
    (``keypointScaler.cpp``), and the peak of a face's heat map may be -0.0002 as well as 1.05.

    Parameters
    ----------
    points : float32 ``[P, V, 3]``, as in the files.
    """
    count = len(points)
    low, high = np.zeros((2, count), np.float32)
    extent = Extent(np.zeros(count, np.int64), low, high, np.zeros(count, bool))
    for start in range(0, count, _ROWS):
        part = slice(start, start + _ROWS)
        rows = points[part]
        confidence = rows[..., 2]
        missing = ~(confidence > 0)
        extent.minus[part] = (missing & (rows[..., 0] == -1)).any(axis=1)
        rows[missing] = 0
        np.minimum(confidence, 1, out=confidence)
        flat = rows.reshape(len(rows), -1)
        extent.seen[part] = missing.shape[1] - missing.sum(axis=1)
        extent.low[part] = flat.min(axis=1, initial=0)
        extent.high[part] = flat.max(axis=1, initial=0)
    return extent
