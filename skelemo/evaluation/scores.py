"""A table of predictions to the figures of a run, each with a confidence interval: ``scores.json``.

Every figure is a function of sums over windows (a confusion matrix, or the moments of two series), so groups of
windows are summed once, and a thousand resamples are one matrix product.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from skelemo.errors import InputError
from skelemo.evaluation import metrics
from skelemo.evaluation.metrics import Floats
from skelemo.runs.folder import AFFECTS, PARTS, write_json

Codes = NDArray[np.int64]
Scores = dict[str, dict[str, dict[str, Any]]]

RESAMPLES = 1000
LEVEL = 0.95

#: Draws per round of the bootstrap: bounds its memory to some tens of megabytes.
_DRAWS = 4_000_000


def score(predictions: pd.DataFrame, classes: Sequence[str], *, resamples: int = RESAMPLES, seed: int = 0) -> Scores:
    """Score every part and head that a table of predictions holds (`run.write_predictions` names its columns).

    All labelled windows of a part count together, those of all folds too; where there are several folds, the figures
    of each and their mean stand beside (DFEW's convention). Intervals are 95 % percentile bootstraps that resample
    subjects where a window's subject is known, else videos, else sequences; a single group has no interval.

    Returns
    -------
    dict
        ``{part: {"expression": …, "va": …}}`` of plain numbers, None where a figure does not exist. A part without
        windows and a head without predictions or labels are left out.

    Raises
    ------
    InputError
        A prediction that is not a number (the training diverged), or a class that is not among ``classes``.
    """
    found: Scores = {}
    for part in PARTS:
        frame = predictions[predictions["part"] == part]
        heads = {"expression": _expression(frame, classes), "va": _va(frame)}
        figures = {name: _figures(head, classes, resamples, seed) for name, head in heads.items() if head is not None}
        if figures:
            found[part] = figures
    return found


def write_scores(path: Path, predictions: pd.DataFrame, classes: Sequence[str]) -> Scores:
    """`score` the predictions, write the figures to ``path`` as JSON and return them."""
    figures = score(predictions, classes)
    write_json(path, figures)
    return figures


def class_numbers(names: pd.Series, classes: Sequence[str]) -> Codes:
    """Class names ``[N]`` to class numbers, -1 for an empty or missing name; InputError for an unknown one."""
    codes, values = pd.factorize(names.astype(object).where(names.notna(), ""))
    known = {"": -1} | {name: number for number, name in enumerate(classes)}
    strange = next((value for value in values if value not in known), None)
    if strange is not None:
        raise InputError(f"the predictions name a class {strange!r}; the run's classes are {', '.join(classes)}")
    return np.array([known[value] for value in values], dtype=np.int64)[codes]


def resample(groups: Floats, resamples: int, seed: int) -> Floats:
    """Totals ``[R, K]`` over groups ``[G, K]`` drawn with replacement, G of them each of R times."""
    rng, count = np.random.default_rng(seed), len(groups)
    totals, most = [], max(1, _DRAWS // count)
    for start in range(0, resamples, most):
        rows = min(most, resamples - start)
        drawn = rng.integers(count, size=(rows, count)) + count * np.arange(rows)[:, None]
        times = np.bincount(drawn.ravel(), minlength=rows * count).reshape(rows, count)
        totals.append(times.astype(np.float64) @ groups)
    return np.concatenate(totals)


@dataclass(frozen=True)
class _Head:
    """The labelled windows of one head in one part, and how to score any share of them."""

    windows: pd.DataFrame
    totals: Callable[[Codes, int], Floats]  # which group a window is of [N], how many there are → sums [G, K]
    measure: Callable[[Floats], dict[str, Floats]]  # sums [..., K] → figures by name, [...] each
    details: Callable[[Sequence[str], Floats, Floats], dict[str, Any]]  # classes, groups [G, K], resampled sums [R, K]


def _expression(frame: pd.DataFrame, classes: Sequence[str]) -> _Head | None:
    if "predicted" not in frame:
        return None
    truth, count = class_numbers(frame["expression"], classes), len(classes)
    labelled = truth >= 0
    frame, truth = frame[labelled], truth[labelled]
    if not len(frame):
        return None
    predicted = class_numbers(frame["predicted"], classes)
    _refuse(frame, predicted < 0, "no predicted class")
    shares = frame[[name for name in (f"p_{c}" for c in classes) if name in frame]].to_numpy(np.float64)
    _refuse(frame, ~np.isfinite(shares).all(1), "a predicted share of a class that is not a number")

    def totals(groups: Codes, size: int) -> Floats:
        cells = (groups * count + truth) * count + predicted
        return np.bincount(cells, minlength=size * count * count).reshape(size, -1).astype(np.float64)

    def measure(sums: Floats) -> dict[str, Floats]:
        matrix = sums.reshape(*sums.shape[:-1], count, count)
        return {
            "macro_f1": metrics.macro_f1(matrix),
            "uar": metrics.uar(matrix),
            "accuracy": metrics.accuracy(matrix),
        }

    return _Head(frame, totals, measure, _class_details)


def _va(frame: pd.DataFrame) -> _Head | None:
    if "predicted_valence" not in frame:
        return None
    truth = frame[list(AFFECTS)].to_numpy(np.float64)  # [N, 2]
    labelled = ~np.isnan(truth).all(1)
    frame, truth = frame[labelled], truth[labelled]
    if not len(frame):
        return None
    predicted = frame[[f"predicted_{name}" for name in AFFECTS]].to_numpy(np.float64)
    _refuse(frame, ~np.isfinite(predicted).all(1), "predicted valence or arousal that is not a number")

    def totals(groups: Codes, size: int) -> Floats:
        columns = []
        for x, y in zip(truth.T, predicted.T, strict=True):
            known = ~np.isnan(x)
            center = float(x[known].mean()) if known.any() else 0.0
            columns.append(metrics.sums(x[known], y[known], groups[known], size, center))
        return np.concatenate(columns, axis=1)  # [G, 12]

    def measure(sums: Floats) -> dict[str, Floats]:
        pairs = sums.reshape(*sums.shape[:-1], 2, 6)
        ccc, rmse = metrics.ccc_of_sums(pairs), metrics.rmse_of_sums(pairs)  # [..., 2]
        figures = {f"ccc_{name}": ccc[..., i] for i, name in enumerate(AFFECTS)} | {"ccc_mean": ccc.mean(-1)}
        return figures | {f"rmse_{name}": rmse[..., i] for i, name in enumerate(AFFECTS)}

    return _Head(frame, totals, measure, lambda classes, groups, drawn: {})


def _figures(head: _Head, classes: Sequence[str], resamples: int, seed: int) -> dict[str, Any]:
    codes, unit = _groups(head.windows)
    count = int(codes.max()) + 1
    groups = head.totals(codes, count)
    sums = groups.sum(0)
    drawn = resample(groups, resamples, seed) if count > 1 else np.full((1, groups.shape[1]), np.nan)
    measured, spread = head.measure(sums), head.measure(drawn)
    return {
        **{name: _with_interval(value, spread[name]) for name, value in measured.items()},
        **head.details(classes, groups, drawn),
        **_over_folds(head),
        "windows": len(head.windows),
        "groups": count,
        "grouped_by": unit,
        "interval": {"level": LEVEL, "resamples": resamples if count > 1 else 0, "seed": seed},
    }


def _class_details(classes: Sequence[str], groups: Floats, drawn: Floats) -> dict[str, Any]:
    """Confusion matrix, and precision, recall and F1 by class with their intervals.

    A class that a single group shows has none: resampling would repeat that group or lose the class.
    """
    count = len(classes)
    cells = groups.reshape(-1, count, count)
    matrix = cells.sum(0)
    shown_by = (cells.sum(-1) > 0).sum(0)  # [C] groups
    measured = metrics.per_class(matrix)
    bounds = {
        name: _interval(values)
        for name, values in metrics.per_class(drawn.reshape(-1, count, count)).items()
        if name != "support"
    }
    table: dict[str, dict[str, Any]] = {}
    for number, name in enumerate(classes):
        table[name] = {key: _number(values[number]) for key, values in measured.items()}
        table[name]["support"] = int(measured["support"][number])
        for key, (low, high) in bounds.items():
            known = shown_by[number] > 1
            table[name][f"{key}_low"] = _number(low[number]) if known else None
            table[name][f"{key}_high"] = _number(high[number]) if known else None
    return {"per_class": table, "confusion": matrix.astype(int).tolist()}


def _over_folds(head: _Head) -> dict[str, Any]:
    """Figures of each fold, and their mean and standard deviation, where there is more than one."""
    codes, folds = pd.factorize(head.windows["fold"], sort=True)
    if len(folds) < 2:
        return {}
    measured = head.measure(head.totals(codes.astype(np.int64), len(folds)))
    windows = np.bincount(codes)
    return {
        "folds": {
            str(fold): {name: _number(values[i]) for name, values in measured.items()} | {"windows": int(windows[i])}
            for i, fold in enumerate(folds)
        },
        "fold_mean": {
            name: {"mean": _number(values.mean()), "sd": _number(values.std(ddof=1))}
            for name, values in measured.items()
        },
    }


def _groups(frame: pd.DataFrame) -> tuple[Codes, str]:
    """Which group each window is of, and what a group is: subject, video or sequence, or several of these."""
    names = pd.Series("", index=frame.index, dtype=object)
    kinds = []
    for kind in ("subject", "video", "sequence"):
        known = frame[kind].astype(object).where(frame[kind].notna(), "").astype(str)
        here = (names == "") & (known != "")
        if here.any():
            kinds.append(kind)
            names[here] = kind + " " + known[here]
    codes, _ = pd.factorize(names)
    return codes.astype(np.int64), " or ".join(kinds)


def _interval(values: Floats) -> tuple[Floats, Floats]:
    """The middle 95 % of resampled figures ``[R, …]``; resamples that lack the figure are left out."""
    tail = 50 * (1 - LEVEL)
    missing = np.isnan(values).all(0)
    low, high = np.nanpercentile(np.where(missing, 0.0, values), [tail, 100 - tail], axis=0)
    return np.where(missing, np.nan, low), np.where(missing, np.nan, high)


def _with_interval(value: Floats, resampled: Floats) -> dict[str, float | None]:
    low, high = _interval(resampled)
    return {"value": _number(value), "low": _number(low), "high": _number(high)}


def _number(value: Any) -> float | None:
    number = float(value)
    return number if np.isfinite(number) else None


def _refuse(frame: pd.DataFrame, wrong: NDArray[np.bool_], what: str) -> None:
    if wrong.any():
        first = frame.iloc[int(wrong.argmax())]
        raise InputError(
            f"{np.count_nonzero(wrong):,} of {len(frame):,} windows have {what}, "
            f"the first is frame {first['frame']} of {first['sequence']}: did the training diverge? (try a lower lr)"
        )
