"""Late fusion: the mean of several runs' predictions as an additional run."""

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

from skelemo.errors import InputError
from skelemo.evaluation.scores import score
from skelemo.report.describe import trained_heads
from skelemo.runs.folder import Run, shared, throughput_together
from skelemo.runs.predictions import mean_predictions, truth_columns, truth_of
from skelemo.targets import Head
from skelemo.text import count

_PLACE = ["fold", "subset", "sequence", "frame"]


def fuse(runs: Sequence[Run]) -> Run:
    """Average the predictions of runs by window and score the result.

    The runs must have predicted the same windows of the same folds and subsets, with the same labels, so that no window
    is scored by a model that was trained on it. Runs have equal weight. Only heads of all runs are used.

    Raises `InputError`: fewer than two runs, no common head, or different classes, windows or labels.
    """
    if len(runs) < 2:
        raise InputError(f"an ensemble of {count(len(runs), 'run')}; expected two or more")
    heads = _common_heads(runs)
    labels = [column for head in heads for column in truth_columns(head)]
    tables = [ordered(_labeled(run.predictions, heads), labels) for run in runs]
    for run, table in zip(runs[1:], tables[1:], strict=True):
        _check_same(runs[0], tables[0], run, table, labels)

    try:
        fused = mean_predictions(tables, heads)
    except InputError as error:
        raise InputError(f"no ensemble of {', '.join(run.name for run in runs)}: {error}") from None
    clips = {name for found in runs[0].scores.values() for name, scored in found.items() if scored["unit"] == "clip"}
    return Run(
        path=Path("ensemble"),
        config=shared([run.config for run in runs]) | {"arch": "ensemble"},
        environment=_environment(runs) | {"heads": [head.to_json() for head in heads]},
        splits=runs[0].splits,
        metrics=pd.DataFrame(columns=["fold", "epoch"]),
        predictions=fused,
        scores=score(fused, heads, clips=clips),
        name="ensemble",
        members=tuple(run.name for run in runs),
    )


def _labeled(table: pd.DataFrame, heads: Sequence[Head]) -> pd.DataFrame:
    """The windows with a label for any of the heads: a run of more heads has more windows."""
    return table[np.any([head.labeled(truth_of(table, head)) for head in heads], axis=0)]


def ordered(table: pd.DataFrame, labels: Sequence[str]) -> pd.DataFrame:
    """The rows sorted by window."""
    texts = [name for name in ("subset", "sequence", *labels) if not pd.api.types.is_numeric_dtype(table[name].dtype)]
    return table.astype(dict.fromkeys(texts, object)).sort_values(_PLACE, kind="stable", ignore_index=True)


def _check_same(run: Run, table: pd.DataFrame, other: Run, theirs: pd.DataFrame, labels: Sequence[str]) -> None:
    """Raise `InputError` unless both sorted tables have the same windows and labels."""
    pair = f"no ensemble of {run.name} and {other.name}"
    if len(table) != len(theirs):
        raise InputError(f"{pair}: predictions for {len(table):,} and {len(theirs):,} windows: use the same split")
    for columns, what in ((_PLACE, "windows"), (labels, "labels")):
        for column in columns:
            mine, other_values = table[column], theirs[column]
            same = (mine == other_values) | (mine.isna() & other_values.isna())
            if not same.all():
                at = int((~same).to_numpy().argmax())
                found = f"{mine.tolist()[at]!r} and {other_values.tolist()[at]!r}"
                raise InputError(
                    f"{pair}: different {what}: row {at} has {column} {found}: use the same data and split"
                )


def _common_heads(runs: Sequence[Run]) -> list[Head]:
    """Heads of all runs; classes may be in any order. Mapped emotions are not averaged."""
    names = [{head.name for head in trained_heads(run)} for run in runs]
    heads = [head for head in trained_heads(runs[0]) if all(head.name in known for known in names)]
    if not heads:
        raise InputError(f"no ensemble: the runs have no head in common ({_each(runs, [sorted(n) for n in names])})")
    for head in heads:
        others = [run.head(head.name) for run in runs]
        if any(other.kind != head.kind or set(other.outputs) != set(head.outputs) for other in others):
            raise InputError(f"no ensemble: {head.name} differs ({_each(runs, [other.outputs for other in others])})")
    return heads


def _each(runs: Sequence[Run], values: Sequence[Sequence[str]]) -> str:
    return "; ".join(f"{run.name}: {', '.join(value) or 'none'}" for run, value in zip(runs, values, strict=True))


def _environment(runs: Sequence[Run]) -> dict[str, Any]:
    common = shared([run.environment for run in runs])
    simulated = any(run.data.get("simulated") for run in runs)
    for name in ("parameters", "flops", "seconds"):
        values = [run.environment.get(name) for run in runs]
        common[name] = sum(values) if all(isinstance(value, int | float) for value in values) else None
    common["throughput"] = throughput_together([run.environment.get("throughput") or {} for run in runs])
    return common | {"data": dict(common.get("data", {})) | {"simulated": simulated}}
