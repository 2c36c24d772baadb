"""One fold: train the network, keep its best state, predict what is scored."""

import logging
import warnings
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import lightning
import numpy as np
import pandas as pd
import torch
from safetensors.torch import load_file
from torch import nn

from skelemo.atomic import sweep
from skelemo.data.corpus import Corpus
from skelemo.data.loader import Batches
from skelemo.data.splits import PARTS, Fold
from skelemo.data.windows import Targets, find_targets
from skelemo.errors import ConfigError
from skelemo.inference.predictor import predict
from skelemo.models import registry
from skelemo.text import count
from skelemo.training import run_writer
from skelemo.training.baseline import Answer, fit_baseline
from skelemo.training.callbacks import Checkpoints, History, Progress
from skelemo.training.config import Config
from skelemo.training.losses import class_weights
from skelemo.training.module import MONITORED, EmotionTask

#: Told as training goes: epochs done in this fold, epochs at most, figures.
Report = Callable[[int, int, str], None]


@dataclass(frozen=True)
class Job:
    """What all folds of a run share."""

    config: Config
    corpus: Corpus
    device: torch.device

    def create(self, *, restored: bool = False) -> nn.Module:
        """The network, untrained; one whose weights are restored after this is not given any to start from."""
        config = self.config
        settings = registry.lasting(config.model) if restored else config.model
        return registry.create(
            config.arch,
            layout_name=self.corpus.layout.name,
            heads=config.heads,
            classes=len(self.corpus.classes),
            frames=config.length,
            **settings,
        )

    def targets(self, fold: Fold) -> dict[str, Targets]:
        """Windows of each part: training learns only from targets that were seen, scores count every labelled one."""
        config, ids, found = self.config, pd.Index(self.corpus.sequences["id"]), {}
        for part in PARTS:
            rows, learns = np.sort(ids.get_indexer(list(getattr(fold, part)))), part == "train"
            every = config.every if learns else config.evaluate_every
            found[part] = find_targets(self.corpus, rows, config.window, config.heads, every=every, seen_only=learns)
        return found

    def batches(self, targets: Targets, seed: int | None = None) -> Batches:
        """Batches of some windows; with a seed shuffled and augmented."""
        config = self.config
        augmentation = config.augmentation if seed is not None else None
        return Batches(
            self.corpus,
            targets,
            config.window,
            config.batch_size,
            self.device,
            augmentation=augmentation,
            seed=seed,
        )


def require_windows(job: Job, fold: Fold, number: int) -> None:
    """Refuse a fold from whose windows nothing can be learned, chosen or scored.

    Raises
    ------
    ConfigError
        The part that lacks windows or labels, or the setting that needs others.
    """
    config, targets = job.config, job.targets(fold)
    train, validation, test = (len(targets[part]) for part in PARTS)
    in_train, in_validation, in_test = (
        f"the {part} part (of {count(len(getattr(fold, part)), 'sequence')})" for part in PARTS
    )
    classes = np.unique(targets["train"].expression[targets["train"].expression >= 0])
    taught = {"expression": len(classes) > 0, "va": np.isfinite(targets["train"].va).all(1).any()}
    untaught = ", ".join(head for head in config.heads if not taught[head])
    one_class = config.is_baseline and "expression" in config.heads and len(classes) == 1
    watches = config.schedule == "plateau" and not config.is_baseline
    for wrong, said in (
        (not train, f"no labelled window in {in_train}"),
        (untaught, f"no window in {in_train} has a label for the head {untaught}; take another --head"),
        (one_class, f"all windows in {in_train} are of one class, and {config.arch} needs two"),
        (train == 1, f"only one labelled window in {in_train}; expected two or more"),
        (fold.validation and not validation, f"no labelled window in {in_validation}"),
        (not validation + test, f"nothing to score: no labelled window in {in_test}, and no validation part"),
        (watches and not validation, "schedule plateau watches the validation part, and there is none; take cosine"),
    ):
        if wrong:
            raise ConfigError(f"fold {number}: {said}")


def run_fold(job: Job, fold: Fold, number: int, folder: Path, report: Report) -> pd.DataFrame:
    """Train a fold in ``folder`` (or go on with what is there) and predict its validation and test windows."""
    targets = job.targets(fold)
    seed = job.config.seed + 1000 * (number - 1)
    if job.config.is_baseline:
        answer = fit_baseline(job, targets["train"], seed)
        report(1, 1, "fitted")
    else:
        answer = _train_network(job, targets, folder, seed, report)
    tables = [
        run_writer.prediction_table(job.corpus, targets[part], answer(targets[part]), fold=number, part=part)
        for part in ("validation", "test")
        if len(targets[part])
    ]
    return pd.concat(tables, ignore_index=True)


