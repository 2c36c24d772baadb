"""One fold: train the network, keep its best state, predict what is scored."""

import inspect
import logging
import sys
import warnings
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, cast

import lightning
import numpy as np
import pandas as pd
import torch
from torch import nn

from skelemo.atomic import sweep
from skelemo.data.calibration import people_of
from skelemo.data.corpus import Corpus
from skelemo.data.loader import Batches
from skelemo.data.pretext import Pretext
from skelemo.data.splits import SUBSETS, Fold
from skelemo.data.windows import Targets, find_targets
from skelemo.errors import ConfigError
from skelemo.evaluation.circumplex import READING
from skelemo.evaluation.metrics import main_metric
from skelemo.inference.cost import throughput
from skelemo.models import registry
from skelemo.models.baselines import Baseline, constant_flags
from skelemo.runs.folder import read_json, write_json
from skelemo.runs.model_file import FACTS, has_model, read_model
from skelemo.targets import Head, hard_labels
from skelemo.text import count
from skelemo.training import predicting, processes
from skelemo.training.callbacks import Checkpoints, History, Progress, restoring
from skelemo.training.choice import Choice
from skelemo.training.config import Config
from skelemo.training.initial import Start, initialize, start_at_mean
from skelemo.training.losses import Context, context_of
from skelemo.training.module import MONITORED, Training
from skelemo.training.rate import RateCurve, find_rate

#: What the learning-rate finder saw, in the folder of a training.
RATE = "lr_find.json"

#: Validation windows that are looked at after every epoch, where there are so many.
_LEAST_VALIDATED = 1000

#: Windows that the deviations of what is reconstructed are measured on, at most.
_MEASURED = 4000

#: Called with epochs done in this fold, epochs at most, and sizes or figures.
Report = Callable[[int, int, str], None]


@dataclass(frozen=True)
class Job:
    """What all folds of a run share."""

    config: Config
    corpus: Corpus
    device: torch.device
    choice: Choice | None = None
    callbacks: tuple[lightning.Callback, ...] = ()
    origin: Path | None = None  # folder of the model to start from
    steps: np.ndarray | None = None  # see `skelemo.data.novelty`
    pretext: Pretext | None = None
    emotions: tuple[np.ndarray, np.ndarray] | None = None  # see `labeled_windows`

    @property
    def heads(self) -> tuple[Head, ...]:
        """The heads that are trained, in the order of the configuration."""
        return tuple(self.corpus.head(name) for name in self.config.heads)

    @property
    def answered(self) -> tuple[Head, ...]:
        """These, and what they are read as where that is asked for."""
        return self.heads if self.config.neutral_radius is None else (*self.heads, READING)

    def create(self, *, restored: bool = False) -> nn.Module:
        """The network, untrained; one whose weights are restored after this is not given any to start from."""
        config = self.config
        settings = registry.lasting(config.model) if restored else config.model
        network = registry.create(
            config.arch,
            layout_name=self.corpus.layout.name,
            heads=self.heads,
            frames=config.length,
            **settings,
        )
        if config.pretrain:
            start_at_mean(network, config.heads)
        return network

    def start(self, network: nn.Module) -> Start | None:
        """Give the network the weights to start from, where the configuration names some."""
        if self.origin is None:
            return None
        return initialize(network, self.origin, self.config, self.corpus.layout.name, self.heads)

    def targets(self, fold: Fold) -> dict[str, Targets]:
        """Windows of each subset: training learns only from visible targets, scores count every labeled one."""
        config, ids, found = self.config, pd.Index(self.corpus.sequences["id"]), {}
        thinned = 1 if config.evaluate_every == "auto" else config.evaluate_every
        every = {"train": config.every, "validation": thinned, "test": 1}
        for subset in SUBSETS:
            rows, learns = np.sort(ids.get_indexer(list(getattr(fold, subset)))), subset == "train"
            found[subset] = find_targets(
                self.corpus,
                rows,
                config.window,
                () if config.pretrain else config.heads,
                every=every[subset],
                seen_only=learns or config.pretrain,
                steps=self.steps if learns else None,
            )
        return found

    def batches(self, targets: Targets, seed: int | None = None, process: tuple[int, int] = (0, 1)) -> Batches:
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
            process=process,
            most=config.epoch_windows if seed is not None else 0,
            balance=balance_of(self.heads, targets) if config.balance and seed is not None else None,
            pretext=self.pretext,
        )

    def hiding(self, learn: Targets) -> "Job":
        """The job with the pretext of a fold that learns from these windows."""
        config = self.config
        some = learn[np.unique(np.linspace(0, len(learn) - 1, min(len(learn), _MEASURED)).astype(int))]
        windows = (batch["keypoints"] for batch in self.batches(some))
        return replace(self, pretext=Pretext.fit(config.hide_points, config.hide_frames, windows))


