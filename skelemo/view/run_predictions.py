"""Predictions of runs for a cache's sequences, and their errors."""

import numpy as np
import pandas as pd

from skelemo.evaluation.metrics import mean_of_known
from skelemo.player import Track, head_track
from skelemo.runs.folder import Run
from skelemo.runs.predictions import outputs_of, truth_of
from skelemo.targets import Head


class RunPredictions:
    """A run's predictions by sequence.

    Attributes
    ----------
    name : unique name of the run on the page.
    disagreement : by row of the cache, the share of labeled windows whose predicted class or flags differ from the
        label; NaN without predictions.
    error : by row, the mean over heads of 1 minus the probability of the true class or flag, and of the absolute error
        of values relative to their range; NaN without predictions.
    subsets : by name, masks of the cache's rows; includes the training subset if the run has a single fold.
    """

    def __init__(self, run: Run, ids: np.ndarray, name: str = "") -> None:
        self.run, self.name = run, name or run.name
        table = run.predictions.reset_index(drop=True)
        self._ids = pd.Index(ids)
        rows = self._ids.get_indexer(pd.Index(table["sequence"].astype(str)))
        self.subsets = {
            str(name): np.bincount(rows[mask & (rows >= 0)], minlength=len(ids)) > 0
            for name in table["subset"].unique()
            for mask in [(table["subset"] == name).to_numpy()]
        }
        folds = run.splits.get("folds", ())
        if len(folds) == 1:  # with several, every sequence is in some training subset
            self.subsets["train"] = self._ids.isin(folds[0].get("train", ()))
        # Test predictions come last, and so take precedence over validation predictions of other folds.
        order = np.lexsort((table["subset"].to_numpy(str) == "test", table["frame"].to_numpy(), rows))
        order = order[~table.iloc[order].duplicated(["sequence", "frame"], keep="last").to_numpy()]
        self._table, self._rows = table, rows = table.iloc[order], rows[order]
        errors = [_errors(table, head) for head in run.heads]
        self.disagreement = self._mean([wrong for wrong, _ in errors if wrong is not None], rows, len(ids))
        self.error = self._mean([error for _, error in errors], rows, len(ids))

    @property
    def matched(self) -> int:
        """Number of predictions for sequences of the cache."""
        return int((self._rows >= 0).sum())

    def tracks(self, row: int, number: np.ndarray) -> list[Track]:
        """Predictions for a sequence with frame numbers ``number``, by head."""
        first, last = np.searchsorted(self._rows, [row, row + 1])
        table = self._table.iloc[first:last]
        at = np.searchsorted(number, table["frame"].to_numpy())
        there = (at < len(number)) & (number[np.minimum(at, len(number) - 1)] == table["frame"].to_numpy())
        table, at = table[there], at[there]
        if not len(at):
            return []
        return [head_track(self.name, head, outputs_of(table, head), at, len(number)) for head in self.run.heads]

    @staticmethod
    def _mean(columns: list[np.ndarray], rows: np.ndarray, size: int) -> np.ndarray:
        """The mean of each sequence, without NaN, over windows and then over heads."""
        means = []
        for values in columns:
            known = ~np.isnan(values) & (rows >= 0)
            number = np.bincount(rows[known], minlength=size)
            total = np.bincount(rows[known], values[known], minlength=size)
            means.append(np.where(number > 0, total / np.maximum(number, 1), np.nan))
        return mean_of_known(np.stack(means, -1)) if means else np.full(size, np.nan)


def _errors(table: pd.DataFrame, head: Head) -> tuple[np.ndarray | None, np.ndarray]:
    """For each window whether prediction and label differ, and the error; NaN without a label."""
    truth, outputs = truth_of(table, head), outputs_of(table, head)
    if head.kind == "classes":
        known = truth >= 0
        wrong = np.where(known, outputs.argmax(1) != truth, np.nan)
        return wrong, np.where(known, 1 - outputs[np.arange(len(truth)), np.maximum(truth, 0)], np.nan)
    known = ~np.isnan(truth)
    number = np.where(known.any(1), known.sum(1), np.nan)
    error = np.where(known, np.abs(outputs - np.nan_to_num(truth)), 0).sum(1) / number
    if head.kind == "values":
        return None, error / (head.high - head.low)
    return np.where(known, (outputs >= 0.5) != (truth > 0.5), 0).sum(1) / number, error
