"""The recipes in configs/: each is read, makes a model, and is started as its own first lines say."""

import re
import shlex
from pathlib import Path

import pytest
import torch
from click.testing import CliRunner

from skelemo.cli.train import command
from skelemo.errors import ConfigError
from skelemo.models import create, list_models
from skelemo.models.registry import entry
from skelemo.skeleton import layout
from skelemo.targets import EXPRESSION, VA
from skelemo.training.config import Config, load_config
from skelemo.training.fit import train

FOLDER = Path(__file__).parents[2] / "configs"
RECIPES = sorted(file.relative_to(FOLDER).as_posix() for file in FOLDER.rglob("*.yaml") if file.stem != "study")


def started(file: Path) -> list[str]:
    """The words of the first `skelemo train` that the comments of a recipe give."""
    text = re.sub(r"\\\n#\s*", "", file.read_text(encoding="utf-8"))  # a line that goes on
    found = re.search(r"^#\s+(skelemo train .*)$", text, flags=re.MULTILINE)
    return shlex.split(found[1])[2:] if found else []


def told(file: Path) -> Config:
    """The configuration that this command line makes, with --arch and --set as it has them."""
    options = command.make_context("train", started(file), resilient_parsing=True).params if started(file) else {}
    given = {"arch": options["arch"]} if options.get("arch") else {}
    return load_config(file, given)


def test_there_are_recipes_for_the_papers_networks():
    assert {f"paper/{name}.yaml" for name in ("ann_adam", "ann_sgd", "resnet18", "resnet50", "densenet121")} <= {
        *RECIPES
    }


def test_every_architecture_has_its_recipe_with_reasons():
    names = [*list_models(), *list_models(fitted=True)]
    assert {f"recipes/{name}.yaml" for name in names if entry(name).function.__module__.startswith("skelemo.")} == {
        recipe for recipe in RECIPES if recipe.startswith("recipes/")
    }
    for file in (FOLDER / "recipes").iterdir():
        comments = [line for line in file.read_text(encoding="utf-8").splitlines() if line.startswith("# ")]
        assert load_config(file).arch == file.stem
        assert len(comments) > 2, f"{file.name} gives no reasons"


@pytest.mark.parametrize("recipe", RECIPES)
def test_a_recipe_is_read_and_makes_its_model(recipe):
    config = told(FOLDER / recipe)
    if config.is_baseline:
        create(config.arch, heads=(EXPRESSION,), **config.model)
        return
    parts = "body_25" if "actions" in recipe else layout().name
    with torch.device(
        "meta" if entry(config.arch).facts.coordinates == "frame" else "cpu"
    ):  # no weights are fetched there
        network = create(config.arch, layout_name=parts, heads=(EXPRESSION, VA), frames=config.length, **config.model)
    assert sum(parameter.numel() for parameter in network.parameters()) > 1000


@pytest.mark.parametrize("recipe", [name for name in RECIPES if started(FOLDER / name)])
def test_a_recipe_names_itself_in_its_command(recipe):
    words = started(FOLDER / recipe)
    assert words[words.index("--config") + 1] == f"configs/{recipe}"
    assert "--data" in words
    assert CliRunner().invoke(command, [*words, "--help"]).exit_code == 0


@pytest.mark.parametrize("head", ["expression", "va"])
def test_the_papers_settings_serve_trainings_of_either_head(head, cache, tmp_path):
    file = FOLDER / "paper" / "ann_adam.yaml"
    words = ["--data", str(cache), "--config", str(file), "--head", head, "--set", "epochs=1", "--set", "split=given"]
    found = CliRunner().invoke(command, [*words, "--out", str(tmp_path / "run")])
    assert found.exit_code == 0, found.output


def test_a_loss_for_a_head_that_nothing_knows_is_refused(cache, tmp_path):
    with pytest.raises(ConfigError, match=r"unknown head in loss 'vaa'.*did you mean 'va'"):
        train(load_config(None, {"data": [str(cache)], "loss": {"vaa": "mse"}}), tmp_path / "run")
