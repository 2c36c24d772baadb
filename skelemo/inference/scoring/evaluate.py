"""Evaluation of runs on other data, into a folder with the format of a run's, which reports compare."""

import time
from collections.abc import Callable, Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import torch
import yaml

from skelemo.atomic import LOCK, PARTIAL, claimed, finished
from skelemo.cache.corrections import Corrections, in_words, read_corrections
from skelemo.cache.store import Cache, open_cache
from skelemo.data.corpus import Corpus
from skelemo.data.corrected import correct
from skelemo.data.mistakes import find_mistakes
from skelemo.data.windows import Targets, find_targets, labeled_as_clips, window_columns
from skelemo.errors import ConfigError, InputError
from skelemo.evaluation.scores import Scores, score
from skelemo.inference.base import StrPath, paths_of
from skelemo.inference.environment import choose_device, environment
from skelemo.inference.predictor import Model, load, model_folders
from skelemo.inference.scoring.grouping import groups_by, score_by
from skelemo.inference.scoring.joining import Join, join_heads, notes_on
from skelemo.inference.scoring.notes import collapse_notes, overlap_notes, preparation_notes, range_notes
from skelemo.inference.sources import require_parts
from skelemo.runs.folder import read_json, read_settings, shared, write_json
from skelemo.runs.mistakes import USUAL, write_mistakes
from skelemo.runs.predictions import prediction_table, write_predictions
from skelemo.targets import Head
from skelemo.text import natural_order

#: The split of an evaluation's folder: all sequences are in the test subset.
EVALUATION = "evaluation"


def evaluate(
    runs: StrPath | Iterable[StrPath],
    cache: StrPath,
    out: StrPath,
    *,
    map: Mapping[str, str] | None = None,
    by: str | Iterable[str] = (),
    table: StrPath | None = None,
    corrections: StrPath | None = None,
    allow_overlap: bool = False,
    mistakes: int | None = None,
    device: str = "auto",
    allow: Collection[str] = (),
    report: Callable[[int, int], None] = lambda done, of: None,
) -> Scores:
    """Score a run, or an ensemble of several, on an unseen cache; return the scores, like `skelemo.train`.

    Parameters
    ----------
    runs : the path of a run folder, or several.
    out : a folder like a run's, for ``skelemo report``; must not exist yet. Its ``environment.json`` has notes on the
        scores.
    map : mapping from classes, values, flags or heads of the cache to the run's, such as
        ``{"joy": "happiness"}``; empty for none.
    by : columns to break the scores down by, such as ``"sex"``; each head's scores get a list ``by``.
    table : a table with columns ``video`` and these, if the cache does not have them.
    corrections : correction table for the cache's labels, as written by ``skelemo view``.
    allow_overlap : also score sequences and subjects that a run was trained on.
    mistakes : clips of the worst predictions kept per head, with keypoints, for reports; by default as many as the run
        keeps (the fewest of several).
    allow : architectures ``package.module:function`` that may be imported.

    Raises
    ------
    ConfigError, InputError, CacheError
        A run, the data or an option cannot be used, or the run was trained on these data.
    """
    changes = read_corrections(Path(corrections)) if corrections else None
    runs, out, columns = paths_of(runs), Path(out), [by] if isinstance(by, str) else by
    with claimed(out):
        _require_empty(out)
        where, started = choose_device(device), time.monotonic()
        model, data = load(runs, allow=allow), open_cache(cache)
        scored = _read(model, data, map or {}, changes, where)
        corpus, targets, heads = scored.corpus, scored.targets, scored.corpus.heads
        notes = overlap_notes(runs, corpus, targets, data, allow_overlap=allow_overlap)
        whole = model.members[0].window.sampling == "clip" or len(scored.clips) == len(heads)
        more = Path(table) if table else None
        groups = {
            column: groups_by(column, data, scored.corpora[0], targets.row, more, clips=whole) for column in columns
        }
        outputs, _ = model.outputs(scored.corpora, targets.row, where, report)
        windows = window_columns(corpus, targets, fold=1, subset="test")
        predictions = prediction_table(windows, heads, targets.labels, outputs)
        scores = score(predictions, heads, clips=scored.clips)
        notes += scored.add_joined(scores)
        if scored.corrections:
            notes.append(f"labels as corrected, with {in_words(scored.corrections['corrections'])}")
        for column, values in groups.items():
            notes += score_by(scores, predictions, heads, scored.clips, column, values)
        notes += preparation_notes(data, model, corpus) + collapse_notes(runs, model, heads, scores)
        facts = environment(data, heads, where) | scored.corrections
        facts["evaluation"] = _facts(runs, notes, time.monotonic() - started)
        _write(out, _config(runs, cache, heads), facts, predictions, heads)
        most = min(_mistakes_kept(run) for run in runs) if mistakes is None else mistakes
        write_mistakes(out, find_mistakes(corpus, predictions, heads, most))
        write_json(out / "scores.json", scores)
    return scores


@dataclass(frozen=True, eq=False)
class _Data:
    """The data to score.

    Parameters
    ----------
    corpora : the cache as loaded for each member, with its own labels, corrected if requested.
    corpus : the first of them with the run's heads and labels.
    targets : all labeled windows.
    joins : joins of heads that have labels.
    clips : names of heads that label whole clips.
    unscored : names of the heads of ``run`` and ``data`` without a counterpart.
    corrections : entry of ``environment.json`` on corrections, if any.
    """

    corpora: list[Corpus]
    corpus: Corpus
    targets: Targets
    joins: list[Join]
    clips: list[str]
    unscored: dict[str, list[str]]
    corrections: dict[str, Any]

    def add_joined(self, scores: Scores) -> list[str]:
        """Add to the scores how heads were joined; returns notes on it."""
        notes = []
        for join in self.joins:
            joined = join.to_json(self.corpora[0].labels[join.theirs.name].cpu().numpy())
            joined |= {"unscored_heads": self.unscored}
            scores["test"][join.ours.name]["joined"] = joined
            notes += notes_on(join.ours.name, join.ours.kind, joined) + range_notes(join)
        if self.unscored["run"]:
            notes.append(f"not scored, without labels in these data: {', '.join(self.unscored['run'])}")
        if self.unscored["data"]:
            notes.append(f"not scored, not predicted by the run: {', '.join(self.unscored['data'])}")
        return notes


