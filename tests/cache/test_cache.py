"""A cache: whatever shards and folders it is spread over, it says the same."""

from pathlib import Path

import numpy as np
import pytest
from small_caches import BODY, CLASSES, HEADS, a_cache, a_recording, a_sequence, moods

from skelemo.cache import store as cache_module
from skelemo.cache.shard import Header, open_shard, write_shard
from skelemo.cache.store import find_caches, open_cache, shard_files
from skelemo.errors import CacheError
from skelemo.targets import Head

SEQUENCES = [a_sequence(f"video {index}", frames) for index, frames in enumerate((5, 1, 30, 2, 600))]


def spread(folder, *groups, header=BODY):
    """A cache with one shard for each group of positions in `SEQUENCES`."""
    for group in groups:
        a_cache(folder, *(SEQUENCES[index] for index in group), header=header)
    return folder


def assert_holds(cache, sequences):
    """The cache holds exactly these sequences, each with its frames in its place."""
    frames = cache.read()
    assert sorted(cache.sequences["id"]) == sorted(one.id for one in sequences)
    assert cache.frames == len(frames.number) == sum(map(len, sequences))
    known = {one.id: one for one in sequences}
    for row in cache.sequences.to_dict("records"):
        one, here = known[row["id"]], slice(row["start"], row["start"] + row["length"])
        for name, expected in one.frame_arrays().items():
            held = frames.labels[name.removeprefix("labels/")] if "/" in name else getattr(frames, name)
            assert np.array_equal(held[here], expected, equal_nan=True), f"{row['id']} {name}"


@pytest.mark.parametrize(
    "groups",
    [
        [[0, 1, 2, 3, 4]],
        [[0, 1], [2], [3, 4]],
        [[0], [1], [2], [3], [4]],
        [[4, 2, 0], [3, 1]],
        [[0, 1, 2], [1, 2, 3], [4, 0]],
        [[0, 1, 2, 3, 4], [4, 3, 2, 1, 0]],
        [[2, 0, 1], [1, 3], [0, 4, 3]],
    ],
)
def test_a_cache_is_the_union_of_its_shards(tmp_path, groups):
    cache = open_cache(spread(tmp_path, *groups))
    assert_holds(cache, SEQUENCES)
    starts, lengths = cache.sequences["start"].tolist(), cache.sequences["length"].tolist()
    assert starts == [sum(lengths[:index]) for index in range(5)]
    whole = open_cache(spread(tmp_path / "whole", [0, 1, 2, 3, 4]))
    assert cache.hash == whole.hash


def test_opening_retries_when_an_ingest_replaces_a_shard(tmp_path, monkeypatch):
    spread(tmp_path, [0, 1], [2])
    outdated = min(tmp_path.glob("*.h5"), key=lambda path: len(cache_module.open_shard(path).sequences))

    def taken_out_before(path):
        if outdated.exists():
            outdated.unlink()
            spread(tmp_path, [3])
        return open_shard(path)

    monkeypatch.setattr(cache_module, "open_shard", taken_out_before)
    assert_holds(open_cache(tmp_path), [SEQUENCES[index] for index in (0, 1, 3)])


def test_an_unreadable_folder_is_reported_among_the_caches(tmp_path, monkeypatch):
    spread(tmp_path / "a", [0])
    (tmp_path / "closed").mkdir()
    (tmp_path / "empty").mkdir()
    listed = Path.iterdir

    def closed(folder):
        if folder.name == "closed":
            raise PermissionError(13, "Permission denied", str(folder))
        return listed(folder)

    monkeypatch.setattr(Path, "iterdir", closed)
    assert find_caches(tmp_path) == [tmp_path / "a", tmp_path / "closed"]
    with pytest.raises(CacheError, match=r"closed: cannot be listed \(Permission denied\)"):
        open_cache(tmp_path / "closed")


def test_several_folders_open_as_one_cache(tmp_path):
    folders = [spread(tmp_path / "a", [0, 1]), spread(tmp_path / "b", [1, 2], [3]), spread(tmp_path / "c", [4])]
    cache = open_cache(folders)
    assert_holds(cache, SEQUENCES)
    assert cache.name == "a + b + c"
    assert cache.hash == open_cache(folders[::-1]).hash
    assert_holds(open_cache([folders[0], folders[0]]), SEQUENCES[:2])


