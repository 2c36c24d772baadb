"""A user's own label table: CSV or xlsx with a header, one row per video, interval or frame."""

import re
from collections import Counter
from collections.abc import Collection, Sequence
from dataclasses import dataclass, replace
from difflib import get_close_matches
from pathlib import Path

import numpy as np

from skelemo.annotations.class_names import Words, class_head
from skelemo.annotations.csv_table import Table, is_spreadsheet, read_table
from skelemo.annotations.files import some
from skelemo.annotations.intervals import Intervals, spread
from skelemo.annotations.lists import is_list, read_lists
from skelemo.annotations.registry import Annotation, Annotations, Recordings, reader
from skelemo.annotations.table_groups import groups, of_groups, read_splits, rows_of_groups
from skelemo.annotations.table_times import Times, read_times
from skelemo.errors import InputError
from skelemo.targets import AU, VA, Head

_COLUMNS = ("video", "frame", "start", "end", "unit", "person", "subject", "split", "label", "valence", "arousal")
#: What else the column ``video`` is called.
_VIDEO = ("video_name", "video name", "videoname", "filename", "file_name", "file name", "file", "path", "clip",
          "clip_name", "recording", "sequence")  # fmt: skip
#: An action unit's column, and the range of a column of values in its header.
_UNIT, _RANGE = re.compile(r"au\d{1,2}"), re.compile(r"\[\s*(-?[\d.]+)\s*:\s*(-?[\d.]+)\s*\]\s*$")
#: Different words of a column that is taken for classes.
_MOST_WORDS = 50
#: Rows whose valence or arousal would not all be positive by chance.
_MANY = 20


@dataclass(frozen=True)
class _How:
    """What the user says of the cells."""

    words: Words
    scale: tuple[float, float] | None


@reader(
    "table", labels="CSV, TSV or xlsx with columns video, label, valence and arousal, frame or start and end, and more"
)
def read_table_labels(
    path: Path,
    source: Path,
    recordings: Recordings,
    *,
    words: Words | None = None,
    unit: str = "auto",
    va_scale: tuple[float, float] | None = None,
) -> Annotations:
    """Read a table with these columns, in any order and case; a file without a header is read by `read_lists`.

    video : name of the video, or its path, however they are written (`match`). Also called clip, file, path, ….
    frame, or start and end : OpenPose's frame numbers that the row is for, start and end included; without them, or
        where they are empty, the row is for the whole video. Start and end may be times (`read_times`).
    label : word or number; empty or -1 is unlabeled.
    valence, arousal : in [-1, 1], or from LOW to HIGH of ``va_scale`` or ``valence[LOW:HIGH]``; both or none.
    AU1, AU2, … : action units, 0 or 1; empty or -1 is unlabeled.
    person : left, right, the number of a track, or empty for whomever ``--person`` chooses.
    subject : who is visible. split : train, validation or test. Other columns that hold only such words are splits too.

    Every other column is a head of its own: of values where all its cells are numbers, with their least and greatest
    as range (or ``NAME[LOW:HIGH]`` in the header); of classes where it repeats a few words. Columns that are neither
    are named in a note.

    A folder for ``path`` means its ``labels.csv``, or the only CSV, TSV or xlsx file that lies directly in it.

    Raises `InputError`: a cell is not what its column holds, or two rows contradict each other; the message names the
    lines.
    """
    file = _table_file(path)
    if not is_spreadsheet(file) and is_list(file):
        return read_lists([file], file, words)
    table, how = _with_plain_names(read_table(file)), _How(words or Words(), va_scale)
    notes = list(table.notes)
    _check_columns(table)
    table.refuse("video", np.array([not video for video in table.texts("video")]), "the name of a video")
    splits = read_splits(table, _COLUMNS)
    keys, group = groups(table)
    subjects = of_groups(table, "subject", table.texts("subject"), group)
    subsets = {name: of_groups(table, name, words, group) for name, words in splits.items()}
    times = read_times(table, unit)
    notes += times.notes
    known = _known_heads(table, how, notes)
    extra = _extra_heads(table, how, times, {*splits}, notes)
    rows_of = list(rows_of_groups(group))
    for head, values in list(extra):
        if clash := _contradiction(_intervals(times, {head.name: values}, table), keys, rows_of):
            notes.append(
                f"{table.file}: column {head.name!r} is not used, since its rows contradict each other ({clash})"
            )
            extra.remove((head, values))
    heads = [*known, *extra]
    if not heads:
        raise InputError(f"{table.file}: no column holds labels; columns are {', '.join(table.columns)}")
    intervals = _intervals(times, {head.name: values for head, values in heads}, table)
    items = []
    for at, ((video, person), rows) in enumerate(zip(keys, rows_of, strict=True)):
        number, last, labels = spread(intervals[rows], f"{table.file}: {video!r}")
        items.append(
            Annotation(
                video=video,
                person=person,
                subject=subjects[at],
                splits={name: of_groups[at] for name, of_groups in subsets.items() if of_groups[at]},
                number=number if number is None else number.astype(times.dtype),
                end=last if last is None else last.astype(times.dtype),
                unit=times.unit,
                labels=labels,
                source=str(table.file),
            )
        )
    return Annotations(tuple(head for head, _ in heads), tuple(items), tuple(notes))


