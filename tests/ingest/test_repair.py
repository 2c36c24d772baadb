"""Repairing a cache: it says again what it said, and only what was damaged is read again."""

import errno
import fcntl
import json
import os

import h5py
import numpy as np
import pytest
from click.testing import CliRunner
from small_caches import a_cache, a_sequence

from skelemo.cache.cache import open_cache, shard_files
from skelemo.cache.extract import untorn, write_part
from skelemo.cache.shard import Header, open_shard
from skelemo.cache.verify import verify
from skelemo.cli import main
from skelemo.errors import CacheError, ConfigError, InputError, UnreadableError
from skelemo.formats.importing import import_keypoints
from skelemo.ingest import batching as grouping
from skelemo.ingest import repair as repairing
from skelemo.ingest import worker as worker_module
from skelemo.ingest.plan import Settings, make_plan
from skelemo.ingest.repair import repair
from skelemo.ingest.run import ingest

VIDEOS = ("a", "b", "c", "d", "talk")


@pytest.fixture
def source(tmp_path, write_recording):
    """Four recordings of one person and one of two, with labels."""
    for index, name in enumerate(VIDEOS[:4]):
        write_recording(name, [[(100.0 + 10 * index, 100.0 + frame)] for frame in range(5)])
    write_recording("talk", [[(100, 100), (600, 100)]] * 5)
    rows = [*(f"{name},,s{name},happy" for name in VIDEOS[:4]), "talk,left,anna,happy", "talk,right,ben,sad"]
    (tmp_path / "labels.csv").write_text("\n".join(["video,person,subject,label", *rows]) + "\n")
    return tmp_path / "json"


@pytest.fixture
def labels(tmp_path):
    return f"table:{tmp_path / 'labels.csv'}"


@pytest.fixture
def cache(tmp_path, source, labels, monkeypatch):
    """Three shards: a and b, c and d, talk."""
    monkeypatch.setattr(grouping, "GROUP_FILES", 10)
    out = tmp_path / "cache"
    ingest(make_plan(source, out, labels, Settings(person="largest")))
    assert len(shard_files(out)) == 3
    return out


@pytest.fixture
def read(monkeypatch):
    """Names of the recordings that are read from here on."""
    names = []
    original = worker_module.read_people

    def noted(recording, *rest, **how):
        names.append(recording.name)
        return original(recording, *rest, **how)

    monkeypatch.setattr(worker_module, "read_people", noted)
    return names


def shard_of(cache, name):
    return next(path for path in shard_files(cache) if name in set(open_shard(path).sequences["id"]))


def spoil(path, name):
    """Change a frame of a sequence under a right checksum."""
    start = open_shard(path).sequences.set_index("id").loc[name, "start"]
    with h5py.File(path, "r+", libver=("v110", "v110")) as file:
        file["frames/keypoints"][start, 3, 0] += 1


def cut(path):
    path.write_bytes(path.read_bytes()[:-100])


