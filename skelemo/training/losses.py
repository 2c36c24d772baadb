"""What training minimizes; unlabelled windows (class -1, NaN) count in none of them."""

import torch
from torch import Tensor
from torch.nn import functional


def cross_entropy(logits: Tensor, expression: Tensor, weight: Tensor | None = None, smoothing: float = 0.0) -> Tensor:
    """Mean cross-entropy of ``logits [B, K]`` over the labelled windows; 0 where none is labelled."""
    labelled = expression >= 0
    if not labelled.any():
        return logits.sum() * 0
    return functional.cross_entropy(
        logits[labelled].float(), expression[labelled], weight=weight, label_smoothing=smoothing
    )


def valence_arousal(predicted: Tensor, va: Tensor, kind: str) -> Tensor:
    """Loss of ``predicted [B, 2]`` against ``va [B, 2]``: ``mse``, ``ccc`` (1 - CCC, mean of both) or ``mse+ccc``."""
    labelled = va.isfinite().all(-1)
    if not labelled.any():
        return predicted.sum() * 0
    predicted, va = predicted[labelled].float(), va[labelled].float()
    losses = {"mse": lambda: functional.mse_loss(predicted, va), "ccc": lambda: (1 - batch_ccc(predicted, va)).mean()}
    return torch.stack([losses[name]() for name in kind.split("+")]).sum()


def batch_ccc(x: Tensor, y: Tensor) -> Tensor:
    """Concordance correlation of each column of ``x, y [B, C]`` with population variances; 0 for constant columns.

    Lin 1989: 2 s_xy / (s_x² + s_y² + (mean_x - mean_y)²).
    """
    mean_x, mean_y = x.mean(0), y.mean(0)
    covariance = ((x - mean_x) * (y - mean_y)).mean(0)
    spread = x.var(0, unbiased=False) + y.var(0, unbiased=False) + (mean_x - mean_y) ** 2
    return 2 * covariance / spread.clamp(min=torch.finfo(x.dtype).eps)


def class_weights(expression: Tensor, classes: int, kind: str) -> Tensor | None:
    """Weight ``[K]`` of each class from the training labels: inverse frequency, its square root, or none.

    The weights of the labels average to 1; a class that never occurs has weight 0.
    """
    if kind == "none":
        return None
    counts = torch.bincount(expression[expression >= 0], minlength=classes).float()
    inverse = torch.where(counts > 0, 1 / counts.clamp(min=1), 0)
    weights = inverse.sqrt() if kind == "sqrt" else inverse
    return weights * counts.sum() / (weights * counts).sum().clamp(min=1e-12)
