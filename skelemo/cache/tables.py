"""The tables of a shard: their columns, as they are stored, as they are read, and what must hold for them."""

import json
from collections.abc import Collection, Mapping
from dataclasses import fields
from typing import Any

import h5py
import numpy as np
import pandas as pd

from skelemo.cache import hdf5
from skelemo.cache.counts import COUNT_TYPE, Counts
from skelemo.cache.sequence import require_text
from skelemo.errors import CacheError
from skelemo.skeleton import Layout

#: Columns of ``/sequences``, ``/recordings`` and ``/problems``: text, whole numbers, one float, or lists of counts.
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
        "seen": int,
        "points": list,
        "labels": list,
        "rated": int,
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


def to_array(table: str, rows: Collection[Mapping[str, Any]], layout: Layout, classes: int) -> np.ndarray:
    """Rows of a table as the file holds them: one structured array, text as UTF-8 of a fixed width."""
    columns: dict[str, list[Any]] = {column: [row[column] for row in rows] for column in TABLES[table]}
    types: list[tuple[str, np.dtype]] = []
    for column, kind in TABLES[table].items():
        if kind is str:
            columns[column] = [_utf8(text) for text in columns[column]]
            types.append((column, h5py.string_dtype("utf-8", max(map(len, columns[column]), default=0) or 1)))
        else:
            types.append((column, _number_type(column, kind, layout, classes)))
    array = np.zeros(len(rows), types)
    for column, values in columns.items():
        if values:
            array[column] = values
    return array


def read_table(file: h5py.File, table: str, layout: Layout, classes: int) -> np.ndarray:
    """The rows of a table as `to_array` has made them."""

    def fits(found: np.dtype) -> bool:
        if found.names != tuple(TABLES[table]):
            return False
        right = all(
            found[column].kind == "S" if kind is str else found[column] == _number_type(column, kind, layout, classes)
            for column, kind in TABLES[table].items()
        )
        packed = np.dtype([(column, found[column]) for column in TABLES[table]])
        return right and found == packed

    return hdf5.find_array(file, table, fits)[()]


def described(table: str, array: np.ndarray) -> str:
    """Name, rows, columns and types of a table as the hash over a shard covers them, such as ``i8`` and ``i8[2]``."""
    columns = []
    for column in TABLES[table]:
        kind = array.dtype[column]
        shape = f"[{kind.shape[0]}]" if kind.shape else ""
        columns.append(f"{column}={kind.base.kind}{kind.base.itemsize}{shape}")
    return " ".join([table, str(len(array)), *columns]) + "\n"


def read_counts(sequences: np.ndarray) -> Counts:
    """The columns of ``/sequences`` that `to_frame` leaves out, and the counts beside them."""
    return Counts(*(np.ascontiguousarray(sequences[field.name]) for field in fields(Counts)))


def to_frame(array: np.ndarray) -> pd.DataFrame:
    """A table as the program sees it: columns of decoded text and of numbers, without those that `Counts` has."""
    columns = {}
    counted = {field.name for field in fields(Counts)}
    for name in array.dtype.names or ():
        values = array[name]
        if name in counted:
            continue
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


def _number_type(column: str, kind: type, layout: Layout, classes: int) -> np.dtype:
    if kind is not list:
        return _NUMBERS[kind]
    return np.dtype((COUNT_TYPE, (len(layout.parts) if column == "points" else classes + 1,)))


def _utf8(text: str) -> bytes:
    require_text(text)
    return text.encode()
