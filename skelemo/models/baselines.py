"""Baselines without deep learning: `svm`, `lda`, `logistic` and `boosting` on statistics of a window's keypoints.

What a network must beat. scikit-learn fits them; the result is copied into the buffers of a module, which predicts,
moves between devices and is saved like a network: as arrays, without code.
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping, Sequence
from typing import TYPE_CHECKING, Any

import numpy as np
import torch
from torch import Tensor, nn

from skelemo.errors import ConfigError
from skelemo.models.registry import Spec, register
from skelemo.models.streams import mirrored
from skelemo.models.window_features import Features
from skelemo.targets import Head, KindName, hard_labels

if TYPE_CHECKING:
    from sklearn.base import BaseEstimator

#: Input, as `skelemo models` shows it.
SEES = "normalized keypoints and their statistics over the window"
#: What baselines see unless told: positions.
JOINTS = ("joint",)
#: Ranges of the settings: above the first number, up to the second.
LIMITS = {
    "c": (0, 1_000_000),
    "gamma": (0, 1_000_000),
    "trees": (0, 100_000),
    "rate": (0, 10),
    "leaves": (1, 10_000),
    "share": (0, 1),
    "shrinkage": (0, 1),
}
#: Parts that the training windows are divided into where `rescale` predicts windows that are not fitted.
PARTS = 5


class Fitted(nn.Module):
    """What scikit-learn fitted, as buffers; `load_state_dict` takes arrays of any length."""

    def _store(self, **arrays: Any) -> None:
        for name, array in arrays.items():
            self.register_buffer(name, torch.as_tensor(np.array(array)))

    def _load_from_state_dict(self, state: dict[str, Any], prefix: str, *others: Any) -> None:
        for key, value in state.items():
            name = key.removeprefix(prefix)
            if key.startswith(prefix) and "." not in name:
                self.register_buffer(name, torch.empty_like(value))
        super()._load_from_state_dict(state, prefix, *others)


class Scaler(Fitted):
    """Standardizes features over the windows that have them; a missing one becomes 0, the mean."""

    mean: Tensor
    scale: Tensor

    def fit(self, rows: np.ndarray) -> np.ndarray:
        """Fit mean and deviation to ``rows [N, F]`` and transform them; constant features keep their unit."""
        known = np.isfinite(rows)
        count = np.maximum(known.sum(0), 1)
        mean = np.where(known, rows, 0).sum(0, dtype=np.float64) / count
        deviation = np.sqrt((np.where(known, rows - mean, 0) ** 2).sum(0) / count)
        self._store(mean=mean, scale=np.where(deviation > 1e-6, deviation, 1))
        return self(torch.from_numpy(rows)).numpy()

    def forward(self, rows: Tensor) -> Tensor:
        """``[N, F]`` float64."""
        return ((rows.double() - self.mean) / self.scale).nan_to_num(0)


class Linear(Fitted):
    """Linear outputs ``[N, D]``: logistic and ridge regression."""

    weight: Tensor
    bias: Tensor

    def copy(self, estimators: list[Any]) -> None:
        """Copy one estimator, or one for each flag."""
        self._store(
            weight=np.concatenate([np.atleast_2d(one.coef_) for one in estimators]),
            bias=np.concatenate([np.atleast_1d(one.intercept_) for one in estimators]),
        )

    def forward(self, rows: Tensor) -> Tensor:
        """``[N, F]`` to ``[N, D]``."""
        return rows @ self.weight.T + self.bias


class Kernel(Fitted):
    """Outputs ``[N, D]`` of support vector machines with the kernel ``exp(-gamma |x - y|²)``.

    With three or more classes D is K: each pair of classes votes, and the sum of the pairs' decision values breaks
    ties, as scikit-learn's ``decision_function``.
    """

    vectors: Tensor
    weight: Tensor
    bias: Tensor
    gamma: Tensor
    pairs: Tensor

    def copy(self, estimators: list[Any]) -> None:
        """Copy one classifier, or one estimator for each flag or value."""
        weights = [_pair_weights(one) for one in estimators]
        blocks = np.zeros((sum(map(len, weights)), sum(weight.shape[1] for weight in weights)))
        row = column = 0
        for weight in weights:
            blocks[row : row + len(weight), column : column + weight.shape[1]] = weight
            row, column = row + len(weight), column + weight.shape[1]
        classes = len(getattr(estimators[0], "classes_", ()))
        pairs = [(i, j) for i in range(classes) for j in range(i + 1, classes)] if classes > 2 else []
        self._store(
            vectors=np.concatenate([one.support_vectors_ for one in estimators]).astype(np.float32),
            weight=blocks,
            bias=np.concatenate([one.intercept_ for one in estimators]),
            gamma=float(estimators[0].gamma),
            pairs=np.array(pairs, np.int64).reshape(-1, 2),
        )

    def forward(self, rows: Tensor) -> Tensor:
        """``[N, F]`` to ``[N, D]``."""
        vectors = self.vectors.double()
        distance = rows.square().sum(1)[:, None] - 2 * rows @ vectors.T + vectors.square().sum(1)
        decided = (-self.gamma * distance.clamp(min=0)).exp() @ self.weight.T + self.bias
        if not len(self.pairs):
            return decided
        classes = (1 + math.isqrt(1 + 8 * len(self.pairs))) // 2  # so many have so many pairs
        first, second = nn.functional.one_hot(self.pairs, classes).double().unbind(1)  # [P, K] each
        votes = (decided >= 0).double() @ first + (decided < 0).double() @ second
        total = decided @ (first - second)
        return votes + total / (3 * (total.abs() + 1))


def _pair_weights(estimator: Any) -> np.ndarray:
    """Weight of every support vector in every decision, ``[D, S]``; one decision for each pair of classes."""
    dual = np.asarray(estimator.dual_coef_)
    if len(dual) == 1:
        return dual
    owner = np.repeat(np.arange(len(dual) + 1), estimator.n_support_)
    classes = range(len(dual) + 1)
    pairs = [(i, j) for i in classes for j in classes if i < j]
    rows = [np.where(owner == i, dual[j - 1], 0) + np.where(owner == j, dual[i], 0) for i, j in pairs]
    return np.array(rows)


class Trees(Fitted):
    """Sums ``[N, D]`` of the leaves of boosted trees; a missing feature goes where each split sends it."""

    nodes: Tensor
    links: Tensor
    output: Tensor
    start: Tensor

    def copy(self, estimators: list[Any]) -> None:
        """Copy one classifier, or one estimator for each flag or value."""
        trees: list[np.ndarray] = []
        output: list[int] = []
        start: list[float] = []
        for one in estimators:
            for stage in one._predictors:
                trees += [tree.nodes for tree in stage]
                output += [len(start) + index for index in range(len(stage))]
            start += np.ravel(one._baseline_prediction).tolist()
        size = max(map(len, trees))
        nodes, links = np.zeros((2, len(trees), size)), np.zeros((4, len(trees), size), np.int32)
        for index, tree in enumerate(trees):
            here = (index, slice(len(tree)))
            nodes[0][here], nodes[1][here] = tree["num_threshold"], np.where(tree["is_leaf"], tree["value"], 0)
            itself = np.arange(len(tree))  # a leaf leads to itself
            links[0][here] = np.where(tree["is_leaf"], 0, tree["feature_idx"])
            links[1][here] = np.where(tree["is_leaf"], itself, tree["left"])
            links[2][here] = np.where(tree["is_leaf"], itself, tree["right"])
            links[3][here] = tree["missing_go_to_left"]
        self._store(nodes=nodes, links=links, output=np.array(output), start=np.array(start))

    def forward(self, rows: Tensor) -> Tensor:
        """``[N, F]`` to ``[N, D]``."""
        (threshold, value), (feature, left, right, missing) = self.nodes, self.links.long()
        tree = torch.arange(len(value), device=rows.device)
        node = torch.zeros(rows.shape[0], len(value), dtype=torch.long, device=rows.device)  # [N, trees]
        traced = torch.compiler.is_compiling() or torch.jit.is_tracing()
        for _ in range(value.shape[1] // 2):  # no tree of so many nodes is deeper
            known = rows.gather(1, feature[tree, node])
            goes_left = (known <= threshold[tree, node]) | (known.isnan() & (missing[tree, node] > 0))
            below = torch.where(goes_left, left[tree, node], right[tree, node])
            if not traced and torch.equal(below, node):
                break
            node = below
        total = self.start.expand(rows.shape[0], -1).clone()
        return total.index_add_(1, self.output, value[tree, node])


class Grid(nn.Module):
    """Rounds features to a grid, so that no tree splits at what only the order of additions decides."""

    STEP = 2.0**-16

    def fit(self, rows: np.ndarray) -> np.ndarray:
        """The same for ``[N, F]`` of training."""
        return np.asarray(np.round(rows.astype(np.float64) / self.STEP) * self.STEP)

    def forward(self, rows: Tensor) -> Tensor:
        """``[N, F]`` float64, NaN where a feature is missing."""
        return (rows / self.STEP).round() * self.STEP


class Stretch(Fitted):
    """Stretches values about their mean until they deviate as much as the labels.

    In doubt a regression answers near the mean, which minimizes squared error and costs concordance: with a correlation
    of r it gets 2 r² / (1 + r²); with the labels' deviation, r. The predictions are of people it is not fitted to.
    """

    middle: Tensor
    factor: Tensor

    def fit(self, truth: np.ndarray, predicted: np.ndarray) -> None:
        """Labels and predictions ``[N, K]``; constant predictions are left alone."""
        spread = predicted.std(0)
        factor = np.where(spread > 1e-6, truth.std(0) / np.maximum(spread, 1e-6), 1)
        self._store(middle=truth.mean(0, dtype=np.float64), factor=factor.astype(np.float64))

    def forward(self, values: Tensor) -> Tensor:
        """``[N, K]``."""
        return self.middle + (values - self.middle) * self.factor


class Baseline(Fitted):
    """One fitted estimator for each head on the features of a window, with the interface of a network.

    Classes without training samples have the logit -inf. A support vector machine's logits are its decision values.
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
        self.estimators = nn.ModuleDict({head.name: kind() for head in spec.heads})
        self.stretches = nn.ModuleDict(
            {head.name: Stretch() for head in spec.heads if rescale and head.kind == "values"}
        )
        for head in spec.heads:
            self._store(**{f"{head.name}_classes": np.arange(len(head))})

    def fit(
        self,
        windows: Iterable[tuple[Tensor, Tensor]],
        labels: Mapping[str, np.ndarray],
        people: np.ndarray,
        *,
        mirror: bool,
        seed: int,
    ) -> None:
        """Fit to batches of keypoints ``[n, T, V, C]`` and masks ``[n, T]``, with the labels of all windows.

        Raises `ConfigError`: scikit-learn rejects the settings or the windows; `rescale` with a single person.

        Parameters
        ----------
        people : ``[N]`` the person of each window, any numbers.
        mirror : also fit to every window flipped.
        seed : of scikit-learn's random numbers.
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
            chosen = np.tile(known, copies)
            truth = np.concatenate([wanted[known]] * copies)
            fitted = self._fit_head(head, ready[chosen], truth, seed)
            self.estimators[head.name].copy(fitted)  # type: ignore[operator]  # defined by every subclass of Fitted
            if head.kind == "classes":
                self._store(**{f"{head.name}_classes": fitted[0].classes_.astype(np.int64)})
            if head.name in self.stretches:
                unseen = self._predict_apart(head, ready[chosen], truth, np.tile(people[known], copies), seed)
                self.stretches[head.name].fit(truth, unseen)  # type: ignore[operator]

    def _fit_head(self, head: Head, rows: np.ndarray, truth: np.ndarray, seed: int) -> list[Any]:
        """One estimator, or one for each flag or value."""
        columns = [truth] if head.kind == "classes" else list(truth.T)
        try:
            return [self.make(head.kind, seed, rows.shape[1], len(np.unique(one))).fit(rows, one) for one in columns]
        except ValueError as error:  # scikit-learn's way to reject input
            why = str(error).partition("\n")[0]
            raise ConfigError(f"{self.name} cannot learn the head {head.name}: {why}") from error

    def _predict_apart(
        self, head: Head, rows: np.ndarray, truth: np.ndarray, people: np.ndarray, seed: int
    ) -> np.ndarray:
        """Values ``[N, K]``, each predicted by estimators that were fitted to other people."""
        from sklearn.model_selection import GroupKFold

        found = np.empty_like(truth)
        parts = min(PARTS, len(np.unique(people)))
        if parts < 2:
            raise ConfigError(f"rescale of {self.name} needs windows of two people or more; all are of one")
        for others, these in GroupKFold(parts, shuffle=True, random_state=seed).split(rows, groups=people):
            fitted = self._fit_head(head, rows[others], truth[others], seed)
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


def fully_labeled(head: Head, labels: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Which windows have all outputs labeled, and their labels as scikit-learn expects them."""
    if head.kind == "classes":
        hard = hard_labels(labels)
        return hard >= 0, hard
    return np.asarray((~np.isnan(labels) if labels.dtype.kind == "f" else labels >= 0).all(1)), labels


