"""Speed and memory of the architectures in training and inference: ``python tools/bench.py models``."""

import json
import platform
import subprocess
import sys
import time
from collections.abc import Callable
from dataclasses import asdict, dataclass
from pathlib import Path

import click
import torch
from rich.console import Console
from rich.table import Table
from timing import Taken, take_turns
from torch import Tensor, nn

from skelemo.errors import unknown
from skelemo.models.registry import Spec, entry, list_models
from skelemo.render import SkeletonRenderer
from skelemo.skeleton import BODY_MODELS, Layout, layout
from skelemo.targets import Head

DENSE = "dense batch, one product for all frames"
SPARSE = "a Data object for each frame, collated"


#: What is predicted: 20 classes, as in the actions.
HEAD = Head("expression", "classes", tuple(map(str, range(20))))


@dataclass(frozen=True)
class Case:
    """What one process measures."""

    arch: str
    layout: str
    frames: int
    batch: int
    device: str
    threads: int
    rounds: int
    half: bool
    compiled: bool


@dataclass(frozen=True)
class Speed:
    """Seconds of a step and what it takes; ``drawing`` is the share of the training step."""

    parameters: int
    training: Taken
    inference: Taken
    drawing: float
    memory: int


@click.command("models")
@click.option("--arch", "patterns", multiple=True, default=("stgcnpp",), show_default=True, help="Names or globs.")
@click.option("--layout", "layout_name", help="Skeleton.  [default: coco_18; body_25+face_70 where people are drawn]")
@click.option("--frames", type=click.IntRange(1), help="Frames of a clip.  [default: 48; 1 where people are drawn]")
@click.option("--batch", default=16, show_default=True, type=click.IntRange(2), help="Clips of a step.")
@click.option("--threads", default=2, show_default=True, help="Threads of torch on the CPU.")
@click.option("--rounds", default=5, show_default=True, help="How often each step runs; the best counts.")
@click.option("--half", is_flag=True, help="With bfloat16 autocast, as precision=bf16-mixed trains.")
@click.option("--compile", "compiled", is_flag=True, help="With torch.compile, as compile=true trains.")
@click.option("--pyg", is_flag=True, help="Also a graph convolution on dense batches against one on Data objects.")
def command(
    patterns: tuple[str, ...],
    layout_name: str | None,
    frames: int | None,
    batch: int,
    threads: int,
    rounds: int,
    half: bool,
    compiled: bool,
    pyg: bool,
) -> None:
    """Clips/s in training (forward, backward, SGD) and in inference, and memory; each architecture in its own process.

    The sizes of the default are those at which PYSKL's ST-GCN++ trains on 16 clips/s and answers 100 on 2 cores. Of a
    clip with one frame, clips are images; drawing them is part of the step.
    """
    names = sorted({name for pattern in patterns for name in list_models(pattern)})
    if not names:
        raise unknown("architecture", " ".join(patterns), list_models())
    for device in ("cpu", *(["cuda"] if torch.cuda.is_available() else [])):
        table = Table(
            title=f"batches of {batch} on {device}", title_justify="left", caption=_note(threads, half, compiled)
        )
        table.add_column("", no_wrap=True)
        columns = ("frames x points", "parameters", "training, clips/s", "inference, clips/s", "processor ms a clip")
        for heading in (*columns, "drawing", "peak MB"):
            table.add_column(heading, justify="right")
        for name in names:
            draws = entry(name).facts.coordinates == "frame"
            shown, length = layout_name or (layout().name if draws else "coco_18"), frames or (1 if draws else 48)
            case = Case(name, shown, length, batch, device, threads, rounds, half, compiled)
            table.add_row(name, f"{length} x {len(_layout(shown))}", *_cells(_alone(case), batch))
        Console(width=max(120, Console().width)).print(table)
    if pyg:
        _against_pyg(batch, rounds, threads)


def _cells(speed: Speed, batch: int) -> tuple[str, ...]:
    processor = " / ".join(f"{1e3 * taken.processor / batch:.1f}" for taken in (speed.training, speed.inference))
    rates = (f"{batch / taken.clock:.1f}" for taken in (speed.training, speed.inference))
    share = f"{speed.drawing:.0%}" if speed.drawing else ""
    return f"{speed.parameters:,}", *rates, processor, share, f"{speed.memory / 2**20:,.0f}"


def _note(threads: int, half: bool, compiled: bool) -> str:
    precision = f"{'bfloat16 autocast' if half else 'float32'}{', compiled' if compiled else ''}"
    return f"{platform.machine()}, torch {torch.__version__}, {threads} threads, {precision}"


def _alone(case: Case) -> Speed:
    """Measure in a process of its own, so that memory is this architecture's."""
    command = [sys.executable, __file__, json.dumps(asdict(case))]
    found = json.loads(subprocess.run(command, check=True, stdout=subprocess.PIPE, text=True).stdout.splitlines()[-1])
    return Speed(**found | {name: Taken(*found[name]) for name in ("training", "inference")})


