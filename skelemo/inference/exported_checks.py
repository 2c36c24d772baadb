"""Checks of exported models: the same predictions as the run's own, and what 8-bit numbers cost."""

import tempfile
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
import torch

from skelemo.cache.sequence import Sequence as Clip
from skelemo.cache.shard import Header, write_shard
from skelemo.cache.store import Cache, open_cache
from skelemo.data.corpus import load_corpus
from skelemo.data.window import target_rows
from skelemo.data.windows import find_targets
from skelemo.errors import ConfigError, InputError
from skelemo.evaluation.metrics import main_metric, titles
from skelemo.evaluation.scores import measure
from skelemo.inference.onnx import Arrays, Exported
from skelemo.inference.predictor import Model
from skelemo.simulate import Cast, short_clip
from skelemo.skeleton import Layout, layout

#: Largest difference from the run's own predictions that an exported file may have.
TOLERANCE = 1e-4
#: Windows that are compared, and sequences that they come from.
_WINDOWS, _SEQUENCES = 14, 6
_BATCHES = (1, 7)
#: Windows that say which range numbers have, and that score a quantized model, at most.
_CALIBRATION, _SCORED = 64, 4000
#: Operations that are quantized.
_PRODUCTS = ["Conv", "Gemm", "MatMul"]


@dataclass(frozen=True)
class Cost:
    """What quantizing costs a head on the validation subset: its main figure before and after."""

    head: str
    figure: str
    before: float
    after: float
    windows: int


def check(model: Model, exported: Exported, cache: Cache | None) -> float:
    """The largest difference between the predictions of a run and of its exported file, one window and seven at a time.

    Raises `ConfigError`: it is more than `TOLERANCE`, or the cache lacks the model's parts.

    Parameters
    ----------
    cache : real frames; simulated ones unless given.
    """
    with tempfile.TemporaryDirectory(prefix="skelemo-") as folder:
        chosen = _some(cache) if cache else _simulated(Path(folder), model.layout)
        exact = [replace(one, file=replace(one.file, precision="32-true")) for one in model.members]
        model = replace(model, members=tuple(exact))
        device = torch.device("cpu")
        rows = target_rows(chosen.sequences, model.members[0].window)
        rows = rows[np.unique(np.linspace(0, len(rows) - 1, _WINDOWS).astype(int))]
        expected, _ = model.outputs(model.load(chosen, device), rows, device)
        worst = 0.0
        for batch in _BATCHES:
            found = exported.outputs(chosen, rows, batch=batch)
            for name in (head.name for head in model.heads):
                apart = float(np.abs(found[name] - expected[name]).max())
                if not apart <= TOLERANCE:
                    raise ConfigError(
                        f"the exported model predicts {name} otherwise than the run, by {apart:.2g} in batches of "
                        f"{batch}; at most {TOLERANCE:g} is accepted, and nothing was written"
                    )
                worst = max(worst, apart)
    return worst


def _some(cache: Cache) -> Cache:
    """A few of its sequences, evenly chosen."""
    return cache.only(np.unique(np.linspace(0, len(cache.sequences) - 1, _SEQUENCES).astype(int)))


def _simulated(folder: Path, wanted: Layout) -> Cache:
    """Simulated people; parts that these have not, at random places."""
    acted, rng, clips = layout(), np.random.default_rng(0), []
    for number in range(3):
        clip = short_clip(Cast(5), number, 40)
        raw = clip.keypoints
        points = rng.uniform(100, 600, (len(raw), len(wanted), 3)).astype(np.float32)
        points[..., 2] = rng.random(points.shape[:2]) > 0.2
        for part in wanted.parts:
            if acted.part(part.name):
                points[:, wanted.slices[part.name]] = raw[:, acted.slices[part.name]]
        points = np.where(points[..., 2:] > 0, points, 0)
        numbers = np.arange(len(raw), dtype=np.int32)
        points[..., 2] = points[..., 2].clip(0, 1)  # OpenPose's are at times above 1, as ingest knows
        clips.append(Clip(f"{number}", f"{number}", points, numbers, width=clip.width, height=clip.height, fps=25.0))
    write_shard(folder, Header(wanted.name), clips)
    return open_cache(folder)


