"""Heads as data: what a model predicts, and how its labels are stored.

A `Head` has a name, a kind and outputs. Labels depend on the kind:

=========== ============================================================ ============
kind        labels for N frames                                          unlabeled
=========== ============================================================ ============
``classes`` int16 ``[N]``, one of K; or float32 ``[N, K]``, soft labels  -1; NaN
``values``  float32 ``[N, K]``, each in [low, high]                      NaN
``flags``   int8 ``[N, K]``, 0 or 1 each                                 -1
=========== ============================================================ ============

Each kind has its losses, metrics and plots, registered by name (`skelemo.training.losses`,
`skelemo.evaluation.metrics`, `skelemo.report.figures`). Only this file, label readers and recipes name particular
heads.
"""

import json
import math
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Literal, get_args

import numpy as np

from skelemo.errors import ConfigError, unknown

KindName = Literal["classes", "values", "flags"]
KINDS: tuple[KindName, ...] = get_args(KindName)

#: In the order of class indices everywhere: DFEW's 1 to 7, minus one.
EMOTIONS = ("happiness", "sadness", "neutral", "anger", "surprise", "disgust", "fear")

#: Aff-Wild2's action units, as of 2021.
ACTION_UNITS = tuple(f"AU{number}" for number in (1, 2, 4, 6, 7, 10, 12, 15, 23, 24, 25, 26))

#: Maximum number of outputs of a head.
MAX_OUTPUTS = 1024


