"""A shard: written whole or not at all, read only when it is what it should be."""

import errno
import fcntl
import json
import os
import resource
import struct
import subprocess
import sys

import h5py
import hdf5plugin
import numpy as np
import pytest
from small_caches import BODY, BODY_AND_FACE, CLASSES, a_recording, a_sequence

from skelemo import skeleton
from skelemo.cache import hdf5, shard
from skelemo.cache.shard import Header, open_shard, write_shard
from skelemo.errors import CacheError, ConfigError

PROBLEM = {"file": "one/7.json", "reason": "cut off"}


def read(path):
    """Everything that a shard says, as plain values."""
    opened = open_shard(path)
    types = shard._frame_types(opened.header)
    arrays = {name: np.full((opened.frames, *shape), 77, kind) for name, (shape, kind) in types.items()}
    opened.read_into(arrays)
    tables = (opened.sequences, opened.recordings, opened.problems)
    frames = {name: array.tobytes() for name, array in arrays.items()}
    return opened.header, opened.tool, [table.to_dict("records") for table in tables], frames


@pytest.fixture
def sequences():
    return [
        a_sequence("one", 5, subject="Ann", splits={"split": "train"}, fps=25.0, width=640, height=480),
        a_sequence("two/left", 3, person="left", number=np.array([4, 9, 10])),
        a_sequence("三", 1),
    ]


@pytest.fixture
def path(tmp_path, sequences):
    return write_shard(tmp_path, BODY, sequences, [a_recording("one"), a_recording("two")], [PROBLEM])


def test_what_was_written_is_read(path, sequences):
    opened = open_shard(path)
    assert opened.header == BODY
    assert opened.frames == 9
    assert opened.damaged() == []
    rows = opened.sequences
    assert rows["start"].tolist() == [0, 5, 8]
    assert rows["splits"].tolist() == [{"split": "train"}, {}, {}]
    arrays = {"keypoints": np.zeros((9, 25, 3), np.float32), "number": np.zeros(9, np.int32)}
    opened.read_into(arrays)
    for row, one in zip(rows.to_dict("records"), sequences, strict=True):
        assert {name: row[name] for name in one.facts() if name != "splits"} == {
            name: fact for name, fact in one.facts().items() if name != "splits"
        }
        here = slice(row["start"], row["start"] + row["length"])
        assert np.array_equal(arrays["keypoints"][here], one.keypoints)
        assert np.array_equal(arrays["number"][here], one.number)
    assert opened.recordings.to_dict("records") == [a_recording("one"), a_recording("two")]
    assert opened.problems.to_dict("records") == [PROBLEM]


def test_a_part_is_read_into_its_place(path, sequences):
    arrays = {"keypoints": np.full((6, 25, 3), -1, np.float32), "number": np.full(6, -1, np.int32)}
    open_shard(path).read_into(arrays, slice(3, 7), slice(1, 5))
    everything = np.concatenate([one.keypoints for one in sequences])
    assert np.array_equal(arrays["keypoints"][1:5], everything[3:7])
    assert arrays["number"].tolist() == [-1, 3, 4, 4, 9, -1]


def test_plain_h5py_reads_a_shard(path, sequences):
    with h5py.File(path) as file:
        assert file.attrs["format"] == b"skelemo"
        assert json.loads(file.attrs["classes"]) == list(CLASSES)
        table = file["sequences"][()]
        assert [text.decode() for text in table["id"]] == ["one", "two/left", "三"]
        row = table[1]
        keypoints = file["frames/keypoints"][row["start"] : row["start"] + row["length"]]
    assert np.array_equal(keypoints, sequences[1].keypoints)


@pytest.mark.parametrize("layout", ["body_25+face_70", "body_25+face_70+hand_21x2"])
def test_frames_without_anybody_shrink_as_far_as_a_reader_believes(tmp_path, layout):
    points = len(skeleton.layout(layout))
    nobody = a_sequence("nobody", 1500, keypoints=np.zeros((1500, points, 3), np.float32), expression=np.full(1500, -1))
    path = write_shard(tmp_path, Header(layout, CLASSES), [nobody])
    assert path.stat().st_size < nobody.keypoints.nbytes / 60
    assert open_shard(path).damaged() == []


