"""DFEW's ``annotation.xlsx``: how many of ten annotators chose each emotion for a clip, and which one won."""

import re
import warnings
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from skelemo.annotations.class_names import emotion
from skelemo.errors import InputError
from skelemo.targets import EMOTIONS

_VOTE_COLUMN = re.compile(r"\s*[1-7]\s*_?([a-z]+)\s*", re.IGNORECASE)
_MOST_ROWS, _MOST_COLUMNS = 1_048_576, 64  # a sheet's most rows; DFEW's has nine columns


@dataclass(frozen=True)
class Votes:
    """The winning emotion of a clip as index into `EMOTIONS`, -1 for none, and the votes for each of them."""

    winner: int
    counts: tuple[int, ...]


def read_votes(file: Path) -> dict[int, Votes]:
    """The votes by the clip's number.

    From columns ``order``, ``1happy`` … ``7fear`` and ``label`` (0 to 7).

    Raises
    ------
    InputError
        Not an xlsx file, a column is missing, a cell is not such a number, or a clip is there twice.
    """
    rows = _rows(file)
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
            raise InputError(f"{file}, row {line}: clip {clip} is here for the second time")
        votes[clip] = Votes(winner - 1, counts)
    return votes


def _rows(file: Path) -> Iterator[tuple[int, Sequence[Any]]]:
    """Rows of the first sheet with their numbers, read one by one, formulas as the values that were stored."""
    from openpyxl import load_workbook

    try:
        with warnings.catch_warnings(action="ignore"):  # about styles, which do not matter here
            book = load_workbook(file, read_only=True, data_only=True, keep_links=False)
        try:
            sheet = book.worksheets[0]
            limits = {"min_row": 1, "max_row": _MOST_ROWS, "max_col": _MOST_COLUMNS}
            yield from enumerate(sheet.iter_rows(values_only=True, **limits), start=1)
        finally:
            book.close()
    except Exception as error:  # openpyxl lets through whatever zip, XML and its own parsing raise
        raise InputError(f"{file}: not a readable xlsx file ({type(error).__name__}: {error})") from None


def _columns(header: Sequence[Any], file: Path) -> tuple[int, int, list[int]]:
    """Positions of ``order``, of ``label`` and of the votes for each of `EMOTIONS`."""
    names = [str(cell or "").strip().lower() for cell in header]
    voted = {emotion(match[1]): at for at, name in enumerate(names) if (match := _VOTE_COLUMN.fullmatch(name))}
    missing = [name for name in ("order", "label") if name not in names]
    missing += [f"votes for {name}" for name in EMOTIONS if name not in voted]
    if missing:
        found = ", ".join(name for name in names if name) or "nothing"
        raise InputError(f"{file}: no column for {', '.join(missing)}; the first row has {found}")
    return names.index("order"), names.index("label"), [voted[name] for name in EMOTIONS]


def _whole(cell: Any) -> int:
    """A cell's whole number of at least 0, whether stored as number or text."""
    number = float(cell if cell is not None else "")
    if not number.is_integer() or number < 0 or number > np.iinfo(np.int32).max:
        raise ValueError(cell)
    return int(number)
