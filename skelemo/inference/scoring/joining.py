"""Joins heads, classes, values and flags of a run with the labels of other data, by name."""

from collections.abc import Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from skelemo.annotations.class_names import same_word
from skelemo.cache.statistics import count_labels
from skelemo.errors import ConfigError, unknown
from skelemo.targets import Head
from skelemo.text import count


@dataclass(frozen=True)
class Join:
    """A head of a cache and its counterpart in a run.

    ``index`` maps each output of ``theirs`` to an output of ``ours``; -1 without a counterpart.
    """

    theirs: Head
    ours: Head
    index: tuple[int, ...]

    def labels(self, labels: np.ndarray) -> np.ndarray:
        """Labels of the cache's head converted to the run's head; unlabeled without a counterpart.

        Shares of classes mapped to the same class add up; a frame whose largest share has no counterpart is unlabeled.
        """
        index = np.array(self.index)
        if labels.ndim == 1:
            return np.append(index, -1)[labels].astype(labels.dtype)
        known = index >= 0
        if self.ours.kind == "classes":
            shares = np.zeros((len(labels), len(self.ours)), labels.dtype)
            for column, place in zip(labels.T[known], index[known], strict=True):
                shares[:, place] += column
            others = labels[:, ~known].max(1, initial=0)
            shares[np.isnan(labels).any(1) | (others > shares.max(1))] = np.nan
            return shares
        found = self.ours.unlabeled(len(labels)).astype(labels.dtype)
        found[:, index[known]] = labels[:, known]
        return found

    def unscored(self, labels: np.ndarray) -> dict[str, int]:
        """Outputs without a counterpart, each with its number of labeled frames."""
        frames = count_labels(self.theirs, labels)[1:]
        return {name: int(frames[i]) for i, name in enumerate(self.theirs.outputs) if self.index[i] < 0}

    @property
    def renamed(self) -> dict[str, str]:
        """Outputs of the cache scored under another name."""
        places = zip(self.theirs.outputs, self.index, strict=True)
        named = {name: self.ours.outputs[at] for name, at in places if at >= 0}
        return {name: ours for name, ours in named.items() if name != ours}

    @property
    def unlabeled(self) -> tuple[str, ...]:
        """Outputs of the run that the cache lacks."""
        return tuple(name for at, name in enumerate(self.ours.outputs) if at not in self.index)

    def to_json(self, labels: np.ndarray) -> dict[str, Any]:
        """The join's entry in ``scores.json``."""
        found: dict[str, Any] = {"head": self.theirs.name, "renamed": self.renamed}
        return found | {"unscored": self.unscored(labels), "unlabeled": list(self.unlabeled)}


def notes_on(head: str, kind: str, joined: Mapping[str, Any]) -> list[str]:
    """Notes on the join of a head from its entry in ``scores.json``."""
    lines = []
    if joined["head"] != head:
        lines.append(f"{head}: scored against the head {joined['head']} of these data")
    if joined["renamed"]:
        lines.append(f"{head}: scored as: {', '.join(f'{a} as {b}' for a, b in joined['renamed'].items())}")
    if joined["unscored"]:
        counted = ", ".join(f"{name} ({count(frames, 'frame')})" for name, frames in joined["unscored"].items())
        lines.append(f"{head}: not scored, without a counterpart in the run: {counted}")
    if joined["unlabeled"]:
        what = "; predicting them counts as an error" if kind == "classes" else ", not scored"
        lines.append(f"{head}: predicted by the run but absent from these data: {', '.join(joined['unlabeled'])}{what}")
    return lines


def join_heads(theirs: Sequence[Head], ours: Sequence[Head], names: Mapping[str, str], where: str) -> list[Join]:
    """Join the heads of a cache with those of a run by name and kind, and their outputs by name.

    Names match up to case, spacing and synonyms of an emotion (`skelemo.annotations.class_names`). Two heads of classes
    with different names also match if they are the only remaining pair that shares at least two classes.

    Raises `ConfigError`: no matching heads or outputs, or an unknown name in ``names``.

    Parameters
    ----------
    names : heads or outputs of the cache mapped to the run's; to "" for none.
    where : the cache's name, for messages.
    """
    _require_known(names, theirs, ours, where)
    pairs = []
    for head in theirs:
        at = _find(head.name, [one.name for one in ours], names)
        if at >= 0 and ours[at].kind == head.kind:
            pairs.append((head, ours[at]))
    taken = [head for pair in pairs for head in pair]
    left, free = ([head for head in heads if head not in taken] for heads in (theirs, ours))
    pairs += _similar(left, free, names)
    found: list[Join] = []
    unmatched: list[Join] = []
    for head, own in pairs:
        if any(join.ours == own for join in found):
            raise ConfigError(f"{where} has two heads for {own.name}: {head.name} and another; map one with --map")
        join = Join(head, own, _places(head, own, names))
        if own.kind != "classes" and len({*join.index} - {-1}) < sum(at >= 0 for at in join.index):
            raise ConfigError(f"{where}: two {own.kind} of {head.name} map to the same one of the run")
        (found if max(join.index) >= 0 else unmatched).append(join)
    if not found and unmatched:
        one = unmatched[0]
        raise ConfigError(
            f"{one.ours.name}: {where} has {', '.join(one.theirs.outputs)}, the run {', '.join(one.ours.outputs)}: "
            f"no name in common; map them, e.g. --map {one.theirs.outputs[0]}={one.ours.outputs[0]}"
        )
    if not found:
        raise ConfigError(
            f"{where} has {f'labels for {_listed(theirs)}' if theirs else 'no labels'}; the run predicts "
            f"{_listed(ours)}: no head in common by name and kind (map names with --map THEIRS=OURS)"
        )
    return found


def _similar(theirs: Sequence[Head], ours: Sequence[Head], names: Mapping[str, str]) -> list[tuple[Head, Head]]:
    """The only pair of heads of classes that shares at least two classes, if there is exactly one."""
    pairs = [
        (head, own)
        for head in theirs
        for own in ours
        if head.kind == own.kind == "classes" and len({*_places(head, own, names)} - {-1}) >= 2
    ]
    return pairs if len(pairs) == 1 else []


def _places(head: Head, own: Head, names: Mapping[str, str]) -> tuple[int, ...]:
    return tuple(_find(output, own.outputs, names) for output in head.outputs)


def _find(name: str, among: Sequence[str], names: Mapping[str, str]) -> int:
    """Index of a name among others: mapped, identical or synonymous; -1 if absent."""
    mapped = [other for word, other in names.items() if same_word(word) == same_word(name)]
    meanings = [same_word(other) for other in among]
    if "" in mapped:
        return -1
    for wanted in [*mapped, name]:
        if wanted in among:
            return list(among).index(wanted)
        if same_word(wanted) in meanings:
            return meanings.index(same_word(wanted))
    return -1


def _require_known(names: Mapping[str, str], theirs: Sequence[Head], ours: Sequence[Head], where: str) -> None:
    meant = [name for name in names.values() if name]
    for sides, heads, what in ((names, theirs, f"name in {where}"), (meant, ours, "name in the run")):
        known = _names(heads)
        meanings = {same_word(name) for name in known}
        for name in sides:
            if same_word(name) not in meanings:
                raise unknown(f"{what} in --map", name, known)


def _names(heads: Iterable[Head]) -> Collection[str]:
    return dict.fromkeys(name for head in heads for name in (head.name, *head.outputs))


def _listed(heads: Sequence[Head]) -> str:
    return ", ".join(f"{head.name} ({head})" for head in heads)