@pytest.mark.parametrize(
    "sequences",
    [
        [],
        [a_sequence("one", 1)],
        [a_sequence("long", 1025)],
    ],
    ids=["none", "one frame", "a frame more than two chunks"],
)
def test_shards_of_any_size_are_read_as_written(tmp_path, sequences):
    path = write_shard(tmp_path, BODY, sequences)
    assert open_shard(path).frames == sum(map(len, sequences))
    assert open_shard(path).damaged() == []


def test_the_same_content_has_the_same_name_and_bytes(tmp_path, path, sequences):
    other = tmp_path / "other"
    other.mkdir()
    again = write_shard(other, BODY, sequences, [a_recording("one"), a_recording("two")], [PROBLEM])
    assert again.name == path.name
    assert again.read_bytes() == path.read_bytes()


def test_other_content_has_another_name(tmp_path, path, sequences):
    rows, problems = [a_recording("one"), a_recording("two")], [PROBLEM]
    names = {
        write_shard(tmp_path, BODY, sequences, rows, problems),
        write_shard(tmp_path, Header("body_25", CLASSES, simulated=True), sequences, rows, problems),
        write_shard(tmp_path, Header("body_25", CLASSES, settings={"person": "all"}), sequences, rows, problems),
        write_shard(tmp_path, BODY, sequences[::-1], rows, problems),
        write_shard(tmp_path, BODY, [*sequences[:2], a_sequence("三", 1, seed=1)], rows, problems),
        write_shard(tmp_path, BODY, sequences, rows[:1], problems),
        write_shard(tmp_path, BODY, sequences, rows),
    }
    assert len(names) == 7
    assert path in names


def test_a_shard_that_is_there_is_left_alone_unless_it_is_damaged(path, sequences):
    content, before = path.read_bytes(), path.stat().st_ino

    def write():
        assert write_shard(path.parent, BODY, sequences, [a_recording("one"), a_recording("two")], [PROBLEM]) == path

    write()
    assert path.stat().st_ino == before
    for damaged in (content[:-100], flipped(content, len(content) * 4)):
        path.write_bytes(damaged)
        write()
        assert path.read_bytes() == content


@pytest.mark.parametrize("step", ["fsync", "replace"])
def test_a_disk_that_fails_leaves_nothing_behind(tmp_path, sequences, monkeypatch, step):
    def fail(*_):
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

    monkeypatch.setattr(os, step, fail)
    with pytest.raises(CacheError, match=r"cannot be written \(No space left on device"):
        write_shard(tmp_path, BODY, sequences)
    assert list(tmp_path.iterdir()) == []


def test_a_disk_that_is_full_leaves_nothing_behind(tmp_path, sequences):
    before = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (1000, before[1]))
    try:
        with pytest.raises(CacheError, match="cannot be written"):
            write_shard(tmp_path, BODY, sequences)
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, before)
    assert list(tmp_path.iterdir()) == []


def test_a_folder_that_is_not_there_is_an_error(tmp_path, sequences):
    with pytest.raises(CacheError, match=r"nowhere.*cannot be written"):
        write_shard(tmp_path / "nowhere", BODY, sequences)


def test_no_lock_is_needed_to_read(path):
    with path.open("rb") as other:
        fcntl.flock(other, fcntl.LOCK_EX)
        assert open_shard(path).damaged() == []


