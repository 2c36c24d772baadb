"""Acting: converts a script of emotion episodes to posture, facial actions and labels of every frame."""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from skelemo.simulate.body import POSTURE
from skelemo.simulate.emotions import AFFECT, FACES, MANNERS, NAMES, NEUTRAL, PROTOTYPES, posture
from skelemo.simulate.face import ACTIONS
from skelemo.simulate.signals import Array, impulses, smooth_noise, steps
from skelemo.simulate.subject import Level, Subject

#: Minimum intensity of an episode for frames to be labeled with its emotion; others are neutral.
LABEL_FROM = 0.3

_COLUMN = {name: index for index, name in enumerate(POSTURE)}
_ACTION = {name: index for index, name in enumerate(ACTIONS)}
_TREMOR_HZ = 7.0
_SHAKING_HZ = 1.2
# Idle motion: standard deviation by column of POSTURE.
_WANDER = {
    **{"lean": 0.015, "bend": 0.02, "side": 0.015, "twist": 0.03, "shrug": 0.003, "nod": 0.035, "turn": 0.06},
    **{"tilt": 0.025, "sway": 0.015, "step": 0.012},
    **{f"{side}_{way}": 0.02 for side in ("right", "left") for way in ("out", "up", "fore")},
}


@dataclass(frozen=True)
class Episode:
    """One emotion with onset, apex and offset, in seconds; `peak` is the intensity at the apex."""

    emotion: int
    start: float
    onset: float
    apex: float
    offset: float
    peak: float

    @property
    def end(self) -> float:
        """End time."""
        return self.start + self.onset + self.apex + self.offset


@dataclass(frozen=True)
class Performance:
    """Motion and labels of an actor, by frame."""

    posture: Array  # [T, len(POSTURE)]
    actions: Array  # [T, A]
    expression: NDArray[np.int8]  # [T] index into NAMES
    intensity: Array  # [T] of the episode, 0 between episodes
    valence: Array  # [T] in [-1, 1]
    arousal: Array  # [T] in [-1, 1]


def long_script(rng: np.random.Generator, seconds: float) -> list[Episode]:
    """Episodes of all emotions in random order, separated by neutral, for a whole video."""
    script: list[Episode] = []
    clock = rng.uniform(0.5, 1.5)
    while clock < seconds:
        for emotion in rng.permutation([index for index in range(len(NAMES)) if index != NEUTRAL]):
            script.append(_episode(rng, int(emotion), clock))
            clock = script[-1].end + rng.uniform(0.8, 2.5)
    return [episode for episode in script if episode.start < seconds]


def short_script(rng: np.random.Generator, emotion: int, seconds: float) -> list[Episode]:
    """One emotion for a short clip; its onset may precede the clip."""
    episode = _episode(rng, emotion, rng.uniform(-0.6, 0.15) * seconds)
    apex = max(0.0, rng.uniform(0.8, 1.2) * seconds - episode.start - episode.onset)
    return [Episode(emotion, episode.start, episode.onset, apex, episode.offset, episode.peak)]


def perform(
    rng: np.random.Generator, subject: Subject, script: Sequence[Episode], frames: int, fps: float, level: Level
) -> Performance:
    """Perform a script for `frames` frames at `fps`."""
    seconds = np.arange(frames) / fps
    resting = posture({}, *subject.hands) + subject.habit
    pose = np.tile(resting, (frames, 1))  # [T, P]
    actions = np.tile(subject.tension, (frames, 1))  # [T, A]
    manner = np.tile(MANNERS[NEUTRAL], (frames, 1))  # [T, M]
    emotion, intensity = np.full(frames, NEUTRAL), np.zeros(frames)
    for episode in script:
        now = envelope(episode, seconds)
        emotion[now > 0], intensity = episode.emotion, np.maximum(intensity, now)
        face, body = _emphasis(rng, level)
        actions += np.outer(now, face * _shown_face(rng, subject, episode.emotion, level))
        delayed = envelope(episode, seconds - rng.uniform(0.0, 0.2))
        pose += np.outer(delayed, body * level.body * (_shown_posture(rng, subject, episode.emotion, level) - resting))
        manner += np.outer(delayed, level.motion * (MANNERS[episode.emotion] - MANNERS[NEUTRAL]))
    _move(rng, pose, np.maximum(manner, 0) * subject.manner, fps)
    _enliven_face(rng, actions, fps, level)
    expression = np.where(intensity >= LABEL_FROM, emotion, NEUTRAL).astype(np.int8)
    valence, arousal = _affect(rng, emotion, intensity, fps, level)
    return Performance(pose, actions, expression, intensity, valence, arousal)


