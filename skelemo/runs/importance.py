"""Which keypoints mattered to a run: ``importance.csv``, what its score loses when some of them are missing.

One row for each head and each thing that was hidden in the windows of the validation subset: nothing (``level`` is
``none``), a ``part``, a ``region`` of one or a single ``joint``. Columns:

- ``head``, ``metric``: of whose score the rest is about; ``level``, ``part``, ``name``: what was hidden;
- ``score``: with that hidden; ``loss``: by how much it is lower than with nothing hidden; ``error``, ``low``, ``high``:
  standard error and 95 % interval of the loss, empty where there is none; all five of joints that were not hidden;
- ``x``, ``y``: of a joint, its median place in the coordinates of its part; ``seen``: share of frames that show it;
- ``subset``, ``windows``, ``groups``, ``grouped_by``: what was scored, and what was resampled for the intervals.
"""

from collections.abc import Sequence
from pathlib import Path

import numpy as np
import pandas as pd

from skelemo.atomic import finished
from skelemo.errors import InputError

FILE = "importance.csv"
LEVELS = ("none", "part", "region", "joint")
_TEXTS = ("head", "metric", "level", "part", "name", "subset", "grouped_by")
_NUMBERS = ("score", "loss", "error", "low", "high", "x", "y", "seen", "windows", "groups")
COLUMNS = ("head", "metric", "level", "part", "name", "score", "loss", "error", "low", "high", "x", "y", "seen",
           "subset", "windows", "groups", "grouped_by")  # fmt: skip
_KEY = ["head", "metric", "level", "part", "name", "subset"]
#: Rows and bytes of a file at most: 64 heads of the largest layouts are far below.
_MOST_BYTES = 20_000_000
#: From so many folds on their scatter gives the interval.
FEWEST_FOLDS = 3


def write_importance(folder: Path, table: pd.DataFrame) -> None:
    """Write the file, with numbers to a millionth; none where the table is empty."""
    if not len(table):
        return
    with finished(folder / FILE) as partial:
        table[list(COLUMNS)].to_csv(partial, index=False, float_format="%.6g")


def read_importance(folder: Path) -> pd.DataFrame:
    """The file of a run folder; empty where there is none. Raises `InputError`: it is damaged."""
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
        raise InputError(
            f"{file} is damaged: {' '.join(str(error).split())[:200]}; without it the report does not say which "
            "keypoints mattered"
        ) from error
    return table


def _require_plausible(table: pd.DataFrame) -> None:
    numbers = table[list(_NUMBERS)].to_numpy()
    strange = sorted({*table["level"]} - {*LEVELS})
    if strange:
        raise ValueError(f"level is {strange[0]!r}; expected one of {', '.join(LEVELS)}")
    tested = table[table["level"] != "joint"]
    if tested[["score", "loss", "windows", "groups"]].isna().any(axis=None) or np.isinf(numbers).any():
        raise ValueError("a number is missing or infinite")
    if np.nanmax(np.abs(numbers), initial=0) > 1e12:
        raise ValueError(f"a number is {np.nanmax(np.abs(numbers)):g}")
    if table[_KEY].duplicated().any() or not len(table):
        raise ValueError("a row is there twice" if len(table) else "no rows")


def mean_importance(folds: Sequence[Sequence[pd.DataFrame]]) -> pd.DataFrame:
    """The mean over folds, each given by the tables of its seeds, which saw the same windows.

    Intervals: from three folds on Student's, over the folds; else by the standard errors, which seeds do not lessen.
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
    """Means by thing that was hidden: of tables that saw the same windows, or other ones each."""
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
