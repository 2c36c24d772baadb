"""A shard: one HDF5 file of sequences, written atomically and never changed."""

import hashlib
import json
import os
from collections.abc import Collection, Mapping
from dataclasses import dataclass, field
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING, Any

import h5py
import numpy as np

import skelemo
from skelemo import skeleton
from skelemo.atomic import finished
from skelemo.cache import hdf5
from skelemo.cache.chunk_reader import Chunks
from skelemo.cache.sequence import (
    KEYPOINT_TYPE,
    LABELS,
    NUMBER_TYPE,
    Sequence,
    label_type,
    require_keypoints,
    require_numbers,
    require_text,
)
from skelemo.cache.statistics import Counts, count
from skelemo.cache.tables import (
    TABLES,
    Columns,
    as_frame,
    described,
    read_counts,
    read_splits,
    read_table,
    require_consistent,
    to_array,
    to_columns,
)
from skelemo.errors import CacheError, ConfigError, UnreadableError, os_reason
from skelemo.targets import Head, soft_labels

if TYPE_CHECKING:
    import pandas as pd

FORMAT = "skelemo"
VERSION = 2
SUFFIX = ".h5"

#: Rows per chunk, of keypoints (measured to read fastest) and of other columns.
CHUNK_FRAMES = 512
CHUNK_ROWS = 32_768

_NAME_LENGTH = 20
_ORIGIN = "origin"


@dataclass(frozen=True)
class Header:
    """Properties shared by all sequences of a shard."""

    layout: str  # name, see `skelemo.skeleton.layout`
    heads: tuple[Head, ...] = ()  # of the labels, with distinct names
    simulated: bool = False
    settings: Mapping[str, Any] = field(default_factory=dict)  # of the ingest, serializable as JSON
    origin: Mapping[str, str] = field(default_factory=dict)  # names of `source` and `labels`; not part of any hash

    def __post_init__(self) -> None:
        object.__setattr__(self, "layout", skeleton.layout(self.layout).name)
        object.__setattr__(self, "heads", tuple(self.heads))
        names = [head.name for head in self.heads]
        for text in (*names, *(name for head in self.heads for name in head.outputs)):
            require_text(text)
        if len(set(names)) < len(names):
            raise CacheError(f"heads {', '.join(names)}: expected distinct names")


@dataclass(frozen=True, eq=False)
class Shard:
    """Header and tables of a shard; frames are read on demand.

    ``columns`` has the columns of each of `TABLES`, with ``splits`` as a mapping from column to subset, ``counts`` one
    row per sequence; ``stored`` locates the data sets of ``/frames``. Labels of the heads in ``shares`` are float32
    ``[N, K]`` instead of class numbers.
    """

    path: Path
    header: Header
    columns: Mapping[str, Columns]
    counts: Counts
    stored: Mapping[str, Chunks]
    tool: str
    sha256: str

    @cached_property
    def sequences(self) -> "pd.DataFrame":
        """One row per sequence."""
        return as_frame(self.columns["sequences"])

    @cached_property
    def recordings(self) -> "pd.DataFrame":
        """One row per ingested recording."""
        return as_frame(self.columns["recordings"])

    @cached_property
    def problems(self) -> "pd.DataFrame":
        """One row per file that could not be read."""
        return as_frame(self.columns["problems"])

    @cached_property
    def shares(self) -> frozenset[str]:
        """Heads of classes with shares as labels."""
        names = (head.name for head in self.header.heads if head.kind == "classes")
        return frozenset(name for name in names if len(self.stored[LABELS + name].shape) == 2)

    @property
    def name(self) -> str:
        """File name derived from the content."""
        return self.sha256[:_NAME_LENGTH] + SUFFIX

    @property
    def frames(self) -> int:
        """Total number of frames."""
        return int(np.sum(self.columns["sequences"]["length"]))

    def read_into(self, arrays: Mapping[str, np.ndarray], rows: slice = slice(None), to: slice = slice(None)) -> None:
        """Fill ``arrays[name][to]`` from ``/frames/name[rows]`` for each name; thread-safe and parallel.

        Class numbers become shares if the array is ``[N, K]``. Arrays of heads that the shard lacks are not changed.

        Raises `CacheError`: the file cannot be read, a chunk's checksum does not match, or a value is invalid.
        """
        first, last, _ = rows.indices(self.frames)
        if first >= last:
            return
        starts = np.asarray(self.columns["sequences"]["start"])
        heads = {LABELS + head.name: head for head in self.header.heads}
        with hdf5.reading(self.path):
            for name, array in arrays.items():
                if name == "keypoints":
                    self.stored[name].read_into(array[to], first, require_keypoints)
                elif name == "number":
                    self.stored[name].read_into(array[to], first)
                    require_numbers(array[to], starts[(starts >= first) & (starts < last)] - first)
                elif name in heads:
                    self._read_labels(heads[name], array[to], first)

    def _read_labels(self, head: Head, array: np.ndarray, first: int) -> None:
        stored = self.stored[LABELS + head.name]
        labels = (
            array if array.shape[1:] == stored.shape[1:] else np.empty((len(array), *stored.shape[1:]), stored.dtype)
        )
        stored.read_into(labels, first)
        head.check(labels)
        if labels is not array:
            array[:] = soft_labels(labels, len(head))


