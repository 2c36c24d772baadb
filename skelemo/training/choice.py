"""What a quick probe on the training subset decides: which parts a model is to see, and whether people are calibrated.

The probe is kernel ridge regression on the features of the baselines, scored out of fold on the *training* subset, in
folds that keep subjects together: no label of the validation or test subset is looked at. Something is left out or
taken off where the probe then errs less, by `LEAST_GAIN` standard errors of the gain.
"""

from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from functools import cached_property
from typing import Any

import numpy as np
import torch
from torch import Tensor

from skelemo.data.corpus import Corpus
from skelemo.data.splits import groups_of, spread_evenly
from skelemo.data.windows import Gatherer, Targets, Window, find_targets
from skelemo.models.baselines import Scaler, fully_labeled
from skelemo.models.window_features import features
from skelemo.preprocess import Preparation, prepare
from skelemo.preprocess.prepare import CalibrationKind
from skelemo.targets import Head

#: Windows that the probe is fitted and scored on at most, drawn at random: its time grows with their cube.
WINDOWS = 1_000
FOLDS = 5
#: Fewer subjects (or videos, where no subject is known) than this say nothing of the gain's standard error.
FEWEST_GROUPS = 3
#: A gain has to be so many times its standard error, over subjects or videos.
LEAST_GAIN = 2.0
#: Kernel ``exp(-GAMMA * mean squared difference of the standardized features)``, and its ridge.
GAMMA, RIDGE = 0.2, 0.3
#: Standardized features are cut off there.
_FARTHEST = 10.0


@dataclass(frozen=True)
class Trial:
    """The probe on some parts, calibrated or not.

    Parameters
    ----------
    error : squared error out of fold as a share of the labels' variance: 1 knows nothing, 0 knows all.
    gain, deviation : by how much it is lower than with what was kept before, and the standard error of that.
    """

    parts: tuple[str, ...]
    error: float
    gain: float = 0.0
    deviation: float = 0.0
    calibrate: CalibrationKind = "none"

    @property
    def better(self) -> bool:
        """Whether the gain is more than chance."""
        return self.gain > LEAST_GAIN * self.deviation


@dataclass(frozen=True)
class Choice:
    """What was chosen for one fold.

    Parameters
    ----------
    trials : what was tried, the first one with all parts.
    reason : why there was no choice of parts.
    calibrate : see `skelemo.preprocess.Preparation`; ``caution`` says of what kind of data it may cost.
    """

    parts: tuple[str, ...]
    trials: tuple[Trial, ...] = ()
    reason: str = ""
    calibrate: CalibrationKind = "none"
    caution: str = ""

    def to_json(self) -> dict[str, Any]:
        """As ``choices.json`` holds it."""
        return asdict(self)

    @classmethod
    def from_json(cls, data: Mapping[str, Any]) -> "Choice":
        """What `to_json` wrote."""
        trials = tuple(Trial(**{**trial, "parts": tuple(trial["parts"])}) for trial in data["trials"])
        return cls(**{**data, "parts": tuple(data["parts"]), "trials": trials})

    @property
    def summary(self) -> str:
        """The choice in a few clauses; "" where there was nothing to choose from."""
        return "; ".join(clause for clause in (self._of_parts, self._of_calibration, self.caution) if clause)

    @property
    def _of_parts(self) -> str:
        trials = [trial for trial in self.trials if trial.calibrate == "none"]
        if self.reason:
            return f"all parts are kept: {self.reason}"
        if len(trials) < 2:
            return ""
        left = [name for name in trials[0].parts if name not in self.parts]
        if not left:
            return f"all parts are kept: {' and '.join(self.parts)}"
        error = next(trial.error for trial in trials if trial.parts == self.parts)
        return (
            f"without {' and '.join(left)}, which only add noise (a probe leaves {error:.3f} of the variance "
            f"unexplained, with all parts {trials[0].error:.3f})"
        )

    @property
    def _of_calibration(self) -> str:
        tried = [trial for trial in self.trials if trial.calibrate != "none"]
        if not tried:
            return ""
        plain = tried[0].error + tried[0].gain
        done = "calibrated" if self.calibrate != "none" else "not calibrated"
        return f"{done} to the person (a probe leaves {tried[0].error:.3f} with it, {plain:.3f} without)"


def standard_error(gain: np.ndarray, group: np.ndarray) -> tuple[float, float]:
    """Mean over windows, and its standard error over groups; NaN is left out."""
    known = ~np.isnan(gain)
    gain, (names, group) = gain[known], np.unique(group[known], return_inverse=True)
    mean = float(gain.mean()) if len(gain) else 0.0
    residual = np.bincount(group, gain - mean, minlength=len(names))
    spread = (residual**2).sum() * len(names) / max(len(names) - 1, 1)
    return mean, float(np.sqrt(spread) / max(len(gain), 1))


