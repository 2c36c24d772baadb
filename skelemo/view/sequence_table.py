"""The viewer's table of sequences: filtering, sorting and pages."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import Any

import numpy as np

from skelemo.cache.sequence import LABELS
from skelemo.cache.store import Cache, repairable
from skelemo.cache.summary import unread_files
from skelemo.errors import unknown
from skelemo.evaluation.metrics import mean_of_known
from skelemo.view.run_predictions import RunPredictions

#: Maximum number of rows of a page, and of names in a menu.
MOST_ROWS = 500
_MOST_CHOICES = 1000
#: Problems that sequences can be filtered by.
PROBLEMS = {
    "unread": "unreadable files",
    "nobody": "frames with nobody visible",
    "half": "more than half of the points missing",
    "unlabeled": "no label",
    "corrected": "corrected",
}


@dataclass(frozen=True)
class Query:
    """Filters and order of rows.

    Parameters
    ----------
    text : words that must all occur in a sequence's id, video or subject; case is ignored.
    label : ``HEAD:CLASS`` or ``HEAD:FLAG`` that must occur in a frame.
    subset : ``COLUMN:SUBSET`` of the cache's splits, or ``RUN:SUBSET`` of a run.
    problem : a key of `PROBLEMS`.
    """

    text: str = ""
    video: str = ""
    subject: str = ""
    label: str = ""
    subset: str = ""
    problem: str = ""
    sort: str = ""
    descending: bool = False


class SequenceTable:
    """Columns by sequence, computed once; a query is a mask and an order over them."""

    def __init__(self, cache: Cache, runs: Sequence[RunPredictions] = ()) -> None:
        self.cache, self.runs = cache, runs
        rows, counts = cache.sequences, cache.counts
        frames = rows["length"].to_numpy()
        self.texts = {name: rows[name].to_numpy(object) for name in ("id", "video", "person", "subject")}
        self.numbers: dict[str, np.ndarray] = {
            "frames": frames,
            "nobody": frames - counts.seen,
            "missing": 1 - counts.points.sum(1) / (frames * len(cache.layout)),
        }
        if cache.shares:
            self.numbers["raters"] = raters_disagreement(cache)
        self.unread = {str(video): int(files) for video, files in unread_files(cache).items()}
        for name in ("disagreement", "error") if runs else ():
            self.numbers[name] = mean_of_known(np.stack([getattr(run, name) for run in runs], -1))
        self.labels = {head.name: _most_frequent(head.outputs, counts.labels[head.name])
                       for head in cache.heads if head.kind == "classes"}  # fmt: skip

    def find(self, query: Query, corrected: frozenset[tuple[str, str]] = frozenset()) -> np.ndarray:
        """Rows of the cache that match, in order; ``corrected`` has the recordings and people with corrections.

        Raises `ConfigError`: an unknown head, class, subset, problem or column.
        """
        keep = np.ones(len(self.cache.sequences), bool)
        for word in query.text.casefold().split():
            keep[keep] = [word in text for text in self._searched[keep]]
        for name in ("video", "subject"):
            if wanted := getattr(query, name):
                keep &= self.texts[name] == wanted
        if query.label:
            keep &= self._labeled(query.label)
        if query.subset:
            keep &= _get("subset", self._subsets, query.subset)
        if query.problem:
            keep &= self._problem(query.problem, corrected)
        rows = np.flatnonzero(keep)
        if not query.sort:
            return rows[::-1] if query.descending else rows
        return rows[self._order(query.sort, rows, descending=query.descending)]

    def page(self, rows: np.ndarray) -> list[dict[str, Any]]:
        """The content of rows."""
        texts = {name: column[rows].tolist() for name, column in (self.texts | self.labels).items()}
        numbers = {name: [None if value != value else round(value, 4) for value in column[rows].tolist()]
                   for name, column in self.numbers.items()}  # fmt: skip
        columns = {"row": rows.tolist(), **texts, **numbers}
        return [dict(zip(columns, values, strict=True)) for values in zip(*columns.values(), strict=True)]

    def choices(self) -> dict[str, Any]:
        """Possible values of a query's fields."""
        named = {name: sorted({str(one) for one in self.texts[name]} - {""}) for name in ("video", "subject")}
        heads = [head for head in self.cache.heads if head.kind != "values"]
        return {
            **{name: found if len(found) <= _MOST_CHOICES else [] for name, found in named.items()},
            "label": [f"{head.name}:{name}" for head in heads for name in head.outputs],
            "subset": list(self._subsets),
            "problem": PROBLEMS,
            "sort": ["", "id", "video", "subject", *self.labels, *self.numbers],
        }  # fmt: skip

    def _order(self, sort: str, rows: np.ndarray, *, descending: bool) -> np.ndarray:
        columns = {**self.texts, **self.labels, **self.numbers}
        values = _get("column", columns, sort)[rows]
        if values.dtype == object:
            order = np.argsort(np.array([str(one).casefold() for one in values]), kind="stable")
            return order[::-1] if descending else order
        unknown_last = np.where(np.isnan(values), np.inf, -values if descending else values)
        return np.argsort(unknown_last, kind="stable")

    @cached_property
    def _searched(self) -> np.ndarray:
        pieces = zip(*(self.texts[name] for name in ("id", "video", "subject")), strict=True)
        return np.array(["\n".join(map(str, one)).casefold() for one in pieces], object)

    @cached_property
    def _subsets(self) -> Mapping[str, np.ndarray]:
        splits = self.cache.sequences["splits"].tolist()
        names = sorted({f"{column}:{subset}" for row in splits for column, subset in row.items()})
        found = {name: np.zeros(len(splits), bool) for name in names}
        for number, row in enumerate(splits):
            for column, subset in row.items():
                found[f"{column}:{subset}"][number] = True
        return found | {f"{run.name}:{name}": mask for run in self.runs for name, mask in run.subsets.items()}

    def _labeled(self, label: str) -> np.ndarray:
        head = next((one for one in self.cache.heads if label.startswith(f"{one.name}:")), None)
        if head is None or (output := label[len(head.name) + 1 :]) not in head.outputs:
            raise unknown("label", label, self.choices()["label"])
        return np.asarray(self.cache.counts.labels[head.name][:, 1 + head.outputs.index(output)] > 0)

    def _problem(self, problem: str, corrected: frozenset[tuple[str, str]]) -> np.ndarray:
        if problem not in PROBLEMS:
            raise unknown("problem", problem, PROBLEMS)
        if problem == "unread":
            return np.array([self.unread.get(video, 0) > 0 for video in self.texts["video"]], bool)
        if problem == "nobody":
            return self.numbers["nobody"] > 0
        if problem == "half":
            return self.numbers["missing"] > 0.5
        if problem == "corrected":
            pairs = zip(self.texts["video"], self.texts["person"], strict=True)
            return np.array([one in corrected for one in pairs], bool)
        labeled = [counts[:, 0] > 0 for counts in self.cache.counts.labels.values()]
        return ~np.any(labeled, 0) if labeled else np.ones(len(self.texts["id"]), bool)


