"""``skelemo cache push``."""

from pathlib import Path

import click

from skelemo.cli.cache.transfer_options import transfer_options
from skelemo.cli.values import PATH, TEXT


@click.command("push")
@click.argument("cache", type=PATH)
@click.argument("url", type=TEXT)
@click.option("--replace", is_flag=True, help="Replace what URL has of sequences that have changed.")
@transfer_options
def command(
    cache: Path, url: str, replace: bool, only: tuple[str, ...], jobs: int, storage_option: tuple[str, ...]
) -> None:
    """Upload the shards of CACHE that URL lacks: to a folder, ssh://, s3:// or any other place that fsspec writes to.

    Each shard is checked first and appears there when it is whole. Several machines may push to one place. A sequence
    that is there with other content is refused; --replace removes its shard once everything in it has been replaced.

    \b
    skelemo cache push cache/faces s3://bucket/faces --storage-option endpoint_url=http://minio:9000
    skelemo cache push cache/faces ssh://ann@server/data/faces
    """
    from skelemo.cache.transfer import push, read_options, shown
    from skelemo.cli.cache.transfer_options import print_result
    from skelemo.cli.progress import byte_progress

    with byte_progress("pushing") as report:
        done = push(
            cache, url, only=only, replace=replace, jobs=jobs, options=read_options(storage_option), report=report
        )
    print_result(done, "pushed", f"to {shown(url)}")
