"""``skelemo predict``."""

from pathlib import Path

import click

from skelemo.cli.values import PATH, RATE, SIZE, TEXT


@click.command("predict")
@click.argument("runs", nargs=-1, required=True, type=PATH)
@click.argument("source", type=PATH)
@click.option("--out", required=True, type=PATH, help="Table to write: .csv, .jsonl, .parquet, or .eaf for ELAN.")
@click.option("--person", type=TEXT, default="all", show_default=True,
              help="Whom to predict for: all, auto, largest, left, right.")  # fmt: skip
@click.option("--every", type=click.IntRange(1), default=1, show_default=True, help="Predict one frame in so many.")
@click.option("--min-seen", type=click.FloatRange(0, 1), default=0.0, show_default=True,
              help="Share of a window in which the person must be visible.")  # fmt: skip
@click.option("--smooth", type=click.IntRange(1), default=1, show_default=True,
              help="Average over so many neighboring rows, centered; odd.")  # fmt: skip
@click.option("--size", type=SIZE, default=(0, 0), metavar="WxH", help="Size of the images, where names do not tell.")
@click.option("--fps", type=RATE, default=0.0, help="Frames per second, where names do not tell.")
@click.option("--device", type=TEXT, default="auto", show_default=True, help="auto, cpu, cuda, cuda:1, mps.")
@click.option("--allow", multiple=True, metavar="PACKAGE.MODULE:FUNCTION", help="An architecture to be imported.")
@click.option("--jobs", type=click.IntRange(1), default=1, show_default=True, help="Processes that read the JSON.")
@click.option("--raw", is_flag=True, help="In .csv, leave names as they are that a spreadsheet would run as formulas.")
@click.pass_context
def command(
    ctx: click.Context,
    runs: tuple[Path, ...],
    source: Path,
    out: Path,
    person: str,
    every: int,
    min_seen: float,
    smooth: int,
    size: tuple[int, int],
    fps: float,
    device: str,
    allow: tuple[str, ...],
    jobs: int,
    raw: bool,
) -> None:
    """Predict with the models of RUNS for every person and frame of SOURCE.

    SOURCE is a folder of OpenPose's JSON, an archive of one, or a cache. Several runs are averaged. Exit code 1 when
    a recording could not be used.

    \b
    skelemo predict runs/ann openpose/ --out predictions.csv
    """
    from skelemo.inference.predictor import load
    from skelemo.inference.table import require_writable, write_table

    require_writable(out)
    model = load(runs, allow=allow)

    from skelemo.cli.progress import progress
    from skelemo.text import count, visible

    with progress("predicting", "batches") as report:
        table = model.predict(source, person=person, every=every, min_seen=min_seen, smooth=smooth, fps=fps, size=size,
                              device=device, jobs=jobs, report=report)  # fmt: skip
    write_table(out, table, model.heads, raw=raw)
    people = len(table[["video", "person"]].drop_duplicates())
    failures = table.attrs["failures"]
    for word, lines in (("note", table.attrs["notes"]), ("not used", failures)):
        for line in lines[:10]:
            click.echo(f"{word}: {visible(line)}", err=True)
        if len(lines) > 10:
            click.echo(f"{word}: … and {len(lines) - 10:,} more", err=True)
    click.echo(f"{out}: {count(len(table), 'row')}, {count(people, 'person', 'people')}, {model!r}")
    ctx.exit(1 if failures else 0)
