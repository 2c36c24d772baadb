"""Valence and arousal to the nearest emotion: a rough reading, not a classifier."""

import numpy as np
from numpy.typing import ArrayLike, NDArray

#: Valence and arousal of each emotion in [-1, 1]: pleasure and arousal of Russell & Mehrabian (1977), "Evidence for a
#: three-factor theory of emotions", terms happy, sad, angry, surprised, disgusted, fearful; neutral is the origin
#: by convention. In the order that class numbers have everywhere.
PROTOTYPES: dict[str, tuple[float, float]] = {
    "happiness": (0.81, 0.51),
    "sadness": (-0.63, -0.27),
    "neutral": (0.0, 0.0),
    "anger": (-0.51, 0.59),
    "surprise": (0.40, 0.67),
    "disgust": (-0.60, 0.35),
    "fear": (-0.64, 0.60),
}


def nearest_emotion(valence: ArrayLike, arousal: ArrayLike) -> NDArray[np.int64]:
    """Index into `PROTOTYPES` of the nearest emotion, for valence and arousal of one shape ``[...]``; -1 for NaN.

    Indicative only. Anger, fear and disgust lie within 0.26 of one another in this plane (it takes dominance to tell
    them apart), no published rule says where neutral ends, and the published prototypes differ among themselves.
    """
    points = np.stack(np.broadcast_arrays(np.asarray(valence, np.float64), np.asarray(arousal, np.float64)), axis=-1)
    prototypes = np.array(list(PROTOTYPES.values()))  # [7, 2]
    distances = ((points[..., None, :] - prototypes) ** 2).sum(-1)  # [..., 7]
    found = np.where(np.isnan(distances), np.inf, distances).argmin(-1)
    return np.where(np.isnan(points).any(-1), -1, found)