def test_the_hash_depends_on_sequences_and_classes(tmp_path):
    all_of_them = open_cache(spread(tmp_path / "a", [0, 1, 2])).hash
    assert open_cache(spread(tmp_path / "b", [0, 1])).hash != all_of_them
    other = Header("body_25", moods("glad", "sad", "angry"))
    assert open_cache(spread(tmp_path / "c", [0, 1, 2], header=other)).hash != all_of_them


def test_shards_with_different_settings_or_simulated_shards_can_be_joined(tmp_path):
    spread(tmp_path, [0], header=Header("body_25", HEADS, settings={"person": "all"}))
    assert not open_cache(tmp_path).simulated
    spread(tmp_path, [1], header=Header("body_25", HEADS, simulated=True))
    assert_holds(open_cache(tmp_path), SEQUENCES[:2])
    assert open_cache(tmp_path).simulated


def test_a_contradiction_names_both_files(tmp_path):
    first = write_shard(tmp_path, BODY, [SEQUENCES[0], SEQUENCES[1]])
    second = write_shard(tmp_path, BODY, [a_sequence("video 1", 1, seed=9)])
    with pytest.raises(CacheError, match="'video 1' differs between") as error:
        open_cache(tmp_path)
    assert str(first) in str(error.value)
    assert str(second) in str(error.value)


@pytest.mark.parametrize(
    ("header", "points", "message"),
    [
        (Header("face_70", HEADS), 70, "has the layout (face_70|body_25), .* (body_25|face_70): shards"),
        (
            Header("body_25", moods(*CLASSES[::-1])),
            25,
            r"expression is classes \[(calm|glad), sad, (calm|glad)\] in .*, classes \[",
        ),
    ],
)
def test_incompatible_shards_are_refused(tmp_path, header, points, message):
    first = write_shard(tmp_path, BODY, SEQUENCES[:1])
    second = write_shard(tmp_path, header, [a_sequence("other", points=points)])
    with pytest.raises(CacheError, match=message) as error:
        open_cache(tmp_path)
    assert str(first) in str(error.value)
    assert str(second) in str(error.value)


def test_recordings_and_problems_are_counted_once(tmp_path):
    problem = {"file": "one/3.json", "reason": "empty"}
    write_shard(tmp_path, BODY, SEQUENCES[:1], [a_recording("video 0")], [problem])
    write_shard(
        tmp_path, BODY, SEQUENCES[:2], [a_recording("video 0"), a_recording("video 1", fingerprint="0")], [problem]
    )
    cache = open_cache(tmp_path)
    assert sorted(cache.recordings["video"]) == ["video 0", "video 1"]
    assert cache.problems.to_dict("records") == [problem]
    assert cache.fingerprints == {"video 0": {"f" * 32}, "video 1": {"0"}}


def test_a_cache_without_sequences_is_empty(tmp_path):
    cache = open_cache(a_cache(tmp_path, recordings=[a_recording()]))
    assert cache.frames == 0
    assert cache.read().keypoints.shape == (0, 25, 3)
    assert len(cache.recordings) == 1


def test_a_folder_without_shards_is_refused(tmp_path):
    with pytest.raises(CacheError, match="no such cache"):
        open_cache(tmp_path / "nothing")
    with pytest.raises(CacheError, match="no shard"):
        open_cache(tmp_path)
    with pytest.raises(CacheError, match="no cache given"):
        open_cache([])


def test_a_damaged_shard_is_named(tmp_path):
    spread(tmp_path, [0], [1, 2], [3])
    damaged = shard_files(tmp_path)[1]
    damaged.write_bytes(damaged.read_bytes()[:2000])
    with pytest.raises(CacheError, match=damaged.name):
        open_cache(tmp_path)


def test_damage_after_opening_is_detected(tmp_path):
    cache = open_cache(spread(tmp_path, [0], [1, 2], [3]))
    damaged = shard_files(tmp_path)[1]
    damaged.write_bytes(bytes(damaged.stat().st_size))
    with pytest.raises(CacheError, match=damaged.name):
        cache.read()


def test_partial_and_hidden_files_are_ignored(tmp_path):
    spread(tmp_path, [0, 1])
    (tmp_path / ".partial-0123").write_bytes(b"half")
    (tmp_path / "._one.h5").write_bytes(b"left by a Mac")
    (tmp_path / "problems.csv").write_text("file,reason\n")
    assert_holds(open_cache(tmp_path), SEQUENCES[:2])


