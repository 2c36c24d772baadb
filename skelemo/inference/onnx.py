"""Exported models, loaded and run without torch; written by `skelemo.inference.export.exporting`.

An ONNX file has two metadata entries. ``skelemo`` is JSON (`skelemo.runs.schemas.ExportedFields`): heads, layout,
window, preparation, units, versions, and the SHA-256 of the source weights. ``sha256``, the last bytes of the file, is
the hash of all bytes before it: a damaged or modified file is refused before it is parsed.
"""

import hashlib
import json
from collections.abc import Callable, Collection, Iterable, Iterator, Mapping
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import pandas as pd

from skelemo.atomic import finished
from skelemo.cache.store import Cache
from skelemo.data.window_frames import KEY_SPAN, Window, guess_sizes, target_rows, window_frames
from skelemo.errors import ConfigError, InputError, SkelemoError, one_line
from skelemo.inference.base import BasePredictor, Progress, StrPath, paths_of
from skelemo.inference.sources import require_parts
from skelemo.inference.table import Options
from skelemo.openpose.scale import to_pixels
from skelemo.runs.schemas import schema_error
from skelemo.skeleton import SCALES, layout
from skelemo.targets import Head

FORMAT = 1
SUFFIX = ".onnx"
#: Size limits in bytes of a model and of its metadata.
_LARGEST, _LONGEST = 1 << 31, 1 << 20
#: Windows per call for keypoints and for images.
_BATCH, _IMAGES = 1024, 64
_KEY = b"sha256"
_SEAL = 4 + len(_KEY) + 2 + 64  # bytes of the last entry

Arrays = dict[str, np.ndarray]
#: ``run(inputs) -> outputs``, by name.
Run = Callable[[Mapping[str, np.ndarray]], Arrays]


