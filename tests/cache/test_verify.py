"""Verifying a cache: what is damaged is found and named, and nothing else."""

import errno
import os
import shlex
import subprocess
import sys
from pathlib import Path

import h5py
import numpy as np
import pytest
from click.testing import CliRunner
from small_caches import BODY, PROBLEM, a_cache, a_recording, a_sequence, rewritten

from skelemo.cache import hdf5, reading, shard_writer, verify
from skelemo.cache.chunk_reader import Chunks
from skelemo.cache.reading import damaged_sequences, read_sequences
from skelemo.cache.shard import Header, open_shard, write_shard
from skelemo.cache.shard_writer import complete, extract
from skelemo.cache.store import open_cache, shard_files
from skelemo.cli import main
from skelemo.errors import CacheError, UnreadableError


def flip(path, bit):
    content = bytearray(path.read_bytes())
    content[bit // 8] ^= 1 << bit % 8
    path.write_bytes(content)


def chunk_of(path, name, index=0):
    with h5py.File(path) as file:
        return file[name].id.get_chunk_info(index)


@pytest.fixture
def cache(tmp_path):
    """Three shards of two recordings each."""
    for index in range(3):
        names = [f"video {index}{letter}" for letter in "ab"]
        a_cache(tmp_path, *(a_sequence(name, 700) for name in names), recordings=[a_recording(name) for name in names])
    return tmp_path


def test_an_intact_cache_has_no_findings(cache):
    told = []
    assert verify.verify(cache, report=lambda *figures: told.append(figures)) == []
    size = sum(path.stat().st_size for path in shard_files(cache))
    assert told[-1] == (size, size)


def test_two_hundred_flipped_bits_are_each_detected(cache):
    path = shard_files(cache)[1]
    whole = path.read_bytes()
    for bit in np.random.default_rng(4).choice(len(whole) * 8, 200, replace=False).tolist():
        flip(path, bit)
        assert verify.check(path), f"bit {bit}"
        path.write_bytes(whole)


def test_every_truncation_is_detected(cache):
    path = shard_files(cache)[1]
    whole = path.read_bytes()
    for length in np.linspace(0, len(whole) - 1, 40).astype(int).tolist():
        path.write_bytes(whole[:length])
        assert verify.check(path).reason, f"cut to {length} bytes"


def test_a_damaged_chunk_is_reported_with_its_sequences_and_recordings(cache):
    path = shard_files(cache)[0]
    names = open_shard(path).sequences["id"].tolist()
    first = chunk_of(path, "frames/keypoints", 0)
    flip(path, (first.byte_offset + first.size // 2) * 8)
    (finding,) = verify.verify(cache)
    assert (finding.path, finding.reason) == (path, "")
    assert finding.sequences == finding.recordings == (names[0],), "the second sequence begins in the second chunk"


def test_an_unusable_shard_is_reported_with_the_reason(cache):
    path = shard_files(cache)[0]
    table = chunk_of(path, "sequences")
    flip(path, (table.byte_offset + table.size // 2) * 8)
    (finding,) = verify.verify(cache)
    assert finding == verify.Finding(path, "damaged: its bytes do not match the hash in the seal")


def test_a_misnamed_shard_is_damaged(cache):
    first, second, _ = shard_files(cache)
    first.write_bytes(second.read_bytes())
    (finding,) = verify.verify(cache)
    assert finding.path == first
    assert second.name in finding.reason
    (cache / "mine.h5").write_bytes(second.read_bytes())
    assert len(verify.verify(cache)) == 1, "a name of one's own claims nothing"


def test_a_shard_replaced_while_it_is_read_is_not_damaged(cache, monkeypatch):
    path, original = shard_files(cache)[1], verify.damaged_sequences

    def replaced_meanwhile(shard):
        if shard.path == path:
            path.unlink()
        return original(shard)

    monkeypatch.setattr(verify, "damaged_sequences", replaced_meanwhile)
    assert verify.verify(cache) == []


def test_threads_find_the_same_damage(cache):
    for path in shard_files(cache)[:2]:
        path.write_bytes(path.read_bytes()[:-50])
    alone = verify.verify(cache)
    assert verify.verify(cache, jobs=2) == alone
    assert len(alone) == 2


def test_sequences_of_any_length_are_checked(tmp_path, monkeypatch):
    monkeypatch.setattr(reading, "MOST_FRAMES", 64)
    sequences = [a_sequence(f"v{frames}", frames) for frames in (1, 30, 34, 64, 65, 700, 3, 128)]
    path = write_shard(tmp_path, BODY, sequences)
    assert damaged_sequences(open_shard(path)) == []
    for name, row, value, damaged in [
        ("keypoints", 3, 1.0, "v30"),
        ("keypoints", 500, 1.0, "v700"),
        ("labels/va", 400, 0.123, "v700"),
        ("number", 893, 10**6, "v700"),
        ("labels/expression", 896, 2, "v3"),
        ("labels/va", 0, float("inf"), "v1"),
    ]:
        with rewritten(path) as file:
            before = file["frames"][name][row]
            file["frames"][name][row] = value
        assert damaged_sequences(open_shard(path)) == [damaged]
        with rewritten(path) as file:
            file["frames"][name][row] = before


def test_memory_is_bounded(tmp_path):
    def shard(frames, sequences):
        nobody = np.zeros((frames, 95, 3), np.float32)
        nothing = {"expression": np.full(frames, -1), "valence": np.zeros(frames), "arousal": np.zeros(frames)}
        header = Header("body_25+face_70", BODY.heads)
        each = [a_sequence(str(index), frames, keypoints=nobody, **nothing) for index in range(sequences)]
        return write_shard(tmp_path, header, each)

    code = "import sys; from pathlib import Path; from skelemo.cache.verify import check\n"
    code += "for path in map(Path, sys.argv[1:]):\n"
    code += "    print(check(path), *(line for line in open('/proc/self/status') if line.startswith('VmHWM')))"
    shards = shard(100, 1), shard(16_000, 8)
    done = subprocess.run([sys.executable, "-c", code, *shards], capture_output=True, text=True, check=True)
    (found, _, before, _), (found_again, _, peak, _) = map(str.split, done.stdout.split("\n\n")[:2])
    assert found == found_again == "None"
    assert int(peak) - int(before) < 60_000, "the keypoints are 146 MB"


# What is said


@pytest.mark.parametrize(
    ("content", "reason"),
    [
        (lambda whole: b"", "empty"),
        (lambda whole: b"\x93NUMPY" * 1000, "not an HDF5 file"),
        (lambda whole: whole[:20], "truncated, or changed by another program: the seal at its end is missing"),
        (lambda whole: whole[:5000], "truncated, or changed by another program: the seal at its end is missing"),
        (lambda whole: whole[:-1], "truncated, or changed by another program: the seal at its end is missing"),
        (lambda whole: whole[:100] + b"x" + whole[101:], "damaged: its bytes do not match the hash in the seal"),
    ],
)
def test_unreadable_files_have_plain_reasons(cache, content, reason):
    path = shard_files(cache)[0]
    whole = path.read_bytes()
    path.write_bytes(content(whole))
    with pytest.raises(CacheError) as error:
        open_shard(path)
    assert str(error.value) == f"{path}: {reason}"
    assert verify.check(path).reason == reason


def test_the_suggested_quarantine_command_runs_in_a_shell(tmp_path):
    cache = a_cache(tmp_path / "Ann's cache", a_sequence("a"))
    (path,), opened = shard_files(cache), open_cache(cache)
    path.write_bytes(b"")
    uses = (lambda: open_cache(cache), opened.read, lambda: list(read_sequences(opened, np.array([True]))))
    for use in uses:
        with pytest.raises(CacheError) as error:
            use()
        said, command = str(error.value).split("; to set it aside before ingesting again: ")
        assert said.startswith(f"{path}: ")
        assert shlex.split(command) == ["skelemo", "cache", "verify", str(cache), "--quarantine"]
    with pytest.raises(CacheError) as error:
        open_shard(path)
    assert "--quarantine" not in str(error.value), "a file may lie anywhere"


@pytest.mark.parametrize(
    "number",
    [errno.EACCES, errno.EPERM, errno.EMFILE, errno.ENOMEM, errno.ESTALE, errno.ETIMEDOUT, errno.ENOTCONN],
)
def test_a_shard_without_permission_is_not_damaged(cache, monkeypatch, number):
    """As h5py tells it; whoever runs the tests may be one who may open everything."""
    path, original = shard_files(cache)[1], h5py.File

    def refusing(name, *rest, **how):
        if name == path:
            raise OSError(number, f"Unable to synchronously open file (unable to open file: errno = {number})")
        return original(name, *rest, **how)

    monkeypatch.setattr(h5py, "File", refusing)
    answer = CliRunner().invoke(main, ["cache", "verify", str(cache), "--quarantine"])
    assert answer.exit_code == 2
    assert f"{path}: cannot be opened ({os.strerror(number)}): fix that and try again" in answer.output
    assert "damaged" not in answer.output


@pytest.fixture
def closed(monkeypatch):
    """Names of shards that may not be opened."""
    names, original = set(), h5py.File

    def refusing(path, *rest, **how):
        if Path(path).name in names:
            raise PermissionError(errno.EACCES, "Permission denied")
        return original(path, *rest, **how)

    monkeypatch.setattr(h5py, "File", refusing)
    return names


def test_nothing_is_set_aside_before_all_shards_are_checked(cache, closed):
    first, second, third = shard_files(cache)
    closed.add(third.name)
    second.write_bytes(b"")
    answer = CliRunner().invoke(main, ["cache", "verify", str(cache), "--quarantine"])
    assert answer.exit_code == 2
    assert f"{third}: cannot be opened" in answer.stderr
    assert sorted(cache.iterdir()) == [first, second, third]


def test_an_unreadable_cache_does_not_prevent_checking_others(tmp_path, closed):
    good, bad, other = (a_cache(tmp_path / name, a_sequence(name)) for name in ("good", "bad", "other"))
    closed.add(shard_files(bad)[0].name)
    answer = CliRunner().invoke(main, ["cache", "verify", *map(str, (bad, good, other))])
    assert answer.exit_code == 2
    assert [f"{folder}: no damage" in answer.stdout for folder in (bad, good, other)] == [False, True, True]


def test_frames_without_permission_are_not_damaged(cache, monkeypatch):
    shard = open_shard(shard_files(cache)[0])

    def refused(*_, **__):
        raise PermissionError(errno.EACCES, "Permission denied")

    monkeypatch.setattr(Chunks, "read_into", refused)
    with pytest.raises(UnreadableError, match="Permission denied"):
        damaged_sequences(shard)


@pytest.mark.parametrize(
    ("error", "damaged"),
    [(MemoryError(), False), (OSError(errno.ESTALE, ""), False), (OSError(errno.EIO, ""), True)],
    ids=["no memory left", "a server that has forgotten the file", "a failing disk"],
)
def test_unreadable_frames_are_damaged_only_by_disk_errors(cache, monkeypatch, error, damaged):
    shard = open_shard(shard_files(cache)[0])

    def fails(*_, **__):
        raise error

    monkeypatch.setattr(Chunks, "read_into", fails)
    if damaged:
        assert len(damaged_sequences(shard)) == 2
    else:
        with pytest.raises(UnreadableError, match="fix that and try again"):
            damaged_sequences(shard)


def test_too_little_memory_for_the_frames_is_not_damage(cache, monkeypatch):
    shard, empty = open_shard(shard_files(cache)[0]), np.empty

    def fails_for_keypoints(shape, *rest, **how):
        if np.shape(shape) == (3,):
            raise MemoryError
        return empty(shape, *rest, **how)

    monkeypatch.setattr(np, "empty", fails_for_keypoints)
    with pytest.raises(UnreadableError, match="Cannot allocate memory"):
        damaged_sequences(shard)


def test_a_shard_of_a_later_version_is_not_damaged(cache):
    path = shard_files(cache)[0]
    with rewritten(path) as file:
        hdf5.write_attribute(file, "version", "3")
    with pytest.raises(UnreadableError, match="this skelemo reads 2: update it"):
        verify.verify(cache)


# Parts


def test_extracting_keeps_sequences_and_complete_recordings(tmp_path, monkeypatch):
    one, left, right = a_sequence("one"), *(a_sequence(f"talk_{side}", video="talk") for side in ("left", "right"))
    rows = [a_recording("one"), a_recording("talk"), a_recording("nobody")]
    path = write_shard(tmp_path, BODY, [one, left, right], rows, [PROBLEM])
    monkeypatch.setattr(shard_writer, "MOST_FRAMES", 7)
    (tmp_path / "part").mkdir()
    written = extract(open_shard(path), np.array([True, False, True]), tmp_path / "part", complete)
    assert len(written) == 2
    cache = open_cache(tmp_path / "part")
    truth = dict(zip(["one", "talk_right"], [one.sha256, right.sha256], strict=True))
    assert dict(zip(cache.sequences["id"], cache.sequences["sha256"], strict=True)) == truth
    assert sorted(cache.recordings["video"]) == ["nobody", "one"]
    assert len(cache.problems) == 1


def test_damaged_frames_are_not_extracted(cache):
    path = shard_files(cache)[0]
    with rewritten(path) as file:
        file["frames/labels/va"][3] = 0.5
    with pytest.raises(CacheError, match="is damaged"):
        extract(open_shard(path), np.array([True, True]), cache)


def test_adjacent_sequences_are_read_together_up_to_a_limit():
    places = [(0, 4), (4, 4), (8, 4), (12, 30), (42, 1), (50, 2), (52, 6), (58, 1)]  # start and length
    rows = [{"start": start, "length": length} for start, length in places]
    found = [[row["start"] for row in run] for run in reading.runs(rows, 8)]
    assert found == [[0, 4], [8], [12], [42], [50, 52], [58]]
