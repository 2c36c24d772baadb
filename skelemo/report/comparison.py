"""Comparison of runs: which runs can be compared, which differ only in the seed, and which settings differ."""

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import Any

import numpy as np
import pandas as pd

from skelemo.cache.corrections import in_words
from skelemo.evaluation.metrics import METRICS, main_metric, metrics_of, titles
from skelemo.report.describe import (
    OPTIMIZERS,
    data_name,
    interval_basis,
    optimizer_of,
    parts_of,
    setting_text,
    settings_of,
    split_name,
    subset_sizes,
    training_use,
)
from skelemo.runs.folder import Run
from skelemo.runs.predictions import truth_of
from skelemo.targets import Head
from skelemo.text import count

NO_OPTIMIZER = "no optimizer"

#: First words of `training_use` for data that may have been used for training.
_USED = ("partly", "possibly")

#: Settings that do not define an experiment; data and corrections are compared by content.
_INCIDENTAL = ("data", "corrections", "seed", "split_seed", "device", "devices", "nodes", "memory", "compile", "by",
               "mistakes", "importance")  # fmt: skip


@dataclass(frozen=True)
class Estimate:
    """A score with its 95 % interval; for several runs, mean and standard deviation.

    ``of`` is the number of runs; ``together`` is the score of the runs' mean
    predictions; ``folds`` are mean and standard deviation over folds.
    """

    value: float
    low: float | None = None
    high: float | None = None
    sd: float | None = None
    of: str = ""
    together: float | None = None
    folds: tuple[float, float] | None = None

    @property
    def spread(self) -> str:
        """The interval or standard deviation as text; empty without either: the facts say why."""
        if self.sd is not None:
            return f"± {self.sd:.3f}, {self.of}"
        return f"{self.low:.3f} to {self.high:.3f}" if self.low is not None and self.high is not None else ""

    @property
    def further(self) -> str:
        """The score of the mean predictions, or mean and standard deviation over folds, as text."""
        together = "" if self.together is None else f"together {self.together:.3f}"
        return together or (f"folds {self.folds[0]:.3f} ± {self.folds[1]:.3f}" if self.folds else "")


@dataclass(frozen=True)
class Entry:
    """One experiment: runs that differ only in the seed."""

    runs: tuple[Run, ...]

    @property
    def arch(self) -> str:
        """The architecture."""
        return str(self.runs[0].config.get("arch", "?"))

    @property
    def optimizer(self) -> str:
        """The optimizer's usual spelling, or `NO_OPTIMIZER`."""
        return optimizer_of(self.runs[0]) or NO_OPTIMIZER

    def estimate(self, head: str, figure: str) -> Estimate | None:
        """A score on the shown subset, or None if a run lacks it."""
        found = [estimate_of(run, head, figure) for run in self.runs]
        known = [estimate for estimate in found if estimate is not None]
        if len(known) < len(found):
            return None
        if len(known) == 1:
            return known[0]
        values = np.array([estimate.value for estimate in known])
        seeds = len({run.config.get("seed") for run in self.runs})
        of = f"{len(values)} {'seeds' if seeds == len(values) else 'runs'}"
        return Estimate(float(values.mean()), sd=float(values.std(ddof=1)), of=of)


@dataclass(frozen=True)
class PaperTable:
    """A score by architecture and optimizer, as in the paper's tables 6.1 and 6.2."""

    title: str
    optimizers: tuple[str, ...]
    rows: tuple[tuple[str, tuple[Estimate | None, ...]], ...]
    best: float | None  # the highest value if there are several


