"""Latency and memory of live predictions: ``python tools/bench.py live``."""

import gc
import io
import json
import os
import platform
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import click
import numpy as np
import torch
from rich.console import Console
from rich.table import Table

from skelemo.data.windows import Window
from skelemo.inference.live.sources import read_lines
from skelemo.inference.live.stream import Live, live
from skelemo.inference.live.torch_model import TorchModel
from skelemo.inference.predictor import Member, Model
from skelemo.models.registry import create, entry
from skelemo.openpose.stream import FrameReader
from skelemo.preprocess import Preparation
from skelemo.runs.model_file import ModelFile
from skelemo.simulate import Cast, long_clip
from skelemo.simulate.detection import six_digits
from skelemo.simulate.writing import frame_text
from skelemo.skeleton import DEFAULT_LAYOUT, layout
from skelemo.targets import EXPRESSION, VA

#: Architecture, frames of a window, settings, and the 99 % that is aimed at, in milliseconds.
CASES: dict[str, tuple[str, int, dict[str, Any], int]] = {
    "ann": ("ann", 1, {}, 5),
    "ann, 16 frames": ("ann", 16, {}, 5),
    "stgcnpp, 16 frames": ("stgcnpp", 16, {"widths": (48, 48, 96, 96, 192, 192)}, 15),
    "stgcnpp, 16 frames, widths of the reference": ("stgcnpp", 16, {}, 15),
    "resnet18, 112 px": ("resnet18", 1, {"image_size": 112}, 60),
}
_WARM = 30  # frames that do not count


@click.command("live")
@click.option("--case", "cases", multiple=True, type=click.Choice(list(CASES)), help="Networks.  [default: all]")
@click.option("--frames", default=900, show_default=True, type=click.IntRange(100), help="Frames of each.")
@click.option("--fps", default=30.0, show_default=True, help="Frames written in a second.")
@click.option("--people", default=1, show_default=True, type=click.IntRange(1, 2), help="People in each frame.")
@click.option("--clip-reference", is_flag=True, help="For runs with reference: clip, which look at the last frames.")
@click.option("--threads", default=0, help="Threads of torch.  [default: the fastest here]")
@click.option("--endless", default=0, metavar="FRAMES", help="Memory over so many frames of people who come and go.")
def command(
    cases: tuple[str, ...], frames: int, fps: float, people: int, clip_reference: bool, threads: int, endless: int
) -> None:
    """Milliseconds from when a file is visible to its predictions, while another process writes one after another."""
    if endless:
        _memory(endless)
        return
    table = Table(
        title=f"{people} person(s), {fps:g} frames/s, {frames:,} frames; milliseconds from file to predictions",
        title_justify="left",
        caption=f"{platform.machine()}, torch {torch.__version__}; of a frame: 99 % as a share of its time",
        caption_justify="left",
    )
    for heading in ("", "threads", "50 %", "90 %", "99 %", "most", "aim", "of a frame", "processor"):
        table.add_column(heading, justify="right" if heading else "left", no_wrap=True)
    for name in cases or CASES:
        arch, length, settings, aim = CASES[name]
        model = TorchModel(_model(arch, length, settings, clip=clip_reference))
        best = model.tune(threads)
        late, processor = _follow(model, frames, fps, people)
        half, most, nearly, worst = np.quantile(late, (0.5, 0.9, 0.99, 1))
        cells = (f"{1e3 * value:.1f}" for value in (half, most, nearly, worst))
        table.add_row(name, str(best), *cells, str(aim), f"{nearly * fps:.0%}", f"{1e3 * processor:.1f}")
    Console(width=max(120, Console().width)).print(table)


def _model(arch: str, length: int, settings: dict[str, Any], *, clip: bool = False) -> Model:
    """A network with its first weights, which takes as long as a trained one."""
    torch.manual_seed(0)
    heads = (EXPRESSION, VA)
    network = create(arch, layout_name=DEFAULT_LAYOUT, heads=heads, frames=length, **settings).eval()
    reference = "clip" if clip else "window"
    preparation = Preparation(entry(arch).facts.coordinates, reference, max_gap=5)  # type: ignore[arg-type]
    file = ModelFile(arch, settings, DEFAULT_LAYOUT, heads, preparation.to_json(), {"length": length})
    return Model((Member(file, network, layout(), preparation, Window(length)),), arch)