def _train_network(job: Job, targets: dict[str, Targets], folder: Path, seed: int, report: Report) -> Answer:
    """The fold's network, trained now or, where a resumed run has that behind it, read from its folder."""
    checkpoints = folder / "checkpoints"
    checkpoints.mkdir(parents=True, exist_ok=True)
    for place in (folder, checkpoints):
        sweep(place)
    torch.manual_seed(seed)
    finished, begun = (folder / "model.json").exists(), (checkpoints / "last.ckpt").exists()
    network = job.create(restored=finished or begun).to(job.device)
    if finished:
        with run_writer.restoring(folder / "model.safetensors"):
            network.load_state_dict(load_file(folder / "model.safetensors"))
    else:
        _learn(job, network, targets, folder, seed, report)
        run_writer.save_model(folder, network, job.config, job.corpus)
    return lambda windows: predict(network, job.batches(windows))


class _Loaders(lightning.LightningDataModule):
    """Fresh batches for every epoch, drawn from the fold's seed and the epoch alone."""

    def __init__(self, job: Job, targets: dict[str, Targets], seed: int) -> None:
        super().__init__()
        self.job, self.targets, self.seed = job, targets, seed

    def train_dataloader(self) -> Batches:
        epoch = self.trainer.current_epoch if self.trainer else 0
        return self.job.batches(self.targets["train"], seed=self.seed * 100_003 + epoch)

    def val_dataloader(self) -> Batches:
        return self.job.batches(self.targets["validation"])


def _learn(job: Job, network: nn.Module, targets: dict[str, Targets], folder: Path, seed: int, report: Report) -> None:
    """Train the network and leave it in the state that validation chose, or the last one where nothing validates."""
    config, chooses = job.config, len(targets["validation"]) > 0
    if config.compile:
        network.compile()
    labels = torch.as_tensor(targets["train"].expression)
    weights = class_weights(labels, len(job.corpus.classes), config.class_weights)
    monitor, mode = f"validation_{config.monitor}" if chooses else None, MONITORED[config.monitor]
    kept = Checkpoints(folder / "checkpoints", monitor, mode, config.patience)
    with _quiet():
        trainer = lightning.Trainer(
            accelerator=job.device.type,
            devices=[job.device.index or 0] if job.device.type == "cuda" else 1,
            precision=config.precision,
            max_epochs=config.epochs,
            gradient_clip_val=config.clip_gradient or None,
            callbacks=[History(folder / "metrics.csv"), Progress(report), kept],
            logger=False,
            enable_progress_bar=False,
            enable_model_summary=False,
            num_sanity_val_steps=0,
            limit_val_batches=1.0 if chooses else 0,
            reload_dataloaders_every_n_epochs=1,
        )
        task = EmotionTask(network, config, weights, seed)
        begun = kept.last if kept.last.exists() else None
        if begun:
            with run_writer.restoring(begun):
                kept.load_state_dict(_restore(task, begun)["callbacks"][kept.state_key])
        try:
            trainer.fit(task, datamodule=_Loaders(job, targets, seed), ckpt_path=begun)
        except SystemExit:  # what Lightning makes of Ctrl-C
            raise KeyboardInterrupt from None
    with run_writer.restoring(kept.best):
        _restore(task, kept.best)
    network.to(job.device)


def _restore(task: EmotionTask, path: Path) -> dict[str, Any]:
    """Bring the task into the state of a checkpoint, and give all that is in it."""
    checkpoint: dict[str, Any] = torch.load(path, map_location="cpu", weights_only=True)
    task.load_state_dict(checkpoint["state_dict"])
    return checkpoint


@contextmanager
def _quiet() -> Iterator[None]:
    """Lightning speaks of devices, workers and tips; what matters is in the report and in ``environment.json``."""
    loggers = [logging.getLogger(name) for name in ("lightning.pytorch", "lightning.fabric")]
    levels = [logger.level for logger in loggers]
    try:
        for logger in loggers:
            logger.setLevel(logging.ERROR)
        with warnings.catch_warnings():
            warnings.filterwarnings("ignore", module="lightning.*")
            yield
    finally:
        for logger, level in zip(loggers, levels, strict=True):
            logger.setLevel(level)
