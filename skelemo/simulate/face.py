"""The simulated face: 70 points in millimeters, and their displacement by facial action units.

Head coordinates: origin between the ears, x towards the subject's left, y up, z out of the face. The resting shape
follows common anthropometry (distances: pupils 63 mm, outer eye corners 90 mm, brows to chin 130 mm); displacements
follow the descriptions of the action units in FACS (Ekman & Friesen 1978). Points are iBUG's 68 and two pupils, in
OpenPose's order.
"""

import numpy as np

from skelemo.simulate.signals import Array
from skelemo.skeleton import FACE_70

Points = dict[int, tuple[float, ...]]


def _points(text: str) -> Points:
    """Parse ``index x,y,z  index x,y,z  …``."""
    words = iter(text.split())
    return {int(index): tuple(map(float, xyz.split(","))) for index, xyz in zip(words, words, strict=True)}


# The subject's right half and the middle; the left half is its mirror image.
_RESTING = _points(
    "0 -67,14,12  1 -67,-3,13  2 -65,-20,16  3 -61,-38,22  4 -55,-55,32  5 -45,-70,46  6 -33,-83.5,61  "
    "7 -18.5,-93.5,75  8 0,-97,82  17 -58,25,68  18 -49,33,80  19 -36,35.5,86  20 -23,33.5,89  21 -11,29,90  "
    "27 0,14,87  28 0,2,93  29 0,-9,100  30 0,-20,107  31 -14,-29.5,88  32 -7,-32,93  33 0,-34,96  "
    "36 -45,12,70  37 -37,16.5,77  38 -27,17,79  39 -17,10.5,76  40 -27,7.5,77  41 -37,7.5,75  68 -31.5,12,79  "
    "48 -26,-55,80  49 -16.5,-50.5,88  50 -7,-47.5,92  51 0,-49,93  57 0,-66,90  58 -8,-65.5,89  "
    "59 -17,-62,86  60 -22,-55.2,82  61 -7.5,-54.5,90  62 0,-55.3,91  66 0,-56,91  67 -7.5,-55.5,90"
)

# Displacement at full strength in mm; for the right half x < 0 is outwards.
_ACTIONS = {
    "inner_brow_raiser": _points("21 1,8,0  20 0.5,6.5,0  19 0,3,0  18 0,1,0"),
    "outer_brow_raiser": _points("17 0,6,0  18 0,8,0  19 0,7.5,0  20 0,4,0"),
    "brow_lowerer": _points("21 4,-7,1  20 3,-6.5,1  19 2,-5,0  18 1,-3,0  17 0.5,-1,0"),
    "upper_lid_raiser": _points("37 0,3.5,0  38 0,3.5,0"),
    "cheek_raiser": _points("40 0,2.6,0  41 0,2.6,0  37 0,-1,0  38 0,-0.6,0  17 0,-1,0"),
    "lid_tightener": _points("40 0,1.8,0  41 0,1.8,0  37 0,-1.6,0  38 0,-1.6,0"),
    "nose_wrinkler": _points(
        "31 -1,4,1  32 0,3.5,0  33 0,2,0  30 0,2,0  21 2,-4.5,0  20 1,-3.5,0  19 0,-2,0  49 0,3.5,0  50 0,4,0  "
        "51 0,3,0  61 0,2.5,0  62 0,2,0  40 0,2,0  41 0,1.2,0  38 0,-1.2,0"
    ),
    "upper_lip_raiser": _points(
        "48 0,1.5,0  49 0,5,0  50 0,5,0  51 0,4,0  60 0,1,0  61 0,4.5,0  62 0,4,0  31 -1.2,1.5,0"
    ),
    "lip_corner_puller": _points(
        "48 -9,8,-5  60 -8,7,-4  49 -5,3.5,-2  59 -5.5,3.5,-2  50 -2,0.5,0  58 -2.5,1,0  61 -2,0.5,0  "
        "67 -2,0.5,0  31 -1.5,0.5,0  4 -1.5,1,0  5 -1.5,1,0"
    ),
    "lip_corner_depressor": _points("48 -2,-8,-1  60 -2,-6.5,-1  49 0,-2.5,0  59 -1,-4.5,0  58 0,-1.5,0  61 0,-0.5,0"),
    "lower_lip_depressor": _points("59 -1,-3,0  58 0,-4.5,0  57 0,-5,0  67 0,-4.5,0  66 0,-5,0"),
    "chin_raiser": _points(
        "57 0,4.5,1.5  58 0,4,1  59 0,2.5,0  66 0,2,0  67 0,1.8,0  62 0,1.8,0  61 0,1.5,0  51 0,1.5,0  "
        "50 0,1,0  48 0,-1,0  60 0,-1,0  8 0,4,0  7 0,3,0  6 0,1.5,0"
    ),
    "lip_stretcher": _points(
        "48 -9,-2.5,-4  60 -8,-2,-3  49 -5,-1,-1  59 -5.5,-2.5,-1  58 -2,-1,0  50 -1.5,-0.5,0  61 -2,0,0  "
        "67 -2,-1,0  4 -1,0,0"
    ),
    "lip_presser": _points(
        "48 2.5,0,0  60 2,0,0  49 0.5,-2,0  50 0,-2.6,0  51 0,-2.4,0  57 0,3.4,0  58 0,3.2,0  59 0.5,2.2,0"
    ),
    "lips_part": _points("61 0,0.8,0  62 0,0.8,0  57 0,-4,0  58 0,-4,0  59 0,-2,0  66 0,-4.5,0  67 0,-4,0"),
    "jaw_drop": _points(
        "48 2.5,-5,-2  60 2,-5,-2  59 1.5,-11,-3  58 0,-14,-4  57 0,-15,-4  67 0,-14,-4  66 0,-15,-4  49 1,-1.5,0  "
        "8 0,-16,-5  7 0,-15.5,-5  6 1.5,-13,-4  5 2.5,-8.5,-3  4 1.5,-4.5,-1  3 0.5,-1.5,0"
    ),
    "eyes_closed": _points("37 0,-8.5,0  38 0,-9,0  40 0,0.6,0  41 0,0.6,0"),
    "look_left": _points("68 5.5,0,0"),
    "look_up": _points("68 0,3.5,0  37 0,1.2,0  38 0,1.2,0"),
}

