"""Trainings scored on the validation subset only, for hyperparameter search."""

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
from skelemo.training.fold import run_fold
from skelemo.training.initial import learned_before, origin
from skelemo.training.job import Job, require_windows
from skelemo.training.settling import (
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
    """Main metric of each head on the validation subset, and their mean."""

    score: float
    figures: dict[str, float]


class ValidationScorer:
    """Trains with various settings on one fold and scores its validation subset.

    Uses the same split as ``skelemo train``. Labels and keypoints of all sequences outside the fold's training and
    validation subsets are erased from memory before any training.

    Raises `ConfigError`: no such fold, or it has no validation subset; `CacheError`: the data are unreadable.

    Parameters
    ----------
    config : settings that define what is scored, see `SCORED`.
    number : fold, from 1.
    """

    def __init__(self, config: Config, number: int = 1) -> None:
        if not config.data:
            raise ConfigError("no data: name a cache under base, or with --set data=cache/NAME")
        if config.pretrain:
            raise ConfigError("a search needs predictions to score: omit pretrain")
        self.cache: Cache = open_cache([Path(path) for path in config.data])
        self.device = choose_device(config.device)
        self.corrections = corrections_of(config)
        data = read_data(config, self.cache, self.corrections)
        self.config, split = draw_split(settle_heads(config, data.corpus), data)
        if not 1 <= number <= len(split.folds):
            raise ConfigError(f"fold = {number}: expected 1 to {len(split.folds)} for the split {self.config.split}")
        self.number, self.folds = number, split.folds
        self.fold: Fold = replace(split.folds[number - 1], test=())
        self.split: Split = replace(split, folds=(self.fold,))
        if not self.fold.validation:
            raise ConfigError("a search needs a validation subset: set validation=0.1")
        self._last = (self._key(config), self._erased(data.corpus))

    def __call__(
        self,
        config: Config,
        folder: Path,
        *,
        callbacks: Sequence[lightning.Callback] = (),
        report: Callable[[int, int, str], None] = lambda *_: None,
    ) -> Judged:
        """Train in an empty ``folder`` and score."""
        job = self.job(config, folder)
        require_windows(job, self.fold, self.number)
        require_buildable(job, begun=False)
        table = run_fold(replace(job, callbacks=tuple(callbacks)), self.fold, self.number, folder, report)
        clips = [head.name for head in job.heads if labeled_as_clips(job.corpus, head)]
        found = score(table, job.heads, clips=clips, resamples=1).get("validation", {})
        figures = {head.name: found.get(head.name, {}).get(main_metric(head), {}).get("value") for head in job.heads}
        known = {name: float(value) for name, value in figures.items() if value is not None}
        if not known:
            raise ConfigError(f"no validation score for {', '.join(figures)}")
        return Judged(float(np.mean([*known.values()])), known)

    def job(self, config: Config, folder: Path) -> Job:
        """The job of a training with these settings."""
        fixed = {name: getattr(self.config, name) for name in SCORED - {"seed", "seeds"}}
        config = config.model_copy(update={**fixed, "seeds": 1, "devices": 1, "nodes": 1, "importance": 0})
        if config.is_baseline:
            config = config.model_copy(update={"optimizer": None})
        key = self._key(config)
        if self._last[0] != key:
            self._last = (key, self._erased(read_data(config, self.cache, self.corrections).corpus))
        corpus = self._last[1]
        place = origin(config, self.number, len(self.folds), config.seed) if config.init else None
        if place:
            learned_before(config, self.folds, corpus.sequences)
        origins = [place] if place else []
        config, (choice,) = settle_choices(settle_heads(config, corpus), corpus, self.split, folder, origins)
        return replace(Jobs(config, corpus, self.device)(choice, self.fold), origin=place)

    @staticmethod
    def _key(config: Config) -> tuple[object, ...]:
        return config.preparation(registry.entry(config.arch).facts.coordinates), config.named_parts

    def _erased(self, corpus: Corpus) -> Corpus:
        """The corpus with everything outside the training and validation subsets erased."""
        others = ~corpus.sequences["id"].isin({*self.fold.train, *self.fold.validation}).to_numpy()
        rows = np.repeat(others, corpus.sequences["length"].to_numpy())

        def erased(values: Tensor) -> Tensor:
            values = values.clone()
            values[rows] = float("nan") if values.is_floating_point() else -1
            return values

        keypoints, seen = corpus.keypoints, corpus.seen.clone()
        keypoints[rows], seen[rows] = 0, False
        corpus.forget(0, len(corpus))
        labels = {name: erased(values) for name, values in corpus.labels.items()}
        return replace(corpus, keypoints=keypoints, seen=seen, labels=labels)
