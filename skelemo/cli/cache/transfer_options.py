"""Options and output that ``push`` and ``pull`` share."""

from collections.abc import Callable
from typing import TYPE_CHECKING, Any

import click

if TYPE_CHECKING:
    from skelemo.cache.transfer import Transferred

_OPTIONS = (
    click.option("--only", multiple=True, metavar="KEY=GLOB",
                 help="Transfer only these sequences, by video, id, subject, person, label or a column of the splits. "
                 "Values of one key are alternatives; different keys must all match."),
    click.option("--jobs", type=click.IntRange(1, 64), default=4, show_default=True,
                 help="Shards transferred at a time."),
    click.option("--storage-option", multiple=True, metavar="KEY=VALUE",
                 help="For fsspec's driver, such as endpoint_url=http://minio:9000, anon=true, port=2222. Keep secrets "
                 "where the driver looks for them (~/.aws, ~/.ssh, environment)."),
)  # fmt: skip


def transfer_options(command: Callable[..., Any]) -> Callable[..., Any]:
    """Add the options of push and pull to a command."""
    for option in reversed(_OPTIONS):
        command = option(command)
    return command


def print_result(done: "Transferred", verb: str, where: str) -> None:
    """Print what has travelled."""
    from rich.filesize import decimal

    from skelemo.cli.screen import Screen
    from skelemo.text import count

    kept = f", {count(done.sequences, 'sequence')} kept" if done.shards and done.sequences is not None else ""
    console = Screen(soft_wrap=True)
    console.print(
        f"{verb} {count(len(done.shards), 'shard')} ({decimal(done.size)}) {where}{kept}; "
        f"{count(done.there, 'shard')} already there or not wanted"
    )
    for note in done.notes:
        console.print(f"note: {note}")