def balance_of(heads: Sequence[Head], targets: Targets) -> np.ndarray:
    """``[W]`` how likely each window is to be drawn, so that all classes of the first head of classes come alike.

    Raises `ConfigError`: there is no head of classes.
    """
    head = next((head for head in heads if head.kind == "classes"), None)
    if head is None:
        raise ConfigError(f"balance is for heads of classes, and {', '.join(one.name for one in heads)} has none")
    labels = hard_labels(targets.labels[head.name])
    counts = np.bincount(labels[labels >= 0], minlength=len(head))
    weights = np.where(labels >= 0, 1 / np.maximum(counts, 1)[labels], np.nan)
    return np.nan_to_num(weights, nan=float(np.nanmean(weights)))


def require_windows(job: Job, fold: Fold, number: int) -> None:
    """Refuse a fold from whose windows nothing can be learned, chosen or scored.

    Raises `ConfigError`: the subset that lacks windows or labels, or the setting that needs others.
    """
    config, targets = job.config, job.targets(fold)
    train, validation, test = (len(targets[subset]) for subset in SUBSETS)
    in_train, in_validation, in_test = (
        f"the {subset} subset (of {count(len(getattr(fold, subset)), 'sequence')})" for subset in SUBSETS
    )
    untaught, single, constant = [], [], []
    for head in () if config.pretrain else job.heads:
        labels = targets["train"].labels[head.name]
        known = labels[head.labeled(labels)]
        if not len(known):
            untaught.append(head.name)
        elif head.kind == "classes" and len(np.unique(hard_labels(known))) == 1:
            single.append(head.name)
        elif config.is_baseline:
            constant += [f"{name} of {head.name}" for name in constant_flags(head, labels)]
    others = f" and {len(constant) - 5} more" if len(constant) > 5 else ""
    labeled = "visible" if config.pretrain else "labeled"
    watches = config.schedule == "plateau" and not config.is_baseline
    for wrong, message in (
        (not train, f"no {labeled} window in {in_train}"),
        (untaught, f"no window in {in_train} has a label for the head {', '.join(untaught)}; choose another --head"),
        (config.is_baseline and single, f"all windows in {in_train} are of one class, and {config.arch} needs two"),
        (
            constant,
            f"{config.arch} cannot learn {', '.join(constant[:5])}{others}: a baseline needs windows with and without "
            f"each flag, and in {in_train} they are alike; take a network (--arch ann), a split in which they vary "
            "(split_seed), or labels without these flags",
        ),
        (train == 1, f"only one {labeled} window in {in_train}; expected two or more"),
        (fold.validation and not validation, f"no {labeled} window in {in_validation}"),
        (
            not validation + test and not config.pretrain,
            f"nothing to score: no labeled window in {in_test}, and no validation subset",
        ),
        (
            config.neutral_radius == "auto" and not (predicting.emotions_of(job, targets["validation"]) >= 0).any(),
            "neutral_radius: auto is chosen by labels of the seven emotions in the validation subset, and there are "
            "none; name a radius, as in neutral_radius=0.2",
        ),
        (watches and not validation, "schedule plateau watches the validation subset, and there is none; take cosine"),
    ):
        if wrong:
            raise ConfigError(f"fold {number}: {message}")


def run_fold(job: Job, fold: Fold, number: int, folder: Path, report: Report) -> pd.DataFrame:
    """Train a fold in ``folder`` (or continue what is there) and predict its validation and test windows."""
    targets = job.targets(fold)
    seed = job.config.seed + 1000 * (number - 1)
    folder.mkdir(parents=True, exist_ok=True)
    if job.config.is_baseline and processes.rank():  # the first process fits it alone
        return pd.DataFrame()
    job = job.hiding(targets["train"]) if job.config.pretrain else job
    model = _trained(job, targets, folder, seed, report)
    if processes.rank() or job.config.pretrain:  # the first process predicts and writes
        return pd.DataFrame()
    return predicting.predict_fold(job, model, targets, number, folder, _predicts_in(job))


