"""Runs side by side: which can be compared, which are one experiment under several seeds, what differs between them."""

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
    data_name,
    interval_basis,
    missing_interval,
    parts_of,
    setting_text,
    settings_of,
    smallest_and_largest,
    split_name,
    subset_sizes,
)
from skelemo.runs.folder import Run
from skelemo.runs.predictions import truth_of
from skelemo.targets import Head
from skelemo.text import count

NO_OPTIMIZER = "no optimizer"

_OPTIMIZERS = {"sgd": "SGD", "adam": "Adam", "adamw": "AdamW", "adamax": "Adamax"}

#: Settings that do not make another experiment of a run.
_INCIDENTAL = ("seed", "split_seed", "device", "devices", "nodes", "memory", "compile", "by", "mistakes")


@dataclass(frozen=True)
class Estimate:
    """A figure with its 95 % interval; of several runs their mean, with the standard deviation in its place.

    ``of`` is how many runs, or why there is no interval; ``together`` the figure of the mean of their predictions;
    ``folds`` mean and standard deviation of the figures of single folds.
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
        """The interval or the standard deviation, in words; empty where there is none."""
        if self.sd is not None:
            return f"± {self.sd:.3f}, {self.of}"
        return f"{self.low:.3f} to {self.high:.3f}" if self.low is not None and self.high is not None else self.of

    @property
    def further(self) -> str:
        """What else is known: the figure of the mean prediction, mean and deviation over folds."""
        together = "" if self.together is None else f"together {self.together:.3f}"
        return together or (f"folds {self.folds[0]:.3f} ± {self.folds[1]:.3f}" if self.folds else "")


@dataclass(frozen=True)
class Entry:
    """One experiment: runs that differ in nothing but the seed."""

    runs: tuple[Run, ...]

    @property
    def arch(self) -> str:
        """The architecture."""
        return str(self.runs[0].config.get("arch", "?"))

    @property
    def optimizer(self) -> str:
        """The optimizer as it is written; none where there was none."""
        name = self.runs[0].config.get("optimizer")
        return _OPTIMIZERS.get(str(name), str(name)) if name else NO_OPTIMIZER

    def estimate(self, head: str, figure: str) -> Estimate | None:
        """A figure of the shown subset, or None where a run lacks it."""
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
    """One figure by architecture and optimizer, as in the paper's tables 6.1 and 6.2."""

    title: str
    optimizers: tuple[str, ...]
    rows: tuple[tuple[str, tuple[Estimate | None, ...]], ...]
    best: float | None  # the highest value where there is more than one


@dataclass(frozen=True)
class Ground:
    """What figures must share to be compared: data, split and subset; and the entries that do."""

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
            return f"{data_name(self.runs[0])}, not used to train any run{corrected}"
        split = self.runs[0].config.get("split", "?")
        return f"{data_name(self.runs[0])}, split {split}, {self.subset} subset{corrected}"

    @property
    def simulated(self) -> bool:
        """Whether the data are of simulated actors."""
        return any(bool(run.data.get("simulated")) for run in self.runs)

    @property
    def heads(self) -> tuple[Head, ...]:
        """The heads that any run was scored on."""
        return tuple({head.name: head for run in self.runs for head in run.heads if head.name in run.shown}.values())

    def facts(self) -> dict[str, str]:
        """What the figures were reached on, by name."""
        run, (low, high) = self.runs[0], smallest_and_largest(_windows(run) for run in self.runs)
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
            "Scored": f"{low:,} to {high:,} windows" if low != high else count(low, "window"),
            "Intervals": "; ".join(
                dict.fromkeys(interval_basis(self.scored(head)[0].shown[head.name]) for head in self.heads)
            ),
        }
        return {name: fact for name, fact in facts.items() if fact}

    def comparability(self, head: Head) -> str:
        """How far the runs with a head were scored on the same windows; empty where there is one run."""
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
        """Which runs with a head know unlabeled clips of the people they are tested on; empty where none does."""
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
        """What to keep in mind without a test subset; else empty."""
        if self.subset == "test":
            return ""
        return "There is no test subset. Checkpoints were selected by these scores, so the scores are optimistic."

    def best_f1(self, head: Head, name: str) -> float | None:
        """The highest F1 that a run reaches for a class, where there is more than one and it is not 0."""
        found = [run.shown.get(head.name, {}).get("per_class", {}).get(name, {}).get("f1") for run in self.runs]
        known = [value for value in found if value is not None]
        return max(known) or None if len(known) > 1 else None

    def labeled(self, head: Head) -> tuple[tuple[str, Entry], ...]:
        """The entries with a head, each with a label: its architecture, and what tells it from others like it."""
        entries = [entry for entry in self.entries if any(head.name in run.shown for run in entry.runs)]
        keys = _telling_settings(entries)
        found: list[tuple[str, Entry]] = []
        for entry in entries:
            label = _label(entry, keys[entry.arch])
            if any(label == other and entry.optimizer == rival.optimizer for other, rival in found):
                label = f"{label} · {entry.runs[0].name}"
            found.append((label, entry))
        return tuple(found)

    def paper_table(self, head: Head) -> PaperTable:
        """The head's deciding figure by architecture and optimizer."""
        figure = main_metric(head)
        entries = self.labeled(head)
        known = list(_OPTIMIZERS.values())
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
        """The class that occurs most in the shown subset, and the figures of always predicting it."""
        run = next(iter(self.scored(head)), None)
        if run is None or head.kind != "classes":
            return None
        support = np.array(run.shown[head.name]["confusion"]).sum(1)
        always = np.zeros((len(support), len(support)))
        always[:, support.argmax()] = support
        figures = {name: METRICS[name].function for name in metrics_of(head) if METRICS[name].facts.form == "confusion"}
        return head.outputs[int(support.argmax())], {name: float(figure(always)) for name, figure in figures.items()}


