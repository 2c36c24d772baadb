"""``skelemo cache export``, ``images`` and ``import``: caches for other programs, and their keypoints as caches."""

from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from skelemo.cli.values import (
    PATH,
    TEXT,
    Known,
    label_options,
    only_option,
    people_options,
    raw_option,
    size_and_rate,
)

if TYPE_CHECKING:
    from skelemo.view.image_files import Exported


def _exports() -> list[str]:
    from skelemo.formats.registry import EXPORTS

    return EXPORTS.names()


def _imports() -> list[str]:
    from skelemo.formats.registry import IMPORTS

    return IMPORTS.names()


@click.command("export")
@click.argument("cache", type=PATH)
@click.option("--to", "form", required=True, type=Known("format", _exports, paths=True),
              help="Output format.")  # fmt: skip
@click.option("--out", required=True, type=PATH, help="Output file (for pose, a folder).")
@only_option()
@raw_option
def export(cache: Path, form: str, out: Path, only: tuple[str, ...], raw: bool) -> None:
    """Export a cache for other programs.

    \b
    pyskl    an annotation file for PYSKL and MMAction2 (a pickle): clips with one label each, people by clip
    pose     one pose-format .pose file per video
    csv      one row per frame; OUT.gz is compressed
    parquet  the same, typed

    \b
    skelemo cache export cache/faces --to parquet --out faces.parquet --only split=train
    """
    from skelemo.cache.store import open_cache
    from skelemo.cli.progress import progress
    from skelemo.cli.screen import Screen, notes
    from skelemo.errors import ConfigError
    from skelemo.formats.registry import EXPORTS
    from skelemo.text import count

    entry = EXPORTS.find(form)
    if raw and "raw" not in entry.settings:
        raise ConfigError(f"--raw only applies to csv; {form} never quotes names")
    options = {"raw": True} if raw else {}
    with progress("exporting", "frames") as report:
        done = entry.function(open_cache(cache), out, only, report, **options)
    notes(done.notes)
    Screen(soft_wrap=True).print(f"{count(done.sequences, 'sequence')}, {count(done.frames, 'frame')} written to {out}")


@click.command("images")
@click.argument("cache", nargs=-1, required=True, type=PATH)
@click.option("--out", required=True, type=PATH, help="Output folder; new or empty.")
@click.option("--view", default="frame", show_default=True, help="Content of the images.",
              type=click.Choice(["frame", "person", "face", "person+face"]))  # fmt: skip
@click.option("--size", default=224, show_default=True, type=click.IntRange(2, 4096),
              help="Side of the image in pixels; person+face is twice as wide.")  # fmt: skip
@click.option("--every", default=1, show_default=True, type=click.IntRange(1), help="Draw one frame in N.")
@click.option(
    "--split", type=TEXT, metavar="COLUMN", help="Sort by subset first: train/CLASS, validation/CLASS, test/CLASS."
)
def images(cache: tuple[Path, ...], out: Path, **options: Any) -> None:
    """Draw every labeled frame as a PNG in a folder per class.

    This is the layout of torchvision's ImageFolder. Frames without a class or without visible people are skipped and
    counted. `skelemo train` does not need these files: image networks draw each batch on the fly.

    \b
    skelemo cache images cache/dfew --view person+face --split fold_1 --out images/dfew
    """
    from skelemo.cache.store import open_cache
    from skelemo.cli.progress import progress
    from skelemo.view.image_files import export_images

    opened = open_cache(cache)
    with progress("drawing", "images") as report:
        exported = export_images(opened, out, report=report, **options)
    _show_images(out, exported)


@click.command("import")
@click.argument("source", type=PATH)
@click.option("--from", "form", required=True, type=Known("format", _imports, paths=True),
              help="Format of SOURCE.")  # fmt: skip
@click.option("--out", required=True, type=PATH, help="Folder of the new cache.")
@click.option("--labels", type=TEXT, metavar="FORMAT[:PATH]", help="As in ingest; PATH defaults to SOURCE.")
@label_options
@people_options
@click.option(
    "--layout", default="body_25+face_70", show_default=True, help="Parts to keep; append +hand_21x2 for hands."
)
@size_and_rate
@click.option("--first-frame", type=click.Choice(["0", "1"]), default="0", show_default=True,
              help="Number of the first frame, in image names or the column frame: 1 for images from ffmpeg and "
              "Aff-Wild2 (00001.jpg). Ignored for MMPose.")  # fmt: skip
def import_(
    source: Path, form: str, out: Path, labels: str | None, size: tuple[int, int], first_frame: str, **settings: Any
) -> None:
    """Create a cache from another program's keypoints.

    SOURCE is a file, or a folder of files:

    \b
    alphapose          results in JSON: 17, 26 or 136 points, with idx as identity
    coco_wholebody     COCO results or annotations in JSON: 17 to 136 points
    kinetics_skeleton  one JSON file per clip
    mediapipe          JSON, CSV or Parquet: pose, face mesh and hands
    mmpose             predictions in JSON
    openface, pyfeat   CSV with 68 facial landmarks
    openpifpaf         predictions for a video, one JSON line per frame

    MediaPipe's coordinates are relative to the image size; they are converted to pixels if it is known.

    \b
    skelemo cache import predictions/ --from coco_wholebody --labels table:labels.csv --out cache/mmpose
    """
    from skelemo.cli.progress import progress
    from skelemo.cli.screen import Screen, notes
    from skelemo.formats.importing import import_keypoints
    from skelemo.ingest.task import Settings
    from skelemo.text import count

    given = Settings(width=size[0], height=size[1], **settings)
    with progress("importing", "frames") as report:
        done = import_keypoints(source, form, out, labels, given, report, first_frame=int(first_frame))
    notes(done.notes)
    Screen(soft_wrap=True).print(
        f"{count(done.recordings, 'recording')}, {count(done.people, 'detection')} of people: "
        f"{count(done.sequences, 'sequence')}, {count(done.frames, 'frame')} in {out}"
    )


def _show_images(out: Path, exported: "Exported") -> None:
    from skelemo.cli.screen import Screen
    from skelemo.cli.tables import table

    shown = table(f"images in {out}", "folder", "images")
    for folder, count in exported.images.items():
        shown.add_row(folder, f"{count:,}")
    skipped = {
        "frames without a class": exported.unlabeled,
        "frames with nobody visible": exported.unseen,
        "frames outside the split": exported.no_subset,
    }
    for reason, count in skipped.items():
        if count:
            shown.add_row(f"skipped: {reason}", f"{count:,}", style="yellow")
    Screen().print(shown)
