"""A training's configuration, data and device, and checks of its windows."""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path

import lightning
import numpy as np
import pandas as pd
import torch
from torch import nn

from skelemo.data.corpus import KEY_SPAN, Corpus
from skelemo.data.loader import Batches
from skelemo.data.pretext import Pretext, person_means, region_of
from skelemo.data.splits import SUBSETS, Fold
from skelemo.data.windows import Targets, find_targets
from skelemo.errors import ConfigError
from skelemo.evaluation.circumplex import READING
from skelemo.models import registry
from skelemo.models.baselines import constant_flags
from skelemo.targets import Head, hard_labels
from skelemo.text import count, some
from skelemo.training.choice import Choice
from skelemo.training.config import Config
from skelemo.training.initial import Start, initialize, start_at_mean
from skelemo.training.optimizers import require_warmup
from skelemo.training.predicting import emotions_of

#: Most windows used to measure the standard deviations of the reconstruction targets.
_MEASURED = 4000


@dataclass(frozen=True)
class Job:
    """Configuration, data and device of a training."""

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
        """The trained heads, in the order of the configuration."""
        return tuple(self.corpus.head(name) for name in self.config.heads)

    @property
    def all_heads(self) -> tuple[Head, ...]:
        """`heads`, and the emotion that two values map to if configured."""
        return self.heads if self.config.neutral_radius is None else (*self.heads, READING)

    @property
    def precision(self) -> str:
        """Lightning's name of the precision."""
        if self.config.is_baseline:
            return "32-true"
        return fast_precision(self.device) if self.config.precision == "auto" else self.config.precision

    def create(self, *, restored: bool = False) -> nn.Module:
        """The untrained network; ``restored`` skips pretrained weights that would be overwritten."""
        config = self.config
        settings = registry.lasting(config.model) if restored else config.model
        layout_name = self.corpus.layout.name
        network = registry.create(
            config.arch, layout_name=layout_name, heads=self.heads, frames=config.length, **settings
        )
        if config.pretrain:
            start_at_mean(network, config.heads)
        return network

    def start(self, network: nn.Module) -> Start | None:
        """Initialize the network with weights of another run, if configured."""
        if self.origin is None:
            return None
        return initialize(network, self.origin, self.config, self.corpus.layout.name, self.heads)

    def targets(self, fold: Fold) -> dict[str, Targets]:
        """Windows of each subset: training uses visible targets only, scores use all labeled ones."""
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
        """Batches of windows; shuffled and augmented with a seed."""
        config, trains = self.config, seed is not None
        return Batches(
            self.corpus,
            targets,
            config.window,
            config.batch_size,
            self.device,
            augmentation=config.augmentation if trains else None,
            seed=seed,
            process=process,
            most=config.epoch_windows if trains else 0,
            balance=balance_of(self.heads, targets) if config.balance and trains else None,
            pretext=self.pretext,
        )

    def hiding(self, learn: Targets) -> "Job":
        """The job with a pretext task fitted to these training windows."""
        config = self.config
        some = learn[np.unique(np.linspace(0, len(learn) - 1, min(len(learn), _MEASURED)).astype(int))]
        key = self.corpus.key
        windows = ((batch["keypoints"], key[batch["row"].to(key.device)] // KEY_SPAN) for batch in self.batches(some))
        people = person_means(self.corpus, np.unique(self.corpus.sequence(learn.row)))
        region = region_of(self.corpus.layout)
        return replace(self, pretext=Pretext.fit(config.hide_regions, config.hide_frames, region, windows, people))


def balance_of(heads: Sequence[Head], targets: Targets) -> np.ndarray:
    """Sampling weights ``[W]`` that make all classes of the first head of classes equally frequent.

    Raises `ConfigError`: no head of classes.
    """
    head = next((head for head in heads if head.kind == "classes"), None)
    if head is None:
        raise ConfigError(f"balance needs a head of classes; {', '.join(one.name for one in heads)} has none")
    labels = hard_labels(targets.labels[head.name])
    counts = np.bincount(labels[labels >= 0], minlength=len(head))
    weights = np.where(labels >= 0, 1 / np.maximum(counts, 1)[labels], np.nan)
    return np.nan_to_num(weights, nan=float(np.nanmean(weights)))


def require_windows(job: Job, fold: Fold, number: int) -> None:
    """Raise `ConfigError` for a fold whose windows do not suffice to warm up, train, select or score a model."""
    config, targets = job.config, job.targets(fold)
    train, validation, test = (len(targets[subset]) for subset in SUBSETS)
    in_train, in_validation, in_test = (
        f"the {subset} subset (of {count(len(getattr(fold, subset)), 'sequence')})" for subset in SUBSETS
    )
    unlabeled, single, constant = [], [], []
    for head in () if config.pretrain else job.heads:
        labels = targets["train"].labels[head.name]
        known = labels[head.labeled(labels)]
        classes = hard_labels(known) if config.is_baseline else known  # networks learn soft labels
        if not len(known):
            unlabeled.append(head.name)
        elif head.kind == "classes" and len(np.unique(classes, axis=0)) == 1:
            single.append(head.name)
        elif config.is_baseline:
            constant += [f"{name} of {head.name}" for name in constant_flags(head, labels)]
    labeled = "visible" if config.pretrain else "labeled"
    plateau = config.schedule == "plateau" and not config.is_baseline
    if config.balance and not config.pretrain and not config.is_baseline and not unlabeled:
        balance_of(job.heads, targets["train"])
    for wrong, message in (
        (not train, f"no {labeled} window in {in_train}"),
        (unlabeled, f"no window in {in_train} has a label for the head {', '.join(unlabeled)}; choose another --head"),
        (
            single,
            f"all windows in {in_train} have the same class of {', '.join(single)}; {config.arch} needs two: add data, "
            "or choose another split or --head",
        ),
        (
            constant,
            f"{config.arch} cannot learn {some(constant, 5)}, constant or unlabeled in {in_train}; choose a network "
            "(--arch ann), another split (split_seed), or labels without these flags",
        ),
        (train == 1, f"only one {labeled} window in {in_train}; expected two or more"),
        (fold.validation and not validation, f"no {labeled} window in {in_validation}"),
        (
            not validation + test and not config.pretrain,
            f"nothing to score: no labeled window in {in_test}, and no validation subset",
        ),
        (
            config.neutral_radius == "auto" and not (emotions_of(job, targets["validation"]) >= 0).any(),
            "neutral_radius: auto needs labels of the seven emotions in the validation subset; set a radius, e.g. "
            "neutral_radius=0.2",
        ),
        (plateau and not validation, "schedule plateau needs a validation subset; choose another, e.g. cosine"),
    ):
        if wrong:
            raise ConfigError(f"fold {number}: {message}")
    if config.warmup and not config.is_baseline:
        steps = config.epoch_steps(len(job.batches(targets["train"], config.seed)))
        require_warmup(steps * config.training_epochs(steps), config)


def fast_precision(device: torch.device) -> str:
    """bfloat16 if the hardware supports it, else float32, as Lightning names them."""
    if device.type == "cuda":
        fast = torch.cuda.is_bf16_supported(including_emulation=False)
    else:
        has_units = torch.cpu._is_avx512_bf16_supported() or torch.cpu._is_amx_tile_supported()
        fast = device.type == "cpu" and torch.backends.mkldnn.is_available() and has_units
    return "bf16-mixed" if fast else "32-true"
