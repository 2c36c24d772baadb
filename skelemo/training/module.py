"""The LightningModule: network, losses, optimizer and validation score."""

import math
from collections.abc import Callable, Mapping, Sequence
from typing import Any

import lightning
import numpy as np
import torch
from torch import Tensor, nn
from torch.nn import functional
from torch.optim.lr_scheduler import ReduceLROnPlateau
from torch.optim.swa_utils import AveragedModel, get_ema_multi_avg_fn

from skelemo.data.loader import Batch, inputs
from skelemo.errors import ConfigError
from skelemo.evaluation.metrics import main_metric
from skelemo.evaluation.scores import measure
from skelemo.models.heads import probabilities
from skelemo.targets import Head
from skelemo.text import count, some
from skelemo.training.config import Config
from skelemo.training.initial import Start
from skelemo.training.losses import DEFAULTS, Context, head_loss
from skelemo.training.optimizers import make_optimizer, make_schedules
from skelemo.training.processes import agree_on_statistics, gathered

#: Validation metrics for model selection, and whether to maximize or minimize them.
MONITORED = {"score": "max", "loss": "min"}


class Training(lightning.LightningModule):
    """Trains one network's heads on batches of `skelemo.data.loader`.

    Parameters
    ----------
    contexts : statistics of the training labels for each head's loss.
    start : weights loaded from another run.
    named : names of the windows of a batch's rows, for messages.
    seed : seed of this fold; every epoch reseeds from it, which makes resuming exact.
    """

    def __init__(
        self,
        network: nn.Module,
        config: Config,
        heads: tuple[Head, ...],
        contexts: Mapping[str, Context],
        seed: int,
        start: Start | None = None,
        named: Callable[[Tensor], Sequence[str]] = lambda row: [],
    ) -> None:
        super().__init__()
        self.network = network
        self.config = config
        self.heads = heads
        self.contexts = contexts
        self.seed = seed
        self.named = named
        self._wrong: tuple[Tensor, Tensor] | None = None  # see `_watch`
        self.start = start
        self.resting = start.resting(network) if start else []
        #: Log variance of each head, if loss weights are learned.
        self.uncertainty = nn.Parameter(torch.zeros(len(heads))) if config.loss_weighting == "learned" else None
        self.average = (
            AveragedModel(network, multi_avg_fn=get_ema_multi_avg_fn(config.ema), use_buffers=True)
            if config.ema
            else None
        )
        self._outputs: list[tuple[dict[str, Tensor], dict[str, Tensor]]] = []

    def on_train_epoch_start(self) -> None:
        """Reseed: dropout depends only on the seed, the epoch and the process."""
        torch.manual_seed(self.seed + 7919 * (self.current_epoch + 1) + 104_729 * self.global_rank)
        self._wrong = None
        for module in self.resting:
            module.training = False

    @property
    def kept(self) -> nn.Module:
        """The network to validate and save: the moving average of the weights, if enabled."""
        return self.network if self.average is None else self.average.module

    def training_step(self, batch: Batch, number: int) -> Tensor:
        """Loss of one batch."""
        if self.config.mixup:
            loss = self._mixed_loss(batch)
        else:
            loss = self._loss(self.network(**inputs(batch)), batch["labels"])
        self.log("train_loss", loss, on_epoch=True, on_step=False, batch_size=len(batch["row"]), sync_dist=True)
        self._watch(number, loss.detach(), batch["row"])
        return loss * batch.get("weight", 1) * self._share(number)

    def _watch(self, number: int, loss: Tensor, row: Tensor) -> None:
        """Remember the epoch's first step whose loss is not finite, and its rows, without waiting for the device."""
        step, rows = self._wrong or (torch.full((), -1, device=loss.device), row)
        first = (step < 0) & ~loss.isfinite()
        padded = functional.pad(row, (0, len(rows) - len(row)), value=-1)  # the last batch may be smaller
        self._wrong = torch.where(first, number, step), torch.where(first, padded, rows)

    def _share(self, number: int) -> float:
        """Weight of a batch: Lightning divides by ``accumulate`` even where fewer batches are left in the epoch."""
        accumulate = self.config.accumulate
        left = int(self.trainer.num_training_batches) - number // accumulate * accumulate
        return accumulate / min(accumulate, left)

    def on_train_batch_end(self, *_: Any) -> None:
        """Update the moving average of the weights."""
        if self.average is not None and (self.trainer.global_step > int(self.average.n_averaged)):
            self.average.update_parameters(self.network)

    def on_validation_epoch_start(self) -> None:
        """Make all processes validate the same network."""
        agree_on_statistics(self.network)
        agree_on_statistics(self.kept)

    def validation_step(self, batch: Batch, _: int) -> None:
        """Collect the outputs: metrics are computed over all windows, not averaged over batches."""
        self._outputs.append((self.kept(**inputs(batch)), batch["labels"]))

    def on_validation_epoch_end(self) -> None:
        """Log the metrics of each head, and the mean of the main metrics as ``score``.

        The loss is unweighted, since classes absent from training have weight 0.
        """
        everything = gathered([tuple({n: v.cpu() for n, v in side.items()} for side in pair) for pair in self._outputs])
        outputs, labels = (
            {name: torch.cat([batch[name] for batch in side]) for name in side[0]}
            for side in zip(*everything, strict=True)
        )
        self._outputs = []
        found = {"loss": float(self._loss(outputs, labels, weighted=False))}
        main = {}
        scored = math.isfinite(found["loss"]) and not self.config.pretrain  # else `_require_finite` ends the training
        for head in self.heads if scored else ():
            predicted = probabilities(head, outputs[head.name]).cpu().numpy()
            values = measure(head, labels[head.name].cpu().numpy(), predicted)
            found |= {f"{head.name}_{name}": value for name, value in values.items() if math.isfinite(value)}
            main[head.name] = values.get(main_metric(head), math.nan)
        known = [value for value in main.values() if math.isfinite(value)]
        found["score"] = float(np.mean(known)) if known else -found["loss"]
        self.log_dict({f"validation_{name}": value for name, value in found.items()})

    def on_train_epoch_end(self) -> None:
        """Step a plateau schedule, which Lightning would do only after writing the checkpoint.

        Raises `ConfigError`: a metric or a weight is not finite.
        """
        self._require_finite()
        found = self.lr_schedulers()
        for plateau in found if isinstance(found, list) else [found]:
            if isinstance(plateau, ReduceLROnPlateau):
                plateau.step(self.trainer.callback_metrics[f"validation_{self.config.monitor}"])

    def _require_finite(self) -> None:
        metrics = {name: float(value) for name, value in self.trainer.callback_metrics.items()}
        wrong = [f"{name} is {value}" for name, value in metrics.items() if not math.isfinite(value)]
        wrong = [f"{wrong[0]}{self._first_windows()}"] if wrong else []
        if not wrong and not all(bool(value.isfinite().all()) for value in self.network.state_dict().values()):
            wrong = ["a weight is not finite"]
        if wrong:
            raise ConfigError(
                f"training diverged in epoch {self.current_epoch + 1}: {wrong[0]}; "
                f"start again with an lr below {float(self.config.lr):g}, or with clip_gradient=1"
            )

    def _first_windows(self) -> str:
        """The step found by `_watch`, and its windows; empty if there is none."""
        if self._wrong is None or self._wrong[0] < 0:
            return ""
        step, rows = self._wrong
        rows = rows[rows >= 0]
        return f" (first in step {int(step) + 1}, {count(len(rows), 'window')}: {some(self.named(rows))})"

    def lr_scheduler_step(self, scheduler: Any, metric: Any) -> None:
        """Skip plateau schedules, see `on_train_epoch_end`."""
        if not isinstance(scheduler, ReduceLROnPlateau):
            super().lr_scheduler_step(scheduler, metric)

    def configure_optimizers(self) -> Any:
        """The optimizer and its schedule, by name."""
        learned = [] if self.uncertainty is None else [self.uncertainty]
        optimizer = make_optimizer(self.network, self.config, learned, self.start.taken if self.start else ())
        return [optimizer], make_schedules(optimizer, int(self.trainer.estimated_stepping_batches), self.config)

    def _mixed_loss(self, batch: Batch) -> Tensor:
        """Loss of mixed pairs of windows (mixup, Zhang et al. 2018, arXiv:1710.09412).

        Points visible in only one window are not mixed; the mask is that of the window with the greater share.
        """
        alpha = self.config.mixup
        share = float(torch.distributions.Beta(alpha, alpha).sample())
        share = max(share, 1 - share)
        other = torch.randperm(len(batch["row"]), device=batch["row"].device)
        own, theirs = batch["keypoints"], batch["keypoints"][other]
        both = (own[..., 2:] > 0) & (theirs[..., 2:] > 0)
        mixed = batch | {"keypoints": torch.where(both, share * own + (1 - share) * theirs, own)}
        outputs = self.network(**inputs(mixed))
        shuffled = {name: labels[other] for name, labels in batch["labels"].items()}
        return share * self._loss(outputs, batch["labels"]) + (1 - share) * self._loss(outputs, shuffled)

    def _loss(self, outputs: dict[str, Tensor], labels: dict[str, Tensor], *, weighted: bool = True) -> Tensor:
        config, parts = self.config, []
        for head in self.heads:
            output = outputs[head.name]
            known = self.contexts[head.name].to(output.device)
            context = Context(known.weight if weighted else None, known.frequency, known.smoothing, batch=len(output))
            name = config.loss.get(head.name, DEFAULTS[head.kind])
            parts.append(
                config.loss_weight.get(head.name, 1.0) * head_loss(head, name, output, labels[head.name], context)
            )
        losses = torch.stack(parts)
        if self.uncertainty is not None and weighted:  # Kendall, Gal & Cipolla 2018, arXiv:1705.07115
            labeled = losses.detach() != 0  # a head without labels in the batch keeps its weight
            losses = losses * (-self.uncertainty).exp() + self.uncertainty / 2 * labeled
        return losses.sum()
