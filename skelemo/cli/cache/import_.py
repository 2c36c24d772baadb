"""``skelemo cache import``."""

from pathlib import Path

import click

from skelemo.cli.values import PATH, RATE, SIZE, TEXT, Known, label_options


def _names() -> list[str]:
    from skelemo.formats.registry import names

    return names("import")


@click.command("import")
@click.argument("source", type=PATH)
@click.option("--from", "form", required=True, type=Known("format", _names, paths=True),
              help="What SOURCE holds.")  # fmt: skip
@click.option("--out", required=True, type=PATH, help="Folder of the new cache.")
@click.option("--labels", type=TEXT, metavar="FORMAT[:PATH]", help="As for ingest; PATH is SOURCE if left out.")
@label_options
@click.option("--person", type=click.Choice(["auto", "largest", "left", "right", "all"]), default="auto",
              show_default=True, help="Who carries the labels, where these do not say.")  # fmt: skip
@click.option("--identity", type=click.Choice(["auto", "file", "tracking"]), default="auto", show_default=True,
              help="What tells people apart: the file's identities, or tracking.")  # fmt: skip
@click.option("--layout", default="body_25+face_70", show_default=True, help="Parts to keep; + adds hand_21x2.")
@click.option(
    "--size", type=SIZE, default=(0, 0), metavar="WxH", help="Size of the pictures in pixels, where names do not tell."
)
@click.option("--fps", type=RATE, default=0.0, help="Frames per second, where names do not tell.")
@click.option("--first-frame", type=click.Choice(["0", "1"]), default="0", show_default=True,
              help="Number of a video's first frame in names of images or the column frame: 1 where it is 00001.jpg, "
              "as with ffmpeg and Aff-Wild2. How MMPose counts is known.")  # fmt: skip
def command(
    source: Path,
    form: str,
    out: Path,
    labels: str | None,
    classes: str | None,
    map_: tuple[str, ...],
    unit: str,
    va_scale: str | None,
    person: str,
    identity: str,
    layout: str,
    size: tuple[int, int],
    fps: float,
    first_frame: str,
) -> None:
    """Make a new cache of keypoints that another program found: a file, or all files below a folder.

    \b
    alphapose          results in JSON: 17, 26 or 136 points, with idx as identity
    coco_wholebody     COCO results or annotations in JSON: 17 to 136 points
    kinetics_skeleton  a JSON file for each clip
    mediapipe          JSON of the usual converters, CSV or Parquet: pose, face mesh and hands
    mmpose             predictions in JSON
    openface, pyfeat   CSV with 68 landmarks of the face
    openpifpaf         predictions of a video, a line of JSON for each frame

    MediaPipe's coordinates are shares of the picture; they become pixels where its size is known.

    \b
    skelemo cache import predictions/ --from coco_wholebody --labels table:labels.csv --out cache/mmpose
    """
    from skelemo.cli.progress import progress
    from skelemo.cli.screen import Screen
    from skelemo.formats.importing import import_keypoints
    from skelemo.ingest.task import Settings
    from skelemo.text import count

    settings = Settings(layout=layout, person=person, width=size[0], height=size[1], fps=fps, identity=identity,
                        classes=classes, map=map_, unit=unit, va_scale=va_scale)  # fmt: skip
    with progress("importing", "frames") as report:
        done = import_keypoints(source, form, out, labels, settings, report, first_frame=int(first_frame))
    console = Screen(soft_wrap=True)
    for note in done.notes:
        console.print(f"note: {note}")
    console.print(
        f"{count(done.recordings, 'recording')}, people seen {count(done.people, 'time')}: "
        f"{count(done.sequences, 'sequence')}, {count(done.frames, 'frame')} in {out}"
    )
