"""A report as HTML (``report.html.j2``) and Markdown (``report.md.j2``).

Names of runs, classes and data sets are untrusted and always escaped.
"""

import re
from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property
from itertools import groupby
from typing import Any

from markdown_it import MarkdownIt
from markupsafe import Markup

from skelemo.player import style as player_css
from skelemo.report import describe, failures, importance, overview, tables
from skelemo.report.card import run_card
from skelemo.report.comparison import Comparison, differing_settings, estimate_in, shared_settings
from skelemo.report.mistakes import TITLES, gallery
from skelemo.report.paired import Paired, compare_pairs
from skelemo.report.templates import plain, templates
from skelemo.runs.folder import Run
from skelemo.text import count


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
        runs = f"{count(alone, 'run')}{' and their ensemble' if fused else ''}"
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
    variables = _variables(content) | {
        "rows_of": rows_of,
        "failures": failures,
        "gallery": gallery([run for run, *_ in content.runs], sum(len(one.svg.encode()) for one in content.drawn)),
        "mistake_titles": TITLES,
        "keypoint_groups": lambda run: [f"{importance.KEYPOINTS} {head.name}" for head in run.heads],
        "player_css": player_css(),
        "shared_settings": shared_settings,
        "card": _card_html,
        "tables": tables,
    }
    return templates().get_template("report.html.j2").render(variables)


def markdown(content: Content) -> str:
    """The tables in Markdown, with links to the figures' files."""
    template = templates().overlay(finalize=plain).get_template("report.md.j2")
    return re.sub(r"\n{3,}", "\n\n", template.render(_variables(content))).rstrip() + "\n"


def _variables(content: Content) -> dict[str, Any]:
    """Variables of both templates."""
    runs = [run for run, *_ in content.runs]
    return {
        "content": content,
        "runs": runs,
        "differing": differing_settings(runs),
        "describe": describe,
        "overview": overview,
        "importance": importance,
        "estimate_in": estimate_in,
    }


def _card_html(run: Run) -> Markup:
    """The model card of a run; HTML and links in it are disabled because its names are untrusted."""
    reader = MarkdownIt("commonmark", {"html": False}).enable("table").disable(["link", "image", "autolink"])
    found = reader.render(re.sub(r"^## ", "### ", run_card(run), flags=re.MULTILINE))
    scroll = '<div class="scroll" tabindex="0" role="group" aria-label="table"><table>'
    return Markup(found.replace("<table>", scroll).replace("</table>", "</table></div>"))
