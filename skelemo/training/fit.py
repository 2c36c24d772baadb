"""One training, from a configuration to a finished run folder."""

import time
from collections.abc import Callable, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import torch

from skelemo.annotations.corrections import Corrections, read_corrections
from skelemo.atomic import LOCK, claimed, finished, sweep
from skelemo.cache.store import Cache, open_cache
from skelemo.data.corpus import Corpus, load_corpus
from skelemo.data.corrected import correct
from skelemo.data.mistakes import COMPUTED, find_mistakes, rows_of
from skelemo.data.novelty import travelled
from skelemo.data.pretext import PRETEXT, without_labels
from skelemo.data.splits import GIVEN_COLUMN, GIVEN_FOLDS, SUBSETS, Fold, Split, make_split
from skelemo.data.windows import clip_labels, labeled_as_clips
from skelemo.errors import ConfigError, InputError, unknown
from skelemo.evaluation.circumplex import READING, labeled_emotions, reads
from skelemo.evaluation.scores import Scores, score, with_seeds
from skelemo.inference.environment import choose_device, environment
from skelemo.inference.grouping import groups_by, score_by
from skelemo.models import registry
from skelemo.runs.folder import CHOICES, read_json, training_folders, write_json
from skelemo.runs.mistakes import write_mistakes
from skelemo.runs.model_file import has_model
from skelemo.runs.predictions import SUBSETS as SCORED_SUBSETS
from skelemo.runs.predictions import mean_predictions, write_predictions
from skelemo.targets import USUAL, Head, hard_labels
from skelemo.training.calibration_choice import caution, choose_calibration
from skelemo.training.choice import Choice
from skelemo.training.config import Config, load_config
from skelemo.training.fold import Job, require_windows, run_fold
from skelemo.training.initial import is_of, learned_before, origin
from skelemo.training.losses import require_loss
from skelemo.training.part_choice import choose_parts
from skelemo.training.processes import join_processes, own_device, rank

#: Called at the start of each fold, with sizes, and after each epoch: fold, folds, epochs done, epochs at most, text.
Report = Callable[[int, int, int, int, str], None]

#: Settings that may change when a run is resumed: where its data are, and the machine.
MOVABLE = {"data", "corrections", "init", "device", "devices", "nodes", "memory", "compile"}


def train(config: Config, out: Path, *, resume: bool = False, report: Report = lambda *_: None) -> Scores:
    """Train, choose by validation, score once, and leave a run folder; returns its scores.

    A pretraining has the validation loss in their place.

    Raises
    ------
    ConfigError
        ``out`` holds something already and ``resume`` is not asked for, another process is writing it, or the settings
        do not fit the data.
    CacheError, InputError
        The data, or a file of the run that is resumed, cannot be read.
    """
    together = _written(config, out) if resume and (out / "config.yaml").exists() else config
    join_processes(together)
    if rank():
        return _train(together, out, resume, report)
    with claimed(out):
        return _train(_settled(config, out, resume), out, resume, report)


