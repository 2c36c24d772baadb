"""What an image network starts from, how much of it learns and how fast, as `skelemo train` is told."""

from pathlib import Path

import pytest
import torch
import yaml
from click.testing import CliRunner
from safetensors.torch import load_file, save_file

from skelemo.cli.train import command
from skelemo.errors import ConfigError, InputError
from skelemo.models import create, list_models
from skelemo.models.registry import entry
from skelemo.training.fit import train

DRAWN = {"image_size": 32}
PREFIX = {"resnet18_paper": "encoder.backbone.", "cnn_lstm": "frames.encoder.backbone."}
PREFIX["cnn_transformer"] = PREFIX["cnn_lstm"]


@pytest.fixture(scope="module")
def weights(tmp_path_factory) -> Path:
    """Weights of the backbone that all networks here have."""
    torch.manual_seed(5)
    network = create("resnet18_paper", layout_name="body_25", **DRAWN)
    path = tmp_path_factory.mktemp("weights") / "first.safetensors"
    save_file(network.state_dict(), path)
    return path


def quick(arch: str, **settings) -> dict:
    return {"arch": arch, "epochs": 1, "every": 6, "evaluate_every": 12, "model": {**DRAWN, **settings}}


def fresh(config, arch: str, settings: dict) -> torch.nn.Module:
    """The network as training found it."""
    torch.manual_seed(config(**settings).seed)
    return create(arch, layout_name="body_25", **settings["model"])


@pytest.mark.parametrize("arch", PREFIX)
def test_frozen_stages_keep_the_weights_they_were_given_and_the_rest_learns(config, tmp_path, weights, arch):
    train(config(**quick(arch, weights=str(weights), freeze=3)), tmp_path / "run")
    first, found = load_file(weights), load_file(tmp_path / "run" / "model.safetensors")
    kept = {
        name.removeprefix(PREFIX[arch]).split(".")[0]: torch.equal(value, first[f"encoder.backbone.{rest}"])
        for name, value in found.items()
        if (rest := name.removeprefix(PREFIX[arch])) != name and name.endswith("weight") and "conv" in name
    }
    assert kept == {"conv1": True, "layer1": True, "layer2": True, "layer3": False, "layer4": False}


@pytest.mark.parametrize("arch", PREFIX)
def test_a_backbone_has_its_own_learning_rate(config, tmp_path, weights, arch):
    settings = quick(arch, weights=str(weights)) | {"backbone_lr": 0.0, "optimizer": "sgd", "lr": 0.1}
    train(config(**settings), tmp_path / "run")
    first, found = load_file(weights), load_file(tmp_path / "run" / "model.safetensors")
    for name, value in first.items():
        if name.startswith("encoder.backbone.") and not name.endswith(("running_mean", "running_var", "tracked")):
            torch.testing.assert_close(found[PREFIX[arch] + name.removeprefix("encoder.backbone.")], value)
    heads = fresh(config, arch, settings).heads.state_dict()
    assert not torch.equal(found["heads.expression_head.weight"], heads["expression_head.weight"])


def test_the_option_is_the_setting(config, cache, tmp_path, weights):
    text = ["--arch", "resnet18_paper", "--data", cache, "--weights", weights, "--set", "image_size=32"]
    few = ["--set", "epochs=1", "--set", "every=12", "--set", "device=cpu", "--out", tmp_path / "run"]
    done = CliRunner().invoke(command, [str(word) for word in (*text, *few)], catch_exceptions=False)
    assert done.exit_code == 0
    written = yaml.safe_load((tmp_path / "run" / "config.yaml").read_text())
    assert written["model"] == {"weights": str(weights), "image_size": 32}
    assert '"image_size": 32' in (tmp_path / "run" / "model.json").read_text()
    assert "first.safetensors" not in (tmp_path / "run" / "model.json").read_text()


def test_unavailable_weights_are_refused_before_a_folder_is_created(config, tmp_path):
    with pytest.raises(InputError, match="no such file"):
        train(config(**quick("resnet18_paper", weights="nowhere.pth")), tmp_path / "run")
    with pytest.raises(ConfigError, match="unknown setting of ann 'weights'"):
        train(config(arch="ann", model={"weights": "imagenet"}), tmp_path / "run")
    assert not (tmp_path / "run").exists()


def test_a_run_that_is_restored_asks_for_no_first_weights(config, tmp_path, weights):
    own = tmp_path / "own.safetensors"
    own.write_bytes(weights.read_bytes())
    settings = quick("resnet18_paper", weights=str(own)) | {"epochs": 3}

    def stop(_: int, __: int, done: int, *___: object) -> None:
        if done == 2:
            raise RuntimeError("the machine goes down")

    with pytest.raises(RuntimeError):
        train(config(**settings), tmp_path / "run", report=stop)
    own.unlink()
    train(config(**settings), tmp_path / "run", resume=True)
    (tmp_path / "run" / "scores.json").unlink()
    scores = train(config(**settings), tmp_path / "run", resume=True)
    assert scores["test"]["expression"]["windows"] > 0


def test_every_network_that_draws_can_be_given_weights_and_frozen():
    drawing = [entry(name) for name in list_models() if entry(name).facts.coordinates == "frame"]
    assert len(drawing) >= 10
    assert all({"weights", "freeze"} <= found.settings.keys() for found in drawing)
