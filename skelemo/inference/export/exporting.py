"""Export to ONNX and ``torch.export``, with checks against the run's own predictions."""

import io
import json
import logging
import tempfile
import warnings
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch

import skelemo
from skelemo.atomic import finished
from skelemo.cache.store import Cache
from skelemo.errors import ConfigError
from skelemo.inference import onnx
from skelemo.inference.export.checks import Cost, check, costs, quantized
from skelemo.inference.export.end_to_end import EndToEnd
from skelemo.inference.onnx import Arrays, Exported
from skelemo.inference.predictor import Model

#: Most windows in one call.
_MOST = 1 << 16


def program(module: EndToEnd) -> torch.export.ExportedProgram:
    """The module as a graph with dynamic batch size, number of windows and length of recordings.

    Raises `ConfigError`: the network has data-dependent control flow.
    """
    free = torch.export.Dim
    batch, windows = free("batch", min=1, max=_MOST), free("windows", min=1, max=_MOST)
    count = free("recording", min=module.least, max=1 << 24)
    shapes: dict[str, Any] = {name: {0: batch} for name in module.inputs}
    if module.by_clip:
        shapes = {name: {1: count} for name in module.inputs} | {"frame_size": {}, "frames": {0: windows}}
        shapes = {name: shapes[name] for name in module.inputs}
    module.eval().requires_grad_(False)
    try:
        with _quiet(), torch.no_grad():
            given = torch.export.export(module, (), module.example(), dynamic_shapes=shapes, strict=False)
    except Exception as error:  # networks of other packages may raise anything
        raise ConfigError(f"{_arch(module)} cannot be exported: {_first(error)}") from error
    return given


def to_onnx(module: EndToEnd) -> bytes:
    """The module as an ONNX model, without metadata.

    Raises `ConfigError`: packages are missing, or an operation has no ONNX equivalent.
    """
    try:
        import onnxruntime
        import onnxscript  # noqa: F401  # torch's exporter needs it
    except ImportError as error:
        raise ConfigError(f"export needs {error.name}: pip install 'skelemo[export]'") from None
    try:
        with _quiet(), torch.no_grad():
            found = torch.onnx.export(
                program(module),
                dynamo=True,
                input_names=module.inputs,
                output_names=module.outputs,
                optimize=False,  # ONNX Runtime folds constants 100 times faster
                verbose=False,
            )
        assert found is not None
        content = found.model_proto.SerializeToString()
    except ConfigError:
        raise
    except Exception as error:
        raise ConfigError(f"{_arch(module)} cannot be written as ONNX: {_first(error)}") from error
    return _folded(content, onnxruntime)


def _folded(content: bytes, runtime: Any) -> bytes:
    """The model with constants folded by ONNX Runtime, restricted to standard operations."""
    options = runtime.SessionOptions()
    options.graph_optimization_level = runtime.GraphOptimizationLevel.ORT_ENABLE_BASIC
    options.log_severity_level = 3
    with tempfile.TemporaryDirectory(prefix="skelemo-") as folder:
        options.optimized_model_filepath = str(Path(folder) / "model.onnx")
        runtime.InferenceSession(content, options, providers=["CPUExecutionProvider"])
        return Path(options.optimized_model_filepath).read_bytes()


def _saved(given: torch.export.ExportedProgram, metadata: str) -> bytes:
    """The graph saved by ``torch.export``, with its metadata as the extra file ``skelemo.json``."""
    given.example_inputs = None
    written = io.BytesIO()
    with _quiet():
        torch.export.save(given, written, extra_files={"skelemo.json": metadata})
    return written.getvalue()


@contextmanager
def _quiet() -> Iterator[None]:
    """Silence the exporters' own warnings."""
    before = logging.root.manager.disable
    logging.disable(logging.WARNING)
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            yield
    finally:
        logging.disable(before)


def _arch(module: EndToEnd) -> str:
    return " + ".join(sorted({type(network).__name__ for network in module.networks}))


