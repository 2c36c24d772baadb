"""A shard: written whole or not at all, read only when it is what it should be."""

import errno
import fcntl
import json
import os
import resource

import h5py
import numpy as np
import pytest
from small_caches import BODY, BODY_AND_FACE, CLASSES, HEADS, MOOD, PROBLEM, a_recording, a_sequence, everything_in

from skelemo import skeleton
from skelemo.cache.reading import damaged_sequences
from skelemo.cache.shard import Header, open_shard, write_shard
from skelemo.errors import CacheError, ConfigError


def test_round_trip(path, sequences):
    opened = open_shard(path)
    assert opened.header == BODY
    assert opened.frames == 9
    assert damaged_sequences(opened) == []
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


def test_a_range_of_frames_is_read_into_a_slice(path, sequences):
    arrays = {"keypoints": np.full((6, 25, 3), -1, np.float32), "number": np.full(6, -1, np.int32)}
    open_shard(path).read_into(arrays, slice(3, 7), slice(1, 5))
    everything = np.concatenate([one.keypoints for one in sequences])
    assert np.array_equal(arrays["keypoints"][1:5], everything[3:7])
    assert arrays["number"].tolist() == [-1, 3, 4, 4, 9, -1]


def test_plain_h5py_reads_a_shard(path, sequences):
    with h5py.File(path) as file:
        assert file.attrs["format"] == b"skelemo"
        assert [one["outputs"] for one in json.loads(file.attrs["heads"])] == [list(CLASSES), ["valence", "arousal"]]
        table = file["sequences"][()]
        assert [text.decode() for text in table["id"]] == ["one", "two/left", "三"]
        row = table[1]
        keypoints = file["frames/keypoints"][row["start"] : row["start"] + row["length"]]
    assert np.array_equal(keypoints, sequences[1].keypoints)


@pytest.mark.parametrize("layout", ["body_25+face_70", "body_25+face_70+hand_21x2"])
def test_empty_frames_compress_within_the_readers_limit(tmp_path, layout):
    points = len(skeleton.layout(layout))
    nobody = a_sequence("nobody", 1500, keypoints=np.zeros((1500, points, 3), np.float32), expression=np.full(1500, -1))
    path = write_shard(tmp_path, Header(layout, HEADS), [nobody])
    assert path.stat().st_size < nobody.keypoints.nbytes / 60
    assert damaged_sequences(open_shard(path)) == []


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
    assert damaged_sequences(open_shard(path)) == []


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
        write_shard(tmp_path, Header("body_25", HEADS, simulated=True), sequences, rows, problems),
        write_shard(tmp_path, Header("body_25", HEADS, settings={"person": "all"}), sequences, rows, problems),
        write_shard(tmp_path, BODY, sequences[::-1], rows, problems),
        write_shard(tmp_path, BODY, [*sequences[:2], a_sequence("三", 1, seed=1)], rows, problems),
        write_shard(tmp_path, BODY, sequences, rows[:1], problems),
        write_shard(tmp_path, BODY, sequences, rows),
    }
    assert len(names) == 7
    assert path in names


def test_a_damaged_shard_of_the_same_content_is_replaced(path, sequences):
    content = path.read_bytes()
    for damaged in (content[:-100], flipped(content, len(content) * 4)):
        path.write_bytes(damaged)
        write_shard(path.parent, BODY, sequences, [a_recording("one"), a_recording("two")], [PROBLEM])
        assert path.read_bytes() == content


@pytest.mark.parametrize("step", ["fsync", "replace"])
def test_a_failing_disk_leaves_nothing_behind(tmp_path, sequences, monkeypatch, step):
    def fail(*_):
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

    monkeypatch.setattr(os, step, fail)
    with pytest.raises(CacheError, match=r"cannot be written \(No space left on device"):
        write_shard(tmp_path, BODY, sequences)
    assert list(tmp_path.iterdir()) == []


def test_a_full_disk_leaves_nothing_behind(tmp_path, sequences):
    before = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (1000, before[1]))
    try:
        with pytest.raises(CacheError, match="cannot be written"):
            write_shard(tmp_path, BODY, sequences)
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, before)
    assert list(tmp_path.iterdir()) == []


def test_a_missing_folder_is_an_error(tmp_path, sequences):
    with pytest.raises(CacheError, match=r"nowhere.*cannot be written"):
        write_shard(tmp_path / "nowhere", BODY, sequences)


def test_no_lock_is_needed_to_read(path):
    with path.open("rb") as other:
        fcntl.flock(other, fcntl.LOCK_EX)
        assert damaged_sequences(open_shard(path)) == []


@pytest.mark.parametrize(
    ("sequences", "message"),
    [
        ([a_sequence(points=95)], "95 keypoints; the layout body_25 has 25"),
        ([a_sequence(expression=np.full(7, 3, np.int8))], "labels of expression: 3 to 3; expected -1 to 2"),
        ([a_sequence(), a_sequence(seed=1)], "id of another"),
    ],
)
def test_sequences_that_do_not_fit_the_shard_are_not_written(tmp_path, sequences, message):
    with pytest.raises(CacheError, match=message):
        write_shard(tmp_path, BODY, sequences)
    assert list(tmp_path.iterdir()) == []


def test_a_header_requires_distinct_head_names():
    with pytest.raises(CacheError, match="distinct names"):
        Header("body_25", (MOOD, MOOD))


def test_a_header_normalizes_the_layout_name():
    assert Header(" body_25 + face_70", HEADS) == BODY_AND_FACE
    with pytest.raises(ConfigError, match="body_26"):
        Header("body_26", HEADS)


# Damage


def flipped(content: bytes, bit: int) -> bytes:
    changed = bytearray(content)
    changed[bit // 8] ^= 1 << bit % 8
    return bytes(changed)


def test_a_flipped_bit_is_detected_or_harmless(path):
    content, truth, found = path.read_bytes(), everything_in(path), 0
    for bit in np.random.default_rng(5).choice(len(content) * 8, 200, replace=False).tolist():
        path.write_bytes(flipped(content, bit))
        try:
            assert everything_in(path) == truth, f"bit {bit}"
        except CacheError as error:
            assert str(path) in str(error)  # noqa: PT017 - either outcome is right
            found += 1
    assert found > 100


def test_every_flipped_bit_in_the_frames_is_detected(path):
    content = path.read_bytes()
    with h5py.File(path) as file:
        chunk = file["frames/keypoints"].id.get_chunk_info(0)
    for bit in np.random.default_rng(5).integers(0, chunk.size * 8, 30).tolist():
        path.write_bytes(flipped(content, chunk.byte_offset * 8 + bit))
        with pytest.raises(CacheError):
            everything_in(path)


def test_a_truncated_shard_is_detected(path):
    content = path.read_bytes()
    for length in [0, 1, 100, *np.linspace(500, len(content) - 1, 30).astype(int).tolist()]:
        path.write_bytes(content[:length])
        with pytest.raises(CacheError, match=path.name):
            open_shard(path)


@pytest.mark.parametrize("content", [b"", b"PK\3\4 not HDF5 at all", b"\x89HDF\r\n\x1a\n" + bytes(3000)])
def test_a_file_of_another_kind_is_refused(tmp_path, content):
    (tmp_path / "a.h5").write_bytes(content)
    with pytest.raises(CacheError, match=r"a\.h5: (empty|not an HDF5|truncated)"):
        open_shard(tmp_path / "a.h5")


def test_a_fifo_is_refused_without_blocking(tmp_path):
    os.mkfifo(tmp_path / "a.h5")
    with pytest.raises(CacheError, match="not a file"):
        open_shard(tmp_path / "a.h5")
