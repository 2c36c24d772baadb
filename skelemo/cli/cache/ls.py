"""``skelemo cache ls``."""

from pathlib import Path

import click

from skelemo.cli.values import PATH


@click.command("ls")
@click.argument("path", type=PATH, default=Path("cache"))
@click.option("--sequences", is_flag=True, help="List every sequence.")
def command(path: Path, sequences: bool) -> None:
    """Show what a cache holds, or, for a folder of caches (default: cache/), what each of them holds.

    No frame is read.
    """
    from skelemo.cache.store import find_caches, open_cache
    from skelemo.cli.tables import cache_table, sequences_table

    caches = [open_cache(folder) for folder in find_caches(path)]
    cache_table(caches)
    if sequences:
        for cache in caches:
            sequences_table(cache)
