"""The simulated body: converts proportions and posture to joints in space.

World coordinates in meters: x to the right of the image, y up from the floor, z towards the camera. A subject facing
the camera has the left hand at positive x. Proportions follow Drillis & Contini (1966) as shares of stature, with
shoulders and hips narrowed to the joint centers as in OpenPose.
"""

from dataclasses import dataclass

import numpy as np

from skelemo.simulate.signals import Array
from skelemo.skeleton import BODY_25

#: Columns of a posture. Angles in radians: lean and bend forwards, side and tilt to the subject's left, twist and
#: turn to the left, nod down. Lengths in meters. Wrists are `out`, `up` and `fore` of their shoulder in arm lengths; an
#: elbow is 0 hanging down and 1 pointing outwards.
POSTURE = (
    *("lean", "bend", "side", "twist", "shrug", "round", "nod", "turn", "tilt", "thrust", "crouch", "sway", "step"),
    *("right_out", "right_up", "right_fore", "left_out", "left_up", "left_fore", "right_elbow", "left_elbow"),
)
_AT = {name: column for column, name in enumerate(POSTURE)}
_RIGHT_HAND = slice(_AT["right_out"], _AT["right_fore"] + 1)
_LEFT_HAND = slice(_AT["left_out"], _AT["left_fore"] + 1)

_SHARES = {
    **{"torso": 0.29, "shoulder": 0.112, "hip": 0.058},
    **{"upper_arm": 0.176, "forearm": 0.15, "thigh": 0.242, "shin": 0.246},
}
_EYES = (range(36, 42), range(42, 48))  # of the face
_NOSE_TIP = 30


@dataclass(frozen=True)
class Build:
    """Lengths of a subject's body in meters; `head` scales the face, which is in millimeters."""

    stature: float
    torso: float
    shoulder: float  # half the breadth
    hip: float  # half the breadth
    upper_arm: float
    forearm: float
    thigh: float
    shin: float
    neck: float
    foot: float
    head: float

    @property
    def ankle(self) -> float:
        """Height of the ankle above the floor."""
        return 0.039 * self.stature

    @property
    def standing(self) -> float:
        """Height of the mid-hip above the floor with almost straight legs."""
        return self.ankle + 0.985 * (self.thigh + self.shin)

    @property
    def sitting(self) -> float:
        """Height of the mid-hip above the floor on a chair."""
        return 0.27 * self.stature


def random_build(rng: np.random.Generator, spread: float) -> Build:
    """A random body; a `spread` of 1 is about the variation of adults."""
    stature = rng.normal(1.71, 0.09 * min(spread, 1.0))
    lengths = {name: stature * share * (1 + spread * rng.normal(0, 0.04)) for name, share in _SHARES.items()}
    lengths["shoulder"] *= 1 + spread * rng.normal(0, 0.06)
    neck, foot = 0.098 * stature, 0.152 * stature
    return Build(stature, **lengths, neck=neck, foot=foot, head=(stature / 1.71) ** 0.4 * (1 + rng.normal(0, 0.03)))


def figure(build: Build, posture: Array, root: Array, facing: Array, ankles: Array, face: Array) -> Array:
    """Joints of a body and points of its face in world coordinates, float64 [T, 95, 3].

    Parameters
    ----------
    posture : [T, len(POSTURE)].
    root : mid-hip of the upright posture, [T, 3] in meters; crouch, sway and step are added.
    facing : [T] in radians; 0 faces the camera, positive turns to the subject's left.
    ankles : [T, 2, 3] in meters, right before left.
    face : [T, 70, 3] in millimeters, in head coordinates.
    """
    column = {name: posture[:, index] for name, index in _AT.items()}
    pelvis = rotation(facing)
    hips = root + _turned(pelvis, _vectors(column["sway"], -column["crouch"], column["step"]))
    lumbar = rotation(facing + column["twist"] / 2, column["lean"], column["side"] / 2)
    pitch = column["lean"] + column["bend"]
    thorax = rotation(facing + column["twist"], pitch, column["side"])
    half = build.torso / 2
    middle = hips + _turned(lumbar, (0, half, 0))
    neck = middle + _turned(thorax, _vectors(0, half + column["shrug"] / 2, 0))
    body = np.zeros((len(posture), len(BODY_25), 3))
    _put(body, "Neck", neck)
    _put(body, "MidHip", hips)
    _place_arms(body, build, posture, middle, thorax, rotation(facing + column["twist"]))
    _place_legs(body, build, hips, pelvis, ankles)
    skull_turn = rotation(facing + 0.7 * column["twist"], 0.5 * pitch + 0.35 * column["nod"], 0.4 * column["side"])
    skull = neck + _turned(skull_turn, _vectors(0, build.neck, 0.015 + column["thrust"]))
    head = rotation(
        facing + 0.6 * column["twist"] + column["turn"],
        0.35 * pitch + column["nod"],
        0.4 * column["side"] + column["tilt"],
    )
    points = skull[:, None] + np.einsum("tij,tvj->tvi", head, face * (build.head / 1000))
    _place_head(body, build, points, skull, head)
    return np.concatenate([body, points], axis=1)


