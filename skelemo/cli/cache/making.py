"""``skelemo cache merge`` and ``skelemo cache subset``."""

from pathlib import Path
from typing import TYPE_CHECKING

import click

from skelemo.cli.values import PATH, only_option

if TYPE_CHECKING:
    from skelemo.cache.merge import Combined


@click.command("merge")
@click.argument("caches", nargs=-1, required=True, type=PATH, metavar="CACHE...")
@click.option("--out", required=True, type=PATH, help="Folder of the new cache.")
def merge(caches: tuple[Path, ...], out: Path) -> None:
    """Merge several caches of the same layout into a new one.

    The new cache has the heads of all. Identical sequences are kept once; the same sequence with different content is
    an error, and so are different classes of one head (see `skelemo ingest --classes`). If the command fails, nothing
    is written.

    \b
    skelemo cache merge cache/monday cache/tuesday --out cache/both
    """
    from skelemo.cache import merge as making
    from skelemo.cli.progress import progress

    with progress("merging", "frames") as report:
        done = making.merge(caches, out, report)
    _tell(done, out)


@click.command("subset")
@click.argument("cache", type=PATH)
@only_option(required=True)
@click.option("--out", required=True, type=PATH, help="Folder of the new cache.")
def subset(cache: Path, only: tuple[str, ...], out: Path) -> None:
    """Create a new cache from selected sequences.

    \b
    skelemo cache subset cache/faces --only split=train --only label=anger --only label=fear --out cache/threats
    """
    from skelemo.cache import merge as making
    from skelemo.cli.progress import progress

    with progress("selecting", "frames") as report:
        done = making.subset(cache, only, out, report)
    _tell(done, out)


def _tell(done: "Combined", out: Path) -> None:
    """The contents of the new cache."""
    from skelemo.cli.screen import Screen
    from skelemo.text import count

    twice = f"; {count(done.duplicates, 'duplicate')}" if done.duplicates else ""
    twice += f", {count(done.corrections, 'correction')}" if done.corrections else ""
    Screen(soft_wrap=True).print(
        f"{count(done.sequences, 'sequence')}, {count(done.frames, 'frame')} "
        f"in {count(len(done.shards), 'shard')} of {out}{twice}"
    )
