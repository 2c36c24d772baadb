"""Loads runs and predicts, for training's windows and for any source."""

import hashlib
import json
from collections.abc import Collection, Iterable, Iterator, Sequence
from contextlib import AbstractContextManager, nullcontext
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import torch
from torch import nn

from skelemo.cache.store import Cache
from skelemo.data.calibration import source_of
from skelemo.data.corpus import Corpus, load_corpus
from skelemo.data.loader import Batches, inputs
from skelemo.data.window_frames import Window, target_rows
from skelemo.data.windows import Targets
from skelemo.errors import ConfigError, InputError, SkelemoError
from skelemo.inference.base import BasePredictor, Progress, Sources, StrPath, chunks, paths_of
from skelemo.inference.environment import choose_device
from skelemo.inference.table import Options
from skelemo.models import registry
from skelemo.models.heads import predictions
from skelemo.preprocess import Preparation
from skelemo.runs.folder import NO_HEAD, training_folders
from skelemo.runs.model_file import ModelFile, has_model, read_model
from skelemo.skeleton import Layout, layout, layout_of
from skelemo.targets import Head

#: Reduced precisions.
TYPES = {"bf16-mixed": torch.bfloat16, "16-mixed": torch.float16}
#: Windows predicted at a time.
BATCH = 256


def autocast(device: torch.device, precision: str) -> AbstractContextManager[Any]:
    """The context of a network trained in that precision."""
    return torch.autocast(device.type, TYPES[precision]) if precision in TYPES else nullcontext()


def predict(
    network: nn.Module, batches: Batches, heads: Sequence[Head], precision: str = "32-true", *, flip: bool = False
) -> dict[str, np.ndarray]:
    """Outputs ``[W, K]`` of each head in the order of the batches: probabilities of classes and flags, values.

    ``precision`` is the network's precision in training; for ``flip`` see `skelemo.models.heads.predictions`.
    """
    return _collected(batch_outputs(network, batches, heads, precision, flip))[0]


def batch_outputs(
    network: nn.Module, batches: Batches, heads: Sequence[Head], precision: str, flip: bool
) -> Iterator[tuple[dict[str, np.ndarray], np.ndarray, np.ndarray]]:
    """Outputs of each batch, and the shares ``[B]`` of each window's visible frames and points."""
    network.eval()
    layout = batches.corpus.layout
    for batch in batches:
        each = []
        with torch.inference_mode(), autocast(batches.device, precision):
            for one in (batch, *batches.others(batch)):
                seen = one["mask"].float().mean(1), (one["keypoints"][..., 2] > 0).float().mean((1, 2))
                each.append((*predictions(network, inputs(one), heads, layout, flip=flip).values(), *seen))
            *found, frames, points = (torch.stack(some).mean(0).cpu().numpy() for some in zip(*each, strict=True))
        yield dict(zip((head.name for head in heads), found, strict=True)), frames, points


def _collected(
    batches: Iterable[tuple[dict[str, np.ndarray], np.ndarray, np.ndarray]],
) -> tuple[dict[str, np.ndarray], np.ndarray, np.ndarray]:
    """`batch_outputs` of all batches."""
    outputs, frames, points = zip(*batches, strict=True)
    each = {name: np.concatenate([one[name] for one in outputs]) for name in outputs[0]}
    return each, np.concatenate(frames), np.concatenate(points)


@dataclass(frozen=True, eq=False)
class Member:
    """One network or baseline with its preprocessing."""

    file: ModelFile
    network: nn.Module
    layout: Layout
    preparation: Preparation
    window: Window
    digest: str = ""  # hash of model.json, which contains the hash of the weights


