"""From a run to predictions: for training's own windows, and for any source."""

import hashlib
import json
import os
from collections.abc import Callable, Collection, Iterable, Iterator, Sequence
from contextlib import nullcontext
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path

import numpy as np
import pandas as pd
import torch
from torch import nn

from skelemo.cache.store import Cache
from skelemo.data.corpus import Corpus, load_corpus
from skelemo.data.loader import Batches, inputs
from skelemo.data.windows import Targets, Window
from skelemo.errors import ConfigError, InputError, SkelemoError
from skelemo.evaluation.smoothing import smoothed
from skelemo.inference.environment import choose_device
from skelemo.inference.sources import Reading, Source, opened
from skelemo.inference.table import Options, has_prediction, prediction_columns
from skelemo.models import registry
from skelemo.models.heads import probabilities
from skelemo.pose import Options as PoseOptions
from skelemo.preprocess import Preparation
from skelemo.runs.folder import training_folders
from skelemo.runs.model_file import ModelFile, has_model, read_model
from skelemo.skeleton import Layout, layout
from skelemo.targets import Head

_TYPES = {"bf16-mixed": torch.bfloat16, "16-mixed": torch.float16}
#: Windows that are predicted at a time.
BATCH = 256
#: Frames that are held in memory at a time, and that an interrupted ``skelemo predict`` loses at most.
CHUNK_FRAMES = 8192

Text = str | os.PathLike[str]
#: Told of batches that are done, and of how many.
Report = Callable[[int, int], None]


def predict(
    network: nn.Module, batches: Batches, heads: Sequence[Head], precision: str = "32-true"
) -> dict[str, np.ndarray]:
    """Outputs ``[W, K]`` of each head in the order of the batches: probabilities of classes and flags, values.

    ``precision`` is the one that the network was trained in.
    """
    found: dict[str, list[np.ndarray]] = {head.name: [] for head in heads}
    for outputs, _, _ in _outputs(network, batches, heads, precision):
        for name, output in outputs.items():
            found[name].append(output)
    return {name: np.concatenate(pieces) for name, pieces in found.items()}


def _outputs(
    network: nn.Module, batches: Batches, heads: Sequence[Head], precision: str
) -> Iterator[tuple[dict[str, np.ndarray], np.ndarray, np.ndarray]]:
    """The outputs of each batch, and the shares ``[B]`` of each window's frames and points that are visible."""
    autocast = torch.autocast(batches.device.type, _TYPES[precision]) if precision in _TYPES else nullcontext()
    network.eval()
    for batch in batches:
        with torch.inference_mode(), autocast:
            outputs = network(**inputs(batch))
            found = {head.name: probabilities(head, outputs[head.name]).cpu().numpy() for head in heads}
            seen = [batch["mask"].float().mean(1), (batch["keypoints"][..., 2] > 0).float().mean((1, 2))]
        yield found, *(share.cpu().numpy() for share in seen)


@dataclass(frozen=True, eq=False)
class Member:
    """One network or baseline with all that it is fed by."""

    file: ModelFile
    network: nn.Module
    layout: Layout
    preparation: Preparation
    window: Window
    digest: str = ""  # of its model.json, which names the weights


