"""``skelemo ingest``."""

from pathlib import Path
from typing import Any

import click

from skelemo.cli.finding import extract_videos, finding, options_of
from skelemo.cli.values import PATH, RATE, SIZE, TEXT, Known, body_models, label_options


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
@click.option("--person", type=click.Choice(["auto", "largest", "left", "right", "all"]), default="auto",
              show_default=True, help="Who carries the labels, where these do not say.")  # fmt: skip
@click.option("--identity", type=click.Choice(["auto", "file", "tracking"]), default="auto", show_default=True,
              help="What tells people apart: the files' person_id, or tracking.")  # fmt: skip
@click.option(
    "--layout",
    default="body_25+face_70",
    show_default=True,
    help="Parts to keep: a body (body_25, coco_17, mediapipe_33, …), +face_70, +hand_21x2.",
)
@click.option("--body-model", type=Known("name", body_models), default="auto",
              show_default=True, help="Whose points the bodies are.")  # fmt: skip
@click.option("--scale", type=click.Choice(["auto", "pixels", "unit", "signed"]), default="auto", show_default=True,
              help="Units of the coordinates.")  # fmt: skip
@click.option(
    "--sequence/--stills",
    default=None,
    help="Images of a folder are one recording, or one each.  [default: a sequence if numbered]",
)
@click.option("--first-frame", type=click.IntRange(0), help="Number of a sequence's first image.  [default: 0 or 1]")
@click.option("--strict", is_flag=True, help="The first file that cannot be read is an error.")
@click.option(
    "--size", type=SIZE, default=(0, 0), metavar="WxH", help="Size of the pictures in pixels, where names do not tell."
)
@click.option("--fps", type=RATE, default=0.0, help="Frames per second, where names do not tell.")
@click.option("--jobs", type=click.IntRange(1), help="Processes that read.  [default: one per core]")
@click.option("--memory", default="512MB", show_default=True, help="What each process may take.")
@click.option("--part", "part_text", metavar="NUMBER/OF", help="Only this part of the recordings, as in 3/8.")
@click.option("--scheduler", type=TEXT, metavar="ADDRESS", help="Let a Dask cluster read, as in tcp://HOST:8786.")
@click.option("--replace", is_flag=True, help="Put what has changed into the place of what the cache has.")
@finding
@click.pass_context
def command(
    ctx: click.Context,
    source: Path,
    out: Path,
    labels: str | None,
    classes: str | None,
    map_: tuple[str, ...],
    unit: str,
    va_scale: str | None,
    corrections: Path | None,
    person: str,
    identity: str,
    layout: str,
    body_model: str,
    scale: str,
    sequence: bool | None,
    first_frame: int | None,
    strict: bool,
    size: tuple[int, int],
    fps: float,
    jobs: int | None,
    memory: str,
    part_text: str | None,
    scheduler: str | None,
    replace: bool,
    program: str | None,
    finding: dict[str, Any],
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

    settings = Settings(layout, body_model, scale, person, sequence, strict, *size, fps, first_frame, identity,
                        classes, map_, unit, va_scale, corrections)  # fmt: skip
    failures: list[str] = []
    if program:
        keypoints = out.with_name(f"{out.name}_json")
        failures = extract_videos((source,), keypoints, options_of(program, finding)).failures
        click.echo(f"keypoints: {keypoints}")
        if labels and ":" not in labels and labels != "folders":  # which go by where recordings lie, as their videos do
            labels = f"{labels}:{source}"
        source = keypoints
    part = parse_part(part_text) if part_text is not None else None
    try:
        plan = make_plan(
            source, out, labels, settings, part=part, memory=parse_size(memory, "--memory"), replace=replace
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
    if part is None and not failures:
        require_keypoints(plan, tally)
    ingest_table(plan, tally)
    ctx.exit(1 if tally.failures or failures else 0)
