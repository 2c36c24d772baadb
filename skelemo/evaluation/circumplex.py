"""Mapping of valence and arousal to the nearest emotion: indicative, not a classifier."""

from collections.abc import Mapping, Sequence

import numpy as np
from numpy.typing import ArrayLike, NDArray

from skelemo.evaluation import metrics
from skelemo.targets import VA, Head, hard_labels

#: Valence and arousal of each emotion in [-1, 1]: pleasure and arousal of the terms happy, sad, angry, surprised,
#: disgusted and fearful in Russell & Mehrabian (1977), "Evidence for a three-factor theory of emotions"; neutral is the
#: origin by convention. In the order of class numbers.
PROTOTYPES: dict[str, tuple[float, float]] = {
    "happiness": (0.81, 0.51),
    "sadness": (-0.63, -0.27),
    "neutral": (0.0, 0.0),
    "anger": (-0.51, 0.59),
    "surprise": (0.40, 0.67),
    "disgust": (-0.60, 0.35),
    "fear": (-0.64, 0.60),
}


#: The head of emotions mapped from valence and arousal.
READING = Head("emotion", "classes", tuple(PROTOTYPES))
_NEUTRAL = READING.outputs.index("neutral")
#: Radii of neutral tried by `choose_radius`.
RADII = tuple(round(0.025 * step, 3) for step in range(33))


def nearest_emotion(valence: ArrayLike, arousal: ArrayLike, radius: ArrayLike) -> NDArray[np.int64]:
    """Index into `PROTOTYPES` of the nearest emotion, for valence and arousal ``[...]``; -1 for NaN.

    Indicative only: anger, fear and disgust are within 0.26 of one another in this plane (they differ in dominance),
    there is no published boundary of neutral, and published prototypes disagree.

    Parameters
    ----------
    radius : points within this distance of the origin are neutral, and no others; one for all or one each.
    """
    points = np.stack(np.broadcast_arrays(np.asarray(valence, np.float64), np.asarray(arousal, np.float64)), axis=-1)
    prototypes = np.array(list(PROTOTYPES.values()))  # [7, 2]
    distances = ((points[..., None, :] - prototypes) ** 2).sum(-1)  # [..., 7]
    distances[..., _NEUTRAL] = np.where(distances[..., _NEUTRAL] <= np.square(radius), -1, np.inf)
    found = np.where(np.isnan(distances), np.inf, distances).argmin(-1)
    return np.where(np.isnan(points).any(-1), -1, found)


def reads(heads: Sequence[Head]) -> bool:
    """Whether these heads include valence and arousal."""
    return VA in heads


def with_reading(outputs: Mapping[str, np.ndarray], radius: ArrayLike | None) -> dict[str, np.ndarray]:
    """Outputs by head and, with a radius, those of `READING`: one-hot, NaN if unknown."""
    if radius is None or VA.name not in outputs:
        return dict(outputs)
    valence, arousal = outputs[VA.name].T
    found = nearest_emotion(valence, arousal, radius)
    shares = np.where(found[:, None] < 0, np.nan, np.eye(len(READING))[found]).astype(np.float32)
    return {**outputs, READING.name: shares}


def labeled_emotions(heads: Sequence[Head]) -> Head | None:
    """The first head of classes with at least two of the seven emotions, or None."""
    return next((head for head in heads if head.kind == "classes" and len({*head.outputs} & {*PROTOTYPES}) > 1), None)


def as_emotions(head: Head, labels: np.ndarray) -> NDArray[np.int16]:
    """Labels of another head as class numbers of `READING`; -1 for other classes."""
    index = [READING.outputs.index(name) if name in READING.outputs else -1 for name in head.outputs]
    return np.asarray(np.array([*index, -1], np.int16)[hard_labels(labels)])


def choose_radius(outputs: Mapping[str, np.ndarray], emotions: NDArray[np.int16]) -> float:
    """The smallest radius of neutral with the best macro F1 against labels of `READING`."""
    known = emotions >= 0
    valence, arousal = outputs[VA.name][known].T

    def macro_f1(radius: float) -> float:
        found = metrics.confusion(emotions[known], nearest_emotion(valence, arousal, radius), len(READING))
        return round(float(metrics.macro_f1(found)), 9)

    return max(RADII, key=macro_f1)  # the first of equals
