"""Scores of a run with confidence intervals, from its predictions: ``scores.json``.

Most metrics are functions of sums over windows (a confusion matrix, the moments of two series, 2 × 2 tables), so groups
of windows are summed once, and a thousand resamples are one matrix product. Other metrics are computed on resampled
windows, with fewer resamples, unless they define sums of their own.
"""

from collections.abc import Collection, Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import Any

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from skelemo.errors import InputError
from skelemo.evaluation.metrics import (
    METRICS,
    Floats,
    f1_of_resamples,
    flag_f1,
    main_metric,
    mean_of_known,
    metrics_of,
    per_class,
    sums,
)
from skelemo.runs.folder import scores_html
from skelemo.runs.predictions import SUBSETS, output_table, outputs_of, truth_of
from skelemo.targets import Head, hard_labels

Codes = NDArray[np.int64]

RESAMPLES = 1000
LEVEL = 0.95
#: No interval for fewer groups: resampling them would not be representative.
FEWEST_GROUPS = 10


class Scores(dict[str, dict[str, dict[str, Any]]]):
    """``{subset: {head: {figure: {"value", "low", "high"}, …}}}``; a subset is an attribute, too."""

    def __getattr__(self, name: str) -> dict[str, dict[str, Any]]:
        if name not in self:
            raise AttributeError(f"no subset {name!r} was scored, only {', '.join(self) or 'none'}")
        return self[name]

    def __dir__(self) -> list[str]:
        return sorted({*super().__dir__(), *self})

    def __repr__(self) -> str:
        rows = [
            f"{subset:<12}{head:<16}" + "  ".join(_shown(name, figure) for name, figure in list(_figures(scored))[:3])
            for subset, heads in self.items()
            for head, scored in heads.items()
        ]
        return "\n".join(rows) or "nothing was scored"

    def _repr_html_(self) -> str:
        return scores_html(self)


def _figures(scored: Mapping[str, Any]) -> Iterator[tuple[str, Mapping[str, Any]]]:
    """The figures of a head, without its other entries."""
    return ((name, value) for name, value in scored.items() if isinstance(value, Mapping) and "value" in value)


def _shown(name: str, figure: Mapping[str, Any]) -> str:
    value, low, high = (figure.get(key) for key in ("value", "low", "high"))
    if value is None:
        return f"{name} –"
    return f"{name} {value:.3f}" + (f" [{low:.3f}, {high:.3f}]" if low is not None and high is not None else "")


#: Draws per round of the bootstrap; bounds its memory to tens of megabytes.
_DRAWS = 4_000_000
#: Resamples for metrics without sums, and total windows to resample; bounds their time to seconds.
_SLOW_RESAMPLES, _READ_WINDOWS = 200, 5_000_000


def score(
    predictions: pd.DataFrame,
    heads: Sequence[Head],
    *,
    clips: Collection[str] = (),
    resamples: int = RESAMPLES,
    seed: int = 0,
) -> Scores:
    """Score every subset of a table of predictions (`skelemo.runs.predictions`), head by head.

    All labeled windows of a subset are pooled, also across folds; with several folds, the figures of each and their
    mean are added (DFEW's convention). Intervals are 95 % percentile bootstraps that resample subjects if known, else
    videos, else sequences.

    Parameters
    ----------
    clips : heads that label whole clips: each clip has one prediction, the mean over its windows.

    Returns
    -------
    dict
        ``{subset: {head: {figure: {"value", "low", "high"}, …}}}`` None for an undefined
        figure. Subsets without windows and heads without labels are omitted.

    Raises
    ------
    InputError
        A prediction is not finite (the training diverged), or a class is not the head's.
    """
    found = Scores()
    for subset in SUBSETS:
        frame = predictions[predictions["subset"] == subset]
        judged = [_Judged.of(frame, head, head.name in clips) for head in heads]
        figures = {one.head.name: one.figures(resamples, seed) for one in judged if len(one.windows)}
        if figures:
            found[subset] = figures
    return found


def with_seeds(scores: Scores, by_seed: Mapping[int, Scores]) -> Scores:
    """Scores of the mean of several trainings, with each training's own figures, their mean and deviation beside."""
    found = Scores()
    for subset, heads in scores.items():
        found[subset] = {}
        for head, scored in heads.items():
            own = {
                str(seed): {name: figure["value"] for name, figure in _figures(of_seed[subset][head])}
                for seed, of_seed in by_seed.items()
            }
            found[subset][head] = {**scored, "seeds": own, "seed_mean": _spread([*own.values()])}
    return found


