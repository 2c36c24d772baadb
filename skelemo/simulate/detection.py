"""The camera, and OpenPose's detections: visibility, missing points, jitter and confidence.

Calibrated by eye on recordings of BODY_25: joints jitter by about half a percent of the torso, confidence is highest at
eyes and neck and lowest at wrists, hips and feet, and points are missing for several frames. Faces are missing below a
box of 40 pixels and otherwise have all 70 points, as in OpenPose (``faceDetector.cpp``).
"""

from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from skelemo.simulate.signals import Array, smooth_noise, spells, sticky_noise
from skelemo.skeleton import BODY_25, FACE_70, layout

Mask = NDArray[np.bool_]

#: Visible height and height of the image center for a standing person, in statures.
FRAMINGS = {"full": (1.3, 0.5), "half": (0.78, 0.71), "close": (0.42, 0.86)}
SIZES = ((1280, 720), (1920, 1080), (960, 540), (640, 480))
RATES = (30, 30, 30, 25, 24)

_FACE = layout().slices[FACE_70.name]
_BODY = layout().slices[BODY_25.name]
_MIN_FACE = 40  # pixels, faceDetector.cpp
_MIN_JOINTS = 3  # getPoseDefaultMinSubsetCnt

# Mean confidence of clearly visible points, and jitter in percent of the torso.
_CONFIDENCE = {"Nose": 0.9, "Neck": 0.86, "Shoulder": 0.82, "Elbow": 0.8, "Wrist": 0.74, "MidHip": 0.66, "Hip": 0.62}
_CONFIDENCE |= {"Knee": 0.76, "Ankle": 0.74, "Eye": 0.92, "Ear": 0.84, "BigToe": 0.66, "SmallToe": 0.62, "Heel": 0.6}
_JITTER = {"Nose": 0.3, "Neck": 0.45, "Shoulder": 0.5, "Elbow": 0.55, "Wrist": 0.6, "MidHip": 0.8, "Hip": 0.8}
_JITTER |= {"Knee": 0.65, "Ankle": 0.7, "Eye": 0.3, "Ear": 0.4, "BigToe": 1.0, "SmallToe": 1.0, "Heel": 1.0}
_FACE_JITTER = 0.55  # percent of the face's box, about 0.9 mm

# Points that are missing together, and their share of time.
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


_POWERS = np.array([1e-4, 1e-3, 1e-2, 1e-1, 1e0, 1e1, 1e2, 1e3, 1e4, 1e5])
# Exact in float64, so that one division is correctly rounded.
_SCALES = np.array([0.0, 1e9, 1e8, 1e7, 1e6, 1e5, 1e4, 1e3, 1e2, 1e1, 1e0])


def _by_joint(table: dict[str, float]) -> Array:
    return np.array([table[name if name in table else name[1:]] for name in BODY_25.keypoints])


_JOINT_CONFIDENCE, _JOINT_JITTER = _by_joint(_CONFIDENCE), _by_joint(_JITTER) / 100
_GROUPS = np.array([[name in words.split() for name in BODY_25.keypoints] for words in _LOST])
_SHARES = np.array(list(_LOST.values()))


@dataclass(frozen=True)
class Camera:
    """A pinhole camera along -z, tilted down by `tilt` radians; focal length in pixels, position in meters."""

    width: int
    height: int
    fps: int
    focal: float
    position: tuple[float, float, float]
    tilt: float

    def project(self, points: Array) -> tuple[Array, Array]:
        """Project world points [..., 3] in front of the camera to pixels [..., 2] and distances [...] in meters."""
        x, y, z = np.moveaxis(points - np.array(self.position), -1, 0)
        sine, cosine = np.sin(self.tilt), np.cos(self.tilt)
        depth = np.maximum(-z * cosine - y * sine, 0.05)
        up = y * cosine - z * sine
        pixels = np.stack([self.width / 2 + self.focal * x / depth, self.height / 2 - self.focal * up / depth], axis=-1)
        return pixels, depth

    def reach(self, z: float) -> float:
        """Half the visible width at depth z of the world, in meters."""
        return (self.position[2] - z) * self.width / 2 / self.focal


def random_camera(
    rng: np.random.Generator, stature: float, framing: str, *, lowered: float = 0.0, breadth: float = 0.0
) -> Camera:
    """A camera that frames a person of this stature at the origin, seated `lowered` meters below standing height.

    The image is at least `breadth` meters wide.
    """
    width, height = SIZES[rng.integers(len(SIZES))]
    share, center = FRAMINGS[framing]
    focal = width * rng.uniform(0.9, 1.5)
    span = stature * share * rng.uniform(0.92, 1.15)
    distance = focal * max(span / height, breadth / width)
    aim = stature * center - lowered + rng.normal(0, 0.015) * span
    tilt = float(np.clip(rng.normal(0.04, 0.07), -0.15, 0.25))
    aside = rng.normal(0, 0.05) * min(distance * width / focal, 2.0)
    position = (aside, aim + np.tan(tilt) * distance, distance)
    return Camera(width, height, int(rng.choice(RATES)), focal, position, tilt)


