"""Shards that mean harm: every checksum in them is right, and yet they are refused."""

import json
import os
import struct
import subprocess
import sys
from types import SimpleNamespace

import h5py
import hdf5plugin
import numpy as np
import pytest
from small_caches import BODY, everything_in, rewritten

from skelemo.cache import hdf5, shard
from skelemo.cache.reading import damaged_sequences
from skelemo.cache.shard import open_shard, write_shard
from skelemo.cache.tables import TABLES
from skelemo.errors import CacheError


def forge(path, change):
    """Change a shard and put its hash right again."""
    with rewritten(path) as file:
        change(file)
        try:
            said = {name: bytes(file.attrs[name]).decode() for name in shard._attributes(BODY)}
            tables = {name: file[name][()] for name in TABLES}
            hdf5.write_attribute(file, "sha256", shard._hash(said, tables))
        except (KeyError, TypeError, OSError, AttributeError, ValueError, MemoryError):
            pass  # what was put there has no hash


def replaced(name, data, **how):
    """Put another data set in the place of one."""

    def change(file):
        del file[name]
        file.create_dataset(name, data=data, **(how or {"chunks": True, "fletcher32": True, **hdf5._BLOSC}))

    return change


def cell(table, row, column, value):
    """Put another value into a table."""

    def change(file):
        rows = file[table][()]
        if rows.dtype[column].kind == "S":
            widened = [(n, h5py.string_dtype("utf-8", 200) if n == column else rows.dtype[n]) for n in rows.dtype.names]
            rows = rows.astype(widened)
        rows[column][row] = value
        del file[table]
        hdf5.write_array(file, table, rows, 512)

    return change


def column(table, name, kind):
    """Give a table a column of another type, or one more."""

    def change(file):
        rows = file[table][()]
        kinds = {n: rows.dtype[n] for n in rows.dtype.names} | {name: kind}
        changed = np.zeros(len(rows), list(kinds.items()))
        for n in set(rows.dtype.names) - {name}:
            changed[n] = rows[n]
        del file[table]
        hdf5.write_array(file, table, changed, 512)

    return change


def frame(name, row, value):
    def change(file):
        file["frames"][name][row] = value

    return change


def attribute(name, value):
    def change(file):
        del file.attrs[name]
        if isinstance(value, str):
            hdf5.write_attribute(file, name, value)
        elif value is not None:
            file.attrs[name] = value

    return change


def linked(name, link):
    def change(file):
        del file[name]
        file[name] = link

    return change


def group_for(name):
    def change(file):
        del file[name]
        file.create_group(name)

    return change


def array_for_group(file):
    del file["frames"]
    file["frames"] = np.zeros(10)


def cycle(file):
    del file["frames"]
    file["frames"] = file["/"]


def virtual(file):
    layout = h5py.VirtualLayout((9, 25, 3), "<f4")
    layout[:] = h5py.VirtualSource("/etc/passwd", "x", (9, 25, 3))
    del file["frames/keypoints"]
    file.create_virtual_dataset("frames/keypoints", layout)


def external(file):
    del file["frames/number"]
    file.create_dataset("frames/number", (9,), "<i4", external=[("/etc/passwd", 0, h5py.h5f.UNLIMITED)])


def absurd(rows, chunk):
    """More rows than the file can hold, none of them stored."""

    def change(file):
        for name, (shape, kind) in shard.frame_types(BODY).items():
            del file["frames"][name]
            how = {"chunks": (chunk, *shape), "fletcher32": True, **hdf5._BLOSC}
            file["frames"].create_dataset(name, (rows, *shape), kind, maxshape=(None, *shape), **how)

    return change


def absurd_table(file):
    rows = file["problems"].dtype
    del file["problems"]
    file.create_dataset("problems", (10**12,), rows, chunks=(10**6,), maxshape=(None,), fletcher32=True, **hdf5._BLOSC)


def swollen_table(file):
    """A text that is as long in the file as it says, and nothing but zeros."""
    rows = np.zeros(1, [("file", h5py.string_dtype("utf-8", hdf5.LARGEST)), ("reason", h5py.string_dtype("utf-8", 1))])
    replaced("problems", rows)(file)


def swollen_chunk(file):
    """All frames there and in one chunk, nobody in them: what is unpacked to read the first is all of them."""
    for name, (shape, kind) in shard.frame_types(BODY).items():
        replaced(f"frames/{name}", np.zeros((480_000, *shape), kind), chunks=(480_000, *shape),
                 fletcher32=True, **hdf5._BLOSC)(file)  # fmt: skip


def variable_length(file):
    rows = file["problems"][()]
    del file["problems"]
    kind = np.dtype([("file", h5py.string_dtype()), ("reason", h5py.string_dtype())])
    file.create_dataset("problems", data=rows.astype(kind), chunks=(1,), fletcher32=True, **hdf5._BLOSC)


def fletcher32(data: bytes) -> int:
    """HDF5's checksum of a chunk."""
    low = high = 0
    for (word,) in struct.iter_unpack(">H", data + b"\0" * (len(data) % 2)):
        low = (low + word) % 65535
        high = (high + low) % 65535
    return high << 16 | low


