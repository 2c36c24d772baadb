"""``skelemo study`` and ``skelemo tune``."""

import signal
from pathlib import Path

import click

from skelemo.cli import on_interrupt
from skelemo.cli.values import PATH, TEXT, set_option


@click.command("study")
@click.argument("file", type=PATH)
@click.option("--out", required=True, type=PATH, help="Output folder for the runs and report.")
@set_option(" for every cell")
@click.option("--jobs", type=click.IntRange(1), default=1, show_default=True, help="Trainings to run in parallel.")
@click.option("--dry-run", is_flag=True, help="List the cells without training.")
@click.pass_context
def command(ctx: click.Context, file: Path, out: Path, assignments: tuple[str, ...], jobs: int, dry_run: bool) -> None:
    """Train every cell of a grid of settings and report them together.

    FILE is a YAML file with base, the shared settings (or the path of a settings file), and grid, a list of values
    for each setting that varies. Run the same command again to resume. Exit code 1 if a cell failed.

    \b
    skelemo study configs/paper/study.yaml --set data=cache/affwild2 --out studies/paper
    """
    from skelemo.cli.progress import named_progress
    from skelemo.study.grid import read_study, run_study, summary
    from skelemo.text import visible
    from skelemo.training.config import parse_assignments

    study = read_study(file, parse_assignments(assignments))
    if dry_run:
        for cell in study.cells:
            click.echo(visible(cell.name))
        return
    on_interrupt(lambda: f"interrupted; finished cells are kept; resume with skelemo study {file} --out {out}")
    signal.signal(signal.SIGTERM, signal.default_int_handler)  # ends the trainings too
    with named_progress("studying", "cells") as update:
        outcome = run_study(study, out, jobs=jobs, progress=update)
    for name, reason in outcome.failures.items():
        click.echo(f"{visible(name)}: {visible(reason)}", err=True)
    click.echo(summary(outcome, len(study.cells)))
    if outcome.report:
        click.echo(f"report: {outcome.report.page}")
    ctx.exit(1 if outcome.failures else 0)


@click.command("tune")
@click.argument("file", type=PATH)
@click.option(
    "--out", required=True, type=PATH, help="Output folder; also stores the trials unless --storage is given."
)
@set_option(" for every trial")
@click.option("--trials", type=click.IntRange(1), help="Total trainings over all processes.  [default: from the file]")
@click.option("--storage", type=TEXT, metavar="FILE|URL", help="Storage for sharing trials between processes.")
@click.option("--keep", is_flag=True, help="Keep each trial's complete run, including checkpoints.")
@click.pass_context
def tune(
    ctx: click.Context,
    file: Path,
    out: Path,
    assignments: tuple[str, ...],
    trials: int | None,
    storage: str | None,
    keep: bool,
) -> None:
    """Search for the settings with the highest validation score.

    FILE is a YAML file with base, the fixed settings, and space, a list of values or a range for each setting that
    varies. The test subset is not used. Run the same command again to resume, or several at once on machines sharing
    --out or --storage to search in parallel. Exit code 1 if no trial has a score.

    \b
    skelemo tune search.yaml --set data=cache/faces --out searches/faces
    skelemo train --config searches/faces/best.yaml --out runs/best
    """
    from skelemo.cli.progress import named_progress
    from skelemo.study import tune as searching
    from skelemo.study.space import read_search
    from skelemo.text import visible
    from skelemo.training.config import parse_assignments

    search = read_search(file, parse_assignments(assignments), trials)
    on_interrupt(lambda: f"interrupted; trials are kept; resume with skelemo tune {file} --out {out}")
    with named_progress("tuning", "trials") as update:
        found = searching.tune(search, out, storage=storage or "", keep=keep, progress=update)
    for number, reason in found.failures.items():
        click.echo(f"trial {number}: {visible(reason)}", err=True)
    click.echo(found.summary)
    if found.best is None:
        ctx.exit(1)
    click.echo(
        f"best: trial {found.best.number}, {found.best.value:.3f} on validation; settings: {out / searching.BEST}"
    )
    click.echo(f"page: {out / searching.PAGE}")
