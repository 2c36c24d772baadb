"""Lists of videos with labels, without a header: one line per video.

``path label`` (FERV39k, MAFW) or ``path frames label`` (lists of frame folders, such as DFER-CLIP's), separated by
spaces, tabs or commas. Names of files and folders give the subset and fold: ``train_All.csv``, ``set_1/test.txt``,
``DFEW_set_1_train.txt``, ``single_testset_1.csv``.
"""

import csv
import re
from collections import Counter
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import NamedTuple

import numpy as np

from skelemo.annotations.class_names import Words, class_head
from skelemo.annotations.files import files_below, read_text
from skelemo.annotations.registry import SUBSETS, Annotation, Annotations, Recordings, reader
from skelemo.errors import InputError
from skelemo.targets import EMOTIONS
from skelemo.text import folded, some, tally

ENDINGS = (".txt", ".csv", ".tsv", ".list", ".lst")
#: MAFW's eleven single emotions.
MAFW = (*EMOTIONS, "contempt", "anxiety", "helplessness", "disappointment")

_WORD = r"(?P<subset>train(?:ing)?|val(?:id(?:ation)?)?|dev|test(?:ing)?)"
_SUBSET = re.compile(rf"(?<![a-z]){_WORD}(?:[-_ ]?(?:set|list|split))?(?![a-z])", re.IGNORECASE)
_SUBSET_FOLDER = re.compile(rf"{_WORD}(?:[-_ ]?set)?(?:\(.*\))?", re.IGNORECASE)
_FOLD = re.compile(r"(?:set|fold|split)[-_ ]*0*([0-9]{1,3})(?![0-9])", re.IGNORECASE)
_LAST_NUMBER = re.compile(r"[-_ ]0*([0-9]{1,3})$")
_HEADER = {"label", "labels", "class", "emotion", "expression"}
_EXPECTED = "a path and a label, or a path, a number of frames and a label"


class Line(NamedTuple):
    """One video of a list."""

    path: str
    label: str
    line: int
    text: str


class ListName(NamedTuple):
    """Information in the names of a list and its folders."""

    subset: str  # "" if none
    fold: int  # 0 if none
    name: str  # the rest of the file name


def parse_name(file: Path, root: Path) -> ListName:
    """Subset and fold of a list from its name, or else from the names of its folders up to ``root``."""
    stem = file.stem
    inner = file.parent.relative_to(root).parts if file.parent.is_relative_to(root) else ()
    nearest = file.absolute().parent.name
    word = _SUBSET.search(stem) or next(filter(None, map(_SUBSET.search, reversed(inner))), None)
    word = word or _SUBSET_FOLDER.fullmatch(nearest)
    fold = _FOLD.search(stem) or (word and _LAST_NUMBER.search(stem))
    rest = _SUBSET.sub("", f"{stem[: fold.start()]}_{stem[fold.end() :]}" if fold else stem)
    fold = fold or next(filter(None, map(_FOLD.search, reversed(inner))), None) or _FOLD.fullmatch(nearest)
    subset = SUBSETS[word["subset"].lower()] if word else ""
    return ListName(subset, int(fold[1]) if fold else 0, re.sub(r"[\W_]+", "_", rest).strip("_").lower())


def read_list(file: Path, *, captions: bool = False, expected: str = _EXPECTED) -> list[Line]:
    """Read the lines of a list, without a header.

    Raises `InputError`: a line does not have the form of the others.

    Parameters
    ----------
    captions : whether further cells, in any encoding, follow the label (MAFW).
    expected : describes a line, for messages.
    """
    text = read_text(file, "replace" if captions else "strict")
    numbered = [(number, line) for number, line in enumerate(text.split("\n"), 1) if line.strip()]
    if not numbered:
        raise InputError(f"{file}: the file is empty")
    rows = [(number, line.strip(), _cells(line)) for number, line in numbered]
    if rows[0][2][-1].casefold() in _HEADER:
        rows = rows[1:]
    spaced = all("\t" not in line and "," not in line for _, line, _ in rows)
    counted = _is_counted([cells for *_, cells in rows], spaced=spaced)
    lines, most = [], 3 if counted else 2
    for number, line, cells in rows:
        fits = len(cells) >= most if spaced or captions else len(cells) == most
        if not fits or (counted and not cells[-2 if spaced else 1].isdecimal()):
            raise InputError(f"{file}, line {number}: {line[:80]!r} found; expected {expected}")
        path = " ".join(cells[: 1 - most]) if spaced else cells[0]
        lines.append(Line(path.replace("\\", "/"), cells[-1] if spaced else cells[most - 1], number, line))
    return lines


