"""``skelemo evaluate``."""

from pathlib import Path
from typing import Any

import click

from skelemo.cli.values import PATH, TEXT, allow_option, device_option


@click.command("evaluate")
@click.argument("runs", nargs=-1, required=True, type=PATH)
@click.argument("cache", type=PATH)
@click.option("--out", required=True, type=PATH, help="Folder for the scores; must not exist yet.")
@click.option(
    "--map",
    "names",
    multiple=True,
    type=TEXT,
    metavar="THEIRS=OURS",
    help="Match a class, value, flag or head of CACHE to one of the run; nothing after = for none.",
)
@click.option("--by", multiple=True, type=TEXT, metavar="COLUMN",
              help="Break the scores down by a label column, such as sex, camera or age group.")  # fmt: skip
@click.option("--table", type=PATH, help="Table with columns video and COLUMN, if CACHE has no such column.")
@click.option("--corrections", type=PATH, help="Correction table for the labels of CACHE, as written by skelemo view.")
@click.option("--allow-overlap", is_flag=True, help="Score the runs' training data, too.")
@click.option("--mistakes", type=click.IntRange(0, 20), show_default="as many as in the run",
              help="Clips of the worst predictions per head to keep in --out, with keypoints.")  # fmt: skip
@device_option
@allow_option
def command(runs: tuple[Path, ...], cache: Path, out: Path, names: tuple[str, ...], **options: Any) -> None:
    """Score RUNS on an unseen CACHE, such as another data set.

    Heads and classes are matched by name. Training data are refused. The output folder is like a run's, so
    `skelemo report` can compare it with others. Several runs form an ensemble.

    \b
    skelemo evaluate runs/ann cache/other --map contempt=disgust --by sex --out runs/ann_on_other
    """
    from skelemo.cli.progress import progress
    from skelemo.cli.screen import notes
    from skelemo.cli.tables import scores_table
    from skelemo.errors import ConfigError
    from skelemo.inference.scoring.evaluate import evaluate
    from skelemo.runs.folder import read_json

    pairs = {}
    for text in names:
        theirs, equals, ours = (word.strip() for word in text.partition("="))
        if not (theirs and equals):
            raise ConfigError(f"--map {text!r}: expected THEIRS=OURS, as in --map contempt=disgust")
        pairs[theirs] = ours
    with progress("evaluating", "batches") as report:
        scores = evaluate(runs, cache, out, map=pairs, report=report, **options)
    notes(read_json(out / "environment.json")["evaluation"]["notes"])
    scores_table(out, scores)
