"""Coordinates that a model can compare between people: by part, or within the picture.

As in `cleaning`, keypoints ``[N, V, 3]`` are whole sequences laid end to end and ``sequence [N]`` counts them. Scale is
one number per sequence, so that motion survives; the origin (and the face's turn) is found in each frame.
"""

from collections.abc import Callable

import numpy as np
import pandas as pd

from skelemo.skeleton import BODY_25, FACE_70, Layout

_RIGHT_EYE = [FACE_70.index(f"REye{i}") for i in range(6)]
_LEFT_EYE = [FACE_70.index(f"LEye{i}") for i in range(6)]
_MIDDLE_KNUCKLE = 9

#: Points closer than this, in whatever unit, fall together and are no measure of anything.
_LEAST_LENGTH = 1e-6


def by_part(keypoints: np.ndarray, sequence: np.ndarray, layout: Layout) -> np.ndarray:
    """Each part in its own frame of reference.

    The body lies around the mid-hip in units of the clip's torso length, the face around the point between the eyes,
    level, in units of the clip's inter-ocular distance, a hand around its wrist in units of wrist to middle knuckle.
    Where a clip never shows what a rule needs, the next one serves: neck and shoulder width, then the mean and spread
    of what is seen.
    """
    out = np.zeros_like(keypoints)
    rules = {BODY_25.name: _body, FACE_70.name: _face}
    for part in layout.parts:
        where = layout.slices[part.name]
        out[:, where] = rules.get(part.name, _hand)(keypoints[:, where], sequence)
    return out


def in_picture(keypoints: np.ndarray, size: np.ndarray, scale: np.ndarray) -> np.ndarray:
    """Coordinates in the whole picture: centred, its longer side reaching from -0.5 to 0.5.

    Parameters
    ----------
    size : ``[N, 2]`` width and height of each frame's picture in pixels.
    scale : ``[N]`` what the coordinates are in: ``pixels``, ``unit`` for [0, 1] or ``signed`` for [-1, 1].
    """
    longer = size.max(-1, keepdims=True)
    half = size / longer / 2
    unit, signed = (scale == "unit")[:, None], (scale == "signed")[:, None]
    factor = np.where(signed, half, np.where(unit, 2 * half, 1 / longer))
    offset = np.where(signed, 0, -half)
    return _shown(keypoints[..., :2] * _to_points(factor) + _to_points(offset), keypoints)


def _body(points: np.ndarray, sequence: np.ndarray) -> np.ndarray:
    hip, neck = points[:, BODY_25.index("MidHip")], points[:, BODY_25.index("Neck")]
    right, left = points[:, BODY_25.index("RShoulder")], points[:, BODY_25.index("LShoulder")]
    scale = _first_known(
        _clip_median(_distance(neck, hip), sequence),
        lambda: _clip_median(_distance(right, left), sequence),
        lambda: _spread(points, sequence),
    )
    # Where the hip is hidden for a moment it is expected where the clip usually has it below the neck.
    both = (hip[:, 2] > 0) & (neck[:, 2] > 0)
    usual = _clip_median(np.where(both[:, None], hip[:, :2] - neck[:, :2], np.nan), sequence)
    below_neck = np.where(neck[:, 2:] > 0, neck[:, :2] + np.nan_to_num(usual), np.nan)
    return _place(points, _first_known(_position(hip), lambda: below_neck, lambda: _mean_seen(points)), scale)


def _face(points: np.ndarray, sequence: np.ndarray) -> np.ndarray:
    right, left = _mean_seen(points[:, _RIGHT_EYE]), _mean_seen(points[:, _LEFT_EYE])
    across = left - right  # from the subject's right eye to the left one: towards +x in a level face
    length = np.hypot(across[:, 0], across[:, 1])
    length = np.where(length > _LEAST_LENGTH, length, np.nan)
    scale = _first_known(_clip_median(length, sequence), lambda: _spread(points, sequence))
    placed = _place(points, _first_known((left + right) / 2, lambda: _mean_seen(points)), scale)
    turn = np.where(np.isnan(length)[:, None], (1, 0), across / length[:, None])
    cosine, sine = turn.T.astype(np.float32)[..., None]  # [N, 1] each
    x, y = placed[..., 0], placed[..., 1]
    return np.stack([x * cosine + y * sine, y * cosine - x * sine, placed[..., 2]], -1)


