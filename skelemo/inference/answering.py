"""What every model that predicts has in common, run or exported file: from a source to the table. Without torch."""

from abc import ABC, abstractmethod
from collections.abc import Callable, Mapping, Sequence
from typing import Any

import numpy as np
import pandas as pd

from skelemo.cache.store import Cache
from skelemo.data.window import KEY_SPAN
from skelemo.errors import InputError
from skelemo.evaluation.circumplex import READING, with_reading
from skelemo.inference.keypoints import Reading
from skelemo.inference.sources import Source, opened
from skelemo.inference.table import Options, has_prediction, prediction_columns, smoothed
from skelemo.pose import Options as PoseOptions
from skelemo.skeleton import Layout
from skelemo.targets import Head
from skelemo.text import html_table

#: Frames that are held in memory at a time, and that an interrupted ``skelemo predict`` loses at most.
CHUNK_FRAMES = 8192

#: Told how much is done, and of how much.
Report = Callable[[int, int], None]
Outputs = Mapping[str, np.ndarray]
#: By member, for each point, see `skelemo.preprocess.Preparation`.
Sources = tuple[tuple[tuple[float, ...], ...], ...]


class Answering(ABC):
    """A model, or several that are averaged, that predicts for sources."""

    name: str
    #: Whether predictions depend on all clips of a subject.
    by_subject: bool = False
    #: Within this distance of the origin two values are read as neutral; None where they are not read as emotions.
    radius: float | None = None

    def _repr_html_(self) -> str:
        rows = [("sees", ", ".join(part.name for part in self.layout.parts))]
        rows += [(f"predicts {head.name}", ", ".join(head.outputs)) for head in self.answered]
        members = len(getattr(self, "members", ()))
        return html_table(f"model {self.name}" + (f", the mean of {members:,}" if members > 1 else ""), (), rows)

    @property
    @abstractmethod
    def heads(self) -> tuple[Head, ...]:
        """What is predicted."""

    @property
    def answered(self) -> tuple[Head, ...]:
        """These, and what they are read as."""
        return self.heads if self.radius is None else (*self.heads, READING)

    @property
    @abstractmethod
    def layout(self) -> Layout:
        """The parts that are seen."""

    @property
    @abstractmethod
    def identity(self) -> str:
        """Equal for models that predict the same."""

    @property
    @abstractmethod
    def threads(self) -> int:
        """Threads that predict."""

    @abstractmethod
    def limit_threads(self, threads: int) -> None:
        """Predict with so many threads."""

    @abstractmethod
    def choose_device(self, name: str) -> Any:
        """The device of that name, which has a ``type``; `ConfigError` where it cannot be used."""

    @abstractmethod
    def widths(self, smooth: int | str) -> list[dict[str, int]]:
        """By member and head, over how many frames predictions are averaged; `ConfigError` for an unknown ``auto``."""

    def sources(self, cache: Cache) -> Sources:
        """Of each member the statistics of a cache that it needs to know as a whole; nothing where none does."""
        return ()

    def adapted(self, sources: Sources) -> "Answering":
        """The model for the data that these are of."""
        return self

    @abstractmethod
    def predict_cache(
        self, cache: Cache, options: Options, device: Any = None, report: Report = lambda done, of: None
    ) -> pd.DataFrame:
        """The table of a cache that fits into memory; ``report`` is told of batches."""

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
        source : the path of a folder of OpenPose JSON, of an archive or a cache; an array ``[T, V, 3]`` of x, y and
            confidence in pixels, in a layout that has the model's parts; or a list of OpenPose's dictionaries, one for
            each frame.
        person : whom to predict for, as in ``skelemo ingest``, or a number; a cache and an array have their people
            already.
        every : predict for one frame in so many.
        min_seen : share of a window's points that must be visible; with fewer there is no prediction, and never for a
            window that shows nothing.
        smooth : average the predictions of a person over so many frames, centered; odd. ``"auto"`` is the width that
            the run's validation subset prefers, by head; 0 for none.
        per_clip : one row for each person of a recording: the mean of the predictions for all its windows.
        fps, size : frames per second, width and height of the images, where the source does not tell.
        jobs : processes that read.
        pose : for a video or a folder of videos: the program that finds keypoints, ``mediapipe`` or ``openpose``, or
            with more said of it `skelemo.pose.Options`.

        Returns
        -------
        A row for each person and frame: ``video``, ``person``, ``frame``, ``time`` in seconds (NaN without frames per
        second), the columns of each head (`skelemo.inference.table.prediction_columns`) and ``seen``, whether the
        person is visible in the frame, interpolated gaps included; never where ``min_seen`` withholds a prediction. A
        model of whole clips gives one row a person. ``attrs`` of the table has ``notes`` on how the source was read and
        ``failures``, recordings of no use.

        Raises
        ------
        InputError, ConfigError, CacheError
            The source cannot be read, shows nobody, or lacks the model's parts; an option out of range.
        """
        options, where = Options(every, min_seen, smooth, per_clip), self.choose_device(device)
        self.widths(smooth)
        finding = PoseOptions(pose) if isinstance(pose, str) and pose else pose or None
        with opened(source, self.layout, Reading(str(person), fps, size, jobs, pose=finding)) as found:
            model = self.adapted(self.sources(found.cache))
            parts = chunks(found.cache.sequences, by_subject=self.by_subject)
            tables = [model.predict_cache(found.cache.only(rows), options, where) for rows in parts]
        table = pd.concat(tables, ignore_index=True)
        if not has_prediction(table, self.answered).any():
            raise nothing_seen(self.layout, min_seen)
        table.attrs = {"notes": list(found.notes), "failures": list(found.failures)}
        return table

    def mean(self, each: Sequence[Outputs]) -> dict[str, np.ndarray]:
        """Outputs by head, on average of the members that have it."""
        found = {head.name: np.mean([one[head.name] for one in each if head.name in one], 0) for head in self.heads}
        return self.read(found)

    def read(self, outputs: Outputs) -> dict[str, np.ndarray]:
        """Outputs by head, with what they are read as."""
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
        key : ``[W]`` sequence and number of their target frames, ``sequence * KEY_SPAN + number``.
        each : by member outputs ``[W, K]`` of its heads.
        frames, points : ``[W]`` shares of their frames and points that are visible.
        seen : ``[W]`` whether anything is visible in their target frames.
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
        columns = prediction_columns(self.answered, outputs)
        return pd.DataFrame(places).assign(**columns, seen=seen)

    def _by_clip(
        self, outputs: Outputs, seen: np.ndarray, key: np.ndarray
    ) -> tuple[dict[str, np.ndarray], np.ndarray, np.ndarray]:
        """The mean of each clip's predictions, whether anything of it is seen, and the key of its middle window."""
        first = np.flatnonzero(np.diff(key // KEY_SPAN, prepend=-1))
        count = np.diff(first, append=len(key))
        means = {}
        for head in self.heads:
            known = ~np.isnan(outputs[head.name])
            total = np.add.reduceat(np.where(known, outputs[head.name], 0.0), first)
            number = np.add.reduceat(known.astype(int), first)
            means[head.name] = np.where(number > 0, total / np.maximum(number, 1), np.nan)
        return self.read(means), np.logical_or.reduceat(seen, first), key[first + count // 2]


def nothing_seen(layout: Layout, min_seen: float) -> InputError:
    """The error for a source none of whose windows has a prediction."""
    enough = f" in {min_seen:.0%} of a window's points" if min_seen else ""
    return InputError(f"no frame shows anything of {layout.name}{enough}: there is nothing to predict from")


def chunks(sequences: pd.DataFrame, frames: int | None = None, *, by_subject: bool = False) -> list[np.ndarray]:
    """Rows of sequences that are predicted together: whole videos, of `CHUNK_FRAMES` frames where none is longer.

    Parameters
    ----------
    by_subject : keep all videos of a known subject together, too.
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
    chunk, held, number = np.zeros(len(length), int), 0.0, 0
    for video, frames_of in enumerate(length.tolist()):
        if held and held + frames_of > (frames or CHUNK_FRAMES):
            held, number = 0.0, number + 1
        chunk[video], held = number, held + frames_of
    return [np.flatnonzero(chunk[code] == one) for one in range(number + 1)]
