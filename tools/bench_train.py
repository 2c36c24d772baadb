"""What a training step spends on data, and ST-GCN++ beside its published form: ``python tools/bench.py train``."""

import platform
import tempfile
import time
from functools import partial
from pathlib import Path

import click
import numpy as np
import torch
from rich.console import Console
from rich.table import Table
from simulated_cache import write_cache
from timing import take_turns
from torch import Tensor, nn

from skelemo.cache.store import open_cache
from skelemo.data.augment import Augmentation
from skelemo.data.corpus import load_corpus
from skelemo.data.loader import Batch, Batches, inputs
from skelemo.data.windows import Window, find_targets
from skelemo.models.graph import directed_partition
from skelemo.models.packing import packed
from skelemo.models.registry import Spec, create, entry
from skelemo.preprocess import Preparation
from skelemo.render import SkeletonRenderer
from skelemo.skeleton import COCO_18, DEFAULT_LAYOUT, Layout
from skelemo.targets import EXPRESSION, VA, Head
from skelemo.training.job import fast_precision

#: Frames of a window, by architecture.
CASES = {"resnet18": 1, "densenet121": 1, "stgcnpp": 48}
_AUGMENTED = Augmentation(mirror=0.5, rotate=10, scale=0.1, shift=0.05, jitter=0.01)
_HEAD = Head("action", "classes", tuple(map(str, range(20))))


@click.command("train")
@click.option("--arch", "names", multiple=True, type=click.Choice(list(CASES)), help="Architectures.  [default: all]")
@click.option("--steps", default=4, show_default=True, type=click.IntRange(1), help="Steps of each round.")
@click.option("--batch", default=16, show_default=True, type=click.IntRange(2), help="Windows of a step.")
@click.option("--threads", default=2, show_default=True, help="Threads of torch on the CPU.")
@click.option("--rounds", default=3, show_default=True, help="How often each is timed; the best counts.")
def command(names: tuple[str, ...], steps: int, batch: int, threads: int, rounds: int) -> None:
    """Share of a step that gathering, augmenting and drawing take, and clips/s beside the published ST-GCN++."""
    torch.set_num_threads(threads)
    device = torch.device("cuda" if torch.cuda.is_available() else "cpu")
    note = f"{platform.machine()}, torch {torch.__version__}, {threads} threads, {device}"
    table = Table(title=f"batches of {batch}", title_justify="left", caption=note, caption_justify="left")
    for heading in ("", "frames x points", "ms a step", "of it data", "drawing"):
        table.add_column(heading, justify="right" if heading else "left", no_wrap=True)
    with tempfile.TemporaryDirectory() as folder:
        write_cache(Path(folder), 16_200)
        for name in names or CASES:
            table.add_row(name, *_shares(name, Path(folder), steps, batch, rounds, device))
    console = Console(width=max(100, Console().width))
    console.print(table)
    if not names or "stgcnpp" in names:
        console.print(_beside_published(batch, rounds, device, note))


def _shares(name: str, folder: Path, steps: int, batch: int, rounds: int, device: torch.device) -> tuple[str, ...]:
    corpus = load_corpus(open_cache(folder), Preparation(entry(name).facts.coordinates)).to(device)
    window, heads = Window(CASES[name]), ("expression", "va")
    targets = find_targets(corpus, np.arange(len(corpus.sequences)), window, heads, every=10, seen_only=True)
    network = create(name, layout_name=DEFAULT_LAYOUT, heads=(EXPRESSION, VA), frames=window.length).to(device)
    drawn = sum(_watch(module) for module in network.modules() if isinstance(module, SkeletonRenderer))
    optimizer = torch.optim.Adam(network.parameters(), 1e-4)

    def epoch() -> Batches:
        return Batches(corpus, targets, window, batch, device, augmentation=_AUGMENTED, seed=1, most=steps * batch)

    def learn(one: Batch) -> None:
        optimizer.zero_grad()
        outputs, labels = network(**inputs(one)), one["labels"]
        loss = nn.functional.cross_entropy(outputs["expression"], labels["expression"].long().clamp(min=0))
        (loss + nn.functional.mse_loss(outputs["va"], labels["va"].nan_to_num())).backward()
        optimizer.step()

    shares: list[float] = []

    def train() -> None:
        _DRAWING.clear()
        begun = time.perf_counter()
        for one in epoch():
            learn(one)
        shares.append(sum(_DRAWING) / (time.perf_counter() - begun))

    best = take_turns({"step": train, "data": lambda: list(map(len, epoch()))}, rounds)
    step, data = best["step"].clock / steps, best["data"].clock / steps
    shape = f"{window.length} x {len(corpus.layout)}"
    return shape, f"{1e3 * step:.1f}", f"{data / step:.1%}", f"{min(shares):.1%}" if drawn else ""


_DRAWING: list[float] = []


def _watch(renderer: nn.Module) -> bool:
    renderer.register_forward_pre_hook(lambda *_: _DRAWING.append(-time.perf_counter()))
    renderer.register_forward_hook(lambda *_: _DRAWING.append(time.perf_counter()))
    return True


