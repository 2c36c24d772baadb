"""`skelemo models`."""

import re

import pytest
from click import unstyle
from click.testing import CliRunner

from skelemo.cli.models import command
from skelemo.errors import ConfigError
from skelemo.models import list_models
from skelemo.models.baselines import SEES


def row(output: str, name: str) -> list[str]:
    """The cells of an architecture's line."""
    line = next(line for line in output.splitlines() if re.search(rf"\b{name}\b", line))
    return [cell.strip() for cell in line.strip("│").split("│")]


def test_architectures_are_listed_with_cost_and_input() -> None:
    result = CliRunner().invoke(command, ["resnet18*", "--frames", "2", "--layout", "body_25"], catch_exceptions=False)
    name, parameters, gflops, sees = row(result.output, "resnet18")
    convolutions_and_heads = 11_689_512 - (512 * 1000 + 1000) + (512 * 7 + 7)
    assert (name, parameters) == ("resnet18", f"{convolutions_and_heads:,}")
    assert float(gflops) == pytest.approx(2 * 2 * 1.814, rel=0.01), "two pictures, two operations per multiply-add"
    assert "image" in sees
    assert row(result.output, "resnet18_paper")
    assert "densenet" not in result.output
    assert "image_size" not in result.output


def test_settings_are_listed_where_they_are_asked_for() -> None:
    for name, expected in (("resnet18", "image_size=224"), ("stgcnpp", "dilations=[1,2,3,4]"), ("svm", "gamma=0.2")):
        result = CliRunner().invoke(command, [name, "--settings", "--layout", "body_25"], catch_exceptions=False)
        assert expected in result.output


def test_baselines_are_listed_with_their_input() -> None:
    output = CliRunner().invoke(command, ["[sl]*"], catch_exceptions=False).output
    for name in ("svm", "logistic"):
        assert row(output, name)[1:] == ["–", "–", SEES]
    assert row(output, "lstm")
    assert "boosting" not in output


def test_the_table_is_readable_in_80_columns(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("skelemo.models.registry.cost_of", lambda *_, **__: (86_567_656, 12_345_000_000_000))
    monkeypatch.setenv("COLUMNS", "80")
    monkeypatch.setattr("rich.console.Console.is_terminal", True)
    output = unstyle(CliRunner().invoke(command, [], catch_exceptions=False).output)
    assert max(map(len, output.splitlines())) <= 80
    for name in (*list_models(), *list_models(fitted=True)):
        assert row(output, name)[0] == name


def test_a_layout_that_an_architecture_cannot_take_leaves_its_cost_open(monkeypatch: pytest.MonkeyPatch) -> None:
    def refuse(name: str, **_: object) -> tuple[int, int]:
        raise ConfigError(f"{name} needs a face")

    monkeypatch.setattr("skelemo.models.registry.cost_of", refuse)
    result = CliRunner().invoke(command, ["ann"], catch_exceptions=False)
    assert row(result.output, "ann")[1:3] == ["–", "–"]


@pytest.mark.parametrize(
    ("arguments", "message"),
    [(["resnt18"], "did you mean 'resnet18'"), (["--layout", "body_26"], "unknown part of a layout 'body_26'")],
)
def test_an_unknown_name_is_answered_with_the_nearest(arguments: list[str], message: str) -> None:
    with pytest.raises(ConfigError, match=message):
        CliRunner().invoke(command, arguments, catch_exceptions=False)
