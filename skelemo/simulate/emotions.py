"""Prototypes of emotions: valence and arousal, facial actions, postures, motion, and timing.

Valence and arousal are Russell & Mehrabian's (1977). Facial actions are the prototypes of FACS and EMFACS (Ekman &
Friesen 1978). Postures and manners follow Wallbott (1998) and Coulson (2004): joy opens and bounces, sadness slumps and
slows, anger leans in and strikes, fear draws back and trembles, disgust turns away, surprise starts back and freezes.
"""

from dataclasses import dataclass

import numpy as np

from skelemo.simulate.body import POSTURE
from skelemo.simulate.face import ACTIONS
from skelemo.simulate.signals import Array

#: Positions of the right hand: wrist out, up and fore of its shoulder in arm lengths, and elbow outwards.
HANDS = {
    "hanging": (0.12, -0.95, 0.12, 0.1),
    "belly": (-0.28, -0.62, 0.36, 0.25),
    "hip": (0.0, -0.68, 0.0, 1.2),
    "talking": (0.05, -0.45, 0.5, 0.2),
    "open": (0.55, -0.4, 0.4, 0.1),
    "raised": (0.4, 0.66, 0.2, 0.5),
    "crossed": (-0.62, -0.45, 0.36, 0.3),
    "fist": (0.22, -0.78, 0.18, 0.7),
    "pointing": (-0.08, -0.02, 0.86, 0.1),
    "pushing": (0.06, -0.08, 0.72, 0.1),
    "guarding": (-0.2, -0.02, 0.46, 0.0),
    "startled": (0.28, 0.08, 0.44, 0.05),
    "mouth": (-0.26, 0.14, 0.38, 0.0),
    "brow": (-0.24, 0.34, 0.3, 0.15),
}

#: Columns of a manner of moving: beats of the hands (Hz, arm lengths, 0 smooth to 1 striking), tremor (arm lengths),
#: bouncing (m), nodding and shaking the head (radians), and idle motion.
MANNER = ("tempo", "swing", "sharpness", "tremor", "bounce", "nodding", "shaking", "wander")


@dataclass(frozen=True)
class Emotion:
    """One emotion at full intensity; durations are (minimum, maximum) in seconds."""

    name: str
    valence: float
    arousal: float
    actions: dict[str, float]  # of the face, by ACTIONS
    trunk: dict[str, float]  # displacements of trunk and head, by POSTURE
    hands: tuple[str, ...]  # alternatives for the right and the left hand, keys of HANDS
    manner: tuple[float, ...]  # by MANNER
    onset: tuple[float, float]
    apex: tuple[float, float]
    offset: tuple[float, float] = (0.5, 1.4)