@dataclass(frozen=True)
class Comparison:
    """Entries with the same data, split and subset, whose scores can be compared."""

    subset: str
    entries: tuple[Entry, ...]

    @cached_property
    def runs(self) -> tuple[Run, ...]:
        """All runs, in the order of the entries."""
        return tuple(run for entry in self.entries for run in entry.runs)

    @property
    def title(self) -> str:
        """Data, split and subset."""
        corrected = ", labels corrected" if self.runs[0].environment.get("corrections") else ""
        if all(run.evaluation for run in self.runs):
            used = {word: [run.name for run in self.runs if training_use(run).startswith(word)] for word in _USED}
            word = next((word for word in _USED if used[word]), "")
            usage = f"{word} used for training ({', '.join(used[word])})" if word else "not used to train any run"
            return f"{data_name(self.runs[0])}, {usage}{corrected}"
        split = self.runs[0].config.get("split", "?")
        return f"{data_name(self.runs[0])}, split {split}, {self.subset} subset{corrected}"

    @property
    def simulated(self) -> bool:
        """Whether the data are simulated."""
        return any(bool(run.data.get("simulated")) for run in self.runs)

    @property
    def heads(self) -> tuple[Head, ...]:
        """The heads that any run was scored on."""
        return tuple({head.name: head for run in self.runs for head in run.heads if head.name in run.shown}.values())

    def facts(self) -> dict[str, str]:
        """Data, split and basis of the scores, by name."""
        run, windows = (
            self.runs[0],
            [max((head["windows"] for head in run.shown.values()), default=0) for run in self.runs],
        )
        unit = next((head["unit"] for head in run.shown.values()), "window")
        low, high = min(windows), max(windows)
        size = [f"{run.data[key]:,} {key}" for key in ("sequences", "frames") if isinstance(run.data.get(key), int)]
        facts = {
            "Data": f"{data_name(run)}{', simulated actors' if self.simulated else ''}{_fingerprint(run)}",
            "Corrections": f"{in_words(changes)}; not compared with runs without them"
            if (changes := run.environment.get("corrections"))
            else "",
            **{f"{one.name} starts": initial(one) for one in self.runs},
            "Size": ", ".join(size),
            "Layout": str(run.data.get("layout", "")),
            "Split": split_name(run),
            "Sequences": subset_sizes(run),
            "Scored": f"{low:,} to {high:,} {unit}s" if low != high else count(low, unit),
            "Intervals": "; ".join(
                dict.fromkeys(interval_basis(self.scored(head)[0].shown[head.name]) for head in self.heads)
            ),
        }
        return {name: fact for name, fact in facts.items() if fact}

    def comparability(self, head: Head) -> str:
        """Whether the runs with a head were scored on the same windows, as text; empty for one run."""
        tables = [labeled_rows(run, head) for run in self.scored(head)]
        if len(tables) < 2:
            return ""
        folds = ""
        if len({_digest(table, ["fold", "sequence"]) for table in tables}) > 1:
            folds = ", but divided into different folds"
        if len({_digest(table, ["sequence", "frame"]) for table in tables}) == 1:
            return f"All runs are scored on the same windows{folds}."
        if len({_digest(table, ["sequence"]) for table in tables}) == 1:
            return f"All runs are scored on the same sequences, but not on the same windows of them{folds}."
        return "The runs are scored on different sequences, so part of the difference between them is due to the split."

    def transductive(self, head: Head) -> str:
        """A note on runs with a head that use unlabeled clips of test subjects; empty without such runs."""
        runs = self.scored(head)
        found = [run for run in runs if _calibrated(run)]
        if not found:
            return ""
        one = len(found) == 1
        who = f"{' and '.join(run.name for run in found)} {'is' if one else 'are'} calibrated to the person"
        knows = f"{'it has' if one else 'they have'} seen unlabeled clips of the test subjects (transductive)"
        return f"{who}: {knows}{'' if len(found) == len(runs) else ', unlike the other runs'}."

    def scored(self, head: Head) -> list[Run]:
        """The runs that were scored on a head."""
        return [run for run in self.runs if head.name in run.shown]

    @property
    def caution(self) -> str:
        """A warning about scores without a test subset; otherwise empty."""
        if self.subset == "test":
            return ""
        return "There is no test subset. Checkpoints were selected by these scores, so the scores are optimistic."

    def best_f1(self, head: Head, name: str) -> float | None:
        """The highest F1 of a class, if there are several runs and it is not 0."""
        found = [run.shown.get(head.name, {}).get("per_class", {}).get(name, {}).get("f1") for run in self.runs]
        known = [value for value in found if value is not None]
        return max(known) or None if len(known) > 1 else None

    def labeled(self, head: Head) -> tuple[tuple[str, Entry], ...]:
        """The entries with a head and a label: the architecture and the settings that distinguish it from others."""
        entries = [entry for entry in self.entries if any(head.name in run.shown for run in entry.runs)]
        keys = _distinguishing_settings(entries)
        found: list[tuple[str, Entry]] = []
        for entry in entries:
            label = _label(entry, keys[entry.arch])
            if any(label == other and entry.optimizer == rival.optimizer for other, rival in found):
                label = f"{label} · {entry.runs[0].name}"
            found.append((label, entry))
        return tuple(found)

    def paper_table(self, head: Head) -> PaperTable:
        """The head's main metric by architecture and optimizer."""
        figure = main_metric(head)
        entries = self.labeled(head)
        known = list(OPTIMIZERS.values())
        names = {entry.optimizer for _, entry in entries}
        optimizers = [name for name in known if name in names] + sorted(names - set(known))
        rows: dict[str, dict[str, Estimate | None]] = {}
        for label, entry in entries:
            rows.setdefault(label, {})[entry.optimizer] = entry.estimate(head.name, figure)
        values = [estimate.value for row in rows.values() for estimate in row.values() if estimate]
        return PaperTable(
            title=titles(head)[figure],
            optimizers=tuple(optimizers),
            rows=tuple((label, tuple(row.get(name) for name in optimizers)) for label, row in rows.items()),
            best=max(values) if len(values) > 1 else None,
        )

    def most_frequent(self, head: Head) -> tuple[str, dict[str, float]] | None:
        """The most frequent class of the shown subset, and the scores of always predicting it."""
        run = next(iter(self.scored(head)), None)
        if run is None or head.kind != "classes":
            return None
        support = np.array(run.shown[head.name]["confusion"]).sum(1)
        always = np.zeros((len(support), len(support)))
        always[:, support.argmax()] = support
        figures = {name: METRICS[name].function for name in metrics_of(head) if METRICS[name].facts.form == "confusion"}
        return head.outputs[int(support.argmax())], {name: float(figure(always)) for name, figure in figures.items()}


