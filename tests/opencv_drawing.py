"""OpenPose's CPU drawing on black, one person at a time, with OpenCV: the reference that the renderer is held to.

Written from the rules of ``renderKeypointsCpu`` (OpenPose, ``keypoint.cpp``), apart from the renderer.
"""

import math

import cv2
import numpy as np

from skelemo.skeleton import Layout, Part


def drawn(keypoints: np.ndarray, layout: Layout, width: int, height: int) -> np.ndarray:
    """One person, ``[V, 3]`` in pixels, in a picture ``[height, width, 3]`` of 0 to 255, RGB."""
    picture = np.zeros((height, width, 3), np.uint8)
    for part in layout.parts:
        draw_part(picture, keypoints[layout.slices[part.name]], part)
    return picture


def draw_part(picture: np.ndarray, points: np.ndarray, part: Part) -> None:
    height, width = picture.shape[:2]
    rule = part.drawing
    box = points[points[:, 2] > 0.1, :2]
    extent = np.ptp(box, axis=0) if len(box) else np.zeros(2)
    if extent[0] * extent[1] <= 0:
        return
    share = min(1, max(extent[0] / width, extent[1] / height))
    thickness = max(nearest(math.sqrt(width * height) * rule.thickness * share), 2)
    stroke = thickness if share > 0.05 else 1
    line = max(1, nearest(thickness * rule.line_ratio))
    place = [(nearest(x), nearest(y)) for x, y in points[:, :2]]
    visible = points[:, 2] > rule.threshold
    for start, end in part.limbs:
        if visible[start] and visible[end]:
            cv2.line(picture, place[start], place[end], rule.color(end), line, cv2.LINE_8)
    for index in np.flatnonzero(visible):
        cv2.circle(picture, place[index], thickness // 2, rule.color(int(index)), stroke, cv2.LINE_8)


def made_small(picture: np.ndarray, size: tuple[int, int]) -> np.ndarray:
    """The picture on black of the image's proportions, averaged by area to ``size`` (height, width), in [0, 1]."""
    height, width = picture.shape[:2]
    scale = min(size[0] / height, size[1] / width)
    canvas = np.zeros((round(size[0] / scale), round(size[1] / scale), 3), np.float32)
    top, left = (canvas.shape[0] - height) // 2, (canvas.shape[1] - width) // 2
    canvas[top : top + height, left : left + width] = picture
    return cv2.resize(canvas / 255, size[::-1], interpolation=cv2.INTER_AREA)


def nearest(value: float) -> int:
    """OpenPose's ``positiveIntRound``."""
    return math.floor(value + 0.5)


def in_frame_coordinates(keypoints: np.ndarray, width: int, height: int) -> np.ndarray:
    """Pixels ``[..., 3]`` to the renderer's coordinates: centered, the longer side from -0.5 to 0.5."""
    moved = keypoints.astype(np.float64)
    moved[..., :2] = (moved[..., :2] - np.array([width, height]) / 2) / max(width, height)
    moved[keypoints[..., 2] == 0] = 0
    return moved.astype(np.float32)


def agreement(images: np.ndarray, reference: np.ndarray) -> tuple[float, float]:
    """Soft intersection over union and mean absolute error of images in [0, 1]."""
    overlap = np.minimum(images, reference).sum() / np.maximum(images, reference).sum()
    return float(overlap), float(np.abs(images - reference).mean())
