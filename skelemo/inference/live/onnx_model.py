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
        if self.model.by_clip or self.shapes[0].clip:
            found = [self._one(view, frame_size) for view in views[0]]
            found_by_name = {name: np.concatenate([one[name] for one in found]) for name in found[0] if name != "seen"}
        else:
            rows = [self._window(view) for view in views[0]]
            keypoints, present, number = (np.stack(each) for each in zip(*rows, strict=True))
            sizes = np.repeat(frame_size, len(rows), 0)
            found_by_name = self.model.predict_raw(keypoints, present, number=number, frame_size=sizes)
        heads = {head.name: found_by_name[head.name] for head in self.model.heads}
        return [(heads, found_by_name["visible_frames"], found_by_name["visible_points"])]

    def measure(self, keypoints: np.ndarray, size: tuple[int, int]) -> list[np.ndarray | None]:
        """Empty: exported models are not calibrated."""
        return []

    def _window(self, view: View) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
        """Keypoints ``[T, V, 3]``, presence and numbers of a window's frames, padded before the first."""
        if view.pick is not None:
            keypoints = view.keypoints[view.pick][:, self._columns]
            return keypoints, view.present[view.pick] & view.picked, view.number[view.pick]
        lead = self.model.window.length - len(view.number)
        keypoints = np.pad(view.keypoints[:, self._columns], ((lead, 0), (0, 0), (0, 0)))
        number = np.concatenate([view.number[0] - np.arange(lead, 0, -1), view.number])
        return keypoints, np.pad(view.present, (lead, 0)), number

    def _one(self, view: View, frame_size: np.ndarray) -> onnx.Arrays:
        if not self.model.by_clip:
            keypoints, present, number = self._window(view)
            return self.model.predict_raw(keypoints[None], present[None], number=number[None], frame_size=frame_size)
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
