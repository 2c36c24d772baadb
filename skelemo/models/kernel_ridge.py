"""Kernel ridge regression of values, or of classes as indicators, on whitened features."""

from dataclasses import dataclass, field
from typing import Any, Self

import numpy as np
from torch import Tensor

from skelemo.models.estimators import Fitted
from skelemo.targets import KindName

#: Added to the diagonal of the kernel matrix, which is singular where a window occurs twice.
_JITTER = 1e-6
#: Shrinkage of the covariance of left-out predictions.
_STEADY = 1e-3


@dataclass
class KernelRidge:
    """Kernel ridge regression with the interface of scikit-learn's estimators.

    Parameters
    ----------
    gamma : of the rational quadratic kernel ``1 / (1 + gamma |x - y|²)``; features are scaled to a mean ``|x|²`` of 1.
    penalty : of the squared norm of the function.
    shrinkage : from 0 to 1, of the covariance that features are whitened by (within classes, or of all values)
        towards a multiple of the identity; 1 only standardizes.
    discriminant : find the class by linear discriminant analysis of the outputs (flexible discriminant analysis;
        Hastie, Tibshirani and Buja 1994), fitted to outputs for people who are left out, instead of by the largest
        output, which is seldom that of a class between others if windows are few.
    balanced : give all classes the same weight.
    points : the function is a sum of kernels at this many training windows at most, drawn with ``seed``.
    """

    kind: KindName
    gamma: float
    penalty: float
    shrinkage: float
    discriminant: bool
    balanced: bool
    points: int
    seed: int
    matrix: np.ndarray = field(init=False)  # [F, F]
    vectors: np.ndarray = field(init=False)  # [P, F], whitened
    weight: np.ndarray = field(init=False)  # [P, D]
    bias: np.ndarray = field(init=False)  # [D]
    classes_: np.ndarray = field(init=False)  # [D], of a classifier

    def _validate_params(self) -> None:
        for name, valid, expected in (
            ("gamma", self.gamma > 0, "greater than 0"),
            ("penalty", self.penalty > 0, "greater than 0"),
            ("shrinkage", 0 < self.shrinkage <= 1, "greater than 0 and at most 1"),
            ("points", self.points > 0, "at least 1"),
        ):
            if not valid:
                raise ValueError(f"{name} must be {expected}. Got {getattr(self, name)}")

    def fit(self, rows: np.ndarray, truth: np.ndarray, people: np.ndarray) -> Self:
        """Fit to features ``[N, F]``, labels ``[N]`` and the person ``[N]`` of each window."""
        from scipy.linalg import solve_triangular

        if self.kind != "values":
            self.classes_, label = np.unique(truth, return_inverse=True)
            wanted = 2 * np.eye(len(self.classes_))[label] - 1
        else:
            label, wanted = np.zeros(len(rows), int), truth[:, None]
        importance = 1 / np.bincount(label)[label] if self.balanced else np.ones(len(rows))
        root = np.sqrt(importance / importance.mean())[:, None]
        self.bias = np.average(wanted, 0, root[:, 0] ** 2)

        self.matrix = _whitening(rows, label, self.shrinkage)
        rows = rows @ self.matrix
        chosen = np.arange(len(rows))
        if len(rows) > self.points:
            chosen = np.sort(np.random.default_rng(self.seed).choice(len(rows), self.points, replace=False))
        self.vectors = rows[chosen]
        lower = np.linalg.cholesky(self._kernel(self.vectors) + _JITTER * np.eye(len(chosen)))
        basis = root * solve_triangular(lower, self._kernel(rows).T, lower=True).T
        ridge = np.linalg.cholesky(basis.T @ basis + self.penalty * np.eye(len(chosen)))
        basis = solve_triangular(ridge, basis.T, lower=True).T
        shares = basis.T @ (root * (wanted - self.bias))
        self.weight = solve_triangular(lower.T, solve_triangular(ridge.T, shares))

        if self.kind != "values":
            residual = wanted - self.bias - basis @ shares / root
            self._read(wanted - _left_out(residual, basis, root, people), label)
        return self

    def _kernel(self, rows: np.ndarray) -> np.ndarray:
        distance = (rows**2).sum(1)[:, None] + (self.vectors**2).sum(1) - 2 * rows @ self.vectors.T
        return np.asarray(1 / (1 + self.gamma * distance.clip(0)))

    def _read(self, outputs: np.ndarray, label: np.ndarray) -> None:
        """Turn outputs into logits by those ``[N, K]`` for people who are left out."""
        from scipy.optimize import minimize_scalar
        from scipy.special import log_softmax
        from sklearn.discriminant_analysis import LinearDiscriminantAnalysis

        if self.discriminant and len(self.classes_) > 2:
            even = np.full(len(self.classes_), 1 / len(self.classes_)) if self.balanced else None
            # the outputs of all classes have a constant sum: one is redundant
            found = LinearDiscriminantAnalysis("lsqr", shrinkage=_STEADY, priors=even).fit(outputs[:, :-1], label)
            self._transform(found.coef_.T, found.intercept_)
            outputs = found.decision_function(outputs[:, :-1])

        def loss(log_factor: float) -> float:
            return float(-log_softmax(np.exp(log_factor) * outputs, 1)[np.arange(len(label)), label].mean())

        factor = np.exp(minimize_scalar(loss, bounds=(-7, 7), method="bounded").x)
        of_class = np.eye(len(self.classes_))
        self._transform(factor * (of_class[:, 1:] - of_class[:, :1] if self.kind == "flags" else of_class))

    def _transform(self, matrix: np.ndarray, bias: np.ndarray | float = 0.0) -> None:
        """Apply a linear function to the outputs, or to all but the last."""
        size = len(matrix)
        self.weight, self.bias = self.weight[:, :size] @ matrix, self.bias[:size] @ matrix + bias

    def predict(self, rows: np.ndarray) -> np.ndarray:
        """Values ``[N]``."""
        return np.asarray((self._kernel(rows @ self.matrix) @ self.weight + self.bias)[:, 0])


