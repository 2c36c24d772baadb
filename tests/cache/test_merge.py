"""Merging caches and taking parts of them: what comes out is what went in, or nothing."""

import h5py
import numpy as np
import pytest
from click.testing import CliRunner
from small_caches import BODY, a_cache, a_recording, a_sequence, moods

from skelemo.cache import shard_writer
from skelemo.cache.merge import merge, subset
from skelemo.cache.reading import damaged_sequences
from skelemo.cache.shard import Header, open_shard
from skelemo.cache.store import open_cache, shard_files
from skelemo.cli import main
from skelemo.errors import CacheError, ConfigError
from skelemo.targets import Head

ONE, TWO, THREE = a_sequence("one", 5), a_sequence("two", 3, splits={"split": "test"}), a_sequence("three", 40)


def hashes(folder):
    rows = open_cache(folder).sequences
    return dict(zip(rows["id"], rows["sha256"], strict=True))


def files_of(folder):
    return {path: path.read_bytes() for path in sorted(folder.rglob("*")) if path.is_file()}


@pytest.fixture
def pair(tmp_path):
    """Two caches with `TWO` in both."""
    first = a_cache(tmp_path / "a", ONE, TWO, recordings=[a_recording("one"), a_recording("two")])
    problem = {"file": "three/9.json", "reason": "is empty"}
    rows = [a_recording("three"), a_recording("two")]
    second = a_cache(tmp_path / "b", TWO, THREE, recordings=rows, problems=[problem])
    return first, second


def test_a_merged_cache_has_every_sequence_once_unchanged(tmp_path, pair):
    done = merge(pair, tmp_path / "c")
    assert hashes(tmp_path / "c") == {one.id: one.sha256 for one in (ONE, TWO, THREE)}
    assert (done.sequences, done.frames, done.duplicates) == (3, 48, 1)
    cache = open_cache(tmp_path / "c")
    assert all(damaged_sequences(shard) == [] for shard in cache.shards)
    assert sorted(cache.recordings["video"]) == ["one", "three", "two"]
    assert cache.problems["file"].tolist() == ["three/9.json"]
    assert cache.hash == open_cache(pair).hash


def test_settings_and_simulated_flag_are_kept_per_sequence(tmp_path):
    real = a_cache(tmp_path / "a", ONE, header=Header("body_25", BODY.heads, settings={"person": "all"}))
    simulated = a_cache(tmp_path / "b", TWO, header=Header("body_25", BODY.heads, simulated=True))
    merge([real, simulated], tmp_path / "c")
    found = {shard.sequences["id"][0]: shard.header for shard in open_cache(tmp_path / "c").shards}
    assert found["one"].settings == {"person": "all"}
    assert (found["one"].simulated, found["two"].simulated) == (False, True)


def test_origins_are_kept_per_sequence(tmp_path):
    headers = [Header("body_25", BODY.heads, origin={"source": name}) for name in ("monday", "tuesday")]
    caches = [a_cache(tmp_path / one.id, one, header=header) for one, header in zip((ONE, TWO), headers, strict=True)]
    merge(caches, tmp_path / "c")
    found = {shard.sequences["id"][0]: shard.header.origin["source"] for shard in open_cache(tmp_path / "c").shards}
    assert found == {"one": "monday", "two": "tuesday"}


@pytest.mark.parametrize(
    ("header", "points", "message"),
    [
        (
            Header("body_25", moods("glad", "angry")),
            25,
            r"\[glad, angry\] in .*wrong.*\[glad, sad, calm\] in .*--classes",
        ),
        (Header("face_70", BODY.heads), 70, "layout"),
    ],
)
def test_incompatible_caches_are_refused(tmp_path, pair, header, points, message):
    one = a_sequence("other", points=points, expression=np.zeros(7, np.int8))
    wrong = a_cache(tmp_path / "wrong", one, header=header)
    with pytest.raises(CacheError, match=message):
        merge([pair[0], wrong], tmp_path / "c")
    assert not (tmp_path / "c").exists()


@pytest.mark.parametrize(
    ("first", "second"),
    [
        (Head("pain", "values", ("pain",), 0, 10), Head("pain", "values", ("pain",), 0, 1)),
        (Head("pain", "values", ("pain",)), Head("pain", "flags", ("pain",))),
        (Head("pain", "flags", ("AU4", "AU6")), Head("pain", "flags", ("AU6", "AU4"))),
    ],
)
def test_labels_of_another_range_kind_or_order_are_never_mixed(tmp_path, first, second):
    sources = []
    for name, head in (("a", first), ("b", second)):
        labels = np.ones((7, len(head)), np.int8 if head.kind == "flags" else np.float32)
        one = a_sequence(name, labels={"pain": labels})
        sources.append(a_cache(tmp_path / name, one, header=Header("body_25", (head,))))
    with pytest.raises(CacheError, match=r"pain is .* in .*, .* in .*: shards of a cache must agree"):
        merge(sources, tmp_path / "c")


