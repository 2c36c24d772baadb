"""Speed of ingest, against merely reading the files and against pose-format: ``python tools/bench.py ingest``."""

import importlib.util
import os
import tempfile
from pathlib import Path

import click
from simulated_json import write_frames
from timing import Contenders, show, take_turns

READING = "reading the files"
POSE_FORMAT = "pose-format"


@click.command("ingest")
@click.option("--frames", default=20_000, show_default=True, help="Simulated body + face frames to write and read.")
@click.option("--rounds", default=3, show_default=True, help="How often each contender runs; the best counts.")
@click.option("--folder", type=click.Path(path_type=Path), help="Where to write them; a temporary folder by default.")
def command(frames: int, rounds: int, folder: Path | None) -> None:
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
