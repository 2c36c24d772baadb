"""Heads as data: what a model predicts, its kind, and how labels are stored in arrays.

A `Head` has a name, a kind and outputs. The three kinds differ in their labels:

=========== ============================================================ ============
kind        labels of N frames                                           unlabeled
=========== ============================================================ ============
``classes`` int16 ``[N]``, one of K; or float32 ``[N, K]``, shares of K  -1; NaN
``values``  float32 ``[N, K]``, each in [low, high]                      NaN
``flags``   int8 ``[N, K]``, 0 or 1 each                                 -1
=========== ============================================================ ============

Losses, metrics and plots belong to a kind and are registered by name where they live (`skelemo.training.losses`,
`skelemo.evaluation.metrics`, `skelemo.report.figures`). Nothing outside this file, a label reader or a recipe names a
particular head.
"""

import json
import math
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Any, Literal, get_args

import numpy as np

from skelemo.errors import ConfigError, unknown

KindName = Literal["classes", "values", "flags"]
KINDS: tuple[KindName, ...] = get_args(KindName)

#: The order that class numbers have everywhere: DFEW's 1 to 7 less one.
EMOTIONS = ("happiness", "sadness", "neutral", "anger", "surprise", "disgust", "fear")

#: Aff-Wild2's action units since 2021.
ACTION_UNITS = tuple(f"AU{number}" for number in (1, 2, 4, 6, 7, 10, 12, 15, 23, 24, 25, 26))

#: Most outputs of one head.
MAX_OUTPUTS = 1024


@dataclass(frozen=True)
class Head:
    """A group of outputs predicted together.

    Parameters
    ----------
    name : letters, digits, ``_`` and ``-``; used by ``--head`` and as the name of its labels in a shard.
    kind : ``classes`` (one of K), ``values`` (K numbers) or ``flags`` (K binary labels).
    outputs : names of the K classes, values or flags, in order.
    low, high : range of the labels of ``values``; ignored by the other kinds.

    Raises
    ------
    ConfigError
        An invalid name, kind, range or list of outputs.
    """

    name: str
    kind: KindName
    outputs: tuple[str, ...]
    low: float = -1.0
    high: float = 1.0

    def __post_init__(self) -> None:
        object.__setattr__(self, "outputs", tuple(self.outputs))
        if not self.name or not all(c.isalnum() or c in "_-" for c in self.name):
            raise ConfigError(f"head {self.name!r}: expected a name of letters, digits, _ and -")
        if self.kind not in KINDS:
            raise unknown("kind of head", self.kind, KINDS)
        if not all(isinstance(name, str) and name for name in self.outputs):
            raise ConfigError(f"head {self.name}: every output needs a name")
        if not 1 <= len(self.outputs) <= MAX_OUTPUTS or len(set(self.outputs)) < len(self.outputs):
            raise ConfigError(f"head {self.name}: expected 1 to {MAX_OUTPUTS} different outputs")
        if not (math.isfinite(self.low) and math.isfinite(self.high) and self.low < self.high):
            raise ConfigError(f"head {self.name}: range [{self.low:g}, {self.high:g}]; expected low < high")

    def __len__(self) -> int:
        return len(self.outputs)

    def unlabeled(self, frames: int) -> np.ndarray:
        """Labels of that many frames, none of them labeled."""
        if self.kind == "classes":
            return np.full(frames, -1, np.int16)
        if self.kind == "flags":
            return np.full((frames, len(self)), -1, np.int8)
        return np.full((frames, len(self)), np.nan, np.float32)

    def labeled(self, labels: np.ndarray) -> np.ndarray:
        """Bool ``[N]``: which frames have a label; of several values or flags one is enough."""
        if labels.dtype.kind == "f":
            known = ~np.isnan(labels)
        else:
            known = (labels if labels.ndim == 2 else labels[:, None]) >= 0
        return np.asarray(known.all(1) if self.kind == "classes" else known.any(1))

    def check(self, labels: np.ndarray) -> None:
        """Reject labels that do not fit the head.

        Raises
        ------
        ConfigError
            Another type or shape than the kind has, or a value out of range.
        """
        soft = self.kind == "classes" and labels.ndim == 2
        shape = (len(labels),) if self.kind == "classes" and not soft else (len(labels), len(self))
        kind = "f" if soft or self.kind == "values" else "i"
        if labels.dtype.kind != kind or labels.shape != shape:
            raise ConfigError(f"labels of {self.name} are {labels.dtype} {list(labels.shape)}; expected {list(shape)}")
        if soft:
            shares = labels[~np.isnan(labels).all(1)]
            if not ((shares >= 0).all() and np.allclose(shares.sum(1), 1, atol=1e-3)):
                raise ConfigError(f"labels of {self.name}: shares of a frame are not all in [0, 1] with the sum 1")
        elif self.kind == "values":
            known = labels[~np.isnan(labels)]
            if len(known) and not (known.min() >= self.low and known.max() <= self.high):
                raise ConfigError(
                    f"labels of {self.name} reach from {known.min():g} to {known.max():g}; "
                    f"expected [{self.low:g}, {self.high:g}]"
                )
        else:
            most = len(self) - 1 if self.kind == "classes" else 1
            if labels.size and not (labels.min() >= -1 and labels.max() <= most):
                raise ConfigError(
                    f"labels of {self.name} reach from {labels.min()} to {labels.max()}; expected -1 to {most}"
                )

    def to_json(self) -> dict[str, Any]:
        """The head as JSON can hold it."""
        fields: dict[str, Any] = {"name": self.name, "kind": self.kind, "outputs": list(self.outputs)}
        return fields | ({"low": self.low, "high": self.high} if self.kind == "values" else {})

    @classmethod
    def from_json(cls, fields: Mapping[str, Any]) -> "Head":
        """The head that `to_json` wrote.

        Raises
        ------
        ConfigError
            It is no head.
        """
        try:
            name, kind, outputs = fields["name"], fields["kind"], fields["outputs"]
            low, high = float(fields.get("low", -1.0)), float(fields.get("high", 1.0))
        except (TypeError, KeyError, ValueError, AttributeError):
            raise ConfigError(f"{json.dumps(fields, default=repr)[:80]} is not a head") from None
        if not isinstance(name, str) or not isinstance(kind, str) or not isinstance(outputs, list | tuple):
            raise ConfigError(f"{json.dumps(fields, default=repr)[:80]} is not a head")
        return cls(name, kind, tuple(outputs), low, high)  # type: ignore[arg-type]  # the kind is checked there


