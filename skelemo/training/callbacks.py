"""Callbacks of a training: history, checkpoints and progress."""

import csv
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from io import BytesIO
from pathlib import Path
from typing import Any

import lightning
import torch
from lightning.pytorch.callbacks import Callback, Checkpoint
from lightning.pytorch.plugins.io import TorchCheckpointIO

from skelemo.atomic import finished
from skelemo.errors import InputError


@contextmanager
def restoring(path: Path) -> Iterator[None]:
    """Turn any error while restoring from a file into an `InputError` that names it."""
    try:
        yield
    except Exception as error:  # torch's and safetensors' readers raise many kinds for a damaged file
        raise InputError(
            f"{path} is damaged or belongs to another run or version ({type(error).__name__}): "
            "the run cannot be resumed; start again with another --out"
        ) from error


class History(Callback):
    """Writes ``metrics.csv``, one row per epoch; a resumed training replaces the epochs that it repeats."""

    def __init__(self, path: Path) -> None:
        self.path = path
        self.rows: list[Mapping[str, object]] = []

    def on_train_start(self, trainer: lightning.Trainer, pl_module: lightning.LightningModule) -> None:
        """Read the epochs of the interrupted training."""
        if self.path.exists() and trainer.is_global_zero:
            with restoring(self.path), self.path.open(newline="", encoding="utf-8") as file:
                self.rows = [row for row in csv.DictReader(file) if int(row["epoch"]) < trainer.current_epoch]

    def on_train_epoch_end(self, trainer: lightning.Trainer, pl_module: lightning.LightningModule) -> None:
        """Append the epoch's metrics."""
        if not trainer.is_global_zero:
            return
        figures = {name: float(value) for name, value in sorted(trainer.callback_metrics.items())}
        rate = trainer.optimizers[0].param_groups[0]["lr"]
        self.rows.append({"epoch": trainer.current_epoch, **figures, "lr": rate})
        with finished(self.path) as partial, partial.open("w", newline="", encoding="utf-8") as file:
            writer = csv.DictWriter(file, list(self.rows[-1]), restval="nan", extrasaction="ignore")
            writer.writeheader()
            writer.writerows(self.rows)


class Progress(Callback):
    """Reports sizes and device at the start, and losses and some ``metrics``, by name, after each epoch."""

    def __init__(self, report: Callable[[int, int, str], None], start: str, metrics: Mapping[str, str]) -> None:
        self.report, self.start = report, start
        self.metrics = {"train_loss": "train loss", "validation_loss": "validation loss", **metrics}

    def on_train_start(self, trainer: lightning.Trainer, pl_module: lightning.LightningModule) -> None:
        """Report the start."""
        if trainer.is_global_zero:
            self.report(0, trainer.max_epochs or 0, self.start)

    def on_train_epoch_end(self, trainer: lightning.Trainer, pl_module: lightning.LightningModule) -> None:
        """Report the epoch and its metrics."""
        found = trainer.callback_metrics
        texts = (f"{title} {float(found[name]):.3f}" for name, title in self.metrics.items() if name in found)
        if trainer.is_global_zero:
            self.report(trainer.current_epoch + 1, trainer.max_epochs or 0, "  ".join(texts))


class Checkpoints(Checkpoint):
    """Writes ``last.ckpt`` (to resume) and ``best.ckpt`` (the result), and stops early without improvement.

    Lightning calls checkpoint callbacks last in an epoch, so a training resumed from ``last.ckpt`` continues as if it
    had not been interrupted. Lightning's ModelCheckpoint writes that file only after an improvement, and forgets the
    best score when the folder is moved.

    Parameters
    ----------
    folder : folder of both files.
    monitor : metric that selects the best epoch; None: the last epoch is best.
    mode : ``max`` or ``min``.
    patience : epochs without improvement before stopping; 0: never.
    patience_steps : optimizer steps without improvement also required before stopping.
    """

    def __init__(self, folder: Path, monitor: str | None, mode: str, patience: int, patience_steps: int = 0) -> None:
        self.last, self.best = folder / "last.ckpt", folder / "best.ckpt"
        self.monitor = monitor
        self.sign = 1.0 if mode == "max" else -1.0
        self.patience, self.patience_steps = patience, patience_steps
        self.highest = float("-inf")
        self.waited, self.best_step = 0, 0

    def state_dict(self) -> dict[str, Any]:
        """State saved in the checkpoint."""
        return {"highest": self.highest, "waited": self.waited, "best_step": self.best_step}

    def load_state_dict(self, state_dict: dict[str, Any]) -> None:
        """Restore the state."""
        self.highest, self.waited, self.best_step = (state_dict[key] for key in ("highest", "waited", "best_step"))

    def on_train_start(self, trainer: lightning.Trainer, pl_module: lightning.LightningModule) -> None:
        """Stop if patience had run out before the interruption."""
        self._stop_early(trainer)

    def on_train_epoch_end(self, trainer: lightning.Trainer, pl_module: lightning.LightningModule) -> None:
        """Write the epoch's checkpoints."""
        score = self.sign * float(trainer.callback_metrics[self.monitor]) if self.monitor else trainer.current_epoch
        self.waited = 0 if score > self.highest else self.waited + 1
        if score > self.highest:
            self.highest, self.best_step = score, trainer.global_step
            _save(trainer, self.best, weights_only=True)
        _save(trainer, self.last, weights_only=False)
        self._stop_early(trainer)

    def _stop_early(self, trainer: lightning.Trainer) -> None:
        waited = trainer.global_step - self.best_step
        trainer.should_stop = trainer.should_stop or (
            0 < self.patience <= self.waited and waited >= self.patience_steps
        )


class CheckpointFiles(TorchCheckpointIO):
    """Writes checkpoints where they belong; Lightning's own first writes a copy to the system's temporary folder."""

    def save_checkpoint(self, checkpoint: dict[str, Any], path: str | Path, storage_options: Any = None) -> None:
        """Write a checkpoint."""
        content = BytesIO()
        torch.save(checkpoint, content)  # to the file itself, a full disk would be a RuntimeError
        Path(path).write_bytes(content.getbuffer())


def _save(trainer: lightning.Trainer, path: Path, *, weights_only: bool) -> None:
    if not trainer.is_global_zero:
        trainer.save_checkpoint(path, weights_only=weights_only)  # a barrier, nothing is written
        return
    with finished(path) as partial:
        trainer.save_checkpoint(partial, weights_only=weights_only)
