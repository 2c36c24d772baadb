"""Simulated recordings with labels and ground truth, by number."""

from collections.abc import Iterator
from dataclasses import dataclass
from functools import cached_property

import numpy as np
from numpy.typing import NDArray

from skelemo.errors import ConfigError
from skelemo.simulate.acting import Performance, long_script, perform, short_script
from skelemo.simulate.detection import Camera, random_camera
from skelemo.simulate.emotions import NAMES
from skelemo.simulate.scene import Crowd, Person, act, film, walk
from skelemo.simulate.subject import Level, Subject, random_subject
from skelemo.text import count

FOLDS = 5
SPLITS = ("train", "validation", "test")
_SHARES = (0.6, 0.2, 0.2)
_PAIRS = 0.1  # share of long clips with two actors
_PASSERS = 0.6  # passers-by in 600 frames, at difficulty 0.5
# Independent streams of random numbers.
_CAST, _SUBJECT, _LONG, _SHORT = range(4)


@dataclass(frozen=True)
class Role:
    """One actor of a clip and the ground truth, by frame."""

    subject: int
    person: int  # in the crowd
    side: str  # "" if alone; else "left" or "right" in the image
    truth: NDArray[np.float32]  # [T, 95, 3] pixels without noise; confidence 1 where visible, else all 0
    expression: NDArray[np.int8]  # [T] index into `emotions.NAMES`
    intensity: NDArray[np.float32]  # [T] in [0, 1]
    valence: NDArray[np.float32]  # [T] in [-1, 1]
    arousal: NDArray[np.float32]  # [T] in [-1, 1]


@dataclass(frozen=True)
class Clip:
    """A simulated recording."""

    name: str
    width: int
    height: int
    fps: int
    split: str  # one of SPLITS, by subject
    fold: int  # 1 to FOLDS, by subject: the fold that tests it
    emotion: str  # of a short clip, otherwise ""
    crowd: Crowd
    roles: tuple[Role, ...]

    @property
    def passers(self) -> tuple[int, ...]:
        """People of the crowd who only pass by."""
        actors = {role.person for role in self.roles}
        return tuple(int(person) for person in np.unique(self.crowd.person) if person not in actors)

    @property
    def keypoints(self) -> NDArray[np.float32]:
        """Detected keypoints of the first actor, [T, 95, 3]; 0 if not detected."""
        return self.crowd.seen(self.roles[0].person)


@dataclass(frozen=True)
class Cast:
    """The subjects, their difficulty, and their subsets."""

    subjects: int = 24
    difficulty: float = 0.5
    seed: int = 0

    def __post_init__(self) -> None:
        if self.subjects < FOLDS:
            raise ConfigError(f"{count(self.subjects, 'subject')}: expected at least {FOLDS}, one for each fold")
        if not 0 <= self.difficulty <= 1:
            raise ConfigError(f"difficulty {self.difficulty}: expected 0 (nearly separable) to 1 (hard)")
        if self.seed < 0:
            raise ConfigError(f"seed {self.seed}: expected an integer from 0")

    @property
    def level(self) -> Level:
        """The parameters of the difficulty."""
        return Level(self.difficulty)

    def subject(self, number: int) -> Subject:
        """The subject with a number, the same in every clip."""
        return random_subject(self.random(_SUBJECT, number), number, self.level)

    def split(self, number: int) -> str:
        """Subset of a subject; train, validation and test have 60, 20 and 20 percent of the subjects."""
        rank = (self._ranks[number] + 0.5) / self.subjects
        return SPLITS[int(np.searchsorted(np.cumsum(_SHARES[:-1]), rank))]

    def fold(self, number: int) -> int:
        """Fold, 1 to FOLDS, that tests a subject."""
        return 1 + self._ranks[number] % FOLDS

    def partner(self, number: int) -> int:
        """Another subject of the same subset, or the subject itself if it is the only one."""
        split = self.split(number)
        others = [other for other in range(self.subjects) if self.split(other) == split]
        return others[(others.index(number) + 1) % len(others)]

    def random(self, *stream: int) -> np.random.Generator:
        """Random numbers that depend only on the seed and the stream."""
        return np.random.default_rng([self.seed, *stream])

    @cached_property
    def _ranks(self) -> list[int]:
        return self.random(_CAST).permutation(self.subjects).tolist()


def simulate(
    *,
    subjects: int = 24,
    clips: int = 2,
    frames: int = 600,
    difficulty: float = 0.5,
    seed: int = 0,
    short: bool = False,
) -> Iterator[Clip]:
    """Yield clips of simulated actors: `clips` of each subject, or of each subject and emotion if `short`.

    Long clips show a series of emotions separated by neutral, and their length varies by a fifth around `frames`; short
    ones show one emotion.
    """
    cast = Cast(subjects, difficulty, seed)
    for number in range(subjects * clips * (len(NAMES) if short else 1)):
        yield short_clip(cast, number, frames) if short else long_clip(cast, number, frames)


