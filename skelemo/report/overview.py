"""The overview of a comparison: facts, scores and costs of each experiment, summarized over seeds and folds."""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import pandas as pd

from skelemo.evaluation.metrics import titles
from skelemo.report.comparison import NO_OPTIMIZER, Comparison, Entry, Estimate, estimate_of
from skelemo.report.describe import data_name, figures_of, parts_of, setting_text
from skelemo.runs.folder import Run
from skelemo.targets import Head
from skelemo.text import count, duration

#: Columns of an experiment before and after its scores.
FACTS = ("Architecture", "Optimizer", "Parts", "Trainings")
COSTS = ("Parameters", "FLOPs", "Windows/s", "Training")


@dataclass(frozen=True)
class Row:
    """An experiment, or one of its runs.

    Parameters
    ----------
    runs : the averaged runs.
    member : whether this is one run of the experiment in an earlier row.
    facts, costs : texts by `FACTS` and `COSTS`.
    figures : scores by name; None for missing ones.
    """

    runs: tuple[Run, ...]
    member: bool
    facts: Mapping[str, str]
    figures: Mapping[str, Estimate | None]
    costs: Mapping[str, str]

    @property
    def name(self) -> str:
        """The run's name, or the number of runs."""
        return self.runs[0].name if len(self.runs) == 1 else f"mean of {len(self.runs)} runs"


def figures_by_output(head: Head) -> tuple[dict[str, str], dict[str, str]]:
    """Metrics of the whole head and of single outputs, with their titles."""
    whole: dict[str, str] = {}
    single: dict[str, str] = {}
    for name, title in figures_of(head).items():
        of_one = any(name.endswith(f"_{output}") for output in head.outputs) and not name.endswith("_mean")
        (single if head.kind != "classes" and of_one else whole)[name] = title
    return whole, single


def rows(comparison: Comparison, head: Head) -> tuple[Row, ...]:
    """A row for each entry with a head, followed by its runs if there are several."""
    return tuple(row for _, entry in comparison.labeled(head) for row in _rows_of(entry, head))


def _rows_of(entry: Entry, head: Head) -> Iterator[Row]:
    names, runs = figures_of(head), [run for run in entry.runs if head.name in run.shown]
    if len(entry.runs) > 1:
        figures = {name: entry.estimate(head.name, name) for name in names}
        yield Row(entry.runs, False, _facts(entry, entry.runs), figures, _costs(entry.runs))
    for run in runs:
        figures = {name: estimate_of(run, head.name, name) for name in names}
        yield Row((run,), len(entry.runs) > 1, _facts(entry, (run,)), figures, _costs((run,)))


def _facts(entry: Entry, runs: Sequence[Run]) -> dict[str, str]:
    optimizer = "–" if entry.optimizer == NO_OPTIMIZER else entry.optimizer
    return dict(zip(FACTS, (entry.arch, optimizer, parts_of(runs[0]), _trainings(runs)), strict=True))


def _trainings(runs: Sequence[Run]) -> str:
    """Seeds and folds, as ``3 seeds, 5 folds``; a dash for evaluations."""
    first = runs[0]
    if first.evaluation:
        return "–"
    folds = len(first.splits.get("folds", ()))
    if len(runs) > 1:
        seeds = f"seeds {', '.join(setting_text(run.config.get('seed')) for run in runs)}"
    else:
        several = int(first.config.get("seeds") or 1)
        seeds = count(several, "seed") if several > 1 else f"seed {setting_text(first.config.get('seed'))}"
    return f"{seeds}, {folds} folds" if folds > 1 else seeds


def _costs(runs: Sequence[Run]) -> dict[str, str]:
    known = costs_of(runs)
    sizes = [quantity(known[name]) for name in ("parameters", "flops", "windows_per_second")]
    return dict(zip(COSTS, (*sizes, duration(known["seconds"])), strict=True))


def _mean(values: Sequence[float | None]) -> float | None:
    known = [value for value in values if value is not None]
    return sum(known) / len(known) if known and len(known) == len(values) else None


