"""Options of the verbs that find keypoints in videos."""

from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from skelemo.cli.values import PATH, TEXT, Known

if TYPE_CHECKING:
    from skelemo.pose.extract import Extracted
    from skelemo.pose.registry import Options


def _programs() -> list[str]:
    from skelemo.pose.registry import PROGRAMS

    return PROGRAMS.names()


_OPTIONS = (
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
    click.option("--max-people", type=click.IntRange(1), default=8, show_default=True,
                 help="The most that MediaPipe follows at a time."),
)  # fmt: skip


def finding(command: Callable[..., Any]) -> Callable[..., Any]:
    """Add these options to a verb, which gets ``program`` and, for `options_of`, all others as ``finding``."""

    def wrapped(*args: Any, **given: Any) -> Any:
        names = ("openpose", "flags", "python", "models", "hands", "max_people")
        said = {name: given.pop(name) for name in names}
        return command(*args, finding=said, **given)

    wrapped.__doc__, wrapped.__name__ = command.__doc__, command.__name__
    for option in reversed(_OPTIONS):
        wrapped = option(wrapped)
    return wrapped


def options_of(program: str, finding: dict[str, Any], every: int = 1) -> "Options":
    """What the options mean."""
    from skelemo.pose.registry import Options

    said = {name: value for name, value in finding.items() if value is not None}
    return Options(program, every=every, people=said.pop("max_people"), **said)


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
