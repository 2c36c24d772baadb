"""``skelemo predict``."""

from pathlib import Path
from typing import TYPE_CHECKING

import click

from skelemo.cli.extract import finding
from skelemo.cli.values import (
    PATH,
    TEXT,
    WIDTH,
    allow_option,
    device_option,
    min_seen_option,
    raw_option,
    size_and_rate,
)

if TYPE_CHECKING:
    from skelemo.pose.registry import Options as Pose


@click.command("predict")
@click.argument("runs", nargs=-1, required=True, type=PATH)
@click.argument("source", type=PATH)
@click.option("--out", required=True, type=PATH, help="Table to write: .csv, .jsonl, .parquet, or .eaf for ELAN.")
@click.option("--person", type=TEXT, default="all", show_default=True,
              help="Whom to predict for: all, auto, largest, left, right, or a number.")  # fmt: skip
@click.option("--every", type=click.IntRange(1), default=1, show_default=True, help="Predict one frame in so many.")
@min_seen_option
@click.option("--smooth", type=WIDTH, default=0, show_default=True, metavar="auto|N",
              help="Average over so many frames, centered; auto is what the validation subset prefers.")  # fmt: skip
@click.option("--per-clip", is_flag=True, help="One row for each person: the mean over the whole recording.")
@size_and_rate
@click.option("--overlay", type=PATH, metavar="DIR|FILE.mp4",
              help="Draw skeletons and predictions as videos, too.")  # fmt: skip
@click.option("--video", "film", type=PATH, metavar="FILE|DIR",
              help="Draw onto this video, or those in a folder; .eaf names it, too.  [default: black]")  # fmt: skip
@device_option
@allow_option
@click.option("--jobs", type=click.IntRange(1), help="Processes that read and predict.  [default: one per core]")
@click.option("--scheduler", type=TEXT, metavar="ADDRESS",
              help="Let a Dask cluster read and predict, as in tcp://HOST:8786.")  # fmt: skip
@raw_option
@finding
@click.pass_context
def command(
    ctx: click.Context,
    runs: tuple[Path, ...],
    source: Path,
    out: Path,
    person: str,
    every: int,
    min_seen: float,
    smooth: int | str,
    per_clip: bool,
    size: tuple[int, int],
    fps: float,
    overlay: Path | None,
    film: Path | None,
    device: str,
    allow: tuple[str, ...],
    jobs: int | None,
    scheduler: str | None,
    raw: bool,
    pose: "Pose | None",
) -> None:
    """Predict with the models of RUNS for every person and frame of SOURCE.

    RUNS are run folders, of which several are averaged, or one file that `skelemo export` wrote, which needs no
    torch. SOURCE is a folder of OpenPose's JSON, an archive of one, a cache, or, --with a program that finds keypoints,
    a video or a folder of videos. What is finished is kept in OUT.parts until all is: the same command again resumes.
    Exit code 1 when a recording could not be used.

    \b
    skelemo predict runs/ann openpose/ --out predictions.csv
    """
    import os

    from skelemo.inference.table import Options, require_writable

    require_writable(out)
    if per_clip and (overlay or out.suffix.lower() == ".eaf"):
        raise click.UsageError("--per-clip has one row for a recording: --overlay and .eaf need one for each frame")
    if film and not overlay and out.suffix.lower() != ".eaf":
        raise click.UsageError("--video names what --overlay draws onto: give --overlay, too")
    options = Options(every, min_seen, smooth, per_clip)

    from skelemo.cli.progress import progress
    from skelemo.inference.keypoints import Reading
    from skelemo.inference.prediction import Request, predict_file
    from skelemo.text import count, visible

    reading = Reading(person, fps, size, jobs or os.cpu_count() or 1, scheduler or "", pose=pose)
    drawing = None
    if overlay:
        from skelemo.inference.overlay import Overlay

        drawing = Overlay(overlay, film)
    try:
        done = predict_file(Request(runs, source, out, options, reading, allow, device, progress, drawing, film, raw))
    except KeyboardInterrupt:
        line = f"interrupted; what was finished is kept in {out}.parts: run the same command again to go on"
        click.echo(f"\n{line}", err=True)
        ctx.exit(130)
    for word, lines in (("note", done.notes), ("not used", done.failures)):
        for line in lines[:10]:
            click.echo(f"{word}: {visible(line)}", err=True)
        if len(lines) > 10:
            click.echo(f"{word}: … and {len(lines) - 10:,} more", err=True)
    click.echo(f"{out}: {count(done.rows, 'row')}, {count(done.people, 'person', 'people')}, {done.model}")
    if done.drawn:
        click.echo(f"{overlay}: {count(len(done.drawn), 'video')}")
    ctx.exit(1 if done.failures else 0)
