"""Metrics of labeled windows with confidence intervals from a bootstrap over groups.

Most metrics are functions of sums over windows (a confusion matrix, the moments of two series, 2 × 2 tables), so groups
of windows are summed once, and a thousand resamples are one matrix product. Other metrics are computed on resampled
windows, with fewer resamples, unless they define sums of their own.
"""

from collections.abc import Iterator, Sequence
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
    flag_f1,
    mean_of_known,
    metrics_of,
    per_class,
    sums,
)
from skelemo.runs.predictions import outputs_of, truth_of
from skelemo.targets import Head

Codes = NDArray[np.int64]

RESAMPLES = 1000
LEVEL = 0.95
#: Fewest groups for an interval.
FEWEST_GROUPS = 10
#: Draws per round of the bootstrap: limits its memory to tens of megabytes.
_DRAWS = 4_000_000
#: Resamples for metrics without sums, and most windows to resample in total: limits their time to seconds.
_SLOW_RESAMPLES, _READ_WINDOWS = 200, 5_000_000


@dataclass(frozen=True)
class LabeledWindows:
    """Labels and outputs of one head on the labeled windows (or clips) of a subset."""

    head: Head
    windows: pd.DataFrame
    truth: np.ndarray  # class numbers [N], or [N, K] with NaN
    outputs: Floats  # [N, K]
    unit: str

    @classmethod
    def of(cls, frame: pd.DataFrame, head: Head, clips: bool) -> "LabeledWindows":
        """The labeled windows of a table of predictions, or clips with the mean over their windows."""
        truth = truth_of(frame, head)
        known = head.labeled(truth)
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
        """Sums ``[size, S]`` of each group for the metrics with sums."""
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
        """Metrics ``[...]`` from sums ``[..., S]``; for resamples also pass the sums of the ``whole``."""
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

    def _read(self, names: Sequence[str], rows: Any) -> dict[str, Floats]:
        """Metrics without sums, on some rows."""
        found: dict[str, Floats] = {}
        for name in names:
            values = METRICS[name].function(self.truth[rows], self.outputs[rows])
            found |= self._named(name, np.asarray(values, np.float64))
        return found

    @cached_property
    def _metrics(self) -> list[str]:
        return metrics_of(self.head)

    def _named(self, name: str, values: Floats) -> dict[str, Floats]:
        """A metric by name; a metric per output as mean and, if there are several, each."""
        if self.head.kind == "classes":
            return {name: values}
        mean = mean_of_known(values)
        each = {f"{name}_{output}": values[..., i] for i, output in enumerate(self.head.outputs) if len(self.head) > 1}
        return {f"{name}_mean": mean} | each

    def figures(self, resamples: int, seed: int) -> dict[str, Any]:
        """The head's entry in ``scores.json``."""
        codes, grouped_by = resampling_groups(self.windows)
        count = int(codes.max()) + 1
        groups = self.totals(codes, count)
        from_windows = [name for name in self._metrics if METRICS[name].facts.form == "windows"]
        values = self.measure(groups.sum(0)) | self._read(from_windows, slice(None))
        enough = count >= FEWEST_GROUPS
        drawn = resample(groups, resamples if enough else 1, seed)
        spread = self.measure(drawn, groups.sum(0)) | self._read_resampled(
            codes, count, resamples if enough else 0, seed
        )
        single = self.single_class
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
    def single_class(self) -> str:
        """Note that all labels are of one class; empty otherwise."""
        if self.head.kind != "classes" or len(self.head) < 2 or len(np.unique(self.truth)) != 1:
            return ""
        return f"all are {self.head.outputs[int(self.truth[0])]}: a single class cannot be scored"

    def _read_resampled(self, codes: Codes, count: int, resamples: int, seed: int) -> dict[str, Floats]:
        """Metrics ``[R]`` of resampled groups: from sums if available, otherwise from windows if time allows."""
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
                    name: {"f1": number_or_none(f1), "support": int(table[1].sum()), "windows": int(table.sum())}
                    for name, f1, table in zip(self.head.outputs, flag_f1(tables), tables, strict=True)
                }
            }
        return {}

    def _over_folds(self) -> dict[str, Any]:
        """Metrics of each fold, their mean and standard deviation, if there are several folds."""
        codes, folds = pd.factorize(self.windows["fold"], sort=True)
        if len(folds) < 2:
            return {}
        measured = self.measure(self.totals(codes.astype(np.int64), len(folds)))
        windows = np.bincount(codes)
        return {
            "folds": {
                str(fold): {name: number_or_none(values[i]) for name, values in measured.items()}
                | {"windows": int(windows[i])}
                for i, fold in enumerate(folds)
            },
            "fold_mean": {
                name: {"mean": number_or_none(values.mean()), "sd": number_or_none(values.std(ddof=1))}
                for name, values in measured.items()
            },
        }


