"""``skelemo cache ls`` and ``skelemo cache info``."""

from pathlib import Path

import click

from skelemo.cli.values import PATH


@click.command("ls")
@click.argument("path", type=PATH, default=Path("cache"))
@click.option("--sequences", is_flag=True, help="List every sequence.")
@click.pass_context
def ls(ctx: click.Context, path: Path, sequences: bool) -> None:
    """List a cache, or the caches in a folder (default: cache/).

    Does not read any frames. Exit code 1 if one of several caches cannot be read; its error is printed last.
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


@click.command("info")
@click.argument("cache", type=PATH)
@click.option("--recordings", default=10, show_default=True, type=click.IntRange(0),
              help="Number of recordings to list; 0 for all.")  # fmt: skip
@click.option("--json", "as_json", is_flag=True, help="Print everything as JSON, including all recordings.")
def info(cache: Path, recordings: int, as_json: bool) -> None:
    """Show a cache's origin, labels and missing data.

    Does not read any frames. Missing points are listed by part; the recordings with the most come first.

    \b
    skelemo cache info cache/faces
    """
    from skelemo.cache.store import open_cache
    from skelemo.cache.summary import as_plain, by_recording, provenance
    from skelemo.cli.summary import labels_table, missing_table, provenance_table
    from skelemo.ingest.problems import unusable

    opened, others = open_cache(cache), unusable(cache)
    if as_json:
        import json

        click.echo(json.dumps(as_plain(opened) | {"unusable": others}, ensure_ascii=False, indent=1))
        return
    provenance_table(opened, provenance(opened), len(others))
    labels_table(opened)
    missing_table(opened, by_recording(opened), recordings)
