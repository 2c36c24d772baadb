"""A report as HTML (``report.html.j2``) and Markdown (``report.md.j2``).

Names of runs, classes and data sets are untrusted and always escaped.
"""

import re
from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property
from itertools import groupby
from typing import Any

from jinja2 import ChoiceLoader, Environment, PackageLoader, StrictUndefined
from markdown_it import MarkdownIt
from markupsafe import Markup

from skelemo.evaluation.circumplex import affect_reading
from skelemo.player import style as player_css
from skelemo.report import describe, tables
from skelemo.report.card import run_card
from skelemo.report.comparison import (
    Comparison,
    Estimate,
    differing_settings,
    estimate_in,
    shared_settings,
)
from skelemo.report.describe import figures_of, head_title, pairs_basis
from skelemo.report.failures import hardest
from skelemo.report.importance import KEYPOINTS, importances, label
from skelemo.report.mistakes import TITLES, gallery
from skelemo.report.overview import COSTS, FACTS, costs_basis, figures_by_output, overview
from skelemo.report.paired import Paired, compare_pairs
from skelemo.runs.folder import Run
from skelemo.text import duration


@dataclass(frozen=True)
class Drawn:
    """A drawn figure: its group, caption, SVG and files."""

    group: str
    caption: str
    svg: str
    files: tuple[str, ...]

    @property
    def width(self) -> int:
        """Natural width in CSS pixels."""
        found = re.search(r' width="(\d+)"', self.svg)
        return int(found[1]) if found else 0

    @property
    def linked(self) -> str:
        """The file for Markdown; "" without files."""
        kinds = (".svg", ".png", ".pdf")
        return next((file for kind in kinds for file in self.files if file.endswith(kind)), "")

    @property
    def markup(self) -> Markup:
        """The SVG, escaped by Matplotlib, as HTML."""
        return Markup(self.svg)


@dataclass(frozen=True)
class Content:
    """The content of a report."""

    title: str
    written: str
    version: str
    comparisons: tuple[tuple[Comparison, tuple[Drawn, ...]], ...]
    runs: tuple[tuple[Run, str, tuple[Drawn, ...]], ...]  # with the stem of its files

    @property
    def drawn(self) -> list[Drawn]:
        """All figures."""
        return [one for _, drawn in self.comparisons for one in drawn] + [
            one for *_, drawn in self.runs for one in drawn
        ]

    @cached_property
    def pairs(self) -> dict[tuple[int, str], Paired | None]:
        """Paired comparisons of runs, by index of the comparison and head."""
        return {
            (place, head.name): compare_pairs(comparison, head)
            for place, (comparison, _) in enumerate(self.comparisons)
            for head in comparison.heads
        }

    @property
    def about(self) -> str:
        """Number of runs, date and version."""
        fused = sum(bool(run.members) and not run.evaluation for run, *_ in self.runs)
        alone = len(self.runs) - fused
        runs = f"{alone} {'run' if alone == 1 else 'runs'}{' and their ensemble' if fused else ''}"
        return f"{runs}, written {self.written} by skelemo {self.version}"

    @property
    def simulated(self) -> str:
        """The warning about simulated data; empty without such data."""
        simulated = [run.name for run, *_ in self.runs if run.data.get("simulated")]
        if not simulated:
            return ""
        which = "All scores here" if len(simulated) == len(self.runs) else f"The scores of {', '.join(simulated)}"
        return f"{which} were obtained on simulated actors. They do not show how well the models work on real people."


def rows_of(drawn: Sequence[Drawn]) -> list[list[Drawn]]:
    """Consecutive figures of one group, which are placed side by side."""
    return [list(group) for _, group in groupby(drawn, key=lambda item: item.group)]


def html(content: Content) -> str:
    """The self-contained page; its only script is the player, if there are clips."""
    runs = [run for run, *_ in content.runs]
    return (
        templates()
        .get_template("report.html.j2")
        .render(
            **_shared_by_texts(content),
            rows_of=rows_of,
            figures_by_output=figures_by_output,
            hardest=hardest,
            gallery=gallery(runs, sum(len(one.svg.encode()) for one in content.drawn)),
            mistake_titles=TITLES,
            keypoints=KEYPOINTS,
            keypoint_groups=lambda run: [f"{KEYPOINTS} {head.name}" for head in run.heads],
            player_css=player_css(),
            affect_reading=lambda run: affect_reading(
                run.windows, [head for head in run.heads if head.name in run.shown]
            ),
            shared=shared_settings(runs),
            shared_settings=shared_settings,
            cards=[_card_html(run) for run in runs],
            whole_figures=lambda head: figures_by_output(head)[0],
            environments=[tables.environment(run) for run in runs],
        )
    )


def markdown(content: Content) -> str:
    """The tables in Markdown, with links to the figures' files."""
    template = templates().overlay(finalize=plain).get_template("report.md.j2")
    return re.sub(r"\n{3,}", "\n\n", template.render(**_shared_by_texts(content))).rstrip() + "\n"


def _shared_by_texts(content: Content) -> dict[str, Any]:
    """Variables of both templates."""
    runs = [run for run, *_ in content.runs]
    return {
        "content": content,
        "runs": runs,
        "differing": differing_settings(runs),
        "describe": describe,
        "figures_of": figures_of,
        "head_title": head_title,
        "overview": overview,
        "facts": FACTS,
        "costs": COSTS,
        "costs_basis": costs_basis,
        "estimate_in": estimate_in,
        "importances": importances,
        "hidden_label": label,
        "pairs_basis": pairs_basis,
    }


def _card_html(run: Run) -> Markup:
    """The model card of a run; HTML and links in it are disabled because its names are untrusted."""
    reader = MarkdownIt("commonmark", {"html": False}).enable("table").disable(["link", "image", "autolink"])
    found = reader.render(re.sub(r"^## ", "### ", run_card(run), flags=re.MULTILINE))
    scroll = '<div class="scroll" tabindex="0" role="group" aria-label="table"><table>'
    return Markup(found.replace("<table>", scroll).replace("</table>", "</table></div>"))


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


def capital(text: str) -> str:
    """A text with a capital first letter."""
    return text[:1].upper() + text[1:]


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