def some_targets(
    corpus: Corpus, sequences: np.ndarray, window: Window, heads: Sequence[Head], *, every: int, seed: int
) -> Targets:
    """The windows that a probe looks at: at most `WINDOWS` of some sequences, drawn at random."""
    names = tuple(head.name for head in heads)
    targets = find_targets(corpus, sequences, window, names, every=every, seen_only=True)
    if len(targets) > WINDOWS:
        targets = targets[np.sort(np.random.default_rng(seed).permutation(len(targets))[:WINDOWS])]
    return targets


class Probe:
    """Kernel ridge regression on windows of some training sequences, out of fold."""

    def __init__(self, corpus: Corpus, targets: Targets, window: Window, heads: Sequence[Head], seed: int) -> None:
        self.corpus, self.targets, self.window, self.heads = corpus, targets, window, heads
        sequences, owner = np.unique(corpus.sequence(targets.row), return_inverse=True)
        self.group = groups_of(corpus.sequences.iloc[sequences])[owner] if len(owner) else owner
        folds = min(FOLDS, len(np.unique(self.group)))
        even = np.zeros(len(targets), int)
        self.fold = spread_evenly(self.group, even, folds, seed) if folds > 1 else even

    def losses(self, parts: tuple[str, ...]) -> np.ndarray:
        """``[W]`` squared error of each window as a share of the variance, mean over heads; NaN without labels."""
        distance = torch.stack([self._distances[name][0] for name in parts]).sum(0)
        inputs = sum(self._distances[name][1] for name in parts)
        kernel = (distance * (-GAMMA / inputs)).exp()
        found = []
        for known, truth in self._wanted:
            loss = np.full(len(known), np.nan)
            variance = float((truth - truth.mean(0)).square().sum(1).mean()) if len(truth) else 0.0
            if variance > 0:
                error = _errors(kernel[known][:, known], truth, torch.from_numpy(self.fold[known]))
                loss[known] = error.numpy() / variance
            found.append(loss)
        table = np.stack(found)
        known = ~np.isnan(table)
        total = np.where(known, table, 0).sum(0)
        return np.divide(total, known.sum(0), out=np.full(total.shape, np.nan), where=known.any(0))

    @cached_property
    def _wanted(self) -> list[tuple[np.ndarray, Tensor]]:
        """For each head which windows are labeled, and their labels ``[W, K]``; classes as 0 and 1."""
        found = []
        for head in self.heads:
            known, labels = fully_labeled(head, self.targets.labels[head.name])
            truth = np.eye(len(head))[labels[known]] if head.kind == "classes" else labels[known]
            found.append((known, torch.from_numpy(truth.astype(np.float64))))
        return found

    @cached_property
    def _distances(self) -> dict[str, tuple[Tensor, int]]:
        """Squared distances ``[W, W]`` of the windows by part, and the number of its features."""
        gatherer, rows = Gatherer(self.corpus, self.window), torch.as_tensor(self.targets.row)
        pieces: dict[str, list[Tensor]] = {name: [] for name in self.corpus.layout.slices}
        for some in rows.to(self.corpus.device).split(256):
            keypoints, mask = gatherer.gather(some)
            if self.corpus.preparation.coordinates == "frame":  # the network draws, the probe does not
                keypoints, _ = prepare(keypoints, self.corpus.layout, Preparation())
            for name, where in self.corpus.layout.slices.items():
                pieces[name].append(features(keypoints[:, :, where], mask).cpu())
        found = {}
        for name, some in pieces.items():
            points = torch.from_numpy(Scaler().fit(torch.cat(some).numpy())).clamp(-_FARTHEST, _FARTHEST)
            found[name] = (torch.cdist(points, points).square(), points.shape[1])
        return found


def _errors(kernel: Tensor, truth: Tensor, fold: Tensor) -> Tensor:
    """``[W]`` squared error of each window, predicted by a regression on the other folds."""
    error = torch.full((len(truth),), torch.nan, dtype=truth.dtype)
    for number in fold.unique():
        test, train = (fold == number).nonzero()[:, 0], (fold != number).nonzero()[:, 0]
        if not len(train):
            continue
        mean = truth[train].mean(0)
        inner = kernel[train][:, train] + RIDGE * torch.eye(len(train), dtype=kernel.dtype)
        weights = torch.cholesky_solve(truth[train] - mean, torch.linalg.cholesky(inner))
        error[test] = (kernel[test][:, train] @ weights + mean - truth[test]).square().sum(1)
    return error