def compare(runs: Sequence[Run]) -> tuple[Ground, ...]:
    """Sort runs into grounds, and the runs of a ground into entries, each in the order in which it first comes."""
    grounds: dict[str, list[Run]] = {}
    for run in runs:
        shared = (_data_identity(run), run.config.get("split"), run.config.get("given_validation"), run.subset)
        grounds.setdefault(_key((*shared, bool(run.data.get("simulated")))), []).append(run)
    return tuple(Ground(members[0].subset, _entries(members)) for members in grounds.values())


def estimate_of(run: Run, head: str, figure: str) -> Estimate | None:
    """A figure of a run's shown subset, or None where it does not exist."""
    return estimate_in(run.shown.get(head, {}), figure)


def estimate_in(scored: Mapping[str, Any], figure: str) -> Estimate | None:
    """A figure of a head's scores, or None where it does not exist."""
    found = scored.get(figure)
    if not isinstance(found, Mapping) or found.get("value") is None:
        return None
    if mean := scored.get("seed_mean", {}).get(figure):
        if mean["mean"] is None:
            return None
        return Estimate(mean["mean"], sd=mean["sd"], of=f"{len(scored['seeds'])} seeds", together=found["value"])
    fold = scored.get("fold_mean", {}).get(figure) or {}
    folds = (fold["mean"], fold["sd"]) if fold.get("mean") is not None and fold.get("sd") is not None else None
    return Estimate(found["value"], found.get("low"), found.get("high"), of=missing_interval(scored), folds=folds)


def differing_settings(runs: Sequence[Run]) -> dict[str, tuple[str, ...]]:
    """Settings in which the runs differ: the value in each."""
    settings = [settings_of(run) for run in runs]
    keys = dict.fromkeys(key for found in settings for key in found)
    values = {key: tuple(setting_text(found.get(key)) for found in settings) for key in keys}
    return {key: texts for key, texts in values.items() if len(set(texts)) > 1}


def shared_settings(runs: Sequence[Run]) -> dict[str, str]:
    """Settings that all runs share."""
    differing = differing_settings(runs)
    return {key: setting_text(value) for key, value in settings_of(runs[0]).items() if key not in differing}


def _entries(runs: Sequence[Run]) -> tuple[Entry, ...]:
    """Runs that differ in nothing but the seed are one entry."""
    found: dict[str, list[Run]] = {}
    for run in runs:
        same = {key: value for key, value in run.config.items() if key not in _INCIDENTAL}
        found.setdefault(_key([same, run.members]), []).append(run)
    return tuple(Entry(tuple(members)) for members in found.values())


def _telling_settings(entries: Sequence[Entry]) -> dict[str, list[str]]:
    """By architecture, the settings that tell entries of one optimizer apart."""
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
    texts = [_told(entry.runs[0], key, settings.get(key)) for key in keys]
    return " · ".join([entry.arch, *texts])


def _told(run: Run, key: str, value: Any) -> str:
    """A setting in a label; parts and heads tell what they are."""
    if key == "parts":
        return parts_of(run)
    if key == "head":
        return " + ".join(str(value).split(","))
    return f"{key.removeprefix('model.')} {setting_text(value)}"


def initial(run: Run) -> str:
    """What a run started from; empty where it was nothing."""
    found = run.environment.get("init", {})
    flatters = f"; the scores flatter: {found['overlap']}" if found.get("overlap") else ""
    return f"{found['text']}{flatters}" if found else ""


def _calibrated(run: Run) -> bool:
    """Whether all that is known of a person was used, in any fold."""
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


def _windows(run: Run) -> int:
    return max((head.get("windows", 0) for head in run.shown.values()), default=0)


def labeled_rows(run: Run, head: Head) -> pd.DataFrame:
    """The windows of the shown subset that a head is scored on."""
    truth = truth_of(run.windows, head)
    return run.windows[truth >= 0 if truth.ndim == 1 else ~np.isnan(truth).all(1)]


def _digest(table: pd.DataFrame, columns: list[str]) -> int:
    """The same for the same rows, in whatever order."""
    rows = table[columns].drop_duplicates().astype({"sequence": object})
    return int(pd.util.hash_pandas_object(rows, index=False).to_numpy(np.uint64).sum())
