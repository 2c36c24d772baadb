"""Time that a training spends on keypoint importance: ``python tools/bench.py importance --data cache/actors``."""

import tempfile
import time
from pathlib import Path
from typing import Any

import click
import pandas as pd

from skelemo.training import predicting
from skelemo.training.config import load_config, parse_assignments
from skelemo.training.fit import train


@click.command("importance")
@click.option("--data", required=True, help="A cache with labels.")
@click.option("--set", "settings", multiple=True, metavar="KEY=VALUE", help="Settings of the training.")
def command(data: str, settings: tuple[str, ...]) -> None:
    """Seconds of a training, and of its importance as a share of the rest."""
    took: list[float] = []
    measure = predicting.importance

    def timed(*given: Any, **options: Any) -> pd.DataFrame:
        started = time.perf_counter()
        table = measure(*given, **options)
        took.append(time.perf_counter() - started)
        hidden = table[table["loss"].notna()]
        click.echo(f"{len(hidden)} rows of {hidden['windows'].max():.0f} windows: {took[-1]:.1f} s")
        return table

    predicting.importance = timed
    started = time.perf_counter()
    with tempfile.TemporaryDirectory() as folder:
        train(load_config(None, {"data": data, **parse_assignments(settings)}), Path(folder) / "run")
    rest = time.perf_counter() - started - sum(took)
    click.echo(f"training {rest:.1f} s, importance {sum(took):.1f} s, ratio {sum(took) / rest:.3f}")
