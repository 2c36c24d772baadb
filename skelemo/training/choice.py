"""Selection of parts and calibration by a quick probe on the training subset.

The probe is kernel ridge regression on the baselines' features, cross-validated on the *training* subset in folds that
keep subjects together; labels of the validation and test subsets are not used. A part is dropped, or calibration
enabled, if that reduces the probe's error by `LEAST_GAIN` standard errors.
"""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from functools import cached_property
from typing import Any

import numpy as np
import torch
from torch import Tensor

from skelemo.data.calibration import calibrated, people_of
from skelemo.data.corpus import Corpus
from skelemo.data.splits import groups_of, spread_evenly
from skelemo.data.windows import Gatherer, Window, find_targets
from skelemo.evaluation.metrics import mean_of_known
from skelemo.models.baselines import fully_labeled
from skelemo.models.estimators import Scaler
from skelemo.models.window_features import features
from skelemo.preprocess import Preparation, prepare
from skelemo.preprocess.prepare import CalibrationKind
from skelemo.targets import Head, hard_labels

#: Most windows for the probe, sampled at random: its time is cubic in their number.
WINDOWS = 1_000
FOLDS = 5
#: Fewest subjects (or videos, without subjects) for an estimate of the gain's standard error.
FEWEST_GROUPS = 3
#: Least gain in standard errors over subjects or videos.
LEAST_GAIN = 2.0
#: Kernel ``exp(-GAMMA * mean squared difference of the standardized features)``, and its ridge.
GAMMA, RIDGE = 0.2, 0.3
#: Standardized features are clipped to this magnitude.
_FARTHEST = 10.0


@dataclass(frozen=True)
class Trial:
    """The probe's result for some parts and a calibration.

    Parameters
    ----------
    error : cross-validated squared error relative to the labels' variance.
    gain, deviation : decrease from the error of the previous choice, and its standard error.
    """

    parts: tuple[str, ...]
    error: float
    gain: float = 0.0
    deviation: float = 0.0
    calibrate: CalibrationKind = "none"

    @property
    def better(self) -> bool:
        """Whether the gain is significant."""
        return self.gain > LEAST_GAIN * self.deviation


@dataclass(frozen=True)
class Choice:
    """The choice for one fold.

    Parameters
    ----------
    trials : results of the probe, the first with all parts.
    reason : why parts were not selected.
    calibrate : see `skelemo.preprocess.Preparation`.
    caution : warning about calibration.
    """

    parts: tuple[str, ...]
    trials: tuple[Trial, ...] = ()
    reason: str = ""
    calibrate: CalibrationKind = "none"
    caution: str = ""

    @classmethod
    def from_json(cls, data: Mapping[str, Any]) -> "Choice":
        """The choice from its entry in ``choices.json``, its `asdict`."""
        trials = tuple(Trial(**{**trial, "parts": tuple(trial["parts"])}) for trial in data["trials"])
        return cls(**{**data, "parts": tuple(data["parts"]), "trials": trials})

    @property
    def summary(self) -> str:
        """The choice as a sentence; "" if there was nothing to choose."""
        return "; ".join(filter(None, (self._of_parts, self._of_calibration, self.caution)))

    @property
    def _of_parts(self) -> str:
        trials = [trial for trial in self.trials if trial.calibrate == "none"]
        if self.reason:
            return f"all parts kept: {self.reason}"
        if len(trials) < 2:
            return ""
        dropped = [name for name in trials[0].parts if name not in self.parts]
        if not dropped:
            return f"all parts kept: {' and '.join(self.parts)}"
        error = next(trial.error for trial in trials if trial.parts == self.parts)
        adds = "add" if len(dropped) > 1 else "adds"
        return (
            f"without {' and '.join(dropped)}, which only {adds} noise (unexplained variance of a probe {error:.3f}, "
            f"with all parts {trials[0].error:.3f})"
        )

    @property
    def _of_calibration(self) -> str:
        tried = [trial for trial in self.trials if trial.calibrate != "none"]
        if not tried:
            return ""
        plain = tried[0].error + tried[0].gain
        done = "calibrated" if self.calibrate != "none" else "not calibrated"
        return f"{done} to the person (unexplained variance of a probe {tried[0].error:.3f} with, {plain:.3f} without)"


def standard_error(gain: np.ndarray, group: np.ndarray) -> tuple[float, float]:
    """Mean over windows and its standard error over groups, ignoring NaN."""
    known = ~np.isnan(gain)
    gain, (names, group) = gain[known], np.unique(group[known], return_inverse=True)
    mean = float(gain.mean()) if len(gain) else 0.0
    residual = np.bincount(group, gain - mean, minlength=len(names))
    spread = (residual**2).sum() * len(names) / max(len(names) - 1, 1)
    return mean, float(np.sqrt(spread) / max(len(gain), 1))