@dataclass(frozen=True, eq=False)
class Model:
    """One or several trained models that predict together: the mean of their probabilities and values."""

    members: tuple[Member, ...]
    name: str

    @property
    def heads(self) -> tuple[Head, ...]:
        """What is predicted, by any of the members."""
        return tuple({head.name: head for one in self.members for head in one.file.heads}.values())

    @property
    def layout(self) -> Layout:
        """The parts that the members see together."""
        everything = layout("body_25+face_70+hand_21x2")
        return everything.only({part.name for one in self.members for part in one.layout.parts})

    def __repr__(self) -> str:
        archs = ", ".join(sorted({one.file.arch for one in self.members}))
        heads = ", ".join(f"{head.name} ({len(head)})" for head in self.heads)
        return f"<{self.name}: {len(self.members)} x {archs} on {self.layout.name}, predicts {heads}>"

    def load(self, cache: Cache, device: torch.device) -> list[Corpus]:
        """The frames of a cache as each member takes them; members that are alike share theirs."""
        loaded: dict[tuple[Preparation, str], Corpus] = {}
        for one in self.members:
            if (one.preparation, one.layout.name) not in loaded:
                names = [part.name for part in one.layout.parts]
                corpus = load_corpus(cache, one.preparation, names, keep_absent=True).to(device)
                loaded[one.preparation, one.layout.name] = corpus
        return [loaded[one.preparation, one.layout.name] for one in self.members]

    def outputs(
        self,
        corpora: Sequence[Corpus],
        rows: np.ndarray,
        device: torch.device,
        report: Report = lambda done, of: None,
    ) -> tuple[dict[str, np.ndarray], np.ndarray]:
        """What the members predict for target rows ``[W]``, on average.

        Returns
        -------
        Outputs ``[W, K]`` of each head, and the least share ``[W]`` of a window's frames that shows anything.
        """
        each, frames, _ = self._outputs(corpora, rows, device, report)
        return self._mean(each), frames

    def _outputs(
        self, corpora: Sequence[Corpus], rows: np.ndarray, device: torch.device, report: Report
    ) -> tuple[list[dict[str, np.ndarray]], np.ndarray, np.ndarray]:
        """Outputs by member and head, and the least shares ``[W]`` of a window's frames and points that are visible."""
        each, frames, points = [], [], []
        for number, (one, corpus) in enumerate(zip(self.members, corpora, strict=True)):
            batches, pieces = Batches(corpus, Targets(rows, {}), one.window, BATCH, device), []
            network = one.network.to(device)
            for done, piece in enumerate(_outputs(network, batches, one.file.heads, one.file.precision), 1):
                pieces.append(piece)
                report(number * len(batches) + done, len(self.members) * len(batches))
            found, share_of_frames, share_of_points = zip(*pieces, strict=True)
            each.append({head.name: np.concatenate([one[head.name] for one in found]) for head in one.file.heads})
            frames.append(np.concatenate(share_of_frames))
            points.append(np.concatenate(share_of_points))
        return each, np.min(frames, 0), np.min(points, 0)

    def _mean(self, each: Sequence[dict[str, np.ndarray]]) -> dict[str, np.ndarray]:
        """Outputs by head, on average of the members that have it."""
        return {head.name: np.mean([one[head.name] for one in each if head.name in one], 0) for head in self.heads}

    @cached_property
    def identity(self) -> str:
        """Equal for models that predict the same."""
        return hashlib.sha256(json.dumps([one.digest for one in self.members]).encode()).hexdigest()

    def widths(self, smooth: int | str) -> list[dict[str, int]]:
        """By member and head, over how many frames predictions are averaged.

        Raises
        ------
        ConfigError
            ``auto``, and a model has no record of what its validation subset prefers.
        """
        if smooth != "auto":
            return [{head.name: int(smooth) for head in one.file.heads} for one in self.members]
        if any(not one.file.smoothing for one in self.members):
            raise ConfigError(f"{self.name}: no smoothing was chosen in training; give its width, as in --smooth 9")
        return [{name: found["width"] for name, found in one.file.smoothing.items()} for one in self.members]

    def predict(
        self,
        source: Source,
        *,
        person: str | int = "all",
        every: int = 1,
        min_seen: float = 0.0,
        smooth: int | str = 0,
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
        options, where = Options(every, min_seen, smooth), choose_device(device)
        self.widths(smooth)
        finding = PoseOptions(pose) if isinstance(pose, str) and pose else pose or None
        with opened(source, self.layout, Reading(str(person), fps, size, jobs, pose=finding)) as found:
            tables = [
                self.predict_cache(found.cache.only(rows), options, where) for rows in chunks(found.cache.sequences)
            ]
        table = pd.concat(tables, ignore_index=True)
        if not has_prediction(table, self.heads).any():
            raise nothing_seen(self.layout, min_seen)
        table.attrs = {"notes": list(found.notes), "failures": list(found.failures)}
        return table

    def predict_cache(
        self,
        cache: Cache,
        options: Options,
        device: torch.device,
        report: Report = lambda done, of: None,
    ) -> pd.DataFrame:
        """The table of a cache that fits into memory; ``report`` is told of batches."""
        corpora = self.load(cache, device)
        corpus = corpora[0]
        rows = target_rows(corpus, self.members[0].window, options.every)
        each, frames, points = self._outputs(corpora, rows, device, report)
        unknown = (frames == 0) | (points < options.min_seen)
        key = corpus.key.cpu().numpy()[rows]
        for outputs, widths in zip(each, self.widths(options.smooth), strict=True):
            for name, output in outputs.items():
                output[unknown] = np.nan
                outputs[name] = smoothed(output, key, widths.get(name, 1))
        columns = prediction_columns(self.heads, self._mean(each))
        return _places(corpus, rows).assign(**columns, seen=corpus.seen.cpu().numpy()[rows] & ~unknown)


def nothing_seen(layout: Layout, min_seen: float) -> InputError:
    """The error for a source none of whose windows has a prediction."""
    enough = f" in {min_seen:.0%} of a window's points" if min_seen else ""
    return InputError(f"no frame shows anything of {layout.name}{enough}: there is nothing to predict from")


def chunks(sequences: pd.DataFrame, frames: int | None = None) -> list[np.ndarray]:
    """Rows of sequences that are predicted together: whole videos, of `CHUNK_FRAMES` frames where none is longer."""
    code, _ = pd.factorize(sequences["video"])
    length = np.bincount(code, sequences["length"])
    chunk, held, number = np.zeros(len(length), int), 0.0, 0
    for video, frames_of in enumerate(length.tolist()):
        if held and held + frames_of > (frames or CHUNK_FRAMES):
            held, number = 0.0, number + 1
        chunk[video], held = number, held + frames_of
    return [np.flatnonzero(chunk[code] == one) for one in range(number + 1)]


def _places(corpus: Corpus, rows: np.ndarray) -> pd.DataFrame:
    sequences = corpus.sequences.iloc[corpus.sequence(rows)]
    number, fps = corpus.number(rows), sequences["fps"].to_numpy(float)
    return pd.DataFrame(
        {
            "video": sequences["video"].to_numpy(object),
            "person": sequences["person"].to_numpy(object),
            "frame": number,
            "time": np.where(fps > 0, number / np.where(fps > 0, fps, 1), np.nan),
        }
    )


def target_rows(corpus: Corpus, window: Window, every: int) -> np.ndarray:
    """The rows that a model predicts for: one frame in ``every``, or the middle of each clip."""
    start, length = (corpus.sequences[name].to_numpy() for name in ("start", "length"))
    if window.sampling == "clip":
        return np.asarray(start + length // 2)
    rows = np.arange(len(corpus))
    return rows[(rows - np.repeat(start, length)) % every == 0]


def load(runs: Text | Iterable[Text], *, allow: Collection[str] = ()) -> Model:
    """Load the model of a run, of its folds, or of several runs as an ensemble.

    A folder with ``model.json`` and ``model.safetensors`` is enough, wherever it was copied to.

    Parameters
    ----------
    runs : the path of a run folder, or several.
    allow : architectures ``package.module:function`` that may be imported; a file alone never has code run.

    Raises
    ------
    InputError
        Files are missing, damaged, changed, or of another version.
    ConfigError
        The runs cannot predict together: heads of one name differ, or windows of frames and of whole clips.
    """
    paths = [Path(runs)] if isinstance(runs, str | os.PathLike) else [Path(run) for run in runs]
    if not paths:
        raise ConfigError("no run is named; expected the folder that skelemo train made")
    model = Model(
        tuple(_member(folder, allow) for path in paths for folder in model_folders(path)),
        " + ".join(path.resolve().name for path in paths),
    )
    heads = model.heads
    for one in model.members:
        for head in one.file.heads:
            if head not in heads:
                raise ConfigError(f"{model.name}: the runs have different heads {head.name}; they cannot be averaged")
    if len({one.window.sampling for one in model.members}) > 1:
        raise ConfigError(f"{model.name}: one run predicts frames and another whole clips; they cannot be averaged")
    return model


def model_folders(path: Path) -> list[Path]:
    """The folders of a run that hold a model: its own, or those of its folds and seeds."""
    if not path.is_dir():
        raise InputError(f"no run folder at {path}")
    found = [folder for folder in training_folders(path) if has_model(folder)]
    return found if found and not has_model(path) else [path]


def _member(folder: Path, allow: Collection[str]) -> Member:
    file, state = read_model(folder)
    where = folder / "model.json"
    try:
        if file.arch not in (*registry.list_models(), *registry.list_models(fitted=True), *allow):
            raise ConfigError(
                f"unknown architecture {file.arch!r}: install or register its package, or allow it (--allow)"
            )
        preparation, window = Preparation.from_json(file.preparation), Window(**file.window)
        network = registry.create(
            file.arch, layout_name=file.layout, heads=file.heads, frames=window.length, **file.settings
        )
        network.load_state_dict(state)
    except (SkelemoError, TypeError, RuntimeError) as error:
        reason = str(error).strip().splitlines()[0]
        raise InputError(f"{where} does not describe a model of this version of skelemo: {reason}") from None
    digest = hashlib.sha256(where.read_bytes()).hexdigest()
    return Member(file, network.eval(), layout(file.layout), preparation, window, digest)
