"""What a model is judged by: pure functions on NumPy arrays, in float64, over labelled windows only.

Class metrics are read off a confusion matrix ``[..., C, C]`` (rows are the truth, columns what was predicted), and
agreement off a few sums, so that a thousand resampled parts are scored in one call. Nothing here is ever skipped
silently: unlabelled windows are the caller's to leave out, and a NaN is an error.

Means over classes (`macro_f1`, `uar`) run over the classes that occur in the truth: a class that nobody showed cannot
be got right. That is ``sklearn``'s figure with ``labels=np.unique(truth)``, and ABAW's and DFEW's wherever their
classes all occur. Over no windows at all a figure is NaN.
"""

import numpy as np
from numpy.typing import ArrayLike, NDArray

Floats = NDArray[np.float64]
Counts = NDArray[np.int64]


def confusion(truth: ArrayLike, predicted: ArrayLike, classes: int) -> Counts:
    """Count windows ``[N]`` by true class (row) and predicted class (column): ``[C, C]``.

    Raises
    ------
    ValueError
        The two differ in length, are not whole numbers, or name a class outside ``0 … classes - 1``.
    """
    rows, columns = np.asarray(truth), np.asarray(predicted)
    if rows.shape != columns.shape or rows.ndim != 1:
        raise ValueError(f"truth {rows.shape} and predictions {columns.shape} are not two lists of one length")
    for name, values in (("truth", rows), ("predictions", columns)):
        if not values.size:
            continue
        if not np.issubdtype(values.dtype, np.integer):
            raise ValueError(f"{name} are {values.dtype}, not class numbers")
        if values.min() < 0 or values.max() >= classes:
            raise ValueError(f"{name} run from {values.min()} to {values.max()}; there are classes 0 to {classes - 1}")
    cells = rows.astype(np.int64) * classes + columns.astype(np.int64)
    return np.bincount(cells, minlength=classes * classes).reshape(classes, classes).astype(np.int64)


def accuracy(matrix: ArrayLike) -> Floats:
    """Share of windows that were got right (WAR), of confusion matrices ``[..., C, C]``."""
    counts = np.asarray(matrix, dtype=np.float64)
    return _ratio(np.trace(counts, axis1=-2, axis2=-1), counts.sum((-2, -1)))


def uar(matrix: ArrayLike) -> Floats:
    """Recall averaged over the classes that occur (UAR, balanced accuracy), of ``[..., C, C]``."""
    return _mean(per_class(matrix)["recall"])


def macro_f1(matrix: ArrayLike) -> Floats:
    """F1 averaged over the classes that occur, of ``[..., C, C]``."""
    return _mean(per_class(matrix)["f1"])


def per_class(matrix: ArrayLike) -> dict[str, Floats]:
    """``precision``, ``recall``, ``f1`` and ``support``, each ``[..., C]``, of ``[..., C, C]``.

    A class that occurs and is never predicted has precision 0. A class that does not occur has no recall and no F1
    (NaN), and no precision either unless it is predicted; then every such prediction is wrong and precision is 0.
    """
    counts = np.asarray(matrix, dtype=np.float64)
    hits = np.diagonal(counts, axis1=-2, axis2=-1)
    support, claimed = counts.sum(-1), counts.sum(-2)
    occurs = support > 0
    return {
        "precision": np.where(occurs & (claimed == 0), 0.0, _ratio(hits, claimed)),
        "recall": _ratio(hits, support),
        "f1": np.where(occurs, _ratio(2 * hits, support + claimed), np.nan),
        "support": support,
    }


def ccc(truth: ArrayLike, predicted: ArrayLike) -> float:
    """Concordance of two series ``[N]``: ``2 s_xy / (s_x² + s_y² + (m_x - m_y)²)``, in [-1, 1].

    Lin (1989): population variances; the minus between the means is right (the paper's section 6.2 prints a plus,
    under which a perfect prediction would not score 1). Constant input agrees with nothing: 0.
    """
    x, y = _pair(truth, predicted)
    if not x.size:
        return float("nan")
    if np.ptp(x) == 0 or np.ptp(y) == 0:
        return 0.0
    apart = x.mean() - y.mean()
    dx, dy = x - x.mean(), y - y.mean()
    return float(2 * (dx @ dy) / (dx @ dx + dy @ dy + x.size * apart * apart))


