"""Baselines without deep learning: `svm`, `lda`, `logistic`, `kernel_ridge` and `boosting` on features of windows."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from typing import TYPE_CHECKING, Any

import numpy as np
import torch
from torch import Tensor, nn

from skelemo.errors import ConfigError
from skelemo.models.estimators import Fitted, Grid, Kernel, Linear, Scaler, Stretch, Trees
from skelemo.models.kernel_ridge import KernelRidge, KernelSum
from skelemo.models.registry import Spec, register
from skelemo.models.streams import mirrored
from skelemo.models.window_features import Features
from skelemo.targets import Head, KindName, hard_labels

if TYPE_CHECKING:
    from sklearn.base import BaseEstimator

#: Description of the input for `skelemo models`.
SEES = "normalized keypoints and their statistics over the window"
#: Default streams.
JOINTS = ("joint",)
#: Folds of the cross-validation for `rescale`.
FOLDS = 5


class Baseline(Fitted):
    """One fitted estimator per head on the features of a window, with the interface of a network.

    Classes without training samples have the logit -inf. The logits of a support vector machine are decision values.
    """

    def __init__(
        self,
        name: str,
        spec: Spec,
        kind: type[Fitted],
        make: Any,
        streams: Sequence[str],
        *,
        scaled: bool = True,
        rescale: bool = False,
    ) -> None:
        super().__init__()
        self.name = name
        self.spec = spec
        self.make = make
        self.features = Features(spec, streams)
        self.scaler = Scaler() if scaled else Grid()
        self.by_person = kind is KernelSum
        self.estimators = nn.ModuleDict({head.name: kind() for head in spec.heads})
        self.stretches = nn.ModuleDict(
            {head.name: Stretch() for head in spec.heads if rescale and head.kind == "values"}
        )
        for head in spec.heads:
            self._store(**{f"{head.name}_classes": np.arange(len(head))})

    def require_valid(self) -> None:
        """Raise `ConfigError` for settings that scikit-learn rejects, without fitting."""
        for head in self.spec.heads:
            try:
                self.make(head.kind, 0, 1, 2)._validate_params()
            except (ValueError, ArithmeticError) as error:
                raise ConfigError(f"settings of {self.name}: {error}") from None

    def fit(
        self,
        windows: Iterable[tuple[Tensor, Tensor]],
        labels: Mapping[str, np.ndarray],
        people: np.ndarray,
        *,
        mirror: bool,
        seed: int,
    ) -> None:
        """Fit to batches of keypoints ``[n, T, V, 3]`` and masks ``[n, T]``, with the labels of all windows.

        Raises `ConfigError`: scikit-learn rejects the settings or the windows; `rescale` with a single person.

        Parameters
        ----------
        people : ``[N]`` the person of each window.
        mirror : also fit to all windows flipped.
        seed : scikit-learn's random seed.
        """
        pieces: list[np.ndarray] = []
        twins: list[np.ndarray] = []
        for keypoints, mask in windows:
            pieces.append(self.features(keypoints, mask).cpu().numpy())
            if mirror:
                twins.append(self.features(mirrored(keypoints, self.spec.layout), mask).cpu().numpy())
        rows = np.concatenate(pieces + twins)
        copies = 2 if mirror else 1
        ready = self.scaler.fit(rows)
        for head in self.spec.heads:
            known, wanted = fully_labeled(head, labels[head.name])
            chosen, truth = np.tile(known, copies), np.concatenate([wanted] * copies)
            fitted = self._fit_head(head, ready, truth, np.tile(people, copies), seed)
            self.estimators[head.name].copy(fitted)  # type: ignore[operator]  # defined by every subclass of Fitted
            if head.kind == "classes":
                self._store(**{f"{head.name}_classes": fitted[0].classes_.astype(np.int64)})
            if head.name in self.stretches:
                groups = np.tile(people[known], copies)
                predicted = self._cross_predict(head, ready[chosen], truth[chosen], groups, seed)
                self.stretches[head.name].fit(truth[chosen], predicted)  # type: ignore[operator]

    def _fit_head(self, head: Head, rows: np.ndarray, truth: np.ndarray, people: np.ndarray, seed: int) -> list[Any]:
        """One estimator, or one per flag or value, each fitted to the windows with its label."""
        columns = [(one, _known(one)) for one in (truth[:, None] if head.kind == "classes" else truth).T]
        try:
            return [
                self.make(head.kind, seed, rows.shape[1], len(np.unique(one[known]))).fit(
                    _some(rows[known]), one[known], *((people[known],) if self.by_person else ())
                )
                for one, known in columns
            ]
        except (ValueError, ArithmeticError) as error:  # scikit-learn rejects the input
            why = str(error).partition("\n")[0]
            raise ConfigError(f"{self.name} cannot learn the head {head.name}: {why}") from error

    def _cross_predict(
        self, head: Head, rows: np.ndarray, truth: np.ndarray, people: np.ndarray, seed: int
    ) -> np.ndarray:
        """Cross-validated predictions ``[N, K]`` of values, in folds of people."""
        from sklearn.model_selection import GroupKFold

        found = np.empty_like(truth)
        folds = min(FOLDS, len(np.unique(people)))
        if folds < 2:
            raise ConfigError(f"rescale of {self.name} needs windows of at least two people; all are of one")
        for others, these in GroupKFold(folds, shuffle=True, random_state=seed).split(rows, groups=people):
            fitted = self._fit_head(head, rows[others], truth[others], people[others], seed)
            found[these] = np.stack([one.predict(rows[these]) for one in fitted], 1)
        return found

    def forward(self, keypoints: Tensor, mask: Tensor) -> dict[str, Tensor]:
        """``{head: [B, K]}``: logits of classes and flags, values within their range."""
        rows = self.scaler(self.features(keypoints, mask).double())
        return {head.name: self._output(head, self.estimators[head.name](rows)) for head in self.spec.heads}

    def _output(self, head: Head, raw: Tensor) -> Tensor:
        if head.kind == "values":
            raw = self.stretches[head.name](raw) if head.name in self.stretches else raw
            return raw.clamp(head.low, head.high).float()
        svm = isinstance(self.estimators[head.name], Kernel)
        if head.kind == "flags":
            return (raw * (2 if svm else 1)).float()
        if raw.shape[1] == 1:
            raw = torch.cat([-raw if svm else torch.zeros_like(raw), raw], 1)
        logits = raw.new_full((raw.shape[0], len(head)), -torch.inf)
        classes = getattr(self, f"{head.name}_classes")
        return logits.index_copy(1, classes, raw).float()


def _some(rows: np.ndarray) -> np.ndarray:
    """The rows ``[N, F]`` with 0 for features that are missing in all of them: trees need a value."""
    rows[:, np.isnan(rows).all(0)] = 0
    return rows


def fully_labeled(head: Head, labels: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Mask of windows with all outputs labeled, and the labels in scikit-learn's format."""
    if head.kind == "classes":
        hard = hard_labels(labels)
        return hard >= 0, hard
    return np.asarray(_known(labels).all(1)), labels


