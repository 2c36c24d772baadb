"""A CSV file or a spreadsheet as columns of cells, with the line that each row stands in."""

import csv
import io
import warnings
import zipfile
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Any

import numpy as np

from skelemo.annotations.files import read_text, some
from skelemo.errors import InputError

_DELIMITERS = ",;\t"
_MOST_ROWS, _MOST_COLUMNS = 1_048_576, 1024  # a sheet's most rows
#: Bytes of a file's parts once they are unpacked; a label sheet with a million rows has a tenth of it.
_MOST_BYTES = 1 << 30


@dataclass(frozen=True, eq=False)
class Table:
    """Cells by column; a column that is not there reads as empty."""

    file: Path
    columns: Mapping[str, Sequence[str]]  # lower-case name -> cells, stripped, "" for nothing
    lines: np.ndarray  # int64 [R], line of each row in the file
    decimal_comma: bool  # numbers may be written 0,5
    notes: tuple[str, ...] = ()  # what the user should know

    def __len__(self) -> int:
        return len(self.lines)

    def texts(self, name: str) -> Sequence[str]:
        """Cells of a column [R]."""
        return self.columns.get(name) or [""] * len(self)

    def numbers(self, name: str) -> np.ndarray:
        """Cells of a column as float64 [R], NaN for nothing; refuses what is not a finite number."""
        cells = [cell or "nan" for cell in self.texts(name)]
        if self.decimal_comma:
            cells = [cell.replace(",", ".") for cell in cells]
        try:
            numbers = np.array(cells, np.float64)
        except ValueError:
            numbers = np.array([_number(cell) for cell in cells], np.float64)
        self.refuse(name, np.isinf(numbers), "a number")
        return numbers

    def refuse(self, name: str, wrong: np.ndarray, expected: str) -> None:
        """Raise the `InputError` for the first row that is ``wrong`` (bool [R]), if any is."""
        if wrong.any():
            raise self.refusal(name, int(wrong.argmax()), expected)

    def refusal(self, name: str, row: int, expected: str) -> InputError:
        """The error for a cell."""
        cell = self.texts(name)[row]
        return InputError(f"{self.file}, line {self.lines[row]}: {name} is {cell[:80]!r}; expected {expected}")


def read_table(file: Path) -> Table:
    """Read a UTF-8 file of cells between commas, semicolons or tabs, as the header has them; or an xlsx file's sheet.

    Empty lines do not count. Columns without a name are left out (pandas writes its index as one).

    Raises `InputError`: there are no rows, a row has more or fewer cells than the header, two columns have one name, or
    the quotes are damaged; the message names the line.
    """
    if is_spreadsheet(file):
        delimiter, (rows, lines, notes) = ",", _sheet_texts(file)
    else:
        notes = ()
        text = read_text(file)
        header_line = next((line for line in text.split("\n") if line.strip()), "")
        delimiter = max(_DELIMITERS, key=header_line.count)
        rows, lines = _rows(text, delimiter, file)
    if len(rows) < 2:
        raise InputError(f"{file}: {'there is a header but no row' if rows else 'the file is empty'}")
    names = [" ".join(name.lower().split()) for name in rows[0]]
    twice = [name for name, times in Counter(names).items() if name and times > 1]
    if twice:
        raise InputError(f"{file}, line {lines[0]}: several columns are called {some([repr(name) for name in twice])}")
    for row, line in zip(rows, lines, strict=True):
        if len(row) != len(names):
            raise InputError(f"{file}, line {line}: {len(row)} cells; the header has {len(names)} ({some(names, 12)})")
    cells = zip(*rows[1:], strict=True)
    columns = {name: column for name, column in zip(names, cells, strict=True) if name}
    return Table(file, columns, np.array(lines[1:], np.int64), delimiter != ",", notes)


def _rows(text: str, delimiter: str, file: Path) -> tuple[list[list[str]], list[int]]:
    """Rows that hold anything, their cells stripped, and the lines in which they end."""
    rows, lines = [], []
    strip = cache(_stripped)  # so that equal cells are one object: labels repeat
    cells = csv.reader(io.StringIO(text, newline=""), delimiter=delimiter, skipinitialspace=True, strict=True)
    try:
        for row in cells:
            row = list(map(strip, row))
            if any(row):
                rows.append(row)
                lines.append(cells.line_num)
    except csv.Error as error:
        raise InputError(f"{file}, line {cells.line_num}: {error} (are the quotes closed?)") from None
    return rows, lines


def _stripped(cell: str) -> str:
    """A cell without the spaces around it; pandas may write nan for nothing."""
    cell = cell.strip()
    return "" if cell.lower() == "nan" else cell


def _number(cell: str) -> float:
    """A cell's number; infinity for one that is no number."""
    try:
        return float(cell)
    except ValueError:
        return np.inf


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


def _sheet_texts(file: Path) -> tuple[list[list[str]], list[int], tuple[str, ...]]:
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
    return _stripped(str(cell))
