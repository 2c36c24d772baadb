"""Speed of finding recordings in folders of very many files: ``python tools/bench.py listing``."""

import os
import tempfile
from pathlib import Path

import click
from timing import Contenders, show, take_turns

LISTING = "merely listing the names"
VIDEOS = 10


@click.command("listing")
@click.option("--files", default=200_000, show_default=True, help="Empty files to write into one folder.")
@click.option("--rounds", default=3, show_default=True, help="How often each contender runs; the best counts.")
@click.option("--folder", type=click.Path(path_type=Path), help="Where to write them; a temporary folder by default.")
def command(files: int, rounds: int, folder: Path | None) -> None:
    """The recordings of one folder, against merely listing it."""
    from skelemo.openpose.recording import search

    with tempfile.TemporaryDirectory(dir=folder) as place:
        for number in range(files):
            frame, video = divmod(number, VIDEOS)
            os.close(os.open(f"{place}/video {video}_{frame:012d}_keypoints.json", os.O_CREAT | os.O_WRONLY))
        contenders: Contenders = {
            LISTING: lambda: [entry.name for entry in os.scandir(place)],
            "skelemo: find recordings": lambda: search(Path(place)),
        }
        show(f"a folder of {files:,} files", files, take_turns(contenders, rounds), references=(LISTING,))