@dataclass(frozen=True)
class Head:
    """A group of outputs predicted together.

    Parameters
    ----------
    name : letters, digits, ``_`` and ``-``; used by ``--head`` and for the labels in a shard.
    kind : ``classes`` (one of K), ``values`` (K numbers) or ``flags`` (K binary labels).
    outputs : names of the K classes, values or flags, in order.
    low, high : range of labels of the kind ``values``; ignored by the other kinds.

    Raises
    ------
    ConfigError : an invalid name, kind, range or list of outputs.
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

    def __str__(self) -> str:
        """Short description: ``classes [glad, sad]``, ``values [pain] in [0, 10]``."""
        outputs = f"{self.kind} [{', '.join(self.outputs)}]"
        return outputs + (f" in [{self.low:g}, {self.high:g}]" if self.kind == "values" else "")

    def unlabeled(self, frames: int) -> np.ndarray:
        """Labels for unlabeled frames."""
        if self.kind == "classes":
            return np.full(frames, -1, np.int16)
        if self.kind == "flags":
            return np.full((frames, len(self)), -1, np.int8)
        return np.full((frames, len(self)), np.nan, np.float32)

    def labeled(self, labels: np.ndarray) -> np.ndarray:
        """Bool ``[N]``: which frames have a label; see `labeled`."""
        return labeled(labels)

    def check(self, labels: np.ndarray) -> None:
        """Reject labels that do not fit the head.

        Raises `ConfigError`: wrong type or shape for the kind, or a value out of range.
        """
        soft = self.kind == "classes" and labels.ndim == 2
        shape = (len(labels),) if self.kind == "classes" and not soft else (len(labels), len(self))
        kind = "f" if soft or self.kind == "values" else "i"
        if labels.dtype.kind != kind or labels.shape != shape:
            wanted = f"{'floating' if kind == 'f' else 'integer'} {list(shape)}"
            raise ConfigError(f"labels of {self.name}: {labels.dtype} {list(labels.shape)}; expected {wanted}")
        if soft:
            shares = labels[~np.isnan(labels).all(1)]
            if not ((shares >= 0).all() and np.allclose(shares.sum(1), 1, atol=1e-3)):
                raise ConfigError(f"labels of {self.name}: soft labels out of [0, 1], or with a sum other than 1")
        elif self.kind == "values":
            known = labels[~np.isnan(labels)]
            if len(known) and not (known.min() >= self.low and known.max() <= self.high):
                raise ConfigError(
                    f"labels of {self.name}: {known.min():g} to {known.max():g}; expected [{self.low:g}, {self.high:g}]"
                )
        else:
            most = len(self) - 1 if self.kind == "classes" else 1
            if labels.size and not (labels.min() >= -1 and labels.max() <= most):
                raise ConfigError(f"labels of {self.name}: {labels.min()} to {labels.max()}; expected -1 to {most}")

    def to_json(self) -> dict[str, Any]:
        """The head as a JSON object."""
        fields: dict[str, Any] = {"name": self.name, "kind": self.kind, "outputs": list(self.outputs)}
        return fields | ({"low": self.low, "high": self.high} if self.kind == "values" else {})

    @classmethod
    def from_json(cls, fields: Mapping[str, Any]) -> "Head":
        """The inverse of `to_json`.

        Raises `ConfigError`: not a head.
        """
        try:
            name, kind, outputs = fields["name"], fields["kind"], fields["outputs"]
            low, high = float(fields.get("low", -1.0)), float(fields.get("high", 1.0))
            if not isinstance(name, str) or not isinstance(kind, str) or not isinstance(outputs, list | tuple):
                raise TypeError
        except (TypeError, KeyError, ValueError, AttributeError):
            raise ConfigError(f"{json.dumps(fields, default=repr)[:80]} is not a head") from None
        return cls(name, kind, tuple(outputs), low, high)  # type: ignore[arg-type]  # the kind is checked there


#: Seven emotions; data sets with other classes use their own outputs under the same name.
EXPRESSION = Head("expression", "classes", EMOTIONS)
#: Valence and arousal in [-1, 1].
VA = Head("va", "values", ("valence", "arousal"))
#: Action units.
AU = Head("au", "flags", ACTION_UNITS)
#: Heads that can be named without data; any other must be passed as a `Head`.
USUAL = {head.name: head for head in (EXPRESSION, VA, AU)}


def hard_labels(labels: np.ndarray) -> np.ndarray:
    """Class indices int16 ``[N]`` from hard or soft labels, -1 if unlabeled.

    Ties between soft labels go to the first class.
    """
    if labels.ndim == 1:
        return labels
    known = ~np.isnan(labels).any(1)
    return np.where(known, np.where(known[:, None], labels, 0).argmax(1), -1).astype(np.int16)


def labeled(labels: np.ndarray) -> np.ndarray:
    """Bool ``[N]``: which rows of ``labels [N]`` or ``[N, K]`` have a label; for values and flags, at least one."""
    known = ~np.isnan(labels) if labels.dtype.kind == "f" else labels >= 0
    return np.asarray(known if known.ndim == 1 else known.any(1))


def unlabeled_like(labels: np.ndarray, rows: int) -> np.ndarray:
    """Unlabeled rows of the same type as ``labels [N]`` or ``[N, K]``."""
    return np.full((rows, *labels.shape[1:]), np.nan if labels.dtype.kind == "f" else -1, labels.dtype)


def soft_labels(labels: np.ndarray, classes: int) -> np.ndarray:
    """Soft labels float32 ``[N, K]`` from hard or soft labels; NaN if unlabeled."""
    if labels.ndim == 2:
        return labels
    shares = np.zeros((len(labels), classes), np.float32)
    known = labels >= 0
    shares[known, labels[known]] = 1
    shares[~known] = np.nan
    return shares


def head_names(text: str) -> tuple[str, ...]:
    """Parse ``--head``, such as ``expression,va``; ``both`` is short for these two.

    Raises `ConfigError`: a duplicate, or no head.
    """
    names = [word.strip() for word in text.split(",") if word.strip()]
    names = [EXPRESSION.name, VA.name] if names == ["both"] else names
    if not names or len(set(names)) < len(names):
        raise ConfigError(f"heads {text!r}: expected one or more different names")
    return tuple(names)
