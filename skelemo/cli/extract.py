"""``skelemo extract``."""

from pathlib import Path
from typing import Any

import click

from skelemo.cli.finding import extract_videos, finding, options_of
from skelemo.cli.values import PATH


@click.command("extract")
@click.argument("videos", nargs=-1, required=True, type=PATH)
@click.option("--out", required=True, type=PATH, help="Folder for OpenPose's JSON: a folder in it for each video.")
@click.option("--every", type=click.IntRange(1), default=1, show_default=True, help="Look at one frame in so many.")
@finding
@click.pass_context
def command(
    ctx: click.Context,
    videos: tuple[Path, ...],
    out: Path,
    every: int,
    program: str | None,
    finding: dict[str, Any],
) -> None:
    """Find the keypoints of VIDEOS, and of those in folders, and write them as OpenPose's JSON.

    mediapipe needs no installation beyond pip: at first use skelemo makes an environment for it. openpose runs your
    own OpenPose. A video's folder appears when it is whole, with skelemo-video.json beside the JSON, from which ingest
    knows the size of the picture and the frame rate; videos that are there already are left alone. Exit code 1 when a
    video could not be used.

    \b
    skelemo extract videos/ --with mediapipe --out openpose/
    skelemo ingest openpose/ --out cache/mine
    """
    if not program:
        raise click.UsageError("name the program that finds keypoints: --with mediapipe, or --with openpose")
    result = extract_videos(videos, out, options_of(program, finding, every))
    ctx.exit(1 if result.failures else 0)
