"""One HDF5 file of sequences: written once under a temporary name, renamed when complete, never changed afterwards."""

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
from skelemo.atomic import PARTIAL
from skelemo.cache import hdf5
from skelemo.cache.chunk_reader import Chunks
from skelemo.cache.integrity import Report, damaged_sequences
from skelemo.cache.partial import finished
from skelemo.cache.sequence import (
    FRAME_COLUMNS,
    KEYPOINT_TYPE,
    MOST_CLASSES,
    Sequence,
    require_columns,
    require_keypoints,
    require_text,
)
from skelemo.cache.statistics import Counts, count, require_possible
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
from skelemo.errors import CacheError, UnreadableError

if TYPE_CHECKING:
    import pandas as pd

__all__ = ["FORMAT", "PARTIAL", "SUFFIX", "TABLES", "VERSION", "Header", "Shard", "open_shard", "write_shard"]

FORMAT = "skelemo"
VERSION = 1
SUFFIX = ".h5"

#: Rows of a chunk: of keypoints, where it was measured best for reading, and of every other column.
CHUNK_FRAMES = 512
CHUNK_ROWS = 32_768

_NAME_LENGTH = 20
_ORIGIN = "origin"


@dataclass(frozen=True)
class Header:
    """What holds for every sequence of a shard.

    Parameters
    ----------
    layout : a name that `skelemo.skeleton.layout` knows.
    classes : different names that ``expression`` counts from 0, at most 128.
    settings : of the ingest, as JSON can hold them.
    origin : what was ingested by name, its ``source`` and ``labels``. It is told, and part of no hash: the same data
        may lie anywhere.
    """

    layout: str
    classes: tuple[str, ...]
    simulated: bool = False
    settings: Mapping[str, Any] = field(default_factory=dict)
    origin: Mapping[str, str] = field(default_factory=dict)

    def __post_init__(self) -> None:
        object.__setattr__(self, "layout", skeleton.layout(self.layout).name)
        for name in self.classes:
            require_text(name)
        if "" in self.classes or len(set(self.classes)) < len(self.classes) or len(self.classes) > MOST_CLASSES:
            raise CacheError(f"classes {list(self.classes)}: expected at most {MOST_CLASSES} different names")


@dataclass(frozen=True, eq=False)
class Shard:
    """A shard's header and tables; its frames stay on disk until they are asked for.

    The ``columns`` of each table are those of `TABLES`, with ``splits`` as a mapping of column to part; ``counts`` has
    a row for each of ``sequences``, and ``stored`` says where the data sets of ``/frames`` lie.
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
        """One row per recording that was ingested."""
        return as_frame(self.columns["recordings"])

    @cached_property
    def problems(self) -> "pd.DataFrame":
        """One row per file that could not be read."""
        return as_frame(self.columns["problems"])

    @property
    def name(self) -> str:
        """The file name that its content gives it, whatever it is called now."""
        return self.sha256[:_NAME_LENGTH] + SUFFIX

    @property
    def frames(self) -> int:
        """How many frames the shard's sequences have together."""
        return int(np.sum(self.columns["sequences"]["length"]))

    def read_into(self, arrays: Mapping[str, np.ndarray], rows: slice = slice(None), to: slice = slice(None)) -> None:
        """Fill ``arrays[name][to]`` from ``/frames/name[rows]`` for each name given; threads do so side by side.

        Raises
        ------
        CacheError
            The file cannot be read, a chunk's checksum does not match, or a value is none that a sequence may have.
        """
        first, last, _ = rows.indices(self.frames)
        if first >= last:
            return
        starts = np.asarray(self.columns["sequences"]["start"])
        read = {name: array[to] for name, array in arrays.items()}
        with hdf5.reading(self.path):
            for name, array in read.items():
                self.stored[name].read_into(array, first, require_keypoints if name == "keypoints" else None)
            require_columns(read, starts[(starts >= first) & (starts < last)] - first, len(self.header.classes))

    def damaged(self, report: Report = lambda _: None) -> list[str]:
        """Read every frame and name the sequences that cannot be read or are not as they were written.

        Parameters
        ----------
        report : told as frames are checked, how many.
        """
        return damaged_sequences(self, report)


