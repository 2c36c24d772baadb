"""Detects the units of coordinates: OpenPose does not write its ``--keypoint_scale`` into its files.

Modes 0 to 2 give pixels, 3 and 5 the range [0, 1], 4 and 6 the range [-1, 1] (``flags.hpp``, ``keypointScaler.cpp``).
"""

from collections.abc import Callable

import numpy as np

from skelemo.errors import InputError
from skelemo.openpose.points import Extent
from skelemo.skeleton import SCALES

# Faces and hands may leave the image by their own size; OpenPose finds nobody who is three pixels tall.
_NORMALIZED = 3.0
# A few points could lie in the corner of an image; this many are a person.
_PLAIN = 5
# Bodies stay in the image except for rounding; half of a face may lie outside.
_BODY_OUTSIDE = -0.05
_FACE_OUTSIDE = -0.5


def detect_scale(extent: Extent, points: np.ndarray, body: np.ndarray, where: Callable[[int], str]) -> tuple[str, bool]:
    """Units of a recording's coordinates (``"pixels"``, ``"unit"`` or ``"signed"``), and whether they are certain.

    Pixels if nobody is visible.

    Coordinates within [0, 1] may also be in [-1, 1], if all are right of and below the center. They are distinguished
    by how missing points are written: (0, 0) or (-1, -1).

    Raises `InputError`: people are in different units.

    Parameters
    ----------
    extent : of the people, from `settle`.
    points : float32 ``[P, V, 3]``, settled.
    body : int, positions on V of the points of the source's body model; empty without bodies.
    where : gives the file of a person, for errors.
    """
    normalized = extent.reach <= _NORMALIZED
    plain = plainly_seen(extent)
    if not normalized.all():
        _refuse_mixture("in pixels", ~normalized, "within 3 of 0", normalized & plain, where)
        return "pixels", bool((~normalized & plain).any())
    bodies = points[:, body]
    seen, low = bodies[..., 2] > 0, bodies[..., :2].min(axis=(1, 2), initial=0)
    signed = extent.minus | (low < _BODY_OUTSIDE) | (extent.low < _FACE_OUTSIDE)
    unit = ~signed & plain & seen.any(axis=1) & ~seen.all(axis=1)
    if extent.minus.any():
        _refuse_mixture("with missing points at -1", signed, "with missing points at 0", unit, where)
    if not len(signed):
        return "pixels", False
    return ("signed", bool((signed & plain).any())) if signed.any() else ("unit", bool(unit.any()))


def to_pixels(points: np.ndarray, scale: str, size: tuple[int, int]) -> np.ndarray:
    """Points ``[..., 3]`` in ``unit`` or ``signed`` coordinates as pixels of an image of this width and height.

    As `skelemo.preprocess.to_pixels`, where there may be no torch.
    """
    places = (points[..., :2] + 1) / 2 if scale == "signed" else points[..., :2]
    last = np.maximum(np.array(size, np.float32) - 1, 1)
    return np.where(points[..., 2:] > 0, np.concatenate([places * last, points[..., 2:]], -1), np.float32(0))


def plainly_seen(extent: Extent) -> np.ndarray:
    """People with more than a few visible points, which could lie in the corner of an image in pixels; bool ``[P]``."""
    return extent.seen >= _PLAIN


def refuse_scale(scale: str, extent: Extent, where: Callable[[int], str]) -> None:
    """Refuse given units that do not match the coordinates.

    Raises `InputError`: coordinates exceed [-1, 1] by far, or with ``pixels`` never leave it.
    """
    plain = plainly_seen(extent)
    beyond = plain & (extent.reach > _NORMALIZED)
    if scale != "pixels" and beyond.any():
        person = int(beyond.argmax())
        raise InputError(
            f"--scale {scale}, but coordinates reach {extent.reach[person]:,.0f} in {where(person)}: they are pixels"
        )
    if scale == "pixels" and plain.any() and not (extent.reach > _NORMALIZED).any():
        raise InputError("--scale pixels, but all coordinates lie within 3 of 0: they are shares of the image")


def _refuse_mixture(
    one: str, are_one: np.ndarray, other: str, are_other: np.ndarray, where: Callable[[int], str]
) -> None:
    if are_one.any() and are_other.any():
        first, first_other = where(int(are_one.argmax())), where(int(are_other.argmax()))
        raise InputError(
            f"coordinates are in two scales: {one} ({are_one.sum()} of the people, first in {first}) "
            f"and {other} ({are_other.sum()}, first in {first_other}); "
            f"separate the files of different runs, or say which it is with --scale {'|'.join(SCALES)}"
        )
