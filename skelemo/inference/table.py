"""The table of predictions: columns by head, smoothing, and files by suffix (``.csv``, ``.jsonl``, ``.parquet``)."""

from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path

import numpy as np
import pandas as pd

from skelemo.atomic import finished
from skelemo.errors import ConfigError
from skelemo.inference.elan import write_elan
from skelemo.targets import Head
from skelemo.text import safe_cells


def output_names(heads: Sequence[Head]) -> dict[str, tuple[str, ...]]:
    """Names of the columns of each head's outputs: ``p_CLASS``, ``VALUE`` and ``p_FLAG``.

    Where two heads share a name, the head's own stands before it: ``pain_p_low``.
    """
    plain = {
        head.name: [f"{'' if head.kind == 'values' else 'p_'}{output}" for output in head.outputs] for head in heads
    }
    reserved = [*(head.name for head in heads if head.kind == "classes"), "video", "person", "frame", "time", "seen"]
    count = Counter([*reserved, *(name for names in plain.values() for name in names)])
    return {
        head: tuple(name if count[name] == 1 else f"{head}_{name}" for name in names) for head, names in plain.items()
    }


def prediction_columns(heads: Sequence[Head], outputs: Mapping[str, np.ndarray]) -> dict[str, np.ndarray]:
    """Columns of outputs ``[N, K]``, NaN where there is no prediction.

    ``classes``: the class under the head's name, empty without a prediction, and a probability for each. ``values``:
    each value. ``flags``: the probability of each.
    """
    columns: dict[str, np.ndarray] = {}
    for head in heads:
        found = outputs[head.name]
        if head.kind == "classes":
            known = ~np.isnan(found).any(1)
            best = np.where(known, np.nan_to_num(found).argmax(1), -1)
            columns[head.name] = np.array([*head.outputs, ""], object)[best]
        columns |= dict(zip(output_names(heads)[head.name], found.T, strict=True))
    return columns


def smoothed(outputs: np.ndarray, table: pd.DataFrame, width: int) -> np.ndarray:
    """Centered mean of outputs ``[N, K]`` over ``width`` rows of each person; without a prediction it stays."""
    if width == 1:
        return outputs
    groups = pd.DataFrame(outputs).groupby([table["video"], table["person"]], sort=False)
    means = groups.rolling(width, center=True, min_periods=1).mean().reset_index(level=[0, 1], drop=True).sort_index()
    return np.where(np.isnan(outputs), np.nan, means.to_numpy(outputs.dtype))


def _csv(table: pd.DataFrame, path: Path) -> None:
    table.to_csv(path, index=False, float_format="%.6g")


def _jsonl(table: pd.DataFrame, path: Path) -> None:
    table.to_json(path, orient="records", lines=True, force_ascii=False, double_precision=6)


#: How a table becomes a file, by suffix; a spreadsheet opens CSV, so that its texts are no formulas.
_WRITERS: dict[str, Callable[[pd.DataFrame, Path], object]] = {
    ".csv": lambda table, path: _csv(safe_cells(table), path),
    ".jsonl": _jsonl,
    ".parquet": lambda table, path: table.to_parquet(path, index=False),
}


def require_writable(path: Path) -> None:
    """`ConfigError` for a file whose suffix is none of the forms."""
    if path.suffix.lower() not in (*_WRITERS, ".eaf"):
        raise ConfigError(f"{path}: expected a file that ends in {', '.join((*_WRITERS, '.eaf'))}")


def write_table(path: Path, table: pd.DataFrame, heads: Sequence[Head], *, raw: bool = False) -> None:
    """Write predictions in the form that the suffix names; the file is complete or not there.

    Parameters
    ----------
    raw : leave texts in CSV as they are, also those that a spreadsheet would run as formulas.

    Raises
    ------
    ConfigError
        Another suffix, or annotations for ELAN of a source without frames per second.
    """
    require_writable(path)
    path.parent.mkdir(parents=True, exist_ok=True)
    with finished(path) as partial:
        if path.suffix.lower() == ".eaf":
            write_elan(partial, table, heads, output_names(heads))
        elif raw and path.suffix.lower() == ".csv":
            _csv(table, partial)
        else:
            _WRITERS[path.suffix.lower()](table, partial)