def _train(config: Config, out: Path, resume: bool, report: Report) -> Scores:
    if not config.data:
        absent = f"nothing to resume in {out}, and " if resume else ""
        raise ConfigError(f"{absent}no data: name a cache, as in --data cache/NAME")
    coordinates = registry.entry(config.arch).coordinates
    cache = open_cache([Path(path) for path in config.data])
    corrections = read_corrections(Path(config.corrections)) if config.corrections else None
    _require_same_data(out, cache, corrections)
    device = own_device(choose_device(config.device), config)
    corpus = load_corpus(cache, config.preparation(coordinates), config.named_parts, memory=config.bytes)
    changes: dict[str, Any] = {}
    uncorrected = corpus
    if corrections:
        corpus, changes["corrections"] = correct(corpus, cache, corrections)
    if config.pretrain:
        corpus = uncorrected = without_labels(corpus, config.length)
    config = settle_heads(config, corpus)
    if not config.pretrain:
        _require_columns(config, cache, corpus)
    config, split = _settle_split(config, corpus, uncorrected, out)
    if config.is_baseline:
        config = config.model_copy(update={"optimizer": None})
    config, choices = settle_choices(config, corpus, split, out)
    folds, jobs = list(zip(split.folds, choices, strict=True)), Jobs(config, corpus, device)
    for number, (fold, choice) in enumerate(folds, 1):
        require_windows(jobs(choice, fold), fold, number)
    job, written = jobs(choices[0], split.folds[0]), split.to_json(corpus.sequences)
    if config.init:
        job = replace(job, origin=origin(config, 1, len(folds), config.seed))
        written["learned_before"], flatters = learned_before(config, split.folds, corpus.sequences)
        first = job.start(job.create(restored=True))
        changes["init"] = {"text": first.text if first else "", "overlap": flatters}
    facts = environment(cache, job.answered, device) | changes | require_buildable(job, begun=_is_begun(out))
    if not rank():
        _open_folder(out, config, written, facts, choices)
    started, by_seed = time.monotonic(), {}
    for turn, seed in enumerate(range(config.seed, config.seed + config.seeds)):
        place, tables = out / f"seed_{seed}" if config.seeds > 1 else out, []
        for number, (fold, choice) in enumerate(folds, 1):
            folder = place / f"fold_{number}" if len(folds) > 1 else place

            def tell(done: int, most: int, figures: str, at: int = turn * len(folds) + number) -> None:
                report(at, config.seeds * len(folds), done, most, figures)

            model = origin(config, number, len(folds), seed) if config.init and not has_model(folder) else None
            tables.append(run_fold(replace(jobs(choice, fold, seed), origin=model), fold, number, folder, tell))
        if rank():
            continue
        by_seed[seed] = pd.concat(tables, ignore_index=True)
    if rank():
        return Scores()
    if config.pretrain:  # nothing is predicted
        write_json(out / "environment.json", facts | {"seconds": round(time.monotonic() - started, 1)})
        write_json(out / "scores.json", {})
        return _reconstruction(out)
    predictions = mean_predictions([*by_seed.values()], job.answered) if len(by_seed) > 1 else by_seed[config.seed]
    write_predictions(out / "predictions.parquet", predictions, job.answered)
    write_json(out / "environment.json", facts | {"seconds": round(time.monotonic() - started, 1)})
    clips = [head.name for head in job.heads if labeled_as_clips(corpus, head)]
    emotions = labeled_emotions(corpus.heads) if job.answered != job.heads else None
    clips += [READING.name] if emotions and labeled_as_clips(corpus, emotions) else []
    scores = score(predictions, job.answered, clips=clips)
    if len(by_seed) > 1:
        scores = with_seeds(
            scores, {seed: score(t, job.answered, clips=clips, resamples=1) for seed, t in by_seed.items()}
        )
    subset = next((one for one in reversed(SCORED_SUBSETS) if scores.get(one)), None)
    if subset:
        shown = predictions[predictions["subset"] == subset]
        _score_groups(scores, shown, job, cache, clips, subset)
        write_mistakes(out, find_mistakes(corpus, shown, job.answered, config.mistakes))
    write_json(out / "scores.json", scores)
    return scores


def _reconstruction(out: Path) -> Scores:
    """The validation loss that a pretraining ended with, a mean over folds and seeds; 1 is the error of the mean."""
    tables = [pd.read_csv(folder / "metrics.csv") for folder in training_folders(out)]
    losses = [float(table["validation_loss"].min()) for table in tables if "validation_loss" in table]
    return Scores(validation={PRETEXT: {"loss": {"value": float(np.mean(losses))}}}) if losses else Scores()


def _require_columns(config: Config, cache: Cache, corpus: Corpus) -> None:
    """Refuse columns to score by that the data do not have."""
    for column in config.by:
        if column not in COMPUTED:
            groups_by(column, cache, corpus, np.arange(len(corpus)), None)


