"""A cache as torch_geometric sees it."""

import numpy as np
import pytest
import torch
from small_caches import a_cache, a_sequence
from torch_geometric.loader import DataLoader
from torch_geometric.nn import GCNConv, global_mean_pool
from torch_geometric.transforms import AddSelfLoops

from skelemo.cache.store import open_cache
from skelemo.data import as_pyg
from skelemo.data.corpus import load_corpus
from skelemo.data.windows import Window
from skelemo.models.graph import EdgeType


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    unlabeled = {"expression": np.full(5, -1, np.int8)} | dict.fromkeys(
        ("valence", "arousal"), np.full(5, np.nan, "f4")
    )
    sequences = [a_sequence("one", 9), a_sequence("two", 7), a_sequence("three", 5, **unlabeled)]
    return a_cache(tmp_path_factory.mktemp("caches") / "small", *sequences)


def test_every_labeled_window_is_a_graph_of_its_frames(folder):
    dataset = as_pyg(folder, window=Window(4))
    corpus = load_corpus(open_cache(folder))
    assert len(dataset) == 9 + 7
    assert dataset.num_classes == 3
    rows = dict(enumerate(corpus.sequences["start"]))
    last_of_two = next(i for i in range(len(dataset)) if dataset.windows.targets.row[i] == rows[1] + 6)
    data = dataset[last_of_two]
    assert data.validate()
    assert data.x.shape == (4 * 25, 3)
    torch.testing.assert_close(data.x, corpus.placed(torch.arange(rows[1] + 3, rows[1] + 7)).reshape(-1, 3))
    assert data.y.tolist() == [int(corpus.labels["expression"][rows[1] + 6])]
    torch.testing.assert_close(data.va[0], corpus.labels["va"][rows[1] + 6])
    assert data.sequence.tolist() == [1]
    assert (data.edge_type == EdgeType.TIME).sum() == 2 * 3 * 25


def test_frames_before_the_sequence_are_unseen_and_zero(folder):
    data = as_pyg(folder, window=Window(4))[0]
    assert data.seen.view(4, 25).any(1).tolist() == [False, False, False, True]
    assert not data.x[~data.seen].any()


def test_sequences_can_be_chosen_and_graphs_transformed(folder):
    dataset = as_pyg(str(folder), sequences=[1], mirror=False, transform=AddSelfLoops())
    assert {int(data.sequence) for data in dataset} == {1}
    assert dataset[0].has_self_loops()
    assert EdgeType.MIRROR not in dataset[0].edge_type


def test_a_model_of_torch_geometric_learns_from_it(folder):
    loader = DataLoader(as_pyg(open_cache(folder), window=Window(2)), batch_size=8)
    conv, head = GCNConv(3, 8), torch.nn.Linear(8, 2)
    for batch in loader:
        pooled = global_mean_pool(conv(batch.x, batch.edge_index).relu(), batch.batch)
        assert head(pooled).shape == batch.va.shape
        (head(pooled) - batch.va).square().mean().backward()
    assert conv.lin.weight.grad.isfinite().all()
