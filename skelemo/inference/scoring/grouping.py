"""Scores by group: columns of the cache or of a separate table."""

import re
from collections.abc import Collection, Sequence
from pathlib import Path

import numpy as np
import pandas as pd

from skelemo.annotations.matching import match
from skelemo.annotations.table_groups import read_column
from skelemo.cache.store import Cache
from skelemo.data.corpus import Corpus
from skelemo.data.mistakes import COMPUTED
from skelemo.errors import ConfigError, unknown
from skelemo.evaluation.scores import Scores, score
from skelemo.targets import Head, hard_labels
from skelemo.text import count, natural_order, some

#: Most distinct values of a grouping column.
MOST_VALUES = 50
#: Entries of a head's scores kept for each group besides the metrics.
_GROUP_FACTS = ("windows", "unit", "groups", "grouped_by", "interval", "note")
_FACTS = ("subject", "video", "person")


def groups_by(
    column: str,
    cache: Cache,
    corpus: Corpus,
    rows: np.ndarray,
    table: Path | None,
    *,
    clips: bool = False,
    strict: bool = True,
) -> np.ndarray:
    """Value ``[W]`` of a column for each target row, as text, empty where missing.

    Raises `ConfigError`: no such column, no value for these rows, or more than `MOST_VALUES` values; `InputError`: the
    table is unreadable or about other videos.

    Parameters
    ----------
    column : a column of the table, if given; else a head, a column of splits, subject, video or person of the cache,
        or a `COMPUTED` column.
    clips : windows are whole clips.
    strict : refuse a column without a value for these rows.
    """
    sequence = corpus.sequence(rows)
    if table is not None:
        values = _from_table(column, cache, table)[sequence]
    else:
        values = _from_cache(column, corpus, rows, sequence, clips=clips)
    found = sorted({*values.tolist()} - {""}, key=natural_order)
    if strict and not found:
        raise ConfigError(f"by {column}: no labeled window has a value in this column")
    if len(found) > MOST_VALUES:
        raise ConfigError(
            f"by {column}: {len(found):,} distinct values; expected at most {MOST_VALUES}: bin them in a column of a "
            "table (--table)"
        )
    return values


def score_by(
    scores: Scores,
    predictions: pd.DataFrame,
    heads: Sequence[Head],
    clips: Collection[str],
    column: str,
    values: np.ndarray,
    subset: str = "test",
) -> list[str]:
    """Add scores by group to ``scores``; returns notes on windows without a group, and on groups of a single class."""
    notes: dict[str, list[str]] = {}
    for value in sorted({*values.tolist()} - {""}, key=natural_order):
        for head, scored in score(predictions[values == value], heads, clips=clips).get(subset, {}).items():
            kept = {
                name: found
                for name, found in scored.items()
                if name in _GROUP_FACTS or (isinstance(found, dict) and "value" in found)
            }
            scores[subset][head].setdefault("by", []).append({"column": column, "group": value, "scores": kept})
            if scored.get("note", "").startswith("all are "):
                notes.setdefault(head, []).append(str(value))
    lines = []
    for head, names in notes.items():
        lines.append(f"{column}: no scores for {some(names, 5)}: all windows have one class of {head}")
    without = int((values == "").sum())
    return lines + ([f"{column}: {count(without, 'window')} without a value, in no group"] if without else [])


def _from_table(column: str, cache: Cache, table: Path) -> np.ndarray:
    """Value of each sequence ``[S]``: its person's, else its video's."""
    annotations = read_column(table, column)
    known = zip(cache.recordings["video"], cache.recordings["source"], strict=True)
    recordings = [(_stem(video), source) for video, source in known]
    videos = list(cache.recordings["video"])
    if missing := [video for video in dict.fromkeys(cache.sequences["video"]) if video not in {*videos}]:
        recordings += [(_stem(video), video) for video in missing]
        videos += missing
    words = annotations.heads[0].outputs
    values: dict[tuple[str, str], str] = {}
    for video, found in zip(videos, match(annotations, recordings).annotations, strict=True):
        for one in found:
            values[video, one.person] = words[int(one.labels[column][0])]
    pairs = zip(cache.sequences["video"], cache.sequences["person"], strict=True)
    return np.array([values.get((video, person)) or values.get((video, ""), "") for video, person in pairs], object)


def _stem(video: str) -> str:
    return video.rpartition("/")[2]


def _from_cache(column: str, corpus: Corpus, rows: np.ndarray, sequence: np.ndarray, *, clips: bool) -> np.ndarray:
    name = _key(column)
    splits = corpus.sequences["splits"]
    for head in corpus.heads:
        if _key(head.name) == name and (head.kind != "flags" or len(head) == 1):
            return _of_head(head, corpus.labels[head.name].cpu().numpy()[rows])
    columns = list(dict.fromkeys(key for one in splits for key in one))
    for known in columns:
        if _key(known) == name:
            return np.array([one.get(known, "") for one in splits], object)[sequence]
    if name in _FACTS:
        return corpus.sequences[name].to_numpy(object)[sequence]
    if name in COMPUTED:
        return COMPUTED[name](corpus, rows, clips=clips)
    error = unknown("column", column, [*(head.name for head in corpus.heads), *columns, *_FACTS, *COMPUTED])
    raise ConfigError(f"by: {error}; skelemo evaluate takes other columns from a table (--table FILE)")


def _of_head(head: Head, labels: np.ndarray) -> np.ndarray:
    if head.kind == "classes":
        return np.array([*head.outputs, ""], object)[hard_labels(labels)]
    if len(head) > 1:
        raise ConfigError(f"by {head.name}: a head of {len(head)} values; expected a single value")
    known = head.labeled(labels)
    return np.array([f"{value:g}" if there else "" for value, there in zip(labels[:, 0], known, strict=True)], object)


def _key(name: str) -> str:
    return re.sub(r"\W+", "_", name.casefold()).strip("_")
