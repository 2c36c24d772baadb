"""Metrics: pure functions on NumPy arrays in float64, over labeled windows only, registered by name.

Metrics of classes are functions of confusion matrices ``[..., C, C]`` (rows: truth, columns: prediction), metrics of
values are functions of moments, so a thousand resamples are scored in one call. Other metrics take the windows
(`skelemo.evaluation.rank_metrics`). Predictions must not be NaN.
"""

from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from typing import Any, Literal

import numpy as np
from numpy.typing import ArrayLike, NDArray

from skelemo.plugins import Registry
from skelemo.targets import Head, KindName

Floats = NDArray[np.float64]
Counts = NDArray[np.int64]


@dataclass(frozen=True)
class Metric:
    """Properties of a registered metric.

    Parameters
    ----------
    kind : kind of head.
    form : signature of the function; all but ``windows`` allow leading axes:

        - ``confusion``: matrices ``[..., C, C]`` → ``[...]`` (classes)
        - ``moments``: `sums` of each output ``[..., K, 6]`` → ``[..., K]`` (values)
        - ``tables``: 2 × 2 tables of each flag ``[..., K, 2, 2]`` → ``[..., K]`` (flags)
        - ``windows``: truth and prediction → a number, or ``[K]``, one per output. Classes are int ``[N]`` and
          probabilities ``[N, K]``; values and flags float ``[N, K]`` each, NaN if the truth is unknown.

    title : title for reports.
    sums, of_sums : only for ``windows``, for a fast bootstrap. ``sums(truth, predicted, groups, size)`` yields for each
        output (or once for all) statistics that are additive over groups, ``[size, S]``; ``of_sums`` maps totals
        ``[R, S]`` to the metric ``[R]``, exactly or approximately. Without them windows are resampled.
    resampled : only for ``confusion`` and ``tables``: replaces the function for resamples, with the sums of the
        resamples and of all windows, for metrics that depend on which classes occur.
    """

    kind: KindName
    form: Literal["confusion", "moments", "tables", "windows"]
    title: str
    sums: Callable[[Any, Floats, Counts, int], Iterator[Floats]] | None = None
    of_sums: Callable[[Floats], Floats] | None = None
    resampled: Callable[[Floats, Floats], Floats] | None = None


METRICS: Registry[Metric] = Registry("metric", "skelemo.metrics", "skelemo.evaluation")

#: Main metric of each kind, which selects models and is first in tables.
MAIN: dict[KindName, str] = {"classes": "macro_f1", "values": "ccc_mean", "flags": "f1_mean"}


def main_metric(head: Head) -> str:
    """Name of the head's main metric."""
    return MAIN[head.kind]


def metrics_of(head: Head) -> list[str]:
    """Registered metrics of the head's kind, the main one first."""
    main = MAIN[head.kind].removesuffix("_mean")
    return sorted((name for name in METRICS if METRICS[name].facts.kind == head.kind), key=lambda name: name != main)


def titles(head: Head) -> dict[str, str]:
    """Titles of a head's metrics, with one per output if evaluated by output."""
    found = {}
    for name in metrics_of(head):
        title = METRICS[name].facts.title
        if head.kind == "classes":
            found[name] = title
        else:
            found[f"{name}_mean"] = f"mean {title}" if len(head) > 1 else title
            found |= {f"{name}_{output}": f"{title} {output}" for output in head.outputs if len(head) > 1}
    return found


def title_of(name: str, names: Iterable[str]) -> str:
    """Title of a metric by its name in scores, among the ``names`` of a head: ``ccc_mean`` is mean CCC, of several."""
    metric = max((key for key in METRICS if f"{name}_".startswith(f"{key}_")), key=len, default="")
    if not metric:
        return name.replace("_", " ")
    title, output = METRICS[metric].facts.title, name[len(metric) + 1 :]
    if output == "mean":
        several = any(other.startswith(f"{metric}_") and other != name for other in names)
        return f"mean {title}" if several else title
    return f"{title} {output}".rstrip()


