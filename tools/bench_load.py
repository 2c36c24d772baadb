"""Loading a cache into the corpus beside the same of another checkout, in turn: ``python tools/bench.py load``."""

import json
import os
import subprocess
import sys
import tempfile
from pathlib import Path
from typing import Any

import click
from rich.console import Console
from rich.table import Table

#: Run with a checkout as its folder: writes a cache as that checkout has it, then loads it once for each line.
WORKER = """
import json, os, sys, time
from pathlib import Path
from typing import Any
folder, frames = Path(sys.argv[1]), int(sys.argv[2])
sys.path[:0] = [os.getcwd(), os.path.join(os.getcwd(), "tools")]
from simulated_cache import write_cache
from skelemo.cache.store import open_cache
from skelemo.data.corpus import load_corpus
written = folder.exists() or write_cache(folder, frames)
print(json.dumps(sum(shard.frames for shard in open_cache(folder).shards)), flush=True)
for _ in sys.stdin:
    start, before = time.perf_counter(), time.process_time()
    corpus = load_corpus(open_cache(folder))
    print(json.dumps([time.perf_counter() - start, time.process_time() - before]), flush=True)
    del corpus
"""


@click.command("load")
@click.option("--other", required=True, type=click.Path(exists=True, file_okay=False, path_type=Path),
              help="Folder of another checkout, as `git worktree add --detach FOLDER COMMIT` makes it.")  # fmt: skip
@click.option("--frames", default=400_000, show_default=True, help="Simulated frames of body + face.")
@click.option("--rounds", default=9, show_default=True, help="How often each loads; the median counts.")
@click.option("--folder", type=click.Path(path_type=Path), help="Where caches lie; a temporary folder by default.")
def command(other: Path, frames: int, rounds: int, folder: Path | None) -> None:
    """Open a cache and load it into the corpus, by this checkout and by another one, in turn."""
    with tempfile.TemporaryDirectory(dir=folder) as name:
        place = folder or Path(name)
        sides = {"other": other.resolve(), "this": Path(__file__).resolve().parent.parent}
        workers = {side: _start(home, place / f"cache-{home.name}", frames) for side, home in sides.items()}
        taken: dict[str, list[list[float]]] = {side: [] for side in sides}
        total = {side: _line(worker) for side, worker in workers.items()}
        for number in range(rounds + 1):  # the first warms up
            for side, worker in workers.items():
                assert worker.stdin
                worker.stdin.write("\n")
                worker.stdin.flush()
                found = _line(worker)
                taken[side] += [found] if number else []
        for worker in workers.values():
            worker.communicate()
    table = Table(
        title=f"{total['this']:,} frames of body + face, medians and extremes of {rounds}", title_justify="left"
    )
    for heading in ("", "seconds", "processor seconds", "frames/s"):
        table.add_column(heading, justify="right")
    for side, rows in taken.items():
        clock, processor = (sorted(column) for column in zip(*rows, strict=True))
        middle = len(rows) // 2
        cells = (f"{column[middle]:.2f} ({column[0]:.2f} to {column[-1]:.2f})" for column in (clock, processor))
        table.add_row(side, *cells, f"{total[side] / clock[middle]:,.0f}")
    ratios = [sorted(a[k] / b[k] for a, b in zip(taken["this"], taken["other"], strict=True)) for k in (0, 1)]
    table.caption = "this / other, median of rounds: {:.2f} by the clock, {:.2f} of the processor".format(
        *(one[len(one) // 2] for one in ratios)
    )
    Console(width=110).print(table)


def _start(home: Path, cache: Path, frames: int) -> "subprocess.Popen[str]":
    environment = {name: value for name, value in os.environ.items() if name != "PYTHONPATH"}
    command = [sys.executable, "-c", WORKER, str(cache), str(frames)]
    pipe = subprocess.PIPE
    return subprocess.Popen(command, cwd=home, env=environment, stdin=pipe, stdout=pipe, text=True)


def _line(worker: "subprocess.Popen[str]") -> Any:
    assert worker.stdout
    return json.loads(worker.stdout.readline())
