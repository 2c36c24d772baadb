"""What a training works with: its data, heads, split, and what is chosen for each fold."""

from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import torch

from skelemo.cache.corrections import Corrections, read_corrections
from skelemo.cache.store import Cache
from skelemo.data.corpus import Corpus, load_corpus
from skelemo.data.corrected import correct
from skelemo.data.novelty import travelled
from skelemo.data.pretext import PRETEXT, without_labels
from skelemo.data.splits import GIVEN_COLUMN, GIVEN_FOLDS, Fold, Split, make_split
from skelemo.data.windows import clip_labels
from skelemo.errors import ConfigError, InputError, unknown
from skelemo.evaluation.circumplex import READING, reads
from skelemo.inference.cost import size
from skelemo.models import registry
from skelemo.runs.folder import CHOICES, read_json
from skelemo.targets import USUAL, Head, hard_labels
from skelemo.training.choice import Choice, caution, choose_calibration, choose_parts
from skelemo.training.config import Config
from skelemo.training.fold import Job
from skelemo.training.initial import is_of
from skelemo.training.losses import require_loss
from skelemo.training.predicting import labeled_windows


@dataclass(frozen=True)
class Data:
    """The corpus of a training, the same before its labels were corrected, and what a run records of that."""

    corpus: Corpus
    uncorrected: Corpus
    changes: dict[str, Any]


def corrections_of(config: Config) -> Corrections | None:
    """The table of corrections that a configuration names."""
    return read_corrections(Path(config.corrections)) if config.corrections else None


def read_data(config: Config, cache: Cache, corrections: Corrections | None) -> Data:
    """Prepare the keypoints of a cache and correct its labels; a pretraining has none."""
    coordinates = registry.entry(config.arch).facts.coordinates
    corpus = load_corpus(cache, config.preparation(coordinates), config.named_parts, memory=config.bytes)
    found = Data(corpus, corpus, {})
    if corrections:
        corrected, facts = correct(corpus, cache, corrections)
        found = Data(corrected, corpus, {"corrections": facts})
    if config.pretrain:
        corpus = without_labels(corpus, config.length)
        found = replace(found, corpus=corpus, uncorrected=corpus)
    return found


def settle_heads(config: Config, corpus: Corpus) -> Config:
    """The heads by name; ``auto`` is the first of the data that has a label, and its loss must fit."""
    if not corpus.heads and not config.pretrain:
        raise ConfigError(
            f"{', '.join(config.data)}: nothing is labeled, so there is nothing to predict: ingest with --labels, "
            f"or learn from it without labels by skelemo pretrain"
        )
    if config.head == "auto" and not config.pretrain:
        found = (head.name for head in corpus.heads if head.labeled(corpus.labels[head.name].cpu().numpy()).any())
        config = config.model_copy(update={"head": next(found, corpus.heads[0].name)})
    heads = {name: corpus.head(name) for name in config.heads}
    known = USUAL | {head.name: head for head in corpus.heads}
    for name, loss in config.loss.items():  # a configuration serves trainings of one head and of another
        if name not in known:
            raise unknown("head in loss", name, known)
        require_loss(known[name], loss)
    if config.neutral_radius is not None:
        if not reads([*heads.values()]):
            raise ConfigError("neutral_radius reads valence and arousal as emotions: take --head va, or expression,va")
        if READING.name in {head.name for head in corpus.heads}:
            raise ConfigError(f"neutral_radius gives a head {READING.name}, and the data have one: leave it out")
    if strange := config.loss_weight.keys() - known.keys():
        raise unknown("head in loss_weight", min(strange), known)
    return config


def draw_split(config: Config, data: Data) -> tuple[Config, Split]:
    """A new split, with ``auto`` resolved: drawn by the labels as they were before corrections, where they were any."""
    corpus, uncorrected = data.corpus, data.uncorrected
    heads = tuple(corpus.head(name) for name in config.heads)
    labeled, strata = _labeled(corpus, heads)
    if uncorrected is not corpus:
        before, theirs = _labeled(uncorrected, heads)
        gained = ~np.isin(labeled, before)
        labeled, strata = np.append(before, labeled[gained]), np.append(theirs, strata[gained])
        order = labeled.argsort()
        labeled, strata = labeled[order], strata[order]
    if not len(labeled):
        raise ConfigError(f"no frame of {', '.join(config.data)} has a label for the head {config.head!r}")
    sequences = corpus.sequences.iloc[labeled]
    if config.split == "auto":
        columns = {name for splits in sequences["splits"] for name in splits}
        given = any(name == GIVEN_COLUMN or name.startswith(GIVEN_FOLDS) for name in columns)
        config = config.model_copy(update={"split": "given" if given else "none" if config.pretrain else "holdout:0.2"})
    if config.given_validation == "score":
        sequences = _validation_as_test(sequences)
    return config, make_split(config.split, sequences, strata, validation=config.validation, seed=config.split_seed)


def _validation_as_test(sequences: pd.DataFrame) -> pd.DataFrame:
    def rename(splits: dict[str, str]) -> dict[str, str]:
        return {column: "test" if subset == "validation" else subset for column, subset in splits.items()}

    return sequences.assign(splits=sequences["splits"].map(rename))


