"""A user's own label table: CSV with a header, one row per video, interval of frames or frame."""

import re
from collections.abc import Collection, Sequence
from dataclasses import replace
from difflib import get_close_matches
from pathlib import Path

import numpy as np

from skelemo.annotations.class_names import class_head
from skelemo.annotations.csv_table import Table, read_table
from skelemo.annotations.files import some
from skelemo.annotations.intervals import Intervals, spread
from skelemo.annotations.registry import SUBSETS, Annotation, Annotations, Recordings, reader
from skelemo.errors import InputError
from skelemo.targets import AU, VA, Head

_COLUMNS = ("video", "frame", "start", "end", "person", "subject", "split", "label", "valence", "arousal")
#: An action unit's column, and the range of a column of values in its header.
_UNIT, _RANGE = re.compile(r"au\d{1,2}"), re.compile(r"\[\s*(-?[\d.]+)\s*:\s*(-?[\d.]+)\s*\]\s*$")
#: Different words of a column that is taken for classes.
_MOST_WORDS = 50
_MOST_FRAMES = 10_000_000  # 92 hours at 30 frames/s


@reader("table", labels="CSV or TSV with columns video, label and/or valence and arousal; frame or start and end; more")
def read_table_labels(path: Path, source: Path, recordings: Recordings) -> Annotations:
    """Read a table with these columns, in any order and case.

    video : name of the video, with or without a video file's ending, or the recording's path below the ingested folder.
    frame, or start and end : OpenPose's frame numbers that the row is for, start and end included; without them, or
        where they are empty, the row is for the whole video.
    label : word or number; empty or -1 is unlabeled.
    valence, arousal : in [-1, 1], both or none.
    AU1, AU2, … : action units, 0 or 1; empty or -1 is unlabeled.
    person : left, right, the number of a track, or empty for whomever ``--person`` chooses.
    subject : who is visible. split : train, validation or test. Other columns that hold only such words are splits too.

    Every other column is a head of its own: of values where all its cells are numbers, with their least and greatest
    as range (or ``NAME[LOW:HIGH]`` in the header); of classes where it repeats a few words. Columns that are neither
    are named in a note.

    A folder for ``path`` means its ``labels.csv``, or the only CSV or TSV file that lies directly in it.

    Raises
    ------
    InputError
        A cell is not what its column holds, or two rows contradict each other; the message names the lines.
    """
    table = read_table(_table_file(path))
    _check_columns(table)
    table.refuse("video", np.array([not video for video in table.texts("video")]), "the name of a video")
    splits = _splits(table)
    keys, group = _groups(table)
    subjects = _of_groups(table, "subject", table.texts("subject"), group)
    subsets = {name: _of_groups(table, name, words, group) for name, words in splits.items()}
    notes: list[str] = []
    known = _known_heads(table, notes)
    extra = _extra_heads(table, {*splits}, notes)
    start, end = _frames(table)
    rows_of = list(_rows_of_groups(group))
    for head, values in list(extra):
        if clash := _contradiction(Intervals(start, end, {head.name: values}, table.lines), keys, rows_of):
            notes.append(
                f"{table.file}: column {head.name!r} is not used, since its rows contradict each other ({clash})"
            )
            extra.remove((head, values))
    heads = [*known, *extra]
    if not heads:
        raise InputError(f"{table.file}: no column holds labels; columns are {', '.join(table.columns)}")
    intervals = Intervals(start, end, {head.name: values for head, values in heads}, table.lines)
    items = []
    for at, ((video, person), rows) in enumerate(zip(keys, rows_of, strict=True)):
        number, last, labels = spread(intervals[rows], f"{table.file}: {video!r}")
        items.append(
            Annotation(
                video=video,
                person=person,
                subject=subjects[at],
                splits={name: of_groups[at] for name, of_groups in subsets.items() if of_groups[at]},
                number=number,
                end=last,
                labels=labels,
                source=str(table.file),
            )
        )
    return Annotations(tuple(head for head, _ in heads), tuple(items), tuple(notes))


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
    tables = sorted(file for pattern in ("*.csv", "*.tsv") for file in path.glob(pattern))
    chosen = [file for file in tables if file.stem.lower() == "labels"] or tables
    if len(chosen) != 1:
        found = f"{len(chosen)} of them ({some([file.name for file in chosen])})" if chosen else "none"
        raise InputError(f"{path}: expected one CSV or TSV file, found {found}; give its path as table:PATH")
    return chosen[0]


def _check_columns(table: Table) -> None:
    found = ", ".join(table.columns)
    if "video" not in table.columns:
        near = get_close_matches("video", table.columns, n=1)
        hint = f"; is it {near[0]!r}?" if near else ""
        raise InputError(f"{table.file}: there is no column 'video' among {found}{hint}")
    for one, other in (("start", "end"), ("valence", "arousal")):
        if (one in table.columns) != (other in table.columns):
            there, missing = (one, other) if one in table.columns else (other, one)
            raise InputError(f"{table.file}: column {there!r} needs column {missing!r} beside it; columns are {found}")


def _known_heads(table: Table, notes: list[str]) -> list[tuple[Head, np.ndarray]]:
    """Heads of the columns with a meaning, and their labels by row."""
    heads = []
    if "label" in table.columns:
        heads += _class_column(table, "label", notes)
    if "valence" in table.columns:
        heads.append((VA, _valence_arousal(table)))
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