def chunk(make, mask=0):
    """Put other bytes in the place of the keypoints' only chunk, under a right checksum."""

    def change(file):
        data = file["frames/keypoints"].id
        file.flush()
        _, stored = data.read_direct_chunk((0, 0, 0))
        body = make(stored[:-4])
        data.write_direct_chunk((0, 0, 0), body + struct.pack("<I", fletcher32(body)), filter_mask=mask)

    return change


def shorter(stored: bytes) -> bytes:
    """A whole Blosc chunk, of 3 bytes."""
    return struct.pack("<BBBBIII", 2, 1, 0x22, 4, 3, 3, 19) + b"abc"


def boast(stored: bytes) -> bytes:
    """One that says it unpacks to more than it does."""
    return stored[:4] + struct.pack("<I", 2_000_000_000) + stored[8:]


HOSTILE = {
    "an external link": linked("frames", h5py.ExternalLink("elsewhere.h5", "/frames")),
    "an external link to an array": linked("frames/keypoints", h5py.ExternalLink("elsewhere.h5", "/x")),
    "a soft link": linked("frames/keypoints", h5py.SoftLink("/sequences")),
    "a link in a circle": linked("frames", h5py.SoftLink("/frames")),
    "a group in itself": cycle,
    "a group for an array": group_for("frames/number"),
    "a group for a table": group_for("sequences"),
    "an array for a group": array_for_group,
    "no frames": lambda file: file.pop("frames"),
    "no table": lambda file: file.pop("recordings"),
    "virtual data": virtual,
    "external data": external,
    "data not in chunks": replaced("frames/number", np.arange(9, dtype="<i4"), chunks=None),
    "no checksum": replaced("frames/number", np.arange(9, dtype="<i4"), chunks=(9,), **hdf5._BLOSC),
    "another filter": replaced("frames/number", np.arange(9, dtype="<i4"), chunks=(9,), compression="gzip"),
    "another codec": replaced(
        "frames/number",
        np.arange(90000, dtype="<i4"),
        chunks=(90000,),
        fletcher32=True,
        **hdf5plugin.Blosc(cname="zstd"),
    ),
    "another type": replaced("frames/keypoints", np.zeros((9, 25, 3), "<f8")),
    "another byte order": replaced("frames/number", np.arange(9, dtype=">i4")),
    "another layout": replaced("frames/keypoints", np.zeros((9, 26, 3), "<f4")),
    "no axis": replaced("frames/number", np.int32(3), chunks=None),
    "one axis more": replaced("frames/number", np.zeros((9, 1), "<i4")),
    "one frame less": replaced("frames/number", np.arange(8, dtype="<i4")),
    "absurdly many frames": absurd(10**15, 512),
    "absurdly large chunks": absurd(10**15, 2**20),
    "as many frames as there are numbers": absurd(2**62, 1),
    "an absurd table": absurd_table,
    "a table that swells": swollen_table,
    "a chunk that swells": swollen_chunk,
    "text of any length": variable_length,
    "a chunk that is too short": chunk(shorter),
    "a chunk that boasts": chunk(boast),
    "a chunk that is no chunk": chunk(lambda stored: b"abc"),
    "a plain chunk that is too short": chunk(lambda stored: b"abc", mask=1),
    "a chunk without any filter": chunk(lambda stored: bytes(9 * 25 * 3 * 4 - 4), mask=3),
    "no format": attribute("format", None),
    "another format": attribute("format", "kelps"),
    "a version from the future": attribute("version", "3"),
    "a number for text": attribute("version", 1),
    "a text of any length for text": attribute("layout", np.array("body_25", object)),
    "many texts for one": attribute("layout", np.array([b"body_25", b"face_70"])),
    "an unknown layout": attribute("layout", "body_26"),
    "heads that are no list": attribute("heads", '{"a": 1}'),
    "heads that are no heads": attribute("heads", '["a", 3, null]'),
    "heads that are no JSON": attribute("heads", "["),
    "heads nested without end": attribute("heads", "[" * 100_000),
    "settings that are no mapping": attribute("settings", "[]"),
    "an origin that is no mapping": attribute("origin", '["faces"]'),
    "an origin that is no text": attribute("origin", '{"source": {"a": "b"}}'),
    "an origin nested without end": attribute("origin", '{"source": ' * 100_000),
    "an attribute without end": attribute("settings", json.dumps({"a": "b" * 2**21})),
    "a negative start": cell("sequences", 0, "start", -1),
    "a start beyond the end": cell("sequences", 2, "start", 9),
    "overlapping sequences": cell("sequences", 1, "start", 4),
    "a length beyond the end": cell("sequences", 2, "length", 2),
    "a length that overflows": cell("sequences", 2, "length", 2**63 - 1),
    "no length": cell("sequences", 2, "length", 0),
    "one id twice": cell("sequences", 2, "id", b"one"),
    "no id": cell("sequences", 2, "id", b""),
    "no video": cell("sequences", 2, "video", b""),
    "a negative width": cell("sequences", 2, "width", -640),
    "frames per second that are no number": cell("sequences", 2, "fps", float("nan")),
    "text that is not UTF-8": cell("sequences", 2, "subject", b"\xff\xfe"),
    "counts of other parts": column("sequences", "points", ("<i8", (2,))),
    "counts of other classes": column("sequences", "labels/expression", ("<i8", (3,))),
    "one count for a list of them": column("sequences", "points", "<i8"),
    "a column more": column("sequences", "more", "<i8"),
    "splits that are no JSON": cell("sequences", 2, "splits", b"{"),
    "splits that are no mapping": cell("sequences", 2, "splits", b'["train"]'),
    "splits into numbers": cell("sequences", 2, "splits", b'{"split": 1}'),
    "splits into mappings": cell("sequences", 2, "splits", b'{"split": {"a": "b"}}'),
    "splits that cannot be written": cell("sequences", 2, "splits", b'{"split": "\\ud800"}'),
    "splits nested without end": cell("sequences", 2, "splits", b"[" * 200),
    "a class that is not there": frame("labels/expression", 3, 3),
    "a class below unlabeled": frame("labels/expression", 3, -2),
    "frames in disorder": frame("number", 3, 2),
    "negative frames": frame("number", 0, -5),
    "coordinates that are no number": frame("keypoints", (4, 7, 1), float("nan")),
    "endless coordinates": frame("keypoints", (4, 7, 1), float("-inf")),
    "endless values": frame("labels/va", 5, float("inf")),
    "values out of range": frame("labels/va", (5, 1), -1.5),
}


