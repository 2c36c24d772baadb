"""Groups the rows of a table by video and person, and reads columns with one value per group."""

from collections.abc import Collection, Sequence
from pathlib import Path

import numpy as np

from skelemo.annotations.csv_table import Table, read_table
from skelemo.annotations.registry import SUBSETS, Annotation, Annotations
from skelemo.errors import InputError, unknown
from skelemo.targets import MAX_OUTPUTS, Head
from skelemo.text import natural_order


def _persons(table: Table) -> list[str]:
    words = {word: word.lower() for word in dict.fromkeys(table.texts("person"))}
    for word, person in words.items():
        if person.isascii() and person.isdigit():
            words[word] = person.lstrip("0") or "0"
        elif person not in ("", "left", "right"):
            row = table.texts("person").index(word)
            raise table.refusal("person", row, "left, right, the number of a track, or empty")
    return [words[word] for word in table.texts("person")]


def groups(table: Table) -> tuple[list[tuple[str, str]], np.ndarray]:
    """Distinct videos and persons in order of appearance, and the index of each row's [R]."""
    paths = {video: video.replace("\\", "/").removeprefix("./") for video in set(table.texts("video"))}
    index: dict[tuple[str, str], int] = {}
    rows = zip(table.texts("video"), _persons(table), strict=True)
    group = np.array([index.setdefault((paths[video], person), len(index)) for video, person in rows])
    return list(index), group


def rows_of_groups(group: np.ndarray) -> list[np.ndarray]:
    """The rows of each group in order, given the group of each row ``[R]``."""
    order = np.argsort(group, kind="stable")
    return np.split(order, np.cumsum(np.bincount(group))[:-1])


def of_groups(table: Table, name: str, words: Sequence[str], group: np.ndarray) -> list[str]:
    """The word of each group in a column, "" if all its cells are empty. Raises `InputError`: its rows differ."""
    index = {"": 0}
    code = np.array([index.setdefault(word, len(index)) for word in words])
    chosen = np.zeros(group.max() + 1, np.int64)
    np.maximum.at(chosen, group, code)
    differs = (code > 0) & (code != chosen[group])
    if differs.any():
        row = int(differs.argmax())
        other = int(((group == group[row]) & (code == chosen[group[row]])).argmax())
        first, second = sorted((row, other))
        raise InputError(
            f"{table.file}, lines {table.lines[first]} and {table.lines[second]}: {name} is {words[first]!r} and "
            f"{words[second]!r} for {table.texts('video')[row]!r}; expected one"
        )
    vocabulary = list(index)
    return [vocabulary[at] for at in chosen]


def read_splits(table: Table, known: Collection[str]) -> dict[str, list[str]]:
    """Subsets by row, of column ``split`` and every column of subsets that is not ``known``."""
    splits = {}
    for name in table.columns:
        words = {word: SUBSETS.get(word.casefold(), "") for word in set(table.texts(name))}
        wrong = [word for word, subset in words.items() if word and not subset]
        if name == "split" and wrong:
            row = min(map(table.texts("split").index, wrong))
            raise table.refusal("split", row, "train, validation, test or empty")
        if name == "split" or (name not in known and not wrong and any(words)):
            splits[name] = [words[word] for word in table.texts(name)]
    return splits


def read_column(file: Path, column: str) -> Annotations:
    """Read the words of a column as a label of each video, or of each ``person`` in it; empty cells are skipped.

    Raises `InputError`: the table is damaged, has no column ``video``, two words for one video, or too many different
    words; `ConfigError`: the column does not exist.
    """
    table = read_table(file)
    name = " ".join(column.lower().split())
    if "video" not in table.columns:
        raise InputError(f"{file}: no column 'video' among {', '.join(table.columns)}")
    if name not in table.columns:
        raise unknown(f"column of {file}", column, table.columns)
    keys, group = groups(table)
    cells = [word if video else "" for video, word in zip(table.texts("video"), table.texts(name), strict=True)]
    found = {key: word for key, word in zip(keys, of_groups(table, name, cells, group), strict=True) if word}
    words = sorted({*found.values()}, key=natural_order)
    if not words or len(words) > MAX_OUTPUTS:
        raise InputError(f"{file}: column {name!r} has {len(words):,} different words; expected 1 to {MAX_OUTPUTS:,}")
    items = tuple(
        Annotation(video, {column: np.array([words.index(word)], np.int16)}, str(file), person=person)
        for (video, person), word in found.items()
    )
    return Annotations((Head("column", "classes", tuple(words)),), items)
