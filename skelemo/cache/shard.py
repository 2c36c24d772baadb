"""One HDF5 file of sequences: written once under a temporary name, renamed when complete, never changed afterwards."""

import hashlib
import json
import os
import uuid
from collections.abc import Collection, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

import h5py
import hdf5plugin
import numpy as np
import pandas as pd

import skelemo
from skelemo import skeleton
from skelemo.cache.sequence import FRAME_COLUMNS, KEYPOINT_TYPE, Sequence
from skelemo.errors import CacheError, SkelemoError

FORMAT = "skelemo"
VERSION = 1
SUFFIX = ".h5"
PARTIAL = ".partial-"
CHUNK_FRAMES = 512

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


@dataclass(frozen=True)
class Header:
    """What holds for every sequence of a shard."""

    layout: str
    classes: tuple[str, ...]
    simulated: bool = False
    settings: Mapping[str, Any] = field(default_factory=dict)


@dataclass(frozen=True)
class Shard:
    """A shard's header and tables; its frames stay on disk until they are asked for."""

    path: Path
    header: Header
    sequences: pd.DataFrame
    recordings: pd.DataFrame
    problems: pd.DataFrame
    tool: str

    @property
    def frames(self) -> int:
        """How many frames the shard's sequences have together."""
        return int(self.sequences["length"].sum())

    def read_into(self, arrays: Mapping[str, np.ndarray], rows: slice = slice(None), to: slice = slice(None)) -> None:
        """Fill ``arrays[name][to]`` from ``/frames/name[rows]`` for each name given, one large read each.

        Raises
        ------
        CacheError
            The file cannot be read or a chunk's checksum does not match.
        """
        with _opened(self.path) as file:
            for name, array in arrays.items():
                if len(array[to]):
                    file["frames"][name].read_direct(array, np.s_[rows], np.s_[to])


def write_shard(
    folder: Path,
    header: Header,
    sequences: Collection[Sequence],
    recordings: Collection[Mapping[str, Any]] = (),
    problems: Collection[Mapping[str, str]] = (),
) -> Path:
    """Write a shard into ``folder`` under the name that its content gives it.

    A shard of that name is already there only if it says the same, and is left alone.
    """
    facts = [sequence.facts() | {"length": len(sequence), "sha256": sequence.sha256} for sequence in sequences]
    starts = np.cumsum([0, *(len(sequence) for sequence in sequences)])[:-1]
    tables: dict[str, list[dict[str, Any]]] = {
        "sequences": [fact | {"start": int(start)} for fact, start in zip(facts, starts, strict=True)],
        "recordings": [dict(row) for row in recordings],
        "problems": [dict(row) for row in problems],
    }
    path = folder / (_content_name(header, tables) + SUFFIX)
    if path.exists():
        return path
    partial = folder / f"{PARTIAL}{uuid.uuid4().hex}"
    try:
        with h5py.File(partial, "w", libver=("earliest", "v110")) as file:
            _write_attributes(file, header)
            _write_frames(file, header, sequences)
            for name, rows in tables.items():
                _write_table(file, name, rows)
        _sync(partial)
        os.replace(partial, path)
    finally:
        partial.unlink(missing_ok=True)
    return path


def open_shard(path: Path) -> Shard:
    """Read and check everything of a shard but its frames.

    Raises
    ------
    CacheError
        Not a shard, of another version, damaged, or not what a shard may contain (external or soft links, virtual
        data sets, other types, sizes that the file cannot hold, sequences beyond the end).
    """
    with _opened(path) as file:
        header, tool = _read_attributes(file)
        tables = {name: _read_table(file, name) for name in TABLES}
        frames = _check_frames(file, header)
    sequences = tables["sequences"]
    ends = sequences["start"] + sequences["length"]
    if len(sequences) and (sequences["start"].min() < 0 or sequences["length"].min() < 1 or ends.max() > frames):
        raise CacheError(f"{path}: a sequence lies outside the {frames} frames of the shard: the file is damaged")
    return Shard(path, header, sequences, tables["recordings"], tables["problems"], tool)


def _content_name(header: Header, tables: Mapping[str, list[dict[str, Any]]]) -> str:
    text = json.dumps([VERSION, asdict(header), tables], sort_keys=True, ensure_ascii=False)
    return hashlib.sha256(text.encode()).hexdigest()[:20]


def _sync(path: Path) -> None:
    handle = os.open(path, os.O_RDONLY)
    try:
        os.fsync(handle)
    finally:
        os.close(handle)


def _write_attributes(file: h5py.File, header: Header) -> None:
    file.attrs["format"] = FORMAT
    file.attrs["version"] = VERSION
    file.attrs["tool"] = f"skelemo {skelemo.__version__}"
    file.attrs["layout"] = header.layout
    file.attrs["classes"] = json.dumps(header.classes, ensure_ascii=False)
    file.attrs["simulated"] = header.simulated
    file.attrs["settings"] = json.dumps(header.settings, sort_keys=True, ensure_ascii=False)