def write_shard(
    folder: Path,
    header: Header,
    sequences: Collection[Sequence],
    recordings: Collection[Mapping[str, Any]] = (),
    problems: Collection[Mapping[str, str]] = (),
) -> Path:
    """Write a shard into ``folder`` under the name that its content gives it.

    A shard of that name is already there only if it says the same, and is left alone unless it has been damaged.

    Raises
    ------
    CacheError
        Sequences that do not fit the header or share an id, or a folder that cannot be written; nothing is left then.
    """
    _require_fit(header, sequences)
    facts = [_row(sequence, header) for sequence in sequences]
    starts = np.cumsum([0, *(len(sequence) for sequence in sequences)])[:-1]
    rows = {
        "sequences": [fact | {"start": int(start)} for fact, start in zip(facts, starts, strict=True)],
        "recordings": recordings,
        "problems": problems,
    }
    where, classes = skeleton.layout(header.layout), len(header.classes)
    tables = {name: to_array(name, rows[name], where, classes) for name in TABLES}
    said = _attributes(header)
    digest = _hash(said, tables)
    path = folder / (digest[:_NAME_LENGTH] + SUFFIX)
    if path.exists() and _is_whole(path, digest):
        return path

    def fill(file: h5py.File) -> None:
        for name, text in {**said, "tool": f"skelemo {skelemo.__version__}", "sha256": digest}.items():
            hdf5.write_attribute(file, name, text)
        _write_frames(file.create_group("frames"), header, sequences)
        for name, table in tables.items():
            hdf5.write_array(file, name, table, CHUNK_ROWS)

    content = hdf5.image(fill)
    with finished(path) as partial, partial.open("xb") as file:
        file.write(content)
        file.flush()
        os.fsync(file.fileno())
    return path


def open_shard(path: Path) -> Shard:
    """Read and check everything of a shard but its frames.

    Raises
    ------
    CacheError
        Not a shard, of another version, damaged, or not what a shard may contain (links, virtual or external data,
        other types, sizes that the file does not hold, tables that contradict themselves or the hash over them).
    """
    with hdf5.opened(path) as file:
        said = read_attributes(file)
        header = to_header(said)
        where = skeleton.layout(header.layout)
        tables = {name: read_table(file, name, where, len(header.classes)) for name in TABLES}
        digest = _hash(said, tables)
        if digest != hdf5.read_attribute(file, "sha256"):
            raise CacheError("the tables are not those that were written")
        columns, counts = {name: to_columns(table) for name, table in tables.items()}, read_counts(tables["sequences"])
        sequences = columns["sequences"]
        stored = _find_frames(file, header)
        require_consistent(sequences, len(stored["number"]))
        require_possible(counts, np.asarray(sequences["length"]), where)
        sequences["splits"] = [read_splits(text) for text in sequences["splits"]]
        return Shard(path, header, columns, counts, stored, hdf5.read_attribute(file, "tool"), digest)


def _require_fit(header: Header, sequences: Collection[Sequence]) -> None:
    points, classes = len(skeleton.layout(header.layout)), len(header.classes)
    known: set[str] = set()
    for sequence in sequences:
        said = f"sequence {sequence.id!r} has"
        if sequence.keypoints.shape[1] != points:
            raise CacheError(f"{said} {sequence.keypoints.shape[1]} keypoints; the layout {header.layout} has {points}")
        if sequence.expression.max() >= classes:
            raise CacheError(f"{said} class {sequence.expression.max()}; there are {classes}, counted from 0")
        if sequence.id in known:
            raise CacheError(f"{said} the id of another of the same shard")
        known.add(sequence.id)


def _row(sequence: Sequence, header: Header) -> dict[str, Any]:
    """The row of ``/sequences``, but for where it starts."""
    labels = {name: getattr(sequence, name) for name in ("expression", "valence", "arousal")}
    counts = count(sequence.points_seen, labels, skeleton.layout(header.layout), len(header.classes))
    return sequence.facts() | counts | {"length": len(sequence), "sha256": sequence.sha256}


