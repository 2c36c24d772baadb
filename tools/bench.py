"""Measure skelemo's speed against named references in one run: ``python tools/bench.py --help``.

Each benchmark is a command of its own. Other programs share the machine, so contenders take turns, the best of several
rounds counts, and what matters is the ratio between figures of one run.
"""

import importlib.util
import os
import platform
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path
from typing import NamedTuple

import click
import numpy as np
from rich.console import Console
from rich.table import Table

Contenders = dict[str, Callable[[], object]]

READING = "reading the files"
POSE_FORMAT = "pose-format"

STRETCH = 25  # frames for which as many people stay in the picture


class Taken(NamedTuple):
    """Seconds by the clock, which other programs share, and of the processor, which are this process's own."""

    clock: float
    processor: float


@click.group()
def main() -> None:
    """Speed of skelemo's rooms, each against a named reference."""


@main.command()
@click.option("--frames", default=20_000, show_default=True, help="Simulated body + face frames to write and read.")
@click.option("--rounds", default=3, show_default=True, help="How often each contender runs; the best counts.")
@click.option("--folder", type=click.Path(path_type=Path), help="Where to write them; a temporary folder by default.")
def ingest(frames: int, rounds: int, folder: Path | None) -> None:
    """OpenPose JSON to arrays, in one process, against merely reading the files and against pose-format."""
    with tempfile.TemporaryDirectory(dir=folder) as place:
        size = write_frames(Path(place), frames)
        contenders: Contenders = {
            READING: lambda: read_bytes(Path(place)),
            "skelemo: find and read people": lambda: read_people(Path(place)),
            "skelemo ingest: all of it, into a cache": lambda: ingest_all(Path(place)),
        }
        if importlib.util.find_spec("pose_format"):
            contenders[POSE_FORMAT] = lambda: read_with_pose_format(Path(place))
        best = take_turns(contenders, rounds)
    title = f"{frames:,} simulated frames of body + face, {size / frames / 1000:.2f} kB each on average"
    show(title, frames, best, references=(READING, POSE_FORMAT))


@main.command()
@click.option("--recordings", default=4, show_default=True, help="The smaller number of recordings.")
@click.option("--frames", default=8_000, show_default=True, help="Frames of each.")
@click.option("--times", default=4, show_default=True, help="How many times as many the larger number is.")
@click.option("--folder", type=click.Path(path_type=Path), help="Where to write them; a temporary folder by default.")
def memory(recordings: int, frames: int, times: int, folder: Path | None) -> None:
    """Peak memory of ingest in one process, as recordings grow in number."""
    table = Table(title=f"recordings of {frames:,} frames of body + face", title_justify="left")
    for heading in ("recordings", "peak memory, MB", "ratio"):
        table.add_column(heading, justify="right")
    first = 0.0
    for count in (recordings, recordings * times):
        with tempfile.TemporaryDirectory(dir=folder) as place:
            for number in range(count):
                write_frames(Path(place) / f"clip {number}", frames, seed=number)
            peak = peak_of([sys.executable, __file__, "ingest-once", place]) / 2**20
        first = first or peak
        table.add_row(str(count), f"{peak:,.0f}", f"{peak / first:.2f}")
    Console(width=max(100, Console().width)).print(table)


@main.command(add_help_option=False, context_settings={"ignore_unknown_options": True})
@click.argument("options", nargs=-1, type=click.UNPROCESSED)
def render(options: tuple[str, ...]) -> None:
    """Skeleton images of body + face, against OpenCV's drawing and against reading them as files."""
    from bench_render import render  # torch comes with it, which is not to count as memory of ingest

    render(options, prog_name="bench.py render")


@main.command(hidden=True)
@click.argument("folder", type=click.Path(path_type=Path))
def ingest_once(folder: Path) -> None:
    ingest_all(folder)


def peak_of(command: list[str]) -> int:
    """Bytes that a process of its own needs at most."""
    process = subprocess.Popen(command)
    _, status, usage = os.wait4(process.pid, 0)
    process.returncode = os.waitstatus_to_exitcode(status)
    if process.returncode:
        raise subprocess.CalledProcessError(process.returncode, command)
    return usage.ru_maxrss * 1024


def read_bytes(folder: Path) -> int:
    """Open, read and close every file: what no reader can do without."""
    total = 0
    for name in sorted(os.listdir(folder)):
        with open(f"{folder}/{name}", "rb", buffering=0) as stream:
            total += len(stream.read())
    return total