def write_shard(
    folder: Path,
    header: Header,
    sequences: Collection[Sequence],
    recordings: Collection[Mapping[str, Any]] = (),
    problems: Collection[Mapping[str, str]] = (),
) -> Path:
    """Write a shard into ``folder``, under a name derived from its content.

    Raises `CacheError`: sequences do not fit the header or share an id, or the folder cannot be written; nothing is
    left behind.
    """
    _require_fit(header, sequences)
    facts = [_row(sequence, header) for sequence in sequences]
    starts = np.cumsum([0, *(len(sequence) for sequence in sequences)])[:-1]
    rows = {
        "sequences": [fact | {"start": int(start)} for fact, start in zip(facts, starts, strict=True)],
        "recordings": recordings,
        "problems": problems,
    }
    layout = skeleton.layout(header.layout)
    tables = {name: to_array(name, rows[name], layout, header.heads) for name in TABLES}
    attributes = _attributes(header)
    digest = _hash(attributes, tables)
    path = folder / (digest[:_NAME_LENGTH] + SUFFIX)

    def fill(file: h5py.File) -> None:
        for name, text in {**attributes, "tool": f"skelemo {skelemo.__version__}", "sha256": digest}.items():
            hdf5.write_attribute(file, name, text)
        _write_frames(file.create_group("frames"), header, sequences)
        for name, table in tables.items():
            hdf5.write_array(file, name, table, CHUNK_ROWS)

    content = hdf5.image(fill)
    try:
        with finished(path) as partial, partial.open("xb") as file:
            file.write(content)
            file.flush()
            os.fsync(file.fileno())
    except OSError as error:
        raise CacheError(f"{path}: cannot be written ({os_reason(error)})") from error
    return path


def open_shard(path: Path) -> Shard:
    """Read and validate a shard, except for its frames.

    Raises `CacheError`: not a shard, of another version, damaged, or with invalid content (links, virtual or external
    data, other types, sizes beyond the file, inconsistent tables, or tables that do not match their hash).
    """
    with hdf5.opened(path) as file:
        attributes = _read_attributes(file)
        header = _to_header(attributes)
        layout = skeleton.layout(header.layout)
        tables = {name: read_table(file, name, layout, header.heads) for name in TABLES}
        digest = _hash(attributes, tables)
        if digest != hdf5.read_attribute(file, "sha256"):
            raise CacheError("the tables do not match their hash")
        columns = {name: to_columns(table) for name, table in tables.items()}
        counts = read_counts(tables["sequences"], header.heads)
        sequences = columns["sequences"]
        stored = _find_frames(file, header)
        require_consistent(sequences, len(stored["number"]))
        sequences["splits"] = [read_splits(text) for text in sequences["splits"]]
        return Shard(path, header, columns, counts, stored, hdf5.read_attribute(file, "tool"), digest)


def _require_fit(header: Header, sequences: Collection[Sequence]) -> None:
    points, heads = len(skeleton.layout(header.layout)), {head.name: head for head in header.heads}
    ids: set[str] = set()
    axes: dict[str, int] = {}
    for sequence in sequences:
        has = f"sequence {sequence.id!r} has"
        if sequence.keypoints.shape[1] != points:
            raise CacheError(f"{has} {sequence.keypoints.shape[1]} keypoints; the layout {header.layout} has {points}")
        for name, labels in sequence.labels.items():
            if name not in heads:
                raise CacheError(f"{has} labels of {name}; the heads of the shard are {', '.join(heads) or 'none'}")
            try:
                heads[name].check(labels)
            except ConfigError as error:
                raise CacheError(f"sequence {sequence.id!r}: {error}") from None
            if axes.setdefault(name, labels.ndim) != labels.ndim:
                raise CacheError(f"{has} {labels.ndim}-D labels of {name}: a shard has either class numbers or shares")
        if sequence.id in ids:
            raise CacheError(f"{has} the id of another one in the shard")
        ids.add(sequence.id)


def _row(sequence: Sequence, header: Header) -> dict[str, Any]:
    """The row of ``/sequences``, without ``start``."""
    counts = count(sequence.points_seen, sequence.labels, skeleton.layout(header.layout), header.heads)
    return sequence.facts() | counts | {"length": len(sequence), "sha256": sequence.sha256}