def _first(error: Exception) -> str:
    cause = error.__cause__ or error
    return f"{type(cause).__name__}: {' '.join(str(cause).split())[:300]}"


@dataclass(frozen=True)
class Export:
    """Result of an export.

    Parameters
    ----------
    difference : largest difference from the run's own predictions.
    checked_on : description of the frames compared.
    costs : cost of quantization by head.
    notes : differences between the file and the run, one line each.
    """

    path: Path
    size: int
    difference: float
    checked_on: str
    costs: tuple[Cost, ...] = ()
    notes: tuple[str, ...] = ()


def export_model(
    model: Model, out: Path, *, cache: Cache | None = None, quantize: bool = False, splits: Mapping[str, Any]
) -> Export:
    """Write a model as one file, ``.onnx`` or ``.pt2``, after checking that its predictions agree with the run's.

    Raises `ConfigError`: the model cannot be exported, its predictions differ, or an option does not apply.

    Parameters
    ----------
    cache : frames to compare predictions on, by default simulated; with `quantize` the cache it was trained on.
    splits : content of the run's ``splits.json``, for quantization.
    """
    module = EndToEnd(model)
    facts = facts_of(model, module)
    notes = _notes(model)
    if out.suffix.lower() == ".pt2":
        given = program(module)
        compute = given.module()

        def run(inputs: Mapping[str, np.ndarray]) -> Arrays:
            with torch.no_grad():
                found = compute(**{name: torch.from_numpy(value) for name, value in inputs.items()})
            return {name: value.numpy() for name, value in found.items()}

        difference = check(model, Exported(facts, run, module.inputs), cache)
        content = _saved(given, json.dumps(facts, ensure_ascii=False))
        out.parent.mkdir(parents=True, exist_ok=True)
        with finished(out) as partial:
            partial.write_bytes(content)
        return Export(out, len(content), difference, _named(cache), (), notes)
    content = to_onnx(module)
    with tempfile.TemporaryDirectory(prefix="skelemo-") as folder:
        plain = Path(folder) / "model.onnx"
        onnx.write(plain, content, facts)
        exported = onnx.load(plain)
        difference = check(model, exported, cache)
        found: list[Cost] = []
        if quantize:
            assert cache is not None
            with _quiet():
                content, facts = quantized(content, exported, cache, splits), facts | {"precision": "int8"}
            small = Path(folder) / "int8.onnx"
            onnx.write(small, content, facts)
            found = costs(model, exported, onnx.load(small), cache, splits)
    onnx.write(out, content, facts)
    return Export(out, out.stat().st_size, difference, _named(cache), tuple(found), notes)


def facts_of(model: Model, module: EndToEnd) -> dict[str, Any]:
    """Metadata of the exported file, `skelemo.runs.schemas.ExportedFields`."""
    members = model.members
    smoothing = members[0].file.smoothing if len(members) == 1 else {}
    return {
        "format": onnx.FORMAT,
        "skelemo": skelemo.__version__,
        "name": model.name,
        "archs": sorted({one.file.arch for one in members}),
        "heads": [head.to_json() for head in module.heads],
        "layout": module.layout.name,
        "parts": [part.name for part in module.layout.parts],
        "units": "pixels",
        "window": asdict(module.window),
        "preparation": module.settings.to_json(),
        "least": module.least,
        "precision": "float32",
        "neutral_radius": model.radius,
        "smoothing": {name: dict(found) for name, found in smoothing.items()},
        "weights_sha256": [one.file.weights_sha256 for one in members],
    }


def _notes(model: Model) -> tuple[str, ...]:
    found = []
    if any(one.file.precision != "32-true" for one in model.members):
        found.append("the run predicts in 16-bit precision, the exported model in 32: they differ in the third digit")
    if model.members[0].preparation.reference == "clip":
        found.append(
            "the run has reference: clip, so the file takes a person's whole recording and the frames of each window; "
            "a run with --set reference=window takes windows only"
        )
    return tuple(found)


def _named(cache: Cache | None) -> str:
    return f"frames of {cache.name}" if cache else "simulated frames"
