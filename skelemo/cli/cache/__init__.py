"""``skelemo cache``."""

import click

from skelemo.cli.lazy_group import Verbs


@click.group(
    "cache",
    cls=Verbs,
    modules=f"{__name__}.{{}}",
    verbs=("ls", "info", "verify", "merge", "subset", "corrections", "export", "images", "import", "push", "pull"),
)
def command() -> None:
    """Look into caches, check them, carry them between machines, and turn them into other formats and back."""
