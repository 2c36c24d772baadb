"""``skelemo extract``, and the options of all commands that extract keypoints from videos."""

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
                 help="Pose estimator for videos: mediapipe or openpose."),
    click.option("--openpose", type=TEXT, metavar="PATH|docker:IMAGE",
                 help="OpenPose program, folder or Docker image.  [default: OPENPOSE_HOME, or on the search path]"),
    click.option("--flags", type=TEXT, help="Additional OpenPose flags, such as '--net_resolution -1x256'."),
    click.option("--python", type=TEXT, metavar="PATH",
                 help="Python with MediaPipe installed.  [default: this one, or an environment created on first use]"),
    click.option("--models", type=PATH, metavar="DIR",
                 help="MediaPipe's .task files, if its package has none."),
    click.option("--hands", is_flag=True, help="Also detect hands."),
    click.option("--max-people", "people", type=click.IntRange(1), default=8, show_default=True,
                 help="Maximum number of people that MediaPipe tracks at once."),
)  # fmt: skip


def finding(command: Callable[..., Any]) -> Callable[..., Any]:
    """Add these options to a command, which receives them as ``pose`` (None without a program)."""

    @wraps(command)
    def wrapped(*args: Any, **given: Any) -> Any:
        names = ("program", "openpose", "flags", "python", "models", "hands", "people")
        options = {name: value for name in names if (value := given.pop(name)) is not None}
        if "program" not in options:
            return command(*args, pose=None, **given)
        from skelemo.pose.registry import Options

        return command(*args, pose=Options(**options), **given)

    return _options(wrapped)


@click.command("extract")
@click.argument("videos", nargs=-1, required=True, type=PATH)
@click.option("--out", required=True, type=PATH, help="Output folder for OpenPose JSON, with one subfolder per video.")
@click.option("--every", type=click.IntRange(1), default=1, show_default=True, help="Process one frame in N.")
@finding
@click.pass_context
def command(ctx: click.Context, videos: tuple[Path, ...], out: Path, every: int, pose: "Options | None") -> None:
    """Extract keypoints from VIDEOS as OpenPose JSON.

    VIDEOS are files or folders. mediapipe only needs pip: on first use, skelemo creates an environment for it. openpose
    runs your own OpenPose. A video's folder appears once it is complete. It includes skelemo-video.json, from which
    ingest reads the image size and frame rate. Finished videos are skipped. Exit code 1 if a video could not be used.

    \b
    skelemo extract videos/ --with mediapipe --out openpose/
    skelemo ingest openpose/ --out cache/mine
    """
    if not pose:
        raise click.UsageError("choose a pose estimator: --with mediapipe or --with openpose")
    result = extract_videos(videos, out, replace(pose, every=every))
    ctx.exit(1 if result.failures else 0)


def extract_videos(sources: tuple[Path, ...], out: Path, options: "Options") -> "Extracted":
    """Extract keypoints from videos with a progress bar, and print a summary."""
    from skelemo.cli.progress import progress
    from skelemo.cli.screen import notes
    from skelemo.pose.extract import extract
    from skelemo.text import count, visible

    with progress("extracting keypoints", "frames") as report:
        result = extract(sources, out, options, report)
    for one in result.done:
        click.echo(visible(str(one)))
    if result.existing:
        click.echo(f"{count(len(result.existing), 'video')} already done")
    notes(result.notes)
    notes(result.failures, "not used")
    return result
