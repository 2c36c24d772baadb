"""`skelemo models`."""

import re

import pytest
from click.testing import CliRunner

from skelemo.cli.models import command
from skelemo.errors import ConfigError


def row(output: str, name: str) -> list[str]:
    """The cells of an architecture's line."""
    line = next(line for line in output.splitlines() if re.search(rf"\b{name}\b", line))
    return [cell.strip() for cell in line.strip("│").split("│")]


def test_architectures_are_listed_with_what_they_cost_see_and_take() -> None:
    result = CliRunner().invoke(command, ["resnet18*", "--frames", "2", "--layout", "body_25"], catch_exceptions=False)
    name, parameters, gflops, sees, coordinates, settings = row(result.output, "resnet18")
    convolutions_and_heads = 11_689_512 - (512 * 1000 + 1000) + (512 * 7 + 7)
    assert (name, parameters) == ("resnet18", f"{convolutions_and_heads:,}")
    assert float(gflops) == pytest.approx(2 * 2 * 1.814, rel=0.01), "two pictures, two operations per multiply-add"
    assert "image" in sees
    assert coordinates == "frame"
    assert "image_size=224" in settings
    assert "weights=''" in settings
    assert row(result.output, "resnet18_paper")
    assert "densenet" not in result.output


def test_a_layout_that_an_architecture_cannot_take_leaves_its_cost_open(monkeypatch: pytest.MonkeyPatch) -> None:
    def refuse(name: str, **_: object) -> tuple[int, int]:
        raise ConfigError(f"{name} needs a face")

    monkeypatch.setattr("skelemo.models.cost.cost_of", refuse)
    result = CliRunner().invoke(command, ["ann"], catch_exceptions=False)
    assert row(result.output, "ann")[1:3] == ["–", "–"]


@pytest.mark.parametrize(
    ("arguments", "message"),
    [(["resnt18"], "did you mean 'resnet18'"), (["--layout", "body_26"], "unknown part of a layout 'body_26'")],
)
def test_an_unknown_name_is_answered_with_the_nearest(arguments: list[str], message: str) -> None:
    with pytest.raises(ConfigError, match=message):
        CliRunner().invoke(command, arguments, catch_exceptions=False)