def of_subset(cache: Cache, splits: Mapping[str, Any], subset: str) -> Cache:
    """The sequences of a cache that were in a subset of a run. Raises `InputError`: there are none."""
    named = {name for fold in splits.get("folds", ()) for name in fold.get(subset, ())}
    rows = np.flatnonzero(cache.sequences["id"].isin(named))
    if not len(rows):
        raise InputError(f"{cache.name} has no sequence of the run's {subset} subset: name the cache it was trained on")
    return cache.only(rows)


def quantized(content: bytes, exported: Exported, cache: Cache, splits: Mapping[str, Any]) -> bytes:
    """An ONNX model whose convolutions and matrix products compute with 8-bit integers, ranges from training windows.

    Preparing and drawing stay as they are.

    Raises `ConfigError`: there is nothing to quantize.
    """
    import onnx
    from onnxruntime.quantization import CalibrationDataReader, QuantFormat, QuantType, quantize_static

    model = onnx.load_from_string(content)
    weights = {one.name for one in model.graph.initializer if len(one.dims) > 1 and one.data_type == 1}
    nodes = [node.name for node in model.graph.node if node.op_type in _PRODUCTS and node.input[1] in weights]
    if not nodes:
        raise ConfigError(f"{exported.name} has no convolution and no matrix product that could be quantized")
    readings: list[Arrays] = []

    def record(given: Mapping[str, np.ndarray]) -> Arrays:
        readings.append(dict(given))
        return exported.run(given)

    recorder = Exported(exported.facts, record, exported.inputs)
    chosen = _some(of_subset(cache, splits, "train"))
    rows = target_rows(chosen.sequences, exported.window)
    recorder.outputs(chosen, rows[np.unique(np.linspace(0, len(rows) - 1, _CALIBRATION).astype(int))], batch=16)

    class Reader(CalibrationDataReader):
        def __init__(self) -> None:
            self.left: Iterator[Arrays] = iter(readings)

        def get_next(self) -> Arrays | None:
            return next(self.left, None)

    with tempfile.TemporaryDirectory(prefix="skelemo-") as folder:
        source, target = Path(folder) / "float.onnx", Path(folder) / "int8.onnx"
        source.write_bytes(content)
        quantize_static(
            source,
            target,
            Reader(),
            quant_format=QuantFormat.QDQ,
            op_types_to_quantize=_PRODUCTS,
            nodes_to_quantize=nodes,
            per_channel=True,
            activation_type=QuantType.QUInt8,
            weight_type=QuantType.QInt8,
        )
        return target.read_bytes()


def costs(model: Model, before: Exported, after: Exported, cache: Cache, splits: Mapping[str, Any]) -> list[Cost]:
    """The main figure of each head on the validation subset, by two exported models on the same windows."""
    chosen, one = of_subset(cache, splits, "validation"), model.members[0]
    corpus = load_corpus(chosen, one.preparation, [part.name for part in one.layout.parts], keep_absent=True)
    heads = [head for head in model.heads if head.name in {known.name for known in corpus.heads}]
    targets = find_targets(
        corpus, np.arange(len(corpus.sequences)), one.window, tuple(head.name for head in heads), seen_only=False
    )
    targets = targets[np.unique(np.linspace(0, len(targets) - 1, _SCORED).astype(int))]
    found = [which.outputs(chosen, targets.row) for which in (before, after)]
    scored = []
    for head in heads:
        figure, labels = main_metric(head), targets.labels[head.name]
        plain, small = (measure(head, labels, outputs[head.name])[figure] for outputs in found)
        scored.append(Cost(head.name, titles(head)[figure], plain, small, len(targets)))
    return scored