def _intervals(times: Times, labels: dict[str, np.ndarray], table: Table) -> Intervals:
    remedy = " (--unit seconds if these are times)" if times.unit == "unknown" else ""
    return Intervals(times.start, times.end, labels, table.lines, times.ticks, remedy)


def _contradiction(intervals: Intervals, keys: Sequence[tuple[str, str]], rows_of: Sequence[np.ndarray]) -> str:
    """Why the rows of one head cannot all hold; empty if they can."""
    try:
        for (video, _), rows in zip(keys, rows_of, strict=True):
            spread(intervals[rows], repr(video))
    except InputError as error:
        return str(error)
    return ""


def _table_file(path: Path) -> Path:
    if path.is_file():
        return path
    found = (file for pattern in ("*.csv", "*.tsv", "*.xlsx") for file in path.glob(pattern))
    tables = sorted(file for file in found if not file.name.startswith(("~$", ".")))
    chosen = [file for file in tables if file.stem.lower() == "labels"] or tables
    if len(chosen) != 1:
        told = f"{len(chosen)} of them ({some([file.name for file in chosen])})" if chosen else "none"
        raise InputError(
            f"{path}: expected one CSV, TSV or xlsx file, found {told}; give its path as table:PATH (list:PATH reads "
            "train and test lists)"
        )
    return chosen[0]


def _with_plain_names(table: Table) -> Table:
    """The table with its videos in a column of that name."""
    also = [name for name in _VIDEO if name in table.columns]
    if "video" in table.columns or len(also) != 1:
        return table
    return replace(table, columns={"video" if name in also else name: cells for name, cells in table.columns.items()})


def _check_columns(table: Table) -> None:
    found = ", ".join(table.columns)
    if "video" not in table.columns:
        near = get_close_matches("video", table.columns, n=1)
        hint = f"; is it {near[0]!r}?" if near else ""
        raise InputError(f"{table.file}: there is no column 'video' among {found}{hint}")
    names = {_RANGE.sub("", name).strip() for name in table.columns}
    for one, other in (("valence", "arousal"),):
        if (one in names) != (other in names):
            there, missing = (one, other) if one in names else (other, one)
            raise InputError(f"{table.file}: column {there!r} needs column {missing!r} beside it; columns are {found}")


def _known_heads(table: Table, how: _How, notes: list[str]) -> list[tuple[Head, np.ndarray]]:
    """Heads of the columns with a meaning, and their labels by row."""
    heads = []
    if "label" in table.columns:
        heads += _class_column(table, "label", how.words, notes)
    if columns := _va_columns(table):
        heads.append((VA, _valence_arousal(table, columns, how.scale, notes)))
    elif how.scale:
        raise InputError(f"{table.file}: --va-scale is given, and there are no columns valence and arousal")
    units = [name for name in table.columns if _UNIT.fullmatch(name)]
    if units:
        flags = np.stack([table.numbers(name) for name in units], 1)
        for name, column in zip(units, flags.T, strict=True):
            table.refuse(
                name, ~(np.isnan(column) | np.isin(column, (-1, 0, 1))), "0, 1, or -1 or nothing for unlabeled"
            )
        head = Head(AU.name, "flags", tuple(name.upper() for name in units))
        heads.append((head, np.where(np.isnan(flags), -1, flags).astype(np.int8)))
    return heads


