"""Kernel ridge regression of values, or of classes as indicators, on whitened features."""

from dataclasses import dataclass, field
from typing import Any, Self, TypeVar

import numpy as np
from torch import Tensor

from skelemo.models.estimators import Fitted
from skelemo.targets import KindName

Array = TypeVar("Array", np.ndarray, Tensor)
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
    axes: np.ndarray = field(init=False)  # [R, F], of the whitening
    factors: np.ndarray = field(init=False)  # [R + 1], along the axes and orthogonal to all
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

        self.axes, self.factors = _whitening(rows, label, self.shrinkage)
        rows = _whitened(rows, self.axes, self.factors)
        chosen = np.arange(len(rows))
        if len(rows) > self.points:
            chosen = np.sort(np.random.default_rng(self.seed).choice(len(rows), self.points, replace=False))
        self.vectors = rows[chosen]
        lower = np.linalg.cholesky(self._kernel(self.vectors) + _JITTER * np.eye(len(chosen)))
        basis = solve_triangular(lower, self._kernel(rows).T, lower=True, overwrite_b=True).T  # may be gigabytes
        basis *= root
        ridge = np.linalg.cholesky(basis.T @ basis + self.penalty * np.eye(len(chosen)))
        basis = solve_triangular(ridge, basis.T, lower=True, overwrite_b=True).T
        shares = basis.T @ (root * (wanted - self.bias))
        self.weight = solve_triangular(lower.T, solve_triangular(ridge.T, shares))

        if self.kind != "values":
            residual = wanted - self.bias - basis @ shares / root
            self._read(wanted - _left_out(residual, basis, root, people), label)
        return self

    def _kernel(self, rows: np.ndarray) -> np.ndarray:
        distance = rows @ (-2 * self.vectors.T)
        distance += (rows**2).sum(1)[:, None]
        distance += (self.vectors**2).sum(1)
        np.multiply(distance.clip(0, out=distance), self.gamma, out=distance)
        distance += 1
        return np.reciprocal(distance, out=distance)

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
        return np.asarray((self._kernel(_whitened(rows, self.axes, self.factors)) @ self.weight + self.bias)[:, 0])


def _whitening(rows: np.ndarray, label: np.ndarray, shrinkage: float) -> tuple[np.ndarray, np.ndarray]:
    """Axes ``[R, F]`` and factors ``[R + 1]`` that whiten the shrunk covariance within classes.

    The factors also scale to a mean squared norm of 1.
    """
    centered = rows.copy()
    for one in np.unique(label):
        centered[label == one] -= rows[label == one].mean(0)
    _, spread, axes = np.linalg.svd(centered / np.sqrt(len(rows)), full_matrices=False)
    variance = (1 - shrinkage) * np.append(spread**2, 0) + shrinkage * (spread**2).sum() / rows.shape[1]
    factors = 1 / np.sqrt(variance.clip(1e-12))
    size = (_whitened(rows, axes, factors) ** 2).sum(1).mean()
    return axes, factors / np.sqrt(size or 1)


def _whitened(rows: Array, axes: Array, factors: Array) -> Array:
    """Features ``[..., N, F]``, scaled along the axes ``[..., R, F]`` and orthogonal to them."""
    rest = factors[..., None, -1:]
    return rest * rows + (rows @ axes.swapaxes(-1, -2) * (factors[..., None, :-1] - rest)) @ axes


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

    axes: Tensor  # [E, R, F], padded with zeros as vectors and weights
    factors: Tensor  # [E, R + 1]
    vectors: Tensor  # [E, P, F]
    weight: Tensor  # [E, P, D]
    bias: Tensor  # [E, D]
    gamma: Tensor

    def copy(self, estimators: list[Any]) -> None:
        """Copy one classifier, or one estimator per flag or value."""

        def stacked(name: str) -> np.ndarray:
            arrays = [getattr(one, name) for one in estimators]
            most = max(map(len, arrays))
            return np.stack([np.pad(array, ((0, most - len(array)), (0, 0))) for array in arrays])

        axes = stacked("axes")
        rest = np.array([one.factors[-1:] for one in estimators])
        factors = np.repeat(rest, axes.shape[1] + 1, 1)
        for own, one in zip(factors, estimators, strict=True):
            own[: len(one.axes)] = one.factors[:-1]
        self._store(
            axes=axes.astype(np.float32),
            factors=factors,
            vectors=stacked("vectors").astype(np.float32),
            weight=stacked("weight"),
            bias=np.stack([one.bias for one in estimators]),
            gamma=float(estimators[0].gamma),
        )

    def forward(self, rows: Tensor) -> Tensor:
        """``[N, F]`` to ``[N, D]``."""
        rows, vectors = _whitened(rows, self.axes.double(), self.factors), self.vectors.double()  # [E, N, F]
        distance = rows.square().sum(2)[..., None] - 2 * rows @ vectors.mT + vectors.square().sum(2)[:, None]
        outputs = (1 + self.gamma * distance.clamp(min=0)).reciprocal() @ self.weight + self.bias[:, None]
        return outputs.transpose(0, 1).flatten(1)