def test_caches_are_found_in_a_folder_or_directly_below_it(tmp_path):
    first, second = spread(tmp_path / "a", [0]), spread(tmp_path / "b", [1])
    (tmp_path / "empty").mkdir()
    (tmp_path / "empty" / "._one.h5").write_bytes(b"left by a Mac")
    assert find_caches(tmp_path) == [first, second]
    assert find_caches(second) == [second]
    with pytest.raises(CacheError, match="no shard"):
        find_caches(tmp_path / "empty")
    with pytest.raises(CacheError, match="no such cache"):
        find_caches(tmp_path / "nothing")


def test_labels_are_attributes_of_the_frames_by_head_and_by_output(tmp_path):
    frames = open_cache(spread(tmp_path, [0])).read()
    assert frames.expression is frames.labels["expression"]
    assert np.array_equal(frames.arousal, frames.labels["va"][:, 1], equal_nan=True)
    with pytest.raises(AttributeError, match="no head or output 'pain'; heads are expression, va"):
        frames.pain  # noqa: B018


def test_a_run_folder_is_not_taken_for_a_cache(tmp_path):
    (tmp_path / "config.yaml").write_text("epochs: 1\n")
    with pytest.raises(CacheError, match=r"is a run folder: name a cache"):
        open_cache(tmp_path)


@pytest.mark.parametrize("seed", range(4))
def test_the_order_of_sequences_does_not_depend_on_shard_names(tmp_path, seed):
    for name in ("10", "9", "2", "30"):  # what was read when is part of a shard's name
        a_cache(tmp_path, a_sequence(name), recordings=[a_recording(name, fingerprint=f"{seed}" * 32)])
    assert list(open_cache(tmp_path).sequences["id"]) == ["2", "9", "10", "30"]


def test_selected_sequences_have_their_own_frames_and_counts_in_the_given_order(tmp_path):
    spread(tmp_path, [0, 2], [3, 1])
    cache = open_cache(tmp_path)
    chosen = cache.only(np.array([3, 0, 1]))
    assert list(chosen.sequences["id"]) == ["video 1", "video 0", "video 2"]
    assert chosen.sequences["start"].tolist() == [0, 1, 6]
    assert chosen.counts.seen.tolist() == [1, 5, 30]
    expected = np.concatenate([SEQUENCES[index].keypoints for index in (1, 0, 2)])
    np.testing.assert_array_equal(chosen.read().keypoints, expected)


def test_a_few_sequences_are_read_into_arrays_of_their_own(tmp_path):
    spread(tmp_path, [0, 2], [3, 1])
    cache = open_cache(tmp_path)
    first, last = int(cache.sequences["start"][1]), int(cache.sequences["start"][3])
    whole, part = cache.read(), cache.only(np.array([1, 2])).allocate()
    cache.read_into(part, 1, 3, offset=first)
    np.testing.assert_array_equal(part.keypoints, whole.keypoints[first:last])
    for name, labels in part.labels.items():
        np.testing.assert_array_equal(labels, whole.labels[name][first:last])


def test_the_hash_depends_on_every_head(tmp_path):
    heads = {"a": HEADS, "b": (HEADS[0], Head("va", "values", ("arousal", "valence"))), "c": (HEADS[0],)}
    sequence = a_sequence("one", labels={})
    hashes = {open_cache(a_cache(tmp_path / name, sequence, header=Header("body_25", each))).hash
              for name, each in heads.items()}  # fmt: skip
    assert len(hashes) == 3
    other = a_cache(tmp_path / "d", sequence, header=Header("body_25", HEADS[::-1]))
    assert open_cache(other).hash in hashes, "their order does not matter"


def test_classes_beside_shares_become_shares_and_stay_unlabeled_without_a_class(tmp_path):
    shares, nan = [[0.5, 0.25, 0.25], [0, 0, 1]], float("nan")
    a_cache(tmp_path, a_sequence("a", 3, labels={"expression": np.array([1, -1, 0], np.int16)}))
    a_cache(tmp_path, a_sequence("b", 2, labels={"expression": np.array(shares, np.float32)}))
    cache = open_cache(tmp_path)
    assert cache.shares == {"expression"}
    expected = [[0, 1, 0], [nan, nan, nan], [1, 0, 0], *shares]
    np.testing.assert_array_equal(cache.read().expression, np.array(expected, np.float32))
    assert np.isnan(cache.read().labels["va"]).all()
    assert cache.counts.labels["expression"].tolist() == [[2, 1, 1, 0], [2, 1, 0, 1]]