def _spread(figures: Sequence[Mapping[str, float | None]]) -> dict[str, dict[str, float | None]]:
    """Mean and standard deviation of each figure; None if one is undefined."""
    table = pd.DataFrame(figures).astype(float)
    mean, deviation = table.mean(skipna=False), table.std(ddof=1, skipna=False)
    return {name: {"mean": _number(mean[name]), "sd": _number(deviation[name])} for name in table.columns}


def measure(head: Head, labels: np.ndarray, outputs: np.ndarray) -> dict[str, float]:
    """Figures of outputs ``[N, K]`` against labels, without intervals; NaN if undefined.

    Metrics without sums are skipped: this runs after every epoch.
    """
    truth = hard_labels(labels).astype(np.int64) if head.kind == "classes" else labels.astype(np.float64)
    if head.kind == "flags":
        truth[truth < 0] = np.nan
    known = truth >= 0 if head.kind == "classes" else ~np.isnan(truth).all(1)
    judged = _Judged(head, pd.DataFrame(index=range(int(known.sum()))), truth[known], outputs[known], "window")
    total = judged.totals(np.zeros(len(judged.truth), np.int64), 1)[0]
    return {name: float(value) for name, value in judged.measure(total).items()}


@dataclass(frozen=True)
class Difference:
    """Difference of one run's figure to another's on the same windows, by a paired bootstrap over groups.

    ``p`` is two-sided: twice the share of resamples in which the difference is not of the sign that it has, at least
    one of them. None, like the interval, with fewer than `FEWEST_GROUPS` groups.
    """

    value: float
    low: float | None
    high: float | None
    p: float | None
    groups: int


def paired_difference(
    one: pd.DataFrame, other: pd.DataFrame, head: Head, figure: str, *, clips: bool = False, resamples: int = RESAMPLES
) -> Difference:
    """Compare two tables of predictions of the same windows in the same order, by a figure that has sums."""
    judged = [_Judged.of(table, head, clips) for table in (one, other)]
    codes, _ = _groups(judged[0].windows)
    count = int(codes.max()) + 1
    groups = [side.totals(codes, count) for side in judged]
    value = float(np.subtract(*(side.measure(g.sum(0))[figure] for side, g in zip(judged, groups, strict=True))))
    if count < FEWEST_GROUPS:
        return Difference(value, None, None, None, count)
    drawn = (side.measure(resample(g, resamples, 0), g.sum(0))[figure] for side, g in zip(judged, groups, strict=True))
    found = np.nan_to_num(np.subtract(*drawn))
    low, high = _interval(found)
    against = float(np.mean(found <= 0 if value > 0 else found >= 0))
    return Difference(value, float(low), float(high), min(1.0, max(2 * against, 1 / resamples)), count)


@dataclass(frozen=True)
class Losses:
    """What other answers to the same windows lose of a head's main figure, by a paired bootstrap over groups.

    Parameters
    ----------
    score : the figure of the usual answers, NaN where it is undefined.
    loss, error, low, high : ``[M]`` of each of the others: the loss, its standard error and its interval; NaN with
        fewer than `FEWEST_GROUPS` groups.
    """

    score: float
    loss: Floats
    error: Floats
    low: Floats
    high: Floats
    groups: int
    grouped_by: str


def losses(
    table: pd.DataFrame, others: Floats, head: Head, *, clips: bool = False, resamples: int = 500, seed: int = 0
) -> Losses:
    """Compare other outputs ``[M, W, K]`` for the windows of a table of predictions with those in the table.

    Resampled are subjects if known, else videos, else sequences; where there are too few, the next finer of these.
    """
    judged = _Judged.of(table, head, clips)
    codes, kind = _fine_groups(judged.windows)
    count = int(codes.max(initial=-1)) + 1
    rng, enough = np.random.default_rng(seed), count >= FEWEST_GROUPS
    times = np.array([np.bincount(rng.integers(count, size=count), minlength=count) for _ in range(resamples * enough)])

    def figures(one: _Judged) -> Floats:
        """Of all groups, and of each resample."""
        groups = one.main_totals(codes, count)
        totals = np.concatenate([groups.sum(0)[None], times @ groups] if enough else [groups.sum(0)[None]])
        return np.full(len(totals), np.nan) if not count or one._single_class else one.measure_main(totals, totals[0])

    usual = figures(judged)
    found = np.array([figures(_Judged.of(table.assign(**output_table(head, one)), head, clips)) for one in others])
    lost = usual - found.reshape(len(others), len(usual))  # [M, 1 + R]
    if not enough or np.isnan(usual[0]):
        unknown = np.full(len(others), np.nan)
        return Losses(float(usual[0]), lost[:, 0], unknown, unknown, unknown, count, kind)
    low, high = _interval(lost[:, 1:].T)
    return Losses(float(usual[0]), lost[:, 0], np.nanstd(lost[:, 1:], axis=1), low, high, count, kind)


