"""Training on a corpus larger than its memory beside one that is held: ``python tools/bench.py corpus``."""

import json
import platform
import subprocess
import sys
import tempfile
import threading
import time
from pathlib import Path

import click
import numpy as np
import torch
from rich.console import Console
from rich.table import Table
from simulated_cache import write_cache

_LOOK_SECONDS = 0.05
HELD = "all in memory"


@click.command("corpus")
@click.option("--frames", default=400_000, show_default=True, type=click.IntRange(1), help="Of body and face.")
@click.option("--times", default=3.0, show_default=True, help="How many times its memory the keypoints are.")
@click.option("--arch", default="ann", show_default=True, help="What is trained; the faster, the more counts reading.")
@click.option("--length", default=1, show_default=True, type=click.IntRange(1), help="Frames of a window.")
@click.option("--rounds", default=3, show_default=True, type=click.IntRange(1), help="Turns; the best of each counts.")
@click.option("--folder", type=click.Path(path_type=Path), help="Where to write; a temporary folder by default.")
def command(frames: int, times: float, arch: str, length: int, rounds: int, folder: Path | None) -> None:
    """Windows/s of `skelemo train` after its first epoch, and what the process takes beyond its beginning.

    Every tenth frame is a window. A corpus in blocks is read from the disk anew in each epoch: what was used is dropped
    from the system's file cache, too.
    """
    with tempfile.TemporaryDirectory(dir=folder or "/var/tmp") as place:
        frames = write_cache(Path(place) / "cache", frames)
        size = 12 * 95 * frames
        allowed = f"{size / times / 2**20:.0f}MB"
        best: dict[str, dict[str, float]] = {}
        for turn in range(rounds):
            for name, memory in ((HELD, ""), (f"memory: {allowed}", allowed)):
                words = [place, f"{place}/{turn}{memory}", memory, arch, str(length)]
                shown = subprocess.run(
                    [sys.executable, __file__, *words], check=True, stdout=subprocess.PIPE, text=True
                )
                found = json.loads(shown.stdout.splitlines()[-1])
                known = best.get(name, found)
                fewer = ("seconds", "prepared")
                best[name] = {key: (min if key in fewer else max)(known[key], found[key]) for key in found}
    note = f"{platform.machine()}, torch {torch.__version__}, {torch.get_num_threads()} threads"
    title = f"{frames:,} frames, {size / 2**20:,.0f} MB of keypoints; {arch} on windows of {length}"
    table = Table(title=title, title_justify="left", caption=note)
    columns = ("windows/s", "x held", "until the first epoch, s", "anonymous MB", "mapped MB", "together MB")
    table.add_column("")
    for heading in columns:
        table.add_column(heading, justify="right")
    for name, one in best.items():
        rate = one["windows"] / one["seconds"]
        share = best[HELD]["seconds"] / one["seconds"]
        taken = (f"{one[key] / 2**20:,.0f}" for key in ("anonymous", "mapped", "together"))
        table.add_row(name, f"{rate:,.0f}", f"{share:.2f}", f"{one['prepared']:.1f}", *taken)
    Console(width=max(120, Console().width)).print(table)


def measure(place: str, out: str, memory: str, arch: str, length: int) -> dict[str, float]:
    """Train on the corpus, and see how long an epoch after the first takes and how much memory there ever is."""
    import lightning  # noqa: F401  # what the program itself takes is no part of it

    from skelemo.training.config import load_config
    from skelemo.training.fit import train

    ends: list[float] = []
    settings = {"data": [f"{place}/cache"], "arch": arch, "length": length, "every": 10, "memory": memory}
    settings |= {
        "epochs": 4,
        "patience": 0,
        "parts": "all",
        "head": "expression",
        "device": "cpu",
        "split": "holdout:0.1",
    }
    begun, most = _taken(), [0, 0, 0]
    threading.Thread(target=_watch, args=(begun, most), daemon=True).start()
    start = time.perf_counter()

    def report(*progress: object) -> None:
        ends.append(time.perf_counter())

    train(load_config(None, {**settings, "validation": 0.1}), Path(out), report=report)
    windows = _windows(Path(out))
    seconds = float(np.diff(ends)[1:4].min())  # of the epochs after the first
    anonymous, mapped, together = most
    taken = {"anonymous": anonymous, "mapped": mapped, "together": together}
    return {"seconds": seconds, "windows": windows, "prepared": ends[0] - start, **taken}


def _windows(out: Path) -> int:
    """Windows that an epoch learns from."""
    from skelemo.cache.store import open_cache
    from skelemo.runs.folder import read_json

    train = read_json(out / "splits.json")["folds"][0]["train"]
    sequences = open_cache(out.parent / "cache").sequences.set_index("id")
    return int((-(-sequences["length"].loc[list(train)] // 10)).sum())


def _taken() -> tuple[int, int]:
    """Bytes of anonymous memory, and of files without a name that are mapped and in memory."""
    status = Path("/proc/self/status").read_text()
    anonymous = int(status.split("RssAnon:")[1].split()[0])
    unnamed = Path("/proc/self/smaps").read_text().split("(deleted)\n")[1:]
    return 1024 * anonymous, 1024 * sum(int(one.split("Rss:")[1].split()[0]) for one in unnamed)


def _watch(begun: tuple[int, int], most: list[int]) -> None:
    while True:
        anonymous, mapped = (now - then for now, then in zip(_taken(), begun, strict=True))
        most[:] = map(max, zip(most, (anonymous, mapped, anonymous + mapped), strict=True))
        time.sleep(_LOOK_SECONDS)


if __name__ == "__main__":
    _place, _out, _memory, _arch, _length = sys.argv[1:]
    print(json.dumps(measure(_place, _out, _memory, _arch, int(_length))))
