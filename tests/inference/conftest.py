"""A run whose outputs are noisy round a slow truth."""

import numpy as np
import pytest
from small_caches import HEADS, a_cache, a_sequence

from skelemo.cache.shard import Header
from skelemo.training.config import load_config
from skelemo.training.fit import train


@pytest.fixture(scope="session")
def cache(tmp_path_factory):
    """Ten clips of 60 frames whose wrist shows slow labels, under noise."""
    rng, sequences = np.random.default_rng(0), []
    for index in range(10):
        truth = np.sin(np.arange(60) / 12 + index).astype(np.float32)
        one = a_sequence(f"clip{index:02}", 60, points=95, seed=1, width=640, height=480, fps=25.0, valence=truth,
                         arousal=-truth, expression=np.digitize(truth, [-0.4, 0.4]).astype(np.int16))  # fmt: skip
        one.keypoints[...] = one.keypoints[:1]
        one.keypoints[..., 2] = 1
        one.keypoints[:, 4, 0] += 200 * truth + rng.normal(0, 150, 60)
        sequences.append(one)
    return a_cache(tmp_path_factory.mktemp("data") / "cache", *sequences, header=Header("body_25+face_70", HEADS))


@pytest.fixture(scope="session")
def run(cache, tmp_path_factory):
    out = tmp_path_factory.mktemp("runs") / "ann"
    given = {
        "data": str(cache),
        "arch": "ann",
        "head": "both",
        "epochs": 40,
        "lr": 0.003,
        "batch_size": 32,
        "device": "cpu",
    }
    train(load_config(overrides=given | {"split": "holdout:0.3", "max_gap": 0, "parts": "all"}), out)
    return out


@pytest.fixture(autouse=True)
def brief(monkeypatch: pytest.MonkeyPatch) -> None:
    """Throughput is measured for a hundredth of a second."""
    monkeypatch.setattr("skelemo.inference.scoring.cost._SECONDS", 0.01)
