"""Fills the generated parts of the documentation: every `<!-- table: NAME -->` line becomes the table of that name."""

import re
from collections.abc import Iterator
from typing import Any

import click

_WIDTH = 80  # of a command's help, in characters: what fits beside the table of contents


def on_page_markdown(markdown: str, **_: Any) -> str:
    """Replace the markers of a page, before MkDocs renders it."""
    return re.sub(r"<!-- table: (\w+) -->", lambda found: TABLES[found[1]](), markdown)


def settings() -> str:
    """Every setting of a training, from the configuration itself."""
    from skelemo.cli.tables import setting_rows

    rows = ["| setting | default | meaning |", "|---|---|---|"]
    return "\n".join(
        [*rows, *(f"| `{name}` | `{default}` | {_cell(meaning)} |" for name, default, meaning in setting_rows())]
    )


def architectures() -> str:
    """Every architecture, what it sees and its settings."""
    from skelemo.cli.tables import in_yaml
    from skelemo.models.registry import entry, list_models

    rows = ["| architecture | sees | settings and defaults |", "|---|---|---|"]
    for name in [*list_models(), *list_models(fitted=True)]:
        chosen = entry(name)
        given = " ".join(f"`{setting}={in_yaml(value)}`" for setting, value in chosen.settings.items())
        rows.append(f"| `{name}` | {_cell(chosen.facts.sees)} | {given} |")
    return "\n".join(rows)


def commands() -> str:
    """Every command with its help."""
    from skelemo.cli import main

    return "\n\n".join(_helps(main, "skelemo"))


def _helps(command: click.Command, name: str, above: click.Context | None = None) -> Iterator[str]:
    context = click.Context(command, above, name.split()[-1], terminal_width=_WIDTH, **command.context_settings)
    yield f"## {name}\n\n```text\n{command.get_help(context)}\n```"
    if isinstance(command, click.Group):
        for verb in command.list_commands(context):
            yield from _helps(command.get_command(context, verb), f"{name} {verb}", context)


def _cell(text: str) -> str:
    return text.replace("|", "\\|").replace("\n", " ")


TABLES = {"commands": commands, "settings": settings, "architectures": architectures}