class Probe:
    """Cross-validated kernel ridge regression on a sample of at most `WINDOWS` windows of some sequences.

    Parameters
    ----------
    sequences : rows of the training sequences; only these are used.
    seed : seed of the sample of windows and of the folds.
    """

    def __init__(
        self, corpus: Corpus, sequences: np.ndarray, window: Window, heads: Sequence[Head], *, every: int, seed: int
    ) -> None:
        names = tuple(head.name for head in heads)
        targets = find_targets(corpus, sequences, window, names, every=every, seen_only=True)
        self.corpus, self.targets, self.window, self.heads = corpus, targets.sample(WINDOWS, seed), window, heads
        sequences, owner = np.unique(corpus.sequence(self.targets.row), return_inverse=True)
        self.group = groups_of(corpus.sequences.iloc[sequences])[owner] if len(owner) else owner
        folds = min(FOLDS, len(np.unique(self.group)))
        even = np.zeros(len(owner), int)
        self.fold = spread_evenly(self.group, even, folds, seed) if folds > 1 else even

    def losses(self, parts: tuple[str, ...]) -> np.ndarray:
        """Squared error ``[W]`` of each window relative to the variance, averaged over heads; NaN without labels."""
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
        return mean_of_known(np.stack(found, -1))

    @cached_property
    def _wanted(self) -> list[tuple[np.ndarray, Tensor]]:
        """For each head the mask of labeled windows and their labels ``[W, K]``, classes one-hot."""
        found = []
        for head in self.heads:
            known, labels = fully_labeled(head, self.targets.labels[head.name])
            truth = np.eye(len(head))[labels[known]] if head.kind == "classes" else labels[known]
            found.append((known, torch.from_numpy(truth.astype(np.float64))))
        return found

    @cached_property
    def _distances(self) -> dict[str, tuple[Tensor, int]]:
        """Squared distances ``[W, W]`` of the windows by part, and the part's number of features."""
        gatherer, rows = Gatherer(self.corpus, self.window), torch.as_tensor(self.targets.row)
        pieces: dict[str, list[Tensor]] = {name: [] for name in self.corpus.layout.slices}
        for some in rows.to(self.corpus.device).split(256):
            keypoints, mask = gatherer.gather(some)
            if self.corpus.preparation.coordinates == "frame":  # image networks, unlike the probe, take pixels
                keypoints, _ = prepare(keypoints, self.corpus.layout, Preparation())
            for name, where in self.corpus.layout.slices.items():
                pieces[name].append(features(keypoints[:, :, where], mask).cpu())
        found = {}
        for name, some in pieces.items():
            points = torch.from_numpy(Scaler().fit(torch.cat(some).numpy())).clamp(-_FARTHEST, _FARTHEST)
            found[name] = (torch.cdist(points, points).square(), points.shape[1])
        return found


def _errors(kernel: Tensor, truth: Tensor, fold: Tensor) -> Tensor:
    """Cross-validated squared error ``[W]`` of each window."""
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


def choose_parts(
    corpus: Corpus, probe_of: Callable[[Corpus], Probe], usable: Callable[[tuple[str, ...]], bool] = lambda parts: True
) -> Choice:
    """Select parts by backward elimination.

    A visible part without information on the labels costs accuracy, since a model overfits to its noise. Starting from
    all parts, drop the part whose removal reduces the probe's error most, while the gain is significant.

    Parameters
    ----------
    probe_of : creates the probe of a corpus, on training sequences only.
    usable : whether the model accepts these parts.
    """
    kept = tuple(corpus.layout.slices)
    if len(kept) == 1:
        return Choice(kept)
    probe = probe_of(corpus)
    count = len(np.unique(probe.group))
    if count < FEWEST_GROUPS:
        return Choice(kept, reason=f"too few subjects or videos in the training subset ({count}) to compare them")
    loss = probe.losses(kept)
    trials = [Trial(kept, float(np.nanmean(loss)))]
    while len(kept) > 1:
        tried = []
        for name in kept:
            rest = tuple(other for other in kept if other != name)
            without = probe.losses(rest)
            trials.append(Trial(rest, float(np.nanmean(without)), *standard_error(loss - without, probe.group)))
            tried.append((trials[-1], without))
        better = sorted((pair for pair in tried if pair[0].better), key=lambda pair: -pair[0].gain)
        best = next((pair for pair in better if usable(pair[0].parts)), None)
        if best is None:
            break
        kept, loss = best[0].parts, best[1]
    return Choice(kept, tuple(trials))


def choose_calibration(
    choice: Choice, corpus: Corpus, sequences: np.ndarray, probe_of: Callable[[Corpus], Probe]
) -> Choice:
    """The choice, with calibration by track if it reduces the probe's error.

    Calibration helps if people appear with several emotions. If all frames of a person show a single emotion, their
    mean pose contains it, and subtracting the mean removes the signal.

    Parameters
    ----------
    corpus : the corpus with the chosen parts, not calibrated.
    sequences : rows of the training sequences; only their labels are used.
    probe_of : creates the probe of a corpus, on these sequences.
    """
    if corpus.preparation.coordinates == "frame":  # image networks are not calibrated
        return choice
    plain, other = (probe_of(one) for one in (corpus, calibrated(corpus, "track", sequences)))
    if len(np.unique(plain.group)) < FEWEST_GROUPS:
        return choice
    parts = tuple(corpus.layout.slices)
    before, after = plain.losses(parts), other.losses(parts)
    gain, deviation = standard_error(before - after, plain.group)
    trial = Trial(parts, float(np.nanmean(after)), gain, deviation, "track")
    return replace(choice, trials=(*choice.trials, trial), calibrate="track" if trial.better else "none")


def caution(corpus: Corpus, sequences: np.ndarray, heads: Sequence[Head]) -> str:
    """A warning if most people in some sequences show a single class, else ""."""
    people = people_of(corpus.sequences)
    chosen = np.isin(np.repeat(np.arange(len(people)), corpus.sequences["length"]), sequences)
    person = np.repeat(people, corpus.sequences["length"])[chosen]
    for head in heads:
        if head.kind != "classes":
            continue
        label = hard_labels(corpus.labels[head.name].cpu().numpy()[chosen])
        shown = np.unique(np.stack([person[label >= 0], label[label >= 0].astype(int)]), axis=1)
        classes = np.unique(shown[0], return_counts=True)[1]
        single = int((classes == 1).sum())
        if 2 * single > len(classes):
            return (
                f"warning: {single:,} of {len(classes):,} people show a single {head.name}, which calibration removes "
                "with their mean pose; name subjects in the label table, or set calibrate to auto or none"
            )
    return ""
