"""Splits into train, validation and test.

Subjects and videos, with all views and copies, never cross subsets. A run's split is drawn once and stored.
"""

from collections.abc import Iterable
from dataclasses import dataclass
from fractions import Fraction
from typing import Any, Literal

import numpy as np
import pandas as pd
from scipy.sparse import coo_matrix
from scipy.sparse.csgraph import connected_components

from skelemo.errors import ConfigError
from skelemo.openpose.names import take_of
from skelemo.text import count

SUBSETS = ("train", "validation", "test")
GIVEN_COLUMN = "split"
GIVEN_FOLDS = "fold_"

#: Largest denominator of a share.
_MOST_SHARES = 20


@dataclass(frozen=True)
class Fold:
    """Sequence ids by subset."""

    train: tuple[str, ...]
    validation: tuple[str, ...]
    test: tuple[str, ...]


@dataclass(frozen=True)
class Split:
    """The folds of a run."""

    spec: str
    grouped_by: Literal["subject", "video"]
    folds: tuple[Fold, ...]

    def to_json(self, sequences: pd.DataFrame) -> dict[str, Any]:
        """Content of ``splits.json``, with subjects and hashes of keypoints to detect overlap with other data.

        Parameters
        ----------
        sequences : the corpus' sequences.
        """
        folds = [{subset: list(getattr(fold, subset)) for subset in SUBSETS} for fold in self.folds]
        named = {name for fold in folds for ids in fold.values() for name in ids}
        rows = sequences[sequences["id"].isin(named)]
        facts = {
            key: {name: fact for name, fact in zip(rows["id"], rows[column], strict=True) if fact}
            for key, column in (("subjects", "subject"), ("sha256", "content"))
        }
        return {"split": self.spec, "grouped_by": self.grouped_by, "folds": folds, **facts}

    @classmethod
    def from_json(cls, data: dict[str, Any]) -> "Split":
        """Inverse of `to_json`."""
        folds = (Fold(*(tuple(fold[subset]) for subset in SUBSETS)) for fold in data["folds"])
        return cls(data["split"], data["grouped_by"], tuple(folds))


def make_split(spec: str, sequences: pd.DataFrame, strata: np.ndarray, *, validation: float, seed: int) -> Split:
    """Draw or look up a split; it depends only on the set of sequences and the seed.

    Parameters
    ----------
    spec : ``kfold:K``, ``loso`` (one fold per subject), ``holdout:SHARE`` (share of the test subset), ``none`` (no test
        subset), or a split from the labels: ``given`` (column ``split``, or all of ``fold_1`` …) or ``given:COLUMN``;
        sequences without an entry are in no subset.
    sequences : the labeled sequences, with columns id, video, subject and splits.
    strata : ``[S]`` strata, whose frequencies each subset preserves as far as groups allow.
    validation : share of the training subset used for validation, if the split has none; 0 for none.

    Raises
    ------
    ConfigError
        An unknown spec, column or subset, too few groups, or a given split with a subject or video in two subsets.
    """
    order = np.argsort(sequences["id"].to_numpy(str), kind="stable")
    sequences, strata = sequences.iloc[order], strata[order]
    kind, _, argument = spec.partition(":")
    ids, groups = sequences["id"].to_numpy(), groups_of(sequences)
    if kind == "kfold":
        k = _whole(spec, argument)
        drawn = _folds(spread_evenly(groups, strata, k, seed), range(k))
    elif kind == "loso":
        drawn = _folds(groups, _subjects(sequences, groups))
    elif kind == "holdout":
        drawn = [np.where(_draw(_share(spec, argument), groups, strata, seed), "test", "train")]
    elif kind == "none":
        drawn = [np.full(len(ids), "train")]
    elif kind == "given":
        drawn = [_given(column, sequences, groups) for column in _given_columns(argument, sequences)]
    else:
        raise ConfigError(f"split {spec!r}: expected given, given:COLUMN, kfold:K, loso, holdout:SHARE or none")
    drawn = [_with_validation(subsets, groups, strata, validation, seed) for subsets in drawn]
    folds = (Fold(*(tuple(ids[subsets == subset].tolist()) for subset in SUBSETS)) for subsets in drawn)
    return Split(spec, "subject" if (sequences["subject"] != "").any() else "video", tuple(folds))


