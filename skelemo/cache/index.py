"""``index.json`` beside remote shards: their contents, to choose what to transfer."""

import hashlib
from collections.abc import Iterable, Mapping, Sequence
from typing import Literal

import numpy as np
import pandas as pd
from pydantic import BaseModel, Field, ValidationError

from skelemo.cache.remote import Remote
from skelemo.cache.select import label_words, labels_in, matching
from skelemo.cache.shard import FORMAT, VERSION, Shard
from skelemo.cache.verify import NAME
from skelemo.errors import RemoteError

INDEX = "index.json"
#: Limits of an index.
MOST_SHARDS, LARGEST_SHARD = 100_000, 64 << 30


class _Row(BaseModel, frozen=True):
    id: str
    video: str
    subject: str
    person: str
    sha256: str
    splits: dict[str, str]
    labels: list[str]


class Entry(BaseModel, frozen=True):
    """One shard in the index."""

    size: int = Field(gt=0, le=LARGEST_SHARD)
    sha256: str = Field(pattern="^[0-9a-f]{64}$")
    layout: str
    heads: dict[str, str]  # descriptions by name
    words: list[str]  # all labels of these heads
    sequences: list[_Row]
    recordings: list[str]

    @property
    def contents(self) -> dict[str, str]:
        """Hash of each sequence by its id."""
        return {row.id: row.sha256 for row in self.sequences}

    @property
    def table(self) -> pd.DataFrame:
        """One row per sequence."""
        columns = [name for name in _Row.model_fields if name != "labels"]
        return pd.DataFrame([row.model_dump(include={*columns}) for row in self.sequences], None, columns, object)


class Index(BaseModel, frozen=True):
    """Entries by shard name."""

    format: Literal[FORMAT] = FORMAT  # type: ignore[valid-type]
    version: Literal[VERSION] = VERSION  # type: ignore[valid-type]
    shards: dict[str, Entry] = Field(default={}, max_length=MOST_SHARDS)


def entry_of(shard: Shard) -> Entry:
    """The entry of a shard."""
    with shard.path.open("rb") as file:
        digest = hashlib.file_digest(file, "sha256").hexdigest()
        size = file.tell()
    rows = shard.sequences[["id", "video", "subject", "person", "sha256", "splits"]].to_dict("records")
    return Entry(
        size=size,
        sha256=digest,
        layout=shard.header.layout,
        heads={head.name: str(head) for head in shard.header.heads},
        words=label_words(shard.header.heads),
        sequences=[
            _Row.model_validate({**row, "labels": sorted(labels)})
            for row, labels in zip(rows, labels_in(shard.header.heads, shard.counts), strict=True)
        ],
        recordings=list(shard.recordings["video"]),
    )


def read_index(remote: Remote) -> dict[str, Entry]:
    """Read the entries of the index at a URL; empty if it does not exist. Raises `RemoteError`: it is invalid."""
    text = remote.read(INDEX)
    if text is None:
        return {}
    try:
        index = Index.model_validate_json(text)
    except ValidationError as error:
        first = error.errors(include_url=False, include_input=False)[0]
        where = ".".join(map(str, first["loc"]))[:80]
        raise RemoteError(f"{remote.label}/{INDEX}: not an index of shards ({where}: {first['msg'][:80]})") from None
    for name in index.shards:
        if not NAME.fullmatch(name):
            raise RemoteError(f"{remote.label}/{INDEX}: {name[:80]!r} is not a shard's name")
    return index.shards


def match(entries: Iterable[Entry], only: Sequence[str]) -> list[np.ndarray]:
    """Which sequences of each entry match, bool ``[S]`` each; see `skelemo.cache.select.matching`."""
    entries = list(entries)
    if not entries:
        return []
    table = pd.concat([entry.table for entry in entries], ignore_index=True)
    labels = [frozenset(row.labels) for entry in entries for row in entry.sequences]
    words = list(dict.fromkeys(word for entry in entries for word in entry.words))
    chosen = matching(table, words, only, lambda: labels, [text.partition("=")[0] for text in only])
    return np.split(chosen, np.cumsum([len(entry.sequences) for entry in entries])[:-1])


def contents_of(sequences: pd.DataFrame) -> dict[str, str]:
    """Hashes of a table's sequences by id."""
    return dict(zip(sequences["id"], sequences["sha256"], strict=True))


def differing(contents: Mapping[str, str], others: Mapping[str, str]) -> list[str]:
    """Sequences whose content differs in ``others``."""
    return [name for name, sha256 in contents.items() if others.get(name, sha256) != sha256]
