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
    """Look into caches, check them, carry them between machines, and turn them into other formats and back."""
