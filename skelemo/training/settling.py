"""Resolves a configuration against the data: heads, split, and the choices of each fold."""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from functools import partial
from itertools import zip_longest
from pathlib import Path
from typing import Any, cast

import numpy as np
import pandas as pd
import torch

from skelemo.cache.corrections import Corrections, read_corrections
from skelemo.cache.store import Cache
from skelemo.data.calibration import calibrated, standardized
from skelemo.data.corpus import Corpus, load_corpus
from skelemo.data.corrected import correct
from skelemo.data.novelty import travelled
from skelemo.data.pretext import PRETEXT, without_labels
from skelemo.data.splits import GIVEN_COLUMN, GIVEN_FOLDS, Fold, Split, make_split
from skelemo.data.windows import clip_labels
from skelemo.errors import ConfigError, unknown
from skelemo.evaluation.circumplex import READING, reads
from skelemo.inference.scoring.cost import size
from skelemo.models import registry
from skelemo.models.baselines import Baseline
from skelemo.runs.folder import CHOICES, read_json
from skelemo.runs.model_file import FACTS
from skelemo.skeleton import layout
from skelemo.targets import USUAL, Head, hard_labels
from skelemo.training.choice import Choice, Probe, caution, choose_calibration, choose_parts
from skelemo.training.config import Config
from skelemo.training.initial import is_of
from skelemo.training.job import Job
from skelemo.training.losses import require_loss
from skelemo.training.optimizers import make_optimizer
from skelemo.training.predicting import labeled_windows


@dataclass(frozen=True)
class Data:
    """The corpus of a training, the corpus before corrections, and the run's record of corrections."""

    corpus: Corpus
    uncorrected: Corpus
    changes: dict[str, Any]


def corrections_of(config: Config) -> Corrections | None:
    """The configuration's correction table, if any."""
    return read_corrections(Path(config.corrections)) if config.corrections else None


def read_data(config: Config, cache: Cache, corrections: Corrections | None) -> Data:
    """Load a cache and correct its labels; without labels for pretraining."""
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
    """Resolve ``head: auto`` to the first head with labels, and check settings about heads."""
    if not corpus.heads and not config.pretrain:
        raise ConfigError(
            f"{', '.join(config.data)}: no labels: ingest with --labels, or train without labels with skelemo pretrain"
        )
    if config.head == "auto" and not config.pretrain:
        found = (head.name for head in corpus.heads if head.labeled(corpus.labels[head.name].cpu().numpy()).any())
        config = config.model_copy(update={"head": next(found, corpus.heads[0].name)})
    heads = {name: corpus.head(name) for name in config.heads}
    known = USUAL | {head.name: head for head in corpus.heads}
    for name, loss in config.loss.items():  # may include heads that are not trained here
        if name not in known:
            raise unknown("head in loss", name, known)
        require_loss(known[name], loss)
    if config.neutral_radius is not None:
        if not reads([*heads.values()]):
            raise ConfigError("neutral_radius maps valence and arousal to emotions: use --head va or expression,va")
        if READING.name in {head.name for head in corpus.heads}:
            raise ConfigError(f"neutral_radius adds a head {READING.name}, but the data already have one: omit it")
    if not any(config.loss_weight.get(name, 1) for name in heads) and not config.is_baseline:
        raise ConfigError(f"loss_weight is 0 for {', '.join(heads)}: nothing to train; expected one above 0")
    if odd := config.loss_weight.keys() - known.keys():
        raise unknown("head in loss_weight", min(odd), known)
    return config


def draw_split(config: Config, data: Data) -> tuple[Config, Split]:
    """A new split, with ``auto`` resolved, stratified by the labels before corrections."""
    corpus, uncorrected = data.corpus, data.uncorrected
    heads = tuple(corpus.head(name) for name in config.heads)
    labeled, strata = _labeled(corpus, heads)
    if uncorrected is not corpus:
        before, theirs = _labeled(uncorrected, heads)
        gained = ~np.isin(labeled, before)
        labeled, strata = np.append(before, labeled[gained]), np.append(theirs, strata[gained])
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
    """Sequences with a label for any of the heads, and their strata by the first head.

    The stratum is the class, the quartile of the first value, or the first flag.
    """
    count = len(corpus.sequences)
    if not corpus.labels:
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


