"""Run folders, read for reports and predictions.

A run folder contains ``config.yaml`` (all settings, resolved), ``splits.json`` (sequences by subset), ``choices.json``
(how parts and calibration were chosen, if they were), ``environment.json`` (versions, device, commit, data, heads),
``metrics.csv`` (metrics by epoch; with several folds in ``fold_1/`` …), ``predictions.parquet`` (one row per window),
``mistakes.safetensors`` (clips of the worst predictions) and ``scores.json``, which is written last: a folder with it
is complete.
"""

import json
import math
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from functools import cached_property
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

from skelemo.atomic import LOCK, finished
from skelemo.errors import ConfigError, InputError, damaged
from skelemo.runs.predictions import SUBSETS, read_predictions, truth_of
from skelemo.runs.schemas import schema_error
from skelemo.runs.yaml_settings import read_yaml
from skelemo.targets import Head
from skelemo.text import count, duration, html_table

#: Why a pretraining run is refused.
NO_HEAD = "it has no heads to predict; start a training from it with skelemo train --init RUN"

#: File on the choice of parts and calibration, if they were chosen.
CHOICES = "choices.json"

#: Most metrics per head in `scores_html`; the report has all.
_MOST_FIGURES = 3

#: Folder of a fold or a seed in a run.
TRAINING_FOLDER = re.compile(r"(fold|seed)_([0-9]{1,10})")


class UnfinishedError(InputError):
    """The training of a run has not finished."""


@dataclass(frozen=True, eq=False, repr=False)
class Run:
    """The content of a finished run's folder."""

    path: Path
    config: Mapping[str, Any]
    environment: Mapping[str, Any]
    splits: Mapping[str, Any]
    metrics: pd.DataFrame  # one row per fold and epoch, sorted; empty for baselines
    predictions: pd.DataFrame
    scores: Mapping[str, Mapping[str, Mapping[str, Any]]]
    name: str = ""
    choices: Mapping[str, Any] = field(default_factory=dict)  # by fold; empty if nothing was chosen
    members: tuple[str, ...] = ()  # names of the runs of an ensemble

    def __repr__(self) -> str:
        figures = [
            f"{head} {name} {figure['value']:.3f}"
            for head, scored in self.shown.items()
            for name, figure in list(metrics_in(scored).items())[:1]
            if figure["value"] is not None
        ]
        arch = self.config.get("arch", "fused")
        return f"<run {self.name}: {arch}, {self.subset} {', '.join(figures) or 'without scores'}>"

    def _repr_html_(self) -> str:
        caches = ", ".join(map(str, self.data.get("caches") or self.config.get("data") or ()))
        parameters, seconds = self.environment.get("parameters"), self.environment.get("seconds")
        facts = {
            "architecture": str(self.config.get("arch", "fused")),
            "data": caches + ", simulated" * bool(self.data.get("simulated")),
            "split": str(self.config.get("split", "")),
            "parameters": f"{parameters:,}" if isinstance(parameters, int) else "",
            "trained in": "" if seconds is None else duration(seconds),
        }
        rows = [(name, fact) for name, fact in facts.items() if fact]
        return html_table(f"run {self.name}", (), rows) + scores_html(self.scores)

    @cached_property
    def heads(self) -> tuple[Head, ...]:
        """The trained heads."""
        return tuple(Head.from_json(fields) for fields in self.environment.get("heads", ()))

    def head(self, name: str) -> Head:
        """The head called ``name``."""
        return next(head for head in self.heads if head.name == name)

    @property
    def subset(self) -> str:
        """The reported subset: test, or validation without a test subset."""
        return next((subset for subset in reversed(SUBSETS) if self.scores.get(subset)), "test")

    @cached_property
    def windows(self) -> pd.DataFrame:
        """Predictions of the reported subset."""
        return self.predictions[self.predictions["subset"] == self.subset]

    @property
    def shown(self) -> Mapping[str, Mapping[str, Any]]:
        """Scores by head on the reported subset; empty without labels."""
        return self.scores.get(self.subset, {})

    @property
    def data(self) -> Mapping[str, Any]:
        """Description of the data: simulated, sequences, frames, caches."""
        return dict(self.environment.get("data", {}))

    @property
    def evaluation(self) -> Mapping[str, Any]:
        """The runs that this one evaluates on other data; empty for a training."""
        return dict(self.environment.get("evaluation", {}))


