"""A CSV file or a spreadsheet as columns of cells, with the line that each row stands in."""

import csv
import io
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import cache
from pathlib import Path

import numpy as np

from skelemo.annotations.files import read_text, some
from skelemo.annotations.spreadsheet import is_spreadsheet, sheet_texts
from skelemo.errors import InputError

_DELIMITERS = ",;\t"


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
        delimiter, (rows, lines, notes) = ",", sheet_texts(file)
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
