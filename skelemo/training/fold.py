"""Training of one fold: train the network, keep its best weights, predict."""

import inspect
import logging
import sys
import warnings
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import asdict
from functools import partial
from pathlib import Path
from typing import Any, cast

import lightning
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
from skelemo.training.callbacks import CheckpointFiles, Checkpoints, History, Progress, restoring
from skelemo.training.config import Config, repeated, unused
from skelemo.training.initial import Start
from skelemo.training.job import Job
from skelemo.training.losses import Context, context_of
from skelemo.training.module import MONITORED, Training
from skelemo.training.rate import find_rate

#: File of the learning-rate finder's curve, in the folder of a training.
RATE = "lr_find.json"

#: Fewest validation windows after each epoch, if available.
_LEAST_VALIDATED = 1000

#: Progress callback: epochs done, most epochs, sizes or metrics as text; 0, 0 and the stage after the last epoch.
Report = Callable[[int, int, str], None]


def run_fold(job: Job, fold: Fold, number: int, folder: Path, report: Report) -> pd.DataFrame:
    """Train a fold in ``folder`` (or resume it) and predict its validation and test windows."""
    folder.mkdir(parents=True, exist_ok=True)
    if job.config.is_baseline and processes.rank():
        return pd.DataFrame()
    training = FoldTraining(job, fold, number, folder, report)
    model = training.model()
    if processes.rank() or job.config.pretrain:
        return pd.DataFrame()
    return predicting.predict_fold(training.job, model, training.targets, number, folder, partial(report, 0, 0))


def measure_throughput(job: Job, fold: Fold, folder: Path) -> dict[str, Any]:
    """Throughput of the model of a finished training on its test (or validation) windows."""
    training = FoldTraining(job, fold, 1, folder)
    windows = next(training.targets[subset] for subset in reversed(SUBSETS) if len(training.targets[subset]))
    flip = read_json(folder / FACTS).get("flip_average", False)
    return throughput(training.model(), job.batches(windows), job.heads, job.precision, flip=flip)