def measure_throughput(job: Job, fold: Fold, folder: Path) -> dict[str, Any]:
    """How fast the model in the folder of a finished training predicts what it is scored on."""
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
    """The fold's baseline, fitted now or read from the folder of a resumed run."""
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
    """The fold's network, trained now or read from the folder of a resumed run."""
    checkpoints = folder / "checkpoints"
    checkpoints.mkdir(parents=True, exist_ok=True)
    for place in (folder, checkpoints):
        sweep(place)
    torch.manual_seed(seed)
    finished, begun = has_model(folder), (checkpoints / "last.ckpt").exists()
    network = job.create(restored=finished or begun).to(job.device)
    if "frame_size" in inspect.signature(network.forward).parameters:  # it draws: convolutions are faster so
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
    """Fresh batches for every epoch, drawn from the fold's seed and the epoch alone."""

    def __init__(self, job: Job, targets: dict[str, Targets], seed: int) -> None:
        super().__init__()
        self.job, self.targets, self.seed = job, targets, seed

    def train_dataloader(self) -> Batches:
        epoch = self.trainer.current_epoch if self.trainer else 0
        process = processes.place(self.trainer)
        return self.job.batches(self.targets["train"], seed=self.seed * 100_003 + epoch, process=process)

    def val_dataloader(self) -> Batches:
        """The validation windows, or the same sample of them in every epoch; all are scored in the end."""
        windows = self.targets["validation"]
        most = validated(self.job.config, len(self.targets["train"]))
        if len(windows) > most:
            windows = windows[np.sort(np.random.default_rng(self.seed).permutation(len(windows))[:most])]
        return self.job.batches(windows, process=processes.place(self.trainer))


def validated(config: Config, learned: int) -> int:
    """Validation windows that an epoch with ``learned`` windows to learn from is followed by, at most."""
    most = config.epoch_windows or sys.maxsize
    if config.evaluate_every != "auto":
        return most
    return min(most, max(_LEAST_VALIDATED, min(learned, most) * 3 // 10))  # a window costs a third of one to learn from


def _learn(job: Job, network: nn.Module, targets: dict[str, Targets], folder: Path, seed: int, report: Report) -> None:
    """Train the network and load the state that validation chose, or the last one without validation."""
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
    figures = [f"validation_{head.name}_{main_metric(head)}" for head in job.heads]
    kept = Checkpoints(folder / "checkpoints", monitor, mode, config.patience, config.patience_steps)
    with _quiet():
        trainer = lightning.Trainer(
            **_options(job),
            max_epochs=_epochs(config, len(loaders.train_dataloader())),
            callbacks=[History(folder / "metrics.csv"), Progress(report, start, figures), *job.callbacks, kept],
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
        except SystemExit:  # what Lightning makes of Ctrl-C
            raise KeyboardInterrupt from None
    with restoring(kept.best):
        _restore(task, kept.best)
    if task.average is not None:
        network.load_state_dict(task.kept.state_dict())
    network.to(job.device)


def _options(job: Job) -> dict[str, Any]:
    """What every trainer of a job is made with."""
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
    return Training(network, config, job.heads, contexts, seed, start)


def rate_curve(
    job: Job, targets: dict[str, Targets], seed: int, network: nn.Module | None = None, start: Start | None = None
) -> RateCurve:
    """What the learning-rate finder sees on the training subset."""
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
    """The curve in the folder, or a new one: a resumed training keeps its rate."""
    file = folder / RATE
    if file.exists():
        with restoring(file):
            return RateCurve.from_json(read_json(file))
    curve = rate_curve(job, targets, seed, network, start)
    write_json(file, curve.to_json())
    return curve


def _epochs(config: Config, batches: int) -> int:
    """Epochs at most: as set, or as many as the wanted steps take."""
    return -(-config.steps // -(-batches // config.accumulate)) if config.steps else config.epochs


def _sizes(job: Job, targets: dict[str, Targets]) -> str:
    sizes = f"{', '.join(f'{len(found):,} {subset}' for subset, found in targets.items() if len(found))} windows"
    return f"{sizes}; {job.choice.summary}" if job.choice and job.choice.summary else sizes


def _restore(task: Training, path: Path) -> dict[str, Any]:
    """Load a checkpoint into the module and return its content."""
    checkpoint: dict[str, Any] = torch.load(path, map_location="cpu", weights_only=True)
    task.load_state_dict(checkpoint["state_dict"])
    return checkpoint


def precision(config: Config, device: torch.device) -> Any:
    """The precision of a training; ``auto`` is bfloat16 where the device has units for it."""
    if config.precision != "auto":
        return config.precision
    if device.type == "cuda":
        fast = torch.cuda.is_bf16_supported(including_emulation=False)
    else:
        has_units = torch.cpu._is_avx512_bf16_supported() or torch.cpu._is_amx_tile_supported()
        fast = device.type == "cpu" and torch.backends.mkldnn.is_available() and has_units
    return "bf16-mixed" if fast else "32-true"


@contextmanager
def _quiet() -> Iterator[None]:
    """Silence Lightning's notes on devices, workers and tips."""
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
