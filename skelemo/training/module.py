"""The LightningModule: one architecture, its losses, its optimizer and its validation score."""

import math
from collections.abc import Mapping
from typing import Any

import lightning
import numpy as np
import torch
from torch import Tensor, nn
from torch.optim.lr_scheduler import ReduceLROnPlateau

from skelemo.data.loader import Batch, inputs
from skelemo.errors import ConfigError
from skelemo.evaluation.metrics import main_metric
from skelemo.evaluation.scores import measure
from skelemo.models.heads import probabilities
from skelemo.targets import Head
from skelemo.training.config import Config
from skelemo.training.losses import DEFAULTS, Context, head_loss
from skelemo.training.optimizers import make_optimizer, make_schedule

#: The validation figure that chooses the model, and whether more of it is better.
MONITORED = {"score": "max", "loss": "min"}


class Training(lightning.LightningModule):
    """Trains one network's heads on batches of `skelemo.data.loader`.

    Parameters
    ----------
    contexts : what each head's loss knows of the training labels.
    seed : of this fold; every epoch draws from it anew, so that a resumed training continues as it would have.
    """

    def __init__(
        self, network: nn.Module, config: Config, heads: tuple[Head, ...], contexts: Mapping[str, Context], seed: int
    ) -> None:
        super().__init__()
        self.network = network
        self.config = config
        self.heads = heads
        self.contexts = contexts
        self.seed = seed
        self._outputs: list[tuple[dict[str, Tensor], dict[str, Tensor]]] = []

    def on_train_epoch_start(self) -> None:
        """Dropout and the like depend on the seed and the epoch alone."""
        torch.manual_seed(self.seed + 7919 * (self.current_epoch + 1))

    def training_step(self, batch: Batch, _: int) -> Tensor:
        """Loss of one batch."""
        loss = self._loss(self.network(**inputs(batch)), batch["labels"])
        self.log("train_loss", loss, on_epoch=True, on_step=False, batch_size=len(batch["row"]))
        return loss

    def validation_step(self, batch: Batch, _: int) -> None:
        """Keep the outputs: the score is one over all windows together, not a mean over batches."""
        self._outputs.append((self.network(**inputs(batch)), batch["labels"]))

    def on_validation_epoch_end(self) -> None:
        """Score the validation subset: the main metric of each head, and their mean as ``score``.

        Its loss weighs all classes alike: validation may contain classes that training lacks, whose weight is 0.
        """
        outputs, labels = (_join(side) for side in zip(*self._outputs, strict=True))
        self._outputs = []
        found = {"loss": float(self._loss(outputs, labels, weighted=False))}
        main = {}
        for head in self.heads if math.isfinite(found["loss"]) else ():  # else `_require_finite` ends the training
            predicted = probabilities(head, outputs[head.name]).cpu().numpy()
            values = measure(head, labels[head.name].cpu().numpy(), predicted)
            found |= {f"{head.name}_{name}": value for name, value in values.items() if math.isfinite(value)}
            main[head.name] = values.get(main_metric(head), math.nan)
        known = [value for value in main.values() if math.isfinite(value)]
        found["score"] = float(np.mean(known)) if known else -found["loss"]
        self.log_dict({f"validation_{name}": value for name, value in found.items()})

    def on_train_epoch_end(self) -> None:
        """Step a plateau now: Lightning would do so after the epoch's checkpoint is written.

        Raises
        ------
        ConfigError
            A figure of the epoch, or a weight after it, is not finite.
        """
        self._require_finite()
        plateau = self.lr_schedulers()
        if isinstance(plateau, ReduceLROnPlateau):
            plateau.step(self.trainer.callback_metrics[f"validation_{self.config.monitor}"])

    def _require_finite(self) -> None:
        figures = {name: float(value) for name, value in self.trainer.callback_metrics.items()}
        wrong = [f"{name} is {value}" for name, value in figures.items() if not math.isfinite(value)]
        if not wrong and not all(bool(value.isfinite().all()) for value in self.network.state_dict().values()):
            wrong = ["a weight is not finite"]
        if wrong:
            raise ConfigError(
                f"training diverged in epoch {self.current_epoch + 1}: {wrong[0]}; "
                f"begin again with a lower lr than {self.config.lr:g}, or with clip_gradient=1"
            )

    def lr_scheduler_step(self, scheduler: Any, metric: Any) -> None:
        """Leave a plateau to `on_train_epoch_end`."""
        if not isinstance(scheduler, ReduceLROnPlateau):
            super().lr_scheduler_step(scheduler, metric)

    def configure_optimizers(self) -> Any:
        """The optimizer and its schedule, by name."""
        optimizer = make_optimizer(self.network, self.config)
        schedule = make_schedule(optimizer, int(self.trainer.estimated_stepping_batches), self.config)
        return optimizer if schedule is None else {"optimizer": optimizer, "lr_scheduler": schedule}

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
        return torch.stack(parts).sum()


def _join(batches: Any) -> dict[str, Tensor]:
    """One tensor per head of the batches' tensors."""
    return {name: torch.cat([batch[name] for batch in batches]) for name in batches[0]}