def _extra_heads(
    table: Table, how: _How, times: Times, splits: Collection[str], notes: list[str]
) -> list[tuple[Head, np.ndarray]]:
    """A head for every other column that holds numbers or a few words."""
    heads: list[tuple[Head, np.ndarray]] = []
    unused = []
    for name in table.columns:
        if name in (*_COLUMNS, *splits, *_va_columns(table), *times.columns) or _UNIT.fullmatch(name):
            continue
        words = [word for word in table.texts(name) if word]
        own = re.sub(r"[^\w-]+", "_", _RANGE.sub("", name)).strip("_")
        if not words or not own or any(head.name == own for head, _ in heads):
            unused.append(name)
        elif (found := _value_column(table, name, own)) is not None:
            heads += found
        elif len(set(words)) <= min(_MOST_WORDS, len(words) / 2):
            said = how.words if "label" not in table.columns else replace(how.words, classes=())
            heads += _class_column(table, name, said, notes, own)
        else:
            unused.append(name)
    if unused:
        notes.append(f"{table.file}: columns not used: {', '.join(unused)}")
    of_words = [head.name for head, _ in heads if head.kind == "classes"]
    if how.words.classes and "label" not in table.columns and len(of_words) != 1:
        others = some(of_words, 12) if of_words else "none"
        raise InputError(f"{table.file}: --classes is for column label; there is none, and of other words {others}")
    return heads


def _value_column(table: Table, name: str, own: str) -> list[tuple[Head, np.ndarray]] | None:
    """A head of one value; none of a constant column, None where a cell is no number."""
    try:
        numbers = table.numbers(name)
    except InputError:
        return None
    given = _RANGE.search(name)
    low, high = (float(given[1]), float(given[2])) if given else (float(np.nanmin(numbers)), float(np.nanmax(numbers)))
    table.refuse(name, (numbers < low) | (numbers > high), f"a number in [{low:g}, {high:g}]")
    return [(Head(own, "values", (own,), low, high), numbers.astype(np.float32)[:, None])] if low < high else []


def _class_column(
    table: Table, name: str, said: Words, notes: list[str], own: str = "label"
) -> list[tuple[Head, np.ndarray]]:
    """A head of classes from the words of a column; none where the column is empty."""
    words = table.texts(name)
    spelling = _as_numbers(set(words)) or {word: word for word in set(words)}
    rows = Counter(spelling[word] for word in words if word and spelling[word] != "-1")
    if not rows:
        notes.append(f"{table.file}: column {name!r} is empty")
        return []
    first = {spelling[word]: int(line) for word, line in zip(reversed(words), table.lines[::-1], strict=True)}
    head, index, told = class_head(rows, table.file, own, said, lines=first)
    notes += told
    if own != "label":
        head = replace(head, name=own)
    indices = {word: index.get(spelling[word], -1) for word in spelling}
    if none := sum(spelling[word] == "-1" for word in words):
        notes.append(f"{table.file}: rows with {name} -1, taken as unlabeled: {none}")
    return [(head, np.array([indices[word] for word in words], np.int16))]


def _as_numbers(words: set[str]) -> dict[str, str]:
    """Whole numbers without zeros before or after them (a spreadsheet's 3.0 is 3); nothing if any word is not one."""
    spelling = {}
    for word in words:
        whole, _, rest = word.partition(".")
        if word and not (whole.removeprefix("-").isdecimal() and whole.isascii() and not rest.strip("0")):
            return {}
        spelling[word] = str(int(whole)) if len(whole) < 20 and whole else whole
    return spelling


def _va_columns(table: Table) -> list[str]:
    """The columns of valence and arousal, which may have their range in the header."""
    names = {_RANGE.sub("", name).strip(): name for name in table.columns}
    return [names[name] for name in ("valence", "arousal") if name in names]


def _valence_arousal(
    table: Table, columns: list[str], scale: tuple[float, float] | None, notes: list[str]
) -> np.ndarray:
    """Valence and arousal ``[R, 2]`` in [-1, 1], from the user's scale or that of the header."""
    values = []
    for name in columns:
        header, numbers = _RANGE.search(name), table.numbers(name)
        low, high = scale or ((float(header[1]), float(header[2])) if header else (-1.0, 1.0))
        remedy = "" if scale or header else "; --va-scale LOW:HIGH if they are on another scale, as in 1:9"
        wrong = (numbers < low) | (numbers > high)
        table.refuse(name, wrong, f"a number in [{low:g}, {high:g}], or nothing where unlabeled{remedy}")
        values.append((numbers - low) / (high - low) * 2 - 1 if scale or header else numbers)
        if not (scale or header) and len(numbers) >= _MANY and np.nanmin(np.append(numbers, 1)) >= 0:
            notes.append(f"{table.file}: {name} is never below 0 (if it is on a scale from 0 to 1: --va-scale 0:1)")
    valence, arousal = values
    table.refuse(columns[1], np.isnan(valence) != np.isnan(arousal), "valence and arousal, both or none")
    return np.stack(values, 1).astype(np.float32)