@dataclass(frozen=True)
class _Judged:
    """The labeled windows (or clips) of one head in one subset."""

    head: Head
    windows: pd.DataFrame
    truth: np.ndarray  # [N] class numbers, or [N, K] with NaN
    outputs: Floats  # [N, K]
    unit: str

    @classmethod
    def of(cls, frame: pd.DataFrame, head: Head, clips: bool) -> "_Judged":
        truth = truth_of(frame, head)
        known = truth >= 0 if head.kind == "classes" else ~np.isnan(truth).all(1)
        frame, truth, outputs = frame[known], truth[known], outputs_of(frame, head)[known]
        wrong = ~np.isfinite(outputs).all(1)
        if wrong.any():
            first = frame.iloc[int(wrong.argmax())]
            raise InputError(
                f"{np.count_nonzero(wrong):,} of {len(frame):,} predictions of {head.name} are not finite, the first "
                f"at frame {first['frame']} of {first['sequence']}: did the training diverge? (try a lower lr)"
            )
        if not clips or not len(frame):
            return cls(head, frame, truth, outputs, "window")
        code, _ = pd.factorize(frame["fold"].astype(str) + "\0" + frame["sequence"].astype(str))
        start = np.unique(code, return_index=True)[1]
        mean = np.stack([np.bincount(code, column) for column in outputs.T], 1) / np.bincount(code)[:, None]
        return cls(head, frame.iloc[start], truth[start], mean, "clip")

    def totals(self, groups: Codes, size: int) -> Floats:
        """Sums of each group for the metrics with sums, ``[size, S]``."""
        count = len(self.head)
        if self.head.kind == "classes":
            cells = (groups * count + self.truth) * count + self.outputs.argmax(1)
            return np.bincount(cells, minlength=size * count * count).reshape(size, -1).astype(np.float64)
        columns = []
        for truth, output in zip(self.truth.T, self.outputs.T, strict=True):
            known = ~np.isnan(truth)
            if self.head.kind == "values":
                x = truth[known].astype(np.float64)
                columns.append(sums(x, output[known], groups[known], size, float(x.mean()) if len(x) else 0.0))
            else:
                cells = (groups[known] * 2 + (truth[known] > 0)) * 2 + (output[known] >= 0.5)
                columns.append(np.bincount(cells, minlength=4 * size).reshape(size, 4).astype(np.float64))
        return np.concatenate(columns, 1)

    def measure(self, total: Floats, whole: Floats | None = None) -> dict[str, Floats]:
        """Figures ``[...]`` of the metrics with sums, from ``[..., S]``; of resamples with the sums of all windows."""
        count = len(self.head)
        shape = {"classes": (count, count), "values": (count, 6), "flags": (count, 2, 2)}[self.head.kind]
        total = total.reshape(*total.shape[:-1], *shape)
        found: dict[str, Floats] = {}
        for name in self._metrics:
            entry = METRICS[name]
            if whole is not None and entry.facts.resampled:
                found |= self._named(name, entry.facts.resampled(total, whole.reshape(shape)))
            elif entry.facts.form != "windows":
                found |= self._named(name, entry.function(total))
        return found

    def main_totals(self, groups: Codes, size: int) -> Floats:
        """As `totals`, for the main metric alone: of classes their hits, and how often they are true and predicted."""
        count = len(self.head)
        if self.head.kind != "classes":
            return self.totals(groups, size)
        given = self.outputs.argmax(1)
        cells, right = groups * count, given == self.truth
        hits = np.bincount((cells + given)[right], minlength=size * count)
        counted = [hits, *(np.bincount(cells + one, minlength=size * count) for one in (self.truth, given))]
        return np.concatenate([one.reshape(size, count) for one in counted], 1).astype(np.float64)

    def measure_main(self, total: Floats, whole: Floats) -> Floats:
        """The main metric ``[...]`` from `main_totals` ``[..., S]`` of resamples, and of all windows."""
        if self.head.kind != "classes":
            return self.measure(total, whole)[main_metric(self.head)]
        return mean_of_known(f1_of_resamples(*np.split(total, 3, -1), *np.split(whole, 3)[1:]))

    def _read(self, names: Sequence[str], rows: Any) -> dict[str, Floats]:
        """Figures of metrics that take the windows themselves, on some rows."""
        found: dict[str, Floats] = {}
        for name in names:
            values = METRICS[name].function(self.truth[rows], self.outputs[rows])
            found |= self._named(name, np.asarray(values, np.float64))
        return found

    @cached_property
    def _metrics(self) -> list[str]:
        return metrics_of(self.head)

    def _named(self, name: str, values: Floats) -> dict[str, Floats]:
        """A metric under its name; one by output as their mean and, if there are several, each."""
        form = METRICS[name].facts.form
        if form == "confusion" or (form == "windows" and self.head.kind == "classes"):
            return {name: values}
        mean = mean_of_known(values)
        each = {f"{name}_{output}": values[..., i] for i, output in enumerate(self.head.outputs) if len(self.head) > 1}
        return {f"{name}_mean": mean} | each

    def figures(self, resamples: int, seed: int) -> dict[str, Any]:
        """The entry of the head in ``scores.json``."""
        codes, grouped_by = _groups(self.windows)
        count = int(codes.max()) + 1
        groups = self.totals(codes, count)
        from_windows = [name for name in self._metrics if METRICS[name].facts.form == "windows"]
        values = self.measure(groups.sum(0)) | self._read(from_windows, slice(None))
        enough = count >= FEWEST_GROUPS
        drawn = resample(groups, resamples if enough else 1, seed)
        spread = self.measure(drawn, groups.sum(0)) | self._read_resampled(
            codes, count, resamples if enough else 0, seed
        )
        single = self._single_class
        values = {name: np.array(np.nan) if single else value for name, value in values.items()}
        intervals = enough and not single
        return {
            **{name: _with_interval(value, spread.get(name), intervals) for name, value in values.items()},
            **self._details(groups, drawn, intervals),
            **({} if single else self._over_folds()),
            "windows": len(self.windows),
            "unit": self.unit,
            "groups": count,
            "grouped_by": grouped_by,
            "interval": {"level": LEVEL, "resamples": resamples if intervals else 0, "seed": seed},
            **({"note": single} if single else {}),
        }

    @property
    def _single_class(self) -> str:
        """Why the windows cannot be scored; empty if they can."""
        if self.head.kind != "classes" or len(self.head) < 2 or len(np.unique(self.truth)) > 1:
            return ""
        return f"all are {self.head.outputs[int(self.truth[0])]}: with one class there is nothing to tell apart"

    def _read_resampled(self, codes: Codes, count: int, resamples: int, seed: int) -> dict[str, Floats]:
        """Figures over resampled groups, ``[R]`` each: from sums if a metric has them, otherwise as time allows."""
        if not resamples:
            return {}
        found: dict[str, Floats] = {}
        slow = []
        for name in self._metrics:
            facts = METRICS[name].facts
            if facts.sums and facts.of_sums:
                each = facts.sums(self.truth, self.outputs, codes, count)
                values = np.stack([facts.of_sums(resample(groups, resamples, seed)) for groups in each], -1)  # [R, K]
                found |= self._named(name, mean_of_known(values) if self.head.kind == "classes" else values)
            elif facts.form == "windows":
                slow.append(name)
        times = min(resamples, _SLOW_RESAMPLES, _READ_WINDOWS // max(len(codes), 1))
        if not slow or times < _SLOW_RESAMPLES // 4:
            return found
        members = np.split(np.argsort(codes, kind="stable"), np.cumsum(np.bincount(codes, minlength=count))[:-1])
        rng = np.random.default_rng(seed)
        drawn = [
            self._read(slow, np.concatenate([members[i] for i in rng.integers(count, size=count)]))
            for _ in range(times)
        ]
        return found | {name: np.array([one[name] for one in drawn]) for name in drawn[0]}

    def _details(self, groups: Floats, drawn: Floats, intervals: bool) -> dict[str, Any]:
        if self.head.kind == "classes":
            return _class_details(self.head, groups, drawn, intervals)
        if self.head.kind == "flags":
            tables = groups.sum(0).reshape(len(self.head), 2, 2)
            return {
                "per_flag": {
                    name: {"f1": _number(f1), "support": int(table[1].sum()), "windows": int(table.sum())}
                    for name, f1, table in zip(self.head.outputs, flag_f1(tables), tables, strict=True)
                }
            }
        return {}

    def _over_folds(self) -> dict[str, Any]:
        """Figures of each fold, their mean and standard deviation, if there are several."""
        codes, folds = pd.factorize(self.windows["fold"], sort=True)
        if len(folds) < 2:
            return {}
        measured = self.measure(self.totals(codes.astype(np.int64), len(folds)))
        windows = np.bincount(codes)
        return {
            "folds": {
                str(fold): {name: _number(values[i]) for name, values in measured.items()}
                | {"windows": int(windows[i])}
                for i, fold in enumerate(folds)
            },
            "fold_mean": {
                name: {"mean": _number(values.mean()), "sd": _number(values.std(ddof=1))}
                for name, values in measured.items()
            },
        }


def resample(groups: Floats, resamples: int, seed: int) -> Floats:
    """Totals ``[R, K]`` of R bootstrap samples of groups ``[G, K]``."""
    rng, count = np.random.default_rng(seed), len(groups)
    totals, most = [], max(1, _DRAWS // count)
    for start in range(0, resamples, most):
        rows = min(most, resamples - start)
        drawn = rng.integers(count, size=(rows, count)) + count * np.arange(rows)[:, None]
        times = np.bincount(drawn.ravel(), minlength=rows * count).reshape(rows, count)
        totals.append(times.astype(np.float64) @ groups)
    return np.concatenate(totals)


def _class_details(head: Head, groups: Floats, drawn: Floats, intervals: bool) -> dict[str, Any]:
    """Confusion matrix, and precision, recall and F1 by class with their intervals.

    No interval for a class of a single group: resampling would repeat that group or lose the class.
    """
    count = len(head)
    cells = groups.reshape(-1, count, count)
    matrix = cells.sum(0)
    shown_by = (cells.sum(-1) > 0).sum(0)  # [C] groups
    measured = per_class(matrix)
    resampled = per_class(drawn.reshape(-1, count, count))
    occurs = resampled.pop("support") > 0  # else nothing is known of the class
    bounds = {name: _interval(np.where(occurs, values, np.nan)) for name, values in resampled.items()}
    table: dict[str, dict[str, Any]] = {}
    for number, name in enumerate(head.outputs):
        table[name] = {key: _number(values[number]) for key, values in measured.items()}
        table[name]["support"] = int(measured["support"][number])
        for key, (low, high) in bounds.items():
            known = intervals and shown_by[number] > 1
            table[name][f"{key}_low"] = _number(low[number]) if known else None
            table[name][f"{key}_high"] = _number(high[number]) if known else None
    left_out = [
        name for number, name in enumerate(head.outputs) if not (matrix[number].any() or matrix[:, number].any())
    ]
    return {"per_class": table, "confusion": matrix.astype(int).tolist(), "left_out": left_out}


def _groups(frame: pd.DataFrame) -> tuple[Codes, str]:
    """Group of each window, and the kind of groups: subject, video or sequence, or several of these."""
    names = pd.Series("", index=frame.index, dtype=object)
    kinds = []
    for kind in ("subject", "video", "sequence"):
        known = frame[kind].astype(object).where(frame[kind].notna(), "").astype(str)
        here = (names == "") & (known != "")
        if here.any():
            kinds.append(kind)
            names[here] = kind + " " + known[here]
    codes, _ = pd.factorize(names)
    return codes.astype(np.int64), " or ".join(kinds)


def _fine_groups(frame: pd.DataFrame) -> tuple[Codes, str]:
    """As `_groups`, but of videos or sequences where subjects, or videos, are too few for an interval."""
    unknown = {"subject": "", "video": ""}
    for blank in ({}, {"subject": ""}, unknown):
        codes, kind = _groups(frame.assign(**blank))
        if codes.max(initial=-1) + 1 >= FEWEST_GROUPS:
            break
    return codes, kind


def _interval(values: Floats) -> tuple[Floats, Floats]:
    """Bounds of the middle 95 % of resampled figures ``[R, …]``, ignoring NaN."""
    tail = 50 * (1 - LEVEL)
    missing = np.isnan(values).all(0)
    low, high = np.nanpercentile(np.where(missing, 0.0, values), [tail, 100 - tail], axis=0)
    return np.where(missing, np.nan, low), np.where(missing, np.nan, high)


def _with_interval(value: Floats, resampled: Floats | None, intervals: bool) -> dict[str, float | None]:
    low, high = _interval(resampled) if intervals and resampled is not None else (np.nan, np.nan)
    return {"value": _number(value), "low": _number(low), "high": _number(high)}


def _number(value: Any) -> float | None:
    number = float(value)
    return number if np.isfinite(number) else None
