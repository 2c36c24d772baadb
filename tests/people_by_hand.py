"""People as OpenPose would write them, from a place and a size."""

import numpy as np


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