PROTOTYPES = (
    Emotion(
        "happiness",
        valence=0.81,
        arousal=0.51,
        actions={"cheek_raiser": 0.9, "lip_corner_puller": 1.0, "lips_part": 0.8},
        trunk={"lean": -0.04, "bend": -0.1, "round": -0.02, "nod": -0.1, "tilt": 0.08, "step": 0.04},
        hands=("open open", "raised raised", "talking open", "open talking"),
        manner=(1.5, 0.13, 0.1, 0.0, 0.016, 0.05, 0.02, 1.3),
        onset=(0.4, 0.9),
        apex=(1.6, 4.0),
    ),
    Emotion(
        "sadness",
        valence=-0.63,
        arousal=-0.27,
        actions={"inner_brow_raiser": 0.95, "brow_lowerer": 0.35, "lip_corner_depressor": 1.0, "chin_raiser": 0.5}
        | {"eyes_closed": 0.25, "look_up": -0.8},
        trunk={"lean": 0.1, "bend": 0.38, "round": 0.05, "shrug": -0.012, "nod": 0.34, "tilt": 0.1, "step": -0.02},
        hands=("hanging hanging", "belly belly", "brow belly", "belly brow"),
        manner=(0.25, 0.025, 0.0, 0.0, 0.0, 0.012, 0.02, 0.5),
        onset=(0.8, 1.8),
        apex=(2.0, 4.5),
        offset=(0.8, 2.0),
    ),
    Emotion(
        "neutral",
        valence=0.0,
        arousal=0.0,
        actions={},
        trunk={},
        hands=(),
        manner=(0.7, 0.05, 0.1, 0.0, 0.001, 0.02, 0.01, 1.0),
        onset=(0.5, 1.0),
        apex=(2.0, 4.0),
    ),
    Emotion(
        "anger",
        valence=-0.51,
        arousal=0.59,
        actions={"brow_lowerer": 1.1, "upper_lid_raiser": 0.5, "lid_tightener": 0.8, "lip_presser": 1.0}
        | {"nose_wrinkler": 0.2},
        trunk={"lean": 0.14, "bend": 0.06, "shrug": 0.018, "nod": 0.1, "thrust": 0.04, "crouch": 0.02, "step": 0.12},
        hands=("fist fist", "hip hip", "pointing fist", "fist pointing"),
        manner=(2.1, 0.15, 0.95, 0.003, 0.004, 0.06, 0.03, 1.2),
        onset=(0.25, 0.7),
        apex=(1.6, 4.0),
    ),
    Emotion(
        "surprise",
        valence=0.40,
        arousal=0.67,
        actions={"inner_brow_raiser": 1.0, "outer_brow_raiser": 1.0, "upper_lid_raiser": 1.0, "jaw_drop": 1.0}
        | {"lips_part": 0.5},
        trunk={"lean": -0.14, "bend": -0.1, "shrug": 0.02, "nod": -0.12, "step": -0.08},
        hands=("startled startled", "mouth startled", "startled mouth", "open open"),
        manner=(0.4, 0.03, 0.6, 0.0, 0.0, 0.01, 0.01, 0.4),
        onset=(0.12, 0.25),
        apex=(1.2, 2.8),
    ),
    Emotion(
        "disgust",
        valence=-0.60,
        arousal=0.35,
        actions={"nose_wrinkler": 1.0, "upper_lip_raiser": 0.6, "lip_corner_depressor": 0.5, "brow_lowerer": 0.3}
        | {"lower_lip_depressor": 0.4, "cheek_raiser": 0.4, "chin_raiser": 0.3},
        trunk={"lean": -0.08, "twist": 0.3, "turn": 0.38, "tilt": -0.1, "nod": -0.04, "shrug": 0.015, "step": -0.06},
        hands=("pushing hanging", "pushing belly", "pushing pushing", "mouth pushing"),
        manner=(0.9, 0.09, 0.5, 0.0, 0.0, 0.01, 0.09, 0.9),
        onset=(0.3, 0.8),
        apex=(1.5, 3.5),
    ),
    Emotion(
        "fear",
        valence=-0.64,
        arousal=0.60,
        actions={"inner_brow_raiser": 1.0, "outer_brow_raiser": 0.55, "brow_lowerer": 0.6, "upper_lid_raiser": 1.0}
        | {"lip_stretcher": 1.0, "lips_part": 0.7, "jaw_drop": 0.3},
        trunk={"lean": -0.06, "bend": 0.14, "shrug": 0.05, "round": 0.05, "nod": 0.04, "turn": -0.2}
        | {"crouch": 0.06, "step": -0.14},
        hands=("guarding guarding", "mouth guarding", "crossed crossed", "guarding mouth"),
        manner=(1.1, 0.03, 0.4, 0.014, 0.0, 0.015, 0.03, 0.8),
        onset=(0.15, 0.5),
        apex=(1.5, 3.8),
    ),
)

NAMES = tuple(emotion.name for emotion in PROTOTYPES)
NEUTRAL = NAMES.index("neutral")

#: Prototypes as arrays by emotion: facial actions [7, A], manners [7, len(MANNER)], valence and arousal [7, 2].
FACES = np.array([[emotion.actions.get(name, 0.0) for name in ACTIONS] for emotion in PROTOTYPES])
MANNERS = np.array([emotion.manner for emotion in PROTOTYPES])
AFFECT = np.array([(emotion.valence, emotion.arousal) for emotion in PROTOTYPES])

_HAND_COLUMNS = [POSTURE.index(name) for name in ("right_out", "right_up", "right_fore", "right_elbow")]
_HAND_COLUMNS += [POSTURE.index(name) for name in ("left_out", "left_up", "left_fore", "left_elbow")]


def posture(trunk: dict[str, float], right: str, left: str) -> Array:
    """A row of POSTURE from displacements of trunk and head, and two keys of HANDS."""
    row = np.array([trunk.get(name, 0.0) for name in POSTURE])
    row[_HAND_COLUMNS] = HANDS[right] + HANDS[left]
    return row
