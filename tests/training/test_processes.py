"""Two processes train what one trains, and every window is validated once."""

import os
import subprocess
import sys

import numpy as np
import pytest
import torch

from skelemo.cache.store import open_cache
from skelemo.data.corpus import load_corpus
from skelemo.data.loader import Batches
from skelemo.data.windows import Window, find_targets
from skelemo.errors import ConfigError
from skelemo.runs.folder import read_run
from skelemo.training.config import load_config
from skelemo.training.fit import train
from skelemo.training.processes import join_processes, options, own_device, rank


def test_two_processes_have_the_losses_scores_and_predictions_of_one(config, tmp_path):
    """Without normalization over batches (standardize), nothing but the mean over a batch joins its windows."""
    plain = {"width": 16, "dropout": 0.0, "standardize": False}
    settings = config(epochs=3, batch_size=33, jitter=0.05, lr=0.01, parts="all", model=plain)
    train(settings, tmp_path / "one")
    (tmp_path / "config.yaml").write_text(settings.to_yaml())
    words = ["train", "--config", str(tmp_path / "config.yaml"), "--out", str(tmp_path / "two"), "--devices", "2"]
    command = [sys.executable, "-m", "skelemo", *words]
    threads = os.environ | {"OMP_NUM_THREADS": "1"}
    done = subprocess.run(command, capture_output=True, text=True, timeout=100, env=threads)
    assert done.returncode == 0, done.stderr
    one, two = (read_run(tmp_path / name) for name in ("one", "two"))
    assert len(two.metrics) == 3
    for name in ("train_loss", "validation_loss", "validation_score"):
        np.testing.assert_allclose(two.metrics[name], one.metrics[name], atol=1e-4)
    left, right = one.predictions, two.predictions
    for name in ("sequence", "frame", "subset"):
        assert (left[name].astype(str) == right[name].astype(str)).all()
    np.testing.assert_allclose(left["expression_p_sadness"], right["expression_p_sadness"], atol=1e-3)
    assert {path.name for path in (tmp_path / "one").iterdir()} == {path.name for path in (tmp_path / "two").iterdir()}
    assert done.stderr.count("epoch 3 of 3") == 1
    assert two.config["devices"] == 2


@pytest.mark.parametrize("processes", [2, 3])
def test_every_window_belongs_to_one_process(cache, processes):
    corpus = load_corpus(open_cache(cache))
    everything = np.arange(len(corpus.sequences))
    targets = find_targets(corpus, everything, Window(), ("expression",), seen_only=True)
    device = torch.device("cpu")

    def share(number, **how):
        return [*Batches(corpus, targets, Window(), 50, device, process=(number, processes), **how)]

    whole = [batch["row"] for batch in Batches(corpus, targets, Window(), 50, device, seed=4)]
    shares = [share(number, seed=4) for number in range(processes)]
    for rows, *parts in zip(whole, *shares, strict=True):
        assert torch.equal(torch.cat([part["row"] for part in parts]), rows)
        assert sum(part["weight"] for part in parts) == pytest.approx(processes)
    judged = [batch["row"] for number in range(processes) for batch in share(number)]
    assert torch.equal(torch.cat(judged), torch.as_tensor(targets.row))


def test_what_several_processes_cannot_do_is_refused(config, tmp_path):
    with pytest.raises(ConfigError, match="needs a single device: train on one"):
        train(config(lr="auto", devices=2), tmp_path / "run")
    with pytest.raises(ConfigError, match="device cuda:1 with several devices"):
        train(config(device="cuda:1", devices=2), tmp_path / "run")


def test_a_training_of_its_own_writes_whatever_number_a_cluster_gives_it(config, tmp_path, monkeypatch):
    monkeypatch.setenv("SLURM_PROCID", "3")
    assert train(config(epochs=1), tmp_path / "run")["test"]
    assert (tmp_path / "run" / "scores.json").exists()


def test_more_devices_than_the_machine_has_are_refused(monkeypatch):
    monkeypatch.delenv("SKELEMO_DEVICES", raising=False)
    monkeypatch.setattr("os.cpu_count", lambda: 3)
    with pytest.raises(ConfigError, match=r"^devices = 4: this machine has 3 cores$"):
        join_processes(load_config(None, {"device": "cpu", "devices": 4}))
    assert "SKELEMO_DEVICES" not in os.environ


def test_a_baseline_takes_one_process(monkeypatch):
    monkeypatch.delenv("SKELEMO_DEVICES", raising=False)
    with pytest.raises(ConfigError, match=r"^svm is fitted in one process: omit --devices and --nodes$"):
        join_processes(load_config(None, {"arch": "svm", "device": "cpu", "devices": 2}))


@pytest.mark.parametrize(
    ("environment", "expected"),
    [
        ({}, 0),
        ({"RANK": "5", "SLURM_PROCID": "7"}, 5),
        ({"SLURM_PROCID": "7"}, 7),
        ({"NODE_RANK": "2", "LOCAL_RANK": "1"}, 2 * 3 + 1),  # of three devices each
    ],
)
def test_a_process_knows_its_rank_from_its_environment(monkeypatch, environment, expected):
    for name in ("RANK", "SLURM_PROCID", "NODE_RANK", "LOCAL_RANK"):
        monkeypatch.delenv(name, raising=False)
    for name, value in environment.items():
        monkeypatch.setenv(name, value)
    monkeypatch.setenv("SKELEMO_DEVICES", "3")
    assert rank() == expected
    monkeypatch.delenv("SKELEMO_DEVICES")
    assert rank() == 0, "the numbers are of something else"


def test_each_process_of_a_machine_has_its_own_gpu(monkeypatch):
    gpu, two = torch.device("cuda"), load_config(None, {"devices": 2})
    monkeypatch.delenv("LOCAL_RANK", raising=False)
    monkeypatch.setenv("SLURM_LOCALID", "1")
    assert own_device(gpu, two) == torch.device("cuda:1")
    monkeypatch.setenv("LOCAL_RANK", "0")
    assert own_device(gpu, two) == torch.device("cuda:0")
    assert own_device(torch.device("cuda:3"), load_config()) == torch.device("cuda:3")
    assert options(load_config(), torch.device("cuda:3")) == {"devices": [3]}
    several = options(two, gpu)
    assert (several["devices"], several["num_nodes"], several["sync_batchnorm"]) == (2, 1, True)
