"""Trainings that take a second: clips that are learned at once, quick settings, and an interruption."""

from collections.abc import Callable

import numpy as np

from skelemo.cache.sequence import Sequence
from skelemo.targets import VA, Head

CLASSES = ("happiness", "sadness", "neutral")
HEADS = (Head("expression", "classes", CLASSES), VA)
STANCE = np.random.default_rng(0).uniform(100, 200, (25, 2))
QUICK = {
    "epochs": 3,
    "patience": 0,
    "batch_size": 32,
    "device": "cpu",
    "model": {"width": 16, "dropout": 0.0},
    **dict.fromkeys(("mirror", "rotate", "scale", "jitter"), 0.0),
}


def separable_sequence(index: int, frames: int = 12, subject: str = "") -> Sequence:
    """A body whose right wrist is as high as its class and valence say."""
    generator = np.random.default_rng(index)
    label = index % len(CLASSES)
    keypoints = np.ones((frames, 25, 3), np.float32)
    keypoints[..., :2] = STANCE + generator.normal(0, 0.5, (frames, 25, 2))
    keypoints[:, 1, :2], keypoints[:, 8, :2] = (100, 100), (100, 200)
    keypoints[:, 4, 1] = 60 * label
    return Sequence(
        id=f"clip{index}",
        video=f"clip{index}",
        subject=subject,
        keypoints=keypoints,
        number=np.arange(frames, dtype=np.int32),
        labels={
            "expression": np.full(frames, label, np.int16),
            "va": np.full((frames, 2), (label / 2 - 0.5, 0.5 - label / 2), np.float32),
        },
        splits={"split": ("train", "train", "train", "validation", "test")[index // len(CLASSES) % 5]},
    )


class CutError(Exception):
    """The machine goes down."""


def cut_after(epochs: int) -> Callable[..., None]:
    """A report that ends a training after so many epochs."""

    def report(_: int, __: int, done: int, *___: object) -> None:
        if done == epochs:
            raise CutError

    return report