def long_clip(cast: Cast, number: int, frames: int) -> Clip:
    """Clip `number` (from 0) in the style of Aff-Wild2; its subject is `number` modulo the subjects."""
    rng = cast.random(_LONG, number)
    leading = number % cast.subjects
    actors = [cast.subject(leading)]
    partner = cast.partner(leading)
    if rng.random() < _PAIRS and partner != leading:
        actors.append(cast.subject(partner))
    count = round(frames * rng.uniform(0.8, 1.2))
    camera, seated = _set(rng, actors)
    done = [
        perform(rng, actor, long_script(rng, count / camera.fps), count, camera.fps, cast.level) for actor in actors
    ]
    name = f"{number + 1}-{camera.fps}-{camera.width}x{camera.height}"
    return _shoot(rng, cast, name, camera, seated, actors, done)


def short_clip(cast: Cast, number: int, frames: int) -> Clip:
    """Clip `number` (from 0) in the style of DFEW: one emotion; subjects and emotions alternate."""
    rng = cast.random(_SHORT, number)
    subject, emotion = cast.subject(number % cast.subjects), (number // cast.subjects) % len(NAMES)
    count = round(frames * rng.uniform(0.5, 1.5))
    camera, seated = _set(rng, [subject])
    script = short_script(rng, emotion, count / camera.fps)
    done = perform(rng, subject, script, count, camera.fps, cast.level)
    return _shoot(rng, cast, f"{number + 1:05d}", camera, seated, [subject], [done], NAMES[emotion])


def _set(rng: np.random.Generator, actors: list[Subject]) -> tuple[Camera, bool]:
    """A camera for the actors, and whether they are seated."""
    framing = rng.choice(["full", "half", "close"], p=(0.35, 0.42, 0.23) if len(actors) == 1 else (0.5, 0.5, 0.0))
    seated = framing != "full" and rng.random() < 0.3
    tallest = max((actor.build for actor in actors), key=lambda build: build.stature)
    lowered = tallest.standing - tallest.sitting if seated else 0.0
    breadth = 0.0 if len(actors) == 1 else 2.4
    camera = random_camera(rng, tallest.stature, str(framing), lowered=lowered, breadth=breadth)
    return camera, seated


def _shoot(
    rng: np.random.Generator,
    cast: Cast,
    name: str,
    camera: Camera,
    seated: bool,
    actors: list[Subject],
    done: list[Performance],
    emotion: str = "",
) -> Clip:
    frames, level = len(done[0].intensity), cast.level
    places = [0.0] if len(actors) == 1 else list(rng.permutation([-0.58, 0.58]))
    people = []
    for actor, performance, at in zip(actors, done, places, strict=True):
        turned = rng.normal(0, level.turning) - (0.2 * np.sign(at) if at else 0.0)
        people.append(act(rng, actor, performance, camera.fps, at=at, turned=turned, seated=seated))
    rate = _PASSERS * (0.5 + cast.difficulty) * frames / 600
    people += [_passer(rng, cast, camera, frames) for _ in range(rng.poisson(rate))]
    crowd, truths = film(rng, people, frames, camera, level.noise)
    roles = []
    for index, (actor, performance, at) in enumerate(zip(actors, done, places, strict=True)):
        side = "" if len(actors) == 1 else ("left" if at < 0 else "right")
        series = (performance.intensity, performance.valence, performance.arousal)
        floats = (values.astype(np.float32) for values in series)
        roles.append(Role(actor.number, index, side, truths[index], performance.expression, *floats))
    leading = actors[0].number
    return Clip(
        *(name, camera.width, camera.height, camera.fps, cast.split(leading), cast.fold(leading), emotion),
        crowd,
        tuple(roles),
    )


def _passer(rng: np.random.Generator, cast: Cast, camera: Camera, frames: int) -> Person:
    """A passer-by, mostly behind the actors."""
    nearest = camera.position[2]
    z = rng.uniform(0.5, 0.8) if nearest > 3 and rng.random() < 0.2 else -rng.uniform(0.6, 2.5)
    side = 1 if rng.random() < 0.5 else -1
    edge = camera.reach(z) + 0.6
    speed = rng.uniform(0.9, 1.5)
    first = int(rng.integers(0, max(1, frames - 10)))
    length = min(frames - first, int(np.ceil(2 * edge / speed * camera.fps)))
    stranger = random_subject(rng, -1, cast.level)
    facing = -side * np.pi / 2 + rng.normal(0, 0.12)
    return walk(rng, stranger, length, camera.fps, start=(side * edge, z), speed=speed, facing=facing, first=first)
