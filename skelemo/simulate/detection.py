"""What OpenPose makes of people in a picture: what it cannot see, what it misses, and how far it is off.

Calibrated by eye on recordings of BODY_25: joints jitter by about half a percent of the torso, confidence is highest at
eyes and neck and lowest at wrists, hips and feet, and lost points are lost for several frames. The rule for faces
(missing below a box of 40 pixels, all 70 points otherwise) is OpenPose's own (``faceDetector.cpp``).
"""

import numpy as np
from numpy.typing import NDArray

from skelemo.simulate.camera import Camera
from skelemo.simulate.signals import smooth_noise, spells, sticky_noise
from skelemo.skeleton import BODY_25, FACE_70, layout

Array = NDArray[np.float64]
Mask = NDArray[np.bool_]

_FACE = layout().slices[FACE_70.name]
_BODY = layout().slices[BODY_25.name]
_LEAST_FACE = 40  # pixels, faceDetector.cpp
_LEAST_PARTS = 3  # getPoseDefaultMinSubsetCnt

# Mean confidence of well seen points, and jitter in percent of the torso.
_CONFIDENCE = {"Nose": 0.9, "Neck": 0.86, "Shoulder": 0.82, "Elbow": 0.8, "Wrist": 0.74, "MidHip": 0.66, "Hip": 0.62}
_CONFIDENCE |= {"Knee": 0.76, "Ankle": 0.74, "Eye": 0.92, "Ear": 0.84, "BigToe": 0.66, "SmallToe": 0.62, "Heel": 0.6}
_JITTER = {"Nose": 0.3, "Neck": 0.45, "Shoulder": 0.5, "Elbow": 0.55, "Wrist": 0.6, "MidHip": 0.8, "Hip": 0.8}
_JITTER |= {"Knee": 0.65, "Ankle": 0.7, "Eye": 0.3, "Ear": 0.4, "BigToe": 1.0, "SmallToe": 1.0, "Heel": 1.0}
_FACE_JITTER = 0.55  # percent of the face's box, about 0.9 mm

# Points that are lost together, and the share of the time.
_LOST = {
    "RWrist": 0.02,
    "RElbow RWrist": 0.012,
    "LWrist": 0.02,
    "LElbow LWrist": 0.012,
    "RShoulder RElbow RWrist": 0.004,
    "LShoulder LElbow LWrist": 0.004,
    "MidHip RHip LHip": 0.01,
    "RAnkle RBigToe RSmallToe RHeel": 0.015,
    "LAnkle LBigToe LSmallToe LHeel": 0.015,
    "RKnee RAnkle RBigToe RSmallToe RHeel": 0.008,
    "LKnee LAnkle LBigToe LSmallToe LHeel": 0.008,
    "RSmallToe RHeel": 0.05,
    "LSmallToe LHeel": 0.05,
    "REar": 0.02,
    "LEar": 0.02,
}


def _by_joint(table: dict[str, float]) -> Array:
    return np.array([table[name if name in table else name[1:]] for name in BODY_25.keypoints])


_JOINT_CONFIDENCE, _JOINT_JITTER = _by_joint(_CONFIDENCE), _by_joint(_JITTER) / 100
_GROUPS = np.array([[name in words.split() for name in BODY_25.keypoints] for words in _LOST])
_SHARES = np.array(list(_LOST.values()))


def visible(world: Array, pixels: Array, depth: Array, camera: Camera) -> Mask:
    """Which points [T, 95] a perfect OpenPose would give: in the picture, not behind the head, face large enough."""
    inside = (pixels >= 0).all(-1) & (pixels[..., 0] <= camera.width - 1) & (pixels[..., 1] <= camera.height - 1)
    joint = BODY_25.index
    turned = depth[:, joint("REar")] - depth[:, joint("LEar")]
    breadth = np.linalg.norm(world[:, joint("REar")] - world[:, joint("LEar")], axis=-1)
    aside = turned / breadth  # sine of how far the head is turned to its right
    inside[:, joint("REar")] &= aside < 0.5
    inside[:, joint("LEar")] &= aside > -0.5
    inside[:, joint("REye")] &= aside < 0.9
    inside[:, joint("LEye")] &= aside > -0.9
    away = depth[:, joint("Nose")] > (depth[:, joint("REar")] + depth[:, joint("LEar")]) / 2 + 0.02
    inside[:, [joint("Nose"), joint("REye"), joint("LEye")]] &= ~away[:, None]
    head = inside[:, [joint("Nose"), joint("REye"), joint("LEye")]].sum(axis=1) >= 2
    face = (face_box(pixels) > _LEAST_FACE) & head & (np.abs(aside) < 0.97)
    inside[:, _FACE] = face[:, None]  # OpenPose gives a face all its points, some beyond the picture's edge
    return inside & (inside[:, _BODY].sum(axis=1) >= _LEAST_PARTS)[:, None]


