"""The text of a report: as HTML by ``report.html.j2``, and as Markdown by ``report.md.j2``.

Names of runs, classes and data sets are anybody's: they are escaped wherever they are shown.
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
    Estimate,
    Ground,
    differing_settings,
    estimate_in,
    shared_settings,
)
from skelemo.report.describe import figures_of, head_title, pairs_basis
from skelemo.report.failures import hardest
from skelemo.report.importance import KEYPOINTS, label, mattered
from skelemo.report.mistakes import TITLES, gallery
from skelemo.report.overview import COSTS, FACTS, costs_basis, figures_by_output, overview
from skelemo.report.paired import Paired, compare_pairs
from skelemo.runs.folder import Run
from skelemo.text import duration


@dataclass(frozen=True)
class Drawn:
    """A figure, ready for a page: the group it stands in, what it shows, its SVG and its files."""

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
        """The file that Markdown shows or links to; "" where there is none."""
        kinds = (".svg", ".png", ".pdf")
        return next((file for kind in kinds for file in self.files if file.endswith(kind)), "")

    @property
    def markup(self) -> Markup:
        """The SVG, which Matplotlib has escaped, as HTML."""
        return Markup(self.svg)


@dataclass(frozen=True)
class Content:
    """All that a report says."""

    title: str
    written: str
    version: str
    grounds: tuple[tuple[Ground, tuple[Drawn, ...]], ...]
    runs: tuple[tuple[Run, str, tuple[Drawn, ...]], ...]  # with the stem of its files

    @property
    def drawn(self) -> list[Drawn]:
        """All figures."""
        return [one for _, drawn in self.grounds for one in drawn] + [one for *_, drawn in self.runs for one in drawn]

    @cached_property
    def pairs(self) -> dict[tuple[int, str], Paired | None]:
        """How the runs compare in pairs, by the place of the comparison and the head."""
        return {
            (place, head.name): compare_pairs(ground, head)
            for place, (ground, _) in enumerate(self.grounds)
            for head in ground.heads
        }

    @property
    def about(self) -> str:
        """How many runs, when and by what."""
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
        which = (
            "All scores here were" if len(simulated) == len(self.runs) else f"The scores of {_listed(simulated)} were"
        )
        return (
            f"{which} obtained on simulated actors. They do not show how well emotions of real people are recognized."
        )


def rows_of(drawn: Sequence[Drawn]) -> list[list[Drawn]]:
    """Neighbors of one group together: what stands side by side where there is room."""
    return [list(group) for _, group in groupby(drawn, key=lambda item: item.group)]


def html(content: Content) -> str:
    """The page: it stands alone and loads nothing; the only script is the player of clips, where there are any."""
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
    """The same tables in Markdown, with links to the figures' files."""
    template = templates().overlay(finalize=plain).get_template("report.md.j2")
    return re.sub(r"\n{3,}", "\n\n", template.render(**_shared_by_texts(content))).rstrip() + "\n"


def _shared_by_texts(content: Content) -> dict[str, Any]:
    """What both templates are given."""
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
        "mattered": mattered,
        "hidden_label": label,
        "pairs_basis": pairs_basis,
    }


def _card_html(run: Run) -> Markup:
    """The model card of a run; names in it may be anybody's, so neither HTML nor links are taken from it."""
    reader = MarkdownIt("commonmark", {"html": False}).enable("table").disable(["link", "image", "autolink"])
    found = reader.render(re.sub(r"^## ", "### ", run_card(run), flags=re.MULTILINE))
    scroll = '<div class="scroll" tabindex="0" role="group" aria-label="table"><table>'
    return Markup(found.replace("<table>", scroll).replace("</table>", "</table></div>"))


def templates(*rooms: str) -> Environment:
    """The templates of this room, and of others that write pages in the same style."""
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
    """A figure with three decimals; a dash where there is none."""
    return "–" if value is None else f"{value:.3f}"


def count(value: float | None) -> str:
    """A whole number with its thousands apart; a dash where there is none."""
    return f"{value:,.0f}" if isinstance(value, int | float) else "–"


def capital(text: str) -> str:
    """The text with a capital first letter."""
    return text[:1].upper() + text[1:]


def chance(p: float | None) -> str:
    """A p value as a page shows it."""
    return "n/a" if p is None else "< 0.01" if p < 0.01 else f"{p:.2f}"


def estimate(found: Estimate | None, best: float | None = None) -> str:
    """A figure with its interval, or with what else is known of it; a dash where there is none."""
    if found is None:
        return "–"
    mark = " (highest)" if best is not None and found.value == best else ""
    told = ", ".join(filter(None, (found.spread, found.further)))
    return f"{number(found.value)}{f' ({told})' if told else ''}{mark}"


def plain(value: object) -> Markup:
    """Text that Markdown takes as it stands, on one line; Markdown stays what it is."""
    if isinstance(value, Markup):
        return value
    return Markup(re.sub(r"([\\`*_{}\[\]<>|#$~])", r"\\\1", re.sub(r"\s+", " ", str(value))))


def _listed(names: Sequence[str]) -> str:
    return names[0] if len(names) == 1 else f"{', '.join(names[:-1])} and {names[-1]}"