#: Seven emotions; a data set with other classes has its own outputs under the same name.
EXPRESSION = Head("expression", "classes", EMOTIONS)
#: Valence and arousal in [-1, 1].
VA = Head("va", "values", ("valence", "arousal"))
#: Action units.
AU = Head("au", "flags", ACTION_UNITS)
#: Heads that are known by name, whatever the data have; any other is given as a `Head`.
USUAL = {head.name: head for head in (EXPRESSION, VA, AU)}


def hard_labels(labels: np.ndarray) -> np.ndarray:
    """Class numbers int16 ``[N]`` of labels of the kind ``classes``: the largest share where they are shares, else -1.

    Of equal largest shares the first class is taken.
    """
    if labels.ndim == 1:
        return labels
    known = ~np.isnan(labels).any(1)
    return np.where(known, np.where(known[:, None], labels, 0).argmax(1), -1).astype(np.int16)


def unlabeled_like(labels: np.ndarray, rows: int) -> np.ndarray:
    """So many rows without a label, as of the head that ``labels [N]`` or ``[N, K]`` are of."""
    return np.full((rows, *labels.shape[1:]), np.nan if labels.dtype.kind == "f" else -1, labels.dtype)


def soft_labels(labels: np.ndarray, classes: int) -> np.ndarray:
    """Shares float32 ``[N, K]`` of labels of the kind ``classes``: 1 for the class where they are numbers."""
    if labels.ndim == 2:
        return labels
    shares = np.zeros((len(labels), classes), np.float32)
    known = labels >= 0
    shares[known, labels[known]] = 1
    shares[~known] = np.nan
    return shares


def head_names(text: str | Iterable[str], known: Iterable[str] | None = None) -> tuple[str, ...]:
    """The heads that ``--head`` asks for, such as ``expression,va``; ``both`` is short for these two.

    Raises
    ------
    ConfigError
        A head that is not among the known ones, one named twice, or none.
    """
    words = text.split(",") if isinstance(text, str) else list(text)
    names = [word.strip() for word in words if word.strip()]
    names = [EXPRESSION.name, VA.name] if names == ["both"] else names
    choices = names if known is None else list(known)
    for name in names:
        if name not in choices:
            raise unknown("head", name, choices)
    if not names or len(set(names)) < len(names):
        raise ConfigError(f"heads {text!r}: expected one or more different names")
    return tuple(names)