def measure(case: Case) -> Speed:
    """Time a training step and an answer, and note by how much memory grows at most."""
    torch.set_num_threads(case.threads)
    torch.manual_seed(0)
    device = torch.device(case.device)
    spec = Spec(_layout(case.layout), (HEAD,), case.frames)
    network = entry(case.arch).function(spec).to(device)
    keypoints = torch.rand(case.batch, case.frames, len(spec.layout), 3, device=device)
    keypoints[..., :2] -= 0.5
    mask = torch.ones(case.batch, case.frames, dtype=torch.bool, device=device)
    labels = torch.arange(case.batch, device=device) % len(HEAD)
    optimizer = torch.optim.SGD(network.parameters(), 0.01, momentum=0.9)
    drawing = _Stopwatch(network, device)
    if case.compiled:
        network.compile()
    shares: list[float] = []

    def answer() -> Tensor:
        with torch.autocast(device.type, torch.bfloat16, enabled=case.half):
            return network(keypoints, mask)[HEAD.name].float()

    def train() -> None:
        drawing.seconds, start = 0.0, time.perf_counter()
        optimizer.zero_grad()
        nn.functional.cross_entropy(answer(), labels).backward()
        optimizer.step()
        _wait(device)
        shares.append(drawing.seconds / (time.perf_counter() - start))

    def infer() -> None:
        with torch.inference_mode():
            answer()
        _wait(device)

    before = _mark(device)
    training = take_turns({"": train}, case.rounds)[""]
    memory = _most(device) - before
    network.eval()
    inference = take_turns({"": infer}, case.rounds)[""]
    return Speed(sum(p.numel() for p in network.parameters()), training, inference, min(shares), memory)


class _Stopwatch:
    """Seconds that the renderers of a network take."""

    def __init__(self, network: nn.Module, device: torch.device) -> None:
        self.seconds = 0.0
        for module in network.modules():
            if isinstance(module, SkeletonRenderer):
                module.register_forward_pre_hook(lambda *_: self._add(-1, device))
                module.register_forward_hook(lambda *_: self._add(1, device))

    def _add(self, sign: int, device: torch.device) -> None:
        _wait(device)
        self.seconds += sign * time.perf_counter()


def _against_pyg(batch: int, rounds: int, threads: int) -> None:
    """The same graph convolution with its gradient, on a dense batch and on a `Data` object for each frame."""
    from torch_geometric.data import Batch, Data
    from torch_geometric.nn import GCNConv

    from skelemo.models.graph import partition, skeleton_graph
    from skelemo.models.joint_layers import GraphConv

    torch.set_num_threads(threads)
    found, frames, width = layout(), 48, 64
    edges = skeleton_graph(found, mirror=False).edge_index
    rows = torch.randn(batch * frames, len(found), 3)
    dense, sparse = GraphConv(3, width, partition(found).sum(0, keepdim=True)), GCNConv(3, width)
    dense.add_module("mix", dense.mix.linear)  # without batch norm

    def collated() -> None:
        together = Batch.from_data_list([Data(x=row, edge_index=edges) for row in rows])
        sparse(together.x, together.edge_index).square().mean().backward()

    contenders: dict[str, Callable[[], object]] = {
        DENSE: lambda: dense(rows).square().mean().backward(),
        SPARSE: collated,
    }
    best = take_turns(contenders, rounds)
    table = Table(title=f"a graph convolution of {found.name}, 3 to {width} channels", title_justify="left")
    for heading in ("", "frames/s", f"x {SPARSE}"):
        table.add_column(heading, justify="right" if heading else "left", no_wrap=True)
    for name, taken in best.items():
        table.add_row(name, f"{len(rows) / taken.clock:,.0f}", f"{best[SPARSE].clock / taken.clock:.1f}")
    Console(width=max(120, Console().width)).print(table)


def _layout(name: str) -> Layout:
    return Layout(name, (BODY_MODELS[name],)) if name in BODY_MODELS else layout(name)


def _wait(device: torch.device) -> None:
    if device.type == "cuda":
        torch.cuda.synchronize(device)


def _mark(device: torch.device) -> int:
    """Bytes in use; from here on the peak is counted anew."""
    if device.type == "cuda":
        torch.cuda.reset_peak_memory_stats(device)
        return torch.cuda.memory_allocated(device)
    Path("/proc/self/clear_refs").write_text("5")
    return _most(device)


def _most(device: torch.device) -> int:
    if device.type == "cuda":
        return torch.cuda.max_memory_allocated(device)
    status = Path("/proc/self/status").read_text()
    return int(next(line for line in status.splitlines() if line.startswith("VmHWM")).split()[1]) * 1024


if __name__ == "__main__":
    print(json.dumps(asdict(measure(Case(**json.loads(sys.argv[1]))))))
