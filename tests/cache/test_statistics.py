"""Counts: what is reported of frames without reading them is what they hold."""

import numpy as np
import pytest
from small_caches import BODY_AND_FACE, HEADS, a_cache, a_sequence

from skelemo.cache.shard import Header, open_shard, write_shard
from skelemo.cache.statistics import count_labels
from skelemo.cache.store import open_cache
from skelemo.targets import Head


def by_hand(one, parts, classes):
    """Seen, points and the counts of both heads, frame by frame."""
    seen, points, labels, rated = 0, [0] * len(parts), [0] * (classes + 1), [0] * 3
    for frame in range(len(one)):
        there = [[point[2] > 0 for point in one.keypoints[frame][part]] for part in parts]
        seen += any(map(any, there))
        points = [count + sum(part) for count, part in zip(points, there, strict=True)]
        if one.labels["expression"][frame] >= 0:
            labels[0] += 1
            labels[1 + one.labels["expression"][frame]] += 1
        there = ~np.isnan(one.labels["va"][frame]) if "va" in one.labels else np.zeros(2, bool)
        rated = [rated[0] + any(there), rated[1] + there[0], rated[2] + there[1]]
    return seen, points, labels, rated


@pytest.fixture
def sequences():
    """Ordinary; half of it unseen and unrated; nobody at all."""
    half = a_sequence("half", 8, points=95)
    half.keypoints[::2] = 0
    half.labels["va"][::2, 0] = half.labels["va"][::4, 1] = np.nan
    nobody = a_sequence("nobody", 3, points=95, keypoints=np.zeros((3, 95, 3), np.float32))
    return [a_sequence("one", 5, points=95), half, nobody]


def test_a_shard_stores_the_counts_of_its_sequences(tmp_path, sequences):
    counts = open_shard(write_shard(tmp_path, BODY_AND_FACE, sequences)).counts
    for row, one in enumerate(sequences):
        seen, points, labels, rated = by_hand(one, (slice(25), slice(25, 95)), 3)
        assert (counts.seen[row], counts.points[row].tolist()) == (seen, points)
        assert {name: found[row].tolist() for name, found in counts.labels.items()} == {
            "expression": labels,
            "va": rated,
        }


def test_a_cache_counts_each_sequence_once_and_in_its_order(tmp_path, sequences):
    one, half, nobody = sequences
    for group in ((half, one), (one, nobody), (nobody, half)):
        a_cache(tmp_path, *group, header=BODY_AND_FACE)
    cache = open_cache(tmp_path)
    known = {one.id: by_hand(one, (slice(25), slice(25, 95)), 3) for one in sequences}
    for row, name in enumerate(cache.sequences["id"]):
        counts = cache.counts
        found = counts.seen[row], counts.points[row].tolist(), *(one[row].tolist() for one in counts.labels.values())
        assert found == known[name]


def test_counts_without_heads(tmp_path):
    counts = open_shard(write_shard(tmp_path, Header("body_25"), [a_sequence("one", 4, labels={})])).counts
    assert counts.labels == {}


def test_counts_of_an_empty_shard(tmp_path):
    counts = open_shard(write_shard(tmp_path, Header("body_25", HEADS), [])).counts
    assert (counts.points.shape, counts.labels["expression"].shape) == ((0, 1), (0, 4))


def test_a_sequence_in_two_shards_is_counted_once(tmp_path):
    one, two, three = (a_sequence(name, frames, points=95) for name, frames in (("a", 4), ("b", 5), ("c", 6)))
    for group in ((one, two), (two, three)):
        a_cache(tmp_path, *group, header=BODY_AND_FACE)
    cache = open_cache(tmp_path)
    assert cache.counts.seen.tolist() == [4, 5, 6]
    labeled = [int((sequence.labels["expression"] >= 0).sum()) for sequence in (one, two, three)]
    assert cache.counts.labels["expression"][:, 0].tolist() == labeled


def test_flags_are_counted_where_they_are_set_and_shares_by_their_largest():
    flags = np.array([[1, 0], [1, 1], [-1, -1], [0, -1], [0, 0]], np.int8)
    assert count_labels(Head("au", "flags", ("AU1", "AU2")), flags).tolist() == [4, 2, 1]
    shares = np.array([[0.2, 0.7, 0.1], [0.6, 0.3, 0.1], [0, 0, 1], [np.nan] * 3], np.float32)
    assert count_labels(Head("expression", "classes", ("a", "b", "c")), shares).tolist() == [3, 1, 1, 1]
    assert count_labels(Head("expression", "classes", ("a", "b", "c")), None).tolist() == [0, 0, 0, 0]
