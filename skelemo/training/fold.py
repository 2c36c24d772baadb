"""Training of one fold: train the network, keep its best weights, predict."""

import inspect
import logging
import sys
import warnings
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from functools import partial
from pathlib import Path
from typing import Any, cast

import lightning
import numpy as np
import pandas as pd
import torch
from torch import nn

from skelemo.atomic import sweep
from skelemo.data.calibration import people_of
from skelemo.data.loader import Batches
from skelemo.data.splits import SUBSETS, Fold
from skelemo.data.windows import Targets
from skelemo.evaluation.metrics import main_metric, titles
from skelemo.inference.scoring.cost import throughput
from skelemo.models.baselines import Baseline
from skelemo.runs.folder import read_json, write_json
from skelemo.runs.model_file import FACTS, has_model, read_model
from skelemo.training import predicting, processes
from skelemo.training.callbacks import Checkpoints, History, Progress, restoring
from skelemo.training.config import Config, unused
from skelemo.training.initial import Start
from skelemo.training.job import Job, precision
from skelemo.training.losses import Context, context_of
from skelemo.training.module import MONITORED, Training
from skelemo.training.rate import RateCurve, find_rate

#: File of the learning-rate finder's curve, in the folder of a training.
RATE = "lr_find.json"

#: Fewest validation windows after each epoch, if available.
_LEAST_VALIDATED = 1000

#: Progress callback: epochs done, most epochs, sizes or metrics as text; 0, 0 and the stage after the last epoch.
Report = Callable[[int, int, str], None]


def run_fold(job: Job, fold: Fold, number: int, folder: Path, report: Report) -> pd.DataFrame:
    """Train a fold in ``folder`` (or resume it) and predict its validation and test windows."""
    targets = job.targets(fold)
    seed = job.config.seed + 1000 * (number - 1)
    folder.mkdir(parents=True, exist_ok=True)
    if job.config.is_baseline and processes.rank():
        return pd.DataFrame()
    job = job.hiding(targets["train"]) if job.config.pretrain else job
    model = _trained(job, targets, folder, seed, report)
    if processes.rank() or job.config.pretrain:
        return pd.DataFrame()
    stage = partial(report, 0, 0)
    return predicting.predict_fold(job, model, targets, number, folder, _predicts_in(job), stage)


def measure_throughput(job: Job, fold: Fold, folder: Path) -> dict[str, Any]:
    """Throughput of the model of a finished training on its test (or validation) windows."""
    targets = job.targets(fold)
    model = _trained(job, targets, folder, job.config.seed, lambda *_: None)
    windows = next(targets[subset] for subset in reversed(SUBSETS) if len(targets[subset]))
    flip = read_json(folder / FACTS).get("flip_average", False)
    return throughput(model, job.batches(windows), job.heads, _predicts_in(job), flip=flip)


def _trained(job: Job, targets: dict[str, Targets], folder: Path, seed: int, report: Report) -> nn.Module:
    fit = _fit_baseline if job.config.is_baseline else _train_network
    return fit(job, targets, folder, seed, report)


def _predicts_in(job: Job) -> str:
    return "32-true" if job.config.is_baseline else str(precision(job.config, job.device))


def _fit_baseline(job: Job, targets: dict[str, Targets], folder: Path, seed: int, report: Report) -> nn.Module:
    """The fold's baseline, fitted or loaded from a resumed run."""
    model, learn, config = job.create().to(job.device), targets["train"], job.config
    report(0, 1, _sizes(job, targets))
    if has_model(folder):
        model.load_state_dict(read_model(folder)[1])
    else:
        if len(learn) > config.fit_windows:
            learn = learn[np.sort(np.random.default_rng(seed).permutation(len(learn))[: config.fit_windows])]
        windows = ((batch["keypoints"], batch["mask"]) for batch in job.batches(learn))
        people = people_of(job.corpus.sequences)[job.corpus.sequence(learn.row)]
        cast(Baseline, model).fit(windows, learn.labels, people, mirror=config.mirror > 0, seed=seed)
        predicting.save_model(folder, model, job, "32-true")
    report(1, 1, "fitted")
    return model.to(job.device)


def _train_network(job: Job, targets: dict[str, Targets], folder: Path, seed: int, report: Report) -> nn.Module:
    """The fold's network, trained or loaded from a resumed run."""
    checkpoints = folder / "checkpoints"
    checkpoints.mkdir(parents=True, exist_ok=True)
    for place in (folder, checkpoints):
        sweep(place)
    torch.manual_seed(seed)
    finished, begun = has_model(folder), (checkpoints / "last.ckpt").exists()
    network = job.create(restored=finished or begun).to(job.device)
    if "frame_size" in inspect.signature(network.forward).parameters:  # image networks convolve faster this way
        network = network.to(memory_format=torch.channels_last)  # type: ignore[call-overload]  # torch's stubs lack it
    if finished:
        with restoring(folder / "model.safetensors"):
            network.load_state_dict(read_model(folder)[1])
    else:
        _learn(job, network, targets, folder, seed, report)
        if not processes.rank():
            predicting.save_model(folder, network, job, precision(job.config, job.device))
    return network


class _Loaders(lightning.LightningDataModule):
    """Batches that depend only on the fold's seed and the epoch."""

    def __init__(self, job: Job, targets: dict[str, Targets], seed: int) -> None:
        super().__init__()
        self.job, self.targets, self.seed = job, targets, seed

    def train_dataloader(self) -> Batches:
        epoch = self.trainer.current_epoch if self.trainer else 0
        process = processes.place(self.trainer)
        return self.job.batches(self.targets["train"], seed=self.seed * 100_003 + epoch, process=process)

    def val_dataloader(self) -> Batches:
        """The validation windows, or a fixed sample of them; all are scored at the end."""
        windows = self.targets["validation"]
        most = validated(self.job.config, len(self.targets["train"]))
        if len(windows) > most:
            windows = windows[np.sort(np.random.default_rng(self.seed).permutation(len(windows))[:most])]
        return self.job.batches(windows, process=processes.place(self.trainer))


