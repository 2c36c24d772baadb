"""Some of a shard's sequences as shards of their own."""

from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

from skelemo.cache.integrity import neighbours, read_frames
from skelemo.cache.sequence import FRAME_COLUMNS, Sequence
from skelemo.cache.shard import Shard, write_shard
from skelemo.errors import CacheError

#: Frames that a shard made of a part holds, unless one sequence has more: as many as an ingest puts into one.
MOST_FRAMES = 16_384


def write_part(shard: Shard, keep: np.ndarray, folder: Path) -> list[Path]:
    """Write the sequences that are kept, bool ``[S]``, into ``folder``, with the recordings that are kept as a whole.

    A recording of which a sequence is left out is not written down as ingested, so that the next ingest reads it.

    Raises
    ------
    CacheError
        A sequence that is kept is damaged, or the folder cannot be written.
    """
    left_out = set(shard.sequences["video"][~keep])
    recordings = _rows(shard.recordings[~shard.recordings["video"].isin(left_out)])
    problems = _rows(shard.problems)
    rows = _rows(shard.sequences[keep])
    paths: list[Path] = []
    for group in neighbours(rows, MOST_FRAMES):
        videos, last = {row["video"] for row in group}, group[-1] is rows[-1]
        held = [row for row in recordings if row["video"] in videos or last]
        recordings = [row for row in recordings if row not in held]
        sequences = [_read(shard, row) for row in group]
        paths.append(write_shard(folder, shard.header, sequences, held, problems if last else ()))
    if not rows and (recordings or problems):
        paths.append(write_shard(folder, shard.header, (), recordings, problems))
    return paths


def _read(shard: Shard, row: dict[str, Any]) -> Sequence:
    frames = read_frames(shard, row["start"], row["start"] + row["length"], "keypoints", *FRAME_COLUMNS)
    said: dict[str, Any] = {
        name: row[name] for name in ("id", "video", "person", "subject", "width", "height", "fps", "splits")
    }
    sequence = Sequence(**(said | frames))
    if sequence.sha256 != row["sha256"]:
        raise CacheError(f"{shard.path}: sequence {row['id']!r} is damaged")
    return sequence


def _rows(table: pd.DataFrame) -> list[dict[str, Any]]:
    return [{str(name): value for name, value in row.items()} for row in table.to_dict("records")]
