"""The learning-rate finder: the loss for a rate that increases with each step (Smith 2017, arXiv:1506.01186)."""

import math
from collections.abc import Mapping
from copy import deepcopy
from dataclasses import dataclass
from typing import Any

import lightning
import numpy as np
import pandas as pd
from lightning.pytorch.callbacks import Callback

from skelemo.errors import ConfigError
from skelemo.training.module import Training

#: Range of rates, on a logarithmic scale, and number of steps.
LOWEST, HIGHEST, STEPS = 1e-6, 10.0, 140
#: Exponential smoothing of the loss; multiple of the lowest smoothed loss that ends the test; first steps, which with
#: rates up to 3e-5 learn next to nothing.
_SMOOTHING, _FAR, _FIRST = 0.9, 4.0, 30
#: Least decrease of the smoothed loss, in its standard deviations over the first steps.
_CLEAR = 3.0
#: Suggested rate relative to the rate of the lowest loss, which is just before divergence.
_SHARE = 0.1


@dataclass(frozen=True)
class RateCurve:
    """Smoothed loss by learning rate, and a suggestion: a tenth of the rate with the lowest loss."""

    suggestion: float
    rate: tuple[float, ...]
    loss: tuple[float, ...]


def find_rate(task: Training, loaders: lightning.LightningDataModule, options: Mapping[str, Any]) -> RateCurve:
    """Train a copy of the network for `STEPS` steps on the training subset with increasing rate.

    Raises `ConfigError`: the loss never clearly falls, or is not finite from the start.

    Parameters
    ----------
    options : options of Lightning's Trainer.
    """
    rising = task.config.model_copy(update={"lr": LOWEST, "schedule": "constant", "warmup": 0, "ema": 0.0})
    probe = _Probe(deepcopy(task.network), rising, task.heads, task.contexts, task.seed, task.start)
    sweep = _Sweep()
    own = {"max_steps": STEPS, "max_epochs": -1, "limit_val_batches": 0, "callbacks": [sweep]}
    lightning.Trainer(**{**options, **own, "enable_checkpointing": False}).fit(probe, datamodule=loaders)
    return curve_of(np.array(sweep.losses))


def curve_of(losses: np.ndarray) -> RateCurve:
    """The curve from the losses ``[S]`` of the first S steps."""
    rates = np.array([_rate(step) for step in range(len(losses))])
    smooth = _smoothed(losses)
    lowest = _FIRST + int(smooth[_FIRST:].argmin()) if len(smooth) > _FIRST else 0
    before, noise = losses[:_FIRST], math.sqrt((1 - _SMOOTHING) / (1 + _SMOOTHING))
    if lowest <= _FIRST or smooth[lowest] >= before.mean() - _CLEAR * noise * before.std():
        raise ConfigError(
            "the learning rate finder found no rate at which the loss falls by more than its noise: set lr, "
            "e.g. --set lr=0.001, or increase batch_size or accumulate"
        )
    return RateCurve(float(rates[lowest]) * _SHARE, tuple(rates.tolist()), tuple(smooth.tolist()))


def _smoothed(losses: np.ndarray | list[float]) -> np.ndarray:
    return pd.Series(losses).ewm(alpha=1 - _SMOOTHING).mean().to_numpy()


def _rate(step: int) -> float:
    return float(LOWEST * (HIGHEST / LOWEST) ** (step / (STEPS - 1)))


class _Probe(Training):
    """A training that is allowed to diverge."""

    def on_train_epoch_end(self) -> None:
        """Skip the check for finite weights."""


class _Sweep(Callback):
    """Increases the rate with every step, records the losses, and stops when they diverge."""

    def __init__(self) -> None:
        self.losses: list[float] = []
        self.ratios: list[float] = []
        self._batches: list[float] = []

    def on_train_batch_start(self, trainer: lightning.Trainer, module: Any, batch: Any, index: int) -> None:
        """Set the step's rate, keeping the ratios between parameter groups."""
        groups = trainer.optimizers[0].param_groups
        self.ratios = self.ratios or [group["lr"] / LOWEST for group in groups]
        for group, ratio in zip(groups, self.ratios, strict=True):
            group["lr"] = ratio * _rate(len(self.losses))

    def on_train_batch_end(self, trainer: lightning.Trainer, module: Any, outputs: Any, batch: Any, index: int) -> None:
        """Record the loss of the step, the sum over its batches: each is already divided by their number."""
        self._batches.append(float(outputs["loss"]))
        if trainer.global_step > len(self.losses):
            loss = sum(self._batches)
            self._batches = []
            if math.isfinite(loss):
                self.losses.append(loss)
            smooth = _smoothed(self.losses)[_FIRST:]
            if not math.isfinite(loss) or (len(smooth) and smooth[-1] > _FAR * abs(smooth.min())):
                trainer.should_stop = True