def _hand(points: np.ndarray, sequence: np.ndarray) -> np.ndarray:
    wrist, knuckle = points[:, 0], points[:, _MIDDLE_KNUCKLE]
    scale = _first_known(_clip_median(_distance(wrist, knuckle), sequence), lambda: _spread(points, sequence))
    return _place(points, _first_known(_position(wrist), lambda: _mean_seen(points)), scale)


def _place(points: np.ndarray, origin: np.ndarray, scale: np.ndarray) -> np.ndarray:
    """Move the origin ``[N, 2]`` to 0 and divide by the scale ``[N]``; a clip without a scale shows nothing."""
    factor = np.where(np.isnan(scale), 0, 1 / scale)[:, None]
    placed = (points[..., :2] - _to_points(np.nan_to_num(origin))) * _to_points(factor)
    return _shown(placed, points * _to_points(factor > 0))


def _shown(places: np.ndarray, points: np.ndarray) -> np.ndarray:
    """``[N, V, 3]`` the places ``[N, V, 2]`` with the points' confidence, zeros where a point is missing."""
    confidence = np.maximum(points[..., 2:], 0)
    return np.concatenate([np.where(confidence > 0, places, np.float32(0)), confidence], -1)


def _to_points(values: np.ndarray) -> np.ndarray:
    """``[N, K]`` by frame to float32 ``[N, 1, K]``, the same for each of its points."""
    return values.astype(np.float32)[:, None]


def _position(point: np.ndarray) -> np.ndarray:
    return np.where(point[:, 2:] > 0, point[:, :2], np.nan)


def _distance(a: np.ndarray, b: np.ndarray) -> np.ndarray:
    """Distance of two points by frame, NaN where one is missing or both fall together."""
    length = np.hypot(a[:, 0] - b[:, 0], a[:, 1] - b[:, 1])
    return np.where((a[:, 2] > 0) & (b[:, 2] > 0) & (length > _LEAST_LENGTH), length, np.nan)


def _mean_seen(points: np.ndarray) -> np.ndarray:
    seen = points[..., 2:] > 0
    count = seen.sum(1)
    return np.where(count > 0, (points[..., :2] * seen).sum(1, dtype=float) / np.maximum(count, 1), np.nan)


def _spread(points: np.ndarray, sequence: np.ndarray) -> np.ndarray:
    """Clip median of the root mean square distance from the mean of the seen points."""
    seen = points[..., 2:] > 0
    count = seen.sum((1, 2))
    offset = np.where(seen, points[..., :2] - np.nan_to_num(_mean_seen(points))[:, None], 0)
    spread = np.sqrt((offset**2).sum((1, 2)) / np.maximum(count, 1))
    return _clip_median(np.where((count > 1) & (spread > _LEAST_LENGTH), spread, np.nan), sequence)


def _clip_median(values: np.ndarray, sequence: np.ndarray) -> np.ndarray:
    """Median over each sequence's frames, NaN left out, repeated for every frame."""
    table = pd.DataFrame(values if values.ndim == 2 else values[:, None])
    medians = table.groupby(sequence).transform("median").to_numpy(float)
    return medians if values.ndim == 2 else medians[:, 0]


def _first_known(first: np.ndarray, *others: Callable[[], np.ndarray]) -> np.ndarray:
    """The first of the choices that is a number, element by element; those that nobody needs are not reckoned."""
    found = first
    for choice in others:
        unknown = np.isnan(found)
        if unknown.any():
            found = np.where(unknown, choice(), found)
    return found
