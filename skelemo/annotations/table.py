"""Label tables: CSV or xlsx with a header, one row per video, interval or frame."""

import re
from collections import Counter
from collections.abc import Collection, Sequence
from dataclasses import replace
from difflib import get_close_matches
from pathlib import Path

import numpy as np

from skelemo.annotations.class_names import Words, class_head
from skelemo.annotations.csv_table import Table, is_spreadsheet, read_table
from skelemo.annotations.intervals import Intervals, spread
from skelemo.annotations.lists import is_list, read_lists
from skelemo.annotations.options import Options
from skelemo.annotations.registry import Annotation, Annotations, Recordings, reader
from skelemo.annotations.table_groups import groups, of_groups, read_splits, rows_of_groups
from skelemo.annotations.table_times import Times, read_times
from skelemo.errors import InputError
from skelemo.targets import AU, VA, Head
from skelemo.text import some

_COLUMNS = ("video", "frame", "start", "end", "unit", "person", "subject", "split", "label", "valence", "arousal")
#: Other names of the column ``video``.
_VIDEO = ("video_name", "video name", "videoname", "filename", "file_name", "file name", "file", "path", "clip",
          "clip_name", "recording", "sequence")  # fmt: skip
#: Name of an action unit's column, and range in the header of a column of values.
_UNIT, _RANGE = re.compile(r"au\d{1,2}"), re.compile(r"\[\s*(-?[\d.]+)\s*:\s*(-?[\d.]+)\s*\]\s*$")
#: Largest number of different words in a column of classes.
_MAX_WORDS = 50
#: Number of rows from which valence or arousal is unlikely to be never negative.
_MANY = 20

