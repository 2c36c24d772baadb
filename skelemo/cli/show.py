"""``skelemo show``."""

from pathlib import Path

import click

from skelemo.cli.values import PATH, SEED, different


@click.command("show")
@click.argument("cache", nargs=-1, required=True, type=PATH, callback=different)
@click.option("--out", required=True, type=PATH, help="Folder for the page; new or empty.")
@click.option("--per-class", default=12, show_default=True, type=click.IntRange(1), help="Samples of each class.")
@click.option("--view", type=click.Choice(["frame", "person", "face", "person+face"]),
              help="What the images show.  [default: what the cache shows of both]")  # fmt: skip
@click.option("--seed", default=0, show_default=True, type=SEED, help="The same seed, the same samples.")
def command(cache: tuple[Path, ...], out: Path, per_class: int, view: str | None, seed: int) -> None:
    """Write a page of samples by class, with their labels, for checking labels by eye.

    Each sample is drawn as OpenPose draws it, with its sequence, frame number and other labels. The page is
    self-contained.

    \b
    skelemo show cache/affwild2 --out pages/affwild2
    """
    from skelemo.cache.store import open_cache
    from skelemo.view.sample_page import write_page

    click.echo(write_page(open_cache(cache), out, per_class=per_class, view=view, seed=seed))