def _score_groups(
    scores: Scores, shown: pd.DataFrame, job: Job, cache: Cache, clips: Sequence[str], subset: str
) -> None:
    """Add the scores by column, where a column tells windows of the subset apart."""
    rows, whole = rows_of(job.corpus, shown), job.config.sampling == "clip"
    for column in job.config.by:
        values = groups_by(column, cache, job.corpus, rows, None, clips=whole, strict=False)
        if len({*values.tolist()} - {""}) > 1:
            score_by(scores, shown, job.answered, clips, column, values, subset)


def require_buildable(job: Job, *, begun: bool) -> dict[str, int]:
    """Refuse settings that make no model, before anything is written; a network's number of parameters."""
    config = job.config
    if config.is_baseline:
        job.create()
        return {}
    if config.optimizer is None:
        raise ConfigError(f"{config.arch} is a network: it needs an optimizer, as in --set optimizer=adam")
    network = job.create(restored=begun)
    if config.pretrain and not any(not is_of(name, [PRETEXT]) for name, _ in network.named_parameters()):
        raise ConfigError(f"{config.arch} has no layer that heads share: nothing can start from it; take another")
    return {"parameters": sum(parameter.numel() for parameter in network.parameters())}


def _settled(config: Config, out: Path, resume: bool) -> Config:
    """The configuration to run: of a resumed run that of the folder, with `MOVABLE` replaced."""
    sweep(out)
    if all(path.name == LOCK for path in out.iterdir()):
        return config
    if not resume:
        raise ConfigError(f"{out} exists: choose another --out, or continue that run with --resume")
    if not (out / "config.yaml").exists():
        raise ConfigError(f"{out} is not a run folder (no config.yaml): choose another --out")
    if (out / "scores.json").exists():
        raise ConfigError(f"{out} is finished: `skelemo report {out} --out DIR` shows it")
    written = load_config(out / "config.yaml")
    for name in config.model_fields_set - MOVABLE:
        if getattr(config, name) not in (getattr(written, name), "auto", ("auto",)):
            raise ConfigError(
                f"{out} was begun with {name} = {getattr(written, name)!r}, not {getattr(config, name)!r}: "
                "--resume keeps the settings of the folder; leave yours out or choose another --out"
            )
    return _written(config, out)


def _written(config: Config, out: Path) -> Config:
    """The configuration of a run folder, with `MOVABLE` replaced."""
    moved = {name: getattr(config, name) for name in config.model_fields_set & MOVABLE}
    return load_config(out / "config.yaml").model_copy(update=moved)


def _require_same_data(out: Path, cache: Cache, corrections: Corrections | None) -> None:
    """Refuse to resume a run on other data, whose sequences its split names, or with other corrections."""
    if not _is_begun(out):
        return
    begun = read_json(out / "environment.json")
    if begun.get("corrections", {}).get("sha256") != (corrections.sha256 if corrections else None):
        raise ConfigError(f"{out} was begun with other corrections than there are now: choose another --out")
    if begun.get("cache_hash") != cache.hash:
        raise ConfigError(f"{out} was begun with other data than {cache.name} holds now: choose another --out")


def _is_begun(out: Path) -> bool:
    """Whether the folder holds all that a training begins with; the split is written last."""
    return (out / "splits.json").exists()


def settle_heads(config: Config, corpus: Corpus) -> Config:
    """The heads by name; ``auto`` is the first of the data that has a label, and its loss must fit."""
    if config.head == "auto" and not config.pretrain:
        found = (head.name for head in corpus.heads if head.labeled(corpus.labels[head.name].cpu().numpy()).any())
        config = config.model_copy(update={"head": next(found, corpus.heads[0].name)})
    heads = {name: corpus.head(name) for name in config.heads}
    known = USUAL | {head.name: head for head in corpus.heads}
    for name, loss in config.loss.items():  # a configuration serves trainings of one head and of another
        if name not in known:
            raise unknown("head in loss", name, known)
        require_loss(known[name], loss)
    if config.neutral_radius is not None:
        if not reads([*heads.values()]):
            raise ConfigError("neutral_radius reads valence and arousal as emotions: take --head va, or expression,va")
        if READING.name in {head.name for head in corpus.heads}:
            raise ConfigError(f"neutral_radius gives a head {READING.name}, and the data have one: leave it out")
    if strange := config.loss_weight.keys() - known.keys():
        raise unknown("head in loss_weight", min(strange), known)
    return config


