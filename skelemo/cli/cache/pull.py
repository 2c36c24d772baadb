"""``skelemo cache pull``."""

from pathlib import Path

import click

from skelemo.cli.cache.transfer_options import carrying_options
from skelemo.cli.values import PATH, TEXT


@click.command("pull")
@click.argument("url", type=TEXT)
@click.argument("cache", type=PATH)
@carrying_options
def command(url: str, cache: Path, only: tuple[str, ...], jobs: int, storage_option: tuple[str, ...]) -> None:
    """Fetch the shards that CACHE does not have from URL: a folder, ssh://, s3://, https://, or what else fsspec reads.

    What was cut off is gone on with. Each shard is checked to its last byte before it gets its name.

    \b
    skelemo cache pull https://example.org/faces cache/faces --only split=train --only label=anger
    """
    from skelemo.cache.share.address import read_options
    from skelemo.cache.share.pull import pull
    from skelemo.cli.cache.transfer_options import tell
    from skelemo.cli.progress import byte_progress

    with byte_progress("pulling") as report:
        done = pull(url, cache, only=only, jobs=jobs, options=read_options(storage_option), report=report)
    tell(done, "pulled into", str(cache))
