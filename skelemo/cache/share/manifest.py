"""What a shard holds, in a few lines beside it: enough to know whether it is worth fetching."""

import json
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import pandas as pd

from skelemo.cache.select import label_words, labels_in, matching
from skelemo.cache.shard import FORMAT, SUFFIX, VERSION, Shard

_TEXTS = ("id", "video", "subject", "person", "sha256")


@dataclass(frozen=True, eq=False)
class Facts:
    """Layout and classes of a shard, a row for each of its sequences, and the classes that each has frames of.

    And videos of its recordings, and files with a problem: None where an older version has not said them.
    """

    layout: str
    classes: tuple[str, ...]
    sequences: pd.DataFrame
    labels: list[frozenset[str]]
    recordings: tuple[str, ...] | None
    problems: tuple[str, ...] | None

    @property
    def is_complete(self) -> bool:
        """Whether they say all that the shard holds, but for its frames."""
        return self.recordings is not None and self.problems is not None


def facts_name(shard_name: str) -> str:
    """The file beside a shard that says what is in it."""
    return shard_name.removesuffix(SUFFIX) + ".json"


def facts_of(shard: Shard) -> Facts:
    """What a shard holds."""
    return Facts(
        shard.header.layout,
        tuple(label_words(shard.header.heads)),
        shard.sequences[[*_TEXTS, "splits"]],
        labels_in(shard),
        tuple(shard.recordings["video"]),
        tuple(shard.problems["file"]),
    )


def to_json(facts: Facts) -> bytes:
    """The facts as ``NAME.json`` says them."""
    rows = facts.sequences.to_dict("records")
    said = {
        "format": FORMAT,
        "version": VERSION,
        "layout": facts.layout,
        "classes": facts.classes,
        "sequences": [row | {"labels": sorted(labels)} for row, labels in zip(rows, facts.labels, strict=True)],
        "recordings": facts.recordings,
        "problems": facts.problems,
    }
    return json.dumps(said, ensure_ascii=False).encode()


def from_json(text: bytes) -> Facts | None:
    """The facts that somebody has written, or nothing if they are not what `to_json` writes."""
    try:
        said = json.loads(text)
        if (said["format"], said["version"]) != (FORMAT, VERSION):
            return None
        rows = [_row(row) for row in said["sequences"]]
        table = pd.DataFrame(rows, columns=[*_TEXTS, "splits"], dtype=object)
        labels = [frozenset(_texts(row["labels"])) for row in said["sequences"]]
        (layout,) = _texts([said["layout"]])
        recordings, problems = (
            tuple(_texts(said[name])) if name in said else None for name in ("recordings", "problems")
        )
        return Facts(layout, tuple(_texts(said["classes"])), table, labels, recordings, problems)
    except (ValueError, KeyError, TypeError, AttributeError, RecursionError):
        return None


def contents(sequences: pd.DataFrame) -> dict[str, str]:
    """What each sequence holds, as its hash, by its id."""
    return dict(zip(sequences["id"], sequences["sha256"], strict=True))


def held(shards: Iterable[Shard]) -> dict[str, str]:
    """What each sequence of some shards holds, as `contents` tells it."""
    return {one: sha256 for shard in shards for one, sha256 in contents(shard.sequences).items()}


def differing(contents: Mapping[str, str], others: Mapping[str, str]) -> list[str]:
    """Sequences of which others have other content."""
    return [one for one, sha256 in contents.items() if others.get(one, sha256) != sha256]


def choose(facts: Sequence[Facts], only: Sequence[str], columns: Iterable[str] = ()) -> list[np.ndarray]:
    """Which sequences of each shard are wanted, as `matching` reads the expressions over all of them together."""
    if not facts:
        return []
    table = pd.concat([one.sequences for one in facts], ignore_index=True)
    classes = list(dict.fromkeys(name for one in facts for name in one.classes))
    chosen = matching(table, classes, only, lambda: [labels for one in facts for labels in one.labels], columns)
    return np.split(chosen, np.cumsum([len(one.sequences) for one in facts])[:-1])


def _row(row: Any) -> dict[str, Any]:
    found: dict[str, Any] = dict(zip(_TEXTS, _texts([row[name] for name in _TEXTS]), strict=True))
    splits = row["splits"]
    return found | {"splits": dict(zip(_texts(list(splits.keys())), _texts(list(splits.values())), strict=True))}


def _texts(values: Any) -> list[str]:
    if not isinstance(values, list) or not all(isinstance(value, str) for value in values):
        raise TypeError("not a list of texts")
    return values
