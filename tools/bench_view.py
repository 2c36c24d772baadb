"""Speed of the viewer on a large cache: ``python tools/bench.py view``."""

import json
import signal
import subprocess
import sys
import tempfile
import time
import urllib.request
from collections.abc import Callable
from pathlib import Path

import click
import numpy as np
from simulated_cache import write_cache


@click.command("view")
@click.option("--frames", default=4_000_000, show_default=True, help="Frames of the simulated cache.")
@click.option("--seeks", default=300, show_default=True, help="Random places that are looked at.")
@click.option("--folder", type=click.Path(path_type=Path), help="The cache; written if it is missing.")
def command(frames: int, seeks: int, folder: Path | None) -> None:
    """From the command to the first sequence, seeking, and filtering, by the requests that the page makes."""
    with tempfile.TemporaryDirectory() as place:
        folder = folder or Path(place) / "cache"
        if not folder.exists():
            write_cache(folder, frames)
        began = time.perf_counter()
        server = subprocess.Popen(
            [sys.executable, "-m", "skelemo", "view", str(folder)], stdout=subprocess.PIPE, text=True
        )
        try:
            assert server.stdout
            _measure(server.stdout.readline().strip(), began, seeks)
        finally:
            server.send_signal(signal.SIGINT)
            server.wait(30)


def _measure(address: str, began: float, seeks: int) -> None:
    base, token = address.split("/?token=")

    def ask(path: str, **given: object) -> bytes:
        words = "&".join(f"{name}={value}" for name, value in {**given, "token": token}.items())
        with urllib.request.urlopen(f"{base}/{path}?{words}", timeout=60) as answer:
            return bytes(answer.read())

    listening = time.perf_counter() - began
    ask("")
    about = json.loads(ask("api/cache"))
    first = json.loads(ask("api/sequences", first=0, count=100))["rows"][0]
    ask(f"api/sequence/{first['row']}")
    ask(f"api/frames/{first['row']}", first=0, count=256)
    click.echo(f"{about['frames']:,} frames in {about['sequences']:,} sequences")
    click.echo(
        f"command to address {listening:.2f} s, to the frames of the first sequence {time.perf_counter() - began:.2f} s"
    )
    random = np.random.default_rng(0)

    def anywhere() -> int:
        return int(random.integers(about["sequences"]))

    _tell("seek: 256 frames of any sequence", seeks,
          lambda: ask(f"api/frames/{anywhere()}", first=256 * int(random.integers(8)), count=256))  # fmt: skip
    _tell("open: labels and facts of any sequence", seeks, lambda: ask(f"api/sequence/{anywhere()}"))
    _tell("filter: a word typed, then sorted", 20,
          lambda: ask("api/sequences", text=f"clip+{random.integers(10)}", sort="missing", count=100))  # fmt: skip


def _tell(name: str, times: int, act: Callable[[], object]) -> None:
    taken = []
    for _ in range(times):
        start = time.perf_counter()
        act()
        taken.append(1e3 * (time.perf_counter() - start))
    half, most = np.percentile(taken, [50, 99])
    click.echo(f"{name}: {half:.1f} ms (median), {most:.1f} ms (99 %)")
