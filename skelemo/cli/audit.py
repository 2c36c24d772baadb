"""``skelemo audit``."""

from pathlib import Path

import click

from skelemo.cli.values import PATH


@click.command("audit")
@click.argument("cache", type=PATH)
@click.option(
    "--runs",
    multiple=True,
    type=PATH,
    metavar="RUN",
    help="A run whose test predictions are compared with the labels, preferably with folds.  [default: a baseline]",
)
@click.option("--out", required=True, type=PATH, help="Output folder for the table and page.")
@click.option("--corrections", type=PATH, help="Correction table to apply first.")
@click.option("--most", type=click.IntRange(1), default=1000, show_default=True, help="Maximum suspects per kind.")
def command(cache: Path, runs: tuple[Path, ...], out: Path, corrections: Path | None, most: int) -> None:
    """Rank probable errors in a CACHE, for review.

    Finds labels that disagree with out-of-fold predictions, labels that are shifted in time, tracks that jump to
    another person, frozen or empty segments, points outside the image, and the same movement in two recordings. Review
    the suspects with `skelemo view CACHE --queue OUT/suspects.csv`.

    \b
    skelemo audit cache/faces --runs runs/kfold --out audit/faces
    """
    from skelemo.audit.audit import PAGE, TABLE, audit, write_audit
    from skelemo.cache.store import open_cache
    from skelemo.cli.progress import progress
    from skelemo.cli.screen import notes
    from skelemo.cli.tables import suspects_table

    with progress("checking labels", "heads") as report:
        found = audit(open_cache(cache), runs, corrections=corrections, most=most, report=report)
    write_audit(found, out)
    notes(found.notes)
    suspects_table(found.suspects)
    click.echo(f"all suspects: {out / TABLE} and {out / PAGE}")
