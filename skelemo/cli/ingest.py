"""``skelemo ingest``."""

from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from skelemo.cli import on_interrupt
from skelemo.cli.extract import extract_videos, finding
from skelemo.cli.values import (
    PATH,
    TEXT,
    Known,
    body_models,
    jobs_option,
    label_options,
    people_options,
    scale_option,
    size_and_rate,
)

if TYPE_CHECKING:
    from skelemo.pose.registry import Options


@click.command("ingest")
@click.argument("source", type=PATH)
@click.option("--out", required=True, type=PATH, help="Cache folder, as in cache/NAME.")
@click.option(
    "--labels",
    type=TEXT,
    metavar="FORMAT[:PATH]",
    help="table, list, folders, affwild2, dfew, dfew-votes, ferv39k, mafw, mafw-compound, or "
    "package.module:function; PATH defaults to SOURCE.",
)
@label_options
@click.option("--corrections", type=PATH, help="Correction table for labels and tracks, as written by skelemo view.")
@people_options
@click.option(
    "--layout",
    default="body_25+face_70",
    show_default=True,
    help="Parts to keep: a body (body_25, coco_17, mediapipe_33, …), +face_70, +hand_21x2.",
)
@click.option("--body-model", type=Known("name", body_models), default="auto",
              show_default=True, help="Body model of the files.")  # fmt: skip
@scale_option
@click.option(
    "--sequence/--stills",
    default=None,
    help="Read the images in a folder as one recording, or each as its own.  [default: one if numbered]",
)
@click.option(
    "--first-frame", type=click.IntRange(0), help="Number of the first image of a sequence.  [default: 0 or 1, guessed]"
)
@click.option("--strict", is_flag=True, help="Stop at the first unreadable file.")
@size_and_rate
@jobs_option("Reader processes.")
@click.option("--memory", default="512MB", show_default=True, help="Memory limit per process.")
@click.option("--partition", metavar="NUMBER/OF", help="Process only this partition of the recordings, such as 3/8.")
@click.option("--scheduler", type=TEXT, metavar="ADDRESS", help="Use a Dask cluster, such as tcp://HOST:8786.")
@click.option("--replace", is_flag=True, help="Replace changed recordings in the cache.")
@finding
@click.pass_context
def command(
    ctx: click.Context,
    source: Path,
    out: Path,
    labels: str | None,
    size: tuple[int, int],
    jobs: int,
    memory: str,
    partition: str | None,
    scheduler: str | None,
    replace: bool,
    pose: "Options | None",
    **settings: Any,
) -> None:
    """Read OpenPose JSON below SOURCE, with labels, into a cache.

    Tar and zip archives (.tar, .tar.gz, .tar.xz, .tar.bz2, .zip) are read in place, like folders of the same name.
    Unreadable frames count as empty and are listed in the cache's problems.csv. Unchanged recordings already in the
    cache are skipped, so rerunning an interrupted ingest resumes it. Exit code 1 if a recording could not be used at
    all.

    With --with, SOURCE is a video or a folder of videos. Their keypoints are extracted first, as by skelemo extract,
    and kept next to the cache in NAME_json.

    Several machines can ingest into one folder, each with its own --partition, or share a Dask cluster (--scheduler).

    \b
    skelemo ingest openpose/ --labels affwild2:annotations/ --out cache/affwild2
    """
    from skelemo.cli.progress import progress
    from skelemo.cli.tables import ingest_table
    from skelemo.ingest.batching import parse_size
    from skelemo.ingest.partition import parse_partition
    from skelemo.ingest.plan import Settings, make_plan
    from skelemo.ingest.run import ingest, require_keypoints

    failures: list[str] = []
    if pose:
        keypoints = out.with_name(f"{out.name}_json")
        failures = extract_videos((source,), keypoints, pose).failures
        click.echo(f"keypoints: {keypoints}")
        if labels and ":" not in labels and labels != "folders":  # folders of keypoints mirror those of videos
            labels = f"{labels}:{source}"
        source = keypoints
    mine = parse_partition(partition) if partition is not None else None
    limit = parse_size(memory, "--memory")
    on_interrupt(lambda: "interrupted; finished work is kept; run the same command again to resume")
    given = Settings(width=size[0], height=size[1], **settings)
    plan = make_plan(source, out, labels, given, partition=mine, memory=limit, replace=replace)
    with progress("reading", "files") as report:
        tally = ingest(plan, jobs=jobs, scheduler=scheduler or "", report=lambda files: report(files, plan.files))
    if mine is None and not failures:
        require_keypoints(plan, tally)
    ingest_table(plan, tally)
    ctx.exit(1 if tally.failures or failures else 0)