def rmse(truth: ArrayLike, predicted: ArrayLike) -> float:
    """Root of the mean squared error of two series ``[N]``, in their own unit."""
    x, y = _pair(truth, predicted)
    return float(np.sqrt(np.mean((x - y) ** 2))) if x.size else float("nan")


def sums(truth: ArrayLike, predicted: ArrayLike, groups: ArrayLike, count: int, center: float = 0.0) -> Floats:
    """What `ccc_of_sums` and `rmse_of_sums` need of each group of windows: ``[count, 6]``, additive over groups.

    The columns are n, Σx, Σy, Σx², Σy², Σxy after ``center`` was taken from both series (near their means, so that
    no digits cancel). ``groups [N]`` says which group, ``0 … count - 1``, a window is of.
    """
    x, y = (series - center for series in _pair(truth, predicted))
    columns = (np.ones_like(x), x, y, x * x, y * y, x * y)
    return np.stack([np.bincount(np.asarray(groups), weights=column, minlength=count) for column in columns], axis=-1)


def ccc_of_sums(totals: ArrayLike) -> Floats:
    """`ccc` from added up `sums` ``[..., 6]``."""
    n, x, y, xx, yy, xy = np.moveaxis(np.asarray(totals, dtype=np.float64), -1, 0)
    n = np.where(n > 0, n, np.nan)
    mean_x, mean_y = x / n, y / n
    variance_x, variance_y = xx / n - mean_x**2, yy / n - mean_y**2
    # What rounding may leave of a constant series, as far as adding n terms errs, is not a variance.
    noise = np.finfo(np.float64).eps * (xx + yy)
    constant = (variance_x <= noise) | (variance_y <= noise)
    spread = variance_x + variance_y + (mean_x - mean_y) ** 2
    agreement = 2 * (xy / n - mean_x * mean_y) / np.where(constant, 1.0, spread)
    return np.where(np.isnan(n), np.nan, np.where(constant, 0.0, agreement))


def rmse_of_sums(totals: ArrayLike) -> Floats:
    """`rmse` from added up `sums` ``[..., 6]``."""
    n, _, _, xx, yy, xy = np.moveaxis(np.asarray(totals, dtype=np.float64), -1, 0)
    return np.sqrt(_ratio(np.maximum(xx + yy - 2 * xy, 0.0), n))


def _ratio(numerator: ArrayLike, denominator: ArrayLike) -> Floats:
    """Elementwise quotient; NaN where there is nothing to divide by."""
    below = np.asarray(denominator, dtype=np.float64)
    quotient = np.asarray(numerator, dtype=np.float64) / np.where(below == 0, np.nan, below)
    return np.asarray(quotient, dtype=np.float64)


def _mean(values: Floats) -> Floats:
    """Mean over the last axis of what is not NaN; NaN where everything is."""
    return _ratio(np.nansum(values, axis=-1), np.sum(~np.isnan(values), axis=-1))


def _pair(truth: ArrayLike, predicted: ArrayLike) -> tuple[Floats, Floats]:
    """Both series in float64, of one length and finite."""
    x, y = np.asarray(truth, dtype=np.float64), np.asarray(predicted, dtype=np.float64)
    if x.shape != y.shape or x.ndim != 1:
        raise ValueError(f"truth {x.shape} and predictions {y.shape} are not two lists of one length")
    for name, values in (("truth", x), ("predictions", y)):
        if not np.isfinite(values).all():
            raise ValueError(f"{name} hold {np.count_nonzero(~np.isfinite(values))} values that are not numbers")
    return x, y