class FoldTraining:
    """The training of one fold in a folder, new or resumed."""

    def __init__(self, job: Job, fold: Fold, number: int, folder: Path, report: Report = lambda *_: None) -> None:
        self.targets = job.targets(fold)
        self.job = job.hiding(self.targets["train"]) if job.config.pretrain else job
        self.folder, self.report = folder, report
        self.seed = job.config.seed + 1000 * (number - 1)

    def model(self) -> nn.Module:
        """The trained model, loaded if the folder has one."""
        return self._baseline() if self.job.config.is_baseline else self._network()

    def _baseline(self) -> nn.Module:
        job, learn, config = self.job, self.targets["train"], self.job.config
        model = job.create().to(job.device)
        self.report(0, 1, self._sizes())
        if has_model(self.folder):
            model.load_state_dict(read_model(self.folder)[1])
        else:
            learn = learn.sample(config.fit_windows, self.seed)
            windows = ((batch["keypoints"], batch["mask"]) for batch in job.batches(learn))
            people = people_of(job.corpus.sequences)[job.corpus.sequence(learn.row)]
            cast(Baseline, model).fit(windows, learn.labels, people, mirror=config.mirror > 0, seed=self.seed)
            predicting.save_model(self.folder, model, job)
        self.report(1, 1, "fitted")
        return model.to(job.device)

    def _network(self) -> nn.Module:
        job, checkpoints = self.job, self.folder / "checkpoints"
        checkpoints.mkdir(parents=True, exist_ok=True)
        for place in (self.folder, checkpoints):
            sweep(place)
        torch.manual_seed(self.seed)
        finished, begun = has_model(self.folder), (checkpoints / "last.ckpt").exists()
        network = job.create(restored=finished or begun).to(job.device)
        if "frame_size" in inspect.signature(network.forward).parameters:  # image networks convolve faster this way
            network = network.to(memory_format=torch.channels_last)  # type: ignore[call-overload]  # torch's stubs lack it
        if finished:
            with restoring(self.folder / "model.safetensors"):
                network.load_state_dict(read_model(self.folder)[1])
        else:
            self._learn(network)
            if not processes.rank():
                predicting.save_model(self.folder, network, job)
        return network

    def _learn(self, network: nn.Module) -> None:
        """Train the network and load its best weights, or its last without validation."""
        job, config, chooses = self.job, self.job.config, len(self.targets["validation"]) > 0
        first = job.start(network)
        if config.compile:
            network.compile()
        loaders = _Loaders(job, self.targets, self.seed)
        if config.lr == "auto":
            config = config.model_copy(update={"lr": self._found_rate(network, first)})
        monitor, mode = f"validation_{config.monitor}" if chooses else None, MONITORED[config.monitor]
        facts = f", {sum(p.numel() for p in network.parameters()):,} parameters, {job.device}"
        facts += f", lr {float(config.lr):.2g} (found)" if job.config.lr == "auto" else ""
        start = self._sizes(facts) + (f"; {first.text}" if first else "")
        metrics = {}
        for head in job.heads:
            main = main_metric(head)
            metrics[f"validation_{head.name}_{main}"] = f"{head.name} {titles(head).get(main, main)}"
        kept = Checkpoints(self.folder / "checkpoints", monitor, mode, config.patience, config.patience_steps)
        steps = config.epoch_steps(len(loaders.train_dataloader()))
        history, progress = History(self.folder / "metrics.csv"), Progress(self.report, start, metrics)
        with _quiet():
            trainer = lightning.Trainer(
                **_options(job),
                max_epochs=config.training_epochs(steps),
                callbacks=[history, progress, *job.callbacks, kept],
                plugins=CheckpointFiles(),
                limit_val_batches=1.0 if chooses else 0,
            )
            task = self._task(network, config, first)
            begun = kept.last if kept.last.exists() else None
            if begun:
                with restoring(begun):
                    kept.load_state_dict(_restore(task, begun)["callbacks"][kept.state_key])
            trainer.fit(task, datamodule=loaders, ckpt_path=begun)
            trainer.strategy.barrier()
        with restoring(kept.best):
            _restore(task, kept.best)
        if task.average is not None:
            network.load_state_dict(task.kept.state_dict())
        network.to(job.device)

    def _task(self, network: nn.Module, config: Config, start: Start | None) -> Training:
        job, labels = self.job, self.targets["train"].labels
        weights, smoothing = config.class_weights, config.label_smoothing
        contexts = {head.name: Context() for head in job.heads}
        for name, found in labels.items():
            contexts[name] = context_of(job.corpus.head(name), torch.as_tensor(found), weights, smoothing)

        def named(row: torch.Tensor) -> list[str]:
            rows = row.cpu().numpy()
            ids = job.corpus.sequences["id"].iloc[job.corpus.sequence(rows)]
            return [f"{name} frame {frame}" for name, frame in zip(ids, job.corpus.number(rows), strict=True)]

        return Training(network, config, job.heads, contexts, self.seed, start, named)

    def _found_rate(self, network: nn.Module, start: Start | None) -> float:
        """The learning-rate finder's rate, from its file if the training is resumed."""
        file = self.folder / RATE
        if not file.exists():
            torch.manual_seed(self.seed)
            task, loaders = self._task(network, self.job.config, start), _Loaders(self.job, self.targets, self.seed)
            with _quiet():
                write_json(file, asdict(find_rate(task, loaders, _options(self.job))))
        with restoring(file):
            return float(read_json(file)["suggestion"])

    def _sizes(self, facts: str = "") -> str:
        """Sizes of the subsets, further facts, and notes on the settings."""
        sizes = ", ".join(f"{len(found):,} {subset}" for subset, found in self.targets.items() if len(found))
        config, heads, choice = self.job.config, self.job.heads, self.job.choice
        idle, several = unused(config, heads), repeated(config, heads)
        notes = [choice.summary if choice else "", f"without effect here: {', '.join(idle)}" if idle else ""]
        notes += [f"{' and '.join(several)} each make up for rare classes: use one" if several else ""]
        return "; ".join([f"{sizes} windows{facts}", *filter(None, notes)])


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
        windows = self.targets["validation"].sample(validated(self.job.config, len(self.targets["train"])), self.seed)
        return self.job.batches(windows, process=processes.place(self.trainer))


def validated(config: Config, learned: int) -> int:
    """Most validation windows after an epoch of ``learned`` training windows."""
    most = config.epoch_windows or sys.maxsize
    if config.evaluate_every != "auto":
        return most
    return min(most, max(_LEAST_VALIDATED, min(learned, most) * 3 // 10))  # validating costs a third of training


def _options(job: Job) -> dict[str, Any]:
    """Options of Lightning's Trainer for a job."""
    return {
        "accelerator": job.device.type,
        **processes.options(job.config, job.device),
        "precision": job.precision,
        "accumulate_grad_batches": job.config.accumulate,
        "gradient_clip_val": job.config.clip_gradient or None,
        "logger": False,
        "enable_progress_bar": False,
        "enable_model_summary": False,
        "num_sanity_val_steps": 0,
        "reload_dataloaders_every_n_epochs": 1,
    }


def _restore(task: Training, path: Path) -> dict[str, Any]:
    """Load a checkpoint into the module; returns its content."""
    checkpoint: dict[str, Any] = torch.load(path, map_location="cpu", weights_only=True)
    task.load_state_dict(checkpoint["state_dict"])
    return checkpoint


@contextmanager
def _quiet() -> Iterator[None]:
    """Silence Lightning's messages, and raise KeyboardInterrupt where it exits after Ctrl-C or SIGTERM."""
    loggers = [logging.getLogger(name) for name in ("lightning.pytorch", "lightning.fabric")]
    levels = [logger.level for logger in loggers]
    try:
        for logger in loggers:
            logger.setLevel(logging.ERROR)
        with warnings.catch_warnings():
            warnings.filterwarnings("ignore", module="lightning.*")
            yield
    except SystemExit:
        raise KeyboardInterrupt from None
    finally:
        for logger, level in zip(loggers, levels, strict=True):
            logger.setLevel(level)
