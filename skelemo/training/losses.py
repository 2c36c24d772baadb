"""Losses by name for each kind of head; windows and outputs without a label are ignored.

A loss is ``loss(outputs [N, K], labels, known, context) -> scalar``: float32 outputs of the N labeled windows, their
labels by the head's kind (classes: int64 ``[N]`` or shares ``[N, K]``; values and flags: float32 ``[N, K]``), and
``known`` bool ``[N, K]``, whether each output has a label. See `skelemo.plugins` for losses of other packages.
"""

import math
from collections.abc import Callable
from dataclasses import dataclass

import torch
from torch import Tensor
from torch.nn import functional

from skelemo.errors import ConfigError
from skelemo.plugins import Registry
from skelemo.targets import Head, KindName


@dataclass(frozen=True)
class Context:
    """Further arguments of a loss.

    Parameters
    ----------
    weight : ``[K]`` weight of each class, or of positive labels of each flag; None for equal weights.
    frequency : ``[K]`` frequency of each class, or of positive labels of each flag, in training.
    smoothing : label smoothing of classes.
    batch : number of windows in the batch, labeled or not.
    """

    weight: Tensor | None = None
    frequency: Tensor | None = None
    smoothing: float = 0.0
    batch: int = 0

    def to(self, device: torch.device) -> "Context":
        """The context with its tensors on a device."""
        weight, frequency = (None if t is None else t.to(device) for t in (self.weight, self.frequency))
        return Context(weight, frequency, self.smoothing, self.batch)


Loss = Callable[[Tensor, Tensor, Tensor, Context], Tensor]
#: Losses by name; ``facts`` is the kind of head that a loss is for.
LOSSES: Registry[KindName] = Registry("loss", "skelemo.losses")
#: Default loss of each kind.
DEFAULTS: dict[KindName, str] = {"classes": "cross_entropy", "values": "mse", "flags": "bce"}


def head_loss(head: Head, name: str, outputs: Tensor, labels: Tensor, context: Context) -> Tensor:
    """Loss of one head over a batch: ``outputs [B, K]``, labels by the head's kind; 0 without labels.

    ``name`` is a registered loss, or a sum of several joined by ``+``.
    """
    soft = head.kind == "classes" and labels.ndim == 2
    missing = labels.isnan() if labels.is_floating_point() else labels < 0
    known = ~(missing if missing.ndim == 2 else missing[:, None].expand(-1, len(head)))  # [B, K]
    rows = known.any(1)
    if not rows.any():
        return outputs.sum() * 0
    outputs, labels, known = outputs[rows].float(), labels[rows], known[rows]
    labels = labels.long() if head.kind == "classes" and not soft else labels.float()
    return torch.stack([LOSSES[part].function(outputs, labels, known, context) for part in name.split("+")]).sum()


def require_loss(head: Head, name: str) -> None:
    """Raise `ConfigError` for an unknown loss or one for another kind of head."""
    for part in name.split("+"):
        kind = LOSSES[part].facts
        if kind != head.kind:
            fitting = ", ".join(other for other in LOSSES if LOSSES[other].facts == head.kind)
            raise ConfigError(f"loss {part!r} is for {kind}, but {head.name} has {head.kind}: expected {fitting}")


@LOSSES.register("cross_entropy", "classes")
def cross_entropy(outputs: Tensor, labels: Tensor, known: Tensor, context: Context) -> Tensor:
    """Mean cross-entropy with class indices or shares."""
    return functional.cross_entropy(outputs, labels, weight=context.weight, label_smoothing=context.smoothing)


@LOSSES.register("focal", "classes")
def focal(outputs: Tensor, labels: Tensor, known: Tensor, context: Context, *, gamma: float = 2.0) -> Tensor:
    """Cross-entropy weighted by ``(1 - p)^gamma`` (Lin et al. 2017, arXiv:1708.02002)."""
    shares = functional.one_hot(labels, outputs.shape[1]).float() if labels.ndim == 1 else labels
    shares = shares * (1 - context.smoothing) + context.smoothing / outputs.shape[1]
    log = outputs.log_softmax(1)
    terms = -shares * (1 - log.exp()) ** gamma * log
    return (terms if context.weight is None else terms * context.weight).sum(1).mean()


@LOSSES.register("logit_adjusted", "classes")
def logit_adjusted(outputs: Tensor, labels: Tensor, known: Tensor, context: Context) -> Tensor:
    """Cross-entropy of logits plus the log of each class's frequency (Menon et al. 2021, arXiv:2007.07314).

    A class absent from training is not adjusted: its log would be so low that nothing kept it from being predicted.
    """
    if context.frequency is not None:
        outputs = outputs + torch.where(context.frequency > 0, context.frequency, 1).log()
    return functional.cross_entropy(outputs, labels, weight=context.weight, label_smoothing=context.smoothing)


