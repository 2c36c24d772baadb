"""People as OpenPose would write them, from a place and a size; simulated people who cross each other's path."""

import numpy as np
from numpy.typing import NDArray

from skelemo.simulate.clips import FOLDS, Cast
from skelemo.simulate.detection import Camera
from skelemo.simulate.scene import Crowd, film, walk


def person_json(x: float, y: float, size: float = 100, face: bool = False) -> dict[str, object]:
    """A body of 25 points on a grid around (x, y), confidence 0.9."""
    grid = [[x + size * (i % 5) / 5, y + size * (i // 5) / 5, 0.9] for i in range(25)]
    points = [[x + size * (i % 10) / 50, y + size * (i // 10) / 50, 0.8] for i in range(70)] if face else []
    return {
        "person_id": [-1],
        "pose_keypoints_2d": np.ravel(grid).tolist(),
        "face_keypoints_2d": np.ravel(points).tolist(),
        "hand_left_keypoints_2d": [],
        "hand_right_keypoints_2d": [],
    }


def crossing_people(
    *, people: int = 2, frames: int = 150, difficulty: float = 0.5, seed: int = 0, gap: float = 0.0
) -> tuple[Crowd, list[NDArray[np.float32]]]:
    """People who cross each other's path, half of them from each side, and the ground truth.

    Parameters
    ----------
    gap : meters between their lanes beyond 0.4 m; with 0 the nearer person occludes much of the other.

    Returns
    -------
    The crowd with true identities, and the points of each person without noise, [T, 95, 3].
    """
    cast = Cast(max(people, FOLDS), difficulty, seed)
    rng = cast.random(4)  # a stream that no clip uses
    camera = Camera(1280, 720, 30, 1150.0, (0.0, 1.3, 5.5), 0.05)
    walkers = []
    lanes = rng.permutation(people)
    for number in range(people):
        z = 0.4 - (0.4 + gap) * lanes[number] + rng.uniform(-0.05, 0.05)
        edge = camera.reach(z)
        side = -1 if number % 2 else 1
        begin = side * edge * rng.uniform(0.75, 1.0)
        speed = abs(begin) * 2 / (frames / camera.fps) * rng.uniform(0.85, 1.1)
        walker = cast.subject(number)
        facing = -side * np.pi / 2 + rng.normal(0, 0.1)
        walkers.append(walk(rng, walker, frames, camera.fps, start=(begin, z), speed=speed, facing=facing))
    return film(rng, walkers, frames, camera, cast.level.noise)