def envelope(episode: Episode, seconds: Array) -> Array:
    """Intensity of an episode at given times: smooth onset, apex, smooth offset."""
    rise = _smoothstep((seconds - episode.start) / episode.onset)
    fall = _smoothstep((seconds - episode.start - episode.onset - episode.apex) / episode.offset)
    return episode.peak * rise * (1 - fall)


def _smoothstep(x: Array) -> Array:
    x = np.clip(x, 0, 1)
    return x * x * (3 - 2 * x)


def _episode(rng: np.random.Generator, emotion: int, start: float) -> Episode:
    prototype = PROTOTYPES[emotion]
    onset, apex, offset = (rng.uniform(*span) for span in (prototype.onset, prototype.apex, prototype.offset))
    return Episode(emotion, start, onset, apex, offset, peak=rng.uniform(0.65, 1.0))


def _emphasis(rng: np.random.Generator, level: Level) -> tuple[float, float]:
    """Factors for face and posture; at higher difficulty some episodes are weak in one, or in both."""
    if rng.random() > level.ambiguity:
        return 1.0, 1.0
    return ((0.25, 1.0), (1.0, 0.25), (0.25, 0.25))[rng.integers(3)]


def _shown_face(rng: np.random.Generator, subject: Subject, emotion: int, level: Level) -> Array:
    if emotion == NEUTRAL:
        return np.zeros(len(ACTIONS))
    other = FACES[rng.integers(len(FACES))]
    share = rng.uniform(0, 0.5 * level.ambiguity)
    own = FACES[emotion] * np.exp(level.spread * rng.normal(0, 0.25, len(ACTIONS)))
    return level.face * subject.expressiveness * ((1 - share) * own + share * other)


def _shown_posture(rng: np.random.Generator, subject: Subject, emotion: int, level: Level) -> Array:
    """The posture at the apex: that of the emotion, or with ambiguity that of a neutral speaker."""
    prototype = PROTOTYPES[emotion]
    if not prototype.hands:
        return posture({}, *subject.hands) + subject.habit
    trunk = {name: value * rng.uniform(0.7, 1.3) for name, value in prototype.trunk.items()}
    right, left = prototype.hands[rng.integers(len(prototype.hands))].split()
    if rng.random() < level.ambiguity:
        right = left = "talking"
    flipped = -1 if rng.random() < 0.5 else 1  # direction in which the subject turns away
    trunk |= {name: flipped * trunk[name] for name in ("twist", "turn", "tilt") if name in trunk}
    return posture(trunk, right, left) + subject.habit


