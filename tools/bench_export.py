"""Exported models in ONNX Runtime against the same module in torch: ``python tools/bench.py export``."""

import platform
from types import SimpleNamespace
from typing import Any, cast

import click
import onnxruntime
import torch
from rich.console import Console
from rich.table import Table
from timing import take_turns

from skelemo.data.window_frames import Window
from skelemo.inference.export.end_to_end import EndToEnd
from skelemo.inference.export.exporting import to_onnx
from skelemo.models.registry import create, entry
from skelemo.preprocess import Preparation
from skelemo.skeleton import layout
from skelemo.targets import EXPRESSION, VA

HEADS = (EXPRESSION, VA)


@click.command("export")
@click.option("--arch", multiple=True, default=("ann", "transformer", "stgcnpp", "resnet18"), show_default=True)
@click.option("--frames", default=16, show_default=True, help="Frames of a window; 1 for networks that draw.")
@click.option("--rounds", default=20, show_default=True)
def command(arch: tuple[str, ...], frames: int, rounds: int) -> None:
    """Milliseconds a window from raw keypoints of body and face to probabilities, one thread each."""
    torch.set_num_threads(1)
    table = Table(title="ms a window, of one processor", title_justify="left")
    for column in ("", "frames", "batch", "torch", "ONNX Runtime", "ratio", "file, MB"):
        table.add_column(column, justify="right" if column else "left")
    for name in arch:
        draws = entry(name).facts.coordinates == "frame"
        module = _module(name, 1 if draws else frames)
        content = to_onnx(module)
        options = onnxruntime.SessionOptions()
        options.intra_op_num_threads = 1
        session = onnxruntime.InferenceSession(content, options, providers=["CPUExecutionProvider"])
        for batch in (1, 32):
            given = module.example(batch)
            arrays = {key: value.numpy() for key, value in given.items()}

            def in_torch(module: Any = module, given: Any = given) -> Any:
                with torch.inference_mode():
                    return module(**given)

            def in_runtime(session: Any = session, arrays: Any = arrays) -> Any:
                return session.run(None, arrays)

            taken = take_turns({"torch": in_torch, "onnx": in_runtime}, rounds)
            mine, theirs = (1e3 * taken[which].processor / batch for which in ("torch", "onnx"))
            cells = (f"{mine:.2f}", f"{theirs:.2f}", f"{mine / theirs:.1f}", f"{len(content) / 1e6:.1f}")
            table.add_row(name, str(module.window.length), str(batch), *cells)
    Console(width=100).print(table)
    click.echo(f"{platform.machine()}, torch {torch.__version__}, onnxruntime {onnxruntime.__version__}")


def _module(name: str, frames: int) -> EndToEnd:
    torch.manual_seed(0)
    seen, coordinates = layout(), entry(name).facts.coordinates
    network = create(name, layout_name=seen.name, heads=HEADS, frames=frames).eval()
    preparation = Preparation(coordinates=coordinates, reference="window", max_gap=5)
    one = SimpleNamespace(network=network, layout=seen, preparation=preparation, window=Window(frames),
                          file=SimpleNamespace(heads=HEADS, arch=name))  # fmt: skip
    return EndToEnd(cast(Any, SimpleNamespace(members=(one,), heads=HEADS, name=name)))
