"""``skelemo view`` and ``skelemo show``."""

from pathlib import Path

import click

from skelemo.cli.values import PATH, SEED, different, port_option


@click.command("view")
@click.argument("cache", nargs=-1, required=True, type=PATH, callback=different)
@click.option("--runs", "runs", multiple=True, type=PATH, metavar="RUN", callback=different,
              help="Run whose predictions are shown beside the labels; may be given again.")  # fmt: skip
@click.option("--video", type=PATH, metavar="DIR", help="Folder with the videos, named as the recordings.")
@click.option("--queue", type=PATH, metavar="FILE", help="Suspects to go through, as audit writes them.")
@port_option
@click.option("--open/--no-open", "browse", default=False, help="Open the page in a browser.")
@click.pass_context
def command(
    ctx: click.Context,
    cache: tuple[Path, ...],
    runs: tuple[Path, ...],
    video: Path | None,
    queue: Path | None,
    port: int,
    browse: bool,
) -> None:
    """Look at the sequences of a cache in a browser, with labels and predictions, and correct what is wrong.

    The page is for this machine alone, and for whoever has its address. Corrections are saved at once to
    corrections.csv beside the cache, which itself is never changed. Ctrl-C ends it.

    \b
    skelemo view cache/affwild2
    skelemo view cache/affwild2 --runs runs/ann --runs runs/stgcnpp --video videos/
    skelemo view cache/affwild2 --queue audit/affwild2/suspects.csv
    """
    from skelemo.cache.store import open_cache
    from skelemo.runs.folder import read_run
    from skelemo.view.server import Viewer, serve

    def ready(address: str) -> None:
        click.echo(address)
        if browse:
            click.launch(address)

    viewer = Viewer(open_cache(cache), [read_run(run) for run in runs], video, queue)
    try:
        serve(viewer, port, ready)
    except KeyboardInterrupt:
        ctx.exit(130)


@click.command("show")
@click.argument("cache", nargs=-1, required=True, type=PATH, callback=different)
@click.option("--out", required=True, type=PATH, help="Folder for the page; new or empty.")
@click.option("--per-class", default=12, show_default=True, type=click.IntRange(1), help="Samples of each class.")
@click.option("--view", type=click.Choice(["frame", "person", "face", "person+face"]),
              help="What the images show.  [default: what the cache shows of both]")  # fmt: skip
@click.option("--seed", default=0, show_default=True, type=SEED, help="The same seed, the same samples.")
def show(cache: tuple[Path, ...], out: Path, per_class: int, view: str | None, seed: int) -> None:
    """Write a page of samples by class, with their labels, for checking labels by eye.

    Each sample is drawn as OpenPose draws it, with its sequence, frame number and other labels. The page is
    self-contained.

    \b
    skelemo show cache/affwild2 --out pages/affwild2
    """
    from skelemo.cache.store import open_cache
    from skelemo.view.sample_page import write_page

    click.echo(write_page(open_cache(cache), out, per_class=per_class, view=view, seed=seed))