def resample(groups: Floats, resamples: int, seed: int) -> Floats:
    """Totals ``[R, K]`` of R bootstrap samples of groups ``[G, K]``."""
    return np.concatenate([times @ groups for times in draws(len(groups), resamples, seed)])


def draws(count: int, resamples: int, seed: int) -> Iterator[Floats]:
    """How often each of G groups is in each of R bootstrap samples, ``[R, G]``, in pieces."""
    rng, most = np.random.default_rng(seed), max(1, _DRAWS // count)
    for start in range(0, resamples, most):
        rows = min(most, resamples - start)
        drawn = rng.integers(count, size=(rows, count)) + count * np.arange(rows)[:, None]
        yield np.bincount(drawn.ravel(), minlength=rows * count).reshape(rows, count).astype(np.float64)


def _class_details(head: Head, groups: Floats, drawn: Floats, intervals: bool) -> dict[str, Any]:
    """Confusion matrix, and precision, recall and F1 by class with their intervals.

    A class that occurs in a single group has no interval: resampling would repeat that group or lose the class.
    """
    count = len(head)
    cells = groups.reshape(-1, count, count)
    matrix = cells.sum(0)
    groups_with = (cells.sum(-1) > 0).sum(0)  # [C]
    measured = per_class(matrix)
    resampled = per_class(drawn.reshape(-1, count, count))
    drawn_classes = resampled.pop("support") > 0  # others are undefined
    bounds = {name: interval(np.where(drawn_classes, values, np.nan)) for name, values in resampled.items()}
    table: dict[str, dict[str, Any]] = {}
    for number, name in enumerate(head.outputs):
        table[name] = {key: number_or_none(values[number]) for key, values in measured.items()}
        table[name]["support"] = int(measured["support"][number])
        for key, (low, high) in bounds.items():
            known = intervals and groups_with[number] > 1
            table[name][f"{key}_low"] = number_or_none(low[number]) if known else None
            table[name][f"{key}_high"] = number_or_none(high[number]) if known else None
    present = matrix.any(0) | matrix.any(1)
    left_out = [name for name, occurs in zip(head.outputs, present, strict=True) if not occurs]
    return {"per_class": table, "confusion": matrix.astype(int).tolist(), "left_out": left_out}


def resampling_groups(frame: pd.DataFrame) -> tuple[Codes, str]:
    """Group of each window, and the kind of groups: subject, video or sequence, or several of them."""
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


def fine_resampling_groups(frame: pd.DataFrame) -> tuple[Codes, str]:
    """As `resampling_groups`, but by video or sequence if there are too few subjects or videos for an interval."""
    for blank in ({}, {"subject": ""}, {"subject": "", "video": ""}):
        codes, kind = resampling_groups(frame.assign(**blank))
        if codes.max(initial=-1) + 1 >= FEWEST_GROUPS:
            break
    return codes, kind


def interval(values: Floats) -> tuple[Floats, Floats]:
    """Bounds of the central 95 % of resampled metrics ``[R, …]``, ignoring NaN."""
    tail = 50 * (1 - LEVEL)
    missing = np.isnan(values).all(0)
    low, high = np.nanpercentile(np.where(missing, 0.0, values), [tail, 100 - tail], axis=0)
    return np.where(missing, np.nan, low), np.where(missing, np.nan, high)


def _with_interval(value: Floats, resampled: Floats | None, intervals: bool) -> dict[str, float | None]:
    low, high = interval(resampled) if intervals and resampled is not None else (np.nan, np.nan)
    return {"value": number_or_none(value), "low": number_or_none(low), "high": number_or_none(high)}


def number_or_none(value: Any) -> float | None:
    """A float, or None unless finite."""
    number = float(value)
    return number if np.isfinite(number) else None