def _attributes(header: Header) -> dict[str, str]:
    """The attributes of a shard except ``tool`` and ``sha256``."""
    return {
        "format": FORMAT,
        "version": str(VERSION),
        "layout": header.layout,
        "heads": json.dumps([head.to_json() for head in header.heads], ensure_ascii=False),
        "simulated": json.dumps(bool(header.simulated)),
        "settings": json.dumps(header.settings, sort_keys=True, ensure_ascii=False),
        _ORIGIN: json.dumps(dict(header.origin), sort_keys=True, ensure_ascii=False),
    }


def _read_attributes(file: hdf5.Group) -> dict[str, str]:
    """Read the attributes written by `_attributes`; raises `CacheError` for another format or version."""
    attributes = {"format": hdf5.read_attribute(file, "format"), "version": hdf5.read_attribute(file, "version")}
    if attributes["format"] != FORMAT:
        raise CacheError(f"not a skelemo shard: its attribute format is {attributes['format'][:80]!r}")
    if attributes["version"] != str(VERSION):
        raise UnreadableError(
            f"format version {attributes['version'][:80]}; this skelemo reads {VERSION}: update it, or ingest again"
        )
    attributes |= {name: hdf5.read_attribute(file, name) for name in ("layout", "heads", "simulated", "settings")}
    return attributes | {_ORIGIN: hdf5.read_attribute(file, _ORIGIN, default="{}")}


def _to_header(attributes: Mapping[str, str]) -> Header:
    """Parse the header from attributes."""
    heads, simulated, settings, origin = (
        json.loads(attributes[name]) for name in ("heads", "simulated", "settings", _ORIGIN)
    )
    texts = isinstance(origin, dict) and all(isinstance(name, str) for name in origin.values())
    if not (isinstance(heads, list) and isinstance(simulated, bool) and isinstance(settings, dict) and texts):
        raise CacheError("invalid attribute heads, simulated, settings or origin")
    return Header(attributes["layout"], tuple(map(Head.from_json, heads)), simulated, settings, origin)


def _hash(attributes: Mapping[str, str], tables: Mapping[str, np.ndarray]) -> str:
    """SHA-256 over the attributes, except ``origin``, and the tables, which include the hashes of sequences.

    Names and texts of attributes end with a zero byte; the bytes of a table follow a line that describes it.
    """
    hashed = sorted(attributes.keys() - {_ORIGIN})
    digest = hashlib.sha256("".join(f"{name}\0{attributes[name]}\0" for name in hashed).encode())
    for name, table in tables.items():
        digest.update(described(name, table).encode())
        digest.update(table.tobytes())
    return digest.hexdigest()


def frame_types(header: Header, shares: Collection[str] = ()) -> dict[str, tuple[tuple[int, ...], np.dtype]]:
    """Shape after the first axis, and type, of the data sets of ``/frames``; ``shares`` names heads of shares."""
    labels = {LABELS + head.name: label_type(head, shares=head.name in shares) for head in header.heads}
    return {
        "keypoints": ((len(skeleton.layout(header.layout)), 3), KEYPOINT_TYPE),
        "number": ((), NUMBER_TYPE),
        **labels,
    }


def _write_frames(group: h5py.Group, header: Header, sequences: Collection[Sequence]) -> None:
    classes = {head.name for head in header.heads if head.kind == "classes"}
    labels = (pair for sequence in sequences for pair in sequence.labels.items())
    shares = {name for name, array in labels if name in classes and array.ndim == 2}
    frames = [(len(sequence), sequence.frame_arrays()) for sequence in sequences]
    for name, (shape, kind) in frame_types(header, shares).items():
        missing = np.nan if kind.kind == "f" else -1
        arrays = [
            columns[name] if name in columns else np.full((length, *shape), missing, kind) for length, columns in frames
        ]
        data = np.concatenate(arrays) if arrays else np.zeros((0, *shape), kind)
        hdf5.write_array(group, name, data, CHUNK_FRAMES if len(shape) == 2 else _chunk_rows(data))


def _chunk_rows(column: np.ndarray) -> int:
    """Rows per chunk, for the bytes of float32 ``[CHUNK_ROWS]``."""
    return max(CHUNK_FRAMES, CHUNK_ROWS * 4 // (column.itemsize * int(np.prod(column.shape[1:]))))


def _find_frames(file: hdf5.Group, header: Header) -> dict[str, Chunks]:
    group = hdf5.find_group(file, "frames")
    groups = {"": group} | ({LABELS: hdf5.find_group(group, LABELS.rstrip("/"))} if header.heads else {})
    shares = {head.name for head in header.heads if head.kind == "classes"}
    hard, soft = frame_types(header), frame_types(header, shares)
    found: dict[str, Chunks] = {}
    for name in hard:
        parent, slash, child = name.rpartition("/")
        types = ((hard[name][1], hard[name][0]), (soft[name][1], soft[name][0]))
        found[name] = hdf5.find_array(groups[parent + slash], child, lambda *kind, types=types: kind in types)
    if len(set(map(len, found.values()))) != 1:
        raise CacheError("the arrays of /frames differ in length")
    return found
