"""``skelemo cache pull``."""

from pathlib import Path

import click

from skelemo.cli.cache.transfer_options import transfer_options
from skelemo.cli.values import PATH, TEXT


@click.command("pull")
@click.argument("url", type=TEXT)
@click.argument("cache", type=PATH)
@transfer_options
def command(url: str, cache: Path, only: tuple[str, ...], jobs: int, storage_option: tuple[str, ...]) -> None:
    """Download the shards that CACHE lacks from URL: a folder, ssh://, s3://, https:// or any other fsspec protocol.

    Each shard is checked to its last byte before it gets its name. ssh needs the server's key in ~/.ssh/known_hosts.

    \b
    skelemo cache pull https://example.org/faces cache/faces --only split=train --only label=anger
    """
    from skelemo.cache.transfer import pull, read_options
    from skelemo.cli.cache.transfer_options import print_result
    from skelemo.cli.progress import byte_progress

    with byte_progress("pulling") as report:
        done = pull(url, cache, only=only, jobs=jobs, options=read_options(storage_option), report=report)
    print_result(done, "pulled", f"into {cache}")