def test_a_forged_shard_without_a_change_is_valid(path):
    forge(path, cell("sequences", 2, "subject", b"Cid"))
    assert open_shard(path).sequences["subject"].tolist() == ["Ann", "", "Cid"]


def test_a_shard_without_origin_is_read(path):
    forge(path, lambda file: file.attrs.__delitem__("origin"))
    assert open_shard(path).header.origin == {}


@pytest.mark.parametrize("change", HOSTILE.values(), ids=HOSTILE)
def test_a_hostile_shard_is_refused_in_one_line(path, change):
    forge(path, change)
    with pytest.raises(CacheError, match=path.name) as error:
        everything_in(path)
    assert "\n" not in str(error.value)
    assert len(str(error.value)) < 400 + len(str(path))


def test_tables_that_do_not_match_the_hash_are_refused(path):
    with rewritten(path) as file:
        cell("sequences", 2, "subject", b"Cid")(file)
    with pytest.raises(CacheError, match="the tables do not match their hash"):
        open_shard(path)


@pytest.mark.parametrize("change", [absurd(10**15, 512), swollen_table, swollen_chunk])
def test_absurd_sizes_are_refused_without_allocating(path, change):
    forge(path, change)
    code = "import resource, sys; from pathlib import Path; from skelemo.cache.shard import open_shard\n"
    code += "resource.setrlimit(resource.RLIMIT_AS, (2**31, 2**31))\n"
    code += "try: open_shard(Path(sys.argv[1]))\nexcept Exception as error: print(type(error).__name__)"
    done = subprocess.run([sys.executable, "-c", code, path], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "CacheError"


@pytest.mark.parametrize(
    ("offsets", "size"), [((0, 10**9), 900), ((2000, 2400), 900), ((2000, 2000), 8000)], ids=["end", "edge", "shared"]
)
def test_overlapping_chunks_and_chunks_beyond_the_end_are_refused(path, offsets, size):
    """Forged in what HDF5 tells of a file: writing an index by hand, checksums and all, is another program."""
    path.write_bytes(bytes(3000) if size == 900 else bytes(9000))
    rows = 100 if size == 900 else 1000
    index = [
        SimpleNamespace(chunk_offset=(rank * rows,), byte_offset=offset, size=size, filter_mask=1)
        for rank, offset in enumerate(offsets)
    ]
    data = SimpleNamespace(get_num_chunks=lambda: 2, chunk_iter=lambda note: list(map(note, index)))
    with pytest.raises(CacheError, match="overlap or exceed the file"):
        hdf5._locate_chunks(data, 2 * rows, np.dtype("<f8"), (rows,), path.stat().st_size, "frames/x")


def test_a_table_too_large_for_readers_is_not_written(tmp_path, monkeypatch):
    monkeypatch.setattr(hdf5, "LARGEST", 5000)
    with pytest.raises(CacheError, match="is a text very long"):
        write_shard(tmp_path, BODY, [], problems=[{"file": "a", "reason": "b" * 5000}])


def test_external_links_are_not_followed(path):
    os.mkfifo(path.parent / "elsewhere.h5")  # whoever opens it waits for ever
    forge(path, linked("frames", h5py.ExternalLink("elsewhere.h5", "/frames")))
    with pytest.raises(CacheError, match="missing or a link"):
        open_shard(path)


def test_sequences_with_changed_frames_are_damaged(path):
    def change(file):
        file["frames/labels/va"][6] = 0.25

    forge(path, change)
    assert damaged_sequences(open_shard(path)) == ["two/left"]
