"""Windows against a plain search through each sequence."""

import numpy as np
import pytest
import torch
from numpy.testing import assert_allclose
from small_caches import a_cache, a_sequence

from skelemo.cache.store import open_cache
from skelemo.data.corpus import load_corpus
from skelemo.data.window_frames import window_frames
from skelemo.data.windows import Gatherer, Window, clip_labels, find_targets, labeled_as_clips
from skelemo.targets import VA, Head

NUMBERS = {
    "every frame": np.arange(30),
    "from 100": np.arange(100, 125),
    "every tenth": np.arange(0, 200, 10),
    "gaps": np.array([0, 1, 2, 5, 6, 7, 8, 30, 31, 33, 34, 35]),
    "tenths with gaps": np.array([3, 13, 23, 53, 63, 73, 74]),
    "one": np.array([4]),
    "two far apart": np.array([0, 2**30]),
    "late": np.array([2**31 - 3, 2**31 - 2, 2**31 - 1]),
}
STEPS = {"every tenth": 10, "tenths with gaps": 10, "two far apart": 2**30}


def unseen_somewhere(name, frames):
    keypoints = a_sequence(name, frames).keypoints.copy()
    keypoints[2::5] = 0
    return keypoints


@pytest.fixture(scope="module")
def corpus(tmp_path_factory):
    sequences = [
        a_sequence(name, len(number), number=number, keypoints=unseen_somewhere(name, len(number)))
        for name, number in NUMBERS.items()
    ]
    return load_corpus(open_cache(a_cache(tmp_path_factory.mktemp("cache"), *sequences)))


def everything(corpus):
    return np.arange(len(corpus.sequences))


def by_hand(corpus, row, window):
    """Keypoints ``[T, V, 3]`` and mask ``[T]`` of the window around a row."""
    table = corpus.sequences.iloc[int(corpus.sequence(np.array([row]))[0])]
    rows = range(table["start"], table["start"] + table["length"])
    place = {int(corpus.number(np.array([r]))[0]): r for r in rows}
    target = int(corpus.number(np.array([row]))[0])
    step = STEPS.get(table["id"], 1) * window.dilation
    keypoints, mask = np.zeros((window.length, 25, 3), np.float32), np.zeros(window.length, bool)
    for index in range(window.length):
        ahead = index - (window.length - 1) if window.target == "last" else index - window.length // 2
        nearest = min(place, key=lambda number: (abs(number - target - ahead * step), number))
        found = place[nearest]
        if abs(nearest - target - ahead * step) <= step / 2 and corpus.seen[found]:
            keypoints[index], mask[index] = corpus.placed(torch.tensor(found)).numpy(), True
    return keypoints, mask


@pytest.mark.parametrize("target", ["last", "center"])
@pytest.mark.parametrize(("length", "dilation"), [(1, 1), (2, 1), (5, 1), (8, 3), (3, 40), (4, 2**31), (64, 1)])
def test_windows_are_what_a_plain_search_finds(corpus, length, dilation, target):
    window = Window(length, dilation, target)
    rows, gatherer = torch.arange(len(corpus)), Gatherer(corpus, window)
    keypoints, mask = gatherer.gather(rows)
    found, present = (values.numpy() for values in gatherer.frames(rows))
    without_torch, there = window_frames(corpus.sequences, corpus.number(rows.numpy()), rows.numpy(), window)
    assert np.array_equal(there, present)
    assert np.array_equal(without_torch[there], found[there])
    for row in rows.tolist():
        expected, seen = by_hand(corpus, row, window)
        assert np.array_equal(mask[row].numpy(), seen), row
        assert np.array_equal(keypoints[row].numpy(), expected), row


def test_the_target_frame_stands_where_it_should(corpus):
    rows = corpus.seen.nonzero()[:, 0]
    for window, place in ((Window(5), 4), (Window(5, target="center"), 2), (Window(6, 3, "center"), 3)):
        keypoints, mask = Gatherer(corpus, window).gather(rows)
        assert mask[:, place].all()
        assert torch.equal(keypoints[:, place], corpus.placed(rows))


def test_unseen_frames_are_zeros_and_masked(corpus):
    keypoints, mask = Gatherer(corpus, Window(9, target="center")).gather(torch.arange(len(corpus)))
    assert not keypoints[~mask].any()
    assert (keypoints[mask][..., 2] > 0).any(-1).all()
    assert 0 < mask.float().mean() < 1


# Targets


def test_every_labeled_frame_is_a_target_of_its_head(corpus):
    found = find_targets(corpus, everything(corpus), Window(), ("expression",), seen_only=False)
    labeled = np.flatnonzero(corpus.labels["expression"].numpy() >= 0)
    assert np.array_equal(found.row, labeled)
    assert np.array_equal(found.labels["expression"], corpus.labels["expression"].numpy()[labeled])


