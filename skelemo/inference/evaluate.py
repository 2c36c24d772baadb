"""Runs on data that they never saw: a folder like a run's, with predictions and scores, that reports compare."""

import time
from collections.abc import Callable, Collection, Mapping, Sequence
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
from skelemo.inference.cost import cost_of_members
from skelemo.inference.environment import choose_device, environment
from skelemo.inference.evaluation_notes import collapse_notes, overlap_notes, preparation_notes, range_notes
from skelemo.inference.grouping import groups_by, score_by
from skelemo.inference.importance import Budget, Predicting
from skelemo.inference.importance import importance as measure_importance
from skelemo.inference.joining import Join, join_heads, notes_on
from skelemo.inference.predictor import Model, load, model_folders
from skelemo.inference.sources import require_parts
from skelemo.runs.folder import read_json, read_settings, shared, write_json
from skelemo.runs.importance import mean_importance, write_importance
from skelemo.runs.mistakes import USUAL, write_mistakes
from skelemo.runs.predictions import prediction_table, write_predictions
from skelemo.targets import Head
from skelemo.text import natural_order

#: The split of a run folder that evaluates others: nothing was trained, all is tested.
EVALUATION = "evaluation"


@dataclass(frozen=True)
class Evaluation:
    """What an evaluation found.

    Parameters
    ----------
    scores : as a run's, with ``joined`` and, of scores that are split by columns, ``by``.
    notes : what the reader of the scores must know, one line each.
    """

    scores: Scores
    notes: tuple[str, ...]


def evaluate(
    runs: Sequence[Path],
    data: Path,
    out: Path,
    *,
    names: Mapping[str, str] | None = None,
    by: Sequence[str] = (),
    table: Path | None = None,
    corrections: Path | None = None,
    allow_overlap: bool = False,
    mistakes: int | None = None,
    importance: int = 0,
    device: str = "auto",
    allow: Collection[str] = (),
    report: Callable[[int, int], None] = lambda done, of: None,
) -> Evaluation:
    """Score a run, or several as an ensemble, on a cache, and leave a folder like a run's.

    Parameters
    ----------
    runs : run folders, as `skelemo.inference.predictor.load` takes them.
    names : heads and outputs of the cache, each with the run's that it counts as, where their names do not tell.
    by : columns by which the scores are split, see `skelemo.inference.grouping`.
    table : where these columns are, unless the cache has them.
    corrections : table of corrections of the cache's labels, which these are scored with.
    allow_overlap : score sequences and subjects that a run has learned from, too.
    mistakes : clips of the worst answers of each head that are kept, with keypoints, for reports; None for as many as
        the run that keeps fewest.
    importance : windows whose score is taken again with each part, region and keypoint hidden; 0 for none.

    Raises
    ------
    ConfigError
        ``out`` exists or is being written by another process; no head, class or label in common; an overlap; a column
        that does not exist.
    InputError, CacheError
        A run, the cache or a table is damaged, or the cache lacks a part that the model sees; corrections that are not
        of its heads, or of tracks that were not ingested so.
    """
    changes = read_corrections(corrections) if corrections else None
    with claimed(out):
        _require_empty(out)
        where, started = choose_device(device), time.monotonic()
        model, cache = load(runs, allow=allow), open_cache(data)
        known = _read(model, cache, names or {}, changes, where)
        corpus, targets = known.corpus, _targets(known.corpus, model)
        notes = overlap_notes(runs, corpus, targets, cache, allow_overlap=allow_overlap)
        whole = model.members[0].window.sampling == "clip"
        groups = {column: groups_by(column, cache, known.corpora[0], targets.row, table, clips=whole) for column in by}
        outputs, _ = model.outputs(known.corpora, targets.row, where, report)
        places = window_columns(corpus, targets, fold=1, subset="test")
        predictions = prediction_table(places, corpus.heads, targets.labels, outputs)
        scores = score(predictions, corpus.heads, clips=known.clips)
        notes += known.add_joined(scores)
        notes += [f"labels as corrected, with {in_words(known.made['corrections'])}"] if known.made else []
        notes += preparation_notes(cache, model, corpus)
        for column, values in groups.items():
            notes += score_by(scores, predictions, corpus.heads, known.clips, column, values)
        notes += collapse_notes(runs, model, corpus.heads, scores)
        facts = environment(cache, corpus.heads, where) | known.made
        facts |= {
            **cost_of_members(model.members, model.batches(known.corpora, targets.row, where)),
            "evaluation": _facts(runs, notes, time.monotonic() - started),
        }
        _write(out, _config(runs, data, corpus.heads), _split(predictions), facts, predictions, corpus.heads)
        most = min(map(_mistakes_kept, runs)) if mistakes is None else mistakes
        found = _importance(model, known.corpora, corpus.heads, targets, known.clips, where, importance)
        write_importance(out, found)
        write_mistakes(out, find_mistakes(corpus, predictions, corpus.heads, most))
        write_json(out / "scores.json", scores)
    return Evaluation(scores, tuple(notes))


@dataclass(frozen=True, eq=False)
class _Data:
    """What is scored.

    Parameters
    ----------
    corpora : the cache as each member of the model takes it, with labels as they are there, or as corrected.
    corpus : the first of them with the run's heads and labels.
    joins : of heads with labels.
    clips : names of heads that label whole clips.
    ours, theirs : names of the heads of the run, and of the cache, that are not scored.
    made : what ``environment.json`` says of corrections, if there are any.
    """

    corpora: list[Corpus]
    corpus: Corpus
    joins: list[Join]
    clips: list[str]
    ours: list[str]
    theirs: list[str]
    made: dict[str, Any]

    def add_joined(self, scores: Scores) -> list[str]:
        """Add to the scores what counted as what; notes on that."""
        notes = []
        for join in self.joins:
            joined = join.to_json(self.corpora[0].labels[join.theirs.name].cpu().numpy())
            joined |= {"unscored_heads": {"run": self.ours, "data": self.theirs}}
            scores["test"][join.ours.name]["joined"] = joined
            notes += notes_on(join.ours.name, join.ours.kind, joined) + range_notes(join)
        for told, heads in (("the run without labels in these data, not scored", self.ours),
                            ("these data that the run does not predict", self.theirs)):  # fmt: skip
            notes += [f"heads of {told}: {', '.join(heads)}"] if heads else []
        return notes


