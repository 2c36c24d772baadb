"""Adapter of a loaded model for live prediction: raw windows of a few people in, predictions out."""

import os
import time
from collections.abc import Sequence

import numpy as np
import torch
from torch import Tensor, nn

from skelemo.data.images import usual_size
from skelemo.errors import ConfigError
from skelemo.inference.environment import choose_device
from skelemo.inference.live.history import Shape, View
from skelemo.inference.live.stream import Prediction
from skelemo.inference.predictor import TYPES, Member, Model, autocast
from skelemo.models.heads import predictions
from skelemo.models.packing import packed
from skelemo.preprocess import prepare
from skelemo.preprocess.calibration import evidence_of, shifts, sums_by
from skelemo.skeleton import stream_layout

_ROUNDS = 12  # timed predictions for each number of threads
_WORTH = 0.75  # relative time below which more threads are worth it
_WARM_UP = 1.0  # most seconds of timing for each number of threads
_PAUSE = 0.02  # seconds between two predictions, as between frames: threads sleep and caches cool down


class TorchModel:
    """Predicts for windows of raw keypoints with the networks of a `Model`.

    A run with ``reference: window`` gets the same input as in training. A run with ``reference: clip`` gets the last
    `skelemo.inference.live.history.CONTEXT` frames as its clip.

    Raises `ConfigError` as `Shape.of`, or if the runs cannot be averaged.

    Parameters
    ----------
    clip : frames treated as a clip, for a model of whole clips.
    """

    def __init__(self, model: Model, *, clip: int = 0, device: str = "cpu") -> None:
        self.model, self.device = model, choose_device(device)
        self.heads, self.radius, self.layout = model.all_heads, model.radius, model.layout
        self.min_confidence = min(one.preparation.min_confidence for one in model.members)
        self.shapes = tuple(
            Shape.of(one.window, model.name, by_clip=one.preparation.reference == "clip", clip=clip)
            for one in model.members
        )
        if len({shape.ahead for shape in self.shapes}) > 1:
            raise ConfigError(f"{model.name}: the runs have different delays; they cannot be averaged")
        self._columns = [stream_layout(self.layout).columns(one.layout.slices) for one in model.members]
        self.calibrates = any(one.preparation.calibrate != "none" for one in model.members)
        self._networks = [
            packed(one.network) if self.device.type == "cpu" and one.file.precision not in TYPES else one.network
            for one in model.members
        ]
        for network in self._networks:
            network.to(self.device).eval()

    @property
    def notes(self) -> list[str]:
        """Differences from offline predictions, one line each."""
        found = []
        for one, shape in zip(self.model.members, self.shapes, strict=True):
            name = one.file.arch if self.model.name == one.file.arch else f"{self.model.name} ({one.file.arch})"
            found += shape.notes(name)
            if one.preparation.standardize != "none":
                found.append(f"{name} was trained with standardize: dataset; live, nothing is standardized")
            if one.preparation.calibrate == "track":
                found.append(
                    f"{name} was trained with calibrate: track; live, a person's mean pose is that of the frames so "
                    "far (no difference with --set calibrate=running)"
                )
        return list(dict.fromkeys(found))

    @torch.inference_mode()
    def __call__(self, views: Sequence[Sequence[View]], size: tuple[int, int]) -> list[Prediction]:
        """Predictions of each member for each person."""
        prepared: dict[object, tuple[Tensor, Tensor]] = {}
        found = []
        parts = zip(self.model.members, self._networks, self.shapes, self._columns, views, strict=True)
        for one, network, shape, columns, mine in parts:
            key = (one.preparation, one.layout.name, shape)
            if key not in prepared:
                prepared[key] = self._prepare(one, columns, mine, size)
            found.append(self._predict(one, network, *prepared[key], size))
        return found

    @torch.inference_mode()
    def measure(self, keypoints: np.ndarray, size: tuple[int, int]) -> list[np.ndarray | None]:
        """Calibration sums ``[P, V, 3]`` (x, y, count) by member for frames ``[P, V, 3]`` of P people.

        None for a member without calibration; empty if no member is calibrated.
        """
        if not self.calibrates:
            return []
        found: list[np.ndarray | None] = []
        for one, columns in zip(self.model.members, self._columns, strict=True):
            if one.preparation.calibrate == "none":
                found.append(None)
                continue
            raw = torch.from_numpy(keypoints[:, None, columns]).to(self.device)
            sizes = torch.tensor([size], dtype=torch.float32, device=self.device).expand(len(raw), 2)
            places, _ = prepare(raw, one.layout, one.preparation, size=sizes)
            each = torch.arange(len(raw), device=self.device)
            found.append(sums_by(places[:, 0], each, len(raw)).cpu().numpy())
        return found

    def _prepare(
        self, one: Member, columns: list[int], views: Sequence[View], size: tuple[int, int]
    ) -> tuple[Tensor, Tensor]:
        """Keypoints ``[P, T, V, 3]`` prepared for the member, and mask ``[P, T]``."""
        longest = max(len(view.number) for view in views)
        raw = np.zeros((len(views), longest, len(columns), 3), np.float32)
        number = np.empty((len(views), longest), np.int64)
        present = np.zeros((len(views), longest), bool)
        for row, view in enumerate(views):
            lead = longest - len(view.number)  # padding before the first frame
            raw[row, lead:] = view.keypoints[:, columns]
            number[row, lead:], present[row, lead:] = view.number, view.present
            number[row, :lead] = view.number[0] - np.arange(lead, 0, -1)
        keypoints, mask = prepare(
            torch.from_numpy(raw).to(self.device),
            one.layout,
            one.preparation,
            number=torch.from_numpy(number).to(self.device),
            present=torch.from_numpy(present).to(self.device),
            size=torch.tensor([size], dtype=torch.float32, device=self.device).expand(len(views), 2),
            shift=self._shift(one, views),
        )
        picks = [(view.pick + longest - len(view.number), view.picked) for view in views if view.pick is not None]
        if not picks:
            return keypoints, mask
        pick, picked = (torch.from_numpy(np.stack(rows)).to(self.device) for rows in zip(*picks, strict=True))
        person = torch.arange(len(views), device=self.device)[:, None]
        mask = mask[person, pick] & picked
        return keypoints[person, pick] * mask[..., None, None], mask

    def _shift(self, one: Member, views: Sequence[View]) -> Tensor | None:
        """Mean pose ``[P, V, 2]`` of each person so far; None for a member without calibration."""
        if one.preparation.calibrate == "none":
            return None
        points = len(one.layout)
        sums = np.stack([np.zeros((points, 3)) if view.sums is None else view.sums for view in views])
        known = torch.from_numpy(sums).to(self.device)
        typical = torch.tensor(one.preparation.typical, device=self.device)
        return shifts(known, evidence_of(known[..., 2]), typical)

    def _predict(
        self, one: Member, network: nn.Module, keypoints: Tensor, mask: Tensor, size: tuple[int, int]
    ) -> Prediction:
        inputs = {"keypoints": keypoints, "mask": mask}
        if one.preparation.coordinates == "frame":
            sizes = usual_size(torch.tensor([size], dtype=torch.float32, device=self.device))
            inputs["frame_size"] = sizes.expand(len(mask), 2)
        with autocast(self.device, one.file.precision):
            outputs = predictions(network, inputs, one.file.heads, one.layout, flip=one.file.flip_average)
        frames, points = mask.float().mean(1), (keypoints[..., 2] > 0).float().mean((1, 2))
        heads = {name: output.cpu().numpy() for name, output in outputs.items()}
        return heads, frames.cpu().numpy(), points.cpu().numpy()

    def tune(self, threads: int = 0) -> int:
        """Warm up and set torch's number of threads, by default the fastest on this machine; returns it."""
        views = [[shape.example(len(stream_layout(self.layout)))] for shape in self.shapes]
        choices = [threads] if threads else range(1, min(4, _processors()) + 1)
        taken = {}
        for _ in range(_ROUNDS // 2):
            self(views, (1280, 720))
        for count in choices:
            torch.set_num_threads(count)
            seconds, begun = list[float](), time.perf_counter()
            while len(seconds) < _ROUNDS and (len(seconds) < 2 or time.perf_counter() - begun < _WARM_UP):
                time.sleep(_PAUSE)
                start = time.perf_counter()
                self(views, (1280, 720))
                seconds.append(time.perf_counter() - start)
            taken[count] = sorted(seconds)[-1 - len(seconds) // 4]  # robust to single outliers
        best = next(iter(taken))
        for count in taken:
            best = count if taken[count] < _WORTH * taken[best] else best
        torch.set_num_threads(best)
        return best


def _processors() -> int:
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1
