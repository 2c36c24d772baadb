"""Base class of models that predict, loaded from a run or an exported file: from a source to a table, without torch."""

import os
from abc import ABC, abstractmethod
from collections.abc import Callable, Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

from skelemo.cache.store import Cache
from skelemo.data.window_frames import KEY_SPAN
from skelemo.errors import ConfigError, InputError
from skelemo.evaluation.circumplex import READING, with_reading
from skelemo.inference.keypoints import ReadOptions
from skelemo.inference.sources import Source, open_source
from skelemo.inference.table import Options, has_prediction, prediction_columns, smoothed
from skelemo.pose import Options as PoseOptions
from skelemo.skeleton import Layout
from skelemo.targets import Head
from skelemo.text import html_table

StrPath = str | os.PathLike[str]
#: Frames in memory at a time; an interrupted ``skelemo predict`` loses at most this many.
CHUNK_FRAMES = 8192

#: Progress callback: units done, total units.
Progress = Callable[[int, int], None]
Outputs = Mapping[str, np.ndarray]
#: Statistics per member and point, see `skelemo.preprocess.Preparation`.
Sources = tuple[tuple[tuple[float, ...], ...], ...]


class BasePredictor(ABC):
    """A model or an ensemble that predicts for any source.

    Attributes
    ----------
    networks : architectures in words.
    heads, layout : what it predicts, and the parts that it takes.
    identity : a hash, equal for models with equal predictions.
    radius : distance from the origin within which two values map to neutral; None if they do not map to emotions.
    smoothing : the choice of smoothing in training, by member and head; empty if none was made.
    by_subject : whether predictions depend on all clips of a subject.
    threads : used for prediction.
    """

    name: str
    networks: str
    heads: tuple[Head, ...]
    layout: Layout
    identity: str
    radius: float | None
    smoothing: Sequence[Mapping[str, Any]]
    by_subject: bool = False
    threads: int = os.cpu_count() or 1

    def __repr__(self) -> str:
        return f"<{self.name}: {self.description}>"

    @property
    def description(self) -> str:
        """Networks, parts and heads in a line."""
        return f"{self.networks} on {self.layout.name}, predicts {', '.join(head.name for head in self.all_heads)}"

    def _repr_html_(self) -> str:
        rows = [("parts", ", ".join(part.name for part in self.layout.parts))]
        rows += [(f"predicts {head.name}", ", ".join(head.outputs)) for head in self.all_heads]
        members = len(getattr(self, "members", ()))
        return html_table(f"model {self.name}" + (f", the mean of {members:,}" if members > 1 else ""), (), rows)

    @property
    def all_heads(self) -> tuple[Head, ...]:
        """`heads`, and the emotion that two values map to where the model has a neutral radius."""
        return self.heads if self.radius is None else (*self.heads, READING)

    @abstractmethod
    def choose_device(self, name: str) -> Any:
        """The device called ``name``, with a ``type``; `ConfigError` if it is unavailable."""

    def widths(self, smooth: int | str) -> list[dict[str, int]]:
        """Smoothing width in frames by member and head; `ConfigError` if ``auto`` was not chosen in training."""
        if smooth != "auto":
            return [{head.name: int(smooth) for head in self.heads} for _ in self.smoothing]
        if not all(self.smoothing):
            raise ConfigError(f"{self.name}: no smoothing was chosen in training; set a width, e.g. --smooth 9")
        return [{name: found["width"] for name, found in one.items()} for one in self.smoothing]

    def sources(self, cache: Cache) -> Sources:
        """Statistics of the whole cache that the members standardize by; empty if none does."""
        return ()

    def adapted(self, sources: Sources) -> "BasePredictor":
        """The model, standardizing by these statistics."""
        return self

    @abstractmethod
    def predict_cache(
        self, cache: Cache, options: Options, device: Any = None, report: Progress = lambda done, of: None
    ) -> pd.DataFrame:
        """The table of predictions for a cache that fits in memory; ``report`` counts batches."""

    def predict(
        self,
        source: Source,
        *,
        person: str | int = "all",
        every: int = 1,
        min_seen: float = 0.0,
        smooth: int | str = 0,
        per_clip: bool = False,
        fps: float = 0.0,
        size: tuple[int, int] = (0, 0),
        device: str = "auto",
        jobs: int = 1,
        pose: str | PoseOptions = "",
    ) -> pd.DataFrame:
        """Predict for every person and frame of a source.

        Parameters
        ----------
        source : path of a folder of OpenPose JSON, an archive or a cache; an array ``[T, V, 3]`` of x, y (pixels) and
            confidence in a layout with the model's parts; or a list of OpenPose's dictionaries, one per frame.
        person : person to predict for, as in ``skelemo ingest``, or a number; ignored for an array.
        every : predict for every n-th frame.
        min_seen : share of a window's points that must be visible for a prediction. A window without any visible
            point never has one.
        smooth : width in frames of a centered mean over a person's predictions; odd, 0 for none. ``"auto"`` is the
            width chosen on the run's validation subset, per head.
        per_clip : one row per person and recording: the mean over all windows.
        fps, size : frame rate, and width and height of the images, if the source lacks them.
        device : ``auto``, ``cpu``, ``cuda``, ``cuda:1``, ``mps``.
        jobs : processes that read the source.
        pose : pose estimator for videos: ``mediapipe``, ``openpose``, or `skelemo.pose.Options`.

        Returns
        -------
        pandas.DataFrame
            One row per person and frame: ``video``, ``person``, ``frame``, ``time`` in seconds (NaN without a frame
            rate), the columns of each head (`skelemo.inference.table.prediction_columns`) and ``seen``: whether the
            person is visible (interpolated gaps count) and not withheld by ``min_seen``. A model of whole clips returns
            one row per person. ``attrs`` has ``notes`` on how the source was read and ``failures``, the unusable
            recordings.

        Raises
        ------
        InputError, ConfigError, CacheError
            The source is unreadable, shows no people or lacks the model's parts; an option is out of range.
        """
        options, where = Options(every, min_seen, smooth, per_clip), self.choose_device(device)
        self.widths(smooth)
        finding = PoseOptions(pose) if isinstance(pose, str) and pose else pose or None
        with open_source(source, self.layout, ReadOptions(str(person), fps, size, jobs, pose=finding)) as found:
            model = self.adapted(self.sources(found.cache))
            each = chunks(found.cache.sequences, by_subject=self.by_subject)
            tables = [model.predict_cache(found.cache.only(rows), options, where) for rows in each]
        table = pd.concat(tables, ignore_index=True)
        if not has_prediction(table, self.all_heads).any():
            raise nothing_seen(self.layout, min_seen)
        table.attrs = {"notes": list(found.notes), "failures": list(found.failures)}
        return table

    def mean(self, each: Sequence[Outputs]) -> dict[str, np.ndarray]:
        """Outputs by head, averaged over the members with that head."""
        found = {head.name: np.mean([one[head.name] for one in each if head.name in one], 0) for head in self.heads}
        return self.read(found)

    def read(self, outputs: Outputs) -> dict[str, np.ndarray]:
        """Outputs by head, with the emotions that they map to."""
        return with_reading(outputs, self.radius)

    def table(
        self,
        sequences: pd.DataFrame,
        key: np.ndarray,
        each: Sequence[Outputs],
        frames: np.ndarray,
        points: np.ndarray,
        seen: np.ndarray,
        options: Options,
    ) -> pd.DataFrame:
        """The table of W windows.

        Parameters
        ----------
        key : ``[W]`` target frames as ``sequence * KEY_SPAN + number``.
        each : outputs ``[W, K]`` by member and head.
        frames, points : ``[W]`` share of visible frames and points.
        seen : ``[W]`` whether the target frame has a visible point.
        """
        unknown = (frames == 0) | (points < options.min_seen)
        shown = []
        for outputs, widths in zip(each, self.widths(options.smooth), strict=True):
            known = {name: np.where(unknown[:, None], np.nan, output) for name, output in outputs.items()}
            shown.append({name: smoothed(output, key, widths.get(name, 1)) for name, output in known.items()})
        outputs, seen = self.mean(shown), seen & ~unknown
        if options.per_clip:
            outputs, seen, key = self._by_clip(outputs, seen, key)
        mine, number = sequences.iloc[key // KEY_SPAN], (key % KEY_SPAN).astype(np.int64)
        fps = mine["fps"].to_numpy(float)
        places = {
            "video": mine["video"].to_numpy(object),
            "person": mine["person"].to_numpy(object),
            "frame": number,
            "time": np.where(fps > 0, number / np.where(fps > 0, fps, 1), np.nan),
        }
        columns = prediction_columns(self.all_heads, outputs)
        return pd.DataFrame(places).assign(**columns, seen=seen)

    def _by_clip(
        self, outputs: Outputs, seen: np.ndarray, key: np.ndarray
    ) -> tuple[dict[str, np.ndarray], np.ndarray, np.ndarray]:
        """The mean prediction of each clip, whether the person is ever visible, and the key of the middle window."""
        clip = key // KEY_SPAN
        first = np.flatnonzero(np.diff(clip, prepend=-1))
        count = np.diff(first, append=len(key))
        means = {
            head.name: pd.DataFrame(outputs[head.name].astype(float)).groupby(clip).mean().to_numpy()
            for head in self.heads
        }
        return self.read(means), np.logical_or.reduceat(seen, first), key[first + count // 2]


def paths_of(runs: StrPath | Iterable[StrPath]) -> list[Path]:
    """One path or several as a list."""
    return [Path(run) for run in ([runs] if isinstance(runs, str | os.PathLike) else runs)]


def nothing_seen(layout: Layout, min_seen: float) -> InputError:
    """The error for a source without any prediction."""
    enough = f" in {min_seen:.0%} of a window's points" if min_seen else ""
    return InputError(f"no frame shows {layout.name}{enough}: nothing to predict from")


def chunks(sequences: pd.DataFrame, frames: int | None = None, *, by_subject: bool = False) -> list[np.ndarray]:
    """Split sequences into chunks of whole videos with at most `CHUNK_FRAMES` frames (or one longer video).

    Parameters
    ----------
    by_subject : keep all videos of a known subject in one chunk.
    """
    code, _ = pd.factorize(sequences["video"])
    if by_subject:
        from scipy.sparse import coo_matrix
        from scipy.sparse.csgraph import connected_components

        subject, names = pd.factorize(sequences["subject"].where(sequences["subject"] != ""))
        pairs = code[subject >= 0], subject[subject >= 0] + code.max(initial=-1) + 1
        nodes = int(code.max(initial=-1)) + 1 + len(names)
        graph = coo_matrix((np.ones(len(pairs[0])), pairs), shape=(nodes, nodes))
        code, _ = pd.factorize(connected_components(graph, directed=False)[1][code])
    length = np.bincount(code, sequences["length"])
    chunk, filled, number = np.zeros(len(length), int), 0.0, 0
    for video, frames_of in enumerate(length.tolist()):
        if filled and filled + frames_of > (frames or CHUNK_FRAMES):
            filled, number = 0.0, number + 1
        chunk[video], filled = number, filled + frames_of
    return [np.flatnonzero(chunk[code] == one) for one in range(number + 1)]