#: Heads with their labels by row.
_Heads = list[tuple[Head, np.ndarray]]


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

    video : name or path of the video in any spelling (`match`); also called clip, file, path, ….
    frame, or start and end : OpenPose's frame numbers, start and end included; without them, or if they are empty, the
        row labels the whole video. Start and end may be times (`read_times`).
    label : word or number; empty or -1 is unlabeled.
    valence, arousal : in [-1, 1], or from LOW to HIGH of ``va_scale`` or ``valence[LOW:HIGH]``; both or none.
    AU1, AU2, … : action units, 0 or 1; empty or -1 is unlabeled.
    person : left, right, the number of a track, or empty for the person selected by ``--person``.
    subject : identity of the person. split : train, validation or test; other columns of such words are splits too.

    Every other column is a separate head: of values if all its cells are numbers, with their minimum and maximum as
    range (or ``NAME[LOW:HIGH]`` in the header); of classes if it repeats a few words. A note lists unused columns.

    If ``path`` is a folder, its ``labels.csv`` or only CSV, TSV or xlsx file is read.

    Raises `InputError`: a cell is invalid, or two rows contradict each other.
    """
    file = _table_file(path)
    if not is_spreadsheet(file) and is_list(file):
        return read_lists([file], file, words)
    table = _rename_video_column(read_table(file))
    _check_columns(table)
    table.refuse("video", np.array([not video for video in table.texts("video")]), "the name of a video")
    splits = read_splits(table, _COLUMNS)
    keys, group = groups(table)
    subjects = of_groups(table, "subject", table.texts("subject"), group)
    subsets = {name: of_groups(table, name, words, group) for name, words in splits.items()}
    times, rows_of = read_times(table, unit), rows_of_groups(group)
    notes = [*table.notes, *times.notes]
    options = Options(words or Words(), unit, va_scale)
    heads = _known_heads(table, options, notes)
    extra = _extra_heads(table, options, times, {*splits}, notes)
    heads += _without_contradictions(extra, table, times, keys, rows_of, notes)
    if not heads:
        raise InputError(f"{table.file}: no column has labels; columns are {', '.join(table.columns)}")
    intervals = _intervals(times, {head.name: values for head, values in heads}, table)
    items = []
    for at, ((video, person), rows) in enumerate(zip(keys, rows_of, strict=True)):
        number, last, labels = spread(intervals[rows], f"{table.file}: {video!r}")
        items.append(
            Annotation(
                video=video,
                person=person,
                subject=subjects[at],
                splits={name: by_group[at] for name, by_group in subsets.items() if by_group[at]},
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


def _without_contradictions(
    heads: _Heads,
    table: Table,
    times: Times,
    keys: Sequence[tuple[str, str]],
    rows_of: Sequence[np.ndarray],
    notes: list[str],
) -> _Heads:
    """The heads without contradicting rows; the others are noted."""
    kept: _Heads = []
    for head, values in heads:
        intervals = _intervals(times, {head.name: values}, table)
        try:
            for (video, _), rows in zip(keys, rows_of, strict=True):
                spread(intervals[rows], repr(video))
        except InputError as error:
            notes.append(f"{table.file}: column {head.name!r} is ignored, because rows contradict each other ({error})")
        else:
            kept.append((head, values))
    return kept


def _table_file(path: Path) -> Path:
    if path.is_file():
        return path
    found = (file for pattern in ("*.csv", "*.tsv", "*.xlsx") for file in path.glob(pattern))
    tables = sorted(file for file in found if not file.name.startswith(("~$", ".")))
    chosen = [file for file in tables if file.stem.lower() == "labels"] or tables
    if len(chosen) != 1:
        number = f"{len(chosen)} ({some([file.name for file in chosen])})" if chosen else "none"
        raise InputError(
            f"{path}: expected one CSV, TSV or xlsx file, found {number}; give its path as table:PATH (or list:PATH "
            "for train and test lists)"
        )
    return chosen[0]


def _rename_video_column(table: Table) -> Table:
    names = [name for name in _VIDEO if name in table.columns]
    if "video" in table.columns or len(names) != 1:
        return table
    return replace(table, columns={"video" if name in names else name: cells for name, cells in table.columns.items()})


def _check_columns(table: Table) -> None:
    found = ", ".join(table.columns)
    if "video" not in table.columns:
        near = get_close_matches("video", table.columns, n=1)
        hint = f"; is it {near[0]!r}?" if near else ""
        raise InputError(f"{table.file}: no column 'video' among {found}{hint}")
    va = {"valence", "arousal"}
    if len(missing := va - {_RANGE.sub("", name).strip() for name in table.columns}) == 1:
        (existing,) = va - missing
        raise InputError(f"{table.file}: column {existing!r} needs column {missing.pop()!r}; columns are {found}")


def _known_heads(table: Table, options: Options, notes: list[str]) -> _Heads:
    """Heads of the columns with a defined meaning."""
    heads = []
    if "label" in table.columns:
        heads += _class_column(table, "label", options.words, notes)
    if columns := _va_columns(table):
        heads.append((VA, _valence_arousal(table, columns, options.va_scale, notes)))
    elif options.va_scale:
        raise InputError(f"{table.file}: --va-scale needs columns valence and arousal")
    units = [name for name in table.columns if _UNIT.fullmatch(name)]
    if units:
        flags = np.stack([table.numbers(name) for name in units], 1)
        for name, column in zip(units, flags.T, strict=True):
            table.refuse(name, ~(np.isnan(column) | np.isin(column, (-1, 0, 1))), "0, 1, or -1 or empty for unlabeled")
        head = Head(AU.name, "flags", tuple(name.upper() for name in units))
        heads.append((head, np.where(np.isnan(flags), -1, flags).astype(np.int8)))
    return heads


def _extra_heads(table: Table, options: Options, times: Times, splits: Collection[str], notes: list[str]) -> _Heads:
    """A head for every other column of numbers or of a few words."""
    heads: _Heads = []
    unused = []
    for name in table.columns:
        if name in (*_COLUMNS, *splits, *_va_columns(table), *times.columns) or _UNIT.fullmatch(name):
            continue
        words = [word for word in table.texts(name) if word]
        head_name = re.sub(r"[^\w-]+", "_", _RANGE.sub("", name)).strip("_")
        if not words or not head_name or any(head.name == head_name for head, _ in heads):
            unused.append(name)
        elif (found := _value_column(table, name, head_name)) is not None:
            heads += found
            unused += [] if found else [name]
        elif len(set(words)) <= min(_MAX_WORDS, len(words) / 2):
            given = options.words if "label" not in table.columns else replace(options.words, classes=())
            heads += _class_column(table, name, given, notes, head_name)
        else:
            unused.append(name)
    if unused:
        notes.append(f"{table.file}: columns not used: {', '.join(unused)}")
    classes = [head.name for head, _ in heads if head.kind == "classes"]
    if options.words.classes and "label" not in table.columns and len(classes) != 1:
        others = some(classes, 12) if classes else "none"
        raise InputError(f"{table.file}: --classes needs a column label or one other column of words, found {others}")
    return heads


def _value_column(table: Table, name: str, head_name: str) -> _Heads | None:
    """A head of one value; empty for a constant column, None if a cell is not a number."""
    try:
        numbers = table.numbers(name)
    except InputError:
        return None
    given = _RANGE.search(name)
    low, high = (float(given[1]), float(given[2])) if given else (float(np.nanmin(numbers)), float(np.nanmax(numbers)))
    table.refuse(name, (numbers < low) | (numbers > high), f"a number in [{low:g}, {high:g}]")
    if low >= high:
        return []
    return [(Head(head_name, "values", (head_name,), low, high), numbers.astype(np.float32)[:, None])]


def _class_column(table: Table, name: str, given: Words, notes: list[str], head_name: str = "label") -> _Heads:
    """A head of classes from the words of a column; none if the column is empty."""
    words = table.texts(name)
    spelling = _as_numbers(set(words)) or {word: word for word in set(words)}
    rows = Counter(spelling[word] for word in words if word and spelling[word] != "-1")
    if not rows:
        notes.append(f"{table.file}: column {name!r} is empty")
        return []
    first = {spelling[word]: int(line) for word, line in zip(reversed(words), table.lines[::-1], strict=True)}
    head, index, more = class_head(rows, table.file, head_name, given, lines=first)
    notes += more
    if head_name != "label":
        head = replace(head, name=head_name)
    indices = {word: index.get(spelling[word], -1) for word in spelling}
    if unlabeled := sum(spelling[word] == "-1" for word in words):
        notes.append(f"{table.file}: rows with {name} -1, read as unlabeled: {unlabeled}")
    return [(head, np.array([indices[word] for word in words], np.int16))]


def _as_numbers(words: set[str]) -> dict[str, str]:
    """Integers in canonical form (a spreadsheet's 3.0 is 3); empty if any word is not an integer."""
    spelling = {}
    for word in words:
        whole, _, rest = word.partition(".")
        if word and not (whole.removeprefix("-").isdecimal() and whole.isascii() and not rest.strip("0")):
            return {}
        spelling[word] = str(int(whole)) if len(whole) < 20 and whole else whole
    return spelling


def _va_columns(table: Table) -> list[str]:
    """Names of the columns of valence and arousal, which may contain their range."""
    names = {_RANGE.sub("", name).strip(): name for name in table.columns}
    return [names[name] for name in ("valence", "arousal") if name in names]


def _valence_arousal(
    table: Table, columns: list[str], scale: tuple[float, float] | None, notes: list[str]
) -> np.ndarray:
    """Valence and arousal ``[R, 2]`` in [-1, 1], rescaled from the user's scale or the header's."""
    values = []
    for name in columns:
        header, numbers = _RANGE.search(name), table.numbers(name)
        low, high = scale or ((float(header[1]), float(header[2])) if header else (-1.0, 1.0))
        remedy = "" if scale or header else "; give another scale with --va-scale LOW:HIGH, as in 1:9"
        wrong = (numbers < low) | (numbers > high)
        table.refuse(name, wrong, f"a number in [{low:g}, {high:g}], or empty for unlabeled{remedy}")
        values.append((numbers - low) / (high - low) * 2 - 1 if scale or header else numbers)
        if not (scale or header) and len(numbers) >= _MANY and np.nanmin(np.append(numbers, 1)) >= 0:
            notes.append(f"{table.file}: {name} is never negative (use --va-scale 0:1 if its scale is 0 to 1)")
    valence, arousal = values
    table.refuse(columns[1], np.isnan(valence) != np.isnan(arousal), "valence and arousal, both or none")
    return np.stack(values, 1).astype(np.float32)
