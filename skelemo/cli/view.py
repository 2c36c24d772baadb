"""``skelemo view`` and ``skelemo show``."""

from pathlib import Path

import click

from skelemo.cli import on_interrupt
from skelemo.cli.values import PATH, SEED, port_option
from skelemo.errors import ConfigError


@click.command("view")
@click.argument("cache", nargs=-1, required=True, type=PATH)
@click.option("--runs", "runs", multiple=True, type=PATH, metavar="RUN",
              help="Run whose predictions are shown with the labels; repeatable.")  # fmt: skip
@click.option("--video", type=PATH, metavar="DIR", help="Folder of videos, named like the recordings.")
@click.option("--queue", type=PATH, metavar="FILE", help="Suspects to review, as written by skelemo audit.")
@port_option
@click.option("--open/--no-open", "browse", default=False, help="Open the page in a browser.")
def command(
    cache: tuple[Path, ...],
    runs: tuple[Path, ...],
    video: Path | None,
    queue: Path | None,
    port: int,
    browse: bool,
) -> None:
    """View a cache in the browser, and correct its labels.

    The page is only reachable from this machine, and only with its full address. Corrections are saved immediately to
    corrections.csv; the cached shards are never changed. Stop with Ctrl-C.

    \b
    skelemo view cache/affwild2
    skelemo view cache/affwild2 --runs runs/ann --runs runs/stgcnpp --video videos/
    skelemo view cache/affwild2 --queue audit/affwild2/suspects.csv
    """
    from skelemo.cache.store import open_cache
    from skelemo.runs.folder import read_run
    from skelemo.view.viewer import Viewer

    try:
        from skelemo.view.app import serve
    except ImportError:
        raise ConfigError("the viewer needs the packages starlette and uvicorn: pip install 'skelemo[view]'") from None

    def ready(address: str) -> None:
        click.echo(address)
        if browse:
            click.launch(address)

    viewer = Viewer(open_cache(cache), [read_run(run) for run in runs], video, queue)
    on_interrupt(str)  # nothing
    serve(viewer, port, ready)


@click.command("show")
@click.argument("cache", nargs=-1, required=True, type=PATH)
@click.option("--out", required=True, type=PATH, help="Output folder; new or empty.")
@click.option("--per-class", default=12, show_default=True, type=click.IntRange(1), help="Samples per class.")
@click.option("--view", type=click.Choice(["frame", "person", "face", "person+face"]),
              help="Content of the images.  [default: person, face or both, as in the cache]")  # fmt: skip
@click.option("--seed", default=0, show_default=True, type=SEED, help="The same seed gives the same samples.")
def show(cache: tuple[Path, ...], out: Path, per_class: int, view: str | None, seed: int) -> None:
    """Write a page of samples by class, to check labels by eye.

    Each sample is drawn in OpenPose's style, with its sequence, frame number and other labels. The page is
    self-contained.

    \b
    skelemo show cache/affwild2 --out pages/affwild2
    """
    from skelemo.cache.store import open_cache
    from skelemo.view.sample_page import write_page

    click.echo(write_page(open_cache(cache), out, per_class=per_class, view=view, seed=seed))
