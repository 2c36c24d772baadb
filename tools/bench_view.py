"""Speed of the viewer on a large cache: ``python tools/bench.py view``."""

import json
import shutil
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

from skelemo.cache.sequence import Sequence
from skelemo.cache.shard import Header, write_shard
from skelemo.targets import EXPRESSION

_SHORT_SHARD, _SHORT_FRAMES = 5_000, 4


@click.command("view")
@click.option("--frames", default=4_000_000, show_default=True, help="Frames of the simulated cache.")
@click.option("--seeks", default=300, show_default=True, help="Random places that are looked at.")
@click.option("--short", default=100_000, show_default=True, help="Sequences of a cache of short ones.")
@click.option("--folder", type=click.Path(path_type=Path), help="For the caches; they are kept there.")
def command(frames: int, seeks: int, short: int, folder: Path | None) -> None:
    """From the command to the first sequence, seeking, and filtering: by the page's requests, and in Chromium."""
    with tempfile.TemporaryDirectory() as place:
        folder = folder or Path(place)
        long, many = folder / "long", folder / "many"
        if not long.exists():
            write_cache(long, frames)
        if not many.exists():
            _write_short(many, short)
        _serve(long, lambda address, began: _measure(address, began, seeks))
        _serve(long, _look)
        _serve(many, _scroll)


def _write_short(folder: Path, count: int) -> None:
    """A cache of very many sequences of a few frames."""
    folder.mkdir(parents=True)
    random, header = np.random.default_rng(0), Header("body_25", (EXPRESSION,), simulated=True)
    for first in range(0, count, _SHORT_SHARD):
        points = random.uniform(0.1, 1, (_SHORT_SHARD, _SHORT_FRAMES, 25, 3)).astype(np.float32)
        labels = random.integers(0, 7, (_SHORT_SHARD, _SHORT_FRAMES)).astype(np.int16)
        number = np.arange(_SHORT_FRAMES, dtype=np.int32)
        write_shard(folder, header, [
            Sequence(id=f"clip {first + n:06d}", video=f"clip {first + n:06d}", subject=f"subject {n % 500}",
                     keypoints=points[n], number=number, labels={EXPRESSION.name: labels[n]})
            for n in range(min(_SHORT_SHARD, count - first))])  # fmt: skip


def _serve(cache: Path, act: Callable[[str, float], None]) -> None:
    """Look at a cache with the command, in a process of its own."""
    began = time.perf_counter()
    server = subprocess.Popen([sys.executable, "-m", "skelemo", "view", str(cache)], stdout=subprocess.PIPE, text=True)
    try:
        assert server.stdout
        act(server.stdout.readline().strip(), began)
    finally:
        server.send_signal(signal.SIGINT)
        server.wait(30)


def _asking(address: str) -> Callable[..., bytes]:
    base, token = address.split("/?token=")

    def ask(path: str, **given: object) -> bytes:
        words = "&".join(f"{name}={value}" for name, value in {**given, "token": token}.items())
        with urllib.request.urlopen(f"{base}/{path}?{words}", timeout=60) as answer:
            return bytes(answer.read())

    return ask


def _measure(address: str, began: float, seeks: int) -> None:
    ask = _asking(address)
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


def _scroll(address: str, began: float) -> None:
    ask, random = _asking(address), np.random.default_rng(0)
    total = json.loads(ask("api/sequences", count=1))["total"]
    click.echo(f"{total:,} sequences: command to the first rows {time.perf_counter() - began:.2f} s")
    _tell("scroll: 100 rows anywhere", 100, lambda: ask("api/sequences", first=int(random.integers(total)), count=100))
    _tell("filter: a word typed", 20, lambda: ask("api/sequences", text=f"{random.integers(1000)}", count=100))
    _tell("filter: a class, sorted by what is missing", 20,
          lambda: ask("api/sequences", label="expression:anger", sort="missing", count=100))  # fmt: skip
    _tell("sort by subject", 20, lambda: ask("api/sequences", sort="subject", count=100))


def _look(address: str, began: float) -> None:
    """In Chromium, where it is installed: until the first skeleton is drawn, and from a seek until its frame is."""
    if not (chromium := shutil.which("chromium")):
        return
    from playwright.sync_api import sync_playwright

    waited = time.perf_counter() - began
    with sync_playwright() as driver:
        tab = driver.chromium.launch(executable_path=chromium, args=["--no-sandbox"]).new_page(bypass_csp=True)
        start = time.perf_counter()
        tab.goto(address)
        drawn = "document.querySelector('#title').textContent && !document.querySelector('.loading')"
        tab.wait_for_function(drawn)
        ready = waited + time.perf_counter() - start
        taken = tab.evaluate(_SEEKS)
    half, most = np.percentile(taken, [50, 99])
    click.echo(f"Chromium, started before: command to the first skeleton {ready:.2f} s")
    click.echo(f"Chromium: seek outside of what is loaded {half:.1f} ms (median), {most:.1f} ms (99 %)")


#: Milliseconds from moving the slider to the frame on the canvas, in places that are not loaded.
_SEEKS = """async () => {
  const root = document.querySelector("#player"), slider = root.querySelector("input[type=range]"), taken = [];
  for (let i = 1; i < 60; i++) {
    document.body.dispatchEvent(new KeyboardEvent("keydown", {key: "n", bubbles: true}));
    const title = document.querySelector("#title"), before = title.textContent;
    while (title.textContent === before || root.classList.contains("loading")) await new Promise(requestAnimationFrame);
    const start = performance.now();
    slider.value = 1024 + i;
    slider.dispatchEvent(new Event("input"));
    while (root.classList.contains("loading")) await new Promise(done => setTimeout(done));
    taken.push(performance.now() - start);
  }
  return taken;
}"""


def _tell(name: str, times: int, act: Callable[[], object]) -> None:
    taken = []
    for _ in range(times):
        start = time.perf_counter()
        act()
        taken.append(1e3 * (time.perf_counter() - start))
    half, most = np.percentile(taken, [50, 99])
    click.echo(f"{name}: {half:.1f} ms (median), {most:.1f} ms (99 %)")