def validated(config: Config, learned: int) -> int:
    """Most validation windows after an epoch of ``learned`` training windows."""
    most = config.epoch_windows or sys.maxsize
    if config.evaluate_every != "auto":
        return most
    return min(most, max(_LEAST_VALIDATED, min(learned, most) * 3 // 10))  # validating costs a third of training


def _learn(job: Job, network: nn.Module, targets: dict[str, Targets], folder: Path, seed: int, report: Report) -> None:
    """Train the network and load its best weights, or its last without validation."""
    config, chooses = job.config, len(targets["validation"]) > 0
    first = job.start(network)
    if config.compile:
        network.compile()
    loaders = _Loaders(job, targets, seed)
    if config.lr == "auto":
        config = config.model_copy(update={"lr": _found_rate(job, network, targets, folder, seed, first).suggestion})
    monitor, mode = f"validation_{config.monitor}" if chooses else None, MONITORED[config.monitor]
    start = f"{_sizes(job, targets)}, {sum(p.numel() for p in network.parameters()):,} parameters, {job.device}"
    start += f", lr {float(config.lr):.2g} (found)" if job.config.lr == "auto" else ""
    start += f"; {first.text}" if first else ""
    mains = [(head, main_metric(head)) for head in job.heads]
    metrics = {f"validation_{head.name}_{main}": f"{head.name} {titles(head).get(main, main)}" for head, main in mains}
    kept = Checkpoints(folder / "checkpoints", monitor, mode, config.patience, config.patience_steps)
    steps = config.epoch_steps(len(loaders.train_dataloader()))
    with _quiet():
        trainer = lightning.Trainer(
            **_options(job),
            max_epochs=config.training_epochs(steps),
            callbacks=[History(folder / "metrics.csv"), Progress(report, start, metrics), *job.callbacks, kept],
            limit_val_batches=1.0 if chooses else 0,
        )
        task = _task(job, network, targets, config, seed, first)
        begun = kept.last if kept.last.exists() else None
        if begun:
            with restoring(begun):
                kept.load_state_dict(_restore(task, begun)["callbacks"][kept.state_key])
        try:
            trainer.fit(task, datamodule=loaders, ckpt_path=begun)
            trainer.strategy.barrier()
        except SystemExit:  # Lightning converts Ctrl-C
            raise KeyboardInterrupt from None
    with restoring(kept.best):
        _restore(task, kept.best)
    if task.average is not None:
        network.load_state_dict(task.kept.state_dict())
    network.to(job.device)


def _options(job: Job) -> dict[str, Any]:
    """Options of Lightning's Trainer for a job."""
    return {
        "accelerator": job.device.type,
        **processes.options(job.config, job.device),
        "precision": precision(job.config, job.device),
        "accumulate_grad_batches": job.config.accumulate,
        "gradient_clip_val": job.config.clip_gradient or None,
        "logger": False,
        "enable_progress_bar": False,
        "enable_model_summary": False,
        "num_sanity_val_steps": 0,
        "reload_dataloaders_every_n_epochs": 1,
    }


def _task(
    job: Job, network: nn.Module, targets: dict[str, Targets], config: Config, seed: int, start: Start | None
) -> Training:
    labels = targets["train"].labels
    contexts = {
        head.name: context_of(head, torch.as_tensor(labels[head.name]), config.class_weights, config.label_smoothing)
        if head.name in labels
        else Context()
        for head in job.heads
    }

    def named(row: torch.Tensor) -> list[str]:
        rows = row.cpu().numpy()
        ids = job.corpus.sequences["id"].iloc[job.corpus.sequence(rows)]
        return [f"{name} frame {frame}" for name, frame in zip(ids, job.corpus.number(rows), strict=True)]

    return Training(network, config, job.heads, contexts, seed, start, named)


def rate_curve(
    job: Job, targets: dict[str, Targets], seed: int, network: nn.Module | None = None, start: Start | None = None
) -> RateCurve:
    """The learning-rate finder's curve on the training subset."""
    torch.manual_seed(seed)
    if network is None:
        network = job.create().to(job.device)
        start = job.start(network)
    with _quiet():
        return find_rate(
            _task(job, network, targets, job.config, seed, start), _Loaders(job, targets, seed), _options(job)
        )


def _found_rate(
    job: Job, network: nn.Module, targets: dict[str, Targets], folder: Path, seed: int, start: Start | None
) -> RateCurve:
    """The curve in the folder of a resumed training, or a new one."""
    file = folder / RATE
    if file.exists():
        with restoring(file):
            return RateCurve.from_json(read_json(file))
    curve = rate_curve(job, targets, seed, network, start)
    write_json(file, curve.to_json())
    return curve


def _sizes(job: Job, targets: dict[str, Targets]) -> str:
    sizes = f"{', '.join(f'{len(found):,} {subset}' for subset, found in targets.items() if len(found))} windows"
    idle = unused(job.config, job.heads)
    notes = [job.choice.summary if job.choice else "", f"without effect here: {', '.join(idle)}" if idle else ""]
    return "; ".join([sizes, *filter(None, notes)])


def _restore(task: Training, path: Path) -> dict[str, Any]:
    """Load a checkpoint into the module; returns its content."""
    checkpoint: dict[str, Any] = torch.load(path, map_location="cpu", weights_only=True)
    task.load_state_dict(checkpoint["state_dict"])
    return checkpoint


@contextmanager
def _quiet() -> Iterator[None]:
    """Silence Lightning's messages."""
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
