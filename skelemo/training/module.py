"""The LightningModule: one architecture, its losses, its optimizer and its validation score."""

import math
from collections.abc import Callable
from typing import Any

import lightning
import numpy as np
import torch
from torch import Tensor, nn
from torch.optim.lr_scheduler import CosineAnnealingLR, OneCycleLR, ReduceLROnPlateau

from skelemo.data.loader import Batch, inputs
from skelemo.errors import ConfigError
from skelemo.evaluation import metrics
from skelemo.training import losses
from skelemo.training.config import Config

OPTIMIZERS: dict[str, Callable[..., torch.optim.Optimizer]] = {
    "adam": torch.optim.Adam,
    "adamw": torch.optim.AdamW,
    "adamax": torch.optim.Adamax,
    "sgd": torch.optim.SGD,
}

#: The validation figure that chooses the model, and whether more of it is better.
MONITORED = {"score": "max", "loss": "min"}


class EmotionTask(lightning.LightningModule):
    """Learns one network's heads from batches of `skelemo.data.loader`.

    Parameters
    ----------
    weights : ``[K]`` weight of each class in training's cross-entropy, or None.
    seed : of this fold; every epoch draws from it anew, so that a resumed training goes on as it would have.
    """

    weights: Tensor | None

    def __init__(self, network: nn.Module, config: Config, weights: Tensor | None, seed: int) -> None:
        super().__init__()
        self.network = network
        self.config = config
        self.seed = seed
        self.register_buffer("weights", weights, persistent=False)
        self._seen: list[tuple[dict[str, Tensor], Tensor, Tensor]] = []

    def on_train_epoch_start(self) -> None:
        """Dropout and the like depend on the seed and the epoch alone."""
        torch.manual_seed(self.seed + 7919 * (self.current_epoch + 1))

    def training_step(self, batch: Batch, _: int) -> Tensor:
        """Loss of one batch."""
        loss = self._loss(self.network(**inputs(batch)), batch["expression"], batch["va"], self.weights)
        self.log("train_loss", loss, on_epoch=True, on_step=False, batch_size=len(batch["row"]))
        return loss

    def validation_step(self, batch: Batch, _: int) -> None:
        """Keep the outputs: the score is one over all windows together, not a mean over batches."""
        self._seen.append((self.network(**inputs(batch)), batch["expression"], batch["va"]))

    def on_validation_epoch_end(self) -> None:
        """Score the validation part: macro F1, mean CCC, and their mean as ``score`` where there are both.

        Its loss weighs all classes alike: validation may show classes that training lacks, whose weight is 0.
        """
        outputs, expression, va = self._collect()
        found = {"loss": float(self._loss(outputs, expression, va, None))} | validation_scores(outputs, expression, va)
        parts = [found[name] for name in ("macro_f1", "ccc_mean") if name in found]
        found["score"] = float(np.mean(parts)) if parts else -found["loss"]
        self.log_dict({f"validation_{name}": value for name, value in found.items()})

    def on_train_epoch_end(self) -> None:
        """Let a plateau see the epoch now: when Lightning would, the epoch's checkpoint is written already.

        Raises
        ------
        ConfigError
            A figure of the epoch, or a weight that it left, is not a finite number.
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
        config = self.config
        choose = OPTIMIZERS[str(config.optimizer)]
        extra = {"momentum": config.momentum, "nesterov": config.momentum > 0} if config.optimizer == "sgd" else {}
        optimizer = choose(self._parameter_groups(), lr=config.lr, weight_decay=config.weight_decay, **extra)
        if config.schedule == "constant":
            return optimizer
        return {"optimizer": optimizer, "lr_scheduler": self._schedule(optimizer)}

    def _parameter_groups(self) -> list[dict[str, Any]]:
        """All trainable parameters; those that the network calls its backbone learn at a rate of their own."""
        find = getattr(self.network, "backbone_parameters", None)
        backbone = {id(parameter) for parameter in find()} if find else set()
        trained = [parameter for parameter in self.network.parameters() if parameter.requires_grad]
        groups: list[dict[str, Any]] = [
            {"params": [p for p in trained if id(p) not in backbone]},
            {"params": [p for p in trained if id(p) in backbone], "lr": self.config.lr * self.config.backbone_lr},
        ]
        return [group for group in groups if group["params"]]

    def _schedule(self, optimizer: torch.optim.Optimizer) -> dict[str, Any]:
        config = self.config
        if config.schedule == "plateau":
            mode = MONITORED[config.monitor]
            plateau = ReduceLROnPlateau(optimizer, mode, patience=max(config.patience // 3, 1))  # type: ignore[arg-type]  # mode is "min" or "max"
            return {"scheduler": plateau, "monitor": f"validation_{config.monitor}"}
        steps = int(self.trainer.estimated_stepping_batches)
        if config.schedule == "cosine":
            return {"scheduler": CosineAnnealingLR(optimizer, steps), "interval": "step"}
        rates = [group["lr"] for group in optimizer.param_groups]
        return {"scheduler": OneCycleLR(optimizer, rates, steps), "interval": "step"}

    def _loss(self, outputs: dict[str, Tensor], expression: Tensor, va: Tensor, weights: Tensor | None) -> Tensor:
        config = self.config
        parts = []
        if "expression" in outputs:
            parts.append(losses.cross_entropy(outputs["expression"], expression, weights, config.label_smoothing))
        if "va" in outputs:
            weight = config.va_weight if "expression" in outputs else 1.0
            parts.append(weight * losses.valence_arousal(outputs["va"], va, config.va_loss))
        return torch.stack(parts).sum()

    def _collect(self) -> tuple[dict[str, Tensor], Tensor, Tensor]:
        outputs, expression, va = zip(*self._seen, strict=True)
        self._seen = []
        together = {head: torch.cat([output[head] for output in outputs]).float() for head in outputs[0]}
        return together, torch.cat(expression), torch.cat(va)


def validation_scores(outputs: dict[str, Tensor], expression: Tensor, va: Tensor) -> dict[str, float]:
    """Macro F1 and/or mean CCC of the labelled windows; a head without labels has none."""
    found = {}
    if "expression" in outputs and bool((labelled := expression >= 0).any()):
        logits = outputs["expression"][labelled]
        counts = metrics.confusion(
            expression[labelled].cpu().numpy(), logits.argmax(-1).cpu().numpy(), logits.shape[-1]
        )
        found["macro_f1"] = float(metrics.macro_f1(counts))
    if "va" in outputs and bool((labelled := va.isfinite().all(-1)).any()):
        truth, predicted = va[labelled].double().cpu().numpy(), outputs["va"][labelled].double().cpu().numpy()
        found["ccc_valence"], found["ccc_arousal"] = (metrics.ccc(truth[:, i], predicted[:, i]) for i in range(2))
        found["ccc_mean"] = (found["ccc_valence"] + found["ccc_arousal"]) / 2
    return found