#: Columns that group sequences: equal values stay in one subset.
_SHARED = {"subject": "subject", "video": "video", "content": "recording (the same keypoints under two names)"}


def groups_of(sequences: pd.DataFrame) -> np.ndarray:
    """Group ``[S]`` of each sequence: connected by a common take (`take_of`), subject or content (equal keypoints)."""
    count = len(sequences)
    starts: list[np.ndarray] = []
    ends: list[np.ndarray] = []
    nodes = count
    for column in _SHARED:
        if column in sequences:
            values = sequences[column].map(take_of) if column == "video" else sequences[column]
            code, names = pd.factorize(values)
            known = np.flatnonzero(values.to_numpy() != "")
            starts, ends, nodes = [*starts, known], [*ends, code[known] + nodes], nodes + len(names)
    pairs = np.concatenate(starts), np.concatenate(ends)
    graph = coo_matrix((np.ones(len(pairs[0])), pairs), shape=(nodes, nodes))
    return connected_components(graph, directed=False)[1][:count]


def _folds(part: np.ndarray, order: Iterable[int]) -> list[np.ndarray]:
    """One fold for each part, which is its test subset."""
    return [np.where(part == number, "test", "train") for number in order]


def _subjects(sequences: pd.DataFrame, groups: np.ndarray) -> list[int]:
    """The groups in the order of their subjects; raises `ConfigError` for a sequence without a subject."""
    nameless = sequences["id"][sequences["subject"] == ""]
    if len(nameless):
        raise ConfigError(
            f"split loso: {len(nameless):,} of {len(sequences):,} sequences have no subject, e.g. "
            f"{nameless.iloc[0]!r}: add subjects to the label table's column subject, or use kfold:K"
        )
    return list(dict.fromkeys(groups[np.argsort(sequences["subject"].to_numpy(str), kind="stable")].tolist()))


def _given(column: str, sequences: pd.DataFrame, groups: np.ndarray) -> np.ndarray:
    """The subsets of a column, "" for none; raises `ConfigError` for unknown or leaking ones."""
    subsets = np.array([splits.get(column, "") for splits in sequences["splits"]])
    for subset in sorted(set(subsets.tolist()) - {*SUBSETS, ""}):
        raise ConfigError(f"split given:{column}: a sequence is marked {subset!r}; expected {', '.join(SUBSETS)}")
    if not (subsets == "train").any():
        raise ConfigError(
            f"split given:{column}: no labeled sequence is marked 'train' (subsets: {', '.join(SUBSETS)})"
        )
    marked = pd.DataFrame({"group": groups, "subset": subsets})[subsets != ""].drop_duplicates()
    leaking = marked[marked.duplicated("group")]
    if len(leaking):
        members = sequences[(groups == leaking["group"].iloc[0]) & (subsets != "")]
        raise ConfigError(
            f"split given:{column}: {_reason(members, column)} is in more than one subset, so the test subset would "
            "leak; fix the split column, omit the subject column, or use kfold:K"
        )
    return subsets


def _reason(members: pd.DataFrame, column: str) -> str:
    """The common value of a group that a given split divides."""
    subsets = members["splits"].map(lambda splits: splits[column])
    for shared, what in _SHARED.items():
        if shared in members:
            for value, among in subsets.groupby(members[shared]):
                if value and among.nunique() > 1:
                    ids = " and ".join(repr(members["id"][i]) for i in among.drop_duplicates().index[:2])
                    return f"one {what}, {ids}," if shared == "content" else f"{what} {value!r}"
    return f"the group of {members['id'].iloc[0]!r}"


