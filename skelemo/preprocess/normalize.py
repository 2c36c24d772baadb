"""Coordinates that a model can compare between people: by part, or within the picture.

As in `cleaning`, keypoints ``[N, V, 3]`` are whole sequences laid end to end and ``sequence [N]`` counts them. What is
found here is the frame of reference of each part in each frame; `place` brings batches of keypoints into it, on the
device that trains. Scale is one number per sequence, so that motion survives; the origin (and the face's turn) is found
in each frame.
"""

from collections.abc import Callable

import numpy as np
import torch
from torch import Tensor

from skelemo.skeleton import BODY_25, FACE_70, Layout

_TRUNK = slice(BODY_25.index("Neck"), BODY_25.index("MidHip") + 1)
_EYES = slice(FACE_70.index("REye0"), FACE_70.index("LEye5") + 1)
_WRIST, _MIDDLE_KNUCKLE = 0, 9

#: Frames that are turned from rows into columns at a time, while the processor has them at hand.
_AT_HAND = 512

#: Points closer than this, in whatever unit, fall together and are no measure of anything.
_LEAST_LENGTH = 1e-6


def seen_parts(keypoints: np.ndarray, layout: Layout) -> np.ndarray:
    """Whether anything of each part was seen in each frame, bool ``[N, P]``: its confidences are above 0 in sum."""
    starts = [layout.slices[part.name].start for part in layout.parts]
    return np.add.reduceat(keypoints[..., 2], starts, axis=1) > 0


def by_part(keypoints: np.ndarray, seen: np.ndarray, sequence: np.ndarray, layout: Layout) -> np.ndarray:
    """The frame of reference of each part, float32 ``[N, P, 4]`` as `place` takes it.

    The body lies around the mid-hip in units of the clip's torso length, the face around the point between the eyes,
    level, in units of the clip's inter-ocular distance, a hand around its wrist in units of wrist to middle knuckle.
    Where a clip never shows what a rule needs, the next one serves: neck and shoulder width, then the mean and spread
    of what is seen. It means nothing in frames where nothing of the part was seen.

    Parameters
    ----------
    seen : ``[N, P]`` as `seen_parts` finds it.
    """
    rules = {BODY_25.name: _body, FACE_70.name: _face}
    parts = [
        rules.get(part.name, _hand)(keypoints[:, layout.slices[part.name]], seen[:, index], sequence)
        for index, part in enumerate(layout.parts)
    ]
    return np.stack(parts, 1)


def in_picture(size: np.ndarray) -> np.ndarray:
    """The frame of reference of whole pictures, float32 ``[N, 1, 4]``: centered, the longer side from -0.5 to 0.5.

    Parameters
    ----------
    size : ``[N, 2]`` width and height of each frame's picture in pixels.
    """
    return _upright(size.T / 2, size.max(-1))[:, None]


def place(keypoints: Tensor, reference: Tensor, layout: Layout) -> Tensor:
    """Keypoints ``[..., V, 3]`` in their frames of reference; a missing point stays zero.

    Parameters
    ----------
    reference : ``[..., P, 4]`` for each part of the layout, or one for all of it: the origin's x and y, cosine and sine
        of the turn to be undone, both divided by the length of a unit.
    """
    placed = torch.empty_like(keypoints)
    slices = [layout.slices[part.name] for part in layout.parts] if reference.shape[-2] > 1 else [slice(None)]
    for index, part in enumerate(slices):
        left, top, cosine, sine = reference[..., index, None, :].unbind(-1)  # [..., 1] each
        x, y, confidence = keypoints[..., part, :].unbind(-1)
        shown = (confidence > 0) & ((cosine != 0) | (sine != 0))
        x, y = x - left, y - top
        places = torch.stack([x * cosine + y * sine, y * cosine - x * sine, confidence], -1)
        placed[..., part, :] = torch.where(shown[..., None], places, 0)
    return placed


def _body(points: np.ndarray, seen: np.ndarray, sequence: np.ndarray) -> np.ndarray:
    trunk, names = _columns(points, _TRUNK), BODY_25.keypoints[_TRUNK]
    hip, neck, right, left = (trunk[names.index(name)] for name in ("MidHip", "Neck", "RShoulder", "LShoulder"))
    scale = _first_known(
        seen,
        _clip_median(_distance(neck, hip), sequence),
        lambda rows: _clip_median(_distance(right[:, rows], left[:, rows]), sequence[rows]),
        lambda rows: _spread(points[rows], sequence[rows]),
    )

    def expected(rows: np.ndarray) -> np.ndarray:
        """Where the hip is hidden for a moment it is where the clip usually has it below the neck."""
        usual = np.nan_to_num(_clip_median(_position(hip) - _position(neck), sequence))
        return _position(neck[:, rows]) + usual[:, rows]

    origin = _first_known(seen, _position(hip), expected, lambda rows: _mean_seen(_columns(points[rows])))
    return _upright(origin, scale)


def _face(points: np.ndarray, seen: np.ndarray, sequence: np.ndarray) -> np.ndarray:
    right, left = map(_mean_seen, np.split(_columns(points, _EYES), 2))
    across = left - right  # from the subject's right eye to the left one: towards +x in a level face
    length = np.hypot(*across)
    length = np.where(length > _LEAST_LENGTH, length, np.nan)
    scale = _first_known(seen, _clip_median(length, sequence), lambda rows: _spread(points[rows], sequence[rows]))
    cosine, sine = np.where(np.isnan(length), [[1], [0]], across / length)
    origin = _first_known(seen, (left + right) / 2, lambda rows: _mean_seen(_columns(points[rows])))
    return _reference(origin, scale, cosine, sine)