def test_a_contradiction_names_both_shards_and_leaves_nothing(tmp_path, pair):
    other = a_cache(tmp_path / "other", a_sequence("two", 3, seed=9))
    for sources in ([*pair, other], [other, *pair]):
        with pytest.raises(CacheError, match=r"'two' differs between .*h5 and .*h5"):
            merge(sources, tmp_path / "c")
    assert sorted(path.name for path in tmp_path.iterdir()) == ["a", "b", "other"]


def test_a_subset_has_the_matching_sequences_unchanged_with_their_recordings(tmp_path, pair):
    done = subset(pair[1], ["video=th*"], tmp_path / "c")
    assert hashes(tmp_path / "c") == {"three": THREE.sha256}
    cache = open_cache(tmp_path / "c")
    assert cache.recordings.to_dict("records") == [a_recording("three")]
    assert cache.problems["file"].tolist() == ["three/9.json"]
    assert (done.sequences, done.frames) == (1, 40)
    subset(pair[1], ["split=test"], tmp_path / "d")
    assert len(open_cache(tmp_path / "d").problems) == 0


def test_small_shards_are_combined(tmp_path, monkeypatch):
    monkeypatch.setattr(shard_writer, "MOST_FRAMES", 20)
    sequences = [a_sequence(f"video {index}", frames) for index, frames in enumerate((8, 1, 11, 30, 2, 9, 4))]
    for one in sequences:
        a_cache(tmp_path / "many", one)
    merge([tmp_path / "many"], tmp_path / "few")
    assert hashes(tmp_path / "few") == {one.id: one.sha256 for one in sequences}
    sizes = [open_shard(path).frames for path in shard_files(tmp_path / "few")]
    assert len(sizes) < 6
    assert all(size <= 20 for size in sizes if size != 30)


def test_existing_output_is_not_overwritten(tmp_path, pair):
    (tmp_path / "full").mkdir()
    (tmp_path / "full" / "thesis.tex").write_text("\\end{document}")
    before = files_of(tmp_path)
    for out in (pair[0], pair[0] / "below", tmp_path / "full", tmp_path / "full" / "thesis.tex"):
        with pytest.raises(CacheError, match="choose another --out"):
            merge(pair, out)
        with pytest.raises(CacheError, match="choose another --out"):
            subset(pair[0], ["id=one"], out)
    assert files_of(tmp_path) == before


def test_a_damaged_source_leaves_nothing(tmp_path, pair):
    path = shard_files(pair[1])[0]
    with h5py.File(path) as file:
        middle = file["frames/keypoints"].id.get_chunk_info(0).byte_offset + 1000
    content = bytearray(path.read_bytes())
    content[middle] ^= 1
    path.write_bytes(content)
    with pytest.raises(CacheError, match=path.name):
        merge(pair, tmp_path / "c")
    assert sorted(folder.name for folder in tmp_path.iterdir()) == ["a", "b"]


def test_no_match_is_an_error(tmp_path, pair):
    with pytest.raises(CacheError, match="a: no sequence matches video=nobody"):
        subset(pair[0], ["video=nobody"], tmp_path / "c")
    with pytest.raises(ConfigError, match="vidoe"):
        subset(pair[0], ["vidoe=one"], tmp_path / "c")


def test_an_empty_folder_is_accepted_and_progress_reported(tmp_path, pair):
    (tmp_path / "c").mkdir()
    told = []
    merge(pair, tmp_path / "c", lambda *done: told.append(done))
    assert told[-1] == (48, 48)
    assert len(hashes(tmp_path / "c")) == 3


def test_the_commands_merge_and_subset(tmp_path, pair):
    def run(*words):
        return CliRunner().invoke(main, ["cache", *map(str, words)])

    merged = run("merge", *pair, "--out", tmp_path / "c")
    assert "3 sequences, 48 frames" in merged.output, merged.output
    assert "; 1 duplicate\n" in merged.output
    taken = run("subset", tmp_path / "c", "--only", "id=t*", "--only", "split=test", "--out", tmp_path / "d")
    assert "1 sequence, 3 frames" in taken.output, taken.output
    assert run("merge", *pair, "--out", pair[0]).exit_code == 2


def test_problems_follow_their_own_recording_despite_a_common_prefix(tmp_path):
    videos = ("v1", "v10", "v1_b")
    files = [
        "v1_000000000004_keypoints.json",
        "v10/v10_000000000001_keypoints.json",
        "v1_b_000000000002_keypoints.json",
    ]
    whole = a_cache(
        tmp_path / "a",
        *(a_sequence(video, video=video) for video in videos),
        recordings=[a_recording(video) for video in videos],
        problems=[{"file": file, "reason": "is empty"} for file in (*files, "elsewhere.tar")],
    )
    for video, file in zip(videos, files, strict=True):
        subset(whole, [f"video={video}"], tmp_path / video)
        assert sorted(open_cache(tmp_path / video).problems["file"]) == sorted([file, "elsewhere.tar"])
