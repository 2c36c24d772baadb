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

#: Torch's optimizers that need a closure or sparse gradients.
_UNSUITABLE = ("LBFGS", "SparseAdam")
#: Biases and embeddings without weight decay, whatever their shape.
_UNDECAYED = re.compile(r"\.(\w*bias|pos\w*|class_token|joint)$")
#: Torch's optimizers by name in lower case.
OPTIMIZERS: dict[str, type[Optimizer]] = {
    name.lower(): value
    for name, value in vars(torch.optim).items()
    if inspect.isclass(value) and issubclass(value, Optimizer) and value is not Optimizer and name not in _UNSUITABLE
}

#: ``schedule(optimizer, steps, config) -> scheduler or None``; ``facts``: its interval, ``step`` or ``epoch``.
SCHEDULES: Registry[str] = Registry("schedule", "skelemo.schedules")
#: Initial learning rate of a warm-up relative to ``lr``.
_FIRST_RATE = 1e-3


def make_optimizer(
    network: nn.Module, config: "Config", further: Iterable[nn.Parameter] = (), taken: Collection[str] = ()
) -> Optimizer:
    """The optimizer over `parameter_groups`, and ``further`` parameters without weight decay.

    Weights ``taken`` from another run have the learning rate ``lr * init_rate``.

    Raises `ConfigError`: an unknown optimizer, or one that does not suit the network.
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
    try:
        return OPTIMIZERS[name](groups, **{key: value for key, value in options.items() if key in known})
    except ValueError as error:  # such as Muon, for matrices only
        raise ConfigError(f"optimizer {name} does not suit {config.arch}: {error}; choose another") from None


def parameter_groups(
    network: nn.Module, backbone_lr: float, rates: Mapping[str, float] | None = None
) -> Iterator[dict[str, Any]]:
    """Trainable parameters grouped by learning rate and weight decay; those with the usual rate come first.

    The network's ``backbone_parameters()`` have the learning rate ``backbone_lr``, parameters in ``rates`` their own.
    Norms, biases and positional embeddings have no weight decay.
    """
    find: Callable[[], Any] | None = getattr(network, "backbone_parameters", None)
    backbone = {id(parameter) for parameter in find()} if find else set()
    groups: dict[tuple[float | None, bool], list[nn.Parameter]] = {}
    for name, parameter in network.named_parameters():
        if parameter.requires_grad:
            rate = (rates or {}).get(name, backbone_lr if id(parameter) in backbone else None)
            decays = parameter.ndim > 1 and not _UNDECAYED.search(name)
            groups.setdefault((rate, decays), []).append(parameter)
    for (own, decays), parameters in sorted(groups.items(), key=lambda group: group[0][0] is not None):
        yield {
            "params": parameters,
            **({} if own is None else {"lr": own}),
            **({} if decays else {"weight_decay": 0.0}),
        }


def require_warmup(steps: int, config: "Config") -> None:
    """Raise `ConfigError` for a warm-up that is longer than the training or combined with onecycle."""
    if config.warmup and config.schedule == "onecycle":
        raise ConfigError("the schedule onecycle includes a warm-up: omit warmup")
    if config.warmup >= steps > 0:
        raise ConfigError(
            f"warmup is {config.warmup:,} steps, but the training has only {steps:,}: shorten it, or train longer"
        )


def make_schedules(optimizer: Optimizer, steps: int, config: "Config") -> list[dict[str, Any]]:
    """Lightning's ``lr_scheduler`` entries for the warm-up and the schedule.

    Raises `ConfigError` as `require_warmup`.
    """
    require_warmup(steps, config)
    entry = SCHEDULES[config.schedule]
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
    """A constant rate."""


@SCHEDULES.register("cosine", "step")
def cosine(optimizer: Optimizer, steps: int, config: "Config") -> LRScheduler:
    """Cosine annealing to zero."""
    return CosineAnnealingLR(optimizer, steps)


@SCHEDULES.register("onecycle", "step")
def onecycle(optimizer: Optimizer, steps: int, config: "Config") -> LRScheduler:
    """Warm-up to the rate, then annealing to nearly zero (Smith & Topin 2018); the momentum is constant."""
    rates = [group["lr"] for group in optimizer.param_groups]
    return OneCycleLR(optimizer, rates, steps, cycle_momentum=False)


@SCHEDULES.register("plateau", "epoch")
def plateau(optimizer: Optimizer, steps: int, config: "Config") -> ReduceLROnPlateau:
    """Divide the rate by ten after more than ``plateau_patience`` epochs without a better score.

    (With torch's relative threshold, an equal negative score would be better.)
    """
    mode: Any = "max" if config.monitor == "score" else "min"
    return ReduceLROnPlateau(optimizer, mode, patience=config.plateau_patience, threshold=0.0)
