"""Docstrings for mkdocstrings: ``low, high : range``, as this project writes them, becomes NumPy's style."""

import re
from typing import Any

import griffe

_ENTRY = re.compile(r"^(\w[\w, ]*) : (.+(?:\n +.+)*)", re.MULTILINE)


class Descriptions(griffe.Extension):
    """Puts each description below its name. Types and defaults are those of the signature."""

    def on_object(self, *, obj: griffe.Object, **_: Any) -> None:
        """Rewrite a docstring before it is parsed."""
        if obj.docstring:
            obj.docstring.value = _ENTRY.sub(_below, obj.docstring.value)


def _below(entry: re.Match[str]) -> str:
    return "\n".join(f"{name}\n    {entry[2]}" for name in entry[1].split(", "))
