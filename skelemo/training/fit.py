"""One training, from a configuration to a finished run folder."""

import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import asdict, replace
from functools import partial
from pathlib import Path
from shlex import quote

import numpy as np
import pandas as pd
import torch

from skelemo.atomic import LOCK, claimed, finished, sweep
from skelemo.cache.corrections import Corrections
from skelemo.cache.store import Cache, open_cache
from skelemo.data.corpus import Corpus
from skelemo.data.mistakes import COMPUTED, find_mistakes, rows_of
from skelemo.data.pretext import PRETEXT
from skelemo.data.splits import SUBSETS, Fold, Split
from skelemo.data.windows import labeled_as_clips
from skelemo.errors import ConfigError, InputError
from skelemo.evaluation.circumplex import READING, labeled_emotions, with_reading
from skelemo.evaluation.scores import Scores, score, with_seeds
from skelemo.inference.environment import choose_device, environment
from skelemo.inference.scoring.grouping import groups_by, score_by
from skelemo.runs.folder import CHOICES, read_json, read_metrics, training_folders, write_json
from skelemo.runs.importance import mean_importance, read_importance, write_importance
from skelemo.runs.mistakes import write_mistakes
from skelemo.runs.model_file import FACTS, has_model
from skelemo.runs.predictions import SUBSETS as SCORED_SUBSETS
from skelemo.runs.predictions import mean_predictions, output_table, outputs_of, write_predictions
from skelemo.targets import VA
from skelemo.training.choice import Choice
from skelemo.training.config import Config, load_config
from skelemo.training.fold import measure_throughput, run_fold
from skelemo.training.initial import learned_before, origin
from skelemo.training.job import Job, require_windows
from skelemo.training.processes import join_processes, own_device, rank
from skelemo.training.settling import (
    Jobs,
    corrections_of,
    draw_split,
    read_data,
    require_buildable,
    settle_choices,
    settle_heads,
)

#: Progress callback at the start of each fold and after each epoch: fold, folds, epochs done, most epochs, text.
Report = Callable[[int, int, int, int, str], None]

#: Settings that may change when a run is resumed: paths of the data, and the machine.
MOVABLE = {"data", "corrections", "init", "device", "devices", "nodes", "memory", "compile"}


def train(config: Config, out: Path, *, resume: bool = False, report: Report = lambda *_: None) -> Scores:
    """Train, select the model by validation, score it once, and write a run folder; returns the scores.

    A pretraining returns the validation loss instead.

    Raises `ConfigError`: ``out`` exists without ``resume``, is being written by another process, or the settings do not
    fit the data; `CacheError` or `InputError`: the data, or a file of the resumed run, are unreadable.
    """
    settings = _written(config, out) if resume and (out / "config.yaml").exists() else config
    join_processes(settings)
    with _naming_memory(settings):
        if rank():
            return _train(settings, out, resume, report)
        with claimed(out):
            return _train(_settled(config, out, resume), out, resume, report)


@contextmanager
def _naming_memory(config: Config) -> Iterator[None]:
    """Raise `ConfigError` with the settings to lower if the memory of the machine or device is exhausted."""
    try:
        yield
    except (MemoryError, RuntimeError) as error:
        text = str(error).lower()
        if not isinstance(error, MemoryError | torch.OutOfMemoryError) and not (
            "can't allocate memory" in text or "not enough memory" in text
        ):
            raise
        raise ConfigError(
            f"out of memory: start again with a batch_size below {config.batch_size} (accumulate keeps the batches' "
            f"size), a length below {config.length} or a smaller model; memory=4GB limits the memory for keypoints"
        ) from error


