"""Speed of drawing skeleton images, against OpenCV and against reading files: ``python tools/bench.py render``."""

import platform
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path

import click
import cv2
import numpy as np
import torch
from rich.console import Console
from rich.table import Table
from timing import take_turns

from skelemo.preprocess import in_image, place
from skelemo.render import VIEWS, SkeletonRenderer
from skelemo.simulate import simulate
from skelemo.skeleton import layout
from skelemo.view.stills import png

EAGER = "skelemo"
COMPILED = "skelemo, torch.compile"
LARGE = "OpenCV at the source's size, made small"
SMALL = "OpenCV at the image's size"
FILES = "reading PNG files with Pillow"

Drawing = Callable[[torch.Tensor], torch.Tensor]


@click.command("render")
@click.option("--images", default=256, show_default=True, help="Simulated frames of body + face.")
@click.option("--batch", default=32, show_default=True, help="Images that skelemo draws at a time.")
@click.option("--size", default=224, show_default=True, help="Side of the images.")
@click.option("--view", type=click.Choice(VIEWS), default="frame", show_default=True, help="What they show.")
@click.option("--threads", default=2, show_default=True, help="Threads of torch; the others use one.")
@click.option("--rounds", default=5, show_default=True, help="How often each contender runs; the best counts.")
@click.option(
    "--compile/--no-compile", "compiled", default=True, help="Measure torch.compile too, which takes a minute."
)
def command(images: int, batch: int, size: int, view: str, threads: int, rounds: int, compiled: bool) -> None:
    """Skeleton images of body + face, against OpenCV's drawing of the same people and against reading them as files."""
    torch.set_num_threads(threads)
    cv2.setNumThreads(1)
    people, sizes = actors(images)
    points = in_pictures(people, sizes)
    shrunk = people * np.insert(np.repeat(size / sizes.max(1, keepdims=True), 2, 1), 2, 1, 1)[:, None]
    renderer = SkeletonRenderer(layout(), size, view)
    note = f"{platform.machine()}, torch {torch.__version__}, {threads} threads"
    with tempfile.TemporaryDirectory() as folder:
        files = write_files(Path(folder), renderer(points))
        contenders: dict[str, Callable[[], object]] = {
            EAGER: lambda: in_batches(renderer, points, batch),
            LARGE: lambda: [drawn(person, int(w), int(h), size) for person, (w, h) in zip(people, sizes, strict=True)],
            SMALL: lambda: [drawn(person, size, size, size) for person in shrunk],
            FILES: lambda: [read(file) for file in files],
        }
        if compiled:
            fast: Drawing = torch.compile(renderer, fullgraph=True, dynamic=True)
            start = time.perf_counter()
            fast(points[:batch])
            note += f", compiled in {time.perf_counter() - start:.0f} s"
            contenders[COMPILED] = lambda: in_batches(fast, points, batch)
        if torch.cuda.is_available():
            contenders |= on_the_gpu(size, view, points.cuda(), compiled)
        best = take_turns(contenders, rounds)
    show(f"{images} images of {size} x {size}, body + face, view {view}", images, best, note)
    megabytes, share = peak(batch, size, view)
    Console().print(
        f"peak memory of a batch of {batch}: {megabytes:,.0f} MB, {share:.1f} times its images", highlight=False
    )


