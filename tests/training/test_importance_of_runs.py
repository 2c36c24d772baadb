"""Keypoint importance, measured in a training and stored in its run folder."""

import json
from dataclasses import replace

import numpy as np
import pytest
from small_trainings import HEADS, separable_sequence

from skelemo.cache.shard import Header, write_shard
from skelemo.runs.importance import FILE, read_importance
from skelemo.training.config import load_config
from skelemo.training.fit import train


def rows(folder, **chosen):
    table = read_importance(folder)
    for column, value in chosen.items():
        table = table[table[column] == value]
    return table.set_index("name")


def own_score(folder, head, metric):
    return json.loads((folder / "scores.json").read_text())["validation"][head][metric]["value"]


@pytest.mark.parametrize(
    "settings",
    [
        {"head": "both", "epochs": 6, "lr": 0.01},
        {"arch": "svm", "head": "both", "model": {}},
        {
            "arch": "resnet18",
            "head": "expression",
            "model": {"image_size": 32},
            "epochs": 1,
            "every": 12,
            "evaluate_every": 6,
        },
        {"head": "expression", "length": 3, "reference": "window", "flip_average": True, "epochs": 2},
        {"head": "both", "sampling": "clip", "length": 4, "clip_windows": 2, "calibrate": "track", "epochs": 2},
    ],
)
def test_hiding_nothing_gives_the_runs_own_score(config, tmp_path, settings):
    train(config(importance=1000, **settings), tmp_path / "run")
    usual = rows(tmp_path / "run", level="none")
    assert len(usual) == (2 if settings["head"] == "both" else 1)
    for _, one in usual.iterrows():
        assert one["score"] == pytest.approx(own_score(tmp_path / "run", one["head"], one["metric"]), abs=1e-5)
        assert one["subset"] == "validation"
    assert rows(tmp_path / "run", level="joint")["loss"].notna().all()


@pytest.fixture
def wrist(tmp_path):
    """Clips of a standing person whose right wrist alone, of body and face, is where their class says."""
    body = np.array([[0, -30], [0, 0], [-30, 0], [-40, 40], [-45, 80], [30, 0], [40, 40], [45, 80], [0, 70], [-15, 70]])
    sequences = []
    for index in range(30):
        one, generator = separable_sequence(index), np.random.default_rng(index)
        keypoints = np.zeros((12, 95, 3), np.float32)
        keypoints[:, :10, :2] = 300 + body + generator.normal(0, 0.3, (12, 10, 2))
        keypoints[:, 25:, :2] = 300 + np.random.default_rng(0).uniform(-20, 20, (70, 2))
        keypoints[:, :10, 2], keypoints[:, 25:, 2] = 1, 1
        keypoints[:, 4, 1] += 30 * (index % 3)
        sequences.append(replace(one, keypoints=keypoints))
    write_shard(tmp_path, Header("body_25+face_70", HEADS), sequences)
    return tmp_path


def test_the_only_informative_point_comes_first(wrist, tmp_path):
    settings = {
        "data": str(wrist),
        "head": "expression",
        "device": "cpu",
        "parts": "all",
        "arch": "logistic",
        "optimizer": None,
    }
    train(load_config(None, settings | {"importance": 1000, "mirror": 0, "model": {"c": 1}}), tmp_path / "run")
    joints = rows(tmp_path / "run", level="joint", part="body_25")["loss"].sort_values(ascending=False)
    assert joints.index[0] == "RWrist"
    assert joints.iloc[0] > 0.6
    regions = rows(tmp_path / "run", level="region")["loss"]
    assert regions["right arm"] == pytest.approx(joints["RWrist"], abs=0.1)
    assert regions.drop(["right arm", "torso", "head"]).abs().max() < 0.05  # the body is measured by these
    face = rows(tmp_path / "run", level="joint", part="face_70")["loss"]
    assert face.abs().max() < 0.05
    assert joints.drop(["RWrist", "Nose", "Neck"]).abs().max() < 0.05


def test_a_network_of_the_face_has_regions_of_the_face(wrist, tmp_path):
    settings = {"data": str(wrist), "head": "expression", "device": "cpu", "parts": "face_70", "epochs": 1}
    train(load_config(None, settings | {"model": {"width": 16}, "importance": 1000}), tmp_path / "run")
    assert set(read_importance(tmp_path / "run")["part"]) == {"", "face_70"}
    assert list(rows(tmp_path / "run", level="region").index) == ["brows", "eyes", "nose", "mouth", "jaw"]


def test_importance_is_averaged_over_folds_and_seeds_and_can_be_disabled(config, tmp_path):
    train(
        config(split="kfold:3", head="expression", seeds=2, arch="logistic", model={}, importance=10), tmp_path / "run"
    )
    each = [rows(tmp_path / "run" / f"seed_{seed}" / f"fold_{fold}") for fold in (1, 2, 3) for seed in (0, 1)]
    found = rows(tmp_path / "run")
    for name in ("RWrist", "torso"):
        assert found.loc[name, "loss"] == pytest.approx(np.mean([one.loc[name, "loss"] for one in each]), abs=1e-5)
    assert found.loc["RWrist", "grouped_by"] == "fold"
    train(config(head="expression", epochs=1, importance=0), tmp_path / "none")
    train(config(head="expression", epochs=1, validation=0.0, split="holdout:0.3"), tmp_path / "no validation")
    assert not (tmp_path / "none" / FILE).exists()
    assert not (tmp_path / "no validation" / FILE).exists()


def test_a_resumed_run_measures_the_same(config, tmp_path):
    train(config(head="expression", epochs=2), tmp_path / "run")
    before = (tmp_path / "run" / FILE).read_text()
    (tmp_path / "run" / "scores.json").unlink()
    (tmp_path / "run" / FILE).unlink()
    train(config(head="expression", epochs=2), tmp_path / "run", resume=True)
    assert (tmp_path / "run" / FILE).read_text() == before
