"""Export to ONNX and ``torch.export``: one module from raw keypoints in pixels to predictions.

It contains what training and `Model.predict` do: `skelemo.preprocess`, the renderer, the network (or the networks of
all folds, averaged), softmax.
"""

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
from torch import Tensor, nn

import skelemo
from skelemo.atomic import finished
from skelemo.cache.store import Cache
from skelemo.errors import ConfigError
from skelemo.inference import onnx
from skelemo.inference.exported_checks import Cost, check, costs, quantized
from skelemo.inference.onnx import Arrays, Exported
from skelemo.inference.predictor import Model
from skelemo.models.heads import answers
from skelemo.preprocess import Clips, clean, find_reference, place, prepare
from skelemo.render.views import USUAL

#: Outputs besides those of the heads.
VISIBLE = ("visible_frames", "visible_points")
#: Most windows in one call.
_MOST = 1 << 16


class EndToEnd(nn.Module):
    """The exported module: raw keypoints to predictions.

    A model with ``reference: window`` takes windows, ``keypoints [B, T, V, 3]``. A model with ``reference: clip`` takes
    a person's whole recording, ``keypoints [1, C, V, 3]`` of any length C, and ``frames [W, T]``, the indices of each
    window's frames (-1: none).

    Raises `ConfigError`: the members do not take the same windows.
    """

    def __init__(self, model: Model) -> None:
        super().__init__()
        first = model.members[0]
        for one in model.members[1:]:
            alike = (one.preparation, one.window, one.layout.name) == (
                first.preparation,
                first.window,
                first.layout.name,
            )
            if not alike:
                raise ConfigError(f"{model.name}: the runs prepare keypoints differently; export them one by one")
        self.heads, self.layout, self.settings, self.window = model.heads, first.layout, first.preparation, first.window
        if self.settings.calibrate != "none":
            raise ConfigError(
                f"{model.name} has calibrate: {self.settings.calibrate}, which needs a person's other frames: train "
                "with --set calibrate=none to export, or use the run folder"
            )
        if self.settings.standardize != "none":
            raise ConfigError(
                f"{model.name} has standardize: dataset, which needs the statistics of the whole data set: train with "
                "--set standardize=none to export, or use the run folder"
            )
        self.networks = nn.ModuleList(one.network for one in model.members)
        self.flips = [one.file.flip_average for one in model.members]
        self.of_heads = [one.file.heads for one in model.members]
        self.by_clip = self.settings.reference == "clip"
        self.draws = self.settings.coordinates == "frame"
        timed = self.settings.max_gap > 0 or self.settings.smooth > 1
        several = self.by_clip or self.window.length > 1
        self.inputs = ["keypoints", "mask", *["number"] * (timed and several), *["frame_size"] * self.draws]
        self.inputs += ["frames"] * self.by_clip
        self.outputs = [*(head.name for head in self.heads), *VISIBLE, *["seen"] * self.by_clip]

    @property
    def least(self) -> int:
        """Smallest number of frames: T, or for whole recordings what gaps and smoothing need."""
        if not self.by_clip:
            return self.window.length
        return max(2, 2 * self.settings.max_gap + 2, self.settings.smooth + 1)

    def forward(
        self,
        keypoints: Tensor,
        mask: Tensor,
        number: Tensor | None = None,
        frame_size: Tensor | None = None,
        frames: Tensor | None = None,
    ) -> dict[str, Tensor]:
        """Outputs by name.

        Parameters
        ----------
        keypoints : ``[B, T, V, 3]`` or ``[1, C, V, 3]``, x and y in pixels and confidence; confidence 0 is missing.
        mask : ``[B, T]`` or ``[1, C]`` bool, which frames are present.
        number : int64 of that shape, frame numbers, if gaps are filled or points smoothed.
        frame_size : ``[B, 2]`` width and height of the images, 0 if unknown, for image networks.
        frames : ``[W, T]`` int64, see above.

        Returns
        -------
        ``[B, K]`` or ``[W, K]`` for each head: probabilities of classes and flags, values. ``visible_frames`` and
        ``visible_points``: share of each window's frames and points that is visible. ``seen [1, C]``, for whole
        recordings: whether each frame has a visible point, filled gaps included.
        """
        found: dict[str, Tensor] = {}
        if frames is None:
            points, seen = prepare(keypoints, self.layout, self.settings, number=number, present=mask, size=frame_size)
        else:
            points, seen = self._recordings(keypoints, mask, number, frame_size)
            found["seen"] = seen.unflatten(0, mask.shape)
            index = frames.clamp(min=0)
            seen = seen[index] & (frames >= 0)
            points = points[index] * seen[..., None, None]
        given = {"keypoints": points, "mask": seen}
        if frame_size is not None:
            longer = frame_size.amax(-1, keepdim=True)  # size (1, 1): coordinates are relative to the image
            size = frame_size * torch.where(longer > 1, 1, max(USUAL) / longer.clamp(min=1e-9))
            given["frame_size"] = size if frames is None else size.expand(frames.shape[0], 2)
        every: dict[str, list[Tensor]] = {head.name: [] for head in self.heads}
        for network, heads, flip in zip(self.networks, self.of_heads, self.flips, strict=True):
            for name, output in answers(network, given, heads, self.layout, flip=flip).items():
                every[name].append(output)
        means = {name: each[0] if len(each) == 1 else torch.stack(each).mean(0) for name, each in every.items()}
        shares = seen.float().mean(1), (points[..., 2] > 0).float().mean((1, 2))
        return {**means, **dict(zip(VISIBLE, shares, strict=True)), **found}

    def _recordings(
        self, keypoints: Tensor, mask: Tensor, number: Tensor | None, frame_size: Tensor | None
    ) -> tuple[Tensor, Tensor]:
        """Keypoints ``[B C, V, 3]`` prepared as by `load_corpus`, and which frames have a visible point."""
        batch, count = keypoints.shape[:2]
        if number is None:
            number = torch.arange(count, device=keypoints.device).expand(batch, count)
        clips, there = Clips.windows(number), mask.flatten()[:, None, None]
        flat = keypoints.float().flatten(0, 1)
        flat = torch.where(there & (flat[..., 2:] > 0), flat, 0)
        flat = torch.where(there, clean(flat, clips, self.settings), 0)
        sizes = flat.new_zeros(batch, 2) if frame_size is None else frame_size
        sizes = sizes[:, None].expand(batch, count, 2).flatten(0, 1)
        reference = find_reference(flat, clips, self.layout, self.settings, sizes)
        return place(flat, reference, self.layout), (flat[..., 2] > 0).any(1)

    def example(self, batch: int = 3) -> dict[str, Tensor]:
        """Random inputs for `forward`."""
        frames, windows = (self.least + 3 if self.by_clip else self.window.length), batch
        batch = 1 if self.by_clip else batch
        given = {
            "keypoints": torch.rand(batch, frames, len(self.layout), 3) * torch.tensor([640.0, 480.0, 1.0]),
            "mask": torch.ones(batch, frames, dtype=torch.bool),
            "number": torch.arange(frames).repeat(batch, 1),
            "frame_size": torch.tensor([[640.0, 480.0]]).repeat(batch, 1),
            "frames": torch.randint(0, frames, (windows, self.window.length)),
        }
        return {name: given[name] for name in self.inputs}


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