@pytest.mark.parametrize(
    ("sequences", "said"),
    [
        ([a_sequence(points=95)], "95 keypoints; the layout body_25 has 25"),
        ([a_sequence(expression=np.full(7, 3, np.int8))], "class 3; there are 3"),
        ([a_sequence(), a_sequence(seed=1)], "id of another"),
    ],
)
def test_sequences_that_do_not_fit_the_shard_are_not_written(tmp_path, sequences, said):
    with pytest.raises(CacheError, match=said):
        write_shard(tmp_path, BODY, sequences)
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize("classes", [("a", "a"), ("a", ""), ("a", 3), tuple(map(str, range(129)))])
def test_a_header_has_different_named_classes_that_a_byte_can_count(classes):
    with pytest.raises(CacheError):
        Header("body_25", classes)


def test_a_header_has_a_layout_in_its_one_spelling():
    assert Header(" body_25 + face_70", CLASSES) == BODY_AND_FACE
    with pytest.raises(ConfigError, match="body_26"):
        Header("body_26", CLASSES)


# Damage


def flipped(content: bytes, bit: int) -> bytes:
    changed = bytearray(content)
    changed[bit // 8] ^= 1 << bit % 8
    return bytes(changed)


def test_a_flipped_bit_is_found_or_changes_nothing_that_is_read(path):
    content, truth, found = path.read_bytes(), read(path), 0
    for bit in np.random.default_rng(5).choice(len(content) * 8, 200, replace=False).tolist():
        path.write_bytes(flipped(content, bit))
        try:
            assert read(path) == truth, f"bit {bit}"
        except CacheError as error:
            assert str(path) in str(error)  # noqa: PT017 - either outcome is right
            found += 1
    assert found > 100


def test_every_flip_within_the_frames_is_found(path):
    content = path.read_bytes()
    with h5py.File(path) as file:
        chunk = file["frames/keypoints"].id.get_chunk_info(0)
    for bit in np.random.default_rng(5).integers(0, chunk.size * 8, 30).tolist():
        path.write_bytes(flipped(content, chunk.byte_offset * 8 + bit))
        with pytest.raises(CacheError):
            read(path)


def test_a_shard_that_was_cut_off_is_found(path):
    content = path.read_bytes()
    for length in [0, 1, 100, *np.linspace(500, len(content) - 1, 30).astype(int).tolist()]:
        path.write_bytes(content[:length])
        with pytest.raises(CacheError, match=path.name):
            open_shard(path)


@pytest.mark.parametrize("content", [b"", b"PK\3\4 not HDF5 at all", b"\x89HDF\r\n\x1a\n" + bytes(3000)])
def test_a_file_of_another_kind_is_refused(tmp_path, content):
    (tmp_path / "a.h5").write_bytes(content)
    with pytest.raises(CacheError, match=r"a\.h5: cannot be read"):
        open_shard(tmp_path / "a.h5")


def test_what_is_not_a_file_is_refused_without_waiting_for_it(tmp_path):
    os.mkfifo(tmp_path / "a.h5")
    with pytest.raises(CacheError, match="not a file"):
        open_shard(tmp_path / "a.h5")


def test_damaged_names_the_sequences_whose_frames_were_changed(path):
    def change(file):
        file["frames/valence"][6] = 0.25

    forge(path, change)
    assert open_shard(path).damaged() == ["two/left"]


# Shards that mean harm: every checksum in them is right


def forge(path, change):
    """Change a shard and put its hash right again."""
    with h5py.File(path, "r+", libver=("v110", "v110")) as file:
        change(file)
        try:
            said = {name: bytes(file.attrs[name]).decode() for name in shard._attributes(BODY)}
            tables = {name: file[name][()] for name in shard.TABLES}
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
        for name, (shape, kind) in shard._frame_types(BODY).items():
            del file["frames"][name]
            how = {"chunks": (chunk, *shape), "fletcher32": True, **hdf5._BLOSC}
            file["frames"].create_dataset(name, (rows, *shape), kind, maxshape=(None, *shape), **how)

    return change


def absurd_table(file):
    rows = file["problems"].dtype
    del file["problems"]
    file.create_dataset("problems", (10**12,), rows, chunks=(10**6,), maxshape=(None,), fletcher32=True, **hdf5._BLOSC)


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
    "text of any length": variable_length,
    "a chunk that is too short": chunk(shorter),
    "a chunk that boasts": chunk(boast),
    "a chunk that is no chunk": chunk(lambda stored: b"abc"),
    "a plain chunk that is too short": chunk(lambda stored: b"abc", mask=1),
    "a chunk without any filter": chunk(lambda stored: bytes(9 * 25 * 3 * 4 - 4), mask=3),
    "no format": attribute("format", None),
    "another format": attribute("format", "kelps"),
    "a version from the future": attribute("version", "2"),
    "a number for text": attribute("version", 1),
    "a text of any length for text": attribute("layout", np.array("body_25", object)),
    "many texts for one": attribute("layout", np.array([b"body_25", b"face_70"])),
    "an unknown layout": attribute("layout", "body_26"),
    "classes that are no list": attribute("classes", '{"a": 1}'),
    "classes that are no text": attribute("classes", '["a", 3, null]'),
    "classes that are no JSON": attribute("classes", "["),
    "classes nested without end": attribute("classes", "[" * 100_000),
    "settings that are no mapping": attribute("settings", "[]"),
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
    "splits that are no JSON": cell("sequences", 2, "splits", b"{"),
    "splits that are no mapping": cell("sequences", 2, "splits", b'["train"]'),
    "splits into numbers": cell("sequences", 2, "splits", b'{"split": 1}'),
    "splits into mappings": cell("sequences", 2, "splits", b'{"split": {"a": "b"}}'),
    "splits that cannot be written": cell("sequences", 2, "splits", b'{"split": "\\ud800"}'),
    "splits nested without end": cell("sequences", 2, "splits", b"[" * 200),
    "a class that is not there": frame("expression", 3, 3),
    "a class below unlabelled": frame("expression", 3, -2),
    "frames in disorder": frame("number", 3, 2),
    "negative frames": frame("number", 0, -5),
    "coordinates that are no number": frame("keypoints", (4, 7, 1), float("nan")),
    "endless coordinates": frame("keypoints", (4, 7, 1), float("-inf")),
    "endless valence": frame("valence", 5, float("inf")),
    "too much arousal": frame("arousal", 5, -1.5),
}


