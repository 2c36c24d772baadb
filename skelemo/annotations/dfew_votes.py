"""DFEW's ``annotation.xlsx``: the votes of ten annotators for each clip, and the winning emotion."""

import re
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from skelemo.annotations.class_names import emotion
from skelemo.annotations.csv_table import sheet_rows
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
    rows = sheet_rows(file)
    _, header = next(rows, (1, ()))
    order, label, columns = _columns(header, file)
    votes: dict[int, Votes] = {}
    for line, row in rows:
        if all(cell is None for cell in row):
            continue
        try:
            clip, winner = _whole(row[order]), _whole(row[label])
            counts = tuple(_whole(row[column] or 0) for column in columns)
            if clip < 1 or winner > len(EMOTIONS):
                raise ValueError(clip, winner)
        except (TypeError, ValueError):
            raise InputError(
                f"{file}, row {line}: found {str(row[: label + 1])[:120]}; expected a clip's number, seven counts of "
                "votes and a label from 0 to 7"
            ) from None
        if clip in votes:
            raise InputError(f"{file}, row {line}: clip {clip} is listed twice")
        votes[clip] = Votes(winner - 1, counts)
    return votes


def _columns(header: Sequence[Any], file: Path) -> tuple[int, int, list[int]]:
    """Indices of ``order``, of ``label`` and of the votes for each of `EMOTIONS`."""
    names = [str(cell or "").strip().lower() for cell in header]
    voted = {emotion(match[1]): at for at, name in enumerate(names) if (match := _VOTE_COLUMN.fullmatch(name))}
    missing = [name for name in ("order", "label") if name not in names]
    missing += [f"votes for {name}" for name in EMOTIONS if name not in voted]
    if missing:
        found = ", ".join(name for name in names if name) or "nothing"
        raise InputError(f"{file}: no column for {', '.join(missing)}; the first row has {found}")
    return names.index("order"), names.index("label"), [voted[name] for name in EMOTIONS]


def _whole(cell: Any) -> int:
    """A cell's non-negative integer, stored as number or text."""
    number = float(cell if cell is not None else "")
    if not number.is_integer() or number < 0 or number > np.iinfo(np.int32).max:
        raise ValueError(cell)
    return int(number)
