"""The tables of a shard: their columns, as they are stored, as they are read, and what must hold for them."""

import json
from collections import Counter
from collections.abc import Collection, Iterable, Mapping, Sequence
from itertools import chain
from typing import TYPE_CHECKING, Any

import h5py
import numpy as np

from skelemo.cache import hdf5
from skelemo.cache.sequence import LABELS, require_text
from skelemo.cache.statistics import COUNT_TYPE, Counts
from skelemo.errors import CacheError
from skelemo.skeleton import SCALES, Layout
from skelemo.targets import Head

if TYPE_CHECKING:
    import pandas as pd

#: Columns of ``/sequences``, ``/recordings`` and ``/problems``: text, whole numbers, one float, or lists of counts.
#: Those of the labels of each head, ``labels/HEAD``, stand behind ``points``.
TABLES: dict[str, dict[str, type]] = {
    "sequences": {
        "id": str,
        "video": str,
        "person": str,
        "subject": str,
        "start": int,
        "length": int,
        "width": int,
        "height": int,
        "fps": float,
        "scale": str,
        "splits": str,
        "seen": int,
        "points": list,
        "sha256": str,
    },
    "recordings": {
        "source": str,
        "video": str,
        "fingerprint": str,
        "files": int,
        "frames": int,
        "people": int,
        "body_model": str,
    },
    "problems": {"file": str, "reason": str},
}

#: Columns of a table by name: lists of text, or of what text says, and arrays of numbers.
Columns = dict[str, list[Any] | np.ndarray]

_NUMBERS: dict[type, np.dtype] = {int: np.dtype("<i8"), float: np.dtype("<f8")}


def to_array(table: str, rows: Collection[Mapping[str, Any]], layout: Layout, heads: Sequence[Head]) -> np.ndarray:
    """Rows of a table as the file holds them: one structured array, text as UTF-8 of a fixed width."""
    columns: dict[str, list[Any]] = {}
    types: list[tuple[str, np.dtype]] = []
    for column, kind in _types(table, layout, heads).items():
        columns[column] = [row[column] for row in rows]
        if kind is None:
            columns[column] = [_utf8(text) for text in columns[column]]
            kind = h5py.string_dtype("utf-8", max(map(len, columns[column]), default=0) or 1)
        types.append((column, kind))
    array = np.zeros(len(rows), types)
    for column, values in columns.items():
        if values:
            array[column] = values
    return array


def read_table(file: hdf5.Group, table: str, layout: Layout, heads: Sequence[Head]) -> np.ndarray:
    """The rows of a table as `to_array` has made them."""
    types = _types(table, layout, heads)

    def fits(found: np.dtype, shape: tuple[int, ...]) -> bool:
        if shape or found.names != tuple(types):
            return False
        right = all(found[name].kind == "S" if kind is None else found[name] == kind for name, kind in types.items())
        return right and found == np.dtype([(name, found[name]) for name in types])

    return hdf5.find_array(file, table, fits).read()


def described(table: str, array: np.ndarray) -> str:
    """Name, rows, columns and types of a table as the hash over a shard covers them, such as ``i8`` and ``i8[2]``."""
    columns = []
    for column in array.dtype.names or ():
        kind = array.dtype[column]
        shape = f"[{kind.shape[0]}]" if kind.shape else ""
        columns.append(f"{column}={kind.base.kind}{kind.base.itemsize}{shape}")
    return " ".join([table, str(len(array)), *columns]) + "\n"


def read_counts(sequences: np.ndarray, heads: Iterable[Head]) -> Counts:
    """The columns of ``/sequences`` that `to_columns` leaves out."""
    seen, points = (np.ascontiguousarray(sequences[name]) for name in ("seen", "points"))
    labels = {head.name: np.ascontiguousarray(sequences[LABELS + head.name]) for head in heads}
    return Counts(seen, points, labels)


def to_columns(array: np.ndarray) -> Columns:
    """A table's columns of decoded text and of numbers, without those that `Counts` has."""
    columns: Columns = {}
    for name in array.dtype.names or ():
        values = array[name]
        if values.dtype.kind == "S":
            columns[name] = [text.decode() for text in values.tolist()]
        elif name not in ("seen", "points") and not name.startswith(LABELS):
            columns[name] = values
    return columns


def to_frame(array: np.ndarray) -> "pd.DataFrame":
    """A table as the program sees it, without the columns that `Counts` has."""
    return as_frame(to_columns(array))


def as_frame(columns: Columns) -> "pd.DataFrame":
    """Columns as `to_columns` gives them."""
    import pandas as pd  # which takes longer to load than all else that a worker of ingest needs

    made = {
        name: pd.Series(values, dtype=object if isinstance(values, list) else None) for name, values in columns.items()
    }
    return pd.DataFrame(made)


def joined_columns(tables: Sequence[Columns]) -> Columns:
    """Tables of the same columns, one behind the other; at least one."""

    def join(pieces: list[list[Any] | np.ndarray]) -> list[Any] | np.ndarray:
        return list(chain(*pieces)) if isinstance(pieces[0], list) else np.concatenate(pieces)

    return {name: join([table[name] for table in tables]) for name in tables[0]}


def require_consistent(sequences: Columns, frames: int) -> None:
    """Sequences lie one behind the other and fill the shard, each under an id of its own."""
    start, length = (np.asarray(sequences[name]) for name in ("start", "length"))
    inside = (start >= 0).all() and (start <= frames).all() and (length >= 1).all() and (length <= frames).all()
    if not inside or (np.append(start, frames) != np.insert(start + length, 0, 0)).any():
        raise CacheError(f"the sequences do not fill the {frames} frames of the shard one behind the other")
    names = list(sequences["id"])
    if len(set(names)) < len(names):
        raise CacheError(f"two sequences have the id {Counter(names).most_common(1)[0][0]!r}")
    if "" in names or "" in sequences["video"]:
        raise CacheError("a sequence has no id or no video")
    for scale in set(sequences["scale"]) - set(SCALES):
        raise CacheError(f"a sequence has the scale {scale[:80]!r}; expected one of {', '.join(SCALES)}")
    for name in ("width", "height", "fps"):
        sizes = np.asarray(sequences[name])
        if not ((sizes >= 0) & np.isfinite(sizes)).all():
            raise CacheError(f"the {name} of a sequence is not 0 (unknown) or more")


def read_splits(text: str) -> dict[str, str]:
    """Subset by column, from the JSON that a sequence's facts hold."""
    try:
        splits = json.loads(text)
    except (ValueError, RecursionError):
        splits = None
    if not isinstance(splits, dict):
        raise CacheError(f"splits {text[:80]!r} is not JSON that maps columns to subsets")
    for word in (*splits, *splits.values()):
        require_text(word)
    return splits


def _types(table: str, layout: Layout, heads: Iterable[Head]) -> dict[str, np.dtype | None]:
    """Types of a table's columns in their order, None for text of whatever width."""
    types: dict[str, np.dtype | None] = {}
    for column, kind in TABLES[table].items():
        types[column] = None if kind is str else _NUMBERS.get(kind) or np.dtype((COUNT_TYPE, (len(layout.parts),)))
        if column == "points":
            types |= {LABELS + head.name: np.dtype((COUNT_TYPE, (1 + len(head),))) for head in heads}
    return types


def _utf8(text: str) -> bytes:
    require_text(text)
    return text.encode()