class Exported(BasePredictor):
    """An exported model.

    Parameters
    ----------
    facts : metadata, see `skelemo.runs.schemas.ExportedFields`.
    run : computes the outputs.
    inputs : names of the inputs of ``run``.
    identity : hash of the model.
    """

    def __init__(self, facts: Mapping[str, Any], run: Run, inputs: Collection[str], identity: str = "") -> None:
        self.facts, self.run, self.inputs, self.identity = facts, run, tuple(inputs), identity
        self.name, self.radius = facts["name"], facts.get("neutral_radius")
        self.networks = f"exported {' + '.join(facts['archs'])}"
        self.heads, self.layout = tuple(map(Head.from_json, facts["heads"])), layout(facts["layout"])
        self.smoothing = [facts["smoothing"]]
        self.window = Window(**facts["window"])
        self.by_clip = facts["preparation"]["reference"] == "clip"
        self.draws = facts["preparation"]["coordinates"] == "frame"
        self.min_confidence = float(facts["preparation"]["min_confidence"])

    def choose_device(self, name: str) -> SimpleNamespace:
        """The CPU, for ``auto`` and ``cpu``."""
        if name not in ("auto", "cpu"):
            raise ConfigError(f"device {name!r}: exported models run on the CPU; expected auto or cpu")
        return SimpleNamespace(type="cpu")

    def predict_raw(
        self,
        keypoints: np.ndarray,
        mask: np.ndarray | None = None,
        *,
        number: np.ndarray | None = None,
        frame_size: np.ndarray | None = None,
        frames: np.ndarray | None = None,
    ) -> Arrays:
        """Outputs ``[W, K]`` of each head for raw keypoints, and the shares that are visible.

        Parameters
        ----------
        keypoints : windows ``[W, T, V, 3]``, or for a model with ``reference: clip`` a person's whole recording
            ``[1, C, V, 3]``: x and y in pixels, and confidence, of the points of `layout`. Confidence 0 is missing.
        mask : which frames are present; default all.
        number : frame numbers; default 0, 1, 2, ...
        frame_size : ``[W, 2]`` or ``[1, 2]``, width and height of the images; default unknown.
        frames : ``[W, T]`` indices of each window's frames in the recording, -1 for none; default the last T.
        """
        batch, count = keypoints.shape[:2]
        mask = np.ones((batch, count), bool) if mask is None else mask
        number = np.broadcast_to(np.arange(count), (batch, count)) if number is None else number
        length = self.window.length
        if self.by_clip and frames is None:
            frames = np.arange(count - length, count)[None]
        if self.by_clip and count < self.facts["least"]:  # pad with missing frames
            lack = self.facts["least"] - count
            keypoints = np.pad(keypoints, ((0, 0), (0, lack), (0, 0), (0, 0)))
            mask = np.pad(mask, ((0, 0), (0, lack)))
            number = np.concatenate([number, number[:, -1:] + np.arange(1, lack + 1)], 1)
        given = {
            "keypoints": np.ascontiguousarray(keypoints, np.float32),
            "mask": np.ascontiguousarray(mask, bool),
            "number": np.ascontiguousarray(number, np.int64),
            "frame_size": np.zeros((batch, 2), np.float32) if frame_size is None else frame_size.astype(np.float32),
            "frames": np.full((1, length), -1) if frames is None else np.maximum(frames, -1).astype(np.int64),
        }
        found = self.run({name: given[name] for name in self.inputs})
        if "seen" in found:
            found["seen"] = found["seen"][:, :count]
        return found

    def outputs(
        self, cache: Cache, rows: np.ndarray, *, batch: int = 0, report: Progress = lambda done, of: None
    ) -> Arrays:
        """Outputs for target rows ``[W]`` of a cache, and ``seen [W]``: whether the frame has a visible point."""
        turns = [self._outputs(cache, rows, turn, batch, report) for turn in range(self.window.clip_windows)]
        return {name: values if len(turns) == 1 or name == "seen" else np.mean([one[name] for one in turns], 0)
                for name, values in turns[0].items()}  # fmt: skip

    def _outputs(self, cache: Cache, rows: np.ndarray, turn: int, batch: int, report: Progress) -> Arrays:
        require_parts(cache, self.layout)
        frames, sequences = cache.read(), cache.sequences
        raw = _pixels(frames.keypoints[:, cache.layout.columns(self.layout.slices)], sequences)
        shown = (raw[..., 2] > 0) & (raw[..., 2] >= self.min_confidence)
        size = sequences[["width", "height"]].to_numpy(np.float32)
        size = np.where((size > 0).all(1, keepdims=True), size, (sequences["scale"] != SCALES[0]).to_numpy()[:, None])
        found, present = window_frames(sequences, frames.number, rows, self.window, turn)
        mine = np.searchsorted(sequences["start"].to_numpy(), rows, side="right") - 1
        batch = batch or (_IMAGES if self.draws else _BATCH)
        pieces, done = [], 0
        if self.by_clip:
            if self.draws:
                size = guess_sizes(size, np.where(shown[..., None], raw, 0), sequences)
            for index, (start, length) in enumerate(zip(sequences["start"], sequences["length"], strict=True)):
                clip = slice(start, start + length)
                for some in _batches(np.flatnonzero(mine == index), batch):
                    one = self.predict_raw(
                        raw[None, clip],
                        number=frames.number[None, clip],
                        frame_size=size[None, index],
                        frames=np.where(present[some], found[some] - start, -1),
                    )
                    pieces.append(one | {"seen": one["seen"][0, rows[some] - start]})
                    report(done := done + len(some), len(rows))
        else:
            for some in _batches(np.arange(len(rows)), batch):
                at = found[some]
                one = self.predict_raw(raw[at], present[some], number=frames.number[at], frame_size=size[mine[some]])
                pieces.append(one | {"seen": shown[rows[some]].any(1)})
                report(done := done + len(some), len(rows))
        return {name: np.concatenate([piece[name] for piece in pieces]) for name in pieces[0]}

    def predict_cache(
        self, cache: Cache, options: Options, device: Any = None, report: Progress = lambda done, of: None
    ) -> pd.DataFrame:
        """The table of predictions for a cache that fits in memory."""
        rows = target_rows(cache.sequences, self.window, options.every)
        found = self.outputs(cache, rows, report=report)
        mine = np.searchsorted(cache.sequences["start"].to_numpy(), rows, side="right") - 1
        key = mine * KEY_SPAN + cache.read().number[rows]
        each = [{head.name: found[head.name] for head in self.heads}]
        shares = found["visible_frames"], found["visible_points"]
        return self.table(cache.sequences, key, each, *shares, found["seen"], options)


def _batches(rows: np.ndarray, most: int) -> Iterator[np.ndarray]:
    return (rows[first : first + most] for first in range(0, len(rows), most))


def _pixels(keypoints: np.ndarray, sequences: pd.DataFrame) -> np.ndarray:
    """Keypoints ``[N, V, 3]`` in pixels, 0 if missing."""
    keypoints = np.where(keypoints[..., 2:] > 0, keypoints, np.float32(0))
    facts = sequences[["scale", "width", "height", "start", "length"]]
    for scale, width, height, start, length in facts.itertuples(index=False):
        if scale != SCALES[0]:
            here = keypoints[start : start + length]
            here[:] = to_pixels(here, scale, (width, height))
    return keypoints


def write(path: Path, content: bytes, facts: Mapping[str, Any]) -> None:
    """Write an ONNX model with its metadata and hash, atomically."""
    content += _entry(b"skelemo", json.dumps(facts, ensure_ascii=False).encode())
    path.parent.mkdir(parents=True, exist_ok=True)
    with finished(path) as partial:
        partial.write_bytes(content + _entry(_KEY, hashlib.sha256(content).hexdigest().encode()))


