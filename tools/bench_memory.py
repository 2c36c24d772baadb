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
CASES = ("24x1000", "24x4000", "480x1000", "24000x40")


@click.command("memory")
@click.option(
    "--case",
    "cases",
    multiple=True,
    default=CASES,
    show_default=True,
    metavar="RECORDINGSxFRAMES",
    help="Recordings, and frames of each.",
)
@click.option("--folder", type=click.Path(path_type=Path), help="Where to write them; a temporary folder by default.")
def command(cases: tuple[str, ...], folder: Path | None) -> None:
    """Peak memory of ingest in one process, as recordings grow in number."""
    table = Table(title="simulated body + face", title_justify="left")
    for heading in ("recordings", "frames of each", "peak memory, MB", "ratio"):
        table.add_column(heading, justify="right")
    first = 0.0
    for case in cases:
        recordings, frames = map(int, case.split("x"))
        with tempfile.TemporaryDirectory(dir=folder) as place:
            write_recordings(Path(place), recordings, frames)
            peak = peak_of([sys.executable, __file__, place]) / 2**20
        first = first or peak
        table.add_row(f"{recordings:,}", f"{frames:,}", f"{peak:,.0f}", f"{peak / first:.2f}")
    Console(width=max(100, Console().width)).print(table)


def write_recordings(folder: Path, count: int, frames: int) -> None:
    """Make a folder hold so many recordings, each in a folder of its own."""
    for number in range(count):
        clip, first = folder / f"clip {number}", folder / f"clip {number % DIFFERENT}"
        if number < DIFFERENT:
            write_frames(clip, frames, seed=number)
            continue
        clip.mkdir()
        for name in os.listdir(first):
            os.link(first / name, clip / name)


if __name__ == "__main__":
    ingest_all(Path(sys.argv[1]), jobs=1)