def _read_attributes(file: h5py.File) -> tuple[Header, str]:
    found = dict(file.attrs)
    if found.get("format") != FORMAT:
        raise CacheError("not a skelemo shard (no attribute format = 'skelemo')")
    if found.get("version") != VERSION:
        raise CacheError(f"format version {found.get('version')}; this skelemo reads {VERSION}: update skelemo")
    layout, classes, settings = str(found["layout"]), json.loads(found["classes"]), json.loads(found["settings"])
    skeleton.layout(layout)
    if not (
        isinstance(classes, list) and all(isinstance(name, str) for name in classes) and isinstance(settings, dict)
    ):
        raise CacheError("the attributes classes or settings are not what a shard has")
    return Header(layout, tuple(classes), bool(found["simulated"]), settings), str(found["tool"])


def _frame_types(header: Header) -> dict[str, tuple[tuple[int, ...], np.dtype]]:
    """Shape behind the first axis and type of every data set of ``/frames``."""
    points = len(skeleton.layout(header.layout))
    return {"keypoints": ((points, 3), KEYPOINT_TYPE), **{name: ((), kind) for name, kind in FRAME_COLUMNS.items()}}


def _write_frames(file: h5py.File, header: Header, sequences: Collection[Sequence]) -> None:
    total = sum(map(len, sequences))
    pieces = [sequence.frame_arrays() for sequence in sequences]
    group = file.create_group("frames")
    for name, (shape, kind) in _frame_types(header).items():
        data = np.concatenate([piece[name] for piece in pieces]) if pieces else np.zeros((0, *shape), kind)
        rows = min(max(total, 1), CHUNK_FRAMES if shape else 64 * CHUNK_FRAMES)
        group.create_dataset(
            name,
            data=data,
            chunks=(rows, *shape),
            maxshape=(None, *shape) if total == 0 else None,
            fletcher32=True,
            **hdf5plugin.Blosc(cname="lz4", clevel=5, shuffle=hdf5plugin.Blosc.SHUFFLE),
        )


def _write_table(file: h5py.File, name: str, rows: Collection[Mapping[str, Any]]) -> None:
    group = file.create_group(name)
    for column, kind in TABLES[name].items():
        values = [row[column] for row in rows]
        if kind is str:
            data, stored = (
                np.array([value.encode(errors="surrogateescape") for value in values], object),
                h5py.string_dtype(),
            )
        else:
            data, stored = np.array(values, "<i8" if kind is int else "<f8"), None
        group.create_dataset(column, data=data, dtype=stored, fletcher32=False)


def _read_table(file: h5py.File, name: str) -> pd.DataFrame:
    columns = {}
    for column, kind in TABLES[name].items():
        data = _own_dataset(file, f"{name}/{column}")
        expected = "O" if kind is str else ("i" if kind is int else "f")
        if data.dtype.kind != expected or data.ndim != 1 or len(data) > _most_rows(file):
            raise CacheError(f"/{name}/{column} is {data.dtype} of shape {data.shape}: not a shard's table")
        columns[column] = _text(data[()]) if kind is str else data[()]
    if len({len(values) for values in columns.values()}) != 1:
        raise CacheError(f"the columns of /{name} differ in length")
    return pd.DataFrame(columns)


def _text(values: np.ndarray) -> np.ndarray:
    return np.array([value.decode(errors="surrogateescape") for value in values], object)


def _most_rows(file: h5py.File) -> int:
    return int(file.id.get_filesize())


def _check_frames(file: h5py.File, header: Header) -> int:
    lengths = set()
    for name, (shape, kind) in _frame_types(header).items():
        data = _own_dataset(file, f"frames/{name}")
        if data.dtype != kind or data.shape[1:] != shape or data.chunks is None:
            raise CacheError(f"/frames/{name} is {data.dtype} {data.shape}; layout {header.layout} has {kind} {shape}")
        if data.chunks[0] * data.id.get_num_chunks() < len(data) or data.chunks[0] > 64 * CHUNK_FRAMES:
            raise CacheError(f"/frames/{name} claims {len(data)} frames, more than the file can hold")
        lengths.add(len(data))
    if len(lengths) != 1:
        raise CacheError("the arrays of /frames differ in length")
    return int(lengths.pop())


def _own_dataset(file: h5py.File, path: str) -> h5py.Dataset:
    """A data set that lies in this very file: links that lead elsewhere are not followed."""
    group, name = path.split("/")
    for parent, child in ((file, group), (file[group] if _is_hard(file, group) else file, name)):
        if not _is_hard(parent, child):
            raise CacheError(f"/{path} is missing, or a link to elsewhere")
    data = file[group][name]
    if not isinstance(data, h5py.Dataset) or data.external or data.is_virtual:
        raise CacheError(f"/{path} is not a plain data set")
    return data


def _is_hard(parent: h5py.Group, child: str) -> bool:
    return child in parent and isinstance(parent.get(child, getlink=True), h5py.HardLink)


@contextmanager
def _opened(path: Path) -> Iterator[h5py.File]:
    """The open file; whatever goes wrong in reading it becomes one error that names it."""
    try:
        with h5py.File(path, "r", locking=False) as file:
            yield file
    except SkelemoError as error:
        raise CacheError(f"{path}: {error}") from error
    except (OSError, KeyError, RuntimeError, ValueError, TypeError, UnicodeError) as error:
        reason = str(error).splitlines()[0] if str(error) else type(error).__name__
        raise CacheError(f"{path}: damaged or cut off ({reason}); remove it and ingest again") from error
