"""``skelemo ingest``."""

from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from skelemo.cli.extract import extract_videos, finding
from skelemo.cli.values import (
    PATH,
    TEXT,
    Known,
    body_models,
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
    help="table, list, folders, affwild2, dfew, ferv39k, mafw, or package.module:function; PATH is SOURCE if left out.",
)
@label_options
@click.option("--corrections", type=PATH, help="Table of corrections of labels and tracks to apply, as skelemo view "
              "writes it.")  # fmt: skip
@people_options
@click.option(
    "--layout",
    default="body_25+face_70",
    show_default=True,
    help="Parts to keep: a body (body_25, coco_17, mediapipe_33, …), +face_70, +hand_21x2.",
)
@click.option("--body-model", type=Known("name", body_models), default="auto",
              show_default=True, help="Whose points the bodies are.")  # fmt: skip
@scale_option
@click.option(
    "--sequence/--stills",
    default=None,
    help="Images of a folder are one recording, or one each.  [default: a sequence if numbered]",
)
@click.option("--first-frame", type=click.IntRange(0), help="Number of a sequence's first image.  [default: 0 or 1]")
@click.option("--strict", is_flag=True, help="The first file that cannot be read is an error.")
@size_and_rate
@click.option("--jobs", type=click.IntRange(1), help="Processes that read.  [default: one per core]")
@click.option("--memory", default="512MB", show_default=True, help="What each process may take.")
@click.option("--part", metavar="NUMBER/OF", help="Only this part of the recordings, as in 3/8.")
@click.option("--scheduler", type=TEXT, metavar="ADDRESS", help="Let a Dask cluster read, as in tcp://HOST:8786.")
@click.option("--replace", is_flag=True, help="Put what has changed into the place of what the cache has.")
@finding
@click.pass_context
def command(
    ctx: click.Context,
    source: Path,
    out: Path,
    labels: str | None,
    size: tuple[int, int],
    jobs: int | None,
    memory: str,
    part: str | None,
    scheduler: str | None,
    replace: bool,
    pose: "Options | None",
    **settings: Any,
) -> None:
    """Read OpenPose's JSON below SOURCE, with labels, into a cache.

    Tar and zip archives (.tar, .tar.gz, .tar.xz, .tar.bz2, .zip) are read in place, as folders of their names. Frames
    that cannot be read count as not seen and are listed in problems.csv of the cache. What the cache has already,
    unchanged, is skipped, so that an ingest that was killed goes on where it was. Exit code 1 when a recording could
    not be used at all.

    With --with, SOURCE is a video or a folder of videos: skelemo extract finds their keypoints first and keeps them in
    a folder beside the cache, NAME_json.

    Several machines may ingest into one folder, each its --part, or all by a Dask cluster (--scheduler).

    \b
    skelemo ingest openpose/ --labels affwild2:annotations/ --out cache/affwild2
    """
    import os

    from skelemo.cli.progress import progress
    from skelemo.cli.tables import ingest_table
    from skelemo.ingest.batching import parse_size
    from skelemo.ingest.partition import parse_part
    from skelemo.ingest.plan import Settings, make_plan
    from skelemo.ingest.run import ingest, require_keypoints

    failures: list[str] = []
    if pose:
        keypoints = out.with_name(f"{out.name}_json")
        failures = extract_videos((source,), keypoints, pose).failures
        click.echo(f"keypoints: {keypoints}")
        if labels and ":" not in labels and labels != "folders":  # which go by where recordings lie, as their videos do
            labels = f"{labels}:{source}"
        source = keypoints
    mine = parse_part(part) if part is not None else None
    limit = parse_size(memory, "--memory")
    try:
        plan = make_plan(
            source,
            out,
            labels,
            Settings(width=size[0], height=size[1], **settings),
            part=mine,
            memory=limit,
            replace=replace,
        )
        with progress("reading", "files") as report:
            tally = ingest(
                plan,
                jobs=jobs or os.cpu_count() or 1,
                scheduler=scheduler or "",
                report=lambda files: report(files, plan.files),
            )
    except KeyboardInterrupt:
        click.echo("\ninterrupted; what was finished is kept: run the same command again to go on", err=True)
        ctx.exit(130)
    if mine is None and not failures:
        require_keypoints(plan, tally)
    ingest_table(plan, tally)
    ctx.exit(1 if tally.failures or failures else 0)