def test_a_target_needs_a_label_for_any_of_the_heads(tmp_path):
    expression = np.array([0, -1, -1, 2, -1], np.int8)
    valence = np.array([np.nan, 0.5, np.nan, 0.1, 0.2], np.float32)
    arousal = np.array([np.nan, 0.5, np.nan, 0.1, np.nan], np.float32)
    one = a_sequence("one", 5, expression=expression, valence=valence, arousal=arousal)
    corpus = load_corpus(open_cache(a_cache(tmp_path, one)))

    def rows(*heads):
        return find_targets(corpus, np.array([0]), Window(), heads, seen_only=False).row.tolist()

    assert rows("expression") == [0, 3]
    assert rows("va") == [1, 3, 4]  # the last one has a valence
    assert rows("expression", "va") == [0, 1, 3, 4]


def test_only_the_sequences_asked_for_are_used(corpus):
    found = find_targets(corpus, np.array([1, 3]), Window(), ("va",), seen_only=False)
    assert sorted(set(corpus.sequence(found.row).tolist())) == [1, 3]
    assert len(found) == len(NUMBERS["from 100"]) + len(NUMBERS["gaps"])
    assert len(find_targets(corpus, np.array([], int), Window(), ("va",), seen_only=False)) == 0


def test_unseen_targets_are_left_out_of_training_alone(corpus):
    found = find_targets(corpus, everything(corpus), Window(7), ("va",), seen_only=True)
    assert np.array_equal(found.row, np.flatnonzero(corpus.seen.numpy()))
    assert len(find_targets(corpus, everything(corpus), Window(7), ("va",), seen_only=False)) == len(corpus)


@pytest.mark.parametrize("every", [2, 10, 1000])
def test_one_frame_in_so_many_of_each_sequence_is_a_target(corpus, every):
    found = find_targets(corpus, everything(corpus), Window(), ("va",), every=every, seen_only=False)
    starts, lengths = corpus.sequences["start"], corpus.sequences["length"]
    expected = [
        row for start, length in zip(starts, lengths, strict=True) for row in range(start, start + length, every)
    ]
    assert found.row.tolist() == expected


# One window for a clip


def test_a_clip_is_labeled_by_its_most_frequent_class_and_mean_affect(corpus):
    found = find_targets(corpus, everything(corpus), Window(4, sampling="clip"), ("expression", "va"), seen_only=False)
    assert np.array_equal(corpus.sequence(found.row), everything(corpus))
    for index, row in enumerate(corpus.sequences.to_dict("records")):
        here = slice(row["start"], row["start"] + row["length"])
        classes = [label for label in corpus.labels["expression"][here].tolist() if label >= 0]
        most = max(sorted(set(classes)), key=classes.count) if classes else -1
        assert found.labels["expression"][index] == most
        assert_allclose(found.labels["va"][index], corpus.labels["va"][here].double().mean(0), rtol=1e-6)


def test_a_clip_without_labels_is_no_target(tmp_path):
    nothing = np.full(7, np.nan, np.float32)
    unlabeled = {"expression": np.full(7, -1), "valence": nothing, "arousal": nothing}
    hidden = np.zeros((7, 25, 3), np.float32)
    sequences = [a_sequence("a"), a_sequence("b", **unlabeled), a_sequence("c", keypoints=hidden)]
    corpus = load_corpus(open_cache(a_cache(tmp_path, *sequences)))
    clip = Window(4, sampling="clip")
    assert find_targets(corpus, np.arange(3), clip, ("va",), seen_only=False).row.tolist() == [3, 17]
    assert find_targets(corpus, np.arange(3), clip, ("va",), seen_only=True).row.tolist() == [3]


