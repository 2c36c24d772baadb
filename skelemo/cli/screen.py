"""Console output of user-supplied text, literal and without control characters."""

from collections.abc import Iterable
from typing import Any

import click
from rich.console import Console
from rich.text import Text

from skelemo.text import visible


class Screen(Console):
    """A console that prints text literally: no markup, no emoji, control characters escaped.

    For styled or multi-line output, pass rich's ``Text``, such as from `lines`.
    """

    def __init__(self, **settings: Any) -> None:
        super().__init__(**{"markup": False, "emoji": False, "highlight": False, **settings})

    def render_str(self, text: str, **settings: Any) -> Text:
        """Escape control characters; rich calls this for all text (cells, titles, lines)."""
        return super().render_str(visible(text), **settings)


def notes(texts: Iterable[str], word: str = "note") -> None:
    """Print notes on stderr, one line each."""
    for text in texts:
        click.echo(f"{word}: {visible(text)}", err=True)


def lines(texts: Iterable[str]) -> Text:
    """A cell with one line per text."""
    return Text("\n".join(map(visible, texts)))
