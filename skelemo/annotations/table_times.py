"""Reads the frames or times of the rows of a label table."""

import re
from dataclasses import dataclass, replace
from typing import Literal

import numpy as np

from skelemo.annotations.csv_table import Table
from skelemo.annotations.options import UNITS
from skelemo.annotations.timing import TICKS
from skelemo.errors import InputError

_MAX_FRAMES = 10_000_000  # 92 hours at 30 frames/s
_MAX_SECONDS = 1_000_000
_UNIT_OF = {word: unit for unit, words in UNITS.items() for word in words}
_CLOCK = re.compile(r"(?:[0-9]{1,4}:)?[0-9]{1,4}:[0-9]{1,2}(?:[.,][0-9]{1,9})?")
_NAMED = re.compile(r"(?P<name>start|end)(?:[ _]+time)?[ _]*[(\[_ ](?P<unit>[a-z]+)[)\]]?")


@dataclass(frozen=True)
class Times:
    """First and last frame or microsecond of each row, int64 ``[R]``; -1 for the whole video."""

    start: np.ndarray
    end: np.ndarray
    unit: Literal["frames", "microseconds", "unknown"] = "frames"
    notes: tuple[str, ...] = ()
    columns: tuple[str, ...] = ("start", "end")

    @property
    def ticks(self) -> int:
        """Units per frame or second."""
        return TICKS if self.unit == "microseconds" else 1

    @property
    def dtype(self) -> type:
        """Type of numbers in an annotation."""
        return np.int64 if self.unit == "microseconds" else np.int32


def read_times(table: Table, unit: str) -> Times:
    """Read columns ``frame``, or ``start`` and ``end``.

    Starts and ends are in the given unit, or else that of a column ``unit`` or of the header, as in ``start_ms`` or
    ``start (s)``; or else in seconds if any has decimals, or is a time such as ``00:01:02.5``. An end in frames is
    inclusive, an end in time exclusive. The unit of integers remains ``unknown`` until they are compared with the
    recordings.

    Raises `InputError`: a cell is not a valid number, an end is before its start, one of the two is missing, or units
    differ.
    """
    start_name, end_name, header = _columns(table)
    unit = _unit(table, header, unit)
    table, unit = _without_clock(table, (start_name, end_name), unit)
    start, end = table.numbers(start_name), table.numbers(end_name)
    table.refuse(end_name, np.isnan(start) != np.isnan(end), "start and end, both or none")
    frame = _whole(table, "frame")
    table.refuse("frame", (frame >= 0) & ~np.isnan(start), "a frame or start and end, not both")
    notes: tuple[str, ...] = ()
    if unit == "auto":
        given = np.concatenate([start, end])
        fractions = (given != np.floor(given)) & ~np.isnan(given)
        unit = "seconds" if fractions.any() else "unknown" if not np.isnan(given).all() else "frames"
        if unit == "seconds":
            notes = (f"{table.file}: start and end have decimals and are read as seconds (override with --unit)",)
    if unit in ("frames", "unknown"):
        start, end = _whole(table, start_name), _whole(table, end_name)
        table.refuse(end_name, end < start, "an end that is not before the start (both are included)")
        first, last = np.where(frame >= 0, frame, start), np.where(frame >= 0, frame, end)
        return Times(first, last, "unknown" if unit == "unknown" else "frames", columns=(start_name, end_name))
    table.refuse("frame", frame >= 0, f"no frame: start and end of this table are {unit}")
    seconds = 1000.0 if unit == "milliseconds" else 1.0
    for name, values in ((start_name, start), (end_name, end)):
        wrong = (values < 0) | (values / seconds > _MAX_SECONDS)
        table.refuse(name, wrong, f"{unit}, from 0 to {_MAX_SECONDS * seconds:,.0f}")
    table.refuse(end_name, end <= start, "an end after the start")
    first, last = (np.rint(np.where(np.isnan(values), -1, values * (TICKS / seconds))) for values in (start, end))
    first, last = (np.where(np.isnan(start), -1, times).astype(np.int64) for times in (first, last - 1))
    return Times(first, last, "microseconds", notes, (start_name, end_name))


def _columns(table: Table) -> tuple[str, str, str]:
    """Names of the columns of starts and ends, and the unit in them."""
    named = {name: found for name in table.columns if (found := _NAMED.fullmatch(name)) and found["unit"] in _UNIT_OF}
    names, units = {}, set()
    for kind in ("start", "end"):
        columns = [name for name in table.columns if name == kind or (name in named and named[name]["name"] == kind)]
        if len(columns) > 1:
            raise InputError(f"{table.file}: several columns of {kind}: {', '.join(columns)}; expected one")
        names[kind] = columns[0] if columns else kind
        if columns:
            units.add(_UNIT_OF[named[columns[0]]["unit"]] if columns[0] in named else "")
    for kind, other in (("start", "end"), ("end", "start")):
        if names[kind] in table.columns and names[other] not in table.columns:
            raise InputError(
                f"{table.file}: column {names[kind]!r} needs column {other!r}; columns are {', '.join(table.columns)}"
            )
    if len(units) > 1:
        raise InputError(f"{table.file}: columns {names['start']!r} and {names['end']!r} have different units")
    return names["start"], names["end"], units.pop() if units else ""


def _unit(table: Table, header: str, unit: str) -> str:
    """The unit of all rows, ``auto`` if unspecified."""
    column = {word: _UNIT_OF.get(word.lower(), "") for word in dict.fromkeys(table.texts("unit")) if word}
    for word, meaning in column.items():
        if not meaning:
            raise table.refusal("unit", table.texts("unit").index(word), f"{', '.join(UNITS)} or empty")
    found = dict.fromkeys([*column.values(), *([header] if header else [])])
    if len(found) > 1:
        raise InputError(f"{table.file}: starts and ends are in {' and in '.join(found)}; expected one unit in a table")
    own = next(iter(found), "auto")
    if "auto" not in (unit, own) and unit != own:
        raise InputError(f"{table.file}: starts and ends are in {own}, which contradicts --unit {unit}")
    return own if unit == "auto" else unit


def _without_clock(table: Table, names: tuple[str, str], unit: str) -> tuple[Table, str]:
    """Convert times such as ``1:02.5`` to seconds."""
    if not any(":" in cell for name in names for cell in table.texts(name)):
        return table, unit
    if unit not in ("auto", "seconds"):
        raise InputError(f"{table.file}: {names[0]} and {names[1]} are hours:minutes:seconds, but the unit is {unit}")
    columns = dict(table.columns)
    for name in names:
        wrong = np.array([bool(cell) and not _CLOCK.fullmatch(cell) for cell in table.texts(name)])
        table.refuse(name, wrong, "hours:minutes:seconds, as in 00:01:02.5, in every row")
        columns[name] = [_seconds(cell) for cell in table.texts(name)]
    return replace(table, columns=columns), "seconds"


def _seconds(clock: str) -> str:
    if not clock:
        return ""
    *above, seconds = clock.replace(",", ".").split(":")
    minutes = sum(int(number) * 60**power for power, number in enumerate(reversed(above)))
    return f"{minutes * 60 + float(seconds):.6f}"


def _whole(table: Table, name: str) -> np.ndarray:
    numbers = table.numbers(name)
    wrong = ~np.isnan(numbers) & ~((numbers >= 0) & (numbers < _MAX_FRAMES) & (numbers == np.floor(numbers)))
    table.refuse(name, wrong, f"a frame number, an integer from 0 to {_MAX_FRAMES - 1:,}")
    return np.where(np.isnan(numbers), -1, numbers).astype(np.int64)
