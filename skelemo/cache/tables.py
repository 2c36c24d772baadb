"""The tables of a shard: their columns, as they are stored, as they are read, and what must hold for them."""

import json
from collections.abc import Collection, Mapping
from typing import Any

import h5py
import numpy as np
import pandas as pd

from skelemo.cache import hdf5
from skelemo.cache.sequence import require_text
from skelemo.errors import CacheError

#: Columns of ``/sequences``, ``/recordings`` and ``/problems``: text, whole numbers, or one float.
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
        "splits": str,
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
        "scale": str,
    },
    "problems": {"file": str, "reason": str},
}

_NUMBERS: dict[type, np.dtype] = {int: np.dtype("<i8"), float: np.dtype("<f8")}


def to_array(table: str, rows: Collection[Mapping[str, Any]]) -> np.ndarray:
    """Rows of a table as the file holds them: one structured array, text as UTF-8 of a fixed width."""
    columns: dict[str, list[Any]] = {column: [row[column] for row in rows] for column in TABLES[table]}
    types: list[tuple[str, np.dtype]] = []
    for column, kind in TABLES[table].items():
        if kind is str:
            columns[column] = [_utf8(text) for text in columns[column]]
            types.append((column, h5py.string_dtype("utf-8", max(map(len, columns[column]), default=0) or 1)))
        else:
            types.append((column, _NUMBERS[kind]))
    array = np.zeros(len(rows), types)
    for column, values in columns.items():
        array[column] = values
    return array


def read_table(file: h5py.File, table: str) -> np.ndarray:
    """The rows of a table as `to_array` has made them."""

    def fits(found: np.dtype) -> bool:
        if found.names != tuple(TABLES[table]):
            return False
        kinds = [(found[column], _NUMBERS.get(kind)) for column, kind in TABLES[table].items()]
        right = all(one.kind == "S" if number is None else one == number for one, number in kinds)
        packed = np.dtype([(column, found[column]) for column in TABLES[table]])
        return right and found == packed

    return hdf5.find_array(file, table, fits)[()]


def to_frame(array: np.ndarray) -> pd.DataFrame:
    """A table as the program sees it: columns of decoded text and of numbers."""
    columns = {}
    for name in array.dtype.names or ():
        values = array[name]
        if values.dtype.kind == "S":
            columns[name] = pd.Series([text.decode() for text in values.tolist()], dtype=object)
        else:
            columns[name] = pd.Series(values)
    return pd.DataFrame(columns)


def require_consistent(sequences: pd.DataFrame, frames: int) -> None:
    """Sequences lie one behind the other and fill the shard, each under an id of its own."""
    start, length = (sequences[name].to_numpy() for name in ("start", "length"))
    inside = (start >= 0).all() and (start <= frames).all() and (length >= 1).all() and (length <= frames).all()
    if not inside or (np.append(start, frames) != np.insert(start + length, 0, 0)).any():
        raise CacheError(f"the sequences do not fill the {frames} frames of the shard one behind the other")
    twice = sequences["id"][sequences["id"].duplicated()]
    if len(twice):
        raise CacheError(f"two sequences have the id {twice.iloc[0]!r}")
    if (sequences[["id", "video"]] == "").any(axis=None):
        raise CacheError("a sequence has no id or no video")
    sizes = sequences[["width", "height", "fps"]].to_numpy(float)
    if not ((sizes >= 0) & np.isfinite(sizes)).all():
        raise CacheError("the width, height or fps of a sequence is not 0 (unknown) or more")


def read_splits(text: str) -> dict[str, str]:
    """Part by column, from the JSON that a sequence's facts hold."""
    try:
        splits = json.loads(text)
    except (ValueError, RecursionError):
        splits = None
    if not isinstance(splits, dict):
        raise CacheError(f"splits {text[:80]!r} is not JSON that maps columns to parts")
    for word in (*splits, *splits.values()):
        require_text(word)
    return splits


def _utf8(text: str) -> bytes:
    require_text(text)
    return text.encode()
