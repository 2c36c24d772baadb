"""Peak memory of ingest, as recordings grow in number: ``python tools/bench.py memory``."""

import os
import sys
import tempfile
from pathlib import Path

import click
from bench_ingest import ingest_all
from rich.console import Console
from rich.table import Table
from simulated_json import write_frames
from timing import peak_of

DIFFERENT = 24  # recordings that are written; further ones are links to their files, of which a file may have many


@click.command("memory")
@click.option("--recordings", default=24, show_default=True, help="The smaller number of recordings.")
@click.option("--frames", default=1_000, show_default=True, help="Frames of each.")
@click.option("--times", default=20, show_default=True, help="How many times as many the larger number is.")
@click.option("--folder", type=click.Path(path_type=Path), help="Where to write them; a temporary folder by default.")
def command(recordings: int, frames: int, times: int, folder: Path | None) -> None:
    """Peak memory of ingest in one process, as recordings grow in number."""
    table = Table(title=f"recordings of {frames:,} frames of body + face", title_justify="left")
    for heading in ("recordings", "peak memory, MB", "ratio"):
        table.add_column(heading, justify="right")
    first = 0.0
    with tempfile.TemporaryDirectory(dir=folder) as place:
        for count in (recordings, recordings * times):
            write_recordings(Path(place), count, frames)
            peak = peak_of([sys.executable, __file__, place]) / 2**20
            first = first or peak
            table.add_row(f"{count:,}", f"{peak:,.0f}", f"{peak / first:.2f}")
    Console(width=max(100, Console().width)).print(table)


def write_recordings(folder: Path, count: int, frames: int) -> None:
    """Make a folder hold so many recordings, each in a folder of its own."""
    for number in range(count):
        clip, first = folder / f"clip {number}", folder / f"clip {number % DIFFERENT}"
        if clip.exists():
            continue
        if number < DIFFERENT:
            write_frames(clip, frames, seed=number)
            continue
        clip.mkdir()
        for name in os.listdir(first):
            os.link(first / name, clip / name)


if __name__ == "__main__":
    ingest_all(Path(sys.argv[1]), jobs=1)
