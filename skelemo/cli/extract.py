"""``skelemo extract``, and the options of every verb that finds keypoints in videos."""

from collections.abc import Callable
from dataclasses import replace
from functools import wraps
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from skelemo.cli.values import PATH, TEXT, Known, together

if TYPE_CHECKING:
    from skelemo.pose.extract import Extracted
    from skelemo.pose.registry import Options


def _programs() -> list[str]:
    from skelemo.pose.registry import PROGRAMS

    return PROGRAMS.names()


_options = together(
    click.option("--with", "program", type=Known("program", _programs, paths=True),
                 help="Finds the keypoints of videos: mediapipe or openpose."),
    click.option("--openpose", type=TEXT, metavar="PATH|docker:IMAGE",
                 help="OpenPose's program or folder, or its image.  [default: OPENPOSE_HOME, or on the search path]"),
    click.option("--flags", type=TEXT, help="More flags for OpenPose, as '--net_resolution -1x256'."),
    click.option("--python", type=TEXT, metavar="PATH",
                 help="A Python that has MediaPipe.  [default: this one, or one that is made at first use]"),
    click.option("--models", type=PATH, metavar="DIR",
                 help="MediaPipe's .task files, where its package carries none."),
    click.option("--hands", is_flag=True, help="Find the hands, too."),
    click.option("--max-people", "people", type=click.IntRange(1), default=8, show_default=True,
                 help="The most that MediaPipe follows at a time."),
)  # fmt: skip


def finding(command: Callable[..., Any]) -> Callable[..., Any]:
    """Add these options to a verb, which gets them as ``pose``; None without a program."""

    @wraps(command)
    def wrapped(*args: Any, **given: Any) -> Any:
        names = ("program", "openpose", "flags", "python", "models", "hands", "people")
        said = {name: value for name in names if (value := given.pop(name)) is not None}
        if "program" not in said:
            return command(*args, pose=None, **given)
        from skelemo.pose.registry import Options

        return command(*args, pose=Options(**said), **given)

    return _options(wrapped)


@click.command("extract")
@click.argument("videos", nargs=-1, required=True, type=PATH)
@click.option("--out", required=True, type=PATH, help="Folder for OpenPose's JSON: a folder in it for each video.")
@click.option("--every", type=click.IntRange(1), default=1, show_default=True, help="Look at one frame in so many.")
@finding
@click.pass_context
def command(ctx: click.Context, videos: tuple[Path, ...], out: Path, every: int, pose: "Options | None") -> None:
    """Find the keypoints of VIDEOS, and of those in folders, and write them as OpenPose's JSON.

    mediapipe needs no installation beyond pip: at first use skelemo makes an environment for it. openpose runs your
    own OpenPose. A video's folder appears when it is whole, with skelemo-video.json beside the JSON, from which ingest
    knows the size of the picture and the frame rate; videos that are there already are left alone. Exit code 1 when a
    video could not be used.

    \b
    skelemo extract videos/ --with mediapipe --out openpose/
    skelemo ingest openpose/ --out cache/mine
    """
    if not pose:
        raise click.UsageError("name the program that finds keypoints: --with mediapipe, or --with openpose")
    result = extract_videos(videos, out, replace(pose, every=every))
    ctx.exit(1 if result.failures else 0)


def extract_videos(sources: tuple[Path, ...], out: Path, options: "Options") -> "Extracted":
    """Find the keypoints of videos, with a bar, and say what was found."""
    from skelemo.cli.progress import progress
    from skelemo.pose.extract import extract
    from skelemo.text import count, visible

    with progress("finding keypoints", "frames") as report:
        result = extract(sources, out, options, report)
    for one in result.done:
        click.echo(visible(str(one)))
    if result.there:
        click.echo(f"{count(len(result.there), 'video')} there already")
    for note in result.notes:
        click.echo(f"note: {visible(note)}", err=True)
    for failure in result.failures:
        click.echo(f"not used: {visible(failure)}", err=True)
    return result
