"""``skelemo export``."""

from pathlib import Path
from typing import Any

import click

from skelemo.cli.values import PATH, allow_option


@click.command("export")
@click.argument("run", type=PATH)
@click.option("--to", type=click.Choice(["onnx", "torch"]), default="onnx", show_default=True, help="Output format.")
@click.option("--out", type=PATH, help="Output file.  [default: RUN/export/model.onnx or model.pt2]")
@click.option("--cache", type=PATH, help="Verify predictions on frames from this cache instead of simulated ones.")
@click.option("--quantize", type=click.Choice(["int8"]),
              help="Quantize to 8-bit integers; requires the cache that the run was trained on.")  # fmt: skip
@allow_option
def command(run: Path, **options: Any) -> None:
    """Export the model of RUN as a single file.

    The file takes raw keypoints in pixels: it includes preparation, drawing, the network and softmax; folds are
    averaged. It is only written, with a model card, if its predictions match the run's. `skelemo predict` and
    `skelemo live` accept an ONNX file instead of a run, without torch.

    \b
    skelemo export runs/ann --cache cache/faces --out faces/ann.onnx
    skelemo predict faces/ann.onnx recordings/ --out predictions.csv
    """
    from skelemo.api import export
    from skelemo.cli.screen import notes
    from skelemo.text import visible

    done = export(run, **options)
    notes(done.notes)
    for one in done.costs:
        lost = f"{one.head}: {one.figure} {one.before:.3f} in 32 bits, {one.after:.3f} in 8 bits"
        click.echo(f"{visible(lost)}, on {one.windows:,} windows of the validation subset")
    before = " before quantizing" if done.costs else ""
    click.echo(
        f"{done.path}: {done.size / 1e6:.1f} MB; matches the run{before} within {done.difference:.1g} on "
        f"{visible(done.checked_on)}; card: {done.path.parent / 'README.md'}"
    )
