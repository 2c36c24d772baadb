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
)  # fmt: skip


@click.command("push")
@click.argument("cache", type=PATH)
@click.argument("url", type=TEXT)
@click.option("--replace", is_flag=True, help="Replace sequences at URL that have changed.")
@_options
def push(cache: Path, url: str, replace: bool, **options: Any) -> None:
    """Upload shards of CACHE that are missing at URL.

    URL is a folder, ssh://, s3:// or any other writable fsspec location. Each shard is verified first and appears at
    URL once complete. Several machines may push to the same URL. A sequence that exists there with different content is
    refused; --replace removes its shard once all of it has been replaced.

    fsspec's environment variables configure access, such as credentials.

    \b
    skelemo cache push cache/faces ssh://ann@server:2222/data/faces
    FSSPEC_S3_ENDPOINT_URL=http://minio:9000 skelemo cache push cache/faces s3://bucket/faces
    """
    from skelemo.cache.push import push as push_cache
    from skelemo.cache.remote import redacted
    from skelemo.cli.progress import byte_progress

    with byte_progress("pushing") as report:
        done = push_cache(cache, url, replace=replace, report=report, **options)
    _print_result(done, "pushed", f"to {redacted(url)}")


@click.command("pull")
@click.argument("url", type=TEXT)
@click.argument("cache", type=PATH)
@_options
def pull(url: str, cache: Path, **options: Any) -> None:
    """Download shards from URL that are missing in CACHE.

    URL is a folder, ssh://, s3://, https:// or any other fsspec location. Each shard is fully verified before it
    appears. ssh requires the server's key in ~/.ssh/known_hosts.

    \b
    skelemo cache pull https://example.org/faces cache/faces --only split=train --only label=anger
    """
    from skelemo.cache.pull import pull as pull_cache
    from skelemo.cli.progress import byte_progress

    with byte_progress("pulling") as report:
        done = pull_cache(url, cache, report=report, **options)
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