def _train(config: Config, out: Path, resume: bool, report: Report) -> Scores:
    if not config.data:
        raise ConfigError(f"no data: name a cache, e.g. {'' if config.pretrain else '--data '}cache/NAME")
    cache, corrections = open_cache([Path(path) for path in config.data]), corrections_of(config)
    _require_same_data(out, cache, corrections)
    device = own_device(choose_device(config.device), config)
    data = read_data(config, cache, corrections)
    config = settle_heads(config, data.corpus)
    if not config.pretrain:
        _require_columns(config, cache, data.corpus)
    if begun := _is_begun(out):
        split = _read_split(out / "splits.json", data.corpus)
    else:
        config, split = draw_split(config, data)
    if config.is_baseline:
        config = config.model_copy(update={"optimizer": None})
    numbers = range(1, len(split.folds) + 1) if config.init else ()
    seeds = range(config.seed, config.seed + config.seeds)
    origins = [origin(config, number, len(split.folds), seed) for seed in seeds for number in numbers]
    config, choices = settle_choices(config, data.corpus, split, out, origins[: len(split.folds)])
    folds, jobs = list(zip(split.folds, choices, strict=True)), Jobs(config, data.corpus, device)
    for number, (fold, choice) in enumerate(folds, 1):  # calibration does not change the windows
        require_windows(jobs(replace(choice, calibrate="none"), fold), fold, number)
    job, written = jobs(choices[0], split.folds[0]), split.to_json(data.corpus.sequences)
    changes = data.changes
    if config.init:
        job = replace(job, origin=origins[0])
        written["learned_before"], seen = learned_before(config, split.folds, data.corpus.sequences)
        first = job.start(job.create(restored=True))
        changes = changes | {"init": {"text": first.text if first else "", "overlap": seen}}
    facts = environment(cache, job.all_heads, device) | changes | require_buildable(job, begun=begun)
    if not rank():
        _open_folder(out, config, written, facts, choices)
    started = time.monotonic()
    by_seed = _by_seed(config, jobs, folds, out, report)
    if rank():
        return Scores()
    if not begun:  # the time before an interruption is unknown
        facts |= {"seconds": round(time.monotonic() - started, 1)}
    if not config.pretrain:
        facts |= {"throughput": measure_throughput(job, split.folds[0], training_folders(out)[0])}
    write_json(out / "environment.json", facts)
    if config.pretrain:
        write_json(out / "scores.json", {})
        return _reconstruction(out)
    importance = [read_importance(folder) for folder in training_folders(out)]  # by seed, then by fold
    if len(importance) > 1:
        by_fold = [importance[number :: len(folds)] for number in range(len(folds))]
        write_importance(out, mean_importance([[table for table in tables if len(table)] for tables in by_fold]))
    scores = _scores(job, data.corpus, cache, by_seed, out)
    write_json(out / "scores.json", scores)
    return scores


def _by_seed(
    config: Config, jobs: Jobs, folds: Sequence[tuple[Fold, Choice]], out: Path, report: Report
) -> dict[int, pd.DataFrame]:
    """Train every fold with every seed; returns the predictions of all folds by seed."""
    by_seed = {}
    for turn, seed in enumerate(range(config.seed, config.seed + config.seeds)):
        place, tables = out / f"seed_{seed}" if config.seeds > 1 else out, []
        for number, (fold, choice) in enumerate(folds, 1):
            folder = place / f"fold_{number}" if len(folds) > 1 else place
            advance = partial(report, turn * len(folds) + number, config.seeds * len(folds))
            model = origin(config, number, len(folds), seed) if config.init and not has_model(folder) else None
            tables.append(run_fold(replace(jobs(choice, fold, seed), origin=model), fold, number, folder, advance))
        by_seed[seed] = pd.concat(tables, ignore_index=True)
    return by_seed


def _scores(job: Job, corpus: Corpus, cache: Cache, by_seed: Mapping[int, pd.DataFrame], out: Path) -> Scores:
    """Score the mean prediction of the seeds; writes predictions and mistakes."""
    heads = job.all_heads
    predictions = _mean_of_seeds([*by_seed.values()], job, out) if len(by_seed) > 1 else next(iter(by_seed.values()))
    write_predictions(out / "predictions.parquet", predictions, heads)
    clips = [head.name for head in job.heads if labeled_as_clips(corpus, head)]
    emotions = labeled_emotions(corpus.heads) if heads != job.heads else None
    clips += [READING.name] if emotions and labeled_as_clips(corpus, emotions) else []
    scores = score(predictions, heads, clips=clips)
    if len(by_seed) > 1:
        each = {seed: score(table, heads, clips=clips, resamples=1) for seed, table in by_seed.items()}
        scores = with_seeds(scores, each)
    subset = next((one for one in reversed(SCORED_SUBSETS) if scores.get(one)), None)
    if subset:
        rows = predictions[predictions["subset"] == subset]
        _score_groups(scores, rows, job, cache, clips, subset)
        write_mistakes(out, find_mistakes(corpus, rows, heads, job.config.mistakes))
    return scores


def _mean_of_seeds(tables: Sequence[pd.DataFrame], job: Job, out: Path) -> pd.DataFrame:
    """Mean predictions of the seeds; emotions are mapped from the mean values, as the saved models predict."""
    found = mean_predictions(tables, job.heads)
    if READING not in job.all_heads:
        return found
    radii = np.array([read_json(folder / FACTS)["neutral_radius"] for folder in training_folders(out)])  # by seed, fold
    radius = radii.reshape(len(tables), -1).mean(0)[found["fold"] - 1]
    outputs = with_reading({VA.name: outputs_of(found, VA)}, radius)[READING.name]
    return found.assign(**{READING.name: tables[0][READING.name]}, **output_table(READING, outputs))