def test_a_forged_shard_is_otherwise_read(path):
    forge(path, cell("sequences", 2, "subject", b"Cid"))
    assert open_shard(path).sequences["subject"].tolist() == ["Ann", "", "Cid"]


@pytest.mark.parametrize("change", HOSTILE.values(), ids=HOSTILE)
def test_a_hostile_shard_is_refused_in_one_line(path, change):
    forge(path, change)
    with pytest.raises(CacheError, match=path.name) as error:
        read(path)
    assert "\n" not in str(error.value)
    assert len(str(error.value)) < 400 + len(str(path))


def test_tables_under_the_hash_of_others_are_refused(path):
    with h5py.File(path, "r+", libver=("v110", "v110")) as file:
        cell("sequences", 2, "subject", b"Cid")(file)
    with pytest.raises(CacheError, match="the tables are not those that were written"):
        open_shard(path)


def test_refusing_absurd_sizes_needs_no_memory(path):
    forge(path, absurd(10**15, 512))
    code = "import resource, sys; from pathlib import Path; from skelemo.cache.shard import open_shard\n"
    code += "resource.setrlimit(resource.RLIMIT_AS, (2**31, 2**31))\n"
    code += "try: open_shard(Path(sys.argv[1]))\nexcept Exception as error: print(type(error).__name__)"
    done = subprocess.run([sys.executable, "-c", code, path], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "CacheError"


def test_a_link_elsewhere_is_not_even_looked_up(path):
    os.mkfifo(path.parent / "elsewhere.h5")  # whoever opens it waits for ever
    forge(path, linked("frames", h5py.ExternalLink("elsewhere.h5", "/frames")))
    with pytest.raises(CacheError, match="a link to elsewhere"):
        open_shard(path)
