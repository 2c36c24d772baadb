"""One column of a table about videos, whatever is in it: what scores are split by."""

from pathlib import Path

import numpy as np

from skelemo.annotations.csv_table import read_table
from skelemo.annotations.registry import Annotation, Annotations
from skelemo.errors import InputError, unknown
from skelemo.targets import MAX_OUTPUTS, Head
from skelemo.text import natural_order


def read_column(file: Path, column: str) -> Annotations:
    """The words of a column, as the one label of each video, or of each ``person`` in it; empty cells say nothing.

    Raises `InputError`: the table is damaged, has no column ``video``, says two things of one video, or has too many
    different words; `ConfigError`: there is no such column.
    """
    table = read_table(file)
    name = " ".join(column.lower().split())
    if "video" not in table.columns:
        raise InputError(f"{file}: there is no column 'video' among {', '.join(table.columns)}")
    if name not in table.columns:
        raise unknown(f"column of {file}", column, table.columns)
    found: dict[tuple[str, str], tuple[str, int]] = {}
    cells = zip(table.texts("video"), table.texts("person"), table.texts(name), table.lines, strict=True)
    for video, person, word, line in cells:
        place = video.replace("\\", "/").removeprefix("./"), person.lower()
        first = found.setdefault(place, (word, int(line))) if video and word else (word, 0)
        if first[0] != word:
            raise InputError(
                f"{file}, lines {first[1]} and {line}: {name} is {first[0]!r} and {word!r} for {video!r}; expected one"
            )
    words = sorted({word for word, _ in found.values()}, key=natural_order)
    if not words or len(words) > MAX_OUTPUTS:
        raise InputError(f"{file}: column {name!r} has {len(words):,} different words; expected 1 to {MAX_OUTPUTS:,}")
    items = tuple(
        Annotation(video, {column: np.array([words.index(word)], np.int16)}, str(file), person=person)
        for (video, person), (word, _) in found.items()
    )
    return Annotations((Head("column", "classes", tuple(words)),), items)
