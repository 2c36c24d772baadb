"""The camera: where it stands, what it frames, and how points in space come into the picture."""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

Array = NDArray[np.float64]

#: How much of a standing person is in the picture: (height in statures, what lies at the middle in statures).
FRAMINGS = {"full": (1.3, 0.5), "half": (0.78, 0.71), "close": (0.42, 0.86)}
SIZES = ((1280, 720), (1920, 1080), (960, 540), (640, 480))
RATES = (30, 30, 30, 25, 24)


@dataclass(frozen=True)
class Camera:
    """A pinhole camera that looks along -z, tilted down by `tilt` radians. Focal length in pixels, position in m."""

    width: int
    height: int
    fps: int
    focal: float
    position: tuple[float, float, float]
    tilt: float

    def project(self, points: Array) -> tuple[Array, Array]:
        """Pixels [..., 2] and distances [...] in meters of points [..., 3] in the world; all must be in front of it."""
        x, y, z = np.moveaxis(points - np.array(self.position), -1, 0)
        sine, cosine = np.sin(self.tilt), np.cos(self.tilt)
        depth = np.maximum(-z * cosine - y * sine, 0.05)
        up = y * cosine - z * sine
        across = np.stack([self.width / 2 + self.focal * x / depth, self.height / 2 - self.focal * up / depth], axis=-1)
        return across, depth

    def reach(self, z: float) -> float:
        """How far the picture reaches to either side at depth z of the world, in meters."""
        return (self.position[2] - z) * self.width / 2 / self.focal


def random_camera(
    rng: np.random.Generator, stature: float, framing: str, *, lowered: float = 0.0, breadth: float = 0.0
) -> Camera:
    """A camera that frames somebody of that stature at the origin, who sits `lowered` meters lower than standing.

    At least `breadth` meters fit into the picture from left to right.
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
