"""Some of a shard's sequences as shards of their own."""

from collections.abc import Callable, Collection
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from skelemo.cache.integrity import neighbors
from skelemo.cache.reading import MOST_FRAMES, read_rows
from skelemo.cache.shard import Shard, write_shard

if TYPE_CHECKING:
    import pandas as pd

#: Rows of recordings and of problems that go with the sequences that are kept, bool ``[S]``.
Belong = Callable[[Shard, np.ndarray], tuple[list[dict[str, Any]], list[dict[str, Any]]]]


def belongings(shard: Shard, keep: np.ndarray) -> tuple[list[dict[str, Any]], list[dict[str, Any]]]:
    """Recordings of the sequences that are kept, and problems but for those of recordings that are not.

    Where a sequence of a recording stays behind, an ingest reads it again: its fingerprint is that of all of them.
    """
    if keep.all():
        return _rows(shard.recordings), _rows(shard.problems)
    going = _rows(shard.recordings[shard.recordings["video"].isin(shard.sequences["video"][keep])])
    return going, _problems(shard, going)


def unaffected(shard: Shard, keep: np.ndarray) -> tuple[list[dict[str, Any]], list[dict[str, Any]]]:
    """Recordings of which no sequence is left out, those without any among them, and problems but for the others'."""
    going, _ = untorn(shard, keep)
    return going, _problems(shard, going)


def untorn(shard: Shard, keep: np.ndarray) -> tuple[list[dict[str, Any]], list[dict[str, Any]]]:
    """Recordings of which no sequence is left out, those without any among them, and all problems."""
    left_out = shard.sequences["video"][~keep]
    return _rows(shard.recordings[~shard.recordings["video"].isin(left_out)]), _rows(shard.problems)


def write_part(shard: Shard, keep: np.ndarray, folder: Path, belong: Belong = belongings) -> list[Path]:
    """Write the sequences that are kept, bool ``[S]``, and what belongs to them into ``folder``.

    Raises
    ------
    CacheError
        A sequence that is kept is damaged, or the folder cannot be written.
    """
    recordings, problems = belong(shard, keep)
    rows = _rows(shard.sequences[keep])
    paths: list[Path] = []
    for group in neighbors(rows, MOST_FRAMES):
        videos, last = {row["video"] for row in group}, group[-1] is rows[-1]
        going = [row for row in recordings if row["video"] in videos or last]
        recordings = [row for row in recordings if not (row["video"] in videos or last)]
        paths.append(write_shard(folder, shard.header, list(read_rows(shard, group)), going, problems if last else ()))
    if not rows and (recordings or problems):
        paths.append(write_shard(folder, shard.header, (), recordings, problems))
    return paths


def _problems(shard: Shard, going: list[dict[str, Any]]) -> list[dict[str, Any]]:
    """Problems of a shard but for those of recordings that are not going."""
    sources = set(shard.recordings["source"])
    others = sources - {row["source"] for row in going}
    return [row for row in _rows(shard.problems) if recording_of(row["file"], sources) not in others]


def recording_of(file: str, sources: Collection[str]) -> str:
    """The recording, by its source, that a file with a problem is of; nothing where it is none of these."""
    ends = [len(file), *(end for end in reversed(range(len(file))) if file[end] in "/_")]
    return next((file[:end] for end in ends if file[:end] in sources), "")


def _rows(table: "pd.DataFrame") -> list[dict[str, Any]]:
    return [{str(name): value for name, value in row.items()} for row in table.to_dict("records")]
