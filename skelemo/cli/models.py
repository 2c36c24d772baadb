"""`skelemo models`: the architectures, what they see and what they cost."""

from typing import Any

import click


@click.command("models")
@click.argument("pattern", default="*")
@click.option("--frames", default=16, show_default=True, type=click.IntRange(min=1), help="Frames in a window.")
@click.option("--layout", "layout_name", default="body_25+face_70", show_default=True, help="Parts of the skeleton.")
def command(pattern: str, frames: int, layout_name: str) -> None:
    """List the architectures whose names match PATTERN, such as 'resnet*'.

    GFLOPs are thousand millions of operations for one window forward, a multiplication and an addition counted as
    two, drawing left out. Settings are set with --set NAME=VALUE in training.
    """
    from skelemo.errors import ConfigError, unknown
    from skelemo.models.registry import entry, list_models
    from skelemo.skeleton import layout

    layout(layout_name)
    names = list_models(pattern)
    if not names:
        raise unknown("architecture", pattern, list_models())
    rows: list[tuple[str, ...]] = []
    for name in names:
        found = entry(name)
        try:
            cost = _cost(name, layout_name, frames)
        except ConfigError:  # an architecture that does not take this layout or this many frames
            cost = ("–", "–")
        rows.append((name, *cost, found.sees, found.coordinates, _settings(found.settings)))
    _show(rows, f"One window of {frames} frames of {layout_name}")


def _cost(name: str, layout_name: str, frames: int) -> tuple[str, str]:
    from skelemo.models.cost import cost_of

    parameters, operations = cost_of(name, layout_name=layout_name, frames=frames)
    return f"{parameters:,}", f"{operations / 1e9:.3g}"


def _settings(settings: dict[str, Any]) -> str:
    return " ".join(f"{name}={value!r}" if value == "" else f"{name}={value}" for name, value in settings.items())


def _show(rows: list[tuple[str, ...]], title: str) -> None:
    from rich.console import Console

    from skelemo.cli.display import table

    console = Console()
    if not console.is_terminal:
        console = Console(width=200)  # a pipe has no width, and lines to be searched should not be folded
    shown = table(title, "name", "parameters", "GFLOPs", "sees", "coordinates", "settings")
    for column in shown.columns[3:]:
        column.justify = "left"
    for row in rows:
        shown.add_row(*row)
    console.print(shown)