def _cells(line: str) -> list[str]:
    if "\t" in line:
        return [cell.strip() for cell in line.split("\t")]
    return [cell.strip() for cell in next(csv.reader([line]))] if "," in line else line.split()


def _is_counted(rows: Sequence[Sequence[str]], *, spaced: bool) -> bool:
    """Whether the cell before the label is a number of frames: in most lines, and unique for each path."""
    if not rows or sum(len(row) >= 3 for row in rows) <= len(rows) / 2:
        return False
    found = {(" ".join(row[:-2]) if spaced else row[0], row[-2] if spaced else row[1]) for row in rows if len(row) >= 3}
    numbers = sum(number.isdecimal() for _, number in found) > len(found) / 2
    return numbers and len({path for path, _ in found}) == len(found)


def is_list(file: Path) -> bool:
    """Whether a file is a list without a header: its first cell is a path, or its first label occurs again."""
    with file.open("rb") as opened:
        beginning = opened.read(1 << 16).decode("utf-8-sig", "replace").lstrip()
    first = re.split(r"[\t,; ]+", beginning.partition("\n")[0].strip())
    if {folded(cell) for cell in first} & (_HEADER | {"video", "frame", "start", "end", "valence", "arousal"}):
        return False  # avoids reading a large table twice
    try:
        lines = read_list(file)
    except InputError:
        return False
    if not lines:
        return False
    return bool(re.search(r"[/\\.0-9]", lines[0].path)) or lines[0].label in {line.label for line in lines[1:]}


def read_lists(
    files: Sequence[Path],
    root: Path,
    words: Words | None = None,
    *,
    name: str = "label",
    captions: bool = False,
) -> Annotations:
    """Read lists as one label per clip, with split columns from the files' names.

    Raises `InputError`: a line is damaged, a clip has two labels, or is in two subsets of a split.
    """
    listed = [(file, parse_name(file, root), read_list(file, captions=captions)) for file in files]
    labels: dict[str, tuple[str, str]] = {}  # word and position by path
    first: dict[str, int] = {}
    for file, _, lines in listed:
        for line in lines:
            where = f"{file}, line {line.line}"
            word, before = labels.setdefault(line.path, (line.label, where))
            if folded(word) != folded(line.label):
                raise InputError(f"{line.path!r} is {word!r} in {before}, but {line.label!r} in {where}")
            first.setdefault(line.label, line.line)
    if not labels:
        raise InputError(f"{root}: the lists are empty")
    source = files[0] if len(files) == 1 else root
    rows = Counter(word for word, _ in labels.values())
    head, index, notes = class_head(rows, source, name, words, noun="video", lines=first if len(files) == 1 else None)
    splits = _splits(listed)
    items = tuple(
        Annotation(
            video=path,
            splits={column: subsets[path] for column, subsets in splits.items() if path in subsets},
            labels={head.name: np.array([index[word]], np.int16)},
            source=str(source),
        )
        for path, (word, _) in labels.items()
    )
    return Annotations((head,), items, notes)


def _splits(listed: Sequence[tuple[Path, ListName, list[Line]]]) -> dict[str, dict[str, str]]:
    """Subset of each path by split column."""
    several = len({parsed.name for _, parsed, _ in listed if parsed.subset}) > 1
    splits: dict[str, dict[str, str]] = {}
    for file, (subset, fold, name), lines in listed:
        if not subset:
            continue
        column = "_".join(filter(None, [name if several else "", f"fold_{fold}" if fold else ""])) or "split"
        subsets = splits.setdefault(column, {})
        for line in lines:
            if subsets.setdefault(line.path, subset) != subset:
                raise InputError(
                    f"{file}, line {line.line}: {line.path!r} is in the {subsets[line.path]} list and in the {subset} "
                    f"list of {column}; expected one subset per clip"
                )
    return splits


