"""The tables of a shard: columns, encoding, and validation."""

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

#: Columns of ``/sequences``, ``/recordings`` and ``/problems``: text, integers, floats, or lists of counts. The counts
#: of each head, ``labels/HEAD``, follow ``points``.
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

#: Columns of a table by name: lists of text or parsed text, and arrays of numbers.
Columns = dict[str, list[Any] | np.ndarray]

_NUMBERS: dict[type, np.dtype] = {int: np.dtype("<i8"), float: np.dtype("<f8")}


def to_array(table: str, rows: Collection[Mapping[str, Any]], layout: Layout, heads: Sequence[Head]) -> np.ndarray:
    """Encode rows as a structured array, text as fixed-width UTF-8."""
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
    """Read a table written by `to_array`."""
    types = _types(table, layout, heads)

    def fits(found: np.dtype, shape: tuple[int, ...]) -> bool:
        if shape or found.names != tuple(types):
            return False
        right = all(found[name].kind == "S" if kind is None else found[name] == kind for name, kind in types.items())
        return right and found == np.dtype([(name, found[name]) for name in types])

    return hdf5.find_array(file, table, fits).read()


def described(table: str, array: np.ndarray) -> str:
    """Name, number of rows, columns and types of a table, for its hash."""
    columns = []
    for column in array.dtype.names or ():
        kind = array.dtype[column]
        shape = f"[{kind.shape[0]}]" if kind.shape else ""
        columns.append(f"{column}={kind.base.kind}{kind.base.itemsize}{shape}")
    return " ".join([table, str(len(array)), *columns]) + "\n"


def read_counts(sequences: np.ndarray, heads: Iterable[Head]) -> Counts:
    """The counts in ``/sequences``, which `to_columns` omits."""
    seen, points = (np.ascontiguousarray(sequences[name]) for name in ("seen", "points"))
    labels = {head.name: np.ascontiguousarray(sequences[LABELS + head.name]) for head in heads}
    return Counts(seen, points, labels)


def to_columns(array: np.ndarray) -> Columns:
    """Columns of decoded text and of numbers, without counts."""
    columns: Columns = {}
    for name in array.dtype.names or ():
        values = array[name]
        if values.dtype.kind == "S":
            columns[name] = [text.decode() for text in values.tolist()]
        elif name not in ("seen", "points") and not name.startswith(LABELS):
            columns[name] = values
    return columns


def as_frame(columns: Columns) -> "pd.DataFrame":
    """Columns of `to_columns` as a table."""
    import pandas as pd  # slower to import than everything else in an ingest worker

    return pd.DataFrame(
        {
            name: pd.Series(values, dtype=object if isinstance(values, list) else None)
            for name, values in columns.items()
        }
    )


def joined_columns(tables: Sequence[Columns]) -> Columns:
    """Concatenate one or more tables of the same columns."""
    return {
        name: list(chain.from_iterable(table[name] for table in tables))
        if isinstance(values, list)
        else np.concatenate([table[name] for table in tables])
        for name, values in tables[0].items()
    }


def require_consistent(sequences: Columns, frames: int) -> None:
    """Raise `CacheError` unless the sequences are contiguous and fill the shard, with unique ids and valid values."""
    start, length = (np.asarray(sequences[name]) for name in ("start", "length"))
    inside = (start >= 0).all() and (start <= frames).all() and (length >= 1).all() and (length <= frames).all()
    if not inside or (np.append(start, frames) != np.insert(start + length, 0, 0)).any():
        raise CacheError(f"the sequences are not contiguous in the {frames} frames of the shard")
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
            raise CacheError(f"a sequence has an invalid {name}; expected 0 (unknown) or more")


def read_splits(text: str) -> dict[str, str]:
    """Parse subset by column from JSON."""
    try:
        splits = json.loads(text)
    except (ValueError, RecursionError):
        splits = None
    if not isinstance(splits, dict):
        raise CacheError(f"splits {text[:80]!r}: expected a JSON object of columns and subsets")
    for word in (*splits, *splits.values()):
        require_text(word)
    return splits


def _types(table: str, layout: Layout, heads: Iterable[Head]) -> dict[str, np.dtype | None]:
    """Types of a table's columns in order, None for text of any width."""
    types: dict[str, np.dtype | None] = {}
    for column, kind in TABLES[table].items():
        types[column] = None if kind is str else _NUMBERS.get(kind) or np.dtype((COUNT_TYPE, (len(layout.parts),)))
        if column == "points":
            types |= {LABELS + head.name: np.dtype((COUNT_TYPE, (1 + len(head),))) for head in heads}
    return types


def _utf8(text: str) -> bytes:
    require_text(text)
    return text.encode()