def _move(rng: np.random.Generator, pose: Array, manner: Array, fps: float) -> None:
    """Add motion to postures: beats, nods, tremor, bouncing, idle motion, breath."""
    frames = len(pose)
    clock = np.arange(frames) / fps
    tempo, swing, sharpness, tremor, bounce, nodding, shaking, wander = manner.T
    pace = tempo * np.exp(0.18 * smooth_noise(rng, frames, 1, 0.8 * fps)[:, 0])
    phase = 2 * np.pi * (np.cumsum(pace) / fps + rng.random())
    vigour = swing * np.clip(0.8 + 0.45 * smooth_noise(rng, frames, 1, 1.5 * fps)[:, 0], 0.1, 1.8)
    lag = rng.uniform(-0.6, 0.6)
    for side, shift, strength in (("right", 0.0, 1.0), ("left", lag, rng.uniform(0.5, 1.0))):
        beat = _beat(phase + shift, sharpness)
        pose[:, _COLUMN[f"{side}_up"]] += strength * vigour * beat
        pose[:, _COLUMN[f"{side}_fore"]] += 0.5 * strength * vigour * _beat(phase + shift + 0.7, sharpness)
        pose[:, _COLUMN[f"{side}_out"]] += 0.35 * strength * vigour * np.sin(phase / 2 + shift)
    pose[:, _COLUMN["nod"]] += nodding * _beat(phase + 0.4, sharpness)
    pose[:, _COLUMN["lean"]] += 0.3 * nodding * _beat(phase, sharpness)
    pose[:, _COLUMN["turn"]] += shaking * np.sin(2 * np.pi * (_SHAKING_HZ * clock + rng.random()))
    pose[:, _COLUMN["crouch"]] += bounce * (1 - np.cos(2 * phase))
    tremble = np.sin(2 * np.pi * (_TREMOR_HZ * clock[:, None] + rng.random(len(POSTURE))))
    tremble *= np.clip(1 + 0.5 * smooth_noise(rng, frames, len(POSTURE), 0.5 * fps), 0, 2)
    pose += tremor[:, None] * tremble * _TREMOR
    pose += wander[:, None] * smooth_noise(rng, frames, len(POSTURE), 0.9 * fps) * _IDLE
    breath = np.sin(2 * np.pi * (0.27 * clock + rng.random()))
    pose[:, _COLUMN["shrug"]] += 0.004 * breath
    pose[:, _COLUMN["bend"]] -= 0.006 * breath


def _beat(phase: Array, sharpness: Array) -> Array:
    """A beat of the hand: a sine, or with sharpness a quick stroke, a hold and a slower return."""
    stroke = np.sin(phase + 0.8 * sharpness * np.sin(phase))
    steepness = 0.3 + 2.5 * sharpness
    return np.tanh(steepness * stroke) / np.tanh(steepness)


def _enliven_face(rng: np.random.Generator, actions: Array, fps: float, level: Level) -> None:
    """Add blinks, glances and speech, independent of the emotion."""
    frames = len(actions)
    blink = np.hanning(max(5, round(0.22 * fps)) + 2)[1:-1]
    actions[:, _ACTION["eyes_closed"]] += np.minimum(impulses(rng, frames, 0.25 / fps, blink), 1)
    glances = steps(rng, frames, 2, 1.1 * fps) * (0.35, 0.25)
    actions[:, [_ACTION["look_left"], _ACTION["look_up"]]] += glances
    speaking = smooth_noise(rng, frames, 1, 2 * fps)[:, 0] > 1.2 - 1.2 * level.difficulty
    syllables = np.clip(0.4 + 0.4 * smooth_noise(rng, frames, 2, 0.11 * fps), 0, 1.2) * speaking[:, None]
    actions[:, [_ACTION["jaw_drop"], _ACTION["lips_part"]]] += syllables * (0.22, 0.45)
    actions += 0.03 * smooth_noise(rng, frames, len(ACTIONS), 0.4 * fps)


def _affect(
    rng: np.random.Generator, emotion: NDArray[np.integer], intensity: Array, fps: float, level: Level
) -> tuple[Array, Array]:
    """Valence and arousal as annotated: proportional to intensity, with drift and an offset."""
    frames = len(emotion)
    drift = (0.02 + 0.05 * level.difficulty) * smooth_noise(rng, frames, 2, 1.5 * fps)
    jitter = rng.normal(0, 0.02 + 0.05 * level.difficulty, 2)
    affect = np.clip(AFFECT[emotion] * intensity[:, None] + drift + jitter, -1, 1)
    return affect[:, 0], affect[:, 1]


_TREMOR = np.array(
    [1.0 if name.endswith(("_out", "_up", "_fore")) else 0.8 if name in ("nod", "turn") else 0.0 for name in POSTURE]
)
_IDLE = np.array([_WANDER.get(name, 0.0) for name in POSTURE])
