"""Paired comparisons of runs with the best run of the same split."""

from collections.abc import Sequence
from dataclasses import dataclass, replace

from skelemo.evaluation.metrics import main_metric
from skelemo.evaluation.paired import Difference, paired_difference
from skelemo.report.comparison import Comparison, labeled_rows
from skelemo.report.ensemble import ordered
from skelemo.runs.folder import Run
from skelemo.runs.predictions import truth_columns
from skelemo.targets import Head


@dataclass(frozen=True)
class Paired:
    """The best run by the head's main metric, and the differences of the others.

    The p values have Holm's correction for the number of runs.
    """

    best: Run
    others: tuple[tuple[Run, Difference], ...]
    groups: int
    grouped_by: str


def compare_pairs(comparison: Comparison, head: Head) -> Paired | None:
    """Compare the runs that were scored on the same windows; None if there are fewer than two.

    For a run with several seeds, the mean predictions are compared.
    """
    figure = main_metric(head)
    runs = [run for run in comparison.runs if run.shown.get(head.name, {}).get(figure, {}).get("value") is not None]
    if len(runs) < 2:
        return None
    best = max(runs, key=lambda run: run.shown[head.name][figure]["value"])
    labels = list(truth_columns(head))
    keys = ["sequence", "frame", *labels]
    reference = ordered(labeled_rows(best, head), labels)
    scored = best.shown[head.name]
    found: list[tuple[Run, Difference]] = []
    for run in runs:
        table = ordered(labeled_rows(run, head), labels)
        same = run is not best and table[keys].equals(reference[keys]) and run.head(head.name) == head
        if same and run.shown[head.name]["unit"] == scored["unit"]:
            found.append((run, paired_difference(table, reference, head, figure, clips=scored["unit"] == "clip")))
    if not found:
        return None
    adjusted = holm([difference.p for _, difference in found])
    others = [(run, replace(difference, p=p)) for (run, difference), p in zip(found, adjusted, strict=True)]
    return Paired(best, tuple(others), scored["groups"], scored["grouped_by"])


def holm(values: Sequence[float | None]) -> list[float | None]:
    """p values with Holm's correction (1979)."""
    known = sorted((value, index) for index, value in enumerate(values) if value is not None)
    adjusted: list[float | None] = [None] * len(values)
    largest = 0.0
    for rank, (value, index) in enumerate(known):
        largest = max(largest, min(1.0, value * (len(known) - rank)))
        adjusted[index] = largest
    return adjusted