def read_run(path: Path) -> Run:
    """Read a finished run folder.

    Raises `UnfinishedError`: its training has not finished; `InputError`: not a run folder, or a damaged file.
    """
    path = Path(path)
    if not path.is_dir():
        raise InputError(f"no run folder at {path}")
    if (path / LOCK).exists() and not (path / "scores.json").is_file():
        raise UnfinishedError(f"{path} is still training")
    if not (path / "config.yaml").is_file():
        raise InputError(f"{path} is not a run folder, it has no config.yaml{_inside(path)}")
    config = read_settings(path / "config.yaml")
    if config.get("pretrain"):
        raise InputError(f"{path} is a pretraining run: {NO_HEAD}")
    for name in ("environment.json", "splits.json", "predictions.parquet", "scores.json"):
        if not (path / name).is_file() and (path / "scores.json").is_file():
            raise InputError(f"{path} has no {name}, although its training has finished: copy the complete run again")
        if not (path / name).is_file():
            raise UnfinishedError(
                f"{path} has no {name}: its training has not finished; continue it with skelemo train --out {path} "
                "--resume"
            )
    environment = read_json(path / "environment.json")
    heads = _heads(path / "environment.json", environment)
    run = Run(
        path=path,
        config=config,
        environment=environment,
        splits=read_json(path / "splits.json"),
        metrics=read_metrics(path),
        predictions=read_predictions(path / "predictions.parquet", heads),
        scores=read_json(path / "scores.json"),
        name=path.resolve().name,
        choices=read_json(path / CHOICES) if (path / CHOICES).is_file() else {},
    )
    _check_scores(run)
    evaluated = run.evaluation.get("runs", ())
    return replace(run, members=tuple(one["name"] for one in evaluated)) if len(evaluated) > 1 else run


def _heads(file: Path, environment: Mapping[str, Any]) -> list[Head]:
    try:
        return [Head.from_json(fields) for fields in environment.get("heads", ())]
    except ConfigError as error:
        raise InputError(f"{file}: {error}") from None


def read_json(path: Path) -> dict[str, Any]:
    """Read a JSON file of a run folder. Raises `InputError`: it is missing, damaged or invalid."""
    try:
        content = json.loads(path.read_bytes())
    except (OSError, ValueError, RecursionError) as error:
        raise damaged(path, error) from error
    if wrong := schema_error(path.name, content):
        raise InputError(f"{path} is not a valid file of a run ({wrong})")
    return dict(content)


def write_json(path: Path, content: Any) -> None:
    """Write JSON atomically. NaN and infinity become null."""
    path.parent.mkdir(parents=True, exist_ok=True)
    with finished(path) as temporary:
        text = json.dumps(_plain(content), indent=1, ensure_ascii=False, allow_nan=False)
        temporary.write_text(text + "\n", encoding="utf-8")


def shared(mappings: Sequence[Mapping[str, Any]]) -> dict[str, Any]:
    """The common entries of all mappings, at any depth."""
    found: dict[str, Any] = {}
    for key, value in mappings[0].items():
        others = [mapping.get(key) for mapping in mappings]
        if all(isinstance(other, Mapping) for other in others):
            found[key] = shared([other for other in others if other is not None])
        elif all(other == value for other in others):
            found[key] = value
    return found


def throughput_together(measured: Sequence[Mapping[str, Any]]) -> dict[str, Any]:
    """Throughput of models that predict the same windows in turn; empty unless all were measured on one device."""
    if not all(measured) or len({one["device"] for one in measured}) != 1:
        return {}
    seconds = sum(1 / one["windows_per_second"] for one in measured)
    return {**measured[0], "windows_per_second": 1 / seconds, "batch": max(one["batch"] for one in measured)}


def _plain(value: Any) -> Any:
    """The nearest JSON equivalent of a value."""
    if isinstance(value, Mapping):
        return {str(key): _plain(item) for key, item in value.items()}
    if isinstance(value, np.ndarray | np.generic):
        return _plain(value.tolist())
    if isinstance(value, list | tuple | set | frozenset):
        return [_plain(item) for item in value]
    if isinstance(value, float):
        return value if math.isfinite(value) else None
    return value if value is None or isinstance(value, str | int) else str(value)


def read_settings(path: Path) -> dict[str, Any]:
    """The settings in a run's ``config.yaml``. Raises `InputError` if it is damaged."""
    try:
        return read_yaml(path)
    except (OSError, ValueError) as error:
        raise damaged(path, error) from error


