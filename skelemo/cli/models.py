"""`skelemo models`: the architectures, their inputs and costs."""

from collections.abc import Mapping, Sequence
from typing import Any

import click


@click.command("models")
@click.argument("pattern", default="*")
@click.option("--frames", default=16, show_default=True, type=click.IntRange(min=1), help="Frames in a window.")
@click.option("--layout", "layout_name", default="body_25+face_70", show_default=True, help="Parts of the skeleton.")
@click.option(
    "--settings",
    is_flag=True,
    help="Also list their settings and defaults; change them with --set NAME=VALUE in training.",
)
def command(pattern: str, frames: int, layout_name: str, settings: bool) -> None:
    """List the architectures whose names match PATTERN, such as 'resnet*'.

    GFLOPs are 10⁹ operations per forward pass of one window; a multiply-add counts as two, and drawing is
    excluded. Baselines are listed last.
    """
    from skelemo.errors import unknown
    from skelemo.models.registry import entry, list_models
    from skelemo.skeleton import layout
    from skelemo.text import count

    layout(layout_name)
    networks, baselines = list_models(pattern), list_models(pattern, fitted=True)
    if not networks and not baselines:
        raise unknown("architecture", pattern, [*list_models(), *list_models(fitted=True)])
    costs = {name: _cost(name, layout_name, frames) for name in networks} | dict.fromkeys(baselines, ("–", "–"))
    rows = [(name, *costs[name], entry(name).facts.sees, entry(name).settings) for name in costs]
    _show(rows, f"One window of {count(frames, 'frame')} of {layout_name}", settings)


def _cost(name: str, layout_name: str, frames: int) -> tuple[str, str]:
    """Parameters and GFLOPs, blank if an architecture does not support this layout or number of frames."""
    from skelemo.errors import ConfigError
    from skelemo.models.registry import cost_of

    try:
        parameters, operations = cost_of(name, layout_name=layout_name, frames=frames)
    except ConfigError:
        return "–", "–"
    return f"{parameters:,}", f"{operations / 1e9:.3g}"


def _show(rows: Sequence[tuple[str, str, str, str, Mapping[str, Any]]], title: str, settings: bool) -> None:
    from skelemo.cli.screen import Screen, lines
    from skelemo.cli.tables import table

    console = Screen()
    if not console.is_terminal:
        console = Screen(width=120)  # a pipe has no width; long lines suit grep
    shown = table(title, "name", "parameters", "GFLOPs", "sees", words=(0, 3))
    shown.columns[0].no_wrap = True
    for name, parameters, operations, sees, known in rows:
        shown.add_row(name, parameters, operations, sees)
        if settings:
            shown.add_row("", "", "", lines(_setting(name, default) for name, default in known.items()))
    console.print(shown)


def _setting(setting: str, default: object) -> str:
    value = f"[{','.join(map(str, default))}]" if isinstance(default, tuple) else default
    return f"  {setting}={value}"
