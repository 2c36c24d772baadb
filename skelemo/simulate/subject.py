"""Subjects: actors with an individual body, face, habits and expressiveness."""

from dataclasses import dataclass

import numpy as np

from skelemo.simulate.body import POSTURE, Build, random_build
from skelemo.simulate.emotions import MANNER
from skelemo.simulate.face import ACTIONS, random_actions, random_face
from skelemo.simulate.signals import Array

_HABITS = {
    **{"lean": 0.06, "bend": 0.12, "side": 0.03, "twist": 0.1, "shrug": 0.012, "round": 0.025, "nod": 0.1, "turn": 0.1},
    **{"tilt": 0.06, "thrust": 0.015, "crouch": 0.006},
    **{"right_out": 0.06, "right_up": 0.04, "right_fore": 0.06, "left_out": 0.06, "left_up": 0.04, "left_fore": 0.06},
}
_RESTING_HANDS = (("hanging", "hanging"), ("belly", "belly"), ("talking", "talking"), ("hanging", "belly"))
_TENSE = np.array([0.0 if name.startswith(("look", "eyes", "jaw")) else 1.0 for name in ACTIONS])


class Level:
    """Parameters of a difficulty from 0 (nearly separable) to 1 (hard)."""

    def __init__(self, difficulty: float) -> None:
        def between(easy: float, hard: float) -> float:
            return easy + (hard - easy) * difficulty

        self.difficulty = difficulty
        self.face = between(1.15, 0.65)  # strength of facial actions
        self.body = between(1.1, 0.6)  # strength of postures
        self.motion = between(1.1, 0.8)  # interpolation from neutral to an emotion's manner of moving
        self.spread = between(0.3, 0.9)  # variation of subjects, relative to adults
        self.ambiguity = between(0.0, 0.5)  # share of episodes with a neutral speaker's hands, and mixing of faces
        self.noise = between(0.3, 1.3)  # OpenPose's jitter and missing points, relative to real recordings
        self.turning = between(0.1, 0.35)  # standard deviation of the angle between subject and camera, radians


@dataclass(frozen=True)
class Subject:
    """One actor, with properties common to all clips."""

    number: int
    build: Build
    face: Array  # [70, 3] resting, mm
    moves: Array  # [A, 70, 3] mm
    tension: Array  # [A] strength of each action at rest
    habit: Array  # [len(POSTURE)] added to every posture
    hands: tuple[str, str]  # resting positions, keys of HANDS
    manner: Array  # [len(MANNER)] factors of the manner of moving
    expressiveness: float


def random_subject(rng: np.random.Generator, number: int, level: Level) -> Subject:
    """A random subject, varied according to the difficulty."""
    spread = level.spread
    sizes = np.array([_HABITS.get(name, 0.0) for name in POSTURE])
    return Subject(
        number,
        random_build(rng, spread),
        random_face(rng, spread),
        random_actions(rng, spread),
        tension=spread * 0.2 * rng.normal(size=len(ACTIONS)) * _TENSE,
        habit=spread * sizes * rng.normal(size=len(POSTURE)),
        hands=_RESTING_HANDS[rng.choice(len(_RESTING_HANDS), p=(0.45, 0.2, 0.2, 0.15))],
        manner=np.exp(spread * 0.12 * rng.normal(size=len(MANNER))),
        expressiveness=float(np.exp(spread * rng.normal(0, 0.2))),
    )
