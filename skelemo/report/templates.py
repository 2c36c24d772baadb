"""Jinja templates of pages and model cards, and their filters."""

import re

from jinja2 import ChoiceLoader, Environment, PackageLoader, StrictUndefined
from markupsafe import Markup

from skelemo.report.comparison import Estimate
from skelemo.text import capital, duration


def templates(*rooms: str) -> Environment:
    """Templates of this package and of others whose pages have the same style."""
    environment = Environment(
        loader=ChoiceLoader([PackageLoader("skelemo", room) for room in ("report", *rooms)]),
        autoescape=True,
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    environment.filters |= {"number": number, "count": count, "capital": capital, "duration": duration}
    environment.filters |= {"chance": chance, "estimate": estimate, "plain": plain}
    return environment


def number(value: float | None) -> str:
    """A number with three decimals; a dash for None."""
    return "–" if value is None else f"{value:.3f}"


def count(value: float | None) -> str:
    """A whole number with thousands separators; a dash for None."""
    return f"{value:,.0f}" if isinstance(value, int | float) else "–"


def chance(p: float | None) -> str:
    """A p value as text."""
    return "n/a" if p is None else "< 0.01" if p < 0.01 else f"{p:.2f}"


def estimate(found: Estimate | None, best: float | None = None) -> str:
    """A score with its interval or spread; a dash for None."""
    if found is None:
        return "–"
    value = f"**{number(found.value)}**" if found.value == best else number(found.value)
    spread = ", ".join(filter(None, (found.spread, found.further)))
    return Markup(f"{value} ({spread})" if spread else value)  # numbers only


def plain(value: object) -> Markup:
    """Text on one line, escaped for Markdown; `Markup` is unchanged."""
    if isinstance(value, Markup):
        return value
    return Markup(re.sub(r"([\\`*_{}\[\]<>|#$~])", r"\\\1", re.sub(r"\s+", " ", str(value))))
