"""Checks of exported models: agreement with the run's own predictions, and the cost of quantization."""

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
from skelemo.data.window_frames import target_rows
from skelemo.data.windows import find_targets
from skelemo.errors import ConfigError, InputError
from skelemo.evaluation.metrics import main_metric, titles
from skelemo.evaluation.scores import measure
from skelemo.inference.onnx import Arrays, Exported
from skelemo.inference.predictor import Model
from skelemo.simulate import Cast, short_clip
from skelemo.skeleton import Layout, layout

#: Largest accepted difference from the run's own predictions.
TOLERANCE = 1e-4
#: Number of windows compared, and of the sequences they come from.
_WINDOWS, _SEQUENCES = 14, 6
_BATCHES = (1, 7)
#: Number of windows that calibrate the ranges of a quantized model, and at most that score it.
_CALIBRATION, _SCORED = 64, 4000
#: Quantized operations.
_PRODUCTS = ["Conv", "Gemm", "MatMul"]


@dataclass(frozen=True)
class Cost:
    """Main metric of a head on the validation subset before and after quantization."""

    head: str
    figure: str
    before: float
    after: float
    windows: int


def check(model: Model, exported: Exported, cache: Cache | None) -> float:
    """Largest difference between the predictions of a run and of its exported file, in batches of 1 and 7.

    Raises `ConfigError`: it exceeds `TOLERANCE`, or the cache lacks the model's parts.

    Parameters
    ----------
    cache : frames to compare on; simulated ones by default.
    """
    with tempfile.TemporaryDirectory(prefix="skelemo-") as folder:
        chosen = _some(cache) if cache else _simulated(Path(folder), model.layout)
        exact = [replace(one, file=replace(one.file, precision="32-true")) for one in model.members]
        model = Model(exact, model.name)
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
                        f"{name}: predictions of the exported model differ from the run's by {apart:.2g} in batches "
                        f"of {batch}; expected at most {TOLERANCE:g}; nothing was written"
                    )
                worst = max(worst, apart)
    return worst


def _some(cache: Cache) -> Cache:
    """Evenly spaced sequences of a cache."""
    return cache.only(np.unique(np.linspace(0, len(cache.sequences) - 1, _SEQUENCES).astype(int)))


def _simulated(folder: Path, wanted: Layout) -> Cache:
    """Simulated people; parts that the simulation lacks are random."""
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
        points[..., 2] = points[..., 2].clip(0, 1)  # OpenPose's confidence may exceed 1
        clips.append(Clip(f"{number}", f"{number}", points, numbers, width=clip.width, height=clip.height, fps=25.0))
    write_shard(folder, Header(wanted.name), clips)
    return open_cache(folder)


def of_subset(cache: Cache, splits: Mapping[str, Any], subset: str) -> Cache:
    """The sequences of a cache in a subset of a run. Raises `InputError` if there are none."""
    named = {name for fold in splits.get("folds", ()) for name in fold.get(subset, ())}
    rows = np.flatnonzero(cache.sequences["id"].isin(named))
    if not len(rows):
        raise InputError(f"{cache.name}: no sequence of the run's {subset} subset; name the cache it was trained on")
    return cache.only(rows)


def quantized(content: bytes, exported: Exported, cache: Cache, splits: Mapping[str, Any]) -> bytes:
    """Quantize convolutions and matrix products of an ONNX model to 8-bit integers, calibrated on training windows.

    Raises `ConfigError`: the model has neither.
    """
    import onnx
    from onnxruntime.quantization import CalibrationDataReader, QuantFormat, QuantType, quantize_static

    model = onnx.load_from_string(content)
    weights = {one.name for one in model.graph.initializer if len(one.dims) > 1 and one.data_type == 1}
    nodes = [node.name for node in model.graph.node if node.op_type in _PRODUCTS and node.input[1] in weights]
    if not nodes:
        raise ConfigError(f"{exported.name} has no convolution or matrix product to quantize")
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
            self.readings: Iterator[Arrays] = iter(readings)

        def get_next(self) -> Arrays | None:
            return next(self.readings, None)

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
    """Main metric of each head on the validation subset for two exported models on the same windows."""
    chosen, one = of_subset(cache, splits, "validation"), model.members[0]
    corpus = load_corpus(chosen, one.preparation, list(one.layout.slices), keep_absent=True)
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