def _read(
    model: Model, cache: Cache, names: Mapping[str, str], changes: Corrections | None, where: torch.device
) -> _Data:
    require_parts(cache, model.layout)
    joins = join_heads(cache.heads, model.answered, names, cache.name)
    corpora = [*model.load(cache, where)]
    made: dict[str, Any] = {}
    if changes:
        corpora[0], made["corrections"] = correct(corpora[0], cache, changes)
    corpus, joins, clips = _joined(corpora[0], joins, cache.name)
    return _Data(corpora, corpus, joins, clips, *_unscored(joins, model.answered, cache.heads), made)


def _mistakes_kept(run: Path) -> int:
    """How many clips of mistakes a run keeps of each head: 0 where its settings forbid keypoints in its folder."""
    file = run / "config.yaml"
    kept = read_settings(file).get("mistakes", USUAL) if file.is_file() else USUAL
    if not isinstance(kept, int):
        raise InputError(f"{file}: mistakes is {kept!r}; expected a whole number")
    return kept


def _importance(
    model: Model,
    corpora: Sequence[Corpus],
    heads: Sequence[Head],
    targets: Targets,
    clips: Collection[str],
    device: torch.device,
    windows: int,
) -> pd.DataFrame:
    """Which keypoints matter to each member, on average."""
    names, tables = {head.name for head in heads}, []
    for one, corpus in zip(model.members, corpora, strict=True):
        own = tuple(head for head in one.file.heads if head.name in names)
        predicting = Predicting(
            one.network.to(device), own, one.window, device, precision=one.file.precision, flip=one.file.flip_average
        )
        tables.append(measure_importance(predicting, corpus, targets, Budget(windows), clips=clips, subset="test"))
    return mean_importance([[table for table in tables if len(table)]])


def _require_empty(out: Path) -> None:
    """Only what a killed evaluation has left may be there."""
    found = [path for path in out.iterdir() if path.name != LOCK and not path.name.startswith(PARTIAL)]
    begun = (out / "environment.json").is_file() and not (out / "scores.json").exists()
    if found and not (begun and read_json(out / "environment.json").get("evaluation")):
        raise ConfigError(f"{out} exists: choose another --out")


def _joined(corpus: Corpus, joins: list[Join], where: str) -> tuple[Corpus, list[Join], list[str]]:
    """The corpus with the run's heads and the cache's labels in their terms, and which heads label whole clips.

    Heads without a label are left out.
    """
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
        raise ConfigError(f"{where}: no frame has a label for {named} that the run could be scored on")
    return replace(corpus, heads=tuple(heads), labels=labels), kept, clips


def _unscored(joins: Sequence[Join], ours: Sequence[Head], theirs: Sequence[Head]) -> tuple[list[str], list[str]]:
    """Names of the heads of the run, and of those of the data, that are not scored."""
    sides = ({join.ours.name for join in joins}, ours), ({join.theirs.name for join in joins}, theirs)
    run, data = ([head.name for head in heads if head.name not in scored] for scored, heads in sides)
    return run, data


def _targets(corpus: Corpus, model: Model) -> Targets:
    names, everything = tuple(head.name for head in corpus.heads), np.arange(len(corpus.sequences))
    return find_targets(corpus, everything, model.members[0].window, names, seen_only=False)


def _facts(runs: Sequence[Path], notes: Sequence[str], seconds: float) -> dict[str, Any]:
    """What ``environment.json`` says of an evaluation."""
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


def _config(runs: Sequence[Path], data: Path, heads: Sequence[Head]) -> dict[str, Any]:
    """The settings of the run, or those that several share, as far as they are about the model."""
    found = []
    for run in runs:
        if (run / "config.yaml").is_file():
            found.append(read_settings(run / "config.yaml"))
        else:
            model = read_json(model_folders(run)[0] / "model.json")
            found.append({"arch": model["arch"], "model": model["settings"], **model["window"]})
    config = shared(found) | ({"arch": "ensemble"} if len(runs) > 1 else {})
    return config | {"data": [str(data)], "split": EVALUATION, "head": ",".join(head.name for head in heads)}


def _split(predictions: pd.DataFrame) -> dict[str, Any]:
    tested = sorted(predictions["sequence"].unique(), key=natural_order)
    grouped = "subject" if (predictions["subject"] != "").any() else "video"
    return {"split": EVALUATION, "grouped_by": grouped, "folds": [{"train": [], "validation": [], "test": tested}]}


def _write(
    out: Path,
    config: Mapping[str, Any],
    split: Mapping[str, Any],
    facts: Mapping[str, Any],
    predictions: pd.DataFrame,
    heads: Sequence[Head],
) -> None:
    """All but the scores, which are written last, as in a run."""
    write_json(out / "environment.json", facts)
    write_json(out / "splits.json", split)
    write_predictions(out / "predictions.parquet", predictions, heads)
    with finished(out / "config.yaml") as partial:
        partial.write_text(yaml.safe_dump(dict(config), sort_keys=False, allow_unicode=True), encoding="utf-8")
