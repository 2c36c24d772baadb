"""`skelemo models`: the architectures, their inputs and costs."""

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
    """List all architectures, or those that match PATTERN.

    PATTERN is a glob such as 'resnet*'.

    GFLOPs are 10⁹ operations per forward pass of one window; a multiply-add counts as two, and drawing is
    excluded. Baselines are listed last.
    """
    from skelemo.cli.screen import Screen, lines
    from skelemo.cli.tables import in_yaml, table
    from skelemo.errors import unknown
    from skelemo.models.registry import entry, list_models
    from skelemo.skeleton import layout
    from skelemo.text import count

    layout(layout_name)
    networks, baselines = list_models(pattern), list_models(pattern, fitted=True)
    if not networks and not baselines:
        raise unknown("architecture", pattern, [*list_models(), *list_models(fitted=True)])
    title = f"One window of {count(frames, 'frame')} of {layout_name}"
    shown = table(title, "name", "parameters", "GFLOPs", "sees", words=(0, 3))
    shown.columns[0].no_wrap = True
    for name in (*networks, *baselines):
        shown.add_row(
            name, *(_cost(name, layout_name, frames) if name in networks else ("–", "–")), entry(name).facts.sees
        )
        if settings:
            known = entry(name).settings.items()
            shown.add_row("", "", "", lines(f"  {setting}={in_yaml(default)}" for setting, default in known))
    console = Screen()
    if not console.is_terminal:
        console = Screen(width=120)  # a pipe has no width; long lines suit grep
    console.print(shown)


def _cost(name: str, layout_name: str, frames: int) -> tuple[str, str]:
    """Parameters and GFLOPs, blank if an architecture does not support this layout or number of frames."""
    from skelemo.errors import ConfigError
    from skelemo.models.registry import cost_of

    try:
        parameters, operations = cost_of(name, layout_name=layout_name, frames=frames)
    except ConfigError:
        return "–", "–"
    return f"{parameters:,}", f"{operations / 1e9:.3g}"
