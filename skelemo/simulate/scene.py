"""Scenes: actors and passers-by in front of a camera, and OpenPose's detections."""

from collections.abc import Sequence
from dataclasses import dataclass
from itertools import permutations

import numpy as np
from numpy.typing import NDArray

from skelemo.simulate.acting import Performance
from skelemo.simulate.body import POSTURE, figure
from skelemo.simulate.detection import Camera, detect, hidden, six_digits, visible
from skelemo.simulate.emotions import posture
from skelemo.simulate.face import face_points
from skelemo.simulate.signals import Array, smooth_noise
from skelemo.simulate.subject import Subject
from skelemo.skeleton import layout

_COLUMN = {name: index for index, name in enumerate(POSTURE)}


@dataclass(frozen=True)
class Crowd:
    """All detections of a recording and their true identities.

    People of frame i are rows start[i]:start[i+1] of `keypoints`, in OpenPose's arbitrary order.
    """

    number: NDArray[np.int32]  # [T] frame numbers
    start: NDArray[np.int64]  # [T + 1]
    keypoints: NDArray[np.float32]  # [P, 95, 3] pixels; missing = 0, 0, 0
    person: NDArray[np.int16]  # [P] true identity

    def rows(self, person: int) -> NDArray[np.int64]:
        """Row of a person in each frame, [T]; -1 if not detected."""
        frame = np.repeat(np.arange(len(self.number)), np.diff(self.start))
        rows = np.full(len(self.number), -1, dtype=np.int64)
        rows[frame[self.person == person]] = np.flatnonzero(self.person == person)
        return rows

    def seen(self, person: int) -> NDArray[np.float32]:
        """Detected keypoints of a person, [T, 95, 3]; 0 if not detected."""
        rows = self.rows(person)
        found = self.keypoints[np.maximum(rows, 0)] if len(self.keypoints) else np.zeros((len(rows), 95, 3), np.float32)
        found[rows < 0] = 0
        return found


@dataclass(frozen=True)
class Person:
    """A person in a scene: world points [F, 95, 3] in meters from frame `first` on."""

    points: Array
    first: int = 0


def act(
    rng: np.random.Generator, subject: Subject, done: Performance, fps: float, *, at: float, turned: float, seated: bool
) -> Person:
    """An actor `at` meters to the right of the origin, turned from the camera by `turned` radians."""
    frames = len(done.posture)
    build = subject.build
    facing = turned + 0.05 * smooth_noise(rng, frames, 1, 2 * fps)[:, 0]
    height = build.sitting if seated else build.standing
    root = np.tile([at, height, 0.0], (frames, 1))
    fore = 0.26 * build.stature if seated else 0.0
    stand = build.hip * rng.uniform(1.1, 1.7)
    feet = np.array([[-stand, 0, fore + rng.normal(0, 0.03)], [stand, 0, fore + rng.normal(0, 0.03)]])
    sine, cosine = np.sin(turned), np.cos(turned)
    ankles = feet @ np.array([[cosine, 0, -sine], [0, 1, 0], [sine, 0, cosine]])
    ankles += (at, build.ankle, 0)
    face = face_points(subject.face, subject.moves, done.actions)
    pose = done.posture.copy()
    pose[:, _COLUMN["crouch"]] = np.maximum(pose[:, _COLUMN["crouch"]], 0)
    if seated:
        pose[:, [_COLUMN["crouch"], _COLUMN["step"]]] *= 0.3
    return Person(figure(build, pose, root, facing, np.tile(ankles, (frames, 1, 1)), face))


