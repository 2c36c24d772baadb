"""Optimizers and learning-rate schedules by name."""

import inspect
import re
from collections.abc import Callable, Collection, Iterable, Iterator, Mapping
from typing import TYPE_CHECKING, Any

import torch
from torch import nn
from torch.optim import Optimizer
from torch.optim.lr_scheduler import (
    CosineAnnealingLR,
    LinearLR,
    LRScheduler,
    OneCycleLR,
    ReduceLROnPlateau,
    SequentialLR,
)

from skelemo.errors import ConfigError, unknown
from skelemo.plugins import Registry

if TYPE_CHECKING:
    from skelemo.training.config import Config

#: Optimizers of torch that do not fit a plain training loop: they need a closure, or sparse gradients.
_UNSUITABLE = ("LBFGS", "SparseAdam")
#: Names of matrices that are biases or embeddings of positions and joints, which weight decay leaves alone.
_UNDECAYED = re.compile(r"\.(\w*bias|pos\w*|class_token|joint)$")
#: Any optimizer of torch by its name in lower case.
OPTIMIZERS: dict[str, type[Optimizer]] = {
    name.lower(): value
    for name, value in vars(torch.optim).items()
    if inspect.isclass(value) and issubclass(value, Optimizer) and value is not Optimizer and name not in _UNSUITABLE
}

#: ``schedule(optimizer, steps, config) -> scheduler or None``; facts: when it steps, by ``step`` or by ``epoch``.
SCHEDULES: Registry[str] = Registry("schedule", "skelemo.schedules")


def make_optimizer(
    network: nn.Module, config: "Config", further: Iterable[nn.Parameter] = (), taken: Collection[str] = ()
) -> Optimizer:
    """The optimizer of a training over `parameter_groups`, and ``further`` parameters without weight decay.

    What is ``taken`` from another run learns at the rate that ``init_rate`` sets.

    Raises `ConfigError`: an unknown optimizer.
    """
    name = str(config.optimizer)
    if name not in OPTIMIZERS:
        raise unknown("optimizer", name, OPTIMIZERS)
    known = inspect.signature(OPTIMIZERS[name]).parameters
    options: dict[str, Any] = {"lr": float(config.lr), "weight_decay": config.weight_decay}
    if "momentum" in known:
        options |= {"momentum": config.momentum}
    if "nesterov" in known:
        options |= {"nesterov": config.momentum > 0}
    rates = dict.fromkeys(taken if config.init_rate != 1 else (), float(config.lr) * config.init_rate)
    groups = list(parameter_groups(network, float(config.lr) * config.backbone_lr, rates))
    if extra := [*further]:
        groups.append({"params": extra, "weight_decay": 0.0})
    return OPTIMIZERS[name](groups, **{key: value for key, value in options.items() if key in known})


def parameter_groups(
    network: nn.Module, backbone_lr: float, rates: Mapping[str, float] | None = None
) -> Iterator[dict[str, Any]]:
    """Trainable parameters by learning rate and weight decay.

    What the network calls its backbone (``backbone_parameters()``) learns at a rate of its own, and so does what
    ``rates`` names. Norms, biases and embeddings of positions are not decayed.
    """
    find: Callable[[], Any] | None = getattr(network, "backbone_parameters", None)
    backbone = {id(parameter) for parameter in find()} if find else set()
    groups: dict[tuple[float | None, bool], list[nn.Parameter]] = {}
    for name, parameter in network.named_parameters():
        if parameter.requires_grad:
            rate = (rates or {}).get(name, backbone_lr if id(parameter) in backbone else None)
            decays = parameter.ndim > 1 and not _UNDECAYED.search(name)
            groups.setdefault((rate, decays), []).append(parameter)
    for (own, decays), parameters in groups.items():
        yield {
            "params": parameters,
            **({} if own is None else {"lr": own}),
            **({} if decays else {"weight_decay": 0.0}),
        }


#: Rate of the first step of a warm-up, as a share of ``lr``.
_FIRST_RATE = 1e-3


def make_schedules(optimizer: Optimizer, steps: int, config: "Config") -> list[dict[str, Any]]:
    """What Lightning takes as ``lr_scheduler``: the warm-up and the schedule behind it, as far as there are any.

    Raises `ConfigError`: an unknown schedule, or a warm-up that is longer than the training or stands before one.
    """
    entry = SCHEDULES[config.schedule]
    if config.warmup and config.schedule == "onecycle":
        raise ConfigError("the schedule onecycle warms up by itself: leave warmup out")
    if config.warmup >= steps > 0:
        raise ConfigError(f"warmup is {config.warmup:,} steps, and the training has {steps:,}: take fewer")
    made: list[tuple[Any, str]] = []
    if config.warmup:
        made.append((LinearLR(optimizer, _FIRST_RATE, total_iters=config.warmup), "step"))
    if scheduler := entry.function(optimizer, steps - config.warmup, config):
        made.append((scheduler, entry.facts))
    if len(made) == 2 and entry.facts == "step":
        made = [(SequentialLR(optimizer, [made[0][0], made[1][0]], [config.warmup]), "step")]
    monitor = f"validation_{config.monitor}"
    return [{"scheduler": scheduler, "interval": interval, "monitor": monitor} for scheduler, interval in made]


@SCHEDULES.register("constant", "step")
def constant(optimizer: Optimizer, steps: int, config: "Config") -> None:
    """The same rate throughout."""


@SCHEDULES.register("cosine", "step")
def cosine(optimizer: Optimizer, steps: int, config: "Config") -> LRScheduler:
    """Half a cosine from the rate to zero."""
    return CosineAnnealingLR(optimizer, steps)


@SCHEDULES.register("onecycle", "step")
def onecycle(optimizer: Optimizer, steps: int, config: "Config") -> LRScheduler:
    """Warm-up to the rate, then down to nearly zero (Smith & Topin 2018); the momentum stays as it is set."""
    rates = [group["lr"] for group in optimizer.param_groups]
    return OneCycleLR(optimizer, rates, steps, cycle_momentum=False)


@SCHEDULES.register("plateau", "epoch")
def plateau(optimizer: Optimizer, steps: int, config: "Config") -> ReduceLROnPlateau:
    """A tenth of the rate whenever the validation figure has not improved for ``plateau_patience`` epochs."""
    mode = "max" if config.monitor == "score" else "min"
    return ReduceLROnPlateau(optimizer, mode, patience=config.plateau_patience)  # type: ignore[arg-type]  # checked above
