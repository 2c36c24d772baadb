"""Parameters, FLOPs and speed that runs record."""

import time
from types import SimpleNamespace

import numpy as np
import pytest
import torch

from skelemo.errors import InputError
from skelemo.inference.scoring import cost
from skelemo.runs.folder import read_json, write_json
from skelemo.targets import VA, Head

MOODS = Head("mood", "classes", ("glad", "sad", "calm"))


def test_the_size_of_a_network_is_the_sum_over_its_layers():
    """Of linear layers one multiply-add for each weight, which counts as two."""
    found = cost.size("ann", "body_25", (MOODS, VA), 2, {"width": 16, "dropout": 0.0})
    network = cost.registry.create("ann", layout_name="body_25", heads=(MOODS, VA), frames=2, width=16, dropout=0.0)
    linear = [layer for layer in network.modules() if isinstance(layer, torch.nn.Linear)]
    assert found["parameters"] == sum(one.numel() for one in network.parameters())
    assert found["flops"] == sum(2 * layer.in_features * layer.out_features for layer in linear)
    assert cost.size("svm", "body_25", (MOODS,), 2, {}) == {}


def test_throughput_counts_windows_after_a_batch_that_warms_up(monkeypatch):
    """The first batch takes long; those after it are of 10 windows, 20 ms each: less than 500 windows a second."""
    passes = []

    def slow(*_):
        passes.append(0)
        for number in range(5):
            time.sleep(0.4 if len(passes) == 1 and number == 0 else 0.02)
            yield {}, np.ones(10), np.ones(10)

    monkeypatch.setattr(cost, "batch_outputs", slow)
    monkeypatch.setattr(cost, "_SECONDS", 0.15)
    found = cost.throughput(torch.nn.Identity(), SimpleNamespace(device=torch.device("cpu")), (), "32-true")
    assert 100 < found["windows_per_second"] < 500
    assert found["batch"] == 10
    assert found["device"] == cost.device_name(torch.device("cpu"))
    assert found["device"].endswith(f"{torch.get_num_threads()} threads".replace("1 threads", "1 thread"))
    assert len(passes) > 1


def test_a_speed_that_cannot_be_is_refused(tmp_path):
    impossible = {"windows_per_second": 0.0, "batch": 1, "device": "x"}
    write_json(tmp_path / "environment.json", {"throughput": impossible})
    with pytest.raises(InputError, match="windows_per_second"):
        read_json(tmp_path / "environment.json")
