"""``skelemo report``."""

from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from skelemo.cli.values import PATH, TEXT, raw_option

if TYPE_CHECKING:
    from rich.text import Text

    from skelemo.report.comparison import Estimate
    from skelemo.report.report import Report


@click.command("report")
@click.argument("runs", metavar="RUN...", nargs=-1, required=True, type=PATH)
@click.option("--out", required=True, type=PATH, help="Output folder.")
@click.option("--title", help="Page title.")
@click.option("--ensemble", is_flag=True, help="Also show the mean of all runs' predictions as an additional run.")
@click.option(
    "--figures",
    "formats",
    multiple=True,
    type=click.Choice(["svg", "pdf", "png"]),
    default=("svg",),
    show_default=True,
    help="Format of the figures' files; several may be given.",
)
@click.option("--video", "videos", multiple=True, type=TEXT, metavar="NAME",
              help="Plot values over time for this video instead of the longest ones; repeatable.")  # fmt: skip
@raw_option
@click.option("--force", is_flag=True, help="Write to a non-empty folder.")
def command(runs: tuple[Path, ...], out: Path, **options: Any) -> None:
    """Compare finished runs on a self-contained page.

    Also writes Markdown, CSV and LaTeX tables, and figures. An existing report in --out is updated.

    \b
    skelemo report runs/ann runs/resnet18 --out reports/first
    skelemo report runs/ann --video 12-24-1920x1080 --out reports/one
    skelemo report runs/joint runs/bone --ensemble --figures pdf --out reports/streams
    """
    from skelemo.cli.progress import progress
    from skelemo.report.report import write_report

    with progress("reporting", "sections") as update:
        report = write_report(runs, out, progress=update, **options)
    _show(report)


def _show(report: "Report") -> None:
    """Each head's main metric; the page has the rest."""
    from skelemo.cli.screen import Screen, notes
    from skelemo.cli.tables import table
    from skelemo.evaluation.metrics import main_metric, titles
    from skelemo.report.comparison import estimate_of

    console = Screen()
    notes(report.notes)
    for comparison in report.comparisons:
        figures = [(head, main_metric(head)) for head in comparison.heads]
        simulated = ", simulated" if comparison.simulated else ""
        columns = (f"{head.name}, {titles(head)[name]}" for head, name in figures)
        shown = table(f"{comparison.title}{simulated}", "run", *columns)
        for run in comparison.runs:
            shown.add_row(run.name, *(_cell(estimate_of(run, head.name, name)) for head, name in figures))
        console.print(shown)
        for note in dict.fromkeys(filter(None, map(comparison.transductive, comparison.heads))):
            console.print(note, soft_wrap=True)
        if (basis := comparison.facts().get("Intervals", "")).startswith("n/a"):
            console.print(f"95 % intervals: {basis}")
    console.print(f"report: {report.page}")


def _cell(estimate: "Estimate | None") -> "Text":
    """A value with its interval or standard deviation."""
    from rich.text import Text

    if estimate is None:
        return Text("–")
    cell = Text.assemble(f"{estimate.value:.3f} ", (estimate.spread, "dim"))
    cell.rstrip()
    return cell
