"""DFEW's ``annotation.xlsx``: the votes of ten annotators for each clip, and the winning emotion."""

import re
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from skelemo.annotations.class_names import emotion
from skelemo.annotations.csv_table import Table, read_table
from skelemo.errors import InputError
from skelemo.targets import EMOTIONS

_VOTE_COLUMN = re.compile(r"\s*[1-7]\s*_?([a-z]+)\s*", re.IGNORECASE)


@dataclass(frozen=True)
class Votes:
    """The winning emotion of a clip as index into `EMOTIONS`, -1 for none, and the votes for each emotion."""

    winner: int
    counts: tuple[int, ...]


def read_votes(file: Path) -> dict[int, Votes]:
    """Read the votes by clip number, from columns ``order``, ``1happy`` … ``7fear`` and ``label`` (0 to 7).

    Raises `InputError`: not an xlsx file, a column is missing, a cell is invalid, or a clip is listed twice.
    """
    table = read_table(file)
    voted = {emotion(match[1]): name for name in table.columns if (match := _VOTE_COLUMN.fullmatch(name))}
    missing = [name for name in ("order", "label") if name not in table.columns]
    missing += [f"votes for {name}" for name in EMOTIONS if name not in voted]
    if missing:
        raise InputError(f"{file}: no column for {', '.join(missing)}; columns are {', '.join(table.columns)}")
    clips, labels = _whole(table, "order", 1), _whole(table, "label", 0, len(EMOTIONS))
    counts = np.stack([_whole(table, voted[name], 0, empty=0) for name in EMOTIONS], 1)
    votes: dict[int, Votes] = {}
    for row, (clip, label) in enumerate(zip(clips.tolist(), labels.tolist(), strict=True)):
        if clip in votes:
            raise InputError(f"{file}, line {table.lines[row]}: clip {clip} is listed twice")
        votes[clip] = Votes(label - 1, tuple(counts[row].tolist()))
    return votes


def _whole(table: Table, name: str, least: int, most: int = 2**31 - 1, empty: float = np.nan) -> np.ndarray:
    """A column's whole numbers from ``least`` to ``most``, int64 [R]."""
    numbers = np.nan_to_num(table.numbers(name), nan=empty)
    wrong = ~((numbers >= least) & (numbers <= most) & (numbers % 1 == 0))
    table.refuse(name, wrong, f"a whole number from {least} to {most:,}")
    return numbers.astype(np.int64)