def _attributes(header: Header) -> dict[str, str]:
    """All that a shard says of itself in its attributes, but for the tool and the hash."""
    return {
        "format": FORMAT,
        "version": str(VERSION),
        "layout": header.layout,
        "classes": json.dumps(header.classes, ensure_ascii=False),
        "simulated": json.dumps(bool(header.simulated)),
        "settings": json.dumps(header.settings, sort_keys=True, ensure_ascii=False),
        _ORIGIN: json.dumps(dict(header.origin), sort_keys=True, ensure_ascii=False),
    }


def read_attributes(file: hdf5.Group) -> dict[str, str]:
    """What `_attributes` has written, in a version that this program reads."""
    said = {"format": hdf5.read_attribute(file, "format"), "version": hdf5.read_attribute(file, "version")}
    if said["format"] != FORMAT:
        raise CacheError(f"not a skelemo shard: its attribute format is {said['format'][:80]!r}")
    if said["version"] != str(VERSION):
        raise UnreadableError(
            f"format version {said['version'][:80]}; this skelemo reads {VERSION}: update it, or ingest again"
        )
    said |= {name: hdf5.read_attribute(file, name) for name in ("layout", "classes", "simulated", "settings")}
    return said | {_ORIGIN: hdf5.read_attribute(file, _ORIGIN, default="{}")}


def to_header(said: Mapping[str, str]) -> Header:
    """The header that a shard's attributes tell."""
    classes, simulated, settings, origin = (
        json.loads(said[name]) for name in ("classes", "simulated", "settings", _ORIGIN)
    )
    told = isinstance(origin, dict) and all(isinstance(name, str) for name in origin.values())
    if not (isinstance(classes, list) and isinstance(simulated, bool) and isinstance(settings, dict) and told):
        raise CacheError("the attributes classes, simulated, settings or origin are not what a shard has")
    return Header(said["layout"], tuple(classes), simulated, settings, origin)


def _hash(said: Mapping[str, str], tables: Mapping[str, np.ndarray]) -> str:
    """SHA-256 over all that a shard says but its origin and its frames, which the sequences' own hashes stand for.

    Each attribute's name and text end with a zero byte; before a table's bytes stands a line that describes it.
    """
    hashed = sorted(said.keys() - {_ORIGIN})
    digest = hashlib.sha256("".join(f"{name}\0{said[name]}\0" for name in hashed).encode())
    for name, table in tables.items():
        digest.update(described(name, table).encode())
        digest.update(table.tobytes())
    return digest.hexdigest()


def _is_whole(path: Path, digest: str) -> bool:
    try:
        shard = open_shard(path)
        return shard.sha256 == digest and not shard.damaged()
    except CacheError:
        return False


def _frame_types(header: Header) -> dict[str, tuple[tuple[int, ...], np.dtype]]:
    """Shape behind the first axis and type of every data set of ``/frames``."""
    points = len(skeleton.layout(header.layout))
    return {"keypoints": ((points, 3), KEYPOINT_TYPE), **{name: ((), kind) for name, kind in FRAME_COLUMNS.items()}}


def _write_frames(group: h5py.Group, header: Header, sequences: Collection[Sequence]) -> None:
    pieces = [sequence.frame_arrays() for sequence in sequences]
    for name, (shape, kind) in _frame_types(header).items():
        data = np.concatenate([piece[name] for piece in pieces]) if pieces else np.zeros((0, *shape), kind)
        hdf5.write_array(group, name, data, CHUNK_FRAMES if shape else CHUNK_ROWS)


def _find_frames(file: hdf5.Group, header: Header) -> dict[str, Chunks]:
    types = _frame_types(header).items()
    frames = hdf5.find_group(file, "frames")
    found = {name: hdf5.find_array(frames, name, kind.__eq__, shape) for name, (shape, kind) in types}
    if len({len(one) for one in found.values()}) != 1:
        raise CacheError("the arrays of /frames differ in length")
    return found
