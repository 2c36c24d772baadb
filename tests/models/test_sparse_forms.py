"""Layers that a network computes densely are torch_geometric's sparse ones, to 1e-5, and the other way round."""

import pytest
import torch
from torch import Tensor
from torch.nn import functional as F
from torch_geometric.nn import GCNConv
from torch_geometric.utils import dense_to_sparse

from skelemo.models import create
from skelemo.models.ctrgcn import RefinedGraphUnit
from skelemo.models.graph import partition
from skelemo.models.joint_layers import Frames, GraphConv
from skelemo.skeleton import Layout, layout

LAYOUTS = [layout("body_25"), layout("body_25+face_70")]


def sparse_sum(rows: Tensor, adjacency: Tensor, weights: Tensor) -> Tensor:
    """``Σₖ Aₖᵀ x Wₖ`` by one ``GCNConv`` for each subset, over its edges: ``weights [K, outputs, inputs]``."""
    total = torch.zeros(*rows.shape[:-1], weights.shape[1])
    for matrix, weight in zip(adjacency, weights, strict=True):
        conv = GCNConv(weight.shape[1], weight.shape[0], add_self_loops=False, normalize=False, bias=False)
        conv.lin.weight.data.copy_(weight)
        edges, strength = dense_to_sparse(matrix)
        total = total + conv(rows, edges, strength)
    return total


@pytest.mark.parametrize("found", LAYOUTS, ids=lambda found: found.name)
@pytest.mark.parametrize("kind", ["importance", "learnable"])
def test_the_convolution_over_a_partition_is_one_sparse_convolution_for_each_subset(found: Layout, kind: str) -> None:
    torch.manual_seed(0)
    dense = GraphConv(6, 10, partition(found), **{kind: True})
    dense.mix = dense.mix.linear  # without batch norm
    if dense.importance is not None:
        torch.nn.init.uniform_(dense.importance, 0.5, 1.5)
        adjacency = dense.adjacency * dense.importance
    else:
        adjacency = dense.adjacency + 0.1 * torch.randn_like(dense.adjacency)  # off the graph too, as training makes it
        dense.adjacency.data.copy_(adjacency)
    rows = torch.randn(4, len(found), 6, requires_grad=True)
    weights = dense.mix.weight.detach().view(10, 3, 6).transpose(0, 1)
    ours, theirs = dense(rows), sparse_sum(rows, adjacency.detach(), weights) + dense.mix.bias
    torch.testing.assert_close(ours, theirs, atol=1e-5, rtol=0)
    slopes = [torch.autograd.grad(out.sin().sum(), rows)[0] for out in (ours, theirs)]
    torch.testing.assert_close(*slopes, atol=1e-5, rtol=1e-5)


def test_channel_wise_topologies_are_sparse_convolutions_by_channel() -> None:
    torch.manual_seed(0)
    found = LAYOUTS[0]
    unit = RefinedGraphUnit(6, 8, partition(found), group=2).eval()
    torch.nn.init.constant_(unit.alpha, 0.7)
    torch.nn.init.ones_(unit.norm.weight)
    grid = torch.randn(2, 5, len(found), 6)
    frames = Frames.of(torch.ones(2, 5, dtype=torch.bool), training=False)
    rows = frames.pack(grid)
    with torch.no_grad():
        topology = unit._topology(rows, frames).mT  # [B, K, G, V, V], the giving keypoint first
        weight, bias = (value.unflatten(0, (3, 8)) for value in (unit.value.weight, unit.value.bias))
        expected = torch.zeros(2, 5, len(found), 8)
        for window in range(2):
            for channel in range(8):
                matrices = topology[window, :, channel // 2]
                shown = sparse_sum(grid[window], matrices, weight[:, channel, None])
                constant = (matrices.sum(1) * bias[:, channel, None]).sum(0)  # what a bias gives through the edges
                expected[window, ..., channel] = shown[..., 0] + constant
        expected = torch.relu(expected / (1 + unit.norm.eps) ** 0.5 + unit.shortcut(rows, frames).view(2, 5, -1, 8))
        torch.testing.assert_close(unit(rows, frames).view_as(expected), expected, atol=1e-5, rtol=1e-5)


def test_graph_attention_over_all_frames_at_once_is_dense_attention_in_each() -> None:
    torch.manual_seed(0)
    found = LAYOUTS[0]
    network = create("gat", layout_name=found.name, width=16, attention_heads=2, blocks=1).eval()
    conv, (source, target) = network.blocks[0].graph, network.edges
    torch.nn.init.normal_(conv.bias)
    rows = torch.randn(3, len(found), 16)
    first = torch.arange(3) * len(found)
    edges = (network.edges[:, None] + first[:, None]).flatten(1)
    with torch.no_grad():
        sparse = conv(rows.flatten(0, 1), edges, network.attributes.repeat(3, 1)).view(3, len(found), 16)
        near = torch.zeros(len(found), len(found), dtype=torch.bool)
        kinds = torch.zeros(len(found), len(found), network.attributes.shape[1])
        near[target, source], kinds[target, source] = True, network.attributes
        give, take = (side(rows).unflatten(-1, (2, 8)) for side in (conv.lin_l, conv.lin_r))  # [n, V, heads, 8]
        mixed = give[:, None] + take[:, :, None] + conv.lin_edge(kinds).unflatten(-1, (2, 8))  # [n, V, V, heads, 8]
        score = (F.leaky_relu(mixed, conv.negative_slope) * conv.att).sum(-1).masked_fill(~near[..., None], -torch.inf)
        dense = torch.einsum("nvuh,nuhc->nvhc", score.softmax(2), give).flatten(-2) + conv.bias
    torch.testing.assert_close(sparse, dense, atol=1e-5, rtol=1e-5)