def visible(world: Array, pixels: Array, depth: Array, camera: Camera) -> Mask:
    """Points [T, 95] that a perfect OpenPose would detect: in the image, not occluded by the head, in a large face."""
    inside = (pixels >= 0).all(-1) & (pixels[..., 0] <= camera.width - 1) & (pixels[..., 1] <= camera.height - 1)
    joint = BODY_25.index
    turned = depth[:, joint("REar")] - depth[:, joint("LEar")]
    breadth = np.linalg.norm(world[:, joint("REar")] - world[:, joint("LEar")], axis=-1)
    aside = turned / breadth  # sine of the head's turn to its right
    inside[:, joint("REar")] &= aside < 0.5
    inside[:, joint("LEar")] &= aside > -0.5
    inside[:, joint("REye")] &= aside < 0.9
    inside[:, joint("LEye")] &= aside > -0.9
    away = depth[:, joint("Nose")] > (depth[:, joint("REar")] + depth[:, joint("LEar")]) / 2 + 0.02
    inside[:, [joint("Nose"), joint("REye"), joint("LEye")]] &= ~away[:, None]
    head = inside[:, [joint("Nose"), joint("REye"), joint("LEye")]].sum(axis=1) >= 2
    face = (face_box(pixels) > _MIN_FACE) & head & (np.abs(aside) < 0.97)
    inside[:, _FACE] = face[:, None]  # OpenPose outputs all points of a face, including those outside the image
    return inside & (inside[:, _BODY].sum(axis=1) >= _MIN_JOINTS)[:, None]


def face_box(pixels: Array) -> Array:
    """Side of OpenPose's box of each face, [T] in pixels, from pixels [T, 95, 2]."""
    face = pixels[:, _FACE]
    return 1.3 * np.maximum(np.ptp(face[..., 0], axis=1), np.ptp(face[..., 1], axis=1))


def torso_length(pixels: Array) -> float:
    """Typical length of a person's torso in pixels, estimated from the shoulders if foreshortened."""
    joint = BODY_25.index
    torso = np.linalg.norm(pixels[:, joint("Neck")] - pixels[:, joint("MidHip")], axis=-1)
    breadth = np.linalg.norm(pixels[:, joint("RShoulder")] - pixels[:, joint("LShoulder")], axis=-1)
    return float(np.median(np.maximum(torso, 1.2 * breadth)))


def hidden(pixels: Array, front: Array) -> Mask:
    """Points [T, 95] of a person that are occluded by the trunk or head of another in front."""
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
    """OpenPose's keypoints, float32 [T, 95, 3], of a person at pixels [T, 95, 2] with visibility `seen` [T, 95].

    A `noise` of 1 is about that of real recordings. A person with fewer than three joints is not detected.
    """
    frames, points, _ = pixels.shape
    size = np.empty(points)
    size[_BODY] = torso_length(pixels) * _JOINT_JITTER
    size[_FACE] = np.median(face_box(pixels)) * _FACE_JITTER / 100
    blurred = spells(rng, frames, points, 0.015 * noise, 6)  # low confidence for a while
    confidence = _confidence(rng, pixels, blurred, camera)
    wrong = spells(rng, frames, points, 0.002 * noise, 2)  # wrong position
    wrong[:, _FACE] = False
    scatter = noise * size * np.where(blurred, 4.0, 1.0)
    shift = sticky_noise(rng, (frames, points, 2), 0.45) * scatter[..., None]
    shift += np.where(wrong, 0.25 * torso_length(pixels), 0)[..., None] * rng.normal(size=shift.shape)
    noisy = pixels + shift
    noisy[:, _BODY] = np.clip(noisy[:, _BODY], 0, (camera.width - 1, camera.height - 1))
    kept = seen & ~_losses(rng, frames, noise)
    kept &= (kept[:, _BODY].sum(axis=1) >= _MIN_JOINTS)[:, None]
    confidence = np.where(wrong, 0.4 * confidence, confidence)
    found = np.concatenate([noisy, confidence[..., None]], axis=-1).astype(np.float32)
    found[~kept] = 0
    return found


def six_digits(values: NDArray[Any]) -> NDArray[np.float64]:
    """Round float32 values below a million to six significant digits, as OpenPose prints them (``ostream << float``).

    The shortest text that round-trips then equals C++'s. Magnitudes below 1e-4, which C++ would print with an exponent,
    become 0.
    """
    exact = values.astype(np.float32).astype(np.float64)
    magnitude = np.searchsorted(_POWERS, np.abs(exact), side="right")
    scale = _SCALES[magnitude]
    return np.where(magnitude > 0, np.rint(exact * scale) / np.where(magnitude > 0, scale, 1.0), 0.0)


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
    """Points missing for a while [T, 95]: groups of joints, the face, the whole person."""
    lost = np.zeros((frames, len(layout())), dtype=bool)
    groups = np.column_stack([spells(rng, frames, 1, noise * share, 8) for share in _SHARES])
    lost[:, _BODY] = groups @ _GROUPS
    lost[:, _FACE] = spells(rng, frames, 1, 0.02 * noise, 12)
    lost |= spells(rng, frames, 1, 0.008 * noise, 5)
    return lost