def _beside_published(batch: int, rounds: int, device: torch.device, note: str) -> Table:
    spec = Spec(Layout("coco_18", (COCO_18,)), (_HEAD,), 48)
    ours = entry("stgcnpp").function(spec).to(device)
    theirs = Published(directed_partition(spec.layout)).to(device)
    keypoints = torch.rand(batch, 48, 18, 3, device=device)
    mask, labels = torch.ones(batch, 48, dtype=torch.bool, device=device), torch.arange(batch, device=device) % 20
    grid = keypoints.permute(0, 3, 1, 2).contiguous()
    auto = "skelemo, precision: auto"
    calls = {"skelemo": lambda: ours(keypoints, mask)[_HEAD.name], "published form": lambda: theirs(grid)}
    networks: dict[str, nn.Module] = {"skelemo": ours, "published form": theirs}
    if fast_precision(device) == "bf16-mixed":
        networks[auto] = ours

        def in_half() -> Tensor:
            with torch.autocast(device.type, torch.bfloat16):
                return ours(keypoints, mask)[_HEAD.name]

        calls[auto] = in_half

    def learn(name: str, network: nn.Module) -> None:
        network.zero_grad()
        nn.functional.cross_entropy(calls[name](), labels).backward()
        _ = labels.sum().item()  # waits for the device

    training = take_turns({name: partial(learn, name, network) for name, network in networks.items()}, rounds)
    ours.eval(), theirs.eval()
    if device.type == "cpu":
        ready = packed(ours)
        calls["skelemo"] = lambda: ready(keypoints, mask)[_HEAD.name]

    @torch.inference_mode()
    def predict(name: str) -> float:
        return calls[name]().sum().item()

    inference = take_turns({name: partial(predict, name) for name in calls}, rounds)
    sizes = f"parameters: skelemo {_size(ours):,}, published {_size(theirs):,}"
    title = f"ST-GCN++, {batch} clips of 48 x 18, 20 classes; {sizes}"
    table = Table(title=title, title_justify="left", caption=note, caption_justify="left")
    for heading in ("", "training, clips/s", "ratio", "inference, clips/s", "ratio"):
        table.add_column(heading, justify="right" if heading else "left", no_wrap=True)
    for name in calls:
        cells = []
        for taken in (training, inference):
            cells += [f"{batch / taken[name].clock:.1f}", f"{taken['published form'].clock / taken[name].clock:.2f}"]
        table.add_row(name, *cells)
    return table


def _size(network: nn.Module) -> int:
    return sum(parameter.numel() for parameter in network.parameters())


class Published(nn.Module):
    """ST-GCN++ as its authors lay it out (arXiv 2205.09443): ``[N, C, T, V]``, 1 x 1 convolutions, einsum."""

    def __init__(self, adjacency: Tensor, widths: tuple[int, ...] = (64,) * 4 + (128,) * 3 + (256,) * 3) -> None:
        super().__init__()
        self.entered = nn.BatchNorm1d(3 * adjacency.shape[-1])
        before = (3, *widths)
        self.blocks = nn.ModuleList(
            _Block(inputs, outputs, adjacency, 2 if number and outputs > inputs else 1, residual=number > 0)
            for number, (inputs, outputs) in enumerate(zip(before, widths, strict=False))
        )
        self.classes = nn.Linear(widths[-1], 20)

    def forward(self, x: Tensor) -> Tensor:
        """``[N, 3, T, V]`` to ``[N, 20]``."""
        batch, channels, frames, points = x.shape
        flat = self.entered(x.permute(0, 3, 1, 2).reshape(batch, points * channels, frames))
        x = flat.view(batch, points, channels, frames).permute(0, 2, 3, 1).contiguous()
        for block in self.blocks:
            x = block(x)
        return self.classes(x.mean((2, 3)))


class _Block(nn.Module):
    def __init__(self, inputs: int, outputs: int, adjacency: Tensor, stride: int, *, residual: bool) -> None:
        super().__init__()
        self.adjacency = nn.Parameter(adjacency.clone())
        self.gathered = _conv(inputs * len(adjacency), outputs)
        self.down = nn.Identity() if inputs == outputs else _conv(inputs, outputs)
        share = outputs // 6
        first = outputs - 5 * share
        widths = (first, share, share, share)
        self.branches = nn.ModuleList(
            nn.Sequential(
                _conv(outputs, width), nn.ReLU(), nn.Conv2d(width, width, (3, 1), (stride, 1), (rate, 0), (rate, 1))
            )
            for width, rate in zip(widths, (1, 2, 3, 4), strict=True)
        )
        self.branches.append(nn.Sequential(_conv(outputs, share), nn.ReLU(), nn.MaxPool2d((3, 1), (stride, 1), (1, 0))))
        self.branches.append(nn.Conv2d(outputs, share, 1, (stride, 1)))
        self.mixed = nn.Sequential(nn.BatchNorm2d(outputs), nn.ReLU(), _conv(outputs, outputs))
        same = inputs == outputs and stride == 1
        self.shortcut = (nn.Identity() if same else _conv(inputs, outputs, stride)) if residual else None

    def forward(self, x: Tensor) -> Tensor:
        gathered = torch.einsum("nctv,kvw->nkctw", x, self.adjacency).flatten(1, 2)
        out = torch.relu(self.gathered(gathered) + self.down(x))
        out = self.mixed(torch.cat([branch(out) for branch in self.branches], 1))
        return torch.relu(out if self.shortcut is None else out + self.shortcut(x))


def _conv(inputs: int, outputs: int, stride: int = 1) -> nn.Sequential:
    return nn.Sequential(nn.Conv2d(inputs, outputs, 1, (stride, 1)), nn.BatchNorm2d(outputs))