def _reconstruction(out: Path) -> Scores:
    """Best validation loss of a pretraining, averaged over folds and seeds; 1 is the error of predicting the mean."""
    table = read_metrics(out)
    if "validation_loss" not in table:
        return Scores()
    losses = table.groupby("fold")["validation_loss"].min()
    return Scores(validation={PRETEXT: {"loss": {"value": float(losses.mean())}}})


def _require_columns(config: Config, cache: Cache, corpus: Corpus) -> None:
    """Raise `ConfigError` for an unknown column in ``by``."""
    for column in config.by:
        if column not in COMPUTED:
            groups_by(column, cache, corpus, np.arange(len(corpus)), None)


def _score_groups(
    scores: Scores, predictions: pd.DataFrame, job: Job, cache: Cache, clips: Sequence[str], subset: str
) -> None:
    """Add scores by each column of ``by`` with at least two values in the subset."""
    rows = rows_of(job.corpus, predictions)
    whole = job.config.sampling == "clip" or {head.name for head in job.heads} <= {*clips}
    for column in job.config.by:
        values = groups_by(column, cache, job.corpus, rows, None, clips=whole, strict=False)
        if len({*values.tolist()} - {""}) > 1:
            score_by(scores, predictions, job.all_heads, clips, column, values, subset)


def _settled(config: Config, out: Path, resume: bool) -> Config:
    """The configuration to run; for a resumed run the folder's, with `MOVABLE` replaced."""
    sweep(out)
    if all(path.name == LOCK for path in out.iterdir()):
        if resume:
            raise ConfigError(f"nothing to resume in {out}: start the training without --resume")
        return config
    if not resume:
        raise ConfigError(f"{out} exists: choose another --out, or continue the run with --resume")
    if not (out / "config.yaml").exists():
        raise ConfigError(f"{out} is not a run folder (no config.yaml): choose another --out")
    if (out / "scores.json").exists():
        raise ConfigError(f"{out} is finished: see `skelemo report {quote(str(out))} --out DIR`")
    written = load_config(out / "config.yaml")
    for name in config.model_fields_set - MOVABLE:
        if getattr(config, name) not in (getattr(written, name), "auto", ("auto",)):
            raise ConfigError(
                f"{out} was started with {name} = {getattr(written, name)!r}, not {getattr(config, name)!r}: "
                "--resume keeps the run's settings; omit yours or choose another --out"
            )
    return _written(config, out)


def _written(config: Config, out: Path) -> Config:
    """The configuration of a run folder, with `MOVABLE` replaced."""
    moved = {name: getattr(config, name) for name in config.model_fields_set & MOVABLE}
    return load_config(out / "config.yaml").model_copy(update=moved)


def _require_same_data(out: Path, cache: Cache, corrections: Corrections | None) -> None:
    """Raise `ConfigError` for a run resumed with other data or corrections."""
    if not _is_begun(out):
        return
    begun = read_json(out / "environment.json")
    if begun.get("corrections", {}).get("sha256") != (corrections.sha256 if corrections else None):
        raise ConfigError(f"{out}: the corrections have changed since the run was started: choose another --out")
    if begun.get("cache_hash") != cache.hash:
        raise ConfigError(f"{out}: {cache.name} has changed since the run was started: choose another --out")


def _is_begun(out: Path) -> bool:
    """Whether the training has started; of its initial files the split is written last."""
    return (out / "splits.json").exists()


def _read_split(file: Path, corpus: Corpus) -> Split:
    split = Split.from_json(read_json(file))
    named = {name for fold in split.folds for subset in SUBSETS for name in getattr(fold, subset)}
    if unknown := sorted(named - set(corpus.sequences["id"])):
        raise InputError(f"{file}: no sequence {unknown[0]!r} in the data; start again with another --out")
    return split


def _open_folder(
    out: Path, config: Config, split: dict[str, object], facts: dict[str, object], choices: Sequence[Choice]
) -> None:
    out.mkdir(parents=True, exist_ok=True)
    with finished(out / "config.yaml") as partial:
        partial.write_text(config.to_yaml(), encoding="utf-8")
    if not _is_begun(out):
        if any(choice.trials or choice.reason or choice.caution for choice in choices):
            write_json(out / CHOICES, {"folds": [asdict(choice) for choice in choices]})
        write_json(out / "environment.json", facts)
        write_json(out / "splits.json", split)
