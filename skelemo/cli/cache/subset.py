"""``skelemo cache subset``."""

from pathlib import Path

import click

from skelemo.cli.values import PATH


@click.command("subset")
@click.argument("cache", type=PATH)
@click.option("--only", multiple=True, required=True, metavar="KEY=GLOB",
              help="Just these sequences, by video, id, subject, person, label or a column of the splits. Repeated for "
              "one key: either; for several keys: all must hold.")  # fmt: skip
@click.option("--out", required=True, type=PATH, help="Folder of the new cache.")
def command(cache: Path, only: tuple[str, ...], out: Path) -> None:
    """Make a new cache of some sequences of one.

    \b
    skelemo cache subset cache/faces --only split=train --only label=anger --only label=fear --out cache/threats
    """
    from skelemo.cache.merge import subset
    from skelemo.cli.cache.making import tell
    from skelemo.cli.progress import progress

    with progress("choosing", "frames") as report:
        done = subset(cache, only, out, report)
    tell(done, out)