@pytest.mark.parametrize("length", [1, 3, 8, 100])
def test_a_clips_frames_are_spread_evenly_over_all_of_it(corpus, length):
    gatherer = Gatherer(corpus, Window(length, sampling="clip"))
    for row in corpus.sequences.to_dict("records"):
        start, size = row["start"], row["length"]
        keypoints, mask = gatherer.gather(torch.tensor([start + size // 2]))
        expected = [start + int((index + 0.5) / length * size) for index in range(length)]
        assert torch.equal(mask[0], corpus.seen[expected])
        assert torch.equal(keypoints[0], corpus.placed(torch.as_tensor(expected)))


def test_in_training_each_frame_is_drawn_within_its_share_of_the_clip(corpus):
    row = corpus.sequences.iloc[0]
    start, size, length = int(row["start"]), int(row["length"]), 6
    gatherer = Gatherer(corpus, Window(length, sampling="clip"))
    known = {
        tuple(corpus.placed(torch.tensor(r)).flatten().tolist()): r
        for r in range(start, start + size)
        if corpus.seen[r]
    }
    drawn = [set() for _ in range(length)]
    generator = torch.Generator().manual_seed(1)
    keypoints, mask = gatherer.gather(torch.full((200,), start), generator)
    for window, seen in zip(keypoints, mask, strict=True):
        for index in seen.nonzero()[:, 0].tolist():
            drawn[index].add(known[tuple(window[index].flatten().tolist())] - start)
    for index, rows in enumerate(drawn):
        share = range(size * index // length, size * (index + 1) // length)
        assert rows == {r for r in share if corpus.seen[start + r]}


def test_the_most_frequent_class_ignores_what_is_unlabeled():
    expression = np.array([-1, -1, -1, 2, 1, 1, -1, 0, 2, 2])
    group = np.array([0, 0, 0, 0, 1, 1, 2, 3, 3, 3])
    assert clip_labels(Head("mood", "classes", ("a", "b", "c")), expression, group, 5).tolist() == [2, 1, -1, 2, -1]


def test_clips_have_the_mean_share_or_value_and_the_most_frequent_flag():
    group = np.array([0, 0, 0, 1, 2])
    shares = np.array([[1, 0], [0.5, 0.5], [np.nan] * 2, [0.2, 0.8], [np.nan] * 2], np.float32)
    two = Head("mood", "classes", ("a", "b"))
    np.testing.assert_allclose(clip_labels(two, shares, group, 3), [[0.75, 0.25], [0.2, 0.8], [np.nan] * 2])
    values = np.array([[1, np.nan], [2, 3], [3, np.nan], [5, 5], [np.nan] * 2], np.float32)
    np.testing.assert_allclose(clip_labels(VA, values, group, 3), [[2, 3], [5, 5], [np.nan] * 2])
    flags = np.array([[1, 0], [1, -1], [0, 0], [-1, 1], [-1, -1]], np.int8)
    units = Head("units", "flags", ("x", "y"))
    assert clip_labels(units, flags, group, 3).tolist() == [[1, 0], [-1, 1], [-1, -1]]
    tied = np.array([[1, 0], [0, 1]], np.int8)
    assert clip_labels(units, tied, np.zeros(2, int), 1).tolist() == [[1, 1]], "half of the frames are enough"


def test_clips_labeled_as_a_whole_are_told_from_frames(tmp_path):
    mood = lambda *labels: {"expression": np.array(labels, np.int8)}  # noqa: E731
    whole = load_corpus(open_cache(a_cache(tmp_path / "w", a_sequence("a", 3, **mood(1, 1, 1)), a_sequence("b", 1))))
    frames = load_corpus(open_cache(a_cache(tmp_path / "f", a_sequence("a", 3, **mood(1, 1, 2)))))
    stills = load_corpus(open_cache(a_cache(tmp_path / "s", a_sequence("a", 1, **mood(1)))))
    assert [labeled_as_clips(one, one.head("expression")) for one in (whole, frames, stills)] == [True, False, False]


def test_a_clip_is_labeled_as_a_whole_only_if_no_value_changes_in_it(tmp_path):
    same, nothing = np.full(3, 0.5, np.float32), np.full(3, np.nan, np.float32)
    rising = np.array([0, 0.1, 0.2], np.float32)
    for name, arousal, expected in (("whole", same, True), ("frames", rising, False)):
        clips = [
            a_sequence("a", 3, valence=same, arousal=arousal),
            a_sequence("b", 3, valence=nothing, arousal=nothing),
        ]
        corpus = load_corpus(open_cache(a_cache(tmp_path / name, *clips)))
        assert labeled_as_clips(corpus, VA) == expected
    assert not labeled_as_clips(load_corpus(open_cache(a_cache(tmp_path / "none", clips[1]))), VA)


@pytest.mark.parametrize(
    ("numbers", "least"),
    [
        ([n for n in range(90) if n % 3 < 2], 1.0),
        (np.flatnonzero(np.random.default_rng(5).random(600) < 0.2), 0.55),
        (np.flatnonzero(np.random.default_rng(6).random(200) < 0.95), 0.85),
    ],
    ids=["every third lost", "one in five kept", "few lost"],
)
def test_uneven_frame_numbers_cost_less_context_than_exact_ones_would(tmp_path, numbers, least):
    points = np.full((len(numbers), 25, 3), 0.5, np.float32)
    one = a_sequence("one", len(numbers), number=np.asarray(numbers, np.int32), keypoints=points)
    corpus = load_corpus(open_cache(a_cache(tmp_path, one)))
    rows = torch.arange(len(numbers) // 2, len(numbers))
    _, mask = Gatherer(corpus, Window(8)).gather(rows)
    assert mask[:, -1].all()
    assert mask.float().mean() >= least
