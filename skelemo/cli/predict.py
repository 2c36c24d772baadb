"""``skelemo predict``."""

from pathlib import Path
from typing import TYPE_CHECKING

import click

from skelemo.cli import INTERRUPTED, on_interrupt
from skelemo.cli.extract import finding
from skelemo.cli.values import (
    PATH,
    TEXT,
    WIDTH,
    allow_option,
    device_option,
    jobs_option,
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
              help="People to predict for: all, auto, largest, left, right, or a number.")  # fmt: skip
@click.option("--every", type=click.IntRange(1), default=1, show_default=True, help="Predict for one frame in N.")
@min_seen_option
@click.option("--smooth", type=WIDTH, default=0, show_default=True, metavar="auto|N",
              help="Average over N frames (odd), centered; auto: the width chosen in validation.")  # fmt: skip
@click.option("--per-clip", is_flag=True, help="One row per person: the mean over the whole recording.")
@size_and_rate
@click.option("--overlay", type=PATH, metavar="DIR|FILE.mp4",
              help="Also draw skeletons and predictions as videos.")  # fmt: skip
@click.option("--video", "film", type=PATH, metavar="FILE|DIR",
              help="Draw onto this video, or those in a folder; also linked in .eaf.  [default: black]")  # fmt: skip
@device_option
@allow_option
@jobs_option("Worker processes.")
@click.option("--scheduler", type=TEXT, metavar="ADDRESS",
              help="Use a Dask cluster, such as tcp://HOST:8786.")  # fmt: skip
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
    jobs: int,
    scheduler: str | None,
    raw: bool,
    pose: "Pose | None",
) -> None:
    """Predict with RUNS for every person and frame of SOURCE.

    RUNS are run folders (several are averaged) or one file written by `skelemo export`, which needs no torch. SOURCE is
    a folder or archive of OpenPose JSON, a cache, or, with a pose estimator (--with), a video or a folder of videos.
    Finished recordings are kept in OUT.parts until all are done; run the same command again to resume.
    Exit code 1 if a recording could not be used.

    \b
    skelemo predict runs/ann openpose/ --out predictions.csv
    """
    from skelemo.inference.table import Options, require_writable

    require_writable(out)
    if per_clip and (overlay or out.suffix.lower() == ".eaf"):
        raise click.UsageError("--per-clip gives one row per recording, but --overlay and .eaf need one per frame")
    if film and not overlay and out.suffix.lower() != ".eaf":
        raise click.UsageError("--video sets the background of --overlay: give --overlay, too")
    options = Options(every, min_seen, smooth, per_clip)

    from skelemo.cli.progress import progress
    from skelemo.cli.screen import notes
    from skelemo.inference.keypoints import ReadOptions
    from skelemo.inference.prediction import Request, predict_file
    from skelemo.text import count

    reading = ReadOptions(person, fps, size, jobs, scheduler or "", pose=pose)
    drawing = None
    if overlay:
        from skelemo.inference.overlay import Overlay

        drawing = Overlay(overlay, film)
    request = Request(runs, source, out, options, reading, allow, device, progress, drawing, film, raw)
    kept = f"interrupted; finished recordings are kept in {out}.parts; run the same command again to resume"
    on_interrupt(lambda: kept if request.begun else INTERRUPTED)
    done = predict_file(request)
    for word, lines in (("note", done.notes), ("not used", done.failures)):
        more = [f"… and {len(lines) - 10:,} more"] if len(lines) > 10 else []
        notes([*lines[:10], *more], word)
    click.echo(f"{out}: {count(done.rows, 'row')}, {count(done.people, 'person', 'people')}; {done.model}")
    if done.drawn:
        click.echo(f"{overlay}: {count(len(done.drawn), 'video')}")
    ctx.exit(1 if done.failures else 0)