def _follow(model: TorchModel, frames: int, fps: float, people: int) -> tuple[np.ndarray, float]:
    """Seconds from when a file was visible to its predictions, and of the processor for a frame."""
    with tempfile.TemporaryDirectory() as place:
        folder = Path(place) / "json"
        folder.mkdir()
        written = Path(place) / "times.npy"
        case = {"folder": str(folder), "times": str(written), "frames": frames, "fps": fps, "people": people}
        writer = subprocess.Popen([sys.executable, __file__, json.dumps(case)])
        found: dict[int, float] = {}
        gc.collect()
        gc.freeze()
        processor = 0.0
        for answer in live(model, folder, size=(960, 540), stop_after=20, every_frame=True):
            found[answer.number] = time.monotonic()
            if answer.number == _WARM:
                processor = time.process_time()
            if answer.number == frames - 1:
                break
        processor = time.process_time() - processor
        writer.wait()
        times = np.load(written)
    late = np.array([found[number] - times[number] for number in range(_WARM, frames) if number in found])
    return late, processor / len(late)


def _texts(people: int) -> list[bytes]:
    """Frames of simulated actors, as OpenPose writes them."""
    clip = long_clip(Cast(6, seed=3), 0, 300)
    actors = [clip.crowd.seen(role.person) for role in clip.roles][:people]
    return [
        frame_text(np.stack([points for points in six_digits(np.stack(both)) if points[:, 2].any()]))
        for both in zip(*actors, strict=True)
        if any(points[:, 2].any() for points in both)
    ]


def write(folder: str, times: str, frames: int, fps: float, people: int) -> None:
    """Write files at a steady rate, and when each of them became visible."""
    texts, visible = _texts(people), np.zeros(frames)
    begin = time.monotonic() + 1
    for number in range(frames):
        time.sleep(max(0.0, begin + number / fps - time.monotonic()))
        partial = os.path.join(folder, "partial")
        with open(partial, "wb") as file:
            file.write(texts[number % len(texts)])
        visible[number] = time.monotonic()
        os.replace(partial, os.path.join(folder, f"take_{number:012d}_keypoints.json"))
    np.save(times, visible)


class _Endless(io.RawIOBase):
    """Lines of a stream in which somebody comes for 40 frames and goes for 40, somewhere else each time."""

    def __init__(self, frames: int) -> None:
        self.frames, self.number = frames, -1
        self.random, self.clip = np.random.default_rng(0), long_clip(Cast(6, seed=3), 0, 300)
        self.points = self.clip.keypoints
        self.shift = np.zeros(2)

    def readline(self, size: int | None = -1, /) -> bytes:
        self.number += 1
        if self.number >= self.frames:
            return b""
        visit, step = divmod(self.number, 80)
        if step == 0:
            self.shift = self.random.uniform(0, 3000, 2)
        if step >= 40:
            return b'{"version":1.3,"people":[]}\n'
        points = self.points[(visit * 7 + step) % len(self.points)].astype(np.float64)
        points[:, :2] += self.shift * (points[:, 2:] > 0)
        return frame_text(six_digits(points[None].astype(np.float32))) + b"\n"


def _memory(frames: int) -> None:
    """Memory of the process while frames pass."""
    torch.set_num_threads(1)
    model = TorchModel(_model("ann", 16, {}))
    table = Table(title=f"ann, windows of 16 frames, {frames:,} frames of a stream", title_justify="left")
    for heading in ("frames", "memory, MB", "frames/s"):
        table.add_column(heading, justify="right")
    begun = time.monotonic()
    gc.collect()
    for done, _ in enumerate(_predicted(model, frames), 1):
        if done % (frames // 10) == 0 or done == frames // 100:
            rate = done / (time.monotonic() - begun)
            table.add_row(f"{done:,}", f"{_resident() / 2**20:.1f}", f"{rate:,.0f}")
            print(f"{done:,} {_resident() / 2**20:.1f} MB", file=sys.stderr, flush=True)
    Console(width=max(100, Console().width)).print(table)


def _predicted(model: TorchModel, frames: int) -> Iterator[object]:
    reader = FrameReader(layout(), size=(960, 540))
    engine = Live(model, reader=reader)
    for frame in read_lines(_Endless(frames), reader):  # type: ignore[arg-type]
        yield engine.feed(frame)


def _resident() -> int:
    return int(Path("/proc/self/statm").read_text().split()[1]) * os.sysconf("SC_PAGE_SIZE")


if __name__ == "__main__":
    write(**json.loads(sys.argv[1]))
