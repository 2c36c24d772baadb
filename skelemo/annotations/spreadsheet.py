"""The first sheet of an xlsx file, row by row."""

import warnings
import zipfile
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

from skelemo.errors import InputError

_MOST_ROWS, _MOST_COLUMNS = 1_048_576, 1024  # a sheet's most rows
#: Bytes of a file's parts once they are unpacked; a label sheet with a million rows has a tenth of it.
_MOST_BYTES = 1 << 30


def is_spreadsheet(file: Path) -> bool:
    """Whether a file is named as one that `sheet_rows` reads."""
    return file.suffix.lower() in (".xlsx", ".xlsm")


def sheet_rows(file: Path, notes: list[str] | None = None) -> Iterator[tuple[int, Sequence[Any]]]:
    """Rows of the first sheet with their numbers, read one by one, formulas as the values that were stored.

    ``notes`` gets a line where there are more sheets.

    Raises `InputError`: it is no such file, or a very large one.
    """
    from openpyxl import load_workbook

    try:
        with zipfile.ZipFile(file) as packed:
            size = sum(part.file_size for part in packed.infolist())
        if size > _MOST_BYTES:
            raise InputError(f"{file}: {size:,} bytes unpacked; expected a table of at most {_MOST_BYTES:,}")
        with warnings.catch_warnings(action="ignore"):  # about styles, which do not matter here
            book = load_workbook(file, read_only=True, data_only=True, keep_links=False)
        try:
            sheet = book.worksheets[0]
            if notes is not None and len(book.worksheets) > 1:
                notes.append(f"{file}: read its first sheet, {sheet.title!r}, of {len(book.worksheets)}")
            limits = {"min_row": 1, "max_row": _MOST_ROWS, "max_col": _MOST_COLUMNS}
            yield from enumerate(sheet.iter_rows(values_only=True, **limits), start=1)
        finally:
            book.close()
    except InputError:
        raise
    except Exception as error:  # openpyxl lets through whatever zip, XML and its own parsing raise
        raise InputError(f"{file}: not a readable xlsx file ({type(error).__name__}: {error})") from None


def sheet_texts(file: Path) -> tuple[list[list[str]], list[int], tuple[str, ...]]:
    """Rows that hold anything as texts of the width of the first or more, their numbers, and notes."""
    notes: list[str] = []
    rows: list[list[str]] = []
    numbers = []
    for number, row in sheet_rows(file, notes):
        cells = [_text(cell) for cell in row]
        while cells and not cells[-1]:
            cells.pop()
        if cells:
            rows.append(cells + [""] * (len(rows[0]) - len(cells) if rows else 0))
            numbers.append(number)
    return rows, numbers, tuple(notes)


def _text(cell: Any) -> str:
    """A cell as a CSV file would have it."""
    if cell is None:
        return ""
    if isinstance(cell, bool):
        return str(int(cell))
    if isinstance(cell, float):
        return str(int(cell)) if cell.is_integer() else repr(cell)
    text = str(cell).strip()
    return "" if text.lower() == "nan" else text
