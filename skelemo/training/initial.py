"""What a training starts from: another run's weights, taken where they fit, kept or learned at a rate of their own."""

from collections.abc import Sequence
from dataclasses import dataclass
from fnmatch import fnmatchcase
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pandas as pd
from torch import nn

from skelemo.data.splits import Fold
from skelemo.errors import ConfigError, InputError
from skelemo.inference.overlap import Overlap, learned, overlap
from skelemo.runs.folder import read_json, training_folders
from skelemo.runs.model_file import FACTS, has_model, read_model
from skelemo.targets import Head
from skelemo.text import count

if TYPE_CHECKING:
    from skelemo.training.config import Config


@dataclass(frozen=True)
class Start:
    """What a network took from another run: names in its state, those that stay as they are, and both in words."""

    taken: frozenset[str]
    frozen: frozenset[str]
    text: str

    def resting(self, network: nn.Module) -> list[nn.Module]:
        """Modules whose statistics stay as they are."""
        return [
            module
            for name, module in network.named_modules()
            if any(f"{name}.{buffer}" in self.frozen for buffer, _ in module.named_buffers(recurse=False))
        ]


def origin(config: "Config", number: int, folds: int, seed: int) -> Path:
    """The folder of the model that a fold starts from: that of the same seed and fold, or the run's only one.

    Raises `ConfigError`: the run has several models, and none is of this fold and seed; `InputError`: there is no
    finished model.
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
            f"init {run}: it has {count(len(models), 'model')}, and none of seed {seed} for fold {number} of {folds}: "
            f"name one, as {models[0]}"
        )
    raise InputError(f"init {run}: no model.json there: expected the folder of a finished run")


def initialize(network: nn.Module, folder: Path, config: "Config", layout: str, heads: Sequence[Head]) -> Start:
    """Give a network the weights of another run that fit by name and shape; heads of other outputs stay new.

    Raises `ConfigError`: the run is of another architecture or layout, nothing of it fits, or ``init_freeze`` matches
    nothing of it; `InputError`: the run's model is damaged or not finite.
    """
    model, given = read_model(folder)
    for what, theirs, ours in (("arch", model.arch, config.arch), ("layout", model.layout, layout)):
        if theirs != ours:
            raise ConfigError(f"init {folder}: its {what} is {theirs}, this training's {ours}: name a run of {ours}")
    wanted, known = network.state_dict(), {head.name: head for head in model.heads}
    new = [head.name for head in heads if known.get(head.name) != head]
    every = [head.name for head in heads]
    if unclear := [head for head in new if not any(is_of(name, [head]) for name in wanted)]:
        raise ConfigError(f"init {folder}: {config.arch} does not tell which of its layers are the head {unclear[0]}")
    taken = {
        name: given[name]
        for name, tensor in wanted.items()
        if name in given and given[name].shape == tensor.shape and not is_of(name, new)
    }
    parameters = dict(network.named_parameters())
    if not parameters.keys() & taken.keys():
        raise ConfigError(
            f"init {folder}: no layer of it fits this {config.arch}: take its heads, or its settings of the model"
        )
    if bad := [name for name, tensor in taken.items() if tensor.is_floating_point() and not tensor.isfinite().all()]:
        raise InputError(f"init {folder}: infinite or NaN in {bad[0]}")
    frozen: set[str] = set()
    for pattern in config.init_freeze:
        matched = {name for name in taken if _matches(name, pattern) or (pattern == "body" and not is_of(name, every))}
        if not matched:
            top = ", ".join(dict.fromkeys(name.split(".")[0] for name in taken))
            raise ConfigError(f"init_freeze {pattern!r} matches nothing of {folder}; expected body, or of {top}")
        frozen |= matched
    if parameters.keys() <= frozen:
        raise ConfigError(f"init_freeze {', '.join(config.init_freeze)}: nothing is left to learn")
    network.load_state_dict(taken, strict=False)
    for name in frozen & parameters.keys():
        parameters[name].requires_grad_(False)
    odd = [name for name in wanted if name not in taken and not is_of(name, new)]
    texts = [f"from {folder}: {len(taken)} of {len(wanted)} tensors"]
    texts += [f"head {', '.join(new)} new"] if new else []
    texts += [f"{count(len(odd), 'other')} new, as {odd[0]}"] if odd else []
    texts += [f"{len(frozen)} frozen"] if frozen else []
    return Start(frozenset(taken), frozenset(frozen), "; ".join(texts))


def start_at_mean(network: nn.Module, heads: Sequence[str]) -> None:
    """Have heads of values answer the middle of their range before the first step, whatever they are given.

    A head of a wide range starts with answers all over it. Where labels lie close to its middle, as those of a
    pretraining do, the quickest way down is then to make all features alike, and they stay so.
    """
    for name, parameter in network.named_parameters():
        if is_of(name, heads):
            nn.init.zeros_(parameter)


def is_of(name: str, heads: Sequence[str]) -> bool:
    """Whether a parameter or buffer belongs to one of these heads."""
    return any(step == f"{head}_head" for step in name.split(".") for head in heads)


def _matches(name: str, pattern: str) -> bool:
    return fnmatchcase(name, pattern) or fnmatchcase(name, f"{pattern}.*")


def learned_before(config: "Config", folds: Sequence[Fold], sequences: pd.DataFrame) -> tuple[list[Any], str]:
    """By fold what the initial model has learned from, as ``splits.json`` holds it, and what overlaps, in words.

    What is scored here must be new to the initial model altogether; what chooses here may have chosen there, and may
    have been pretrained on where others are tested.

    Raises `ConfigError`: the initial model has learned from sequences or subjects that validate or test here, or does
    not tell, and ``allow_overlap`` is not set.
    """
    found: list[Any] = []
    notes: dict[str, None] = {}
    for number, fold in enumerate(folds, 1):
        folder = origin(config, number, len(folds), config.seed)
        told = learned(folder)
        found.append({key: sorted(told[key] if told else ()) for key in ("sha256", "subjects")})
        if told is None:
            notes["it does not tell what it has learned from (no splits.json beside the model)"] = None
        checked = {"test": ("train", "validation"), "validation": ("train",)}
        if fold.test and read_json(folder / FACTS).get("pretext"):  # it knows no label that a choice could profit from
            del checked["validation"]
        for subset, theirs in checked.items():
            here = sequences[sequences["id"].isin(getattr(fold, subset))]
            one = overlap(folder, here, theirs)
            if isinstance(one, Overlap) and (one.sequences or one.subjects):
                notes[f"{one.text}, and the {subset} subset here has them"] = None
    if notes and not config.allow_overlap:
        raise ConfigError(
            f"init {config.init}: {next(iter(notes))}: the scores would flatter; take a run of other data or of the "
            "same split, or train all the same with --set allow_overlap=true"
        )
    return found, "; ".join(notes)
