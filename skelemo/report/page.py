"""The text of a report: as HTML by ``report.html.j2``, and as Markdown.

Names of runs, classes and data sets are anybody's: they are escaped wherever they are shown.
"""

import re
from collections.abc import Iterable, Mapping, Sequence
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
            "All figures here were" if len(simulated) == len(self.runs) else f"The figures of {_listed(simulated)} were"
        )
        return f"{which} reached on simulated actors. They do not say how well the emotions of people are recognized."


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
            content=content,
            figures_of=figures_of,
            head_title=head_title,
            describe=describe,
            rows_of=rows_of,
            overview=overview,
            costs=COSTS,
            figures_by_output=figures_by_output,
            costs_basis=costs_basis,
            estimate_in=estimate_in,
            hardest=hardest,
            gallery=gallery(runs, sum(len(one.svg.encode()) for one in content.drawn)),
            mistake_titles=TITLES,
            mattered=mattered,
            hidden_label=label,
            keypoints=KEYPOINTS,
            keypoint_groups=lambda run: [f"{KEYPOINTS} {head.name}" for head in run.heads],
            player_css=player_css(),
            pairs_basis=pairs_basis,
            affect_reading=_reading,
            differing=differing_settings(runs),
            shared=shared_settings(runs),
            cards=[_card_html(run) for run in runs],
            whole_figures=lambda head: figures_by_output(head)[0],
            environments=[tables.environment(run) for run in runs],
            runs=runs,
        )
    )


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
    return environment


def markdown(content: Content) -> str:
    """The same tables in Markdown, with links to the figures' files."""
    lines = [f"# {_plain(content.title)}", "", f"{capital(content.about)}.", ""]
    if content.simulated:
        lines += [f"> **Simulated data.** {_plain(content.simulated)}", ""]
    for place, (ground, drawn) in enumerate(content.grounds):
        lines += _ground_lines(ground, {head.name: content.pairs[place, head.name] for head in ground.heads})
        lines += _figure_lines(drawn)
    for run, _, drawn in content.runs:
        lines += _run_lines(run)
        lines += _figure_lines(drawn)
    runs = [run for run, *_ in content.runs]
    differing = differing_settings(runs)
    if differing:
        lines += ["## Settings that differ", ""]
        lines += _table(["setting", *(run.name for run in runs)], [[key, *values] for key, values in differing.items()])
    return re.sub(r"\n{3,}", "\n\n", "\n".join(lines)).rstrip() + "\n"


def number(value: float | None) -> str:
    """A figure with three decimals; a dash where there is none."""
    return "–" if value is None else f"{value:.3f}"


def count(value: float | None) -> str:
    """A whole number with its thousands apart; a dash where there is none."""
    return f"{value:,.0f}" if isinstance(value, int | float) else "–"


def capital(text: str) -> str:
    """The text with a capital first letter."""
    return text[:1].upper() + text[1:]


def _reading(run: Run) -> dict[str, Any] | None:
    return affect_reading(run.windows, [head for head in run.heads if head.name in run.shown])


def _ground_lines(ground: Ground, pairs: Mapping[str, Paired | None]) -> list[str]:
    lines = [f"## {_plain(ground.title)}", ""]
    lines += [f"- {name}: {_plain(fact)}" for name, fact in ground.facts().items()]
    lines += [f"- {ground.caution}"] if ground.caution else []
    for head in ground.heads:
        table = ground.paper_table(head)
        lines += ["", f"### {capital(table.title)}", ""]
        rows = [[label, *(_estimate(value, table.best) for value in values)] for label, values in table.rows]
        lines += _table(["", *table.optimizers], rows)
    for head in ground.heads:
        names = figures_of(head)
        lines += [f"### {capital(head_title(head))}", ""]
        rows = [
            [row.name, *row.facts.values(), *map(_estimate, row.figures.values()), *row.costs.values()]
            for row in overview(ground, head)
        ]
        if always := ground.most_frequent(head):
            figures = [number(always[1].get(name)) for name in names]
            rows.append([f"always {always[0]}", *[""] * len(FACTS), *figures, *["–"] * len(COSTS)])
        lines += _table(["run", *FACTS, *map(capital, names.values()), *COSTS], rows)
        lines += [costs_basis(ground), ""] if head == ground.heads[0] else []
        basis = [ground.comparability(head), ground.transductive(head)]
        lines += [" ".join(filter(None, basis)), "", *_paired_lines(pairs[head.name])]
    return lines


def _paired_lines(paired: Paired | None) -> list[str]:
    if not paired:
        return []
    rows = [
        [
            run.name,
            f"{one.value:+.3f}{'' if one.low is None else f' ({one.low:+.3f} to {one.high:+.3f})'}",
            _chance(one.p),
        ]
        for run, one in paired.others
    ]
    title = f"Difference to {paired.best.name}, the highest"
    return [*_table(["run", title, "p"], rows), pairs_basis(paired), ""]