def _labeled(corpus: Corpus, heads: tuple[Head, ...]) -> tuple[np.ndarray, np.ndarray]:
    """Sequences with any label for the heads, and the stratum of each, by the first head.

    A stratum is the sequence's class, or the quarter of its first value or flag.
    """
    count = len(corpus.sequences)
    if not corpus.labels:  # a pretraining looks at none
        return np.arange(count), np.zeros(count, int)
    group = np.repeat(np.arange(count), corpus.sequences["length"])
    clips = {head: clip_labels(head, corpus.labels[head.name].cpu().numpy(), group, count) for head in heads}
    labeled = np.flatnonzero(np.any([head.labeled(labels) for head, labels in clips.items()], axis=0))
    first = clips[heads[0]][labeled]
    if heads[0].kind == "classes":
        return labeled, hard_labels(first).astype(int)
    column = first[:, 0].astype(float)
    if heads[0].kind == "flags":
        return labeled, column.astype(int)
    strata = pd.qcut(pd.Series(column), 4, labels=False, duplicates="drop")
    return labeled, strata.fillna(-1).to_numpy(int)


def settle_choices(config: Config, corpus: Corpus, split: Split, out: Path) -> tuple[Config, list[Choice]]:
    """What each fold works with: as written in the run's folder, else chosen or set; ``auto`` is resolved.

    Where folds choose differently the setting stays ``auto``.
    """
    if (out / CHOICES).exists():
        choices = [Choice.from_json(fold) for fold in read_json(out / CHOICES)["folds"]]
        strange = {name for choice in choices for name in choice.parts} - set(corpus.layout.slices)
        if len(choices) != len(split.folds) or strange:
            raise InputError(f"{out / CHOICES} is not about this run's folds and parts; begin again with another --out")
        return config, choices
    ids = pd.Index(corpus.sequences["id"])
    choices = [
        _choose(config, corpus, np.sort(ids.get_indexer(list(fold.train))), config.seed + number)
        for number, fold in enumerate(split.folds)
    ]
    for name in ("parts", "calibrate"):
        chosen = {getattr(choice, name) for choice in choices}
        if getattr(config, name) in ("auto", ("auto",)) and len(chosen) == 1:
            config = config.model_copy(update={name: chosen.pop()})
    return config, choices


def _choose(config: Config, corpus: Corpus, sequences: np.ndarray, seed: int) -> Choice:
    """The parts, and whether people are calibrated, for a fold that learns from some sequences."""
    heads = tuple(corpus.head(name) for name in config.heads)

    def usable(parts: tuple[str, ...]) -> bool:
        try:
            Job(config, replace(corpus, layout=corpus.layout.only(parts)), torch.device("cpu")).create(restored=True)
        except ConfigError:  # such as a stream that shows a face
            return False
        return True

    choice = Choice(tuple(corpus.layout.slices))
    if config.pretrain:  # choices are made by labels
        return replace(choice, calibrate="none" if config.calibrate == "auto" else config.calibrate)
    if config.parts == ("auto",):
        choice = choose_parts(corpus, sequences, config.window, heads, every=config.every, seed=seed, usable=usable)
    if config.calibrate == "auto":
        fewer = corpus.only(choice.parts)
        return choose_calibration(choice, fewer, sequences, config.window, heads, every=config.every, seed=seed)
    warning = caution(corpus, sequences, heads) if config.calibrate == "track" else ""
    return replace(choice, calibrate=config.calibrate, caution=warning)


class Jobs:
    """What a fold works with under a seed, for what was chosen for it; the last one is kept."""

    def __init__(self, config: Config, corpus: Corpus, device: torch.device) -> None:
        self.config, self.corpus, self.device = config, corpus, device
        self.last: Job | None = None
        self.made: object = None
        self.fewer = corpus  # of the last one's parts
        self.emotions = labeled_windows(corpus, config.window) if config.neutral_radius is not None else None

    def __call__(self, choice: Choice, fold: Fold, seed: int | None = None) -> Job:
        """The job of a fold."""
        made = frozenset(choice.parts), choice.calibrate, fold.train if choice.calibrate != "none" else ()
        if self.last is None or self.made != made:
            self.last, self.made = None, made  # frees its corpus
            if set(self.fewer.layout.slices) != set(choice.parts):
                self.fewer = self.corpus.only(choice.parts)
            train = np.sort(pd.Index(self.corpus.sequences["id"]).get_indexer(list(fold.train)))
            corpus = self.fewer.calibrated(choice.calibrate, train)
            if self.config.standardize != "none":
                corpus = corpus.standardized()
            steps = travelled(corpus) if self.config.sampling == "novelty" else None
            self.last = Job(self.config, corpus.to(self.device), self.device, steps=steps, emotions=self.emotions)
        seed = self.config.seed if seed is None else seed
        return replace(self.last, config=self.config.model_copy(update={"seed": seed}), choice=choice)


def require_buildable(job: Job, *, begun: bool) -> dict[str, int]:
    """Refuse settings that make no model, before anything is written; a network's parameters and FLOPs."""
    config = job.config
    if config.is_baseline:
        job.create()
        return {}
    if config.optimizer is None:
        raise ConfigError(f"{config.arch} is a network: it needs an optimizer, as in --set optimizer=adam")
    network = job.create(restored=begun)
    if config.pretrain and not any(not is_of(name, [PRETEXT]) for name, _ in network.named_parameters()):
        raise ConfigError(f"{config.arch} has no layer that heads share: nothing can start from it; choose another")
    return size(config.arch, job.corpus.layout.name, job.heads, config.length, config.model)
