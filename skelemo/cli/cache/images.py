"""``skelemo cache images``."""

from pathlib import Path
from typing import TYPE_CHECKING

import click

from skelemo.cli.values import PATH, TEXT

if TYPE_CHECKING:
    from skelemo.view.image_files import Exported


@click.command("images")
@click.argument("cache", nargs=-1, required=True, type=PATH)
@click.option("--out", required=True, type=PATH, help="Folder for the images; new or empty.")
@click.option("--view", default="frame", show_default=True, help="What they show.",
              type=click.Choice(["frame", "person", "face", "person+face"]))  # fmt: skip
@click.option("--size", default=224, show_default=True, type=click.IntRange(2, 4096), help="Side in pixels.")
@click.option("--every", default=1, show_default=True, type=click.IntRange(1), help="Only every N-th frame.")
@click.option(
    "--split", type=TEXT, metavar="COLUMN", help="Sort by subset first: train/CLASS, validation/CLASS, test/CLASS."
)
def command(cache: tuple[Path, ...], out: Path, view: str, size: int, every: int, split: str | None) -> None:
    """Draw every labeled frame as a PNG in the folder of its class (ImageFolder's layout).

    Frames without a class and frames in which nobody is visible are skipped and counted. `skelemo train` needs no such
    files: image networks draw in the batch.

    \b
    skelemo cache images cache/dfew --view person+face --split fold_1 --out images/dfew
    """
    from skelemo.cache.store import open_cache
    from skelemo.cli.progress import progress
    from skelemo.view.image_files import export_images

    opened = open_cache(cache)
    with progress("drawing", "images") as told:
        exported = export_images(
            opened,
            out,
            view=view,
            size=size,
            every=every,
            split=split,
            report=told,
        )
    _show(out, exported)


def _show(out: Path, exported: "Exported") -> None:
    from skelemo.cli.screen import Screen
    from skelemo.cli.tables import table

    shown = table(f"images in {out}", "folder", "images")
    for folder, count in exported.images.items():
        shown.add_row(folder, f"{count:,}")
    skipped = {
        "frames without a class": exported.unlabeled,
        "frames in which nobody is visible": exported.unseen,
        "frames that the split leaves out": exported.apart,
    }
    for reason, count in skipped.items():
        if count:
            shown.add_row(f"skipped: {reason}", f"{count:,}", style="yellow")
    Screen().print(shown)
