"""What happens beside the steps of a training: its history on disk and its progress on the screen."""

import csv
import os
from collections.abc import Callable, Mapping
from pathlib import Path

import lightning
from lightning.pytorch.callbacks import Callback


class History(Callback):
    """Keeps ``metrics.csv``: one row per epoch, whole after each; a resumed training replaces what it does again."""

    def __init__(self, path: Path) -> None:
        self.path = path
        self.rows: list[Mapping[str, object]] = []

    def on_train_start(self, trainer: lightning.Trainer, pl_module: lightning.LightningModule) -> None:
        """Take over the epochs that an interrupted training has behind it."""
        if self.path.exists():
            with self.path.open(newline="", encoding="utf-8") as file:
                self.rows = [row for row in csv.DictReader(file) if int(row["epoch"]) < trainer.current_epoch]

    def on_train_epoch_end(self, trainer: lightning.Trainer, pl_module: lightning.LightningModule) -> None:
        """Add the epoch's figures."""
        figures = {name: float(value) for name, value in sorted(trainer.callback_metrics.items())}
        rate = trainer.optimizers[0].param_groups[0]["lr"]
        self.rows.append({"epoch": trainer.current_epoch, **figures, "lr": rate})
        partial = self.path.with_suffix(".partial")
        with partial.open("w", newline="", encoding="utf-8") as file:
            writer = csv.DictWriter(file, list(self.rows[-1]), restval="nan", extrasaction="ignore")
            writer.writeheader()
            writer.writerows(self.rows)
        os.replace(partial, self.path)


class Progress(Callback):
    """Tells after each epoch how far the training is."""

    def __init__(self, report: Callable[[int, int, str], None]) -> None:
        self.report = report

    def on_train_epoch_end(self, trainer: lightning.Trainer, pl_module: lightning.LightningModule) -> None:
        """Report epochs done, epochs at most, and the figures that matter."""
        found = trainer.callback_metrics
        names = ("train_loss", "validation_loss", "validation_macro_f1", "validation_ccc_mean")
        shown = (f"{name.removeprefix('validation_')} {float(found[name]):.3f}" for name in names if name in found)
        self.report(trainer.current_epoch + 1, trainer.max_epochs or 0, "  ".join(shown))