def rotation(yaw: Array, pitch: Array | float = 0.0, roll: Array | float = 0.0) -> Array:
    """Rotations [T, 3, 3]: roll to the left, then pitch forwards, then turn to the left; angles in radians."""
    yaw, pitch, roll = np.broadcast_arrays(yaw, pitch, roll)
    sy, cy, sp, cp, sr, cr = (wave(angle) for angle in (yaw, pitch, roll) for wave in (np.sin, np.cos))
    rows = [
        [cy * cr - sy * sp * sr, cy * sr + sy * sp * cr, sy * cp],
        [-cp * sr, cp * cr, -sp],
        [-sy * cr - cy * sp * sr, -sy * sr + cy * sp * cr, cy * cp],
    ]
    return np.moveaxis(np.array(rows), -1, 0)


def _put(body: Array, name: str, points: Array) -> None:
    body[:, BODY_25.index(name)] = points


def _vectors(x: Array | float, y: Array | float, z: Array | float) -> Array:
    return np.stack(np.broadcast_arrays(x, y, z), axis=-1).astype(np.float64)


def _turned(turn: Array, vectors: Array | tuple[float, float, float]) -> Array:
    return np.einsum("tij,tj->ti", turn, np.broadcast_to(vectors, (len(turn), 3)))


def _place_arms(body: Array, build: Build, posture: Array, middle: Array, thorax: Array, upright: Array) -> None:
    reach = build.upper_arm + build.forearm
    shrug, rounded = posture[:, _AT["shrug"]], posture[:, _AT["round"]]
    sides = ((-1, "R", _RIGHT_HAND, "right_elbow"), (1, "L", _LEFT_HAND, "left_elbow"))
    for sign, side, hand, elbow_column in sides:
        shoulder_at = _vectors(sign * (build.shoulder - 0.3 * rounded), build.torso / 2 + shrug, rounded)
        shoulder = middle + _turned(thorax, shoulder_at)
        wrist = shoulder + _turned(upright, posture[:, hand] * (sign * reach, reach, reach))
        raised = posture[:, _AT[elbow_column]]
        pole = _turned(upright, _vectors(sign * (0.35 + raised), -0.6 + 0.7 * raised, -0.5 + 0.2 * raised))
        elbow, wrist = _two_bones(shoulder, wrist, pole, build.upper_arm, build.forearm)
        _put(body, f"{side}Shoulder", shoulder)
        _put(body, f"{side}Elbow", elbow)
        _put(body, f"{side}Wrist", wrist)


def _place_legs(body: Array, build: Build, hips: Array, pelvis: Array, ankles: Array) -> None:
    for sign, side, foot in ((-1, "R", 0), (1, "L", 1)):
        hip = hips + _turned(pelvis, (sign * build.hip, -0.02, 0.0))
        pole = _turned(pelvis, (sign * 0.25, 0.0, 1.0))
        knee, ankle = _two_bones(hip, ankles[:, foot], pole, build.thigh, build.shin)
        _put(body, f"{side}Hip", hip)
        _put(body, f"{side}Knee", knee)
        _put(body, f"{side}Ankle", ankle)
        sole = -0.8 * build.ankle
        for name, out, fore in (("BigToe", 0.15, 0.72), ("SmallToe", 0.38, 0.62), ("Heel", 0.02, -0.2)):
            offset = (sign * out * build.foot, sole, fore * build.foot)
            _put(body, side + name, ankle + _turned(pelvis, offset))


def _place_head(body: Array, build: Build, points: Array, skull: Array, head: Array) -> None:
    _put(body, "Nose", points[:, _NOSE_TIP])
    for sign, side, eye in ((-1, "R", _EYES[0]), (1, "L", _EYES[1])):
        _put(body, f"{side}Eye", points[:, eye].mean(axis=1))
        _put(body, f"{side}Ear", skull + _turned(head, (sign * 0.074 * build.head, 0, 0)))


def _two_bones(start: Array, end: Array, pole: Array, first: float, second: float) -> tuple[Array, Array]:
    """Middle and end joint of a limb that reaches for `end` and bends towards `pole`; `end` is moved within reach."""
    line = end - start
    distance = np.linalg.norm(line, axis=1, keepdims=True)
    line = line / np.maximum(distance, 1e-9)
    distance = np.clip(distance, abs(first - second) + 0.02, 0.998 * (first + second))
    along = (first**2 - second**2 + distance**2) / (2 * distance)
    aside = np.sqrt(np.maximum(first**2 - along**2, 0))
    bend = pole - (pole * line).sum(axis=1, keepdims=True) * line
    bend /= np.maximum(np.linalg.norm(bend, axis=1, keepdims=True), 1e-9)
    return start + along * line + aside * bend, start + distance * line