class Model(BasePredictor):
    """A trained model or an ensemble, which predicts the mean of its members' probabilities and values.

    Its heads and parts are those of all members, its radius the mean of those that have one.
    """

    def __init__(self, members: Sequence[Member], name: str) -> None:
        self.members, self.name = tuple(members), name
        archs = ", ".join(sorted({one.file.arch for one in self.members}))
        self.networks = archs if len(self.members) == 1 else f"mean of {len(self.members)} models ({archs})"
        self.heads = tuple({head.name: head for one in self.members for head in one.file.heads}.values())
        self.layout = layout_of({name for one in self.members for name in one.layout.slices})
        self.identity = hashlib.sha256(json.dumps([one.digest for one in self.members]).encode()).hexdigest()
        known = [one.file.neutral_radius for one in self.members if one.file.neutral_radius is not None]
        self.radius = float(np.mean(known)) if known else None
        self.smoothing = [one.file.smoothing for one in self.members]
        self.by_subject = any(one.preparation.calibrate == "track" for one in self.members)
        self.threads = torch.get_num_threads()

    def load(self, cache: Cache, device: torch.device) -> list[Corpus]:
        """The cache prepared for each member; members with equal preparation share a corpus."""
        loaded: dict[tuple[Preparation, str], Corpus] = {}
        for one in self.members:
            if (one.preparation, one.layout.name) not in loaded:
                corpus = load_corpus(cache, one.preparation, list(one.layout.slices), keep_absent=True).to(device)
                loaded[one.preparation, one.layout.name] = corpus
        return [loaded[one.preparation, one.layout.name] for one in self.members]

    def sources(self, cache: Cache) -> Sources:
        """Statistics of the whole cache that the members standardize by; empty if none does."""

        def source(one: Member) -> tuple[tuple[float, ...], ...]:
            if one.preparation.standardize == "none":
                return ()
            plain, parts = replace(one.preparation, standardize="none"), list(one.layout.slices)
            each = chunks(cache.sequences, by_subject=self.by_subject)
            corpora = (load_corpus(cache.only(rows), plain, parts, keep_absent=True) for rows in each)
            return tuple(map(tuple, source_of(corpora).tolist()))

        found = tuple(map(source, self.members))
        return found if any(found) else ()

    def adapted(self, sources: Sources) -> "Model":
        """The model, standardizing by these statistics."""
        if not sources:
            return self
        pairs = zip(self.members, sources, strict=True)
        return Model([replace(one, preparation=replace(one.preparation, source=s)) for one, s in pairs], self.name)

    def outputs(
        self,
        corpora: Sequence[Corpus],
        rows: np.ndarray,
        device: torch.device,
        report: Progress = lambda done, of: None,
    ) -> tuple[dict[str, np.ndarray], np.ndarray]:
        """Mean outputs ``[W, K]`` by head for target rows ``[W]``, and the least share ``[W]`` of visible frames."""
        each, frames, _ = self._outputs(corpora, rows, device, report)
        return self.mean(each), frames

    def _outputs(
        self, corpora: Sequence[Corpus], rows: np.ndarray, device: torch.device, report: Progress
    ) -> tuple[list[dict[str, np.ndarray]], np.ndarray, np.ndarray]:
        """Outputs by member and head, and the least shares ``[W]`` of visible frames and points."""
        found = []
        for number, (one, corpus) in enumerate(zip(self.members, corpora, strict=True)):
            pieces, file = [], one.file
            batches = Batches(corpus, Targets(rows, {}), one.window, BATCH, device)
            each = batch_outputs(one.network.to(device), batches, file.heads, file.precision, file.flip_average)
            for done, piece in enumerate(each, 1):
                pieces.append(piece)
                report(number * len(batches) + done, len(self.members) * len(batches))
            found.append(_collected(pieces))
        outputs, frames, points = zip(*found, strict=True)
        return list(outputs), np.min(frames, 0), np.min(points, 0)

    def choose_device(self, name: str) -> torch.device:
        """See `skelemo.inference.environment.choose_device`."""
        return choose_device(name)

    def predict_cache(
        self,
        cache: Cache,
        options: Options,
        device: Any = None,
        report: Progress = lambda done, of: None,
    ) -> pd.DataFrame:
        """The table of predictions for a cache that fits in memory; ``report`` counts batches."""
        device = device or torch.device("cpu")
        corpora = self.load(cache, device)
        corpus = corpora[0]
        rows = target_rows(corpus.sequences, self.members[0].window, options.every)
        each, frames, points = self._outputs(corpora, rows, device, report)
        seen = np.logical_or.reduce([one.seen.cpu().numpy()[rows] for one in corpora])
        key = corpus.key.cpu().numpy()[rows]
        return self.table(corpus.sequences, key, each, frames, points, seen, options)


def load(runs: StrPath | Iterable[StrPath], *, allow: Collection[str] = ()) -> Model:
    """Load the model of a run, of its folds, or of several runs as an ensemble.

    A folder with only ``model.json`` and ``model.safetensors`` is enough.

    Parameters
    ----------
    runs : the path of a run folder, or several.
    allow : architectures ``package.module:function`` that may be imported; loading a file never runs code otherwise.

    Raises
    ------
    InputError
        Files are missing, damaged, modified, or of another version.
    ConfigError
        The runs cannot be averaged: heads of the same name differ, or some predict frames and others whole clips.
    """
    paths = paths_of(runs)
    if not paths:
        raise ConfigError("no run given; expected a folder written by skelemo train")
    model = Model(
        [_member(folder, allow) for path in paths for folder in model_folders(path)],
        " + ".join(path.resolve().name for path in paths),
    )
    for head in (head for one in model.members for head in one.file.heads):
        if head not in model.heads:
            raise ConfigError(f"{model.name}: head {head.name} differs between runs; they cannot be averaged")
    if len({one.window.sampling for one in model.members}) > 1:
        raise ConfigError(f"{model.name}: some runs predict frames, others whole clips; they cannot be averaged")
    return model


def model_folders(path: Path) -> list[Path]:
    """The folders of a run with a model: its own, or those of its folds and seeds."""
    if not path.is_dir():
        raise InputError(f"no run folder at {path}")
    found = [folder for folder in training_folders(path) if has_model(folder)]
    return found if found and not has_model(path) else [path]


def _member(folder: Path, allow: Collection[str]) -> Member:
    file, state = read_model(folder)
    where = folder / "model.json"
    if file.pretext:
        raise InputError(f"{folder} is a pretraining run: {NO_HEAD}")
    try:
        if file.arch in allow:
            registry.ARCHITECTURES.find(file.arch)  # imports it
        elif file.arch not in (*registry.list_models(), *registry.list_models(fitted=True)):
            permit = f", or pass --allow {file.arch}" if ":" in file.arch else ""
            raise ConfigError(f"unknown architecture {file.arch!r}: install or register its package{permit}")
        preparation, window = Preparation.from_json(file.preparation), Window(**file.window)
        network = registry.create(
            file.arch, layout_name=file.layout, heads=file.heads, frames=window.length, **file.settings
        )
        network.load_state_dict(state)
        if preparation.calibrate != "none" and len(preparation.typical) != len(layout(file.layout)):
            raise ConfigError(f"preparation.typical has {len(preparation.typical)} points")
        if preparation.standardize != "none" and len(preparation.standard) != len(layout(file.layout)):
            raise ConfigError(f"preparation.standard has {len(preparation.standard)} points")
    except (SkelemoError, TypeError, RuntimeError) as error:
        reason = str(error).strip().splitlines()[0]
        raise InputError(f"{where} cannot be loaded: {reason}") from None
    digest = hashlib.sha256(where.read_bytes()).hexdigest()
    return Member(file, network.eval(), layout(file.layout), preparation, window, digest)
