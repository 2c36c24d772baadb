import math

import numpy as np
import pytest

from skelemo.evaluation.circumplex import PROTOTYPES, nearest_emotion


def test_every_prototype_is_its_own_nearest_emotion() -> None:
    points = np.array(list(PROTOTYPES.values()))
    assert nearest_emotion(points[:, 0], points[:, 1], 0.0).tolist() == list(range(7))


def test_the_classes_stand_in_the_order_they_have_everywhere() -> None:
    assert list(PROTOTYPES) == ["happiness", "sadness", "neutral", "anger", "surprise", "disgust", "fear"]


@pytest.mark.parametrize(
    ("valence", "arousal", "emotion"),
    [(1, 0.4, "happiness"), (-0.1, -0.1, "neutral"), (-0.8, -0.6, "sadness"), (0.3, 0.9, "surprise")],
)
def test_a_point_is_read_as_the_emotion_that_lies_nearest(valence: float, arousal: float, emotion: str) -> None:
    assert list(PROTOTYPES)[nearest_emotion(valence, arousal, 0.2)] == emotion


def test_it_works_on_any_shape_and_marks_what_is_unlabeled() -> None:
    valence = np.array([[0.8, math.nan], [0.0, -0.6]])
    arousal = np.array([[0.5, 0.1], [math.nan, -0.3]])
    assert nearest_emotion(valence, arousal, 0.0).tolist() == [[0, -1], [-1, 1]]
    assert nearest_emotion([], [], 0.1).shape == (0,)


def test_it_agrees_with_a_plain_loop() -> None:
    rng = np.random.default_rng(0)
    for valence, arousal in rng.uniform(-1, 1, (200, 2)):
        distances = [math.dist((valence, arousal), prototype) for prototype in PROTOTYPES.values()]
        distances[2] = 0 if distances[2] <= 0.4 else math.inf
        assert nearest_emotion(valence, arousal, 0.4) == distances.index(min(distances))