def _read(
    model: Model, cache: Cache, names: Mapping[str, str], changes: Corrections | None, where: torch.device
) -> _Data:
    require_parts(cache, model.layout)
    joins = join_heads(cache.heads, model.all_heads, names, cache.name)
    corpora = [*model.load(cache, where)]
    corrections: dict[str, Any] = {}
    if changes:
        corpora[0], corrections["corrections"] = correct(corpora[0], cache, changes)
    corpus, joins, clips = _joined(corpora[0], joins, cache.name)
    ours, theirs = {join.ours.name for join in joins}, {join.theirs.name for join in joins}
    unscored = {
        "run": [head.name for head in model.all_heads if head.name not in ours],
        "data": [head.name for head in cache.heads if head.name not in theirs],
    }
    names_of, everything = tuple(head.name for head in corpus.heads), np.arange(len(corpus.sequences))
    targets = find_targets(corpus, everything, model.members[0].window, names_of, seen_only=False)
    return _Data(corpora, corpus, targets, joins, clips, unscored, corrections)


def _mistakes_kept(run: Path) -> int:
    """Number of clips per head that a run keeps of its mistakes; 0 if its settings forbid keypoints in the folder."""
    file = run / "config.yaml"
    kept = read_settings(file).get("mistakes", USUAL) if file.is_file() else USUAL
    if not isinstance(kept, int):
        raise InputError(f"{file}: mistakes is {kept!r}; expected a whole number")
    return kept


def _require_empty(out: Path) -> None:
    """Raise `ConfigError` unless the folder is empty or left over from an interrupted evaluation."""
    found = [path for path in out.iterdir() if path.name != LOCK and not path.name.startswith(PARTIAL)]
    interrupted = (out / "environment.json").is_file() and not (out / "scores.json").exists()
    if found and not (interrupted and read_json(out / "environment.json").get("evaluation")):
        raise ConfigError(f"{out} exists: choose another --out")


def _joined(corpus: Corpus, joins: list[Join], where: str) -> tuple[Corpus, list[Join], list[str]]:
    """The corpus with its labels as the run's heads, the joins with labels, and the heads that label whole clips."""
    labels, heads, clips, kept = {}, [], [], []
    for join in joins:
        theirs = corpus.labels[join.theirs.name].cpu().numpy()
        mine = join.labels(theirs)
        if not join.ours.labeled(mine).any():
            continue
        kept.append(join)
        heads.append(join.ours)
        labels[join.ours.name] = torch.from_numpy(mine).to(corpus.device)
        if labeled_as_clips(corpus, join.theirs):
            clips.append(join.ours.name)
    if not heads:
        named = ", ".join(join.ours.name for join in joins)
        raise ConfigError(f"{where}: no frame has a label of {named} to score the run on")
    return replace(corpus, heads=tuple(heads), labels=labels), kept, clips


def _facts(runs: Sequence[Path], notes: Sequence[str], seconds: float) -> dict[str, Any]:
    """Entry of ``environment.json`` on the evaluated runs."""
    named = []
    for run in runs:
        models = [read_json(folder / "model.json") for folder in model_folders(run)]
        known = read_json(run / "environment.json") if (run / "environment.json").is_file() else {}
        caches = known.get("data", {}).get("caches", [])
        named.append(
            {
                "name": run.resolve().name,
                "arch": models[0]["arch"],
                "data": [one if isinstance(one, str) else str(one.get("name", "?")) for one in caches],
                "weights_sha256": [model["weights_sha256"] for model in models],
            }
        )
    return {"runs": named, "notes": list(notes), "seconds": round(seconds, 1)}


def _config(runs: Sequence[Path], cache: StrPath, heads: Sequence[Head]) -> dict[str, Any]:
    """Settings of the run, or those shared by several runs."""
    found = []
    for run in runs:
        if (run / "config.yaml").is_file():
            found.append(read_settings(run / "config.yaml"))
        else:
            model = read_json(model_folders(run)[0] / "model.json")
            found.append({"arch": model["arch"], "model": model["settings"], **model["window"]})
    config = shared(found) | ({"arch": "ensemble"} if len(runs) > 1 else {})
    return config | {"data": [str(cache)], "split": EVALUATION, "head": ",".join(head.name for head in heads)}


def _write(
    out: Path, config: Mapping[str, Any], facts: Mapping[str, Any], predictions: pd.DataFrame, heads: Sequence[Head]
) -> None:
    """Write everything but the scores, which come last."""
    tested = sorted(predictions["sequence"].unique(), key=natural_order)
    grouped = "subject" if (predictions["subject"] != "").any() else "video"
    folds = [{"train": [], "validation": [], "test": tested}]
    write_json(out / "environment.json", facts)
    write_json(out / "splits.json", {"split": EVALUATION, "grouped_by": grouped, "folds": folds})
    write_predictions(out / "predictions.parquet", predictions, heads)
    with finished(out / "config.yaml") as partial:
        partial.write_text(yaml.safe_dump(dict(config), sort_keys=False, allow_unicode=True), encoding="utf-8")
