"""Tables of a report as data frames, for its CSV files."""

from collections.abc import Mapping, Sequence
from typing import Any

import pandas as pd

from skelemo.evaluation.metrics import titles
from skelemo.report.describe import groups_by, setting_text, settings_of
from skelemo.runs.folder import Run
from skelemo.targets import Head


def per_class(runs: Sequence[Run]) -> pd.DataFrame:
    """One row per run and class: precision, recall and F1 with intervals, and support."""
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


def trainings(runs: Sequence[Run], kind: str) -> pd.DataFrame:
    """One row per run, head and ``fold`` or ``seed``, if there are several."""
    rows = [
        {"run": run.name, "subset": run.subset, "head": head, kind: int(number), **values}
        for run in runs
        for head, figures in run.shown.items()
        for number, values in figures.get(f"{kind}s", {}).items()
    ]
    return pd.DataFrame(rows)


def by(runs: Sequence[Run]) -> pd.DataFrame:
    """One row per run, head and group, for scores broken down by a column."""
    rows = [
        {"run": run.name, "head": head.name, "column": column, "group": group}
        | {key: scored.get(key) for key in ("windows", "unit", "groups", "grouped_by")}
        | _bounded(head, scored)
        for run in runs
        for head in run.heads
        for column, groups in groups_by(run.shown.get(head.name, {})).items()
        for group, scored in groups
    ]
    return pd.DataFrame(rows)


def settings(runs: Sequence[Run]) -> pd.DataFrame:
    """One row per run, one column per setting."""
    rows = [{"run": run.name} | {key: setting_text(value) for key, value in settings_of(run).items()} for run in runs]
    return pd.DataFrame(rows)


def environment(run: Run) -> dict[str, str]:
    """Versions, machine and data of a run by dotted name."""
    return dict(_flat("", run.environment))


def _bounded(head: Head, scored: Mapping[str, Any]) -> dict[str, Any]:
    """Scores of a head with their intervals."""
    found: dict[str, Any] = {}
    for name in titles(head):
        figure = scored.get(name)
        if isinstance(figure, Mapping):
            bounds = {f"_{bound}": figure.get(bound) for bound in ("low", "high")}
            found |= {f"{name}{end}": value for end, value in {"": figure.get("value"), **bounds}.items()}
    return found


def _flat(prefix: str, values: Mapping[str, Any]) -> list[tuple[str, str]]:
    found: list[tuple[str, str]] = []
    for key, value in values.items():
        if isinstance(value, Mapping):
            found += _flat(f"{prefix}{key}.", value)
        elif key == "runs" and isinstance(value, list):  # the evaluated runs
            for number, one in enumerate(value, 1):
                found += _flat(f"{prefix}run {number}.", one)
        else:
            found.append((f"{prefix}{key}", setting_text(value)))
    return found
