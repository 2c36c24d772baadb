"""What pushing and pulling have in common on the command line."""

from collections.abc import Callable
from typing import TYPE_CHECKING, Any

import click

if TYPE_CHECKING:
    from skelemo.cache.share.push import Carried

_OPTIONS = (
    click.option("--only", multiple=True, metavar="KEY=GLOB",
                 help="Just these sequences, by video, id, subject, person, label or a column of the splits. Repeated "
                 "for one key: either; for several keys: all must hold."),
    click.option("--jobs", type=click.IntRange(1, 64), default=4, show_default=True,
                 help="Shards on their way at once."),
    click.option("--storage-option", multiple=True, metavar="KEY=VALUE",
                 help="For fsspec's driver, as in endpoint_url=http://minio:9000, anon=true, port=2222. Secrets are "
                 "better kept in the driver's own places (~/.aws, ~/.ssh, environment)."),
)  # fmt: skip


def carrying_options(command: Callable[..., Any]) -> Callable[..., Any]:
    """Add the options of push and pull to a command."""
    for option in reversed(_OPTIONS):
        command = option(command)
    return command


def tell(done: "Carried", how: str, where: str) -> None:
    """What has travelled."""
    from rich.filesize import decimal

    from skelemo.cli.screen import Screen
    from skelemo.text import count

    kept = ""
    if done.shards and done.sequences is not None:
        kept = f", of which {count(done.sequences, 'sequence is', 'sequences are')} kept"
    console = Screen(soft_wrap=True)
    console.print(
        f"{count(len(done.shards), 'shard')}, {decimal(done.size)}, {how} {where}{kept}; "
        f"{count(done.there, 'shard')} need not travel"
    )
    for note in done.notes:
        console.print(f"note: {note}")