#: Names of the action units, in the order of arrays of their strengths.
ACTIONS = tuple(_ACTIONS)

_UPPER_LIDS, _LOWER_LIDS = (37, 38, 43, 44), (41, 40, 47, 46)
_UPPER_LIPS, _LOWER_LIPS = (61, 62, 63), (67, 66, 65)
_SIDEWAYS = {"look_left"}  # not mirrored


def _both_halves(points: Points, *, mirrored: bool = True) -> Array:
    face = np.zeros((len(FACE_70), 3))
    for index, (x, y, z) in points.items():
        face[FACE_70.mirror[index]] = (-x if mirrored else x, y, z)
    for index, xyz in points.items():
        face[index] = xyz
    return face


_SHAPE = _both_halves(_RESTING)
_MOVES = np.stack([_both_halves(points, mirrored=name not in _SIDEWAYS) for name, points in _ACTIONS.items()])


def random_face(rng: np.random.Generator, spread: float) -> Array:
    """A random resting face, float64 [70, 3] in mm; a `spread` of 1 is about the variation of adults."""
    shape = _SHAPE * (1 + spread * rng.normal(0, (0.045, 0.04, 0.05)))
    side = np.sign(shape[:, :1]) * (1, 0, 0)
    eyes, brows, nose, mouth = [*range(36, 48), 68, 69], range(17, 27), range(27, 36), range(48, 68)
    move = spread * rng.normal(0, 1, 9)
    shape[eyes] += side[eyes] * 1.6 * move[0]
    shape[list(brows)] += (0, 1.8 * move[1], 0)
    shape[[17, 26, 18, 25]] += (0, 1.5 * move[2], 0)
    for lids in ([37, 38, 40, 41], [43, 44, 46, 47]):
        shape[lids, 1] += (shape[lids, 1] - shape[lids, 1].mean()) * 0.12 * move[3]
    shape[list(nose)] *= (1 + 0.08 * move[4], 1, 1)
    shape[30:36] += (0, 1.8 * move[5], 1.0 * move[5])
    shape[list(mouth)] += (0, 1.6 * move[6], 0)
    shape[list(mouth)] *= (1 + 0.06 * move[7], 1, 1)
    shape[2:15] *= (1 + 0.04 * move[8], 1, 1)
    return shape


def random_actions(rng: np.random.Generator, spread: float) -> Array:
    """A subject's displacements by action unit, float64 [A, 70, 3], of individual strength and asymmetry."""
    strength = np.exp(spread * rng.normal(0, 0.15, (len(ACTIONS), 1, 1)))
    lopsided = spread * rng.normal(0, 0.06)
    return _MOVES * strength * (1 + lopsided * np.sign(_SHAPE[:, :1]))


def face_points(shape: Array, moves: Array, actions: Array) -> Array:
    """Points of a face, [T, 70, 3] in mm, with actions [T, A] of strength 0 to about 1.

    Lids and lips do not cross.
    """
    points = shape + np.einsum("ta,avi->tvi", actions, moves)
    _keep_apart(points, _UPPER_LIDS, _LOWER_LIDS, 0.4)
    _keep_apart(points, _UPPER_LIPS, _LOWER_LIPS, 0.3)
    return points


def _keep_apart(points: Array, upper: tuple[int, ...], lower: tuple[int, ...], least: float) -> None:
    overlap = np.maximum(points[:, lower, 1] + least - points[:, upper, 1], 0)
    points[:, upper, 1] += overlap / 2
    points[:, lower, 1] -= overlap / 2