def quantity(value: float | None) -> str:
    """A quantity with three digits: ``4.00 M``, ``1.82 G``, ``5,350``; a dash for None."""
    if value is None:
        return "–"
    value = float(f"{value:.3g}")
    size, letter = next((pair for pair in _SIZES if value >= pair[0]), (1, ""))
    text = f"{value:,.0f}" if letter == "" and value >= 1000 else f"{value / size:#.3g}".rstrip(".")
    return f"{text} {letter}" if letter else text if value else "0"


_SIZES = ((1e12, "T"), (1e9, "G"), (1e6, "M"))


def costs_basis(comparison: Comparison) -> str:
    """The meaning of the costs; "" without costs."""
    speeds = [run.environment["throughput"] for run in comparison.runs if run.environment.get("throughput")]
    sized = any(run.environment.get("flops") for run in comparison.runs)
    texts = []
    if sized:
        texts.append("FLOPs are per window and forward pass; a multiply-add counts as two.")
    if speeds:
        devices = list(dict.fromkeys(one["device"] for one in speeds))
        batches = sorted({one["batch"] for one in speeds})
        size = str(batches[0]) if len(batches) == 1 else f"{batches[0]} to {batches[-1]}"
        texts.append(
            "Windows/s: predictions per second, from prepared keypoints in memory, in batches of "
            f"{size}, on {' and '.join(devices)}{'' if len(devices) == 1 else ': not comparable across devices'}."
        )
    if texts and any(int(run.config.get("seeds") or 1) > 1 for run in comparison.runs):
        texts.append("With several seeds, this is the cost of one network; predicting with all of them multiplies it.")
    return " ".join(texts)


def table(comparisons: Sequence[Comparison]) -> pd.DataFrame:
    """The overview of all comparisons: a row for each experiment and head, with all scores in full precision."""
    listed = [
        {"comparison": place, "head": head.name, "run": row.name, "mean_of": len(row.runs)}
        | {name.lower(): text for name, text in row.facts.items()}
        | _origin(row.runs, head)
        | costs_of(row.runs)
        | _numbers(row.runs, head)
        for place, comparison in enumerate(comparisons, 1)
        for head in comparison.heads
        for row in rows(comparison, head)
    ]
    return pd.DataFrame(listed).convert_dtypes()


def costs_of(runs: Sequence[Run]) -> dict[str, Any]:
    """Parameters, FLOPs and throughput as numbers, averaged over runs."""
    known = [run.environment for run in runs]
    speeds = [one.get("throughput", {}) for one in known]
    return {
        "parameters": _mean([one.get("parameters") for one in known]),
        "flops": _mean([one.get("flops") for one in known]),
        "windows_per_second": _mean([one.get("windows_per_second") for one in speeds]),
        "device": ", ".join(dict.fromkeys(one["device"] for one in speeds if one)) or None,
        "seconds": _mean([one.get("seconds") for one in known]),
    }


def _origin(runs: Sequence[Run], head: Head) -> dict[str, Any]:
    """What the scores of a head are based on."""
    run = runs[0]
    return {
        "seed": run.config.get("seed") if len(runs) == 1 else None,
        "evaluates": ", ".join(one["name"] for one in run.evaluation.get("runs", [])) or None,
        "data": data_name(run),
        "simulated": bool(run.data.get("simulated")),
        "split": run.config.get("split"),
        "subset": run.subset,
    } | {key: run.shown[head.name].get(key) for key in ("windows", "unit", "groups", "grouped_by")}


def _numbers(runs: tuple[Run, ...], head: Head) -> dict[str, Any]:
    found: dict[str, Any] = {}
    for name in titles(head):
        estimate = Entry(runs).estimate(head.name, name)
        if estimate is not None:
            numbers = {"": estimate.value, "_low": estimate.low, "_high": estimate.high, "_sd": estimate.sd}
            found |= {f"{name}{end}": value for end, value in numbers.items()}
            if estimate.together is not None:
                found[f"{name}_together"] = estimate.together
            if estimate.folds:
                found |= {f"{name}_fold_mean": estimate.folds[0], f"{name}_fold_sd": estimate.folds[1]}
    return found
