"""Estimators fitted by scikit-learn, stored as buffers of torch modules: predicted, moved and saved like networks."""

import math
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn


class Fitted(nn.Module):
    """A fitted estimator as buffers; `load_state_dict` accepts arrays of any length."""

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
    """Standardizes features, ignoring missing ones, which become 0 (the mean)."""

    mean: Tensor
    scale: Tensor

    def fit(self, rows: np.ndarray) -> np.ndarray:
        """Fit mean and standard deviation to ``rows [N, F]`` and transform them; constant features are not scaled."""
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
        """Copy one estimator, or one per flag."""
        self._store(
            weight=np.concatenate([np.atleast_2d(one.coef_) for one in estimators]),
            bias=np.concatenate([np.atleast_1d(one.intercept_) for one in estimators]),
        )

    def forward(self, rows: Tensor) -> Tensor:
        """``[N, F]`` to ``[N, D]``."""
        return rows @ self.weight.T + self.bias


class Kernel(Fitted):
    """Outputs ``[N, D]`` of support vector machines with the kernel ``exp(-gamma |x - y|²)``.

    With three or more classes D is K: the votes of all pairs of classes, with ties broken by the sum of the decision
    values as in scikit-learn's ``decision_function``.
    """

    vectors: Tensor
    weight: Tensor
    bias: Tensor
    gamma: Tensor
    pairs: Tensor

    def copy(self, estimators: list[Any]) -> None:
        """Copy one classifier, or one estimator per flag or value."""
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
        classes = (1 + math.isqrt(1 + 8 * len(self.pairs))) // 2  # K from K (K - 1) / 2 pairs
        first, second = nn.functional.one_hot(self.pairs, classes).double().unbind(1)  # [P, K] each
        votes = (decided >= 0).double() @ first + (decided < 0).double() @ second
        total = decided @ (first - second)
        return votes + total / (3 * (total.abs() + 1))


def _pair_weights(estimator: Any) -> np.ndarray:
    """Weight of each support vector in each decision, ``[D, S]``; one decision per pair of classes."""
    dual = np.asarray(estimator.dual_coef_)
    if len(dual) == 1:
        return dual
    owner = np.repeat(np.arange(len(dual) + 1), estimator.n_support_)
    classes = range(len(dual) + 1)
    pairs = [(i, j) for i in classes for j in classes if i < j]
    rows = [np.where(owner == i, dual[j - 1], 0) + np.where(owner == j, dual[i], 0) for i, j in pairs]
    return np.array(rows)


class Trees(Fitted):
    """Outputs ``[N, D]`` of boosted trees; each split has a default branch for missing features."""

    nodes: Tensor
    links: Tensor
    output: Tensor
    start: Tensor

    def copy(self, estimators: list[Any]) -> None:
        """Copy one classifier, or one estimator per flag or value."""
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
            itself = np.arange(len(tree))  # leaves are their own children
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
        for _ in range(value.shape[1] // 2):  # the maximum depth of a tree of this size
            known = rows.gather(1, feature[tree, node])
            goes_left = (known <= threshold[tree, node]) | (known.isnan() & (missing[tree, node] > 0))
            below = torch.where(goes_left, left[tree, node], right[tree, node])
            if not traced and torch.equal(below, node):
                break
            node = below
        total = self.start.expand(rows.shape[0], -1).clone()
        return total.index_add_(1, self.output, value[tree, node])


class Grid(nn.Module):
    """Rounds features to a grid, so that splits do not depend on rounding errors."""

    STEP = 2.0**-16

    def fit(self, rows: np.ndarray) -> np.ndarray:
        """Round the training features ``[N, F]``."""
        return np.asarray(np.round(rows.astype(np.float64) / self.STEP) * self.STEP)

    def forward(self, rows: Tensor) -> Tensor:
        """``[N, F]`` float64, NaN if missing."""
        return (rows / self.STEP).round() * self.STEP


class Stretch(Fitted):
    """Rescales values about their mean to the labels' standard deviation.

    An uncertain regression predicts near the mean, which minimizes the squared error but lowers concordance: with a
    correlation of r, CCC is 2 r² / (1 + r²), and r after rescaling. Fitted to cross-validated predictions.
    """

    middle: Tensor
    factor: Tensor

    def fit(self, truth: np.ndarray, predicted: np.ndarray) -> None:
        """Fit to labels and predictions ``[N, K]``; constant predictions are not rescaled."""
        spread = predicted.std(0)
        factor = np.where(spread > 1e-6, truth.std(0) / np.maximum(spread, 1e-6), 1)
        self._store(middle=truth.mean(0, dtype=np.float64), factor=factor.astype(np.float64))

    def forward(self, values: Tensor) -> Tensor:
        """``[N, K]``."""
        return self.middle + (values - self.middle) * self.factor