def break_table(path, table):
    with h5py.File(path) as file:
        chunk = file[table].id.get_chunk_info(0)
    content = bytearray(path.read_bytes())
    content[chunk.byte_offset + chunk.size // 2] ^= 16
    path.write_bytes(content)


@pytest.mark.parametrize(
    ("damage", "read_again"),
    [
        (lambda path: spoil(path, "c"), ["c"]),
        (lambda path: (spoil(path, "c"), spoil(path, "d")), ["c", "d"]),
        (cut, ["c", "d"]),
        (lambda path: break_table(path, "sequences"), ["c", "d"]),
        (lambda path: break_table(path, "recordings"), ["c", "d"]),
        (lambda path: path.write_bytes(b""), ["c", "d"]),
    ],
    ids=["a frame", "two frames", "a truncation", "the sequences", "the recordings", "everything"],
)
def test_what_is_damaged_and_nothing_else_is_read_again(cache, source, labels, read, damage, read_again):
    truth, recordings = open_cache(cache).hash, sorted(open_cache(cache).recordings["source"])
    path, untouched = shard_of(cache, "c"), shard_of(cache, "talk_left").stat()
    damage(path)
    findings = verify(cache)
    assert [finding.path for finding in findings] == [path]
    done = repair(cache, findings, source, labels)
    assert read == read_again
    assert done.lost == ()
    assert [one.name for one in done.aside] == [f"{path.name}.damaged"]
    assert verify(cache) == []
    assert open_cache(cache).hash == truth
    assert sorted(open_cache(cache).recordings["source"]) == recordings
    assert make_plan(source, cache, labels, Settings(person="largest")).tasks == (), "an ingest finds nothing to do"
    assert shard_of(cache, "talk_left").stat().st_mtime_ns == untouched.st_mtime_ns
    assert not list(cache.glob(".repair*"))


def test_one_of_two_people_is_read_again_and_the_other_is_not_written_as_another(cache, source, labels, read):
    truth = open_cache(cache).hash
    spoil(shard_of(cache, "talk_right"), "talk_right")
    done = repair(cache, verify(cache), source, labels)
    assert (read, done.lost) == (["talk"], ())
    assert open_cache(cache).hash == truth


def test_every_shard_damaged_is_repaired_as_long_as_one_tells_how(cache, source, labels, read):
    truth = open_cache(cache).hash
    for path in shard_files(cache):
        break_table(path, "sequences")
    done = repair(cache, verify(cache), source, labels)
    assert (sorted(read), done.lost) == (list(VIDEOS), ())
    assert open_cache(cache).hash == truth


def test_a_cache_that_tells_nothing_any_more_is_ingested_by_hand(cache, source, labels):
    for path in shard_files(cache):
        cut(path)
    with pytest.raises(CacheError, match="no longer tells how it was ingested, and there is no other shard"):
        repair(cache, verify(cache), source, labels)
    assert len(shard_files(cache)) == 3


def test_a_sequence_in_another_shard_too_needs_no_source(cache, source, labels, read, tmp_path):
    path = shard_of(cache, "a")
    ingest(make_plan(source, tmp_path / "more", labels, Settings(person="largest", fps=0.0, body_model="body_25")))
    for extra in shard_files(tmp_path / "more"):
        os.replace(extra, cache / extra.name)
    read.clear()
    truth = open_cache(cache).hash
    spoil(path, "a")
    done = repair(cache, verify(cache), source, labels)
    assert (read, done.lost) == ([], ())
    assert open_cache(cache).hash == truth


def test_what_the_source_no_longer_has_is_named_and_its_shard_stays(cache, source, labels):
    path = shard_of(cache, "c")
    cut(path)
    for file in source.glob("c_*"):
        file.unlink()
    for file in source.glob("d_*"):
        file.write_text("{")
    done = repair(cache, verify(cache), source, labels)
    assert done.aside == ()
    failed, uncompared = done.lost
    assert "d is not read again" in failed, "that there was a c is nowhere to be read"
    assert "cannot be compared" in uncompared
    assert path.exists()


def test_a_partly_damaged_shard_whose_source_is_gone_keeps_what_is_healthy(cache, source, labels):
    path = shard_of(cache, "c")
    spoil(path, "c")
    for file in source.glob("c_*"):
        file.unlink()
    done = repair(cache, verify(cache), source, labels)
    assert done.lost == (f"{path.name}: c is not read again: {source} has no such recording",)
    path.unlink()
    assert sorted(open_cache(cache).sequences["id"]) == ["a", "b", "d", "talk_left", "talk_right"]


def test_a_sequence_that_does_not_come_again_is_named_though_its_shard_tells_no_recordings(cache, source, labels):
    path = shard_of(cache, "c")
    break_table(path, "recordings")
    for file in source.glob("c_*"):
        file.unlink()
    done = repair(cache, verify(cache), source, labels)
    assert done.lost == (f"{path.name}: c is not read again: {source} has no such recording",)
    assert done.aside == ()
    assert path.exists()


def test_a_sequence_is_read_again_though_another_shard_has_its_recording(cache, source, labels, tmp_path, read):
    path = shard_of(cache, "talk_left")
    truth, (left,) = open_cache(cache).hash, write_part(open_shard(path), np.array([True, False]), tmp_path, untorn)
    os.replace(left, cache / left.name)
    break_table(path, "recordings")
    read.clear()
    assert repair(cache, verify(cache), source, labels).lost == ()
    assert read == ["talk"]
    assert open_cache(cache).hash == truth


def test_a_source_that_has_changed_is_not_taken_for_the_old_one(cache, source, labels, write_recording):
    path = shard_of(cache, "c")
    spoil(path, "c")
    write_recording("c", [[(300.0, 100.0)]] * 5)
    done = repair(cache, verify(cache), source, labels)
    assert "sequence c comes out other than it was written" in done.lost[0]
    assert path.exists()
    assert [finding.damaged for finding in verify(cache)] == [("c",)]


def test_other_labels_or_another_source_are_said(cache, source, labels, tmp_path, write_recording):
    path = shard_of(cache, "c")
    whole = path.read_bytes()
    cut(path)
    with pytest.raises(ConfigError, match="the cache is labelled: say --labels"):
        repair(cache, verify(cache), source, None)
    write_recording("x", [[(1.0, 1.0)]], folder="elsewhere")
    (tmp_path / "other.csv").write_text("video,label\nx,happy\n")
    with pytest.raises(ConfigError, match="none of the recordings that the cache holds"):
        repair(cache, verify(cache), tmp_path / "elsewhere", f"table:{tmp_path / 'other.csv'}")
    path.write_bytes(whole)
    spoil(path, "c")
    assert "comes out other" in repair(cache, verify(cache), source, None).lost[0]


def test_a_repair_that_fails_leaves_nothing(cache, source, labels, monkeypatch):
    spoil(shard_of(cache, "c"), "c")
    before = sorted(path.name for path in cache.iterdir())
    with pytest.raises(InputError, match="nowhere"):
        repair(cache, verify(cache), source / "nowhere", labels)
    assert sorted(path.name for path in cache.iterdir()) == before
    spoil(shard_of(cache, "d"), "d")

    def full(_, target):
        target.write_bytes(b"half")
        raise OSError(errno.ENOSPC, "No space left on device")

    monkeypatch.setattr("shutil.copyfile", full)
    with pytest.raises(CacheError, match="damaged: cannot be written"):
        repair(cache, verify(cache), source, labels)
    assert sorted(path.name for path in cache.iterdir()) == before


@pytest.mark.parametrize(
    "damage",
    [lambda path: os.truncate(path, 300), lambda path: break_table(path, "sequences")],
    ids=["unknown recordings", "known recordings"],
)
def test_other_content_does_not_take_the_place_of_what_no_hash_is_left_of(cache, source, labels, tmp_path, damage):
    path, before = shard_of(cache, "c"), sorted(file.name for file in cache.iterdir())
    damage(path)
    wound = path.read_bytes()
    sad = tmp_path / "sad.csv"
    sad.write_text((tmp_path / "labels.csv").read_text().replace("happy", "sad"))
    answer = call(cache, "--repair", source, "--labels", f"table:{sad}")
    assert answer.exit_code == 1
    (line,) = [line for line in answer.output.splitlines() if line.startswith(f"{path.name}: ")]
    assert "cannot be compared with what was written" in line
    assert f"rename the file to {path.name}.damaged and run skelemo ingest {source} --out {cache}" in line
    assert sorted(file.name for file in cache.iterdir()) == before
    assert path.read_bytes() == wound
    assert call(cache, "--repair", source, "--labels", labels).exit_code == 0


def test_what_cannot_be_compared_is_ingested_again_as_its_line_says(cache, source, labels, write_recording):
    path = shard_of(cache, "c")
    write_recording("bb", [[(1.0, 1.0)]] * 5)  # from now on, groups are others
    os.truncate(path, 300)
    (line,) = repair(cache, verify(cache), source, labels).lost
    assert "cannot be compared" in line
    path.rename(f"{path}.damaged")
    ingest(make_plan(source, cache, labels, Settings(person="largest")))
    assert verify(cache) == []
    assert set(open_cache(cache).sequences["id"]) == {"a", "b", "bb", "c", "d", "talk_left", "talk_right"}


def test_a_source_that_was_copied_without_its_dates_is_given_as_a_cause(cache, source, labels):
    path = shard_of(cache, "c")
    for file in source.iterdir():
        os.utime(file)
    os.truncate(path, 300)
    (line,) = repair(cache, verify(cache), source, labels).lost
    assert "(its files or their dates, --labels or skelemo have changed, or it was ingested in other parts)" in line
    assert path.exists()


def test_a_shard_that_tells_its_recordings_is_compared_however_they_were_grouped(cache, source, labels, monkeypatch):
    truth, path = open_cache(cache).hash, shard_of(cache, "c")
    monkeypatch.setattr(grouping, "GROUP_FILES", 1)
    break_table(path, "sequences")
    done = repair(cache, verify(cache), source, labels)
    assert (done.lost, [one.name for one in done.aside]) == ((), [f"{path.name}.damaged"])
    assert open_cache(cache).hash == truth


def test_shards_damaged_in_different_ways_are_repaired_at_once(cache, source, labels, read):
    truth = open_cache(cache).hash
    first, second, third = (shard_of(cache, name) for name in ("a", "c", "talk_left"))
    spoil(first, "a")
    break_table(second, "sequences")
    os.truncate(third, 300)
    done = repair(cache, verify(cache), source, labels)
    assert (sorted(read), done.lost, len(done.aside)) == (["a", "c", "d", "talk"], (), 3)
    assert open_cache(cache).hash == truth


def test_a_recording_that_never_could_be_read_does_not_hinder_a_repair(cache, source, labels, tmp_path):
    (source / "e_000000000000_keypoints.json").write_text("{")
    path, truth = shard_of(cache, "talk_left"), open_cache(cache).hash
    os.truncate(path, 300)
    assert repair(cache, verify(cache), source, labels).lost == ()
    assert open_cache(cache).hash == truth


def test_nor_does_it_where_sequences_are_known_that_now_come_in_other_shards(cache, source, labels, monkeypatch):
    (source / "e_000000000000_keypoints.json").write_text("{")
    path, truth = shard_of(cache, "c"), open_cache(cache).hash
    monkeypatch.setattr(grouping, "GROUP_FILES", 1)
    break_table(path, "recordings")
    done = repair(cache, verify(cache), source, labels)
    assert (done.lost, [one.name for one in done.aside]) == ((), [f"{path.name}.damaged"])
    assert open_cache(cache).hash == truth


def test_a_shard_under_the_name_of_another_gets_its_own_content_back(cache, source, labels):
    truth, path, other = open_cache(cache).hash, shard_of(cache, "c"), shard_of(cache, "a")
    whole = path.read_bytes()
    path.write_bytes(other.read_bytes())
    assert repair(cache, verify(cache), source, labels).lost == ()
    assert open_cache(cache).hash == truth
    assert path.read_bytes() == whole


def test_a_damaged_shard_that_an_ingest_has_replaced_is_passed_over(cache, source, labels, read):
    path, other = shard_of(cache, "c"), shard_of(cache, "a")
    spoil(path, "c")
    spoil(other, "a")
    findings = verify(cache)
    path.unlink()
    read.clear()
    done = repair(cache, findings, source, labels)
    assert (done.lost, read) == ((), ["a"])
    assert [one.name for one in done.aside] == [f"{other.name}.damaged"]


@pytest.mark.parametrize("no_longer_in_the_source", ["", "d"])
def test_so_is_one_that_goes_while_its_recordings_are_read(cache, source, labels, monkeypatch, no_longer_in_the_source):
    path, original = shard_of(cache, "c"), repairing.ingest
    spoil(path, "c")
    spoil(path, "d")
    for file in source.glob(f"{no_longer_in_the_source}_*"):
        file.unlink()
    findings = verify(cache)

    def replacing(*plan, **how):
        path.unlink()
        return original(*plan, **how)

    monkeypatch.setattr(repairing, "ingest", replacing)
    done = repair(cache, findings, source, labels)
    assert (done.lost, done.aside) == ((), ())


def test_a_damaged_shard_that_cannot_be_opened_just_now_is_not_set_aside(cache, source, labels, monkeypatch):
    path, original = shard_of(cache, "c"), h5py.File
    spoil(path, "c")
    findings, before = verify(cache), sorted(cache.iterdir())

    def refusing(name, *rest, **how):
        if name == path:
            raise OSError(errno.ENFILE, "Too many open files in system")
        return original(name, *rest, **how)

    monkeypatch.setattr(h5py, "File", refusing)
    with pytest.raises(UnreadableError, match="Too many open files"):
        repair(cache, findings, source, labels)
    assert sorted(cache.iterdir()) == before


def test_one_repair_at_a_time(cache, source, labels):
    cut(shard_of(cache, "c"))
    lock = os.open(cache, os.O_RDONLY)
    fcntl.flock(lock, fcntl.LOCK_EX)
    with pytest.raises(CacheError, match="another process is repairing it"):
        repair(cache, verify(cache), source, labels)
    os.close(lock)
    (cache / ".repair").mkdir()
    (cache / ".repair" / "left by a killed one").write_text("")
    assert repair(cache, verify(cache), source, labels).lost == ()


# The verb


def call(*words):
    return CliRunner().invoke(main, ["cache", "verify", *map(str, words)])


def test_the_verb_names_damage_repairs_it_and_exits_by_what_remains(cache, source, labels):
    assert (call(cache).exit_code, "whole" in call(cache).output) == (0, True)
    path = shard_of(cache, "c")
    spoil(path, "c")
    answer = call(cache)
    assert answer.exit_code == 1
    assert path.name in answer.output
    answer = call(cache, "--repair", source, "--labels", labels)
    assert answer.exit_code == 0, answer.output
    assert "set aside" in answer.output
    assert call(cache).exit_code == 0
    cut(shard_of(cache, "a"))
    assert call(cache, "--repair", source).exit_code == 2
    assert call(cache / "nowhere").exit_code == 2
    assert call(cache, "--labels", "folders").exit_code == 2
    assert call(cache, cache, "--repair", source).exit_code == 2


def test_shards_that_contradict_each_other_are_an_error(cache, tmp_path, source, write_recording):
    write_recording("a", [[(300.0, 100.0)]] * 5, folder="other")
    ingest(make_plan(tmp_path / "other", tmp_path / "second", None, Settings()))
    (extra,) = shard_files(tmp_path / "second")
    os.replace(extra, cache / extra.name)
    answer = call(cache)
    assert answer.exit_code == 2
    assert "'a' differs between" in answer.output


def test_an_imported_cache_is_to_be_imported_again(tmp_path):
    made = tmp_path / "made.json"
    made.write_text(json.dumps([{"image_id": 0, "keypoints": [50.0, 60.0, 0.9] * 133}]))
    import_keypoints(made, "coco_wholebody", tmp_path / "cache")
    (path,) = shard_files(tmp_path / "cache")
    spoil(path, "made")
    answer = call(tmp_path / "cache", "--repair", made)
    assert answer.exit_code == 2
    assert f"{path}: it was imported from coco_wholebody" in answer.output
    assert f"skelemo cache import {made} --from coco_wholebody --out NEW" in answer.output


def test_a_cache_that_no_ingest_of_this_version_has_made_is_said(tmp_path, source):
    cache = a_cache(
        tmp_path / "cache",
        a_sequence("a", expression=np.zeros(7, np.int8)),
        header=Header("body_25", ("glad",), settings={"foo": 1}),
    )
    spoil(shard_of(cache, "a"), "a")
    with pytest.raises(CacheError, match="its settings are not those of an ingest by this version"):
        repair(cache, verify(cache), source, None)
