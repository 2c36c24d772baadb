"""Adapter of an exported model for live prediction, without torch; cf. `skelemo.inference.live.torch_model`."""

import os
import time
from collections.abc import Sequence

import numpy as np

from skelemo.inference import onnx
from skelemo.inference.live.history import Shape, View
from skelemo.inference.live.stream import Prediction
from skelemo.skeleton import stream_layout


class OnnxModel:
    """Predicts for windows of raw keypoints with an exported model.

    Raises `ConfigError` as `Shape.of`.

    Parameters
    ----------
    clip : frames treated as a clip, for a model of whole clips.
    """

    def __init__(self, model: onnx.Exported, *, clip: int = 0) -> None:
        self.model = model
        self.heads, self.radius = model.all_heads, model.radius
        self.layout, self.min_confidence = model.layout, model.min_confidence
        self.shapes = (Shape.of(model.window, model.name, by_clip=model.by_clip, clip=clip),)
        self._columns = stream_layout(model.layout).columns(model.layout.slices)

    @property
    def notes(self) -> list[str]:
        """Differences from offline predictions, one line each."""
        return self.shapes[0].notes(self.model.name)

    def __call__(self, views: Sequence[Sequence[View]], size: tuple[int, int]) -> list[Prediction]:
        """Predictions for each person."""
        frame_size = np.array([size], np.float32)
        if self.model.by_clip:
            found = [self._of_context(view, frame_size) for view in views[0]]
            found_by_name = {name: np.concatenate([one[name] for one in found]) for name in found[0] if name != "seen"}
        else:
            keypoints = np.stack([view.keypoints[:, self._columns] for view in views[0]])
            present, number = (np.stack([getattr(view, name) for view in views[0]]) for name in ("present", "number"))
            sizes = np.repeat(frame_size, len(keypoints), 0)
            found_by_name = self.model.predict_raw(keypoints, present, number=number, frame_size=sizes)
        heads = {head.name: found_by_name[head.name] for head in self.model.heads}
        return [(heads, found_by_name["visible_frames"], found_by_name["visible_points"])]

    def measure(self, keypoints: np.ndarray, size: tuple[int, int]) -> list[np.ndarray | None]:
        """Empty: exported models are not calibrated."""
        return []

    def _of_context(self, view: View, frame_size: np.ndarray) -> onnx.Arrays:
        assert view.pick is not None
        return self.model.predict_raw(
            view.keypoints[None][:, :, self._columns],
            view.present[None],
            number=view.number[None],
            frame_size=frame_size,
            frames=np.where(view.picked, view.pick, -1)[None],
        )

    def tune(self, threads: int = 0) -> int:
        """Warm up; returns the number of threads, which ONNX Runtime chooses."""
        view = self.shapes[0].example(len(stream_layout(self.layout)))
        until = time.perf_counter() + 0.5
        for _ in range(20):
            self([[view]], (1280, 720))
            if time.perf_counter() > until:
                break
        return os.cpu_count() or 1