@reader(
    "list", labels="lists without a header, 'path label' or 'path frames label': a file, or train, val and test lists"
)
def read_any_list(path: Path, source: Path, recordings: Recordings, *, words: Words | None = None) -> Annotations:
    """Read lists of any data set: in a folder, the files named after subsets, or else the only list.

    Raises `InputError`: there is none, or as `read_lists`.
    """
    files = list(files_below(path, *ENDINGS))
    if not path.is_file():
        of_subsets = [file for file in files if parse_name(file, path).subset]
        files = of_subsets or [file for file in files if is_list(file)]
        if not files:
            raise InputError(f"{path}: no list found; expected lines of {_EXPECTED}")
        if not of_subsets and len(files) > 1:
            raise InputError(
                f"{path}: {tally(files)} may be lists, none named train, val or test; give the path of one"
            )
    return read_lists(files, path, words)


@reader(
    "ferv39k", labels="FERV39k: train_All.csv and test_All.csv, or other lists of paths with labels in words or 0 to 6"
)
def read_ferv39k(path: Path, source: Path, recordings: Recordings, *, words: Words | None = None) -> Annotations:
    """Read FERV39k's lists: ``Action/Happy/0267 Happy``; numbers count `EMOTIONS` from 0.

    Raises `InputError`: there is none, a label is not one of the seven emotions, or as `read_lists`.
    """
    given = words or Words()
    return read_any_list(path, source, recordings, words=replace(given, classes=given.classes or EMOTIONS, first=0))


@reader("mafw", labels="MAFW: set_1/train.txt, … of the single labels, 11 classes")
def read_mafw(path: Path, source: Path, recordings: Recordings, *, words: Words | None = None) -> Annotations:
    """Read MAFW's folds of clips with one emotion: `EMOTIONS`, contempt, anxiety, helplessness and disappointment.

    Raises `InputError`: there are no lists, labels are numbers without ``--classes``, or as `read_lists`.
    """
    given = words or Words()
    files, notes = _mafw_files(path, compound=False)
    if not given.given and all(line.label.isdecimal() for file in files for line in read_list(file, captions=True)):
        raise InputError(
            f"{files[0]}: labels are numbers, and authors number MAFW's classes differently: give the order with "
            f"--classes ({','.join(MAFW)} for DFER-CLIP's lists), or use --map"
        )
    found = read_lists(files, path, replace(given, classes=given.classes or MAFW), captions=True)
    return replace(found, notes=(*notes, *found.notes))


@reader("mafw-compound", labels="MAFW's compound labels: set_1/train.txt, … such as anger_disgust, 43 classes")
def read_mafw_compound(path: Path, source: Path, recordings: Recordings, *, words: Words | None = None) -> Annotations:
    """Read MAFW's folds of clips with one or several emotions as one head, ``compound``.

    Raises `InputError`: as `read_mafw`.
    """
    files, notes = _mafw_files(path, compound=True)
    found = read_lists(files, path, words, name="compound", captions=True)
    return replace(found, notes=(*notes, *found.notes))


def _mafw_files(path: Path, *, compound: bool) -> tuple[list[Path], list[str]]:
    """The lists of single or compound labels, preferably without captions, and notes on ignored lists."""
    files = [file for file in files_below(path, ".txt") if path.is_file() or parse_name(file, path).subset]
    kind, wrong = ("compound", "single") if compound else ("single", "compound")
    notes = []
    for word, others in ((kind, wrong), ("no_caption", "with_caption")):
        named = [file for file in files if word in file.absolute().parts]
        ignored = [file for file in files if others in file.absolute().parts]
        if named and ignored:
            notes.append(f"ignored MAFW's lists in folders called {others}: {tally(ignored)}")
            files = [file for file in files if file not in ignored]
    if not files or all(wrong in file.absolute().parts for file in files):
        found = f", found {some(files)}" if files else ""
        raise InputError(
            f"{path}: no MAFW lists of {kind} labels; expected {kind}/no_caption/set_1/train.txt, …{found}"
        )
    return files, notes
