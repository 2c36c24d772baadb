"""Where verbs print: names of the user's stay as they are, and each on its line."""

from collections.abc import Iterable
from typing import Any

from rich.console import Console
from rich.text import Text

from skelemo.text import visible


class Screen(Console):
    """A console that takes every text literally: no markup, no emoji; line feeds and their like show as escapes.

    What is to be in style, or to have several lines, is given as rich's ``Text``, as `lines` makes.
    """

    def __init__(self, **settings: Any) -> None:
        super().__init__(**{"markup": False, "emoji": False, "highlight": False, **settings})

    def render_str(self, text: str, **settings: Any) -> Text:
        """All texts, of cells, titles and lines, come through here."""
        return super().render_str(visible(text), **settings)


def lines(texts: Iterable[str]) -> Text:
    """A cell with a line for each text."""
    return Text("\n".join(map(visible, texts)))