def settle_choices(
    config: Config, corpus: Corpus, split: Split, out: Path, origins: Sequence[Path] = ()
) -> tuple[Config, list[Choice]]:
    """Parts and calibration of each fold: from the run's folder if resumed, else chosen or as configured.

    ``auto`` is resolved in the configuration unless folds differ. ``origins`` are the folders of the models that
    initialize the folds; their parts are kept.
    """
    if (out / CHOICES).exists():
        return config, [Choice.from_json(fold) for fold in read_json(out / CHOICES)["folds"]]
    ids = pd.Index(corpus.sequences["id"])
    choices = [
        _choose(config, corpus, np.sort(ids.get_indexer(list(fold.train))), config.seed + number, origin)
        for number, (fold, origin) in enumerate(zip_longest(split.folds, origins))
    ]
    for name in ("parts", "calibrate"):
        chosen = {getattr(choice, name) for choice in choices}
        if getattr(config, name) in ("auto", ("auto",)) and len(chosen) == 1:
            config = config.model_copy(update={name: chosen.pop()})
    return config, choices


def _choose(config: Config, corpus: Corpus, sequences: np.ndarray, seed: int, origin: Path | None) -> Choice:
    """Choose parts and calibration of a fold from its training sequences, and the parts of its initial model."""
    heads = tuple(corpus.head(name) for name in config.heads)

    def usable(parts: tuple[str, ...]) -> bool:
        try:
            Job(config, replace(corpus, layout=corpus.layout.only(parts)), torch.device("cpu")).create(restored=True)
        except ConfigError:  # such as a face stream without a face
            return False
        return True

    choice = Choice(tuple(corpus.layout.slices))
    known = layout(read_json(origin / FACTS)["layout"]).slices if origin else {}
    if config.parts == ("auto",) and known and known.keys() <= {*choice.parts}:
        choice = Choice(tuple(known))
    if config.pretrain:  # the probe needs labels
        return replace(choice, calibrate="none" if config.calibrate == "auto" else config.calibrate)
    probe_of = partial(Probe, sequences=sequences, window=config.window, heads=heads, every=config.every, seed=seed)
    if config.parts == ("auto",) and not origin:
        choice = choose_parts(corpus, probe_of, usable)
    if config.calibrate == "auto":
        return choose_calibration(choice, corpus.only(choice.parts), sequences, probe_of)
    warning = caution(corpus, sequences, heads) if config.calibrate == "track" else ""
    return replace(choice, calibrate=config.calibrate, caution=warning)


class Jobs:
    """Creates the job of a fold and seed from its choice, caching the last corpus."""

    def __init__(self, config: Config, corpus: Corpus, device: torch.device) -> None:
        self.config, self.corpus, self.device = config, corpus, device
        self.last: Job | None = None
        self.key: object = None
        self.selected = corpus  # the last choice's parts
        self.emotions = labeled_windows(corpus, config.window) if config.neutral_radius is not None else None

    def __call__(self, choice: Choice, fold: Fold, seed: int | None = None) -> Job:
        """The job of a fold."""
        key = frozenset(choice.parts), choice.calibrate, fold.train if choice.calibrate != "none" else ()
        if self.last is None or self.key != key:
            self.last, self.key = None, key  # frees the previous corpus
            if set(self.selected.layout.slices) != set(choice.parts):
                self.selected = self.corpus.only(choice.parts)
            train = np.sort(pd.Index(self.corpus.sequences["id"]).get_indexer(list(fold.train)))
            corpus = calibrated(self.selected, choice.calibrate, train)
            if self.config.standardize != "none":
                corpus = standardized(corpus)
            steps = travelled(corpus) if self.config.sampling == "novelty" else None
            self.last = Job(self.config, corpus.to(self.device), self.device, steps=steps, emotions=self.emotions)
        seed = self.config.seed if seed is None else seed
        return replace(self.last, config=self.config.model_copy(update={"seed": seed}), choice=choice)


def require_buildable(job: Job, *, begun: bool) -> dict[str, int]:
    """Check that the model can be built before anything is written; returns a network's parameters and FLOPs."""
    config = job.config
    if config.is_baseline:
        cast(Baseline, job.create()).require_valid()
        return {}
    if config.optimizer is None:
        raise ConfigError(f"{config.arch} is a network and needs an optimizer, e.g. --set optimizer=adam")
    network = job.create(restored=begun)
    if config.pretrain and all(is_of(name, [PRETEXT]) for name, _ in network.named_parameters()):
        raise ConfigError(
            f"{config.arch} has no layers besides its heads and cannot be pretrained; choose e.g. stgcnpp"
        )
    make_optimizer(network, config.model_copy(update={"lr": 1e-3}))  # lr may be auto
    return size(config.arch, job.corpus.layout.name, job.heads, config.length, config.model)