def _hand(points: np.ndarray, seen: np.ndarray, sequence: np.ndarray) -> np.ndarray:
    wrist, knuckle = _columns(points, slice(_WRIST, _MIDDLE_KNUCKLE + 1, _MIDDLE_KNUCKLE - _WRIST))
    distance = _distance(wrist, knuckle)
    scale = _first_known(seen, _clip_median(distance, sequence), lambda rows: _spread(points[rows], sequence[rows]))
    return _upright(_first_known(seen, _position(wrist), lambda rows: _mean_seen(_columns(points[rows]))), scale)


def _upright(origin: np.ndarray, scale: np.ndarray) -> np.ndarray:
    """The frame of reference ``[N, 4]`` of what is moved and scaled but not turned."""
    return _reference(origin, scale, np.ones_like(scale), np.zeros_like(scale))


def _reference(origin: np.ndarray, scale: np.ndarray, cosine: np.ndarray, sine: np.ndarray) -> np.ndarray:
    """Columns as `place` takes them; a clip without a scale shows nothing."""
    factor = np.where(np.isnan(scale), 0, 1 / scale)
    return np.stack([*np.nan_to_num(origin), cosine * factor, sine * factor], -1, dtype=np.float32, casting="same_kind")


def _columns(points: np.ndarray, chosen: slice = slice(None)) -> np.ndarray:
    """Chosen points ``[K, 3, N]``: x, y and confidence of each over the frames, which lie side by side in memory."""
    rows = points[:, chosen]
    columns = np.empty((*rows.shape[1:], len(rows)), rows.dtype)
    for start in range(0, len(rows), _AT_HAND):
        here = slice(start, start + _AT_HAND)
        columns[..., here] = rows[here].transpose(1, 2, 0)
    return columns


def _position(point: np.ndarray) -> np.ndarray:
    """``[2, N]`` where a point ``[3, N]`` is, NaN where it is missing."""
    return np.where(point[2] > 0, point[:2], np.nan)


def _distance(a: np.ndarray, b: np.ndarray) -> np.ndarray:
    """Distance of two points by frame, NaN where one is missing or both fall together."""
    length = np.hypot(a[0] - b[0], a[1] - b[1])
    return np.where((a[2] > 0) & (b[2] > 0) & (length > _LEAST_LENGTH), length, np.nan)


def _mean_seen(points: np.ndarray) -> np.ndarray:
    """``[2, N]`` the mean place of the seen ones of points ``[K, 3, N]``, NaN where there is none."""
    count = (points[:, 2] > 0).sum(0)
    with np.errstate(invalid="ignore"):
        return points[:, :2].sum(0, float) / count


def _spread(points: np.ndarray, sequence: np.ndarray) -> np.ndarray:
    """Clip median of the root mean square distance from the mean of the seen points."""
    columns = _columns(points)
    seen = columns[:, 2] > 0
    count = seen.sum(0)
    offset = np.where(seen[:, None], columns[:, :2] - np.nan_to_num(_mean_seen(columns)), 0)
    spread = np.sqrt((offset**2).sum((0, 1)) / np.maximum(count, 1))
    return _clip_median(np.where((count > 1) & (spread > _LEAST_LENGTH), spread, np.nan), sequence)


def _clip_median(values: np.ndarray, sequence: np.ndarray) -> np.ndarray:
    """Median of ``[..., N]`` over each sequence's frames, NaN left out, repeated for every frame.

    Sequences lie end to end. One sort of whole numbers serves them all: above the 32 bits of a value stands which
    sequence it is of, and what is no number stands behind the rest.
    """
    if values.ndim == 2:
        return np.stack([_clip_median(column, sequence) for column in values])
    first = np.flatnonzero(np.append(True, sequence[1:] != sequence[:-1]))
    length = np.diff(first, append=len(sequence))
    known = ~np.isnan(values)
    ranks = np.where(known, _in_order(values.astype(np.float32).view(np.int32)), np.iinfo(np.int32).max)
    ranks = np.sort((np.repeat(np.arange(len(first), dtype=np.int64), length) << 32) + ranks)
    count = np.add.reduceat(known, first, dtype=np.int64)
    middle = np.stack([first + np.maximum(count - odd, 0) // 2 for odd in (1, 0)])
    medians = _in_order(ranks[middle].astype(np.int32)).view(np.float32).mean(0, float)
    return np.repeat(np.where(count > 0, medians, np.nan), length)


def _in_order(bits: np.ndarray) -> np.ndarray:
    """The bits of float32 as int32 in the order of the numbers, and such a number's bits again."""
    return bits ^ ((bits >> 31) & np.iinfo(np.int32).max)


def _first_known(seen: np.ndarray, first: np.ndarray, *others: Callable[[np.ndarray], np.ndarray]) -> np.ndarray:
    """The first of the choices that is a number, frame by frame ``[..., N]``.

    Each other one is reckoned for those frames alone that need it and show anything.
    """
    found = first.copy()
    for choice in others:
        unknown = np.isnan(found if found.ndim == 1 else found[0]) & seen
        if unknown.any():
            found[..., unknown] = choice(unknown)
    return found