def raters_disagreement(cache: Cache) -> np.ndarray:
    """By sequence, the mean over frames and heads of 1 minus the largest share; NaN without soft labels."""
    total, number = np.zeros(len(cache.sequences)), np.zeros(len(cache.sequences))
    shards = cache.sequences["shard"].to_numpy()
    for index, shard in enumerate(cache.shards):
        rows = np.flatnonzero(shards == index)
        heads = {LABELS + head.name: len(head) for head in shard.header.heads if head.name in shard.shares}
        arrays = {name: np.empty((shard.frames, size), np.float32) for name, size in heads.items()}
        with repairable(shard.path):
            shard.read_into(arrays)
        starts, lengths = (cache.sequences[name].to_numpy()[rows] for name in ("row", "length"))
        for array in arrays.values():
            apart = 1 - array.max(1)
            for row, start, length in zip(rows, starts, lengths, strict=True):
                known = apart[start : start + length][~np.isnan(apart[start : start + length])]
                total[row] += known.sum()
                number[row] += len(known)
    return np.where(number > 0, total / np.maximum(number, 1), np.nan)


def _get(kind: str, known: Mapping[str, np.ndarray], name: str) -> np.ndarray:
    if name not in known:
        raise unknown(kind, name, known)
    return known[name]


def _most_frequent(outputs: tuple[str, ...], counts: np.ndarray) -> np.ndarray:
    names = np.array([*outputs, ""], object)
    return np.asarray(names[np.where(counts[:, 0] > 0, counts[:, 1:].argmax(1), len(outputs))])
