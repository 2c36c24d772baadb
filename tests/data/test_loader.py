"""Batches: every window once, the same for the same seed."""

import numpy as np
import pytest
import torch
from small_caches import a_cache, a_sequence

from skelemo.cache.store import open_cache
from skelemo.data.augment import Augmentation
from skelemo.data.corpus import load_corpus
from skelemo.data.loader import Batches
from skelemo.data.windows import Gatherer, Targets, Window, find_targets

CPU = torch.device("cpu")
NOISE = Augmentation(mirror=0.5, rotate=10, jitter=0.01)


@pytest.fixture(scope="module")
def corpus(tmp_path_factory):
    sequences = [a_sequence(f"v{index}", 20 + index) for index in range(5)]
    return load_corpus(open_cache(a_cache(tmp_path_factory.mktemp("cache"), *sequences)))


def batches(corpus, count=110, size=16, window=None, **how):
    targets = find_targets(corpus, np.arange(5), Window(), ("va",), seen_only=False)
    first = targets[np.arange(count)]
    return Batches(corpus, first, window or Window(4), size, CPU, **how)


def rows(loader):
    return [row for batch in loader for row in batch["row"].tolist()]


def test_without_a_seed_every_window_comes_in_order(corpus):
    loader = batches(corpus)
    assert rows(loader) == list(range(110))
    assert [len(batch["row"]) for batch in loader] == [16] * 6 + [14]
    assert len(loader) == 7


def test_with_a_seed_every_window_comes_once_in_another_order(corpus):
    found = rows(batches(corpus, seed=3))
    assert sorted(found) == list(range(110))
    assert found != list(range(110))


def test_a_batch_holds_what_its_rows_say(corpus):
    for batch in batches(corpus, seed=1):
        keypoints, mask = Gatherer(corpus, Window(4)).gather(batch["row"])
        assert torch.equal(batch["keypoints"], keypoints)
        assert torch.equal(batch["mask"], mask)
        assert torch.equal(batch["labels"]["va"], corpus.labels["va"][batch["row"]])
        assert (batch["keypoints"].dtype, batch["mask"].dtype) == (torch.float32, torch.bool)
        assert batch["keypoints"].device == batch["labels"]["va"].device == CPU


@pytest.mark.parametrize("window", [Window(4), Window(4, sampling="clip")], ids=lambda window: window.sampling)
def test_the_same_seed_gives_the_same_batches_and_another_others(corpus, window):
    def drawn(seed):
        loader = batches(corpus, window=window, seed=seed, augmentation=NOISE)
        first, again = ([batch["keypoints"] for batch in loader] for _ in range(2))
        assert all(torch.equal(a, b) for a, b in zip(first, again, strict=True)), "iterated twice"
        return torch.cat(first)

    assert torch.equal(drawn(7), drawn(7))
    assert not torch.equal(drawn(7), drawn(8))


def test_augmentation_differs_between_windows_and_epochs_for_one_and_the_same_row(corpus):
    row = np.full(32, 40)
    targets = Targets(row, {"va": np.zeros((32, 2), np.float32)})
    found = [
        torch.cat(
            [batch["keypoints"] for batch in Batches(corpus, targets, Window(), 8, CPU, seed=epoch, augmentation=NOISE)]
        )
        for epoch in range(4)
    ]
    assert len(torch.cat(found).flatten(1).unique(dim=0)) == 4 * 32


def test_order_and_augmentation_have_streams_of_their_own(corpus):
    plain, noisy = rows(batches(corpus, seed=5)), rows(batches(corpus, seed=5, augmentation=NOISE))
    assert plain == noisy


def test_augmentation_does_not_repeat_the_random_numbers_of_the_order(corpus, monkeypatch):
    seeds = set()

    def unchanged(points, settings, layout, generator, *, in_image):
        seeds.add(generator.initial_seed())
        return points

    monkeypatch.setattr("skelemo.data.loader.augment", unchanged)
    rows(batches(corpus, seed=5, augmentation=NOISE))
    assert len(seeds) == 1
    assert 5 not in seeds