def _settle_split(config: Config, corpus: Corpus, uncorrected: Corpus, out: Path) -> tuple[Config, Split]:
    """The split of the run: the one written in its folder, else a new one, with ``auto`` resolved."""
    if _is_begun(out):
        return config, _read_split(out / "splits.json", corpus)
    return draw_split(config, corpus, uncorrected)


def draw_split(config: Config, corpus: Corpus, uncorrected: Corpus | None = None) -> tuple[Config, Split]:
    """A new split, with ``auto`` resolved: drawn by the labels as they were before corrections, where they were any."""
    heads = tuple(corpus.head(name) for name in config.heads)
    labeled, strata = _labeled(corpus, heads)
    if uncorrected is not None and uncorrected is not corpus:
        before, theirs = _labeled(uncorrected, heads)
        gained = ~np.isin(labeled, before)
        labeled, strata = np.append(before, labeled[gained]), np.append(theirs, strata[gained])
        order = labeled.argsort()
        labeled, strata = labeled[order], strata[order]
    if not len(labeled):
        raise ConfigError(f"no frame of {', '.join(config.data)} has a label for the head {config.head!r}")
    sequences = corpus.sequences.iloc[labeled]
    if config.split == "auto":
        columns = {name for splits in sequences["splits"] for name in splits}
        given = any(name == GIVEN_COLUMN or name.startswith(GIVEN_FOLDS) for name in columns)
        config = config.model_copy(update={"split": "given" if given else "none" if config.pretrain else "holdout:0.2"})
    if config.given_validation == "score":
        sequences = _validation_as_test(sequences)
    return config, make_split(config.split, sequences, strata, validation=config.validation, seed=config.split_seed)


def _read_split(file: Path, corpus: Corpus) -> Split:
    try:
        split = Split.from_json(read_json(file))
    except ConfigError as error:
        raise InputError(f"{file}: {error}") from None
    named = {name for fold in split.folds for subset in SUBSETS for name in getattr(fold, subset)}
    strange = sorted(named - set(corpus.sequences["id"]))
    if strange:
        raise InputError(f"{file}: no sequence {strange[0]!r} in the data; begin again with another --out")
    return split


def _validation_as_test(sequences: pd.DataFrame) -> pd.DataFrame:
    def rename(splits: dict[str, str]) -> dict[str, str]:
        return {column: "test" if subset == "validation" else subset for column, subset in splits.items()}

    return sequences.assign(splits=sequences["splits"].map(rename))


def _labeled(corpus: Corpus, heads: tuple[Head, ...]) -> tuple[np.ndarray, np.ndarray]:
    """Sequences with any label for the heads, and the stratum of each, by the first head.

    A stratum is the sequence's class, or the quarter of its first value or flag.
    """
    count = len(corpus.sequences)
    if not corpus.labels:  # a pretraining looks at none
        return np.arange(count), np.zeros(count, int)
    group = np.repeat(np.arange(count), corpus.sequences["length"])
    clips = {head: clip_labels(head, corpus.labels[head.name].cpu().numpy(), group, count) for head in heads}
    labeled = np.flatnonzero(np.any([head.labeled(labels) for head, labels in clips.items()], axis=0))
    first = clips[heads[0]][labeled]
    if heads[0].kind == "classes":
        return labeled, hard_labels(first).astype(int)
    column = first[:, 0].astype(float)
    if heads[0].kind == "flags":
        return labeled, column.astype(int)
    strata = pd.qcut(pd.Series(column), 4, labels=False, duplicates="drop")
    return labeled, strata.fillna(-1).to_numpy(int)


