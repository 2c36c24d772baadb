"""A run's table of predictions, ``predictions.parquet``, with one row per window.

Columns are `WINDOW` and those of each head. ``classes``: ``HEAD`` (name of the true class), ``HEAD_predicted`` and a
probability ``HEAD_p_CLASS`` per class; ``values``: ``HEAD_OUTPUT`` (truth) and ``HEAD_OUTPUT_predicted``; ``flags``:
``HEAD_OUTPUT`` (0 or 1) and the probability ``HEAD_OUTPUT_p``. An unknown truth is empty or NaN.
"""

from collections.abc import Mapping, Sequence
from pathlib import Path

import numpy as np
import pandas as pd

from skelemo.atomic import finished
from skelemo.errors import InputError, damaged
from skelemo.targets import Head, hard_labels

WINDOW = ("fold", "subset", "sequence", "video", "subject", "frame")
SUBSETS = ("validation", "test")
_WHOLE = ("fold", "frame")


def truth_columns(head: Head) -> tuple[str, ...]:
    """Columns of the labels."""
    return (head.name,) if head.kind == "classes" else tuple(f"{head.name}_{output}" for output in head.outputs)


def output_columns(head: Head) -> tuple[str, ...]:
    """Columns of the predictions, one per output: probabilities of classes and flags, values."""
    form = {"classes": "{}_p_{}", "values": "{}_{}_predicted", "flags": "{}_{}_p"}[head.kind]
    return tuple(form.format(head.name, output) for output in head.outputs)


def class_column(head: Head) -> str:
    """Column of the predicted class."""
    return f"{head.name}_predicted"


def label_table(head: Head, labels: np.ndarray) -> dict[str, np.ndarray]:
    """Columns of labels by the head's kind."""
    if head.kind == "classes":
        return {head.name: np.array([*head.outputs, ""], object)[hard_labels(labels)]}
    values = labels.astype(np.float32)
    if head.kind == "flags":
        values[values < 0] = np.nan
    return dict(zip(truth_columns(head), values.T, strict=True))


def output_table(head: Head, outputs: np.ndarray) -> dict[str, np.ndarray]:
    """Columns of outputs ``[N, K]``."""
    answer = {class_column(head): np.array(head.outputs, object)[outputs.argmax(1)]} if head.kind == "classes" else {}
    return answer | dict(zip(output_columns(head), outputs.T, strict=True))


def truth_of(frame: pd.DataFrame, head: Head) -> np.ndarray:
    """Labels of a table: class numbers int64 ``[N]`` (-1 unlabeled), or float32 ``[N, K]`` (NaN unlabeled).

    Raises `InputError`: an unknown class.
    """
    if head.kind != "classes":
        return frame[list(truth_columns(head))].to_numpy(np.float32)
    names = frame[head.name].astype(object)
    codes, values = pd.factorize(names.where(names.notna(), ""))
    known = {"": -1} | {name: number for number, name in enumerate(head.outputs)}
    unknown = next((value for value in values if value not in known), None)
    if unknown is not None:
        raise InputError(f"the predictions have a class {unknown!r}; {head.name} has {', '.join(head.outputs)}")
    return np.array([known[value] for value in values], np.int64)[codes]


def outputs_of(frame: pd.DataFrame, head: Head) -> np.ndarray:
    """Predictions of a table, float64 ``[N, K]``."""
    return frame[list(output_columns(head))].to_numpy(np.float64)


def read_predictions(path: Path, heads: Sequence[Head]) -> pd.DataFrame:
    """Read a table of predictions.

    Raises `InputError`: the file is damaged, a column is missing, or a subset is neither validation nor test.
    """
    import pyarrow

    try:
        frame = pd.read_parquet(path, page_checksum_verification=True)
    except (OSError, ValueError, LookupError, pyarrow.ArrowException) as error:
        raise damaged(path, error) from error
    _check(frame, heads, path)
    for name in frame.columns:
        if name not in _WHOLE and not pd.api.types.is_numeric_dtype(frame[name].dtype):
            frame[name] = frame[name].astype(object).where(frame[name].notna(), "").astype("category")
    return frame


def write_predictions(path: Path, frame: pd.DataFrame, heads: Sequence[Head]) -> None:
    """Write a table of predictions, with numbers as float32.

    Raises `InputError`: a column is missing.
    """
    _check(frame, heads, path)
    floats = [name for name in frame.columns if pd.api.types.is_float_dtype(frame[name].dtype) and name not in _WHOLE]
    path.parent.mkdir(parents=True, exist_ok=True)
    with finished(path) as temporary:
        plain = frame.astype(dict.fromkeys(floats, np.float32))
        plain.to_parquet(temporary, index=False, write_page_checksum=True)


def _check(frame: pd.DataFrame, heads: Sequence[Head], path: Path) -> None:
    wanted = [*WINDOW]
    for head in heads:
        wanted += [*truth_columns(head), *output_columns(head)]
        wanted += [class_column(head)] if head.kind == "classes" else []
    missing = [name for name in wanted if name not in frame]
    if missing:
        raise InputError(f"{path}: no column {missing[0]!r}, only {', '.join(map(str, frame.columns))}")
    wrong = [name for name in (*_WHOLE, *(c for head in heads for c in output_columns(head)))
             if not pd.api.types.is_numeric_dtype(frame[name].dtype)]  # fmt: skip
    if wrong:
        raise InputError(f"{path}: the column {wrong[0]!r} is not numeric")
    if unknown := set(frame["subset"].unique()) - set(SUBSETS):
        raise InputError(f"{path}: subset {min(map(str, unknown))!r}; expected {' or '.join(SUBSETS)}")


def mean_predictions(tables: Sequence[pd.DataFrame], heads: Sequence[Head]) -> pd.DataFrame:
    """Mean of the predictions of several tables for the same windows in the same order.

    Raises `InputError`: a prediction is missing in one of the tables.
    """
    labels = [column for head in heads for column in truth_columns(head)]
    fused = tables[0][[*WINDOW, *labels]].copy()
    for head in heads:
        mean = np.mean([outputs_of(table, head) for table in tables], axis=0)
        if np.isnan(mean).any():
            raise InputError(f"{head.name} lacks predictions in one of {len(tables)} tables")
        fused = fused.assign(**output_table(head, mean))
    return fused


def prediction_table(
    windows: Mapping[str, object],
    heads: Sequence[Head],
    labels: Mapping[str, np.ndarray],
    outputs: Mapping[str, np.ndarray],
) -> pd.DataFrame:
    """A table from the columns of `WINDOW`, and the labels and outputs of each head."""
    columns = dict(windows)
    for head in heads:
        columns |= label_table(head, labels[head.name]) | output_table(head, outputs[head.name])
    return pd.DataFrame(columns)