def actors(count: int) -> tuple[np.ndarray, np.ndarray]:
    """Simulated people ``[N, 95, 3]`` in pixels, and the size of the picture ``[N, 2]`` of each."""
    clips = [clip for clip, _ in zip(simulate(subjects=8, clips=1, frames=max(10, count // 6)), range(8), strict=False)]
    people = np.concatenate([clip.keypoints for clip in clips])
    sizes = np.concatenate([np.full((len(clip.keypoints), 2), (clip.width, clip.height), np.float32) for clip in clips])
    chosen = np.linspace(0, len(people) - 1, count).astype(int)
    return people[chosen], sizes[chosen]


def in_pictures(people: np.ndarray, sizes: np.ndarray) -> torch.Tensor:
    """Keypoints ``[N, 1, 95, 3]`` as the renderer takes them."""
    return place(torch.from_numpy(people), in_image(torch.from_numpy(sizes).float()), layout()).unsqueeze(1)


def in_batches(renderer: Drawing, points: torch.Tensor, batch: int) -> None:
    for part in points.split(batch):
        renderer(part)


def on_the_gpu(size: int, view: str, points: torch.Tensor, compiled: bool) -> dict[str, Callable[[], object]]:
    renderer = SkeletonRenderer(layout(), size, view).cuda()

    def run(draw: Drawing) -> None:
        draw(points)
        torch.cuda.synchronize()

    contenders: dict[str, Callable[[], object]] = {f"{EAGER}, on the GPU": lambda: run(renderer)}
    if compiled:
        fast: Drawing = torch.compile(renderer, fullgraph=True)
        fast(points)
        contenders[f"{COMPILED}, on the GPU"] = lambda: run(fast)
    return contenders


def drawn(person: np.ndarray, width: int, height: int, size: int) -> np.ndarray:
    """OpenPose's strokes with OpenCV, at the thickness of a person who fills the picture."""
    picture = np.zeros((height, width, 3), np.uint8)
    for part in layout().parts:
        points = person[layout().slices[part.name]]
        place = np.floor(points[:, :2] + 0.5).astype(int).tolist()
        shown = (points[:, 2] > part.drawing.threshold).tolist()
        thickness = max(2, round((width * height) ** 0.5 * part.drawing.thickness))
        for start, end in part.limbs:
            if shown[start] and shown[end]:
                line = max(1, round(thickness * part.drawing.line_ratio))
                cv2.line(picture, place[start], place[end], part.drawing.color(end), line)
        for index, point in enumerate(place):
            if shown[index]:
                cv2.circle(picture, point, thickness // 2, part.drawing.color(index), thickness)
    if (height, width) == (size, size):
        return picture
    scale = size / max(width, height)
    return cv2.resize(picture, (round(width * scale), round(height * scale)), interpolation=cv2.INTER_AREA)


def write_files(folder: Path, images: torch.Tensor) -> list[Path]:
    files = [folder / f"{number:06d}.png" for number in range(len(images))]
    for file, image in zip(files, images.mul(255).byte().permute(0, 2, 3, 1).numpy(), strict=True):
        file.write_bytes(png(image))
    return files


def read(file: Path) -> torch.Tensor:
    """As torchvision's ``ImageFolder`` and ``ToTensor`` do."""
    from PIL import Image

    with file.open("rb") as stream:
        image = np.array(Image.open(stream).convert("RGB"))
    return torch.from_numpy(image).permute(2, 0, 1).contiguous().float().div(255)


def show(title: str, images: int, best: dict, note: str) -> None:
    table = Table(title=title, title_justify="left", caption=note)
    table.add_column("", no_wrap=True)
    references = (LARGE, SMALL, FILES)
    for heading in ("images/s", *(f"x {name}" for name in references), "processor ms an image"):
        table.add_column(heading, justify="right")
    for name, taken in best.items():
        ratios = (f"{best[reference].clock / taken.clock:.2f}" for reference in references)
        table.add_row(name, f"{images / taken.clock:,.0f}", *ratios, f"{1e3 * taken.processor / images:.2f}")
    Console(width=max(120, Console().width)).print(table)


def peak(batch: int, size: int, view: str) -> tuple[float, float]:
    """What drawing one batch adds to the memory of a process of its own: megabytes, and times the batch's images."""
    command = [sys.executable, __file__, str(batch), str(size), view]
    added = int(subprocess.run(command, check=True, capture_output=True, text=True).stdout)
    return added / 2**20, added / (batch * 3 * size * size * 4)


def added_by_drawing(batch: int, size: int, view: str) -> int:
    """Bytes by which the process grows at most, as Linux counts them."""
    people, sizes = actors(16)
    points = in_pictures(people, sizes)
    points = points.repeat(-(-batch // 16), 1, 1, 1)[:batch]
    renderer = SkeletonRenderer(layout(), size, view)
    renderer(points[:1])
    Path("/proc/self/clear_refs").write_text("5")  # from here on the peak is counted anew
    before = highest()
    images = renderer(points)
    return highest() - before if len(images) == batch else 0


def highest() -> int:
    status = Path("/proc/self/status").read_text()
    return int(next(line for line in status.splitlines() if line.startswith("VmHWM")).split()[1]) * 1024


if __name__ == "__main__":
    print(added_by_drawing(int(sys.argv[1]), int(sys.argv[2]), sys.argv[3]))