def _entry(key: bytes, value: bytes) -> bytes:
    """An entry of ``metadata_props`` (field 14 of ``ModelProto`` in onnx.proto), which may be appended to a model."""
    pair = b"\x0a" + _varint(len(key)) + key + b"\x12" + _varint(len(value)) + value
    return b"\x72" + _varint(len(pair)) + pair


def _varint(number: int) -> bytes:
    low = number & 0x7F
    return bytes([low]) if number < 0x80 else bytes([low | 0x80]) + _varint(number >> 7)


def load(path: StrPath, *, threads: int = 0) -> Exported:
    """Load a model written by `skelemo export`.

    Raises `InputError`: the file is missing, damaged, modified, of another version, or not skelemo's; `ConfigError`:
    ONNX Runtime is not installed.
    """
    path = Path(path)
    if not path.is_file():
        raise InputError(f"no file at {path}; expected a model written by skelemo export")
    size = path.stat().st_size
    if size > _LARGEST:
        raise InputError(f"{path} has {size:,} bytes; expected at most {_LARGEST:,}")
    content = path.read_bytes()
    seal = _entry(_KEY, hashlib.sha256(content[:-_SEAL]).hexdigest().encode())
    if content[-_SEAL:][:-64] != seal[:-64]:
        raise InputError(f"{path} is truncated or was not written by skelemo export: export the run again")
    if content[-_SEAL:] != seal:
        raise InputError(f"{path} is damaged or was modified (its SHA-256 differs): copy it again")
    session = _session(content, path, threads)
    facts = _facts(session.get_modelmeta().custom_metadata_map.get("skelemo", ""), path)
    inputs = {one.name: one.shape for one in session.get_inputs()}
    names = [one.name for one in session.get_outputs()]

    def run(given: Mapping[str, np.ndarray]) -> Arrays:
        return dict(zip(names, session.run(names, dict(given)), strict=True))

    try:
        model = Exported(facts, run, inputs, seal[-64:].decode())
        points, heads = len(model.layout), {head.name: len(head) for head in model.heads}
    except SkelemoError as error:
        raise InputError(f"{path} does not describe a model of this version of skelemo: {error}") from None
    shapes = {one.name: one.shape[-1] for one in session.get_outputs()}
    known = {"keypoints", "mask", "number", "frame_size", "frames"}
    fits = inputs.keys() <= known and list(inputs.get("keypoints", ()))[2:] == [points, 3]
    if not fits or any(shapes.get(name) != count for name, count in heads.items()) or "visible_points" not in shapes:
        raise InputError(f"{path}: inputs {list(inputs)} or outputs {names} contradict its metadata")
    return model


def _session(content: bytes, path: Path, threads: int) -> Any:
    try:
        import onnxruntime
    except ImportError:
        raise ConfigError("exported models need ONNX Runtime: pip install onnxruntime") from None
    options = onnxruntime.SessionOptions()
    options.log_severity_level = 3
    options.intra_op_num_threads = threads
    try:
        return onnxruntime.InferenceSession(content, options, providers=["CPUExecutionProvider"])
    except Exception as error:  # onnxruntime's exceptions have no common base
        raise InputError(f"{path} cannot be read by ONNX Runtime: {one_line(error)}") from None


def _facts(text: str, path: Path) -> dict[str, Any]:
    if not text:
        raise InputError(f"{path} has no skelemo metadata: export the run again")
    try:
        facts = json.loads(text) if len(text) <= _LONGEST else None
    except (ValueError, RecursionError):
        facts = None
    if wrong := schema_error("exported", facts):
        raise InputError(f"{path} does not describe a model of this version of skelemo ({wrong})")
    assert facts is not None
    return dict(facts)


def open_model(runs: StrPath | Iterable[StrPath], *, allow: Collection[str] = (), threads: int = 0) -> BasePredictor:
    """The model of run folders, or of an exported file; torch is imported for run folders only.

    Raises `ConfigError`: an exported file and something else.

    Parameters
    ----------
    threads : for prediction in this process; 0 for the library's default.
    """
    paths = paths_of(runs)
    exported = [path for path in paths if path.suffix.lower() == SUFFIX]
    if not exported:
        try:
            import torch

            from skelemo.inference import predictor
        except ModuleNotFoundError as error:
            if error.name != "torch":
                raise
            raise ConfigError("run folders need torch, which is not installed; name a file of skelemo export") from None
        if threads:
            torch.set_num_threads(threads)
        return predictor.load(paths, allow=allow)
    if len(paths) > 1:
        raise ConfigError(f"{exported[0]} is an exported model, which cannot be averaged: name one, or run folders")
    return load(exported[0], threads=threads)