def read_people(folder: Path) -> list[object]:
    from skelemo.openpose.people import read_people
    from skelemo.openpose.recording import find_recordings
    from skelemo.skeleton import layout

    return [read_people(recording, layout()) for recording in find_recordings(folder)]


def ingest_all(folder: Path) -> object:
    from skelemo.ingest.plan import Settings, make_plan
    from skelemo.ingest.run import ingest

    with tempfile.TemporaryDirectory() as out:
        return ingest(make_plan(folder, Path(out) / "cache", None, Settings()), jobs=1)


def read_with_pose_format(folder: Path) -> object:
    from pose_format.utils.openpose import load_openpose_directory

    return load_openpose_directory(str(folder), fps=25, width=1280, height=720)


def write_frames(folder: Path, frames: int, seed: int = 0) -> int:
    """Write one simulated recording as OpenPose 1.7 does, 0 to 2 people a frame, and say how many bytes it has.

    Somebody sways before the camera and is lost now and then for a second; another comes by now and then. Numbers are
    as OpenPose's: six significant digits, one body point in five missing, every point of a face there with a confidence
    of its own.
    """
    random = np.random.default_rng(seed)
    folder.mkdir(exist_ok=True)
    stances = [_stance(random, left) for left in (100, 800)]
    stretches = -(-frames // STRETCH)
    counts = np.repeat(random.choice([0, 1, 2], size=stretches, p=[0.08, 0.78, 0.14]), STRETCH)[:frames]
    size = 0
    for frame, people in enumerate(counts):
        text = ",".join(_person(random, stance, frame) for stance in stances[:people])
        file = folder / f"simulated video_{frame:012d}_keypoints.json"
        size += file.write_bytes(b'{"version":1.3,"people":[%s]}' % text.encode())
    return size


def _stance(random: np.random.Generator, left: float) -> np.ndarray:
    """Where somebody's 95 points are at rest, [95, 2] pixels, body first."""
    body = random.uniform((left, 150), (left + 300, 700), size=(25, 2))
    face = random.uniform((left + 100, 60), (left + 180, 150), size=(70, 2))
    return np.concatenate([body, face])


def _person(random: np.random.Generator, stance: np.ndarray, frame: int) -> str:
    confidence = random.uniform(0.05, 1, size=(95, 1))
    confidence[:25][random.random(25) < 0.2] = 0
    place = stance + 20 * np.sin(frame / 40) + random.normal(0, 1, size=stance.shape)
    points = np.where(confidence > 0, np.hstack([place, confidence]), 0)
    body, face = points[:25].ravel().tolist(), points[25:].ravel().tolist()
    parts: dict[str, list[float]] = {"pose": body, "face": face, "hand_left": [], "hand_right": []}
    lists = [f'"{part}_keypoints_2d":[{",".join(f"{n:.6g}" for n in parts[part])}]' for part in parts]
    lists += [f'"{part}_keypoints_3d":[]' for part in parts]
    return f'{{"person_id":[-1],{",".join(lists)}}}'


def take_turns(contenders: Contenders, rounds: int) -> dict[str, Taken]:
    """The best times of each contender. One round before those that count warms the file cache."""
    best = {name: Taken(float("inf"), float("inf")) for name in contenders}
    for number in range(rounds + 1):
        for name, run in contenders.items():
            start = Taken(time.perf_counter(), time.process_time())
            run()
            if number:
                clock, processor = time.perf_counter() - start.clock, time.process_time() - start.processor
                best[name] = Taken(min(best[name].clock, clock), min(best[name].processor, processor))
    return best


def show(title: str, frames: int, best: dict[str, Taken], references: tuple[str, ...]) -> None:
    """A table of frames per second by the clock, the ratio to each reference, and the processor's share of the time."""
    references = tuple(name for name in references if name in best)
    table = Table(
        title=title, title_justify="left", caption=f"{platform.machine()}, Python {platform.python_version()}"
    )
    table.add_column("one process", no_wrap=True)
    for heading in ("frames/s", *(f"x {name}" for name in references), "processor µs a frame"):
        table.add_column(heading, justify="right")
    for name, taken in best.items():
        ratios = (f"{best[reference].clock / taken.clock:.2f}" for reference in references)
        table.add_row(name, f"{frames / taken.clock:,.0f}", *ratios, f"{1e6 * taken.processor / frames:.1f}")
    Console(width=max(100, Console().width)).print(table)


if __name__ == "__main__":
    main()
