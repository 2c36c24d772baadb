"""Importance of keypoints, ``importance.csv``: the decrease of a run's score when keypoints are hidden.

One row for each head and each group of keypoints hidden in the windows of the validation subset: none (``level`` is
``none``), a ``part``, a ``region`` of a part or a single ``joint``. Columns:

- ``head``, ``metric``: head and metric of the score; ``level``, ``part``, ``name``: the hidden group;
- ``score``: score with the group hidden; ``loss``: decrease from the score without hiding; ``error``, ``low``,
  ``high``: standard error and 95 % interval of the loss, empty if unavailable; all five are empty for joints that were
  not hidden;
- ``x``, ``y``: median position of a joint in the coordinates of its part; ``seen``: share of frames with it visible;
- ``subset``, ``windows``, ``groups``, ``grouped_by``: the scored windows, and the groups resampled for the intervals.
"""

from collections.abc import Sequence
from pathlib import Path

import numpy as np
import pandas as pd

from skelemo.atomic import finished
from skelemo.errors import InputError, one_line

FILE = "importance.csv"
LEVELS = ("none", "part", "region", "joint")
_TEXTS = ("head", "metric", "level", "part", "name", "subset", "grouped_by")
_NUMBERS = ("score", "loss", "error", "low", "high", "x", "y", "seen", "windows", "groups")
COLUMNS = ("head", "metric", "level", "part", "name", "score", "loss", "error", "low", "high", "x", "y", "seen",
           "subset", "windows", "groups", "grouped_by")  # fmt: skip
_KEY = ["head", "metric", "level", "part", "name", "subset"]
#: Largest file in bytes, far above 64 heads of the largest layout.
_MOST_BYTES = 20_000_000
#: Fewest folds for an interval from the variance over folds.
FEWEST_FOLDS = 3


def write_importance(folder: Path, table: pd.DataFrame) -> None:
    """Write the file, unless the table is empty."""
    if not len(table):
        return
    with finished(folder / FILE) as partial:
        table[list(COLUMNS)].to_csv(partial, index=False, float_format="%.6g")


def read_importance(folder: Path) -> pd.DataFrame:
    """The table in a run folder, empty without a file. Raises `InputError` if it is damaged."""
    file = folder / FILE
    if not file.is_file():
        return pd.DataFrame(columns=list(COLUMNS))
    try:
        if file.stat().st_size > _MOST_BYTES:
            raise ValueError(f"{file.stat().st_size:,} bytes")
        types = dict.fromkeys(_TEXTS, str) | dict.fromkeys(_NUMBERS, np.float64)
        table = pd.read_csv(file, dtype=types, keep_default_na=False, na_values={key: [""] for key in _NUMBERS})
        if tuple(table.columns) != COLUMNS:
            raise ValueError(f"its columns are {', '.join(map(str, table.columns))[:80]}")
        _require_plausible(table)
    except (OSError, ValueError, OverflowError, pd.errors.ParserError) as error:
        raise InputError(f"{file} is damaged: {one_line(error)}; delete it for a report without importance") from error
    return table


def _require_plausible(table: pd.DataFrame) -> None:
    numbers = table[list(_NUMBERS)].to_numpy()
    if unknown := sorted({*table["level"]} - {*LEVELS}):
        raise ValueError(f"level is {unknown[0]!r}; expected one of {', '.join(LEVELS)}")
    tested = table[table["level"] != "joint"]
    if tested[["score", "loss", "windows", "groups"]].isna().any(axis=None) or np.isinf(numbers).any():
        raise ValueError("a number is missing or infinite")
    if np.nanmax(np.abs(numbers), initial=0) > 1e12:
        raise ValueError(f"a number is {np.nanmax(np.abs(numbers)):g}")
    if table[_KEY].duplicated().any() or not len(table):
        raise ValueError("duplicate rows" if len(table) else "no rows")


def mean_importance(folds: Sequence[Sequence[pd.DataFrame]]) -> pd.DataFrame:
    """Mean over folds, each given by the tables of its seeds on the same windows.

    Intervals are Student's over at least three folds, otherwise from the standard errors (seeds do not reduce them).
    """
    by_fold = [_mean(tables, together=True) for tables in folds if tables]
    if not by_fold:
        return pd.DataFrame(columns=list(COLUMNS))
    if len(by_fold) == 1 and len(folds[0]) == 1:
        return folds[0][0]
    found = _mean(by_fold, together=False)
    each = pd.concat(by_fold).groupby(_KEY, sort=False)["loss"]
    if len(by_fold) >= FEWEST_FOLDS:
        from scipy.stats import t

        count = each.count().to_numpy()
        error = np.where(count > 1, each.std(ddof=1).to_numpy() / np.sqrt(count), np.nan)
        reach = error * t.ppf(0.975, np.maximum(count - 1, 1))
        found = found.assign(error=error, groups=count.astype(float), grouped_by="fold")
    else:
        reach = 1.96 * found["error"].to_numpy()
    return found.assign(low=found["loss"] - reach, high=found["loss"] + reach)


def _mean(tables: Sequence[pd.DataFrame], *, together: bool) -> pd.DataFrame:
    """Means by hidden group, over tables of the same windows (``together``) or of different ones."""
    groups = pd.concat(tables).groupby(_KEY, sort=False)
    found = groups[["score", "loss", "low", "high", "x", "y", "seen"]].mean()
    of_error = groups["error"]
    square = (lambda values: np.sqrt(np.mean(values**2))) if together else (
        lambda values: np.sqrt(np.sum(values**2)) / len(values)
    )  # fmt: skip
    found["error"] = of_error.agg(square)
    for name in ("windows", "groups"):
        found[name] = groups[name].max() if together else groups[name].sum()
    found["grouped_by"] = groups["grouped_by"].first()
    return found.reset_index()[list(COLUMNS)]
