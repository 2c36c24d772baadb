"""Trainings that are judged by the validation subset alone, as a search for settings needs them."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

import lightning
import numpy as np
from torch import Tensor

from skelemo.cache.store import Cache, open_cache
from skelemo.data.corpus import Corpus
from skelemo.data.splits import Fold, Split
from skelemo.data.windows import labeled_as_clips
from skelemo.errors import ConfigError
from skelemo.evaluation.metrics import main_metric
from skelemo.evaluation.scores import score
from skelemo.inference.environment import choose_device
from skelemo.models import registry
from skelemo.training.config import SCORED, Config
from skelemo.training.fold import Job, require_windows, run_fold
from skelemo.training.settling import (
    Data,
    Jobs,
    corrections_of,
    draw_split,
    read_data,
    require_buildable,
    settle_choices,
    settle_heads,
)


@dataclass(frozen=True)
class Judged:
    """The mean of the heads' main figures on the validation subset, and each of them."""

    score: float
    figures: dict[str, float]


class ValidationScorer:
    """Trains under many settings on one fold and scores its validation subset.

    The split is the one that ``skelemo train`` draws. Once it is drawn, the labels and keypoints of all sequences
    but those of the fold's training and validation subsets are erased from memory, before anything is trained.

    Raises `ConfigError`: there is no such fold, or it has no validation subset; `CacheError`: the data cannot be read.

    Parameters
    ----------
    config : the settings that decide what is scored, see `SCORED`.
    number : of the fold, from 1 on.
    """

    def __init__(self, config: Config, number: int = 1) -> None:
        if not config.data:
            raise ConfigError("no data: name a cache under base, or by --set data=cache/NAME")
        if config.pretrain:
            raise ConfigError("a search scores predictions, and a pretraining makes none: leave pretrain out")
        self.cache: Cache = open_cache([Path(path) for path in config.data])
        self.device = choose_device(config.device)
        self.corrections = corrections_of(config)
        data = self._read(config)
        self.config, split = draw_split(settle_heads(config, data.corpus), data)
        if not 1 <= number <= len(split.folds):
            raise ConfigError(f"fold is {number}, and the split {self.config.split} has {len(split.folds)}")
        self.number, self.folds = number, len(split.folds)
        self.fold: Fold = replace(split.folds[number - 1], test=())
        self.split: Split = replace(split, folds=(self.fold,))
        if not self.fold.validation:
            raise ConfigError("a search chooses by the validation subset, and there is none: set validation=0.1")
        self._last = (self._key(config), self._closed(data.corpus))

    def __call__(
        self,
        config: Config,
        folder: Path,
        *,
        callbacks: Sequence[lightning.Callback] = (),
        report: Callable[[int, int, str], None] = lambda *_: None,
    ) -> Judged:
        """Train in an empty ``folder`` and score; ``report`` is told of epochs."""
        job = self.job(config, folder)
        require_windows(job, self.fold, self.number)
        require_buildable(job, begun=False)
        table = run_fold(replace(job, callbacks=tuple(callbacks)), self.fold, self.number, folder, report)
        clips = [head.name for head in job.heads if labeled_as_clips(job.corpus, head)]
        found = score(table, job.heads, clips=clips, resamples=1).get("validation", {})
        figures = {head.name: found.get(head.name, {}).get(main_metric(head), {}).get("value") for head in job.heads}
        known = {name: float(value) for name, value in figures.items() if value is not None}
        if not known:
            raise ConfigError(f"nothing to choose by: the validation subset has no figure of {', '.join(figures)}")
        return Judged(float(np.mean([*known.values()])), known)

    def job(self, config: Config, folder: Path) -> Job:
        """What a training under such settings works with."""
        fixed = {name: getattr(self.config, name) for name in SCORED - {"seed", "seeds"}}
        config = config.model_copy(update={**fixed, "seeds": 1, "devices": 1, "nodes": 1, "importance": 0})
        if config.is_baseline:
            config = config.model_copy(update={"optimizer": None})
        key = self._key(config)
        if self._last[0] != key:
            self._last = (key, self._closed(self._read(config).corpus))
        corpus = self._last[1]
        config, (choice,) = settle_choices(settle_heads(config, corpus), corpus, self.split, folder)
        return Jobs(config, corpus, self.device)(choice, self.fold)

    def _read(self, config: Config) -> Data:
        return read_data(config, self.cache, self.corrections)

    @staticmethod
    def _key(config: Config) -> tuple[object, ...]:
        return config.preparation(registry.entry(config.arch).facts.coordinates), config.named_parts

    def _closed(self, corpus: Corpus) -> Corpus:
        """The corpus of which only the training and validation subsets are left."""
        open_ids = {*self.fold.train, *self.fold.validation}
        closed = ~corpus.sequences["id"].isin(open_ids).to_numpy()
        rows = np.repeat(closed, corpus.sequences["length"].to_numpy())

        def erased(values: Tensor) -> Tensor:
            values = values.clone()
            values[rows] = float("nan") if values.is_floating_point() else -1
            return values

        keypoints, seen = corpus.keypoints, corpus.seen.clone()
        keypoints[rows], seen[rows] = 0, False
        corpus.forget(0, len(corpus))
        labels = {name: erased(values) for name, values in corpus.labels.items()}
        return replace(corpus, keypoints=keypoints, seen=seen, labels=labels)
