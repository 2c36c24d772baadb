"""Initialization with the matching weights of another run, optionally frozen."""

from collections.abc import Sequence
from dataclasses import dataclass
from fnmatch import fnmatchcase
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pandas as pd
from torch import nn

from skelemo.data.splits import Fold
from skelemo.errors import ConfigError, InputError
from skelemo.inference.scoring.overlap import Overlap, learned, overlap
from skelemo.runs.folder import read_json, training_folders
from skelemo.runs.model_file import FACTS, has_model, read_model
from skelemo.targets import Head
from skelemo.text import count

if TYPE_CHECKING:
    from skelemo.training.config import Config


@dataclass(frozen=True)
class Start:
    """Names of the tensors loaded from another run and of the frozen ones, and a description."""

    taken: frozenset[str]
    frozen: frozenset[str]
    text: str

    def resting(self, network: nn.Module) -> list[nn.Module]:
        """Modules with frozen statistics."""
        return [
            module
            for name, module in network.named_modules()
            if any(f"{name}.{buffer}" in self.frozen for buffer, _ in module.named_buffers(recurse=False))
        ]


def origin(config: "Config", number: int, folds: int, seed: int) -> Path:
    """The folder of the model that initializes a fold: of the same seed and fold, or the run's only one.

    Raises `ConfigError`: the run has several models but none for this fold and seed; `InputError`: no finished model.
    """
    run = place = Path(config.init)
    if (run / f"seed_{seed}").is_dir():
        place = run / f"seed_{seed}"
    if folds > 1 and (place / f"fold_{number}").is_dir():
        place = place / f"fold_{number}"
    if has_model(place):
        return place
    models = [folder for folder in training_folders(place) if has_model(folder)] if place.is_dir() else []
    if models:
        raise ConfigError(
            f"init {run}: {count(len(models), 'model')}, but none of seed {seed} for fold {number} of {folds}: name "
            f"one, e.g. {models[0]}"
        )
    raise InputError(f"init {run}: no model.json; expected the folder of a finished run")


def initialize(network: nn.Module, folder: Path, config: "Config", layout: str, heads: Sequence[Head]) -> Start:
    """Load weights of another run that match by name and shape; heads with other outputs stay untrained.

    Raises `ConfigError`: another architecture or layout, no matching weights, or no match for ``init_freeze``;
    `InputError`: the run's model is damaged or not finite.
    """
    model, given = read_model(folder)
    for what, theirs, ours in (("arch", model.arch, config.arch), ("layout", model.layout, layout)):
        if theirs != ours:
            raise ConfigError(f"init {folder}: {what} {theirs}; expected {ours} as in this training")
    wanted, known = network.state_dict(), {head.name: head for head in model.heads}
    new = [head.name for head in heads if known.get(head.name) != head]
    every = [head.name for head in heads]
    if unclear := [head for head in new if not any(is_of(name, [head]) for name in wanted)]:
        raise ConfigError(f"init {folder}: {config.arch} has no layer called {unclear[0]}_head")
    taken = {
        name: given[name]
        for name, tensor in wanted.items()
        if name in given and given[name].shape == tensor.shape and not is_of(name, new)
    }
    parameters = dict(network.named_parameters())
    if not parameters.keys() & taken.keys():
        raise ConfigError(f"init {folder}: no layer fits this {config.arch}: use the run's heads or its model settings")
    if bad := [name for name, tensor in taken.items() if tensor.is_floating_point() and not tensor.isfinite().all()]:
        raise InputError(f"init {folder}: infinite or NaN in {bad[0]}")
    frozen: set[str] = set()
    for pattern in config.init_freeze:
        matched = {name for name in taken if fnmatchcase(name, pattern) or fnmatchcase(name, f"{pattern}.*")}
        matched |= {name for name in taken if pattern == "body" and not is_of(name, every)}
        if not matched:
            top = ", ".join(dict.fromkeys(name.split(".")[0] for name in taken))
            raise ConfigError(f"init_freeze {pattern!r} matches nothing in {folder}; expected body, or some of {top}")
        frozen |= matched
    if parameters.keys() <= (frozen if config.init_rate else {*taken}):
        name = f"init_freeze {', '.join(config.init_freeze)}" if config.init_rate else "init_rate 0"
        raise ConfigError(f"{name}: all weights are frozen; none is left to train")
    network.load_state_dict(taken, strict=False)
    for name in frozen & parameters.keys():
        parameters[name].requires_grad_(False)
    odd = [name for name in wanted if name not in taken and not is_of(name, new)]
    texts = [f"from {folder}: {len(taken)} of {len(wanted)} tensors"]
    texts += [f"head {', '.join(new)} new"] if new else []
    texts += [f"{count(len(odd), 'other')} new, e.g. {odd[0]}"] if odd else []
    texts += [f"{len(frozen)} frozen"] if frozen else []
    return Start(frozenset(taken), frozenset(frozen), "; ".join(texts))


def start_at_mean(network: nn.Module, heads: Sequence[str]) -> None:
    """Zero the heads so that the initial outputs are the middle of their range.

    With random heads of a wide range, and labels close to its middle as in pretraining, the fastest decrease of the
    loss collapses all features.
    """
    for name, parameter in network.named_parameters():
        if is_of(name, heads):
            nn.init.zeros_(parameter)


def is_of(name: str, heads: Sequence[str]) -> bool:
    """Whether a parameter or buffer belongs to one of these heads."""
    return any(step == f"{head}_head" for step in name.split(".") for head in heads)


def learned_before(config: "Config", folds: Sequence[Fold], sequences: pd.DataFrame) -> tuple[list[Any], str]:
    """The initial model's training data by fold, for ``splits.json``, and a description of any overlap.

    The test subset must not overlap with the initial model's training and validation subsets, nor the validation subset
    with its training subset. A pretrained model has seen no labels, so its validation subset may overlap.

    Raises `ConfigError`: overlap or unknown training data, unless ``allow_overlap`` is set.
    """
    found: list[Any] = []
    notes: dict[str, None] = {}
    for number, fold in enumerate(folds, 1):
        folder = origin(config, number, len(folds), config.seed)
        before = learned(folder)
        found.append({key: sorted(before[key] if before else ()) for key in ("sha256", "subjects")})
        if before is None:
            notes["its training data are unknown (no splits.json beside the model)"] = None
        checked = {"test": ("train", "validation"), "validation": ("train",)}
        if fold.test and read_json(folder / FACTS).get("pretext"):
            del checked["validation"]
        for subset, theirs in checked.items():
            here = sequences[sequences["id"].isin(getattr(fold, subset))]
            one = overlap(folder, here, theirs)
            if isinstance(one, Overlap) and (one.sequences or one.subjects):
                notes[f"{one.text} and {'is' if one.single else 'are'} in the {subset} subset here"] = None
    if notes and not config.allow_overlap:
        raise ConfigError(
            f"init {config.init}: {next(iter(notes))}: scores would be optimistic; use a run on other data or with the "
            "same split, or pass --set allow_overlap=true"
        )
    return found, "; ".join(notes)