def constant_flags(head: Head, labels: np.ndarray) -> list[str]:
    """Flags that are alike in all windows that a baseline would be fitted to, so that it cannot learn them."""
    if head.kind != "flags":
        return []
    known, wanted = fully_labeled(head, labels)
    return [name for name, one in zip(head.outputs, wanted[known].T, strict=True) if len(np.unique(one)) == 1]


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

    The kernel is ``exp(-gamma * mean squared difference of the standardized features)``; with the mean instead of the
    sum, one gamma suits single frames and long windows. ``streams`` are its input, see `Streams`; ``rescale`` is
    `Stretch`.
    """
    _require_limits("svm", c=c, gamma=gamma)

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
    """Linear discriminant analysis; for values, Bayesian ridge regression, which finds its penalty itself.

    ``shrinkage``, from 0 to 1, draws the covariance within classes toward a multiple of the identity; few windows need
    much. ``streams`` are its input, see `Streams`; ``rescale`` is `Stretch`.
    """
    _require_limits("lda", shrinkage=shrinkage)

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

    ``streams`` are its input, see `Streams`; ``rescale`` is `Stretch`.
    """
    _require_limits("logistic", c=c)

    def make(kind: KindName, seed: int, inputs: int, classes: int) -> BaseEstimator:
        from sklearn.linear_model import LogisticRegression, Ridge

        if kind == "values":
            return Ridge(alpha=1 / c, random_state=seed)
        weight = "balanced" if balanced else None
        return LogisticRegression(C=c, class_weight=weight, max_iter=2000, random_state=seed)

    return Baseline("logistic", spec, Linear, make, streams, rescale=rescale)


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
    """Gradient boosting of small trees on binned features, each split looking at a ``share`` of the features.

    ``streams`` are its input, see `Streams`; ``rescale`` is `Stretch`.
    """
    _require_limits("boosting", trees=trees, rate=rate, leaves=leaves, share=share)

    def make(kind: KindName, seed: int, inputs: int, classes: int) -> BaseEstimator:
        from sklearn.ensemble import HistGradientBoostingClassifier, HistGradientBoostingRegressor

        common: dict[str, Any] = {"max_iter": trees, "learning_rate": rate, "max_leaf_nodes": leaves}
        common |= {"max_features": float(share), "early_stopping": False, "random_state": seed}
        if kind == "values":
            return HistGradientBoostingRegressor(**common)
        return HistGradientBoostingClassifier(**common, class_weight="balanced" if balanced else None)

    return Baseline("boosting", spec, Trees, make, streams, scaled=False, rescale=rescale)


def _require_limits(name: str, **settings: float) -> None:
    for setting, value in settings.items():
        above, most = LIMITS[setting]
        if not above < value <= most:
            raise ConfigError(f"setting {setting} of {name} is {value!r}; expected above {above:,} and up to {most:,}")
