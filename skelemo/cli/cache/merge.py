"""``skelemo cache merge``."""

from pathlib import Path

import click

from skelemo.cli.values import PATH


@click.command("merge")
@click.argument("caches", nargs=-1, required=True, type=PATH, metavar="CACHE...")
@click.option("--out", required=True, type=PATH, help="Folder of the new cache.")
def command(caches: tuple[Path, ...], out: Path) -> None:
    """Make one new cache of several of one layout.

    What several have alike comes once; one sequence with different contents is an error. Class lists may be in another
    order, or shorter than the longest: labels are carried over by name. Where nothing is labeled, any list will do.
    What is there when the command fails is what was there before.

    \b
    skelemo cache merge cache/monday cache/tuesday --out cache/both
    """
    from skelemo.cache.merge import merge
    from skelemo.cli.cache.making import tell
    from skelemo.cli.progress import progress

    with progress("merging", "frames") as report:
        done = merge(caches, out, report)
    tell(done, out)
