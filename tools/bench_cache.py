"""A cache of millions of frames: ``python tools/bench.py cache``."""

import os
import platform
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path

import click
import numpy as np
from rich.console import Console
from rich.table import Table
from simulated_cache import write_cache
from timing import Contenders, Taken, take_turns

READING = "numpy.fromfile of the same bytes, uncompressed"
FROM_DISK = ", from disk"


@click.command("cache")
@click.option("--frames", default=4_000_000, show_default=True, help="Simulated frames of body + face to write.")
@click.option("--cache", "there", type=click.Path(path_type=Path), help="A cache to measure instead of a new one.")
@click.option("--rounds", default=2, show_default=True, help="How often reading and loading run; the best counts.")
@click.option("--jobs", default=os.cpu_count() or 1, show_default=True, help="Threads that verify.")
@click.option("--folder", type=click.Path(path_type=Path), help="Where to write; a temporary folder by default.")
def command(frames: int, there: Path | None, rounds: int, jobs: int, folder: Path | None) -> None:
    """Open, list, load, verify, push and pull a large cache, against reading its bytes from an uncompressed file."""
    from skelemo.cache.store import open_cache

    with tempfile.TemporaryDirectory(dir=folder) as name:
        place = Path(name)
        path = there or place / "cache"
        seconds = {} if there else {"write": once(lambda: write_cache(path, frames))}
        cache = open_cache(path)
        size, plain = sum(file.stat().st_size for file in path.glob("*.h5")), place / "plain"
        write_plain(path, plain)
        shards = list(path.glob("*.h5"))
        contenders: Contenders = {
            READING: lambda: np.fromfile(plain, np.uint8),
            "open": lambda: open_cache(path),
            "open and read every frame": lambda: open_cache(path).read(),
            "open and load into the corpus": lambda: load(path),
        }
        cold = {name + FROM_DISK: from_disk(run, [plain, *shards]) for name, run in contenders.items()}
        best = take_turns(contenders | cold, rounds)
        plain.unlink()
        seconds |= {
            "skelemo cache ls": once(lambda: verb("ls", path)),
            "skelemo cache info": once(lambda: verb("info", path)),
            f"verify, {jobs} threads": once(lambda: check(path, jobs)),
            "push to a folder": once(lambda: push(path, place / "away")),
            "pull from it": once(lambda: pull(place / "away", place / "back")),
        }
        title = (
            f"{cache.frames:,} frames of body + face, {len(cache.sequences):,} sequences, {len(cache.shards):,} shards"
        )
        show(f"{title}, {size / cache.frames:,.0f} bytes a frame", cache.frames, best | seconds)


def once(run: Callable[[], object]) -> Taken:
    """How long a single run takes, with its child processes."""
    start, before = time.perf_counter(), os.times()
    run()
    after = os.times()
    processor = sum(after[:4]) - sum(before[:4])
    return Taken(time.perf_counter() - start, processor)


def from_disk(run: Callable[[], object], files: list[Path]) -> Callable[[], object]:
    """The same after the system has dropped what it keeps of the files in memory."""

    def forgotten() -> object:
        for path in files:
            with path.open("rb") as file:
                os.fsync(file.fileno())
                os.posix_fadvise(file.fileno(), 0, 0, os.POSIX_FADV_DONTNEED)
        return run()

    return forgotten


def write_plain(path: Path, plain: Path) -> None:
    """The arrays of every frame, one shard after another, as they lie in memory."""
    from skelemo.cache.store import open_cache

    with plain.open("wb") as file:
        for shard in open_cache(path).shards:
            for stored in shard.stored.values():
                stored.read().tofile(file)


def load(path: Path) -> object:
    from skelemo.cache.store import open_cache
    from skelemo.data.corpus import load_corpus

    return load_corpus(open_cache(path))


def verb(name: str, path: Path) -> None:
    code = "from skelemo.cli import main; main()"
    subprocess.run([sys.executable, "-c", code, "cache", name, path], check=True, stdout=subprocess.DEVNULL)


def check(path: Path, jobs: int) -> None:
    from skelemo.cache.verify import verify

    if verify(path, jobs=jobs):
        raise click.ClickException(f"{path} is damaged")


def push(path: Path, away: Path) -> None:
    from skelemo.cache.push import push as push_to

    push_to(path, away.as_uri())


def pull(away: Path, back: Path) -> None:
    from skelemo.cache.pull import pull as pull_from

    pull_from(away.as_uri(), back)


def show(title: str, frames: int, taken: dict[str, Taken]) -> None:
    table = Table(
        title=title, title_justify="left", caption=f"{platform.machine()}, Python {platform.python_version()}"
    )
    table.add_column("", no_wrap=True)
    for heading in ("seconds", "processor seconds", "x reading", "frames/s"):
        table.add_column(heading, justify="right")
    for name, one in taken.items():
        reading = taken[READING + FROM_DISK if name.endswith(FROM_DISK) else READING]
        ratio = f"{one.clock / reading.clock:.2f}"
        table.add_row(name, f"{one.clock:.2f}", f"{one.processor:.2f}", ratio, f"{frames / one.clock:,.0f}")
    Console(width=max(110, Console().width)).print(table)
