"""Writes sequences as shards of the usual size, for ingest, import, merge and extraction."""

from collections.abc import Callable, Collection, Iterable, Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from skelemo.cache.reading import MOST_FRAMES, read_rows
from skelemo.cache.sequence import Sequence
from skelemo.cache.shard import Header, Shard, write_shard

if TYPE_CHECKING:
    import pandas as pd

Rows = list[dict[str, Any]]
#: Selects recordings and problems of a shard, given the mask of kept sequences, bool ``[S]``.
Select = Callable[[Shard, np.ndarray], tuple[Rows, Rows]]


class ShardWriter:
    """Collects sequences, recordings and problems, and writes a shard before it would exceed `MOST_FRAMES`.

    ``folder`` and ``header`` are those of the next shard; call `flush` before changing either.
    """

    def __init__(self, folder: Path, header: Header) -> None:
        self.folder, self.header = folder, header
        self.shards: list[Path] = []  # written so far
        self.written = self.frames = 0  # sequences and frames in them
        self.pending = 0  # frames not yet written
        self.sequences: list[Sequence] = []
        self.recordings: list[Mapping[str, Any]] = []
        self.problems: list[Mapping[str, str]] = []

    def add(
        self,
        sequences: Collection[Sequence] = (),
        recordings: Iterable[Mapping[str, Any]] = (),
        problems: Iterable[Mapping[str, str]] = (),
    ) -> None:
        """Add rows that must be in the same shard."""
        added = sum(map(len, sequences))
        if self.sequences and self.pending + added > MOST_FRAMES:
            self.flush()
        self.pending += added
        self.sequences += sequences
        self.recordings += recordings
        self.problems += problems

    def flush(self) -> Path | None:
        """Write everything added since the last shard; returns its path, or None if nothing was added."""
        if not (self.sequences or self.recordings or self.problems):
            return None
        path = write_shard(self.folder, self.header, self.sequences, self.recordings, self.problems)
        self.shards.append(path)
        self.written += len(self.sequences)
        self.frames += self.pending
        self.sequences, self.recordings, self.problems, self.pending = [], [], [], 0
        return path


def with_sequences(shard: Shard, keep: np.ndarray) -> tuple[Rows, Rows]:
    """Recordings with a kept sequence, and problems except those of other recordings.

    If only some sequences of a recording are kept, a later ingest reads it again.
    """
    if keep.all():
        return _rows(shard.recordings), _rows(shard.problems)
    kept = shard.recordings["video"].isin(shard.sequences["video"][keep])
    return _with_problems(shard, _rows(shard.recordings[kept]))


def complete(shard: Shard, keep: np.ndarray) -> tuple[Rows, Rows]:
    """Recordings without a dropped sequence, and problems except those of other recordings."""
    dropped = shard.recordings["video"].isin(shard.sequences["video"][~keep])
    return _with_problems(shard, _rows(shard.recordings[~dropped]))


def extract(shard: Shard, keep: np.ndarray, folder: Path, select: Select = with_sequences) -> list[Path]:
    """Write the kept sequences of a shard, bool ``[S]``, and their recordings and problems into a folder.

    Raises `CacheError`: a kept sequence is damaged, or the folder cannot be written.
    """
    recordings, problems = select(shard, keep)
    by_video: dict[str, Rows] = {}
    for row in recordings:
        by_video.setdefault(row["video"], []).append(row)
    writer = ShardWriter(folder, shard.header)
    for sequence in read_rows(shard, _rows(shard.sequences[keep])):
        writer.add([sequence], by_video.pop(sequence.video, ()))
    writer.add((), (row for rows in by_video.values() for row in rows), problems)
    writer.flush()
    return writer.shards


def _with_problems(shard: Shard, recordings: Rows) -> tuple[Rows, Rows]:
    sources = set(shard.recordings["source"])
    others = sources - {row["source"] for row in recordings}
    return recordings, [row for row in _rows(shard.problems) if recording_of(row["file"], sources) not in others]


def recording_of(file: str, sources: Collection[str]) -> str:
    """Source of the recording that a file belongs to; empty if none."""
    ends = [len(file), *(end for end in reversed(range(len(file))) if file[end] in "/_")]
    return next((file[:end] for end in ends if file[:end] in sources), "")


def _rows(table: "pd.DataFrame") -> Rows:
    return [{str(name): value for name, value in row.items()} for row in table.to_dict("records")]
