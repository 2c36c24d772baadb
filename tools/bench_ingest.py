"""Speed of ingest, against merely reading the files and against pose-format: ``python tools/bench.py ingest``."""

import importlib.util
import multiprocessing
import os
import tempfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

import click
from simulated_json import write_recordings
from timing import Contenders, show, take_turns

READING = "reading the files"
POSE_FORMAT = "pose-format"
INGEST = "skelemo ingest into a cache"
COUNTING = "counting, no file"


@click.command("ingest")
@click.option("--frames", default=120_000, show_default=True, help="Simulated body + face frames.")
@click.option("--recordings", default=8, show_default=True, help="How many recordings they are.")
@click.option(
    "--jobs", default=os.cpu_count() or 1, show_default="all cores", help="Processes where there are several."
)
@click.option("--rounds", default=3, show_default=True, help="How often each contender runs; the best counts.")
@click.option("--folder", type=click.Path(path_type=Path), help="Where to write them; a temporary folder by default.")
def command(frames: int, recordings: int, jobs: int, rounds: int, folder: Path | None) -> None:
    """OpenPose JSON to a cache, in one process and in several, against merely reading the files and pose-format."""
    with tempfile.TemporaryDirectory(dir=folder) as place:
        size = write_recordings(Path(place), frames, recordings)
        folders = sorted(Path(place).iterdir())
        contenders: Contenders = {
            READING: lambda: [read_bytes(one) for one in folders],
            f"{READING}, {jobs} processes": lambda: in_processes(read_bytes, folders, jobs),
            "skelemo: find and read people": lambda: read_people(Path(place)),
            INGEST: lambda: ingest_all(Path(place), 1),
            f"{INGEST}, {jobs} processes": lambda: ingest_all(Path(place), jobs),
            COUNTING: lambda: [count_up(one) for one in folders],
            f"{COUNTING}, {jobs} processes": lambda: in_processes(count_up, folders, jobs),
        }
        if importlib.util.find_spec("pose_format"):
            contenders[POSE_FORMAT] = lambda: [read_with_pose_format(one) for one in folders]
        best = take_turns(contenders, rounds)
    title = f"{frames:,} simulated frames of body + face, {size / frames / 1000:.2f} kB each, {recordings} recordings"
    show(title, frames, best, references=(READING, POSE_FORMAT), heading="one process, or as it says")
    for work in (INGEST, READING, COUNTING):
        one, several = best[work], best[f"{work}, {jobs} processes"]
        gain = (one.clock / several.clock - 1) / max(jobs - 1, 1)
        free = (one.processor / several.processor * jobs - 1) / max(jobs - 1, 1)
        print(f"Each further core adds to {work}: {gain:.0%} of the first by the clock, {free:.0%} by processor time.")


def read_bytes(folder: Path) -> int:
    """Open, read and close every file: what no reader can do without."""
    total = 0
    for name in sorted(os.listdir(folder)):
        with open(f"{folder}/{name}", "rb", buffering=0) as stream:
            total += len(stream.read())
    return total


def count_up(_: Path) -> int:
    """What a further core adds to this, it can add to anything: half a second of arithmetic."""
    return sum(number & 7 for number in range(8_000_000))


def in_processes(work: Callable[[Path], Any], folders: list[Path], jobs: int) -> list[Any]:
    with multiprocessing.get_context("fork").Pool(jobs) as pool:
        return pool.map(work, folders, chunksize=1)


def read_people(folder: Path) -> list[object]:
    from skelemo.openpose.people import read_people
    from skelemo.openpose.recording import search
    from skelemo.skeleton import layout

    return [read_people(recording, layout()) for recording in search(folder).recordings]


def ingest_all(folder: Path, jobs: int) -> None:
    """As the command does it: each turn starts its workers, whose processor time is known when they have ended."""
    from skelemo.ingest.plan import Settings, make_plan
    from skelemo.ingest.run import ingest

    with tempfile.TemporaryDirectory() as out:
        ingest(make_plan(folder, Path(out) / "cache", None, Settings()), jobs=jobs)


def read_with_pose_format(folder: Path) -> object:
    from pose_format.utils.openpose import load_openpose_directory

    return load_openpose_directory(str(folder), fps=25, width=1280, height=720)