def _given_columns(argument: str, sequences: pd.DataFrame) -> list[str]:
    known = sorted({column for splits in sequences["splits"] for column in splits})
    folds = sorted((name for name in known if name.startswith(GIVEN_FOLDS)), key=lambda name: (len(name), name))
    columns = [argument] if argument else [GIVEN_COLUMN] if GIVEN_COLUMN in known else folds
    if not columns or any(column not in known for column in columns):
        offer = f"the cache has {', '.join(known)}" if known else "the cache has none: use kfold:K or holdout:SHARE"
        raise ConfigError(f"no split column {argument or GIVEN_COLUMN!r}; {offer}")
    return columns


def _with_validation(
    subsets: np.ndarray, groups: np.ndarray, strata: np.ndarray, share: float, seed: int
) -> np.ndarray:
    """Move a share of the training subset to the validation subset, unless there is one."""
    if not share or (subsets == "validation").any():
        return subsets
    train = np.flatnonzero(subsets == "train")
    if len(np.unique(groups[train])) < 2:
        raise ConfigError(
            "the training subset is a single subject (or video), which leaves none for validation: use more data, or "
            "set validation=0"
        )
    subsets = subsets.astype(object)
    subsets[train[_draw(share, groups[train], strata[train], seed + 1)]] = "validation"
    return subsets


def _draw(share: float, groups: np.ndarray, strata: np.ndarray, seed: int) -> np.ndarray:
    """Mask ``[S]`` of about a share (up to a half) of all sequences, in whole groups, at least one and never all.

    A share below ``1 / most`` is drawn recursively.
    """
    most = max(2, min(len(np.unique(groups)), _MOST_SHARES))
    fraction = max(Fraction(share).limit_denominator(most), Fraction(1, most))
    drawn = spread_evenly(groups, strata, fraction.denominator, seed) < fraction.numerator
    if share < Fraction(1, most) and len(np.unique(groups[drawn])) > 1:
        drawn[drawn] = _draw(share * most, groups[drawn], strata[drawn], seed)
    return drawn


def spread_evenly(groups: np.ndarray, strata: np.ndarray, k: int, seed: int) -> np.ndarray:
    """Subset ``[S]`` (of k) of each sequence: groups stay together, strata are spread as evenly as possible.

    Greedy: large groups first, each into the subset where the squared shares of the strata increase least.
    scikit-learn's StratifiedGroupKFold leaves subsets empty with few groups and takes seconds with many.
    """
    names, group = np.unique(groups, return_inverse=True)
    if len(names) < k:
        raise ConfigError(
            f"{count(len(names), 'group')} (subjects, or videos without a subject; identical recordings count once) "
            f"cannot be divided into {k} subsets; use fewer folds or more data"
        )
    _, stratum = np.unique(strata, return_inverse=True)
    counts = np.zeros((len(names), stratum.max() + 1))
    np.add.at(counts, (group, stratum), 1)
    shares = counts / counts.sum(0)  # [G, C], so that a rare stratum weighs as much as a common one
    random = np.random.default_rng(seed)
    order = random.permutation(len(names))
    size = np.floor(np.log2(shares.sum(1)))  # groups of similar size are in random order
    subset_of, load, filled = np.empty(len(names), int), np.zeros((k, counts.shape[1])), np.zeros(k)
    for index in order[np.argsort(-size[order], kind="stable")]:
        subset = np.lexsort((filled, load @ shares[index]))[0]
        subset_of[index] = subset
        load[subset] += shares[index]
        filled[subset] += counts[index].sum()
    return random.permutation(k)[subset_of][group]


def _whole(spec: str, text: str) -> int:
    if not text.isdecimal() or int(text) < 2:
        raise ConfigError(f"split {spec!r}: expected a whole number of at least 2 after the colon, e.g. kfold:10")
    return int(text)


def _share(spec: str, text: str) -> float:
    try:
        share = float(text)
    except ValueError:
        share = 0
    if not 0 < share <= 0.5:
        raise ConfigError(f"split {spec!r}: expected a share above 0 and up to 0.5 after the colon, e.g. holdout:0.2")
    return share
