"""Reads CSV files and spreadsheets as columns of cells, with line numbers."""

import csv
import io
import warnings
import zipfile
from collections import Counter
from collections.abc import Mapping, Sequence
from contextlib import closing
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Any

import numpy as np

from skelemo.annotations.files import read_text
from skelemo.errors import InputError
from skelemo.text import some

_DELIMITERS = ",;\t"
_MAX_ROWS, _MAX_CELLS = 1_048_576, 50_000_000  # Excel's limit of rows; cells of a spreadsheet
#: Decompressed bytes of a spreadsheet; a million rows of labels have a tenth of this.
_MAX_BYTES = 1 << 30


@dataclass(frozen=True, eq=False)
class Table:
    """Cells by column; a missing column reads as empty."""

    file: Path
    columns: Mapping[str, Sequence[str]]  # cells by lower-case name, stripped; "" for empty
    lines: np.ndarray  # int64 [R], line of each row in the file
    decimal_comma: bool  # whether numbers may be written as 0,5
    notes: tuple[str, ...] = ()

    def __len__(self) -> int:
        return len(self.lines)

    def texts(self, name: str) -> Sequence[str]:
        """Cells of a column [R]."""
        return self.columns.get(name) or [""] * len(self)

    def numbers(self, name: str) -> np.ndarray:
        """Cells of a column as float64 [R], NaN for empty; raises `InputError` for anything but finite numbers."""
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
        """Raise `InputError` for the first ``wrong`` row (bool [R]), if any."""
        if wrong.any():
            raise self.refusal(name, int(wrong.argmax()), expected)

    def refusal(self, name: str, row: int, expected: str) -> InputError:
        """The error for a cell."""
        cell = self.texts(name)[row]
        return InputError(f"{self.file}, line {self.lines[row]}: {name} is {cell[:80]!r}; expected {expected}")


def read_table(file: Path) -> Table:
    """Read a UTF-8 file separated by commas, semicolons or tabs, as its header is, or the first sheet of an xlsx file.

    Empty lines are skipped, and so are columns without a name (such as an index written by pandas) and a spreadsheet's
    cells to the right of its header.

    Raises `InputError`: there are no rows, a row's number of cells differs from the header's, two columns have the same
    name, or quotes are damaged.
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
        raise InputError(f"{file}: {'there is a header but there are no rows' if rows else 'the file is empty'}")
    names = [" ".join(name.lower().split()) for name in rows[0]]
    duplicates = [repr(name) for name, times in Counter(names).items() if name and times > 1]
    if duplicates:
        raise InputError(f"{file}, line {lines[0]}: several columns are called {some(duplicates)}")
    for row, line in zip(rows, lines, strict=True):
        if len(row) != len(names):
            raise InputError(f"{file}, line {line}: {len(row)} cells; the header has {len(names)} ({some(names, 12)})")
    cells = zip(*rows[1:], strict=True)
    columns = {name: column for name, column in zip(names, cells, strict=True) if name}
    return Table(file, columns, np.array(lines[1:], np.int64), delimiter != ",", notes)


def _rows(text: str, delimiter: str, file: Path) -> tuple[list[list[str]], list[int]]:
    """Non-empty rows with stripped cells, and the lines in which they end."""
    rows, lines = [], []
    strip = cache(_stripped)  # shares equal cells, because labels repeat
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
    """A cell without surrounding spaces; nan, as written by pandas, is empty."""
    cell = cell.strip()
    return "" if cell.lower() == "nan" else cell


def _number(cell: str) -> float:
    """A cell's number; infinity for anything else."""
    try:
        return float(cell)
    except ValueError:
        return np.inf


def is_spreadsheet(file: Path) -> bool:
    """Whether a file is a spreadsheet, by its name."""
    return file.suffix.lower() in (".xlsx", ".xlsm")


def _sheet_texts(file: Path) -> tuple[list[list[str]], list[int], tuple[str, ...]]:
    """Non-empty rows of the first sheet as texts, as wide as the first, their numbers, and notes on further sheets.

    Formulas are read as their stored values.
    """
    from openpyxl import load_workbook

    rows: list[list[str]] = []
    numbers = []
    try:
        with zipfile.ZipFile(file) as packed:
            size = sum(part.file_size for part in packed.infolist())
        if size > _MAX_BYTES:
            raise InputError(f"{file}: {size:,} bytes decompressed; expected a table of at most {_MAX_BYTES:,}")
        with warnings.catch_warnings(action="ignore"):  # about styles
            book = load_workbook(file, read_only=True, data_only=True, keep_links=False)
        with closing(book):
            sheet, others = book.worksheets[0], len(book.worksheets) - 1
            sheet.reset_dimensions()  # otherwise all rows are as wide as these claim
            for number, row in enumerate(sheet.iter_rows(max_row=_MAX_ROWS, values_only=True), start=1):
                cells = [_text(cell) for cell in row[: len(rows[0]) if rows else None]]
                while cells and not cells[-1]:
                    cells.pop()
                if cells:
                    rows.append(cells + [""] * (len(rows[0]) - len(cells) if rows else 0))
                    numbers.append(number)
                    if len(rows) * len(rows[0]) > _MAX_CELLS:
                        raise InputError(f"{file}: more than {_MAX_CELLS:,} cells; expected a smaller table")
    except InputError:
        raise
    except Exception as error:  # openpyxl propagates errors of zip, XML and its own parsing
        raise InputError(f"{file}: not a readable xlsx file ({type(error).__name__}: {error})") from None
    return rows, numbers, (f"{file}: read its first sheet, {sheet.title!r}, of {others + 1}",) if others else ()


def _text(cell: Any) -> str:
    """A cell as in a CSV file."""
    if cell is None:
        return ""
    if isinstance(cell, bool):
        return str(int(cell))
    if isinstance(cell, float):
        return str(int(cell)) if cell.is_integer() else repr(cell)
    return _stripped(str(cell))