def _known(labels: np.ndarray) -> np.ndarray:
    """Which labels there are."""
    return np.asarray(~np.isnan(labels) if labels.dtype.kind == "f" else labels >= 0)


def constant_flags(head: Head, labels: np.ndarray) -> list[str]:
    """Flags that are constant or never labeled, which a baseline cannot be fitted to."""
    if head.kind != "flags":
        return []
    return [name for name, one in zip(head.outputs, labels.T, strict=True) if len(np.unique(one[_known(one)])) < 2]


@register("svm", sees=SEES, fitted=True)
def svm(
    spec: Spec,
    *,
    c: float = 10.0,
    gamma: float = 0.2,
    balanced: bool = False,
    streams: Sequence[str] = JOINTS,
    rescale: bool = False,
) -> Baseline:
    """Support vector machine; training time is quadratic in the number of windows.

    The kernel is ``exp(-gamma * mean squared difference of the standardized features)``, so that gamma does not depend
    on the window's length. For ``streams`` see `Streams`, for ``rescale`` `Stretch`.
    """

    def make(kind: KindName, seed: int, inputs: int, classes: int) -> BaseEstimator:
        from sklearn.svm import SVC, SVR

        if kind == "values":
            return SVR(C=c, gamma=gamma / inputs, epsilon=0.05)
        weight = "balanced" if balanced else None
        return SVC(C=c, gamma=gamma / inputs, class_weight=weight, break_ties=True, random_state=seed)

    return Baseline("svm", spec, Kernel, make, streams, rescale=rescale)


