"""A cache checked and carried, against hashing and copying the same files: ``python tools/bench.py carry``."""

import hashlib
import shutil
import tempfile
from pathlib import Path

import click
from simulated_cache import write_cache
from timing import Contenders, show, take_turns

from skelemo.cache.pull import pull
from skelemo.cache.push import push
from skelemo.cache.store import open_cache, shard_files
from skelemo.cache.verify import verify


@click.command("carry")
@click.option("--frames", default=400_000, show_default=True, help="Frames of body + face in the cache.")
@click.option("--rounds", default=2, show_default=True, help="Rounds that count; the best of them is told.")
@click.option("--jobs", default=2, show_default=True, help="Processes that verify, and shards on their way at once.")
@click.option("--folder", type=click.Path(path_type=Path), help="Where to write it; a temporary folder by default.")
def command(frames: int, rounds: int, jobs: int, folder: Path | None) -> None:
    """Frames per second of verify, of a push to a folder and of a pull from one, everything new and nothing new.

    The references hash the same files by SHA-256, and copy them. Verifying unpacks, checks and hashes four times as
    many bytes; a push verifies what it sends, and a pull what it has received.
    """
    with tempfile.TemporaryDirectory(dir=folder) as place:
        cache, far, here, copy = (Path(place) / name for name in ("cache", "far", "here", "copy"))
        count = write_cache(cache, frames)
        push(cache, str(far))

        def hash_files() -> None:
            for path in shard_files(cache):
                hashlib.sha256(path.read_bytes()).hexdigest()

        def copied() -> None:
            shutil.rmtree(copy, ignore_errors=True)
            shutil.copytree(cache, copy)

        def pushed() -> None:
            shutil.rmtree(copy, ignore_errors=True)
            push(cache, str(copy), jobs=jobs)

        def pulled() -> None:
            shutil.rmtree(here, ignore_errors=True)
            pull(str(far), here, jobs=jobs)

        contenders: Contenders = {
            "SHA-256 of the files": hash_files,
            "copy of the files": copied,
            "verify, one process": lambda: verify(cache),
            f"verify, {jobs} processes": lambda: verify(cache, jobs=jobs),
            "push, everything new": pushed,
            "push, nothing new": lambda: push(cache, str(far)),
            "pull, everything new": pulled,
            "pull, nothing new": lambda: pull(str(far), here),
        }
        best = take_turns(contenders, rounds)
        size = sum(path.stat().st_size for path in shard_files(cache)) / 1e6
        title = f"{count:,} frames in {len(open_cache(cache).shards)} shards, {size:,.0f} MB"
        show(title, count, best, ("SHA-256 of the files", "copy of the files"), heading=f"{jobs} jobs")