@LOSSES.register("mse", "values")
def mse(outputs: Tensor, labels: Tensor, known: Tensor, context: Context) -> Tensor:
    """Mean squared error."""
    return (outputs - labels)[known].square().mean()


@LOSSES.register("mae", "values")
def mae(outputs: Tensor, labels: Tensor, known: Tensor, context: Context) -> Tensor:
    """Mean absolute error."""
    return (outputs - labels)[known].abs().mean()


@LOSSES.register("huber", "values")
def huber(outputs: Tensor, labels: Tensor, known: Tensor, context: Context) -> Tensor:
    """Huber loss with delta 1."""
    return functional.huber_loss(outputs[known], labels[known])


@LOSSES.register("ccc", "values")
def ccc(outputs: Tensor, labels: Tensor, known: Tensor, context: Context) -> Tensor:
    """1 - CCC, averaged over outputs and weighted by the batch's share of labeled windows.

    (The CCC of a few windows is meaningless.)
    """
    agreement = batch_ccc(outputs, torch.where(known, labels, 0), known)
    share = len(outputs) / context.batch if context.batch else 1.0
    return share * (1 - agreement[known.any(0)]).mean()


@LOSSES.register("bce", "flags")
def bce(outputs: Tensor, labels: Tensor, known: Tensor, context: Context) -> Tensor:
    """Binary cross-entropy."""
    terms = functional.binary_cross_entropy_with_logits(
        outputs, labels.clamp(min=0), pos_weight=context.weight, reduction="none"
    )
    return terms[known].mean()


@LOSSES.register("binary_focal", "flags")
def binary_focal(outputs: Tensor, labels: Tensor, known: Tensor, context: Context, *, gamma: float = 2.0) -> Tensor:
    """Binary cross-entropy weighted by ``(1 - p)^gamma`` for the probability p of the label (Lin et al. 2017)."""
    signed = torch.where(labels > 0, outputs, -outputs)
    terms = -((-signed).sigmoid() ** gamma) * functional.logsigmoid(signed)
    return (terms if context.weight is None else terms * torch.where(labels > 0, context.weight, 1))[known].mean()


def batch_ccc(x: Tensor, y: Tensor, known: Tensor | None = None) -> Tensor:
    """Concordance correlation of each column of ``x, y [B, K]`` with population variances; 0 for constant columns.

    Lin 1989: 2 s_xy / (s_x² + s_y² + (mean_x - mean_y)²), over the rows that are ``known [B, K]``.
    """
    share = torch.ones_like(x) if known is None else known.to(x.dtype)
    share = share / share.sum(0).clamp(min=1)
    mean_x, mean_y = (x * share).sum(0), (y * share).sum(0)
    dx, dy = x - mean_x, y - mean_y
    spread = ((dx.square() + dy.square()) * share).sum(0) + (mean_x - mean_y).square()
    return 2 * (dx * dy * share).sum(0) / spread.clamp(min=torch.finfo(x.dtype).eps)


def context_of(head: Head, labels: Tensor, weights: str, smoothing: float) -> Context:
    """Frequencies and weights of classes or flags from a head's training labels.

    Parameters
    ----------
    weights : ``none``, ``balanced`` (inverse frequency) or ``sqrt`` (its square root). Class weights average to 1 over
        the labels and are 0 for absent classes. The weight of a flag is the ratio of negative to positive labels.
    """
    if head.kind == "values":
        return Context()
    if head.kind == "flags":
        known = labels >= 0
        frequency = (labels > 0).sum(0) / known.sum(0).clamp(min=1)
        odds = ((1 - frequency) / frequency.clamp(min=1e-3)).clamp(1e-2, 1e2)
        chosen = {"none": None, "balanced": odds, "sqrt": odds.sqrt()}[weights]
        return Context(chosen, frequency)
    if labels.ndim == 2:
        counts = labels[~labels.isnan().any(1)].float().sum(0)
    else:
        counts = torch.bincount(labels[labels >= 0].long(), minlength=len(head)).float()
    frequency = counts / counts.sum().clamp(min=1)
    if weights == "none":
        return Context(None, frequency, smoothing)
    power = {"balanced": 1.0, "sqrt": 0.5}[weights]
    inverse = torch.where(counts > 0, counts.clamp(min=math.ulp(1.0)) ** -power, 0)
    return Context(inverse * counts.sum() / (inverse * counts).sum().clamp(min=1e-12), frequency, smoothing)