@register("lda", sees=SEES, fitted=True)
def lda(
    spec: Spec,
    *,
    shrinkage: float = 0.3,
    balanced: bool = False,
    streams: Sequence[str] = JOINTS,
    rescale: bool = False,
) -> Baseline:
    """Linear discriminant analysis; for values, Bayesian ridge regression, which estimates its penalty.

    ``shrinkage``, from 0 to 1, shrinks the covariance within classes towards a multiple of the identity; few windows
    need more. For ``streams`` see `Streams`, for ``rescale`` `Stretch`.
    """

    def make(kind: KindName, seed: int, inputs: int, classes: int) -> BaseEstimator:
        from sklearn.discriminant_analysis import LinearDiscriminantAnalysis
        from sklearn.linear_model import BayesianRidge

        if kind == "values":
            return BayesianRidge()
        even = np.full(classes, 1 / classes) if balanced else None
        return LinearDiscriminantAnalysis("lsqr", shrinkage=shrinkage, priors=even)

    return Baseline("lda", spec, Linear, make, streams, rescale=rescale)


@register("logistic", sees=SEES, fitted=True)
def logistic(
    spec: Spec, *, c: float = 0.03, balanced: bool = False, streams: Sequence[str] = JOINTS, rescale: bool = False
) -> Baseline:
    """Multinomial logistic regression; for values, linear regression with the same penalty.

    For ``streams`` see `Streams`, for ``rescale`` `Stretch`.
    """

    def make(kind: KindName, seed: int, inputs: int, classes: int) -> BaseEstimator:
        from sklearn.linear_model import LogisticRegression, Ridge

        if kind == "values":
            return Ridge(alpha=1 / c if c else np.inf, random_state=seed)  # inf is refused
        weight = "balanced" if balanced else None
        return LogisticRegression(C=c, class_weight=weight, max_iter=2000, random_state=seed)

    return Baseline("logistic", spec, Linear, make, streams, rescale=rescale)


@register("kernel_ridge", sees=SEES, fitted=True)
def kernel_ridge(
    spec: Spec,
    *,
    gamma: float = 0.2,
    penalty: float = 0.6,
    shrinkage: float = 0.7,
    discriminant: bool = False,
    points: int = 2500,
    balanced: bool = True,
    streams: Sequence[str] = JOINTS,
    rescale: bool = False,
) -> Baseline:
    """Kernel ridge regression on whitened features, of classes as indicators; for the settings see `KernelRidge`.

    For ``streams`` see `Streams`, for ``rescale`` `Stretch`.
    """

    def make(kind: KindName, seed: int, inputs: int, classes: int) -> KernelRidge:
        return KernelRidge(kind, gamma, penalty, shrinkage, discriminant, balanced, points, seed)

    return Baseline("kernel_ridge", spec, KernelSum, make, streams, rescale=rescale)


@register("boosting", sees=SEES, fitted=True)
def boosting(
    spec: Spec,
    *,
    trees: int = 100,
    rate: float = 0.1,
    leaves: int = 8,
    share: float = 0.1,
    balanced: bool = False,
    streams: Sequence[str] = JOINTS,
    rescale: bool = False,
) -> Baseline:
    """Gradient boosting of small trees on binned features; each split considers a ``share`` of the features.

    For ``streams`` see `Streams`, for ``rescale`` `Stretch`.
    """

    def make(kind: KindName, seed: int, inputs: int, classes: int) -> BaseEstimator:
        from sklearn.ensemble import HistGradientBoostingClassifier, HistGradientBoostingRegressor

        common: dict[str, Any] = {"max_iter": trees, "learning_rate": rate, "max_leaf_nodes": leaves}
        common |= {"max_features": float(share), "early_stopping": False, "random_state": seed}
        if kind == "values":
            return HistGradientBoostingRegressor(**common)
        return HistGradientBoostingClassifier(**common, class_weight="balanced" if balanced else None)

    return Baseline("boosting", spec, Trees, make, streams, scaled=False, rescale=rescale)