def face_box(pixels: Array) -> Array:
    """Side of the box that OpenPose would lay around each face, [T] in pixels; pixels is [T, 95, 2]."""
    face = pixels[:, _FACE]
    return 1.3 * np.maximum(np.ptp(face[..., 0], axis=1), np.ptp(face[..., 1], axis=1))


def torso_length(pixels: Array) -> float:
    """Typical size of a person in the picture: the torso, or what the shoulders' breadth says of it, in pixels."""
    joint = BODY_25.index
    torso = np.linalg.norm(pixels[:, joint("Neck")] - pixels[:, joint("MidHip")], axis=-1)
    breadth = np.linalg.norm(pixels[:, joint("RShoulder")] - pixels[:, joint("LShoulder")], axis=-1)
    return float(np.median(np.maximum(torso, 1.2 * breadth)))


def hidden(pixels: Array, front: Array) -> Mask:
    """Which points [T, 95] of a person lie behind the trunk or head of another who stands in front."""
    joint = BODY_25.index
    neck, hip = front[:, joint("Neck")], front[:, joint("MidHip")]
    size = np.linalg.norm(neck - hip, axis=-1)
    trunk = _to_segment(pixels, neck, hip) < 0.33 * size[:, None]
    skull = (front[:, joint("REar")] + front[:, joint("LEar")]) / 2
    head = np.linalg.norm(pixels - skull[:, None], axis=-1) < 0.22 * size[:, None]
    return trunk | head


def _to_segment(points: Array, start: Array, end: Array) -> Array:
    line = (end - start)[:, None]
    along = ((points - start[:, None]) * line).sum(-1) / np.maximum((line**2).sum(-1), 1e-9)
    return np.asarray(np.linalg.norm(points - start[:, None] - np.clip(along, 0, 1)[..., None] * line, axis=-1))


def detect(rng: np.random.Generator, pixels: Array, seen: Mask, camera: Camera, noise: float) -> NDArray[np.float32]:
    """OpenPose's keypoints, float32 [T, 95, 3], of a person at pixels [T, 95, 2] of whom `seen` [T, 95] is visible.

    `noise` 1 jitters and loses about as much as recordings do. A person with fewer than three joints is not found.
    """
    frames, points, _ = pixels.shape
    size = np.empty(points)
    size[_BODY] = torso_length(pixels) * _JOINT_JITTER
    size[_FACE] = np.median(face_box(pixels)) * _FACE_JITTER / 100
    blurred = spells(rng, frames, points, 0.015 * noise, 6)  # badly seen for a while
    confidence = _confidence(rng, pixels, blurred, camera)
    wrong = spells(rng, frames, points, 0.002 * noise, 2)  # somewhere else altogether
    wrong[:, _FACE] = False
    scatter = noise * size * np.where(blurred, 4.0, 1.0)
    shift = sticky_noise(rng, (frames, points, 2), 0.45) * scatter[..., None]
    shift += np.where(wrong, 0.25 * torso_length(pixels), 0)[..., None] * rng.normal(size=shift.shape)
    placed = pixels + shift
    placed[:, _BODY] = np.clip(placed[:, _BODY], 0, (camera.width - 1, camera.height - 1))
    kept = seen & ~_losses(rng, frames, noise)
    kept &= (kept[:, _BODY].sum(axis=1) >= _LEAST_PARTS)[:, None]
    confidence = np.where(wrong, 0.4 * confidence, confidence)
    found = np.concatenate([placed, confidence[..., None]], axis=-1).astype(np.float32)
    found[~kept] = 0
    return found


def _confidence(rng: np.random.Generator, pixels: Array, blurred: Mask, camera: Camera) -> Array:
    frames, points, _ = pixels.shape
    typical = np.empty(points)
    typical[_BODY] = _JOINT_CONFIDENCE
    typical[_FACE] = 0.82
    typical[_FACE][:17] = 0.68
    speed = np.zeros((frames, points))
    speed[1:] = np.linalg.norm(np.diff(pixels, axis=0), axis=-1) * camera.fps / torso_length(pixels)
    common = 0.03 * smooth_noise(rng, frames, 1, 1.5 * camera.fps) + 0.03 * rng.normal()
    own = 0.04 * sticky_noise(rng, (frames, points), 0.7) + 0.03 * rng.normal(size=points)
    confidence = (typical + common + own) / (1 + 0.12 * speed)
    doubtful = blurred | ((pixels < 0) | (pixels >= (camera.width, camera.height))).any(axis=-1)
    return np.clip(np.where(doubtful, 0.35 * confidence, confidence), 0.051, 1.02)


def _losses(rng: np.random.Generator, frames: int, noise: float) -> Mask:
    """Points lost for a while [T, 95]: groups of joints, the face, the whole person."""
    lost = np.zeros((frames, len(layout())), dtype=bool)
    groups = np.column_stack([spells(rng, frames, 1, noise * share, 8) for share in _SHARES])
    lost[:, _BODY] = groups @ _GROUPS
    lost[:, _FACE] = spells(rng, frames, 1, 0.02 * noise, 12)
    lost |= spells(rng, frames, 1, 0.008 * noise, 5)
    return lost
