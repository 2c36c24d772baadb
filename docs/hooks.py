"""Fills the generated tables of the documentation: every `<!-- table: NAME -->` line becomes the table of that name."""

import re
from typing import Any


def on_page_markdown(markdown: str, **_: Any) -> str:
    """Replace the markers of a page, before MkDocs renders it."""
    return re.sub(r"<!-- table: (\w+) -->", lambda found: TABLES[found[1]](), markdown)


def settings() -> str:
    """Every setting of a training, from the configuration itself."""
    from skelemo.training.config import Config

    rows = ["| setting | default | meaning |", "|---|---|---|"]
    for name, field in Config.model_fields.items():
        default = field.get_default(call_default_factory=True)
        rows.append(f"| `{name}` | `{_yaml(default)}` | {_cell(field.description)} |")
    return "\n".join(rows)


def architectures() -> str:
    """Every architecture, what it sees and its settings."""
    from skelemo.models.registry import entry, list_models

    rows = ["| architecture | sees | settings |", "|---|---|---|"]
    for name in list_models():
        chosen = entry(name)
        given = " ".join(f"`{setting}={_yaml(value)}`" for setting, value in chosen.settings.items())
        rows.append(f"| `{name}` | {_cell(chosen.facts.sees)} | {given} |")
    return "\n".join(rows)


def _yaml(value: Any) -> str:
    text = {None: "null", True: "true", False: "false"}.get(value) if isinstance(value, bool | None) else None
    if text is None:
        text = "[" + ", ".join(map(_yaml, value)) + "]" if isinstance(value, tuple | list) else str(value)
    return text


def _cell(text: str | None) -> str:
    return (text or "").replace("|", "\\|").replace("\n", " ")


TABLES = {"settings": settings, "architectures": architectures}
