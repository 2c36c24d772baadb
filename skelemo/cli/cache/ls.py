"""``skelemo cache ls``."""

from pathlib import Path

import click

from skelemo.cli.values import PATH


@click.command("ls")
@click.argument("path", type=PATH, default=Path("cache"))
@click.option("--sequences", is_flag=True, help="List every sequence.")
@click.pass_context
def command(ctx: click.Context, path: Path, sequences: bool) -> None:
    """Show what a cache holds, or, for a folder of caches (default: cache/), what each of them holds.

    No frame is read. Exit code 1 when one of several cannot be read: what is wrong with it stands below the others.
    """
    from skelemo.cache.store import find_caches, open_cache
    from skelemo.cli.screen import Screen
    from skelemo.cli.tables import cache_table, sequences_table
    from skelemo.errors import CacheError

    caches, broken = [], []
    for folder in find_caches(path):
        try:
            caches.append(open_cache(folder))
        except CacheError as error:
            if folder == path:
                raise
            broken.append(str(error))
    if caches:
        cache_table(caches)
    for cache in caches if sequences else ():
        sequences_table(cache)
    for reason in broken:
        Screen(soft_wrap=True).print(reason, style="yellow")
    ctx.exit(1 if broken else 0)