def _extra_heads(table: Table, splits: Collection[str], notes: list[str]) -> list[tuple[Head, np.ndarray]]:
    """A head for every other column that holds numbers or a few words."""
    heads: list[tuple[Head, np.ndarray]] = []
    unused = []
    for name in table.columns:
        if name in (*_COLUMNS, *splits) or _UNIT.fullmatch(name):
            continue
        words = [word for word in table.texts(name) if word]
        own = re.sub(r"[^\w-]+", "_", _RANGE.sub("", name)).strip("_")
        if not words or not own or any(head.name == own for head, _ in heads):
            unused.append(name)
        elif (found := _value_column(table, name, own)) is not None:
            heads += found
        elif len(set(words)) <= min(_MOST_WORDS, len(words) / 2):
            heads += _class_column(table, name, notes, own)
        else:
            unused.append(name)
    if unused:
        notes.append(f"{table.file}: columns not used: {', '.join(unused)}")
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


def _class_column(table: Table, name: str, notes: list[str], own: str = "label") -> list[tuple[Head, np.ndarray]]:
    """A head of classes from the words of a column; none where the column is empty."""
    words = table.texts(name)
    spelling = _as_numbers(set(words)) or {word: word for word in set(words)}
    named = {spelling[word] for word in words if word} - {"-1"}
    if not named:
        notes.append(f"{table.file}: column {name!r} is empty")
        return []
    head, index = class_head(named, table.file, own)
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


def _splits(table: Table) -> dict[str, list[str]]:
    """Subsets by row of column ``split`` and of every other column that holds only such words."""
    splits = {}
    for name in table.columns:
        words = {word: SUBSETS.get(word.casefold(), "") for word in set(table.texts(name))}
        wrong = [word for word, subset in words.items() if word and not subset]
        if name == "split" and wrong:
            row = min(map(table.texts("split").index, wrong))
            raise table.refusal("split", row, "train, validation, test or empty")
        if name == "split" or (name not in _COLUMNS and not wrong and any(words)):
            splits[name] = [words[word] for word in table.texts(name)]
    return splits


def _frames(table: Table) -> tuple[np.ndarray, np.ndarray]:
    """First and last frame of each row, int64; -1 for the whole video."""
    frame, start, end = (_frame_numbers(table, name) for name in ("frame", "start", "end"))
    table.refuse("end", (start >= 0) != (end >= 0), "start and end, both or none")
    table.refuse("end", end < start, "an end that is not before the start (both are included)")
    table.refuse("frame", (frame >= 0) & (start >= 0), "a frame or start and end, not both")
    return np.where(frame >= 0, frame, start), np.where(frame >= 0, frame, end)


def _frame_numbers(table: Table, name: str) -> np.ndarray:
    numbers = table.numbers(name)
    wrong = ~np.isnan(numbers) & ~((numbers >= 0) & (numbers < _MOST_FRAMES) & (numbers == np.floor(numbers)))
    table.refuse(name, wrong, f"a frame's number, whole and from 0 to {_MOST_FRAMES - 1:,}")
    return np.where(np.isnan(numbers), -1, numbers).astype(np.int64)


def _valence_arousal(table: Table) -> np.ndarray:
    valence, arousal = table.numbers("valence"), table.numbers("arousal")
    for name, numbers in (("valence", valence), ("arousal", arousal)):
        table.refuse(name, np.abs(numbers) > 1, "a number in [-1, 1], or nothing where unlabeled")
    table.refuse("arousal", np.isnan(valence) != np.isnan(arousal), "valence and arousal, both or none")
    return np.stack([valence, arousal], 1).astype(np.float32)


def _persons(table: Table) -> list[str]:
    words = {word: word.lower() for word in dict.fromkeys(table.texts("person"))}
    for word, person in words.items():
        if person.isascii() and person.isdigit():
            words[word] = person.lstrip("0") or "0"
        elif person not in ("", "left", "right"):
            row = table.texts("person").index(word)
            raise table.refusal("person", row, "left, right, the number of a track, or nothing")
    return [words[word] for word in table.texts("person")]


def _groups(table: Table) -> tuple[list[tuple[str, str]], np.ndarray]:
    """The videos and persons in the order in which they first appear, and which of them each row is for [R]."""
    places = {video: video.replace("\\", "/").removeprefix("./") for video in set(table.texts("video"))}
    index: dict[tuple[str, str], int] = {}
    rows = zip(table.texts("video"), _persons(table), strict=True)
    group = np.array([index.setdefault((places[video], person), len(index)) for video, person in rows])
    return list(index), group


def _rows_of_groups(group: np.ndarray) -> list[np.ndarray]:
    order = np.argsort(group, kind="stable")
    return np.split(order, np.cumsum(np.bincount(group))[:-1])


def _of_groups(table: Table, name: str, words: Sequence[str], group: np.ndarray) -> list[str]:
    """For each video and person the one word that its rows have in a column, "" where they have none."""
    index = {"": 0}
    code = np.array([index.setdefault(word, len(index)) for word in words])
    chosen = np.zeros(group.max() + 1, np.int64)
    np.maximum.at(chosen, group, code)
    differs = (code > 0) & (code != chosen[group])
    if differs.any():
        one = int(differs.argmax())
        other = int(((group == group[one]) & (code == chosen[group[one]])).argmax())
        one, other = sorted((one, other))
        raise InputError(
            f"{table.file}, lines {table.lines[one]} and {table.lines[other]}: {name} is {words[one]!r} and "
            f"{words[other]!r} for the same video and person; expected one"
        )
    vocabulary = list(index)
    return [vocabulary[at] for at in chosen]