def test_nothing_is_changed_without_a_seed(corpus):
    for plain, asked in zip(batches(corpus), batches(corpus, augmentation=NOISE), strict=True):
        assert torch.equal(plain["keypoints"], asked["keypoints"])


@pytest.mark.parametrize(
    ("count", "size", "training", "scoring"),
    [
        (33, 16, [16, 16], [16, 16, 1]),
        (34, 16, [16, 16, 2], [16, 16, 2]),
        (32, 16, [16, 16], [16, 16]),
        (1, 16, [1], [1]),
        (3, 1, [1, 1, 1], [1, 1, 1]),
        (5, 16, [5], [5]),
        (0, 16, [], []),
    ],
)
def test_a_last_batch_of_one_window_is_left_out_of_training_alone(corpus, count, size, training, scoring):
    for seed, expected in ((4, training), (None, scoring)):
        loader = batches(corpus, count, size, seed=seed)
        assert [len(batch["row"]) for batch in loader] == expected
        assert len(loader) == len(expected)


@pytest.mark.parametrize(("count", "processes", "kept"), [(35, 2, False), (36, 2, True), (37, 3, False), (38, 3, True)])
def test_a_last_batch_without_two_windows_for_each_process_is_left_out(corpus, count, processes, kept):
    loader = batches(corpus, count, 32, seed=4, process=(processes - 1, processes))
    assert len(loader) == len(list(loader)) == 1 + kept
    assert all(len(batch["row"]) >= 2 for batch in loader)


def test_over_epochs_no_window_is_always_left_out(corpus):
    assert {row for epoch in range(30) for row in rows(batches(corpus, 9, 4, seed=epoch))} == set(range(9))


def test_a_corpus_elsewhere_gives_batches_here(corpus):
    moved = batches(corpus.to(CPU), seed=2)
    assert all(torch.equal(a["keypoints"], b["keypoints"]) for a, b in zip(moved, batches(corpus, seed=2), strict=True))


@pytest.mark.skipif(not torch.cuda.is_available(), reason="needs a CUDA device")
@pytest.mark.parametrize("place", ["cpu", "cuda"])
def test_on_a_gpu_batches_are_the_same_windows_wherever_the_corpus_lies(corpus, place):
    device = torch.device("cuda")
    targets = find_targets(corpus, np.arange(5), Window(), ("va",), seen_only=False)
    for batch in Batches(corpus.to(torch.device(place)), targets, Window(4), 16, device, seed=3):
        assert all(value.device.type == "cuda" for value in batch.values())
        keypoints, mask = Gatherer(corpus, Window(4)).gather(batch["row"].cpu())
        assert torch.equal(batch["keypoints"].cpu(), keypoints)
        assert torch.equal(batch["mask"].cpu(), mask)


def test_an_epoch_takes_at_most_so_many_windows_others_each_time(corpus):
    first, second = rows(batches(corpus, seed=1, most=40)), rows(batches(corpus, seed=2, most=40))
    assert len(first) == len(second) == len(set(first)) == 40
    assert set(first) != set(second)
    assert rows(batches(corpus, seed=1, most=1000)) == rows(batches(corpus, seed=1))


def test_balanced_batches_draw_rare_windows_as_often_as_frequent_ones(corpus):
    balance = np.where(np.arange(110) < 10, 1 / 10, 1 / 100)
    drawn = np.concatenate([rows(batches(corpus, balance=balance, seed=seed)) for seed in range(40)])
    assert 0.46 < (drawn < 10).mean() < 0.54  # 4,400 draws: 0.04 are five standard errors
    assert len(np.unique(drawn)) == 110
    assert rows(batches(corpus, balance=balance, seed=1)) == rows(batches(corpus, balance=balance, seed=1))
