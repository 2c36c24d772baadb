"""Detects the units of coordinates: OpenPose does not write its ``--keypoint_scale`` into its files.

Modes 0 to 2 give pixels, 3 and 5 the range [0, 1], 4 and 6 the range [-1, 1] (``flags.hpp``, ``keypointScaler.cpp``).
"""

from collections.abc import Callable

import numpy as np

from skelemo.errors import InputError
from skelemo.openpose.points import Extent
from skelemo.skeleton import SCALES
from skelemo.text import count

# Largest coordinate that is not in pixels: faces and hands may leave the image by their own size, and OpenPose detects
# nobody who is three pixels tall.
_NORMALIZED = 3.0
# Fewer points could be in the corner of an image.
_MIN_POINTS = 5
# Bodies stay in the image except for rounding; half of a face may be outside.
_BODY_OUTSIDE = -0.05
_FACE_OUTSIDE = -0.5


def detect_scale(extent: Extent, points: np.ndarray, body: np.ndarray, where: Callable[[int], str]) -> tuple[str, bool]:
    """Units of a recording's coordinates (``"pixels"``, ``"unit"`` or ``"signed"``), and whether they are certain.

    Pixels if nobody is visible. Coordinates within [0, 1] are ``signed`` if all are right of and below the center; the
    coordinates of missing points, (0, 0) or (-1, -1), distinguish the two.

    Raises `InputError`: people are in different units.

    Parameters
    ----------
    extent, points : from `canonicalize`.
    body : int, indices on V of the points of the source's body model; empty without bodies.
    where : returns the file of a person, for errors.
    """
    normalized = extent.reach <= _NORMALIZED
    visible = clearly_visible(extent)
    if not normalized.all():
        _refuse_mixture("in pixels", ~normalized, "within 3 of 0", normalized & visible, where)
        return "pixels", bool((~normalized & visible).any())
    bodies = points[:, body]
    seen, low = bodies[..., 2] > 0, bodies[..., :2].min(axis=(1, 2), initial=0)
    signed = extent.minus_one | (low < _BODY_OUTSIDE) | (extent.low < _FACE_OUTSIDE)
    unit = ~signed & visible & seen.any(axis=1) & ~seen.all(axis=1)
    if extent.minus_one.any():
        _refuse_mixture("with missing points at -1", signed, "with missing points at 0", unit, where)
    if not len(signed):
        return "pixels", False
    return ("signed", bool((signed & visible).any())) if signed.any() else ("unit", bool(unit.any()))


def to_pixels(points: np.ndarray, scale: str, size: tuple[int, int]) -> np.ndarray:
    """Convert points ``[..., 3]`` from ``unit`` or ``signed`` coordinates to pixels of an image of this size.

    The numpy equivalent of `skelemo.preprocess.to_pixels`, without torch.
    """
    shares = (points[..., :2] + 1) / 2 if scale == "signed" else points[..., :2]
    last = np.maximum(np.array(size, np.float32) - 1, 1)
    return np.where(points[..., 2:] > 0, np.concatenate([shares * last, points[..., 2:]], -1), np.float32(0))


def clearly_visible(extent: Extent) -> np.ndarray:
    """People with at least `_MIN_POINTS` visible points, bool ``[P]``."""
    return extent.seen >= _MIN_POINTS


def refuse_scale(scale: str, extent: Extent, where: Callable[[int], str]) -> None:
    """Raise `InputError` if the coordinates clearly contradict the given units."""
    visible, large = clearly_visible(extent), extent.reach > _NORMALIZED
    if scale != "pixels" and (visible & large).any():
        person = int((visible & large).argmax())
        raise InputError(
            f"--scale {scale}, but coordinates reach {extent.reach[person]:,.0f} in {where(person)}: they are pixels"
        )
    if scale == "pixels" and visible.any() and not large.any():
        raise InputError("--scale pixels, but all coordinates are within 3 of 0: they are fractions of the image size")


def _refuse_mixture(
    name: str, people: np.ndarray, other_name: str, others: np.ndarray, where: Callable[[int], str]
) -> None:
    if people.any() and others.any():
        number = count(int(people.sum()), "person", "people")
        first, first_other = where(int(people.argmax())), where(int(others.argmax()))
        raise InputError(
            f"coordinates are in two scales: {name} ({number}, first in {first}) and {other_name} ({others.sum()}, "
            f"first in {first_other}); separate the files of different runs, or give --scale {'|'.join(SCALES)}"
        )
