"""What a fold's training depends on, and what is measured and chosen after it."""

from types import SimpleNamespace

import numpy as np
import pytest
import torch

from skelemo.cache.store import open_cache
from skelemo.data.corpus import load_corpus
from skelemo.data.splits import Fold
from skelemo.data.windows import Targets
from skelemo.evaluation.metrics import main_metric
from skelemo.inference.scoring.importance import Budget
from skelemo.targets import VA
from skelemo.training import predicting
from skelemo.training.config import load_config
from skelemo.training.fold import FoldTraining, _options
from skelemo.training.job import Job

CPU = torch.device("cpu")


@pytest.fixture
def corpus(cache):
    return load_corpus(open_cache(cache))


def test_no_fold_of_any_seed_shares_its_random_numbers(config, corpus, tmp_path):
    ids = tuple(corpus.sequences["id"])
    fold = Fold(ids[:1], ids[1:2], ids[2:3])
    seeds = [
        FoldTraining(Job(config(head="va", seed=seed), corpus, CPU), fold, number, tmp_path).seed
        for seed in range(3)
        for number in (1, 2, 3)
    ]
    assert len(set(seeds)) == 9
    assert seeds[::3] == [0, 1, 2], "the first fold has the seed as it is configured"


@pytest.mark.parametrize(
    ("settings", "budget"),
    [
        ({}, Budget(predictions=21)),  # 24 windows in each of three epochs; 0.3 predictions for each of 72
        ({"epoch_windows": 10}, Budget(predictions=9)),
        ({"epoch_windows": 500}, Budget(predictions=21)),
        ({"epoch_windows": 1}, Budget(predictions=1)),
        ({"arch": "svm", "model": {}}, Budget(predictions=72)),  # as if each of 24 windows was in ten epochs
        ({"arch": "svm", "model": {}, "fit_windows": 5}, Budget(predictions=15)),
        ({"importance": 250}, Budget(windows=250)),
        ({"flip_average": True}, Budget(predictions=10)),  # each prediction is two
    ],
)
def test_importance_takes_a_tenth_of_the_time_of_training(config, corpus, tmp_path, monkeypatch, settings, budget):
    ids = tuple(corpus.sequences["id"])
    given = {"head": "va", "every": 1, "importance": "auto", "split_seed": 40, **settings}
    job = Job(config(**given), corpus, CPU)
    targets = job.targets(Fold(ids[:2], ids[2:3], ids[3:4]))
    (tmp_path / "metrics.csv").write_text("epoch,train_loss\n0,3.0\n1,2.0\n2,1.0\n")
    found = []
    monkeypatch.setattr(predicting, "importance", lambda *given, **named: found.append((given, named)))
    flip = "flip_average" in settings
    predicting._importance(job, None, targets, 3, tmp_path, flip)
    (((network, _, windows, limits), named),) = found
    assert limits == budget
    assert network.flip == flip
    assert windows is targets["validation"]
    assert named["seed"] == 43, "the same windows with every seed of the run"
    assert named["clips"] == ["va"]


@pytest.mark.parametrize(
    ("setting", "validated", "gain", "expected"),
    [
        ("auto", True, 0.002, True),
        ("auto", True, 0.0005, False),
        ("auto", True, -0.2, False),
        ("auto", True, np.nan, False),
        ("auto", False, 0.2, False),
        (True, True, -0.2, True),
        (False, True, 0.2, False),
    ],
)
def test_flips_are_averaged_if_that_is_better_in_the_validation_subset(monkeypatch, setting, validated, gain, expected):
    config = SimpleNamespace(flip_average=setting)
    job = SimpleNamespace(config=config, batches=lambda _: None, heads=(VA,), precision="32-true")
    monkeypatch.setattr(predicting, "predict", lambda *_, flip: {"va": flip})
    monkeypatch.setattr(predicting, "measure", lambda *given: {main_metric(VA): 0.5 + gain * given[2]})
    windows = Targets(np.arange(2), {"va": np.zeros((2, 2), np.float32)}) if validated else None
    assert predicting._flips(job, windows, None) is expected


def test_the_emotion_of_a_window_is_that_of_its_own_row_or_unknown():
    targets = Targets(np.array([3, 7, 9, 50]), {})
    labeled = SimpleNamespace(emotions=(np.array([3, 8, 9]), np.array([2, 6, 5], np.int16)))
    assert predicting.emotions_of(labeled, targets).tolist() == [2, -1, 5, -1]
    for nothing in (None, (np.zeros(0, np.int64), np.zeros(0, np.int16))):
        assert predicting.emotions_of(SimpleNamespace(emotions=nothing), targets).tolist() == [-1] * 4


def test_gradients_are_clipped_and_accumulated_as_configured():
    def options(**settings):
        found = _options(Job(load_config(None, {"device": "cpu", **settings}), None, CPU))
        return found["gradient_clip_val"], found["accumulate_grad_batches"]

    assert options(clip_gradient=1.5, accumulate=3) == (1.5, 3)
    assert options(clip_gradient=0)[0] is None, "0 would clip every gradient to nothing"


def test_steps_and_epochs_are_rounded_up():
    config = load_config(None, {"accumulate": 2, "steps": 10, "epochs": 7})
    assert [config.epoch_steps(batches) for batches in (1, 6, 7)] == [1, 3, 4]
    assert [config.training_epochs(steps) for steps in (3, 5, 20)] == [4, 2, 1]
    assert load_config(None, {"epochs": 7}).training_epochs(3) == 7
