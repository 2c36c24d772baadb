"""``skelemo cache push`` and ``skelemo cache pull``."""

from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from skelemo.cli.values import PATH, TEXT, only_option, together

if TYPE_CHECKING:
    from skelemo.cache.transfer import Transferred

_options = together(
    only_option(),
    click.option("--jobs", type=click.IntRange(1, 64), default=4, show_default=True,
                 help="Shards transferred at a time."),
    click.option("--storage-option", multiple=True, metavar="KEY=VALUE",
                 help="For fsspec's driver, such as endpoint_url=http://minio:9000, anon=true, port=2222. Keep secrets "
                 "where the driver looks for them (~/.aws, ~/.ssh, environment)."),
)  # fmt: skip


@click.command("push")
@click.argument("cache", type=PATH)
@click.argument("url", type=TEXT)
@click.option("--replace", is_flag=True, help="Replace sequences at URL that have changed.")
@_options
def push(cache: Path, url: str, replace: bool, storage_option: tuple[str, ...], **options: Any) -> None:
    """Upload shards of CACHE that are missing at URL: a folder, ssh://, s3:// or any other writable fsspec location.

    Each shard is verified first and appears at URL once complete. Several machines may push to the same URL. A sequence
    that exists there with different content is refused; --replace removes its shard once all of it has been replaced.

    \b
    skelemo cache push cache/faces s3://bucket/faces --storage-option endpoint_url=http://minio:9000
    skelemo cache push cache/faces ssh://ann@server/data/faces
    """
    from skelemo.cache.push import push as push_cache
    from skelemo.cache.remote import redacted
    from skelemo.cache.transfer import read_options
    from skelemo.cli.progress import byte_progress

    with byte_progress("pushing") as report:
        given = read_options(storage_option)
        done = push_cache(cache, url, replace=replace, options=given, report=report, **options)
    _print_result(done, "pushed", f"to {redacted(url)}")


@click.command("pull")
@click.argument("url", type=TEXT)
@click.argument("cache", type=PATH)
@_options
def pull(url: str, cache: Path, storage_option: tuple[str, ...], **options: Any) -> None:
    """Download shards missing in CACHE from URL: a folder, ssh://, s3://, https:// or any other fsspec protocol.

    Each shard is fully verified before it appears. ssh requires the server's key in ~/.ssh/known_hosts.

    \b
    skelemo cache pull https://example.org/faces cache/faces --only split=train --only label=anger
    """
    from skelemo.cache.pull import pull as pull_cache
    from skelemo.cache.transfer import read_options
    from skelemo.cli.progress import byte_progress

    with byte_progress("pulling") as report:
        given = read_options(storage_option)
        done = pull_cache(url, cache, options=given, report=report, **options)
    _print_result(done, "pulled", f"into {cache}")


def _print_result(done: "Transferred", verb: str, where: str) -> None:
    from rich.filesize import decimal

    from skelemo.cli.screen import Screen, notes
    from skelemo.text import count

    kept = f", {count(done.sequences, 'sequence')} kept" if done.shards and done.sequences is not None else ""
    Screen(soft_wrap=True).print(
        f"{verb} {count(len(done.shards), 'shard')} ({decimal(done.size)}) {where}{kept}; "
        f"{count(done.up_to_date, 'shard')} up to date or not selected"
    )
    notes(done.notes)