def compare(runs: Sequence[Run]) -> tuple[Comparison, ...]:
    """Group runs into comparisons, and the runs of a comparison into entries, in order of first occurrence."""
    comparisons: dict[str, list[Run]] = {}
    for run in runs:
        shared = (_data_identity(run), run.config.get("split"), run.config.get("given_validation"), run.subset)
        comparisons.setdefault(_key((*shared, bool(run.data.get("simulated")))), []).append(run)
    return tuple(Comparison(members[0].subset, _entries(members)) for members in comparisons.values())


def estimate_of(run: Run, head: str, figure: str) -> Estimate | None:
    """A score of a run's shown subset, or None."""
    return estimate_in(run.shown.get(head, {}), figure)


def estimate_in(scored: Mapping[str, Any], figure: str) -> Estimate | None:
    """A score of a head, or None."""
    found = scored.get(figure)
    if not isinstance(found, Mapping) or found.get("value") is None:
        return None
    if mean := scored.get("seed_mean", {}).get(figure):
        if mean["mean"] is None:
            return None
        return Estimate(mean["mean"], sd=mean["sd"], of=f"{len(scored['seeds'])} seeds", together=found["value"])
    fold = scored.get("fold_mean", {}).get(figure) or {}
    folds = (fold["mean"], fold["sd"]) if fold.get("mean") is not None and fold.get("sd") is not None else None
    return Estimate(found["value"], found.get("low"), found.get("high"), folds=folds)


