"""Metrics of ranks and probabilities: computed on windows, bootstrapped on histograms.

Histograms are additive over groups of windows, so a thousand resamples are one matrix product. Bins are quantiles, and
windows in one bin count as tied: intervals are exact up to a bin, the metrics themselves are exact.
"""

import math
from collections.abc import Iterator

import numpy as np
from numpy.typing import NDArray

from skelemo.evaluation.metrics import METRICS, Counts, Floats, Metric, mean_of_known, pearson_of_sums, ratio, sums

#: Number of quantiles of a score, and of each of two series.
_BINS, _SQUARE = 256, 32
#: Number of confidence bins.
_CONFIDENCE = 15


def _quantile(values: Floats, bins: int) -> Counts:
    """Quantile ``[N]`` of each value; equal values have the same."""
    edges = np.unique(np.quantile(values, np.linspace(0, 1, bins + 1)[1:-1])) if len(values) else values
    return np.searchsorted(edges, values, side="right").astype(np.int64)


def _histogram(cells: Counts, groups: Counts, size: int, count: int) -> Floats:
    """Number of windows by group and cell, ``[size, count]``."""
    return np.bincount(groups * count + cells, minlength=size * count).reshape(size, count).astype(np.float64)


def _area_sums(positive: NDArray[np.bool_], score: Floats, groups: Counts, size: int) -> Floats:
    return _histogram(positive * _BINS + _quantile(score, _BINS), groups, size, 2 * _BINS)


def _area_of_sums(totals: Floats) -> Floats:
    """Area under the ROC curve from negatives and positives by quantile, ``[R, 2 * bins]``."""
    negative, positive = np.split(totals, 2, axis=-1)
    below = np.cumsum(negative, -1) - negative / 2
    return ratio((positive * below).sum(-1), positive.sum(-1) * negative.sum(-1))


def _class_areas(truth: Counts, predicted: Floats, groups: Counts, size: int) -> Iterator[Floats]:
    for number in range(predicted.shape[1]):
        yield _area_sums(truth == number, predicted[:, number], groups, size)


def _flag_areas(truth: Floats, predicted: Floats, groups: Counts, size: int) -> Iterator[Floats]:
    for labels, score in zip(truth.T, predicted.T, strict=True):
        known = ~np.isnan(labels)
        yield _area_sums(labels[known] > 0, score[known], groups[known], size)


def _rank_tables(truth: Floats, predicted: Floats, groups: Counts, size: int) -> Iterator[Floats]:
    for x, y in zip(truth.T, predicted.T, strict=True):
        known = ~np.isnan(x)
        cells = _quantile(x[known], _SQUARE) * _SQUARE + _quantile(y[known], _SQUARE)
        yield _histogram(cells, groups[known], size, _SQUARE**2)


def _spearman_of_sums(totals: Floats) -> Floats:
    """Rank correlation from tables of two series' quantiles, ``[R, bins²]``; 0 for constant input."""
    table = totals.reshape(-1, _SQUARE, _SQUARE)
    count = table.sum((1, 2))
    ranks, spreads = [], []
    for axis in (2, 1):
        share = table.sum(axis)
        rank = np.cumsum(share, -1) - share / 2 - count[:, None] / 2
        ranks.append(rank)
        spreads.append((share * rank**2).sum(-1))
    together = np.einsum("rxy,rx,ry->r", table, *ranks, optimize=True)
    root = np.sqrt(spreads[0] * spreads[1])
    return np.where(count > 0, together / np.where(root > 0, root, 1), np.nan)


def _calibration_sums(truth: Counts, predicted: Floats, groups: Counts, size: int) -> Iterator[Floats]:
    yield _gaps(predicted.max(1), predicted.argmax(1) == truth, groups, size)


def _gaps(confidence: Floats, right: NDArray[np.bool_], groups: Counts, size: int) -> Floats:
    """Sums of confidence minus accuracy by group and confidence bin, and number of windows, ``[size, bins + 1]``."""
    cells = groups * _CONFIDENCE + np.minimum((confidence * _CONFIDENCE).astype(np.int64), _CONFIDENCE - 1)
    gaps = np.bincount(cells, weights=confidence - right, minlength=size * _CONFIDENCE).reshape(size, -1)
    return np.concatenate([gaps, np.bincount(groups, minlength=size)[:, None]], 1)


def _calibration_of_sums(totals: Floats) -> Floats:
    return ratio(np.abs(totals[:, :-1]).sum(-1), totals[:, -1])


@METRICS.register("auc", Metric("classes", "windows", "AUC", _class_areas, _area_of_sums))
def auc(truth: Counts, predicted: Floats) -> float:
    """Area under the ROC curve of each class against the rest, averaged over the classes with both."""
    areas = [_area(truth == number, predicted[:, number]) for number in range(predicted.shape[1])]
    return float(mean_of_known(np.array(areas)))


@METRICS.register(
    "calibration", Metric("classes", "windows", "calibration error", _calibration_sums, _calibration_of_sums)
)
def calibration_error(truth: Counts, predicted: Floats) -> float:
    """Expected calibration error: mean gap of confidence and accuracy over 15 bins of equal width (Guo et al. 2017)."""
    return presence_error(predicted.max(1), predicted.argmax(1) == truth)


def presence_error(probability: Floats, present: NDArray[np.bool_]) -> float:
    """Expected calibration error of probabilities ``[N]`` of a flag, with the bins of `calibration_error`."""
    return float(_calibration_of_sums(_gaps(probability, present, np.zeros(len(present), np.int64), 1))[0])


@METRICS.register("flag_auc", Metric("flags", "windows", "AUC", _flag_areas, _area_of_sums))
def flag_auc(truth: Floats, predicted: Floats) -> Floats:
    """Area under the ROC curve of each flag ``[K]``; NaN if all labels are equal."""
    known = ~np.isnan(truth)
    return np.array([_area(t[k] > 0, p[k]) for t, p, k in zip(truth.T, predicted.T, known.T, strict=True)])


@METRICS.register("spearman", Metric("values", "windows", "Spearman's rho", _rank_tables, _spearman_of_sums))
def spearman(truth: Floats, predicted: Floats) -> Floats:
    """Rank correlation of each output ``[K]``; 0 for constant input."""
    found = []
    for x, y in zip(truth.T, predicted.T, strict=True):
        known = ~np.isnan(x)
        groups, count = np.zeros(int(known.sum()), np.int64), int(known.sum())
        found.append(pearson_of_sums(sums(_ranks(x[known]), _ranks(y[known]), groups, 1, count / 2))[0])
    return np.array(found)


def _ranks(values: Floats) -> Floats:
    """Ranks from 1, equal values sharing their mean."""
    from scipy.stats import rankdata  # takes half a second to import; reports do not need it

    return np.asarray(rankdata(values), np.float64)


def _area(positive: NDArray[np.bool_], score: Floats) -> float:
    """Area under the ROC curve from ranks (Mann-Whitney); NaN without positives or negatives."""
    count = int(positive.sum())
    if not 0 < count < len(positive):
        return math.nan
    ranks = _ranks(score)
    return float((ranks[positive].sum() - count * (count + 1) / 2) / (count * (len(positive) - count)))
