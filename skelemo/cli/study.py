"""``skelemo study``."""

from pathlib import Path

import click

from skelemo.cli.values import PATH


@click.command("study")
@click.argument("file", type=PATH)
@click.option("--out", required=True, type=PATH, help="Folder for the runs and their report.")
@click.option("--set", "assignments", multiple=True, metavar="KEY=VALUE", help="One setting, for every cell.")
@click.option("--jobs", type=click.IntRange(1), default=1, show_default=True, help="Trainings at a time.")
@click.option("--dry-run", is_flag=True, help="List the cells, and train none.")
@click.pass_context
def command(ctx: click.Context, file: Path, out: Path, assignments: tuple[str, ...], jobs: int, dry_run: bool) -> None:
    """Train every cell of a grid of settings, and report them together.

    FILE is a YAML file: base, the settings that all share (or the path of a file of them), and grid, a list of values
    for each setting that varies. The same command again goes on where it was. Exit code 1 when a cell failed.

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
    try:
        with named_progress("studying", "cells") as told:
            outcome = run_study(study, out, jobs=jobs, told=told)
    except KeyboardInterrupt:
        click.echo(f"\ninterrupted; what was trained is kept: skelemo study {file} --out {out} goes on", err=True)
        ctx.exit(130)
    for name, reason in outcome.failures.items():
        click.echo(f"{visible(name)}: {visible(reason)}", err=True)
    click.echo(summary(outcome, len(study.cells)))
    if outcome.report:
        click.echo(f"report: {outcome.report.page}")
    ctx.exit(1 if outcome.failures else 0)
