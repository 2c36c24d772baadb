"""From JSON on disk to a cache, and what each form takes on disk: ``python tools/bench.py size``."""

import os
import sys
import tempfile
import time
from pathlib import Path

import click
import numpy as np
from rich.console import Console
from rich.table import Table
from simulated_json import write_recordings
from timing import peak_of

JSON = "OpenPose's JSON"


@click.command("size")
@click.option("--frames", default=200_000, show_default=True, help="Simulated body + face frames to write and ingest.")
@click.option("--recordings", default=24, show_default=True, help="Recordings that they make up.")
@click.option("--jobs", default=os.cpu_count() or 1, show_default=True, help="Processes that read.")
@click.option("--folder", type=click.Path(path_type=Path), help="Where to write them; a temporary folder by default.")
def command(frames: int, recordings: int, jobs: int, folder: Path | None) -> None:
    """Ingest of simulated frames by the command line: speed, peak memory, and bytes a frame against other formats."""
    with tempfile.TemporaryDirectory(dir=folder) as name:
        place = Path(name)
        (place / "json").mkdir()
        sizes = {JSON: write_recordings(place / "json", frames, recordings)}
        labels = place / "labels.csv"
        named = (f"recording {number}/simulated video,{('happy', 'sad')[number % 2]}" for number in range(recordings))
        labels.write_text("video,label\n" + "\n".join(named) + "\n")
        words = ["ingest", place / "json", "--labels", f"table:{labels}", "--out", place / "cache", "--jobs", str(jobs)]
        start = time.perf_counter()
        peak = peak_of([sys.executable, "-c", "from skelemo.cli import main; main()", *map(str, words)])
        seconds = time.perf_counter() - start
        sizes["the cache"] = sum(file.stat().st_size for file in (place / "cache").glob("*.h5"))
        sizes |= other_forms(place)
        show(sizes, frames, seconds, peak, jobs)


def show(sizes: dict[str, int], frames: int, seconds: float, peak: int, jobs: int) -> None:
    console = Console(width=max(110, Console().width))
    title = f"{frames:,} simulated frames of body + face, ingested by {jobs} processes"
    table = Table(title=title, title_justify="left")
    for heading in ("", "bytes a frame", "of JSON"):
        table.add_column(heading, justify="right" if heading else "left")
    for form, size in sizes.items():
        table.add_row(form, f"{size / frames:,.0f}", f"{size / sizes[JSON]:.2f}")
    console.print(table)
    console.print(
        f"{frames / seconds:,.0f} frames/s with start and plan; the largest process took {peak / 2**20:,.0f} MB at most"
    )


def other_forms(place: Path) -> dict[str, int]:
    """Bytes of the cache's content as NumPy and PYSKL keep it."""
    from skelemo.cache.store import open_cache
    from skelemo.formats.pyskl import write_pyskl

    cache = open_cache(place / "cache")
    frames = dict(vars(cache.read()))
    np.savez(place / "plain.npz", **frames)
    np.savez_compressed(place / "packed.npz", **frames)
    write_pyskl(cache, place / "pyskl.pkl")
    forms = {".npz": "plain.npz", ".npz, compressed": "packed.npz", "PYSKL's pickle": "pyskl.pkl"}
    return {form: (place / file).stat().st_size for form, file in forms.items()}
