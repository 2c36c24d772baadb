"""Choosing sequences of a cache: ``video=Kick*``, ``fold_1=test``, ``label=anger``."""

import re
from collections.abc import Callable, Collection, Iterable, Sequence
from difflib import get_close_matches
from fnmatch import translate

import numpy as np
import pandas as pd

from skelemo.cache.shard import Shard
from skelemo.cache.store import Cache
from skelemo.errors import ConfigError, unknown
from skelemo.targets import Head
from skelemo.text import natural_order

#: Columns of a sequence that can be chosen by. Beside them: ``label``, and every column of its splits.
KEYS = ("id", "video", "subject", "person")
LABEL = "label"
#: Values of a key that an error names.
_MOST_VALUES = 6


def select(cache: Cache, only: Sequence[str]) -> np.ndarray:
    """Which rows of ``cache.sequences`` all of the filters want: bool ``[S]``.

    Raises
    ------
    ConfigError
        As in `matching`.
    CacheError
        A shard cannot be read.
    """

    def labels() -> list[frozenset[str]]:
        known = [dict(zip(shard.sequences["id"], labels_in(shard), strict=True)) for shard in cache.shards]
        return [known[shard][name] for shard, name in zip(cache.sequences["shard"], cache.sequences["id"], strict=True)]

    return matching(cache.sequences, label_words(cache.heads), only, labels)


def matching(
    sequences: pd.DataFrame,
    words: Sequence[str],
    only: Sequence[str],
    labels: Callable[[], Iterable[Collection[str]]],
    columns: Iterable[str] = (),
) -> np.ndarray:
    """Which of the sequences all of the filters want: bool ``[S]``.

    Parameters
    ----------
    sequences : a table with the columns of `KEYS` and ``splits``, a mapping of column to subset.
    words : every label that a sequence may have, see `label_words`.
    only : ``KEY=GLOB`` each. Filters of one key are alternatives; those of different keys must all hold. Keys are
        `KEYS`, every column of the splits, and ``label``: at least one frame of a class, or with a flag set, of any
        head.
    labels : those that each sequence has frames of; asked for only where a filter names ``label``. What is
        not known of a sequence (no subject, no subset, no label at all) is matched as empty text.
    columns : of splits that other sequences may have.

    Raises
    ------
    ConfigError
        A filter that is not ``KEY=GLOB``, an unknown key or an unknown label.
    """
    require_keys(only, {*columns, *split_columns(sequences)})
    chosen = np.ones(len(sequences), bool)
    for key, globs in _by_key(only).items():
        fits = _fitting(globs)
        if key == LABEL:
            _require_labels(globs, words)
            held = [any(map(fits, found or ("",))) for found in labels()]
        else:
            held = list(map(fits, _values(sequences, key)))
        chosen &= np.array(held, bool)
    return chosen


def unmet(sequences: pd.DataFrame, only: Sequence[str]) -> str:
    """Which values there are of the keys that no sequence meets, to go behind the filters in an error.

    Empty where each key is met by some sequence, but not all of them by one.
    """
    told = [
        _values_told(key, globs, values)
        for key, globs in _by_key(only).items()
        if key != LABEL and not any(map(_fitting(globs), values := _values(sequences, key)))
    ]
    return f" ({'; '.join(told)})" if told else ""


def require_keys(only: Sequence[str], columns: Collection[str]) -> None:
    """Refuse filters by what there is not: neither a key that every sequence has, nor a column of splits.

    Raises
    ------
    ConfigError
        As in `matching`.
    """
    for key in _by_key(only):
        if key not in (*KEYS, LABEL, *columns):
            raise unknown("key of --only", key, {*KEYS, LABEL, *columns})


def split_columns(sequences: pd.DataFrame) -> set[str]:
    """Columns of splits that any of the sequences has."""
    return {column for splits in sequences["splits"] for column in splits}


def labels_in(shard: Shard) -> list[frozenset[str]]:
    """Classes and flags, of all heads, that each sequence of a shard has frames of; no frame is read."""
    words = np.array(label_words(shard.header.heads), object)
    each = [shard.counts.labels[head.name][:, 1:] for head in shard.header.heads if head.kind != "values"]
    found = np.concatenate(each, 1) > 0 if each else np.zeros((len(shard.counts.seen), 0), bool)
    return [frozenset(words[row]) for row in found]


def label_words(heads: Iterable[Head]) -> list[str]:
    """Names of the classes and flags of heads."""
    return [name for head in heads if head.kind != "values" for name in head.outputs]


def _by_key(only: Iterable[str]) -> dict[str, list[str]]:
    found: dict[str, list[str]] = {}
    for given in only:
        key, equals, glob = given.partition("=")
        if not (key and equals):
            raise ConfigError(f"--only {given!r}: expected KEY=GLOB, as in video='Kick*', split=train, label=anger")
        found.setdefault(key, []).append(glob)
    return found


def _fitting(globs: Iterable[str]) -> Callable[[str], bool]:
    """Whether a text fits any of the filters."""
    match = re.compile("|".join(map(translate, globs))).match
    return lambda text: bool(match(text))


def _values(sequences: pd.DataFrame, key: str) -> list[str]:
    """What each sequence has of a key that is not ``label``; empty where nothing is known."""
    return list(sequences[key]) if key in KEYS else [splits.get(key, "") for splits in sequences["splits"]]


def _values_told(key: str, globs: Sequence[str], values: Iterable[str]) -> str:
    known = sorted({*values} - {""}, key=natural_order)
    if not known:
        return f"{key} is not known of any"
    nearest = [near for glob in globs for near in get_close_matches(glob, known, n=1)]
    hint = f"did you mean {nearest[0]!r}? " if nearest else ""
    more = f" and {len(known) - _MOST_VALUES:,} more" if len(known) > _MOST_VALUES else ""
    return f"{hint}{key} is {', '.join(known[:_MOST_VALUES])}{more}"


def _require_labels(globs: Iterable[str], words: Sequence[str]) -> None:
    """An unknown label is a misspelling, not an empty choice."""
    for glob in globs:
        if glob and not any(re.match(translate(glob), name) for name in words):
            raise unknown("label", glob, words)
