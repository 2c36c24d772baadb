"""Fills the generated tables of the documentation: every `<!-- table: NAME -->` line becomes the table of that name."""

import re
from typing import Any


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


def _cell(text: str) -> str:
    return text.replace("|", "\\|").replace("\n", " ")


TABLES = {"settings": settings, "architectures": architectures}
