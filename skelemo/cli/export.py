"""``skelemo export``."""

from pathlib import Path
from typing import Any

import click

from skelemo.cli.values import PATH, allow_option


@click.command("export")
@click.argument("run", type=PATH)
@click.option("--to", type=click.Choice(["onnx", "torch"]), default="onnx", show_default=True, help="What to write.")
@click.option("--out", type=PATH, help="The file.  [default: RUN/export/model.onnx or model.pt2]")
@click.option("--cache", type=PATH, help="Compare predictions on the frames of this cache, not on simulated ones.")
@click.option("--quantize", type=click.Choice(["int8"]),
              help="Compute with 8-bit integers; takes the cache that the run was trained on.")  # fmt: skip
@allow_option
def command(run: Path, **options: Any) -> None:
    """Write the model of RUN as one file that takes raw keypoints in pixels, with a model card beside it.

    Preparing, drawing, the network and softmax are inside; folds are averaged. The file is written when it predicts as
    the run does. `skelemo predict` and `skelemo live` take an ONNX file in place of a run, and need no torch for it.

    \b
    skelemo export runs/ann --cache cache/faces --out faces/ann.onnx
    skelemo predict faces/ann.onnx recordings/ --out predictions.csv
    """
    from skelemo.api import export
    from skelemo.text import visible

    done = export(run, **options)
    for note in done.notes:
        click.echo(f"note: {visible(note)}", err=True)
    for one in done.costs:
        lost = f"{one.head}: {one.figure} {one.before:.3f} with 32 bits, {one.after:.3f} with 8 bits"
        click.echo(f"{visible(lost)}, on {one.windows:,} windows of the validation subset")
    before = " before quantizing" if done.costs else ""
    click.echo(
        f"{done.path}: {done.size / 1e6:.1f} MB; predicts as the run{before}, within {done.difference:.1g} on "
        f"{visible(done.checked_on)}; card: {done.path.parent / 'README.md'}"
    )
