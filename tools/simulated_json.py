"""Simulated recordings as OpenPose's JSON on disk, for the benchmarks beside this file."""

from itertools import pairwise
from pathlib import Path

import numpy as np

STRETCH = 25  # frames for which as many people stay in the picture


def write_recordings(folder: Path, frames: int, recordings: int) -> int:
    """Write that many frames as so many recordings of about the same length, each in a folder; bytes of all."""
    bounds = np.linspace(0, frames, recordings + 1).astype(int).tolist()
    return sum(
        write_frames(folder / f"recording {number}", stop - start, seed=number)
        for number, (start, stop) in enumerate(pairwise(bounds))
    )


def write_frames(folder: Path, frames: int, seed: int = 0) -> int:
    """Write one simulated recording as OpenPose 1.7 does, 0 to 2 people a frame, and say how many bytes it has.

    Somebody sways before the camera and is lost now and then for a second; another comes by now and then. Numbers are
    as OpenPose's: six significant digits, one body point in five missing, every point of a face there with a confidence
    of its own.
    """
    random = np.random.default_rng(seed)
    folder.mkdir(exist_ok=True)
    stances = [_stance(random, left) for left in (100, 800)]
    stretches = -(-frames // STRETCH)
    counts = np.repeat(random.choice([0, 1, 2], size=stretches, p=[0.08, 0.78, 0.14]), STRETCH)[:frames]
    size = 0
    for frame, people in enumerate(counts):
        text = ",".join(_person(random, stance, frame) for stance in stances[:people])
        file = folder / f"simulated video_{frame:012d}_keypoints.json"
        size += file.write_bytes(b'{"version":1.3,"people":[%s]}' % text.encode())
    return size


def _stance(random: np.random.Generator, left: float) -> np.ndarray:
    """Where somebody's 95 points are at rest, [95, 2] pixels, body first."""
    body = random.uniform((left, 150), (left + 300, 700), size=(25, 2))
    face = random.uniform((left + 100, 60), (left + 180, 150), size=(70, 2))
    return np.concatenate([body, face])


def _person(random: np.random.Generator, stance: np.ndarray, frame: int) -> str:
    confidence = random.uniform(0.05, 1, size=(95, 1))
    confidence[:25][random.random(25) < 0.2] = 0
    place = stance + 20 * np.sin(frame / 40) + random.normal(0, 1, size=stance.shape)
    points = np.where(confidence > 0, np.hstack([place, confidence]), 0)
    body, face = points[:25].ravel().tolist(), points[25:].ravel().tolist()
    parts: dict[str, list[float]] = {"pose": body, "face": face, "hand_left": [], "hand_right": []}
    lists = [f'"{part}_keypoints_2d":[{",".join(f"{n:.6g}" for n in parts[part])}]' for part in parts]
    lists += [f'"{part}_keypoints_3d":[]' for part in parts]
    return f'{{"person_id":[-1],{",".join(lists)}}}'
