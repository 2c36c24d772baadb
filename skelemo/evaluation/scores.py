"""Scores of a run with confidence intervals from its predictions, ``scores.json``."""

import math
from collections.abc import Collection, Mapping, Sequence
from typing import Any

import numpy as np
import pandas as pd

from skelemo.evaluation.bootstrap import RESAMPLES, LabeledWindows, number_or_none
from skelemo.runs.folder import metrics_in, scores_html
from skelemo.runs.predictions import SUBSETS
from skelemo.targets import Head, hard_labels


class Scores(dict[str, dict[str, dict[str, Any]]]):
    """``{subset: {head: {metric: {"value", "low", "high"}, …}}}``, with subsets also as attributes."""

    def __getattr__(self, name: str) -> dict[str, dict[str, Any]]:
        if name not in self:
            raise AttributeError(f"no subset {name!r} was scored, only {', '.join(self) or 'none'}")
        return self[name]

    def __dir__(self) -> list[str]:
        return sorted({*super().__dir__(), *self})

    def __repr__(self) -> str:
        rows = [
            f"{subset:<12}{head:<16}" + "  ".join(_shown(*metric) for metric in list(metrics_in(scored).items())[:3])
            for subset, heads in self.items()
            for head, scored in heads.items()
        ]
        return "\n".join(rows) or "nothing was scored"

    def _repr_html_(self) -> str:
        return scores_html(self)


def _shown(name: str, figure: Mapping[str, Any]) -> str:
    value, low, high = (figure.get(key) for key in ("value", "low", "high"))
    if value is None:
        return f"{name} –"
    return f"{name} {value:.3f}" + (f" [{low:.3f}, {high:.3f}]" if low is not None and high is not None else "")


def score(
    predictions: pd.DataFrame,
    heads: Sequence[Head],
    *,
    clips: Collection[str] = (),
    resamples: int = RESAMPLES,
    seed: int = 0,
) -> Scores:
    """Score every subset of a table of predictions (`skelemo.runs.predictions`), head by head.

    All labeled windows of a subset are pooled, also across folds; with several folds, the metrics of each and their
    mean are added (DFEW's convention). Intervals are 95 % percentile bootstraps over subjects if known, else videos,
    else sequences.

    Parameters
    ----------
    clips : heads that label whole clips: each clip has one prediction, the mean over its windows.

    Returns
    -------
    dict
        ``{subset: {head: {metric: {"value", "low", "high"}, …}}}``, None if undefined. Subsets without windows and
        heads without labels are omitted.

    Raises `InputError`: a prediction is not finite (the training diverged), or a class is unknown.
    """
    found = Scores()
    for subset in SUBSETS:
        frame = predictions[predictions["subset"] == subset]
        judged = [LabeledWindows.of(frame, head, head.name in clips) for head in heads]
        figures = {one.head.name: one.figures(resamples, seed) for one in judged if len(one.windows)}
        if figures:
            found[subset] = figures
    return found


def with_seeds(scores: Scores, by_seed: Mapping[int, Scores]) -> Scores:
    """Add the metrics of each training, their mean and standard deviation to the scores of the mean prediction."""
    found = Scores()
    for subset, heads in scores.items():
        found[subset] = {}
        for head, scored in heads.items():
            own = {
                str(seed): {name: figure["value"] for name, figure in metrics_in(of_seed[subset][head]).items()}
                for seed, of_seed in by_seed.items()
            }
            found[subset][head] = {**scored, "seeds": own, "seed_mean": _spread([*own.values()])}
    return found


def _spread(figures: Sequence[Mapping[str, float | None]]) -> dict[str, dict[str, float | None]]:
    """Mean and standard deviation of each metric; None if one is undefined."""
    table = pd.DataFrame(figures).astype(float)
    mean, deviation = table.mean(skipna=False), table.std(ddof=1, skipna=False)
    return {name: {"mean": number_or_none(mean[name]), "sd": number_or_none(deviation[name])} for name in table.columns}


def measure(head: Head, labels: np.ndarray, outputs: np.ndarray) -> dict[str, float]:
    """Metrics of outputs ``[N, K]`` without intervals; NaN if undefined, as for labels of a single class.

    Metrics without sums are skipped, since this runs after every epoch.
    """
    truth = hard_labels(labels).astype(np.int64) if head.kind == "classes" else labels.astype(np.float64)
    if head.kind == "flags":
        truth[truth < 0] = np.nan
    known = head.labeled(truth)
    judged = LabeledWindows(head, pd.DataFrame(index=range(int(known.sum()))), truth[known], outputs[known], "window")
    total = judged.totals(np.zeros(len(judged.truth), np.int64), 1)[0]
    return {name: math.nan if judged.single_class else float(value) for name, value in judged.measure(total).items()}
