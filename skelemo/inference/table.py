"""The table of predictions: options, smoothing, columns by head, and file formats."""

from collections import Counter
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, TypeAlias

import numpy as np

from skelemo.atomic import finished
from skelemo.errors import ConfigError
from skelemo.targets import Head
from skelemo.text import safe_cells

if TYPE_CHECKING:
    import pandas as pd


@dataclass(frozen=True)
class Options:
    """Options of a table of predictions.

    See `skelemo.inference.base.BasePredictor.predict`. Raises `ConfigError`: an option out of range.
    """

    every: int = 1
    min_seen: float = 0.0
    smooth: int | str = 0
    per_clip: bool = False

    def __post_init__(self) -> None:
        width = self.smooth
        odd = width in ("auto", 0) or (isinstance(width, int) and width > 0 and width % 2 == 1)
        for name, valid, expected in (
            ("every", self.every >= 1, "1 or more"),
            ("min_seen", 0 <= self.min_seen <= 1, "a share from 0 to 1"),
            ("smooth", odd, "auto, 0 or an odd number of frames"),
        ):
            if not valid:
                raise ConfigError(f"{name} = {getattr(self, name)}: expected {expected}")


def output_names(heads: Sequence[Head]) -> dict[str, tuple[str, ...]]:
    """Column names of each head's outputs: ``p_CLASS``, ``VALUE`` and ``p_FLAG``.

    Names that occur in two heads are prefixed with the head's name: ``pain_p_low``.
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
    """Columns of outputs ``[N, K]``, NaN without a prediction.

    ``classes``: the predicted class under the head's name (empty without a prediction) and a probability per class.
    ``values``: each value. ``flags``: a probability per flag.
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


def has_prediction(table: "pd.DataFrame", heads: Sequence[Head]) -> np.ndarray:
    """Whether each row has a prediction, bool ``[N]``."""
    names = [name for head in heads for name in output_names([*heads])[head.name]]
    return np.asarray(table[names].notna().any(axis=1))


def smoothed(outputs: np.ndarray, key: np.ndarray, width: int) -> np.ndarray:
    """Centered mean of outputs ``[N, K]`` over ``width`` frames, ignoring rows without a prediction (NaN).

    Parameters
    ----------
    key : ``[N]`` int64, increasing: frame numbers, with large offsets between sequences.
    width : odd; no smoothing up to 1.
    """
    if width <= 1 or not len(outputs):
        return outputs
    known = ~np.isnan(outputs).any(1)
    first = np.searchsorted(key, key - width // 2, "left")
    last = np.searchsorted(key, key + width // 2, "right")
    total = np.concatenate([np.zeros((1, outputs.shape[1])), np.cumsum(np.where(known[:, None], outputs, 0), 0, float)])
    count = np.concatenate([[0], np.cumsum(known)])
    mean = (total[last] - total[first]) / np.maximum(count[last] - count[first], 1)[:, None]
    return np.where(known[:, None], mean, np.nan).astype(outputs.dtype)


Tables: TypeAlias = "Iterable[pd.DataFrame]"


def _csv(tables: Tables, path: Path, *, raw: bool = False) -> None:
    """Write CSV; unless ``raw``, text that a spreadsheet would run as a formula is escaped."""
    with path.open("w", newline="", encoding="utf-8") as file:
        for number, table in enumerate(tables):
            table = table if raw else safe_cells(table)
            time = table["time"].round(6).astype(object)  # six significant digits are too few after hours
            table.assign(time=time).to_csv(file, index=False, header=not number, float_format="%.6g")


def _jsonl(tables: Tables, path: Path) -> None:
    with path.open("w", encoding="utf-8") as file:
        for table in tables:
            table.to_json(file, orient="records", lines=True, force_ascii=False, double_precision=6)


def _parquet(tables: Tables, path: Path) -> None:
    import pyarrow
    from pyarrow.parquet import ParquetWriter

    writer = None
    try:
        for table in tables:
            rows = pyarrow.Table.from_pandas(table, writer.schema if writer else None, preserve_index=False)
            writer = writer or ParquetWriter(path, rows.schema)
            writer.write_table(rows)
    finally:
        if writer:
            writer.close()


#: Writers of a series of tables, by suffix.
_WRITERS: dict[str, Callable[[Tables, Path], None]] = {".csv": _csv, ".jsonl": _jsonl, ".parquet": _parquet}


def require_writable(path: Path) -> None:
    """Raise `ConfigError` for an unknown suffix or a folder."""
    if path.suffix.lower() not in (*_WRITERS, ".eaf"):
        raise ConfigError(f"{path}: expected a file that ends in {', '.join((*_WRITERS, '.eaf'))}")
    if path.is_dir():
        raise ConfigError(f"{path} is a folder: name a file")


def write_tables(
    path: Path, tables: Tables, heads: Sequence[Head], *, raw: bool = False, film: Path | None = None
) -> None:
    """Write a series of tables of predictions, atomically, in the format of the suffix.

    Raises `ConfigError`: an unknown suffix, or ELAN annotations of several videos or without a frame rate.

    Parameters
    ----------
    raw : do not escape text in CSV that a spreadsheet would run as a formula.
    film : the video that ELAN annotations link to.
    """
    require_writable(path)
    path.parent.mkdir(parents=True, exist_ok=True)
    with finished(path) as partial:
        if path.suffix.lower() == ".eaf":
            import pandas as pd

            from skelemo.inference.elan import write_elan

            write_elan(partial, pd.concat(tables, ignore_index=True), heads, output_names(heads), out=path, film=film)
        elif raw and path.suffix.lower() == ".csv":
            _csv(tables, partial, raw=True)
        else:
            _WRITERS[path.suffix.lower()](tables, partial)
