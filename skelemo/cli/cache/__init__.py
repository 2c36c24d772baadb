"""``skelemo cache``."""

import click

from skelemo.cli import Verbs


@click.group(
    "cache",
    cls=Verbs,
    modules=f"{__name__}.{{}}",
    verbs=("ls", "info", "verify", "merge", "subset", "corrections", "export", "images", "import", "push", "pull"),
    shared={
        **dict.fromkeys(("ls", "info"), "contents"),
        **dict.fromkeys(("merge", "subset"), "making"),
        **dict.fromkeys(("export", "images", "import"), "formats"),
        **dict.fromkeys(("push", "pull"), "transfer"),
    },
)
def command() -> None:
    """Inspect, verify, transfer, import and export caches."""