def _whitening(rows: np.ndarray, label: np.ndarray, shrinkage: float) -> np.ndarray:
    """Matrix ``[F, F]`` that whitens the shrunk covariance within classes and scales to a mean squared norm of 1."""
    within = np.zeros((rows.shape[1],) * 2)
    for one in np.unique(label):
        centered = rows[label == one] - rows[label == one].mean(0)
        within += centered.T @ centered / len(rows)
    within = (1 - shrinkage) * within + shrinkage * np.trace(within) / len(within) * np.eye(len(within))
    spread, axes = np.linalg.eigh(within)
    matrix = axes / np.sqrt(spread.clip(1e-12))
    return np.asarray(matrix / np.sqrt(((rows @ matrix) ** 2).sum(1).mean() or 1))


def _left_out(residual: np.ndarray, basis: np.ndarray, root: np.ndarray, people: np.ndarray) -> np.ndarray:
    """Residuals ``[N, D]`` of each person by the regression without this person, in closed form.

    With a single person, each window is left out by itself.
    """
    if len(np.unique(people)) < 2:
        people = np.arange(len(people))
    order = np.argsort(people, kind="stable")
    left = np.empty_like(residual)
    for these in np.split(order, np.flatnonzero(np.diff(people[order])) + 1):
        own = np.eye(len(these)) - basis[these] @ basis[these].T
        left[these] = np.linalg.solve(own, root[these] * residual[these]) / root[these]
    return left


class KernelSum(Fitted):
    """Outputs ``[N, D]`` of `KernelRidge`: one classifier, or one per flag or value."""

    matrix: Tensor  # [E, F, F]
    vectors: Tensor  # [E, P, F], padded with zeros
    weight: Tensor  # [E, P, D]
    bias: Tensor  # [E, D]
    gamma: Tensor

    def copy(self, estimators: list[Any]) -> None:
        """Copy one classifier, or one estimator per flag or value."""
        most = max(len(one.vectors) for one in estimators)

        def padded(array: np.ndarray) -> np.ndarray:
            return np.pad(array, ((0, most - len(array)), (0, 0)))

        self._store(
            matrix=np.stack([one.matrix for one in estimators]).astype(np.float32),
            vectors=np.stack([padded(one.vectors) for one in estimators]).astype(np.float32),
            weight=np.stack([padded(one.weight) for one in estimators]),
            bias=np.stack([one.bias for one in estimators]),
            gamma=float(estimators[0].gamma),
        )

    def forward(self, rows: Tensor) -> Tensor:
        """``[N, F]`` to ``[N, D]``."""
        rows, vectors = rows @ self.matrix.double(), self.vectors.double()  # [E, N, F]
        distance = rows.square().sum(2)[..., None] - 2 * rows @ vectors.mT + vectors.square().sum(2)[:, None]
        outputs = (1 + self.gamma * distance.clamp(min=0)).reciprocal() @ self.weight + self.bias[:, None]
        return outputs.transpose(0, 1).flatten(1)
