"""The tables of a report as data frames: what goes into its CSV files."""

from collections.abc import Mapping, Sequence
from typing import Any

import pandas as pd

from skelemo.evaluation.metrics import titles
from skelemo.report.describe import data_name, setting_text, settings_of
from skelemo.runs.folder import Run
from skelemo.targets import Head


def summary(runs: Sequence[Run]) -> pd.DataFrame:
    """One row per run: what it is, what it was scored on, every figure with its interval."""
    return pd.DataFrame([_facts(run) | _figures(run) for run in runs]).convert_dtypes()  # counts stay whole beside gaps


def per_class(runs: Sequence[Run]) -> pd.DataFrame:
    """One row per run and class: precision, recall and F1 with their intervals, and support."""
    rows = [
        {"run": run.name, "subset": run.subset, "head": head, "class": name, **figures}
        for run in runs
        for head, scored in run.shown.items()
        for name, figures in scored.get("per_class", {}).items()
    ]
    return pd.DataFrame(rows)


def confusion(run: Run, head: Head) -> pd.DataFrame:
    """Windows by true (row) and predicted (column) class."""
    names = pd.Index(head.outputs, name="true \\ predicted")
    return pd.DataFrame(run.shown[head.name]["confusion"], index=names, columns=list(head.outputs))


def folds(runs: Sequence[Run]) -> pd.DataFrame:
    """One row per run, head and fold, where there are several folds."""
    rows = [
        {"run": run.name, "subset": run.subset, "head": head, "fold": int(fold), **values}
        for run in runs
        for head, figures in run.shown.items()
        for fold, values in figures.get("folds", {}).items()
    ]
    return pd.DataFrame(rows)


def settings(runs: Sequence[Run]) -> pd.DataFrame:
    """One row per run, one column per setting."""
    rows = [{"run": run.name} | {key: setting_text(value) for key, value in settings_of(run).items()} for run in runs]
    return pd.DataFrame(rows)


def environment(run: Run) -> dict[str, str]:
    """Versions, machine and data of a run, by dotted name."""
    return dict(_flat("", run.environment))


def _facts(run: Run) -> dict[str, Any]:
    config = run.config
    return {
        "run": run.name,
        "architecture": config.get("arch"),
        "optimizer": config.get("optimizer"),
        "seed": config.get("seed"),
        "data": data_name(run),
        "simulated": bool(run.data.get("simulated")),
        "split": config.get("split"),
        "subset": run.subset,
        "parameters": run.environment.get("parameters"),
        "seconds": run.environment.get("seconds"),
    }


def _figures(run: Run) -> dict[str, Any]:
    found: dict[str, Any] = {}
    for head in run.heads:
        scores = run.shown.get(head.name, {})
        if scores:
            found |= {f"{head.name}_{key}": scores.get(key) for key in ("windows", "unit", "groups", "grouped_by")}
        for name in titles(head):
            figure = scores.get(name)
            if isinstance(figure, Mapping):
                bounds = {f"_{bound}": figure.get(bound) for bound in ("low", "high")}
                found |= {f"{head.name}_{name}{end}": v for end, v in {"": figure.get("value"), **bounds}.items()}
            mean = scores.get("fold_mean", {}).get(name)
            if mean:
                found |= {f"{head.name}_{name}_fold_mean": mean["mean"], f"{head.name}_{name}_fold_sd": mean["sd"]}
    return found


def _flat(prefix: str, values: Mapping[str, Any]) -> list[tuple[str, str]]:
    found: list[tuple[str, str]] = []
    for key, value in values.items():
        if isinstance(value, Mapping):
            found += _flat(f"{prefix}{key}.", value)
        else:
            found.append((f"{prefix}{key}", setting_text(value)))
    return found