def confusion(truth: ArrayLike, predicted: ArrayLike, classes: int) -> Counts:
    """Count windows ``[N]`` by true class (row) and predicted class (column): ``[C, C]``.

    Raises `ValueError`: lengths differ, or values are not whole numbers in ``0 … classes - 1``.
    """
    rows, columns = np.asarray(truth), np.asarray(predicted)
    if rows.shape != columns.shape or rows.ndim != 1:
        raise ValueError(f"truth {rows.shape} and predictions {columns.shape}: expected two arrays of equal length")
    for name, values in (("truth", rows), ("predictions", columns)):
        if values.size and (values.dtype.kind not in "iu" or values.min() < 0 or values.max() >= classes):
            low, high = values.min(), values.max()
            raise ValueError(f"{name}: {values.dtype} from {low} to {high}; expected class numbers 0 to {classes - 1}")
    cells = rows.astype(np.int64) * classes + columns.astype(np.int64)
    return np.bincount(cells, minlength=classes * classes).reshape(classes, classes)


@METRICS.register("accuracy", Metric("classes", "confusion", "accuracy"))
def accuracy(matrix: ArrayLike) -> Floats:
    """Share of correct windows (WAR), from confusion matrices ``[..., C, C]``."""
    counts = np.asarray(matrix, dtype=np.float64)
    return ratio(np.trace(counts, axis1=-2, axis2=-1), counts.sum((-2, -1)))


@METRICS.register("uar", Metric("classes", "confusion", "UAR"))
def uar(matrix: ArrayLike) -> Floats:
    """Recall averaged over the classes in the truth (UAR, balanced accuracy), from ``[..., C, C]``."""
    return mean_of_known(per_class(matrix)["recall"])


def macro_f1_of_resamples(matrices: Floats, whole: Floats) -> Floats:
    """`macro_f1` of resamples ``[..., C, C]`` of windows with the matrix ``[C, C]``.

    A class that does not occur in a resample is left out, like its recall: 0 would bias the interval down. A class that
    is predicted but never occurs is 0 in all resamples, as in all windows.
    """
    hits, support, claimed = np.diagonal(matrices, axis1=-2, axis2=-1), matrices.sum(-1), matrices.sum(-2)
    of_true = np.where(support > 0, ratio(2 * hits, support + claimed), np.nan)
    never = np.where(whole.sum(-2) > 0, 0.0, np.nan)
    return mean_of_known(np.where(whole.sum(-1) > 0, of_true, never))


@METRICS.register("macro_f1", Metric("classes", "confusion", "macro F1", resampled=macro_f1_of_resamples))
def macro_f1(matrix: ArrayLike) -> Floats:
    """F1 averaged over the classes in truth or prediction, as in scikit-learn, from ``[..., C, C]``."""
    return mean_of_known(per_class(matrix)["f1"])


def per_class(matrix: ArrayLike) -> dict[str, Floats]:
    """``precision``, ``recall``, ``f1`` and ``support``, each ``[..., C]``, of ``[..., C, C]``.

    A class that is never predicted has precision 0, one that is predicted but never occurs F1 0. A class that does not
    occur has recall NaN; if it is not predicted either, all are NaN.
    """
    counts = np.asarray(matrix, dtype=np.float64)
    hits = np.diagonal(counts, axis1=-2, axis2=-1)
    support, claimed = counts.sum(-1), counts.sum(-2)
    occurs = support > 0
    return {
        "precision": np.where(occurs & (claimed == 0), 0.0, ratio(hits, claimed)),
        "recall": ratio(hits, support),
        "f1": ratio(2 * hits, support + claimed),
        "support": support,
    }


def sums(truth: ArrayLike, predicted: ArrayLike, groups: ArrayLike, count: int, center: float = 0.0) -> Floats:
    """Moments of each group of windows, ``[count, 6]``, additive over groups: n, Σx, Σy, Σx², Σy², Σxy.

    ``center`` is subtracted from both series; near their means it avoids cancellation. ``groups [N]`` assigns each
    window to a group, ``0 … count - 1``.
    """
    x, y = np.asarray(truth, dtype=np.float64), np.asarray(predicted, dtype=np.float64)
    if x.shape != y.shape or x.ndim != 1:
        raise ValueError(f"truth {x.shape} and predictions {y.shape}: expected two arrays of equal length")
    for name, values in (("truth", x), ("predictions", y)):
        if not np.isfinite(values).all():
            raise ValueError(f"{name}: {np.count_nonzero(~np.isfinite(values))} values are not finite")
    x, y = x - center, y - center
    columns = (np.ones_like(x), x, y, x * x, y * y, x * y)
    return np.stack([np.bincount(np.asarray(groups), weights=column, minlength=count) for column in columns], axis=-1)


