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
    help="A class, value, flag or head of CACHE and the run's that it counts as; nothing after = for none.",
)
@click.option("--by", multiple=True, type=TEXT, metavar="COLUMN",
              help="Split the scores by a column of the labels: sex, camera, age group.")  # fmt: skip
@click.option("--table", type=PATH, help="Table with columns video and COLUMN, unless CACHE keeps it.")
@click.option("--corrections", type=PATH, help="Table that corrects labels of CACHE, as skelemo view writes it.")
@click.option("--allow-overlap", is_flag=True, help="Score what the runs have learned from, too.")
@click.option("--mistakes", type=click.IntRange(0, 20), show_default="as many as the run keeps",
              help="Clips of the worst answers of each head that --out keeps, with keypoints.")  # fmt: skip
@click.option("--importance", type=click.IntRange(0, 10_000_000), default=0, show_default=True, metavar="WINDOWS",
              help="Score so many windows again without each part, region and keypoint.")  # fmt: skip
@device_option
@allow_option
def command(runs: tuple[Path, ...], cache: Path, out: Path, names: tuple[str, ...], **options: Any) -> None:
    """Score RUNS on a CACHE that they never saw, such as another data set.

    Heads and classes are joined by name. What a run was trained on is refused. --out becomes a folder like a run's,
    which `skelemo report` compares with others. Several runs are an ensemble.

    \b
    skelemo evaluate runs/ann cache/other --map contempt=disgust --by sex --out runs/ann_on_other
    """
    from skelemo.cli.progress import progress
    from skelemo.cli.tables import scores_table
    from skelemo.errors import ConfigError
    from skelemo.inference.evaluate import evaluate
    from skelemo.text import visible

    pairs = {}
    for text in names:
        theirs, equals, ours = (word.strip() for word in text.partition("="))
        if not (theirs and equals):
            raise ConfigError(f"--map {text!r}: expected THEIRS=OURS, as in --map contempt=disgust")
        pairs[theirs] = ours
    with progress("evaluating", "batches") as report:
        found = evaluate(runs, cache, out, names=pairs, report=report, **options)
    for note in found.notes:
        click.echo(f"note: {visible(note)}", err=True)
    scores_table(out, found.scores)
