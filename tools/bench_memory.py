"""Peak memory of ingest, as recordings grow in number: ``python tools/bench.py memory``."""

import sys
import tempfile
from pathlib import Path

import click
from bench_ingest import ingest_all
from rich.console import Console
from rich.table import Table
from simulated_json import write_frames
from timing import peak_of


@click.command("memory")
@click.option("--recordings", default=4, show_default=True, help="The smaller number of recordings.")
@click.option("--frames", default=8_000, show_default=True, help="Frames of each.")
@click.option("--times", default=4, show_default=True, help="How many times as many the larger number is.")
@click.option("--folder", type=click.Path(path_type=Path), help="Where to write them; a temporary folder by default.")
def command(recordings: int, frames: int, times: int, folder: Path | None) -> None:
    """Peak memory of ingest in one process, as recordings grow in number."""
    table = Table(title=f"recordings of {frames:,} frames of body + face", title_justify="left")
    for heading in ("recordings", "peak memory, MB", "ratio"):
        table.add_column(heading, justify="right")
    first = 0.0
    for count in (recordings, recordings * times):
        with tempfile.TemporaryDirectory(dir=folder) as place:
            for number in range(count):
                write_frames(Path(place) / f"clip {number}", frames, seed=number)
            peak = peak_of([sys.executable, __file__, place]) / 2**20
        first = first or peak
        table.add_row(str(count), f"{peak:,.0f}", f"{peak / first:.2f}")
    Console(width=max(100, Console().width)).print(table)


if __name__ == "__main__":
    ingest_all(Path(sys.argv[1]))