@METRICS.register("ccc", Metric("values", "moments", "CCC"))
def ccc_of_sums(totals: ArrayLike) -> Floats:
    """Concordance ``2 s_xy / (s_x² + s_y² + (m_x - m_y)²)``, in [-1, 1], from totals of `sums` ``[..., 6]``.

    Lin (1989), with population variances; the minus between the means is correct (the paper's section 6.2 prints a
    plus, with which a perfect prediction would not score 1). 0 for constant input.
    """
    n, apart, variance_x, variance_y, covariance, constant = _moments(totals)
    spread = variance_x + variance_y + apart**2
    return np.where(np.isnan(n), np.nan, np.where(constant, 0.0, 2 * covariance / np.where(constant, 1.0, spread)))


@METRICS.register("rmse", Metric("values", "moments", "RMSE"))
def rmse_of_sums(totals: ArrayLike) -> Floats:
    """Root mean squared error from totals of `sums` ``[..., 6]``."""
    n, _, _, xx, yy, xy = np.moveaxis(np.asarray(totals, dtype=np.float64), -1, 0)
    return np.sqrt(ratio(np.maximum(xx + yy - 2 * xy, 0.0), n))


@METRICS.register("pearson", Metric("values", "moments", "Pearson's r"))
def pearson_of_sums(totals: ArrayLike) -> Floats:
    """Pearson's correlation from totals of `sums` ``[..., 6]``; 0 for constant input."""
    n, _, variance_x, variance_y, covariance, constant = _moments(totals)
    root = np.sqrt(np.where(constant, 1.0, variance_x * variance_y))
    return np.where(np.isnan(n), np.nan, np.where(constant, 0.0, covariance / root))


def _moments(totals: ArrayLike) -> tuple[Floats, Floats, Floats, Floats, Floats, NDArray[np.bool_]]:
    """n, difference of means, variances, covariance, and whether a series is constant, each ``[...]``."""
    n, x, y, xx, yy, xy = np.moveaxis(np.asarray(totals, dtype=np.float64), -1, 0)
    n = np.where(n > 0, n, np.nan)
    variance_x, variance_y = xx / n - (x / n) ** 2, yy / n - (y / n) ** 2
    noise = np.finfo(np.float64).eps * (xx + yy)  # rounding errors of adding n terms
    constant = (variance_x <= noise) | (variance_y <= noise)
    return n, (x - y) / n, variance_x, variance_y, xy / n - x * y / n**2, constant


def flag_f1_of_resamples(tables: Floats, whole: Floats) -> Floats:
    """`flag_f1` of resamples ``[..., K, 2, 2]``: NaN for a flag that occurs in ``whole [K, 2, 2]`` only."""
    lost = (tables[..., 1, :].sum(-1) == 0) & (whole[..., 1, :].sum(-1) > 0)
    return np.where(lost, np.nan, flag_f1(tables))


@METRICS.register("f1", Metric("flags", "tables", "F1", resampled=flag_f1_of_resamples))
def flag_f1(tables: ArrayLike) -> Floats:
    """F1 of each flag from 2 × 2 tables ``[..., K, 2, 2]`` (truth by prediction).

    0 if a flag never occurs and is never predicted, as in scikit-learn; NaN without windows.
    """
    counts = np.asarray(tables, dtype=np.float64)
    hits, wrong = counts[..., 1, 1], counts[..., 0, 1] + counts[..., 1, 0]
    score = np.divide(2 * hits, 2 * hits + wrong, out=np.zeros_like(hits), where=hits + wrong > 0)
    return np.where(counts.sum((-2, -1)) > 0, score, np.nan)


def ratio(numerator: ArrayLike, denominator: ArrayLike) -> Floats:
    """Elementwise quotient; NaN where the denominator is 0."""
    below = np.asarray(denominator, dtype=np.float64)
    quotient = np.asarray(numerator, dtype=np.float64) / np.where(below == 0, np.nan, below)
    return np.asarray(quotient, dtype=np.float64)


def mean_of_known(values: Floats) -> Floats:
    """Mean over the last axis, ignoring NaN; NaN if all are."""
    return ratio(np.nansum(values, axis=-1), np.sum(~np.isnan(values), axis=-1))
