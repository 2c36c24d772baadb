"""Scores by subject and recording, lowest first."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import numpy as np
import pandas as pd

from skelemo.runs.folder import Run
from skelemo.runs.predictions import outputs_of, truth_of
from skelemo.targets import Head

#: Maximum rows of a table on the page; the CSV file has all.
_MOST_ROWS = 8
#: Minimum number of groups for a table.
_FEWEST_ROWS = 3
#: Score of a group, by the kind of the head.
FIGURES = {"classes": "accuracy", "flags": "accuracy", "values": "mean absolute error"}


@dataclass(frozen=True)
class Hardest:
    """The groups with the lowest scores of a head."""

    column: str
    figure: str
    of: int  # number of groups
    rows: tuple[tuple[str, float, int, str], ...]  # name, score, windows, most frequent mistake


def hardest(run: Run, head: Head) -> Iterator[Hardest]:
    """The hardest subjects, if known, and the hardest recordings."""
    table = group_figures(run, head)
    for column in ("subject", "video"):
        found = table[table["column"] == column]
        if len(found) >= _FEWEST_ROWS:
            worst = found.sort_values(["value", "windows"], ascending=[head.kind != "values", False])[:_MOST_ROWS]
            rows = tuple(worst[["group", "value", "windows", "mistake"]].itertuples(index=False, name=None))
            yield Hardest(column, FIGURES[head.kind], len(found), rows)


def group_figures(run: Run, head: Head) -> pd.DataFrame:
    """The score of each subject and each recording of the shown subset.

    Columns: column, group, figure (`FIGURES`), value, windows, mistake.
    """
    windows = run.windows
    truth, outputs = truth_of(windows, head), outputs_of(windows, head)
    known = head.labeled(truth)
    truth, outputs, windows = truth[known], outputs[known], windows[known]
    if head.kind == "classes":
        given = outputs.argmax(1)
        value = (given == truth).astype(float)
    else:
        apart = np.abs(truth - outputs) if head.kind == "values" else (truth > 0) == (outputs >= 0.5)
        value = np.nanmean(np.where(np.isnan(truth), np.nan, apart), 1)
    tables = []
    for column in ("subject", "video"):
        names = windows[column].astype(str).to_numpy(object)
        there = names != ""
        rows = pd.DataFrame({"group": names[there], "value": value[there]})
        found = rows.groupby("group")["value"].agg(["mean", "size"]).reset_index()
        found = found.rename(columns={"mean": "value", "size": "windows"})
        found = found.assign(column=column, figure=FIGURES[head.kind], mistake="")
        if head.kind == "classes" and len(found):
            found["mistake"] = _mistakes(found["group"], names[there], truth[there], given[there], head)
        tables.append(found)
    return pd.concat(tables, ignore_index=True)[["column", "group", "figure", "value", "windows", "mistake"]]


def _mistakes(groups: pd.Series, names: np.ndarray, truth: np.ndarray, given: np.ndarray, head: Head) -> list[str]:
    """The most frequent confusion of each group, as ``anger predicted as disgust (12)``."""
    wrong = truth != given
    pairs = pd.DataFrame({"group": names[wrong], "truth": truth[wrong], "given": given[wrong]})
    counts = pairs.value_counts().reset_index(name="times").drop_duplicates("group").set_index("group")
    texts = {
        group: f"{head.outputs[int(one['truth'])]} predicted as {head.outputs[int(one['given'])]} ({int(one['times'])})"
        for group, one in counts.iterrows()
    }
    return [texts.get(group, "") for group in groups]


def recordings(runs: Sequence[Run]) -> pd.DataFrame:
    """All subjects and recordings of all runs, for the CSV file."""
    tables = {
        (run.name, head.name): group_figures(run, head) for run in runs for head in run.heads if head.name in run.shown
    }
    return pd.concat(tables, names=["run", "head"]).droplevel(-1).reset_index() if tables else pd.DataFrame()