def _chance(p: float | None) -> str:
    return "n/a" if p is None else "< 0.01" if p < 0.01 else f"{p:.2f}"


def _run_lines(run: Run) -> list[str]:
    chosen = f"{describe.choice(run)} {describe.choices(run)}".strip()
    lines = [f"## Run {_plain(run.name)}", "", _plain(chosen), ""]
    lines += [f"- {_plain(note)}" for note in describe.cautions(run)] + [""]
    for head in run.heads:
        figures = run.shown.get(head.name, {})
        if figures.get("note"):
            lines += [f"{capital(head_title(head))}: {_plain(figures['note'])}.", ""]
        rows = [
            [name, *(number(row.get(key)) for key in ("precision", "recall", "f1")), count(row.get("support"))]
            for name, row in figures.get("per_class", {}).items()
        ]
        lines += _table(["class", "precision", "recall", "f1", f"{figures['unit']}s"], rows) if rows else []
        metrics = describe.output_metrics(head)
        rows = [
            [
                name,
                *(_estimate(estimate_in(figures, describe.figure_of_output(head, metric, name))) for metric in metrics),
                count(row.get("support")),
            ]
            for name, row in figures.get("per_flag", {}).items()
        ]
        lines += _table(["flag", *metrics.values(), f"{figures['unit']}s with it"], rows) if rows else []
        if figures.get("left_out"):
            lines += [
                f"Left out of the means, neither true nor predicted: {_plain(', '.join(figures['left_out']))}.",
                "",
            ]
        for column, groups in describe.groups_by(figures).items():
            names = figures_of(head)
            rows = [
                [
                    name,
                    *(_estimate(estimate_in(one, key)) for key in names),
                    count(one["windows"]),
                    count(one["groups"]),
                ]
                for name, one in groups
            ]
            units = [f"{figures['unit']}s", f"{figures['grouped_by']}s"]
            title = f"{head_title(head)} by {describe.grouped_title(column)}"
            lines += [f"### {_plain(capital(title))}", ""]
            lines += _table([column, *map(capital, names.values()), *units], rows)
        for kind in ("fold", "seed"):
            means, names = figures.get(f"{kind}_mean"), figures_of(head)
            if not means or not figures.get(f"{kind}s"):
                continue
            texts = [
                f"{names[key]} {number(means[key]['mean'])} ± {number(means[key]['sd'])}"
                for key in means
                if key in names
            ]
            lines += [f"Mean over {len(figures[f'{kind}s'])} {kind}s: {', '.join(texts)}.", ""]
    for one in mattered(run):
        lines += [f"### Which keypoints mattered: {_plain(head_title(one.head))}", "", _plain(one.told), ""]
        rows = [
            [label(row), number(row["score"]), f"{row['loss']:+.3f}", f"{row['low']:+.3f} to {row['high']:+.3f}"
             if row["low"] == row["low"] else "n/a", "yes" if row["noise"] else ""]
            for _, row in one.rows.iterrows()
        ]  # fmt: skip
        lines += _table(["hidden", one.metric, "loss", "95 % interval", "may be chance"], rows)
    return lines


def _figure_lines(drawn: Sequence[Drawn]) -> list[str]:
    lines = []
    for figure in drawn:
        shown = next((file for kind in (".svg", ".png", ".pdf") for file in figure.files if file.endswith(kind)), None)
        if shown:
            mark = "" if shown.endswith(".pdf") else "!"
            lines += [f"{mark}[{_plain(figure.caption)}]({shown})", ""]
    return lines


def _table(head: Sequence[str], rows: Iterable[Sequence[str]]) -> list[str]:
    texts = [[_plain(cell) for cell in row] for row in rows]
    rule = ["---", *("---:" for _ in head[1:])]
    return [f"| {' | '.join(row)} |" for row in ([_plain(cell) for cell in head], rule, *texts)] + [""]


def _estimate(estimate: Estimate | None, best: float | None = None) -> str:
    if estimate is None:
        return "–"
    mark = " (highest)" if best is not None and estimate.value == best else ""
    told = ", ".join(filter(None, (estimate.spread, estimate.further)))
    return f"{number(estimate.value)}{f' ({told})' if told else ''}{mark}"


def _plain(text: str) -> str:
    """Text that Markdown takes as it stands, on one line."""
    return re.sub(r"([\\`*_{}\[\]<>|#$~])", r"\\\1", re.sub(r"\s+", " ", text))


def _listed(names: Sequence[str]) -> str:
    return names[0] if len(names) == 1 else f"{', '.join(names[:-1])} and {names[-1]}"
