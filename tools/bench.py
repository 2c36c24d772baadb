"""Measure skelemo's speed against named references in one run: ``python tools/bench.py --help``.

Each benchmark is a file of its own beside this one, ``bench_NAME.py``, and holds its ``command``.
"""

import click

from skelemo.cli import Verbs


@click.group(
    cls=Verbs,
    modules="bench_{}",
    verbs=(
        "cache",
        "calibrate",
        "carry",
        "corpus",
        "export",
        "importance",
        "ingest",
        "listing",
        "live",
        "load",
        "memory",
        "models",
        "parts",
        "render",
        "size",
        "train",
        "view",
    ),
)
def main() -> None:
    """Speed of skelemo's rooms, each against a named reference."""


if __name__ == "__main__":
    main()