def differing_settings(runs: Sequence[Run]) -> dict[str, tuple[str, ...]]:
    """Settings that differ between runs, with the value in each."""
    settings = [settings_of(run) for run in runs]
    keys = dict.fromkeys(key for found in settings for key in found)
    values = {key: tuple(setting_text(found.get(key)) for found in settings) for key in keys}
    return {key: texts for key, texts in values.items() if len(set(texts)) > 1}


def shared_settings(runs: Sequence[Run]) -> dict[str, str]:
    """Settings that all runs share."""
    differing = differing_settings(runs)
    return {key: setting_text(value) for key, value in settings_of(runs[0]).items() if key not in differing}


def _entries(runs: Sequence[Run]) -> tuple[Entry, ...]:
    found: dict[str, list[Run]] = {}
    for run in runs:
        same = {key: value for key, value in run.config.items() if key not in _INCIDENTAL}
        found.setdefault(_key([same, run.members]), []).append(run)
    return tuple(Entry(tuple(members)) for members in found.values())


def _distinguishing_settings(entries: Sequence[Entry]) -> dict[str, list[str]]:
    """By architecture, the settings that differ between entries with the same optimizer."""
    found: dict[str, dict[str, None]] = {}
    for place in dict.fromkeys((entry.arch, entry.optimizer) for entry in entries):
        rivals = [entry.runs[0] for entry in entries if (entry.arch, entry.optimizer) == place]
        keys = [key for key in differing_settings(rivals) if key not in _INCIDENTAL]
        found.setdefault(place[0], {}).update(dict.fromkeys(keys))
    return {arch: list(keys) for arch, keys in found.items()}


def _label(entry: Entry, keys: Sequence[str]) -> str:
    if entry.runs[0].members:
        return f"{entry.arch} of {len(entry.runs[0].members)}"
    settings = settings_of(entry.runs[0])
    texts = [_setting_label(entry.runs[0], key, settings.get(key)) for key in keys]
    return " · ".join([entry.arch, *texts])


def _setting_label(run: Run, key: str, value: Any) -> str:
    """A setting in a label, with its name unless it is parts or heads."""
    if key == "parts":
        return parts_of(run)
    if key == "head":
        return " + ".join(str(value).split(","))
    return f"{key.removeprefix('model.')} {setting_text(value)}"


def initial(run: Run) -> str:
    """The origin of a run's initial weights; empty for random ones."""
    found = run.environment.get("init", {})
    overlap = f"; the scores are optimistic: {found['overlap']}" if found.get("overlap") else ""
    return f"{found['text']}{overlap}" if found else ""


def _calibrated(run: Run) -> bool:
    """Whether a run used all clips of a person (calibrate: track) in any fold."""
    kinds = {run.config.get("calibrate"), *(fold.get("calibrate") for fold in run.choices.get("folds", []))}
    return "track" in kinds


def _fingerprint(run: Run) -> str:
    found = run.environment.get("cache_hash")
    return f", content {found[:8]}" if isinstance(found, str) and found else ""


def _data_identity(run: Run) -> Any:
    data = run.environment.get("cache_hash") or run.data.get("caches") or run.config.get("data")
    return [data, run.environment.get("corrections", {}).get("sha256")]


def _key(values: Any) -> str:
    return json.dumps(values, default=str, sort_keys=True)


def labeled_rows(run: Run, head: Head) -> pd.DataFrame:
    """The labeled windows of the shown subset."""
    return run.windows[head.labeled(truth_of(run.windows, head))]


def _digest(table: pd.DataFrame, columns: list[str]) -> int:
    """A hash that is independent of the order of rows."""
    rows = table[columns].drop_duplicates().astype({"sequence": object})
    return int(pd.util.hash_pandas_object(rows, index=False).to_numpy(np.uint64).sum())
