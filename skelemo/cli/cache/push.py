"""``skelemo cache push``."""

from pathlib import Path

import click

from skelemo.cli.cache.transfer_options import carrying_options
from skelemo.cli.values import PATH, TEXT


@click.command("push")
@click.argument("cache", type=PATH)
@click.argument("url", type=TEXT)
@click.option("--replace", is_flag=True, help="Put sequences that have changed into the place of what URL has of them.")
@carrying_options
def command(
    cache: Path, url: str, replace: bool, only: tuple[str, ...], jobs: int, storage_option: tuple[str, ...]
) -> None:
    """Send the shards of CACHE that URL does not have: a folder, ssh://, s3://, or whatever fsspec can write to.

    Each shard is checked before, and has its name there when it is whole. Any number may push to one place. What is
    there with other content is refused, or with --replace taken out when all that is in its shard has come.

    \b
    skelemo cache push cache/faces s3://bucket/faces --storage-option endpoint_url=http://minio:9000
    skelemo cache push cache/faces ssh://ann@server/data/faces
    """
    from skelemo.cache.share.address import read_options, shown
    from skelemo.cache.share.push import push
    from skelemo.cli.cache.transfer_options import tell
    from skelemo.cli.progress import byte_progress

    with byte_progress("pushing") as report:
        done = push(
            cache, url, only=only, replace=replace, jobs=jobs, options=read_options(storage_option), report=report
        )
    tell(done, "pushed to", shown(url))
