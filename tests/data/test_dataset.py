"""Windows for training loops of one's own."""

import numpy as np
import pytest
import torch
from small_caches import a_cache, a_sequence
from torch.utils.data import DataLoader

from skelemo.cache.store import open_cache
from skelemo.data import Window, WindowDataset, load_corpus
from skelemo.data.windows import Gatherer
from skelemo.errors import ConfigError


@pytest.fixture(scope="module")
def corpus(tmp_path_factory):
    folder = a_cache(tmp_path_factory.mktemp("cache"), a_sequence("a", 12), a_sequence("b", 9))
    return load_corpus(open_cache(folder))


def test_a_loader_gives_the_windows_that_training_sees(corpus):
    windows = WindowDataset(corpus, Window(4), heads=["expression"])
    loaded = list(DataLoader(windows, batch_size=5))
    keypoints, mask = Gatherer(corpus, Window(4)).gather(windows.rows)
    assert torch.equal(torch.cat([batch["keypoints"] for batch in loaded]), keypoints)
    assert torch.equal(torch.cat([batch["mask"] for batch in loaded]), mask)
    labels = torch.cat([batch["expression"] for batch in loaded])
    assert torch.equal(labels, corpus.labels["expression"][windows.rows])
    assert (labels >= 0).all()
    assert set(loaded[0]) == {"keypoints", "mask", "row", "expression"}
    assert torch.equal(windows[-1]["keypoints"], keypoints[-1])


def test_workers_and_shuffling_lose_no_window(corpus):
    windows = WindowDataset(corpus, Window(2), every=2)
    rows = torch.cat([batch["row"] for batch in DataLoader(windows, batch_size=3, shuffle=True, num_workers=1)])
    assert sorted(rows.tolist()) == windows.rows.tolist()


def test_only_the_chosen_sequences_have_windows(corpus):
    windows = WindowDataset(corpus, sequences=[1])
    assert (corpus.sequence(windows.rows.numpy()) == 1).all()
    assert len(windows) > 0
    with pytest.raises(IndexError):
        windows[len(windows)]


def test_windows_without_a_visible_person_or_a_label_are_left_out(tmp_path):
    hidden = a_sequence("a", 6)
    hidden.keypoints[2:4] = 0
    corpus = load_corpus(open_cache(a_cache(tmp_path, hidden, a_sequence("b", 3, expression=np.array([0, -1, 1])))))
    assert WindowDataset(corpus, heads=["expression"]).rows.tolist() == [0, 1, 4, 5, 6, 8]
    assert WindowDataset(corpus, every=2).rows.tolist() == [0, 4, 6, 8]


def test_an_unknown_head_is_refused(corpus):
    with pytest.raises(ConfigError, match="unknown head 'mood'"):
        WindowDataset(corpus, heads=["mood"])
