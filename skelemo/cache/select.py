"""Filters sequences of a cache: ``video=Kick*``, ``fold_1=test``, ``label=anger``."""

import re
from collections.abc import Callable, Collection, Iterable, Sequence
from fnmatch import translate

import numpy as np
import pandas as pd

from skelemo.cache.statistics import Counts
from skelemo.cache.store import Cache
from skelemo.errors import CacheError, ConfigError, unknown
from skelemo.targets import Head

#: Columns of a sequence to filter by, besides ``label`` and the columns of its splits.
KEYS = ("id", "video", "subject", "person")
LABEL = "label"


def select(cache: Cache, only: Sequence[str]) -> np.ndarray:
    """Rows of ``cache.sequences`` that match all filters, bool ``[S]``; at least one.

    Raises `ConfigError`: as in `matching`; `CacheError`: no sequence matches.
    """
    heads, counts = cache.heads, cache.counts
    chosen = matching(cache.sequences, label_words(heads), only, lambda: labels_in(heads, counts))
    if not chosen.any():
        wanted = f"no sequence matches {' '.join(only)}; skelemo cache ls CACHE --sequences lists them"
        raise CacheError(f"{cache.name}: {wanted if only else 'no sequences'}")
    return chosen


def matching(
    sequences: pd.DataFrame,
    words: Sequence[str],
    only: Sequence[str],
    labels: Callable[[], Iterable[Collection[str]]],
    columns: Iterable[str] = (),
) -> np.ndarray:
    """Sequences that match all filters, bool ``[S]``.

    Raises `ConfigError`: invalid syntax, or an unknown key or label.

    Parameters
    ----------
    sequences : a table with the columns of `KEYS` and ``splits``, a mapping from column to subset.
    words : all possible labels, see `label_words`.
    only : ``KEY=GLOB`` each. Filters of one key are alternatives; different keys must all match. Keys are `KEYS`, every
        column of the splits, and ``label``: a class or flag, of any head, that at least one frame has. An unknown
        subject, subset or label is matched as empty text.
    labels : returns each sequence's labels; called only for a filter of ``label``.
    columns : additional columns of splits.
    """
    require_keys(only, {*columns, *split_columns(sequences)})
    chosen = np.ones(len(sequences), bool)
    for key, globs in _by_key(only).items():
        fits = _matcher(globs)
        if key == LABEL:
            for glob in globs:
                if glob and not any(map(_matcher([glob]), words)):
                    raise unknown("label", glob, words)
            matches = [any(map(fits, names or ("",))) for names in labels()]
        else:
            matches = list(map(fits, _values(sequences, key)))
        chosen &= np.array(matches, bool)
    return chosen


def require_keys(only: Sequence[str], columns: Collection[str]) -> None:
    """Refuse filters with unknown keys. Raises as `matching`."""
    for key in _by_key(only):
        if key not in (*KEYS, LABEL, *columns):
            raise unknown("key of --only", key, {*KEYS, LABEL, *columns})


def split_columns(sequences: pd.DataFrame) -> set[str]:
    """Columns of the sequences' splits."""
    return {column for splits in sequences["splits"] for column in splits}


def labels_in(heads: Sequence[Head], counts: Counts) -> list[frozenset[str]]:
    """Classes and flags that occur in each sequence."""
    words = np.array(label_words(heads), object)
    each = [counts.labels[head.name][:, 1:] for head in heads if head.kind != "values"]
    found = np.concatenate(each, 1) > 0 if each else np.zeros((len(counts.seen), 0), bool)
    return [frozenset(words[row]) for row in found]


def label_words(heads: Iterable[Head]) -> list[str]:
    """Names of the classes and flags of heads."""
    return [name for head in heads if head.kind != "values" for name in head.outputs]


def _by_key(only: Iterable[str]) -> dict[str, list[str]]:
    found: dict[str, list[str]] = {}
    for text in only:
        key, equals, glob = text.partition("=")
        if not (key and equals):
            raise ConfigError(f"--only {text!r}: expected KEY=GLOB, as in video='Kick*', split=train, label=anger")
        found.setdefault(key, []).append(glob)
    return found


def _matcher(globs: Iterable[str]) -> Callable[[str], bool]:
    """A function that tests a text against any of the globs."""
    match = re.compile("|".join(map(translate, globs))).match
    return lambda text: bool(match(text))


def _values(sequences: pd.DataFrame, key: str) -> list[str]:
    """Value of a key (not ``label``) for each sequence; empty if unknown."""
    return list(sequences[key]) if key in KEYS else [splits.get(key, "") for splits in sequences["splits"]]