def settle_choices(config: Config, corpus: Corpus, split: Split, out: Path) -> tuple[Config, list[Choice]]:
    """What each fold works with: as written in the run's folder, else chosen or set; ``auto`` is resolved.

    Where folds choose differently the setting stays ``auto``.
    """
    if (out / CHOICES).exists():
        choices = [Choice.from_json(fold) for fold in read_json(out / CHOICES)["folds"]]
        strange = {name for choice in choices for name in choice.parts} - set(corpus.layout.slices)
        if len(choices) != len(split.folds) or strange:
            raise InputError(f"{out / CHOICES} is not about this run's folds and parts; begin again with another --out")
        return config, choices
    ids = pd.Index(corpus.sequences["id"])
    choices = [
        _choose(config, corpus, np.sort(ids.get_indexer(list(fold.train))), config.seed + number)
        for number, fold in enumerate(split.folds)
    ]
    for name in ("parts", "calibrate"):
        chosen = {getattr(choice, name) for choice in choices}
        if getattr(config, name) in ("auto", ("auto",)) and len(chosen) == 1:
            config = config.model_copy(update={name: chosen.pop()})
    return config, choices


def _choose(config: Config, corpus: Corpus, sequences: np.ndarray, seed: int) -> Choice:
    """The parts, and whether people are calibrated, for a fold that learns from some sequences."""
    heads = tuple(corpus.head(name) for name in config.heads)

    def usable(parts: tuple[str, ...]) -> bool:
        try:
            Job(config, replace(corpus, layout=corpus.layout.only(parts)), torch.device("cpu")).create(restored=True)
        except ConfigError:  # such as a stream that shows a face
            return False
        return True

    choice = Choice(tuple(corpus.layout.slices))
    if config.pretrain:  # choices are made by labels
        return replace(choice, calibrate="none" if config.calibrate == "auto" else config.calibrate)
    if config.parts == ("auto",):
        choice = choose_parts(corpus, sequences, config.window, heads, every=config.every, seed=seed, usable=usable)
    if config.calibrate == "auto":
        fewer = corpus.only(choice.parts)
        return choose_calibration(choice, fewer, sequences, config.window, heads, every=config.every, seed=seed)
    warning = caution(corpus, sequences, heads) if config.calibrate == "track" else ""
    return replace(choice, calibrate=config.calibrate, caution=warning)


class Jobs:
    """What a fold works with under a seed, for what was chosen for it; the last one is kept."""

    def __init__(self, config: Config, corpus: Corpus, device: torch.device) -> None:
        self.config, self.corpus, self.device = config, corpus, device
        self.last: Job | None = None
        self.made: object = None

    def __call__(self, choice: Choice, fold: Fold, seed: int | None = None) -> Job:
        """The job of a fold."""
        made = frozenset(choice.parts), choice.calibrate, fold.train if choice.calibrate != "none" else ()
        if self.last is None or self.made != made:
            self.last, self.made = None, made  # frees its corpus
            train = np.sort(pd.Index(self.corpus.sequences["id"]).get_indexer(list(fold.train)))
            corpus = self.corpus.only(choice.parts).calibrated(choice.calibrate, train)
            if self.config.standardize != "none":
                corpus = corpus.standardized()
            steps = travelled(corpus) if self.config.sampling == "novelty" else None
            self.last = Job(self.config, corpus.to(self.device), self.device, steps=steps)
        seed = self.config.seed if seed is None else seed
        return replace(self.last, config=self.config.model_copy(update={"seed": seed}), choice=choice)


def _open_folder(
    out: Path, config: Config, split: dict[str, object], facts: dict[str, object], choices: Sequence[Choice]
) -> None:
    out.mkdir(parents=True, exist_ok=True)
    with finished(out / "config.yaml") as partial:
        partial.write_text(config.to_yaml(), encoding="utf-8")
    if not _is_begun(out):
        if any(choice.trials or choice.reason or choice.caution for choice in choices):
            write_json(out / CHOICES, {"folds": [choice.to_json() for choice in choices]})
        write_json(out / "environment.json", facts)
        write_json(out / "splits.json", split)