def _check_scores(run: Run) -> None:
    """Raise `InputError` unless the scores match the heads and predictions."""
    known = {head.name: head for head in run.heads}
    if not run.scores and any(head.labeled(truth_of(run.predictions, head)).any() for head in run.heads):
        raise InputError(f"{run.path / 'scores.json'} is damaged: no scores, although the predictions have labels")
    for name, scored in ((name, scored) for heads in run.scores.values() for name, scored in heads.items()):
        if name not in known:
            raise InputError(f"{run.path}: scores.json has a head {name!r}; expected {', '.join(known) or 'none'}")
        outputs, size = known[name].outputs, len(known[name])
        if known[name].kind != "classes":
            continue
        widths = [len(row) for row in scored.get("confusion", ())]
        if tuple(scored.get("per_class", ())) != outputs or widths != [size] * size:
            raise InputError(f"{run.path}: scores.json has other classes of {name}; expected {', '.join(outputs)}")


def read_metrics(path: Path) -> pd.DataFrame:
    """The metrics of all folds and epochs in one table, NaN if missing."""
    tables = []
    for number, folder in enumerate(training_folders(path), 1):
        file = folder / "metrics.csv"
        fold = folder.name.removeprefix("fold_")
        if not file.is_file():
            continue
        try:
            table = pd.read_csv(file).apply(pd.to_numeric, errors="coerce")
        except pd.errors.EmptyDataError:
            continue
        except (OSError, ValueError) as error:
            raise damaged(file, error) from error
        if "epoch" in table:
            # A logger may write training and validation metrics of an epoch in separate rows.
            place = int(fold) if folder.parent == path and fold.isdecimal() else number
            tables.append(table.groupby("epoch", as_index=False).last().assign(fold=place))
    if not tables:
        return pd.DataFrame(columns=["fold", "epoch"])
    figures: pd.DataFrame = pd.concat(tables, ignore_index=True)
    return figures.sort_values(["fold", "epoch"], ignore_index=True)


def training_folders(path: Path) -> list[Path]:
    """The folders of a run's trainings: the run folder, or those of its folds and seeds in order."""
    inner = [folder for folder in path.glob("*_*") if TRAINING_FOLDER.fullmatch(folder.name) and folder.is_dir()]
    inner.sort(key=lambda folder: int(folder.name[5:]))
    return [deeper for folder in inner for deeper in training_folders(folder)] or [path]


def distinct_names(runs: Sequence[Run]) -> list[str]:
    """The shortest distinct trailing paths of runs."""
    places, names = [run.path.resolve() for run in runs], []
    for place in places:
        depth = 1
        while any(other != place and other.parts[-depth:] == place.parts[-depth:] for other in places):
            depth += 1
        names.append("/".join(place.parts[-depth:]))
    return names


def _inside(path: Path) -> str:
    """A hint if ``path`` contains run folders."""
    runs: Sequence[Path] = sorted(path.glob("*/config.yaml"))
    return f"; it contains {count(len(runs), 'run')}, name those: {runs[0].parent} …" if runs else ""


def metrics_in(scored: Mapping[str, Any]) -> dict[str, Mapping[str, Any]]:
    """The metrics of a head, without its other entries."""
    return {name: value for name, value in scored.items() if isinstance(value, Mapping) and "value" in value}


def group_count(scored: Mapping[str, Any]) -> str:
    """The number of groups of a head's windows, as ``12 subjects``."""
    kind = scored["grouped_by"]
    return count(scored["groups"], kind, kind.replace(" or ", "s or ") + "s")


def scores_html(scores: Mapping[str, Mapping[str, Mapping[str, Any]]]) -> str:
    """An HTML table of the main metrics of each head and subset with intervals."""
    rows = []
    for subset, heads in scores.items():
        for head, scored in heads.items():
            size = f"{count(scored['windows'], scored['unit'])}, {group_count(scored)}"
            for place, (name, one) in enumerate(list(metrics_in(scored).items())[:_MOST_FIGURES]):
                value = "–" if one["value"] is None else f"{one['value']:.3f}"
                first = ("", "", "") if place else (subset, head, size)
                rows.append((*first[:2], name.replace("_", " "), value, _interval(one), first[2]))
    if not rows:
        return html_table("scores: nothing was scored", (), ())
    return html_table("scores", ("subset", "head", "figure", "value", "95 % interval", "of"), rows)


def _interval(figure: Mapping[str, Any]) -> str:
    low, high = figure.get("low"), figure.get("high")
    return f"{low:.3f} to {high:.3f}" if low is not None and high is not None else "n/a"