def walk(
    rng: np.random.Generator,
    subject: Subject,
    frames: int,
    fps: float,
    *,
    start: tuple[float, float],
    speed: float,
    facing: float,
    first: int = 0,
) -> Person:
    """A person who walks from `start` (x, z in meters) at `speed` m/s in direction `facing` (radians)."""
    build = subject.build
    clock = np.arange(frames) / fps
    direction = np.array([np.sin(facing), 0.0, np.cos(facing)])
    across = np.array([np.cos(facing), 0.0, -np.sin(facing)])  # to the walker's left
    cycle = 0.82 * build.stature * (0.6 + 0.3 * speed)  # meters for two steps
    turn = clock * speed / cycle + rng.random()  # cycles
    path = np.array([start[0], 0.0, start[1]]) + np.outer(clock * speed, direction)
    sides = []
    for sign, shift in ((-1, 0.0), (1, 0.5)):
        ahead, lift = _step((turn + shift) % 1.0)
        foot = path + np.outer(ahead * 0.6 * cycle, direction) + sign * 0.8 * build.hip * across
        foot[:, 1] += build.ankle + lift
        sides.append(foot)
    pose = np.tile(posture({}, "hanging", "hanging") + subject.habit, (frames, 1))
    swing = np.cos(2 * np.pi * turn)
    pose[:, _COLUMN["right_fore"]] -= 0.28 * swing
    pose[:, _COLUMN["left_fore"]] += 0.28 * swing
    pose[:, _COLUMN["twist"]] += 0.08 * swing
    pose[:, _COLUMN["crouch"]] = 0.035 + 0.012 * np.cos(4 * np.pi * turn)
    pose += 0.02 * smooth_noise(rng, frames, len(POSTURE), fps) * (np.arange(len(POSTURE)) < _COLUMN["shrug"])
    face = face_points(subject.face, subject.moves, np.tile(subject.tension, (frames, 1)))
    root = path + np.array([0, build.standing, 0])
    points = figure(build, pose, root, np.full(frames, facing), np.stack(sides, axis=1), face)
    return Person(points, first)


def _step(turn: Array) -> tuple[Array, Array]:
    """Position of a foot ahead of the hip (-0.5 to 0.5) and its height (m), by phase of its cycle."""
    swinging = np.clip((turn - 0.6) / 0.4, 0, 1)
    ahead = np.where(turn < 0.6, 0.5 - turn / 0.6, -0.5 + swinging * swinging * (3 - 2 * swinging))
    return ahead, 0.09 * np.sin(np.pi * swinging)


def film(
    rng: np.random.Generator, people: Sequence[Person], frames: int, camera: Camera, noise: float
) -> tuple[Crowd, list[NDArray[np.float32]]]:
    """OpenPose's detections of a scene, and the ground truth.

    The ground truth is [T, 95, 3] by person, in pixels and without noise; confidence is 1 for points that a perfect
    OpenPose would detect, and undetected points are (0, 0, 0).
    """
    views = [_view(person, camera) for person in people]
    for rear, front in permutations(views, 2):
        _hide(rear, front)
    found, truth = np.zeros((2, len(people), frames, len(layout()), 3), dtype=np.float32)
    for index, view in enumerate(views):
        found[index, view.frames] = detect(rng, view.pixels, view.seen, camera, noise)
        truth[index, view.frames] = np.where(view.seen[..., None], np.insert(view.pixels, 2, 1.0, axis=-1), 0)
    return _gather(rng, found), list(truth)


@dataclass(frozen=True)
class _View:
    """A person in the image, for the frames in which they are in the scene."""

    frames: slice
    pixels: Array  # [F, 95, 2]
    seen: NDArray[np.bool_]  # [F, 95]
    distance: Array  # [F] meters


def _view(person: Person, camera: Camera) -> _View:
    pixels, depth = camera.project(person.points)
    frames = slice(person.first, person.first + len(pixels))
    return _View(frames, pixels, visible(person.points, pixels, depth, camera), depth.mean(axis=1))


def _hide(rear: _View, front: _View) -> None:
    """Hide the points of `rear` that `front` occludes."""
    first, last = max(rear.frames.start, front.frames.start), min(rear.frames.stop, front.frames.stop)
    if first >= last:
        return
    of_rear, of_front = (slice(first - view.frames.start, last - view.frames.start) for view in (rear, front))
    occluded = hidden(rear.pixels[of_rear], front.pixels[of_front])
    occluded &= (front.distance[of_front] < rear.distance[of_rear])[:, None]
    rear.seen[of_rear] &= ~occluded


def _gather(rng: np.random.Generator, found: NDArray[np.float32]) -> Crowd:
    """List the people [people, T, 95, 3] of every frame in an order that changes occasionally."""
    detected: NDArray[np.bool_] = np.any(found[..., 2] > 0, axis=2).T  # [T, people]
    frames = found.shape[1]
    changes = np.maximum.accumulate(np.where(rng.random(frames) < 0.3, np.arange(frames), 0))
    rank = rng.random(detected.shape)[changes]
    order = np.argsort(np.where(detected, rank, 2.0), axis=1)
    kept = np.take_along_axis(detected, order, axis=1)
    frame, person = np.nonzero(kept)[0], order[kept]
    start = np.concatenate([[0], np.cumsum(detected.sum(axis=1))]).astype(np.int64)
    keypoints = six_digits(found[person, frame]).astype(np.float32)
    return Crowd(np.arange(frames, dtype=np.int32), start, keypoints, person.astype(np.int16))
