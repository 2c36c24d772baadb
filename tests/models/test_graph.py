from itertools import pairwise

import numpy as np
import pytest
import torch
from torch_geometric.nn import GCNConv
from torch_geometric.utils import contains_self_loops, is_undirected

from skelemo.models import create
from skelemo.models.graph import (
    EdgeType,
    center,
    directed_partition,
    hops,
    laplacian_positions,
    parents,
    partition,
    skeleton_graph,
)
from skelemo.models.joint_layers import GraphConv
from skelemo.skeleton import BODY_MODELS, COCO_18, FACE_70, Layout, layout

NAMES = (
    "body_25",
    "face_70",
    "hand_21x2",
    "body_25+face_70",
    "body_25+hand_21x2",
    "face_70+hand_21x2",
    "body_25+face_70+hand_21x2",
)


def joined(graph, found, a, b):
    """The kinds of edge from a to b."""
    start, end = found.index(a), found.index(b)
    at = (graph.edge_index[0] == start) & (graph.edge_index[1] == end)
    return [EdgeType(kind) for kind in graph.edge_type[at].tolist()]


@pytest.mark.parametrize("name", NAMES)
def test_every_layout_is_one_connected_undirected_graph(name):
    found = layout(name)
    graph = skeleton_graph(found)
    assert graph.validate()
    assert graph.num_nodes == len(found)
    assert is_undirected(graph.edge_index, graph.edge_type)
    assert not contains_self_loops(graph.edge_index)
    pairs = graph.edge_index.T.tolist()
    assert len(set(map(tuple, pairs))) == len(pairs)
    reached = {0}
    for _ in range(len(found)):
        reached |= {b for a, b in pairs if a in reached}
    assert len(reached) == len(found)


@pytest.mark.parametrize("part", BODY_MODELS.values(), ids=lambda part: part.name)
def test_body_models_other_than_body_25_hang_together_too_and_hold_a_face(part):
    found = Layout(f"{part.name}+face_70", (part, FACE_70))
    assert hops(found).isfinite().all()
    assert hops(found).max() < 20
    assert center(found) == part.index("Neck")


def test_parts_are_tied_where_the_body_joins_them():
    found = layout("body_25+face_70+hand_21x2")
    graph = skeleton_graph(found)
    assert joined(graph, found, "body_25.Nose", "face_70.NoseBridge3") == [EdgeType.LINK]
    assert joined(graph, found, "face_70.Jaw16", "body_25.LEar") == [EdgeType.LINK]
    assert joined(graph, found, "body_25.LWrist", "hand_left_21.Wrist") == [EdgeType.LINK]
    assert joined(graph, found, "body_25.RElbow", "body_25.RWrist") == [EdgeType.LIMB]
    assert joined(graph, found, "body_25.RWrist", "body_25.LWrist") == [EdgeType.MIRROR]
    assert joined(graph, found, "face_70.Jaw8", "face_70.OuterMouth9") == [EdgeType.TIE]
    assert joined(graph, found, "face_70.REye0", "face_70.LEye3") == [EdgeType.MIRROR]
    assert not joined(graph, found, "body_25.Nose", "body_25.RAnkle")
    assert graph.part[found.index("hand_right_21.Wrist")] == 3


def test_frames_are_copies_joined_by_edges_in_time():
    found = layout("body_25")
    one, three = skeleton_graph(found), skeleton_graph(found, frames=3)
    time = three.edge_type == EdgeType.TIME
    assert three.num_nodes == 75
    assert int(time.sum()) == 2 * 2 * 25
    assert int((~time).sum()) == 3 * one.num_edges
    gap = (three.edge_index[0] - three.edge_index[1]).abs()
    assert (gap[time] == 25).all()
    assert (three.frame[three.edge_index[0]] == three.frame[three.edge_index[1]])[~time].all()


def test_hop_distance_is_that_of_a_breadth_first_search():
    found = layout("body_25+face_70")
    graph = skeleton_graph(found, mirror=False)
    near = [set() for _ in range(len(found))]
    for a, b in graph.edge_index.T.tolist():
        near[a].add(b)
    distance = hops(found)
    for start in (0, 30, 94):
        front, seen, step = {start}, {start}, 0
        while front:
            assert all(distance[start, node] == step for node in front)
            front = {b for a in front for b in near[a]} - seen
            seen, step = seen | front, step + 1


def test_body_is_split_around_the_neck_as_st_gcn_splits_it():
    found = layout("body_25")
    itself, inward, outward = (found_ > 0 for found_ in partition(found))
    index = {name: found.index(f"body_25.{name}") for name in ("Neck", "RShoulder", "RElbow", "RWrist")}
    assert torch.equal(itself, torch.eye(25, dtype=torch.bool))
    for near, far in pairwise(index.values()):
        assert inward[near, far]
        assert not inward[far, near]
        assert outward[far, near]
        assert not outward[near, far]


@pytest.mark.parametrize("name", NAMES)
def test_partition_sums_to_the_adjacency_divided_by_the_degree(name):
    found = layout(name)
    graph = skeleton_graph(found, mirror=False)
    adjacency = np.eye(len(found))
    adjacency[tuple(graph.edge_index.numpy())] = 1
    np.testing.assert_allclose(partition(found).sum(0).numpy(), adjacency / adjacency.sum(0), atol=1e-7)
    assert ((partition(found) > 0).sum(0) <= 1).all()


def test_the_directed_partition_is_that_of_the_published_code():
    """``get_spatial_graph`` of PYSKL and CTR-GCN, written again: ``edge2mat`` and ``normalize_digraph``."""
    found = Layout("coco_18", (COCO_18,))
    inward, reached = [], {COCO_18.index("Neck")}
    while len(reached) < len(COCO_18):  # limbs, from each point to the one nearer to the neck
        for a, b in COCO_18.limbs:
            for near, far in ((a, b), (b, a)):
                if near in reached and far not in reached:
                    inward.append((far, near))
                    reached.add(far)

    def matrix(links):
        edges = np.zeros((18, 18))
        for i, j in links:
            edges[j, i] = 1
        return edges

    def normalized(edges):
        degree = edges.sum(0)
        return edges @ np.diag(np.where(degree > 0, 1 / np.maximum(degree, 1), 0))

    outward = [(j, i) for i, j in inward]
    expected = np.stack([np.eye(18), normalized(matrix(inward)), normalized(matrix(outward))])
    np.testing.assert_allclose(directed_partition(found).numpy(), expected, atol=1e-6)


@pytest.mark.parametrize("arch", ["stgcnpp", "ctrgcn"])
def test_every_block_starts_from_the_published_adjacency(arch):
    widths = {"widths": (8, 8, 16)}
    network = create(arch, layout_name="body_25", frames=8, **widths)
    start = directed_partition(layout("body_25"))
    found = [value for name, value in network.state_dict().items() if name.endswith("adjacency")]
    assert len(found) == 3
    for adjacency in found:
        torch.testing.assert_close(adjacency, start)


def test_laplacian_positions_are_eigenvectors_and_always_the_same():
    found = layout("body_25+face_70+hand_21x2")
    torch.manual_seed(1)
    first = laplacian_positions(found, 8)
    state = torch.random.get_rng_state()
    second = laplacian_positions(found, 8)
    assert torch.equal(first, second)
    assert torch.equal(state, torch.random.get_rng_state())
    graph = skeleton_graph(found, mirror=False)
    adjacency = np.zeros((len(found), len(found)))
    adjacency[tuple(graph.edge_index.numpy())] = 1
    degree = adjacency.sum(0)
    laplacian = np.eye(len(found)) - adjacency / np.sqrt(np.outer(degree, degree))
    smallest = np.linalg.eigvalsh(laplacian)[1:9]
    for vector, value in zip(first.T.numpy(), smallest, strict=True):
        np.testing.assert_allclose(laplacian @ vector, value * vector, atol=1e-5)


def test_bones_lead_to_the_root_of_their_own_part():
    found = layout("body_25+face_70+hand_21x2")
    parent = parents(found)
    assert found.keypoints[parent[found.index("body_25.RWrist")]] == "body_25.RElbow"
    assert found.keypoints[parent[found.index("hand_left_21.Index4")]] == "hand_left_21.Index3"
    roots = [found.keypoints[i] for i, above in enumerate(parent) if i == above]
    assert roots == ["body_25.Neck", "face_70.NoseBridge0", "hand_left_21.Wrist", "hand_right_21.Wrist"]
    for keypoint in range(len(found)):
        part, steps = found.keypoints[keypoint].split(".")[0], 0
        while parent[keypoint] != keypoint:
            keypoint, steps = parent[keypoint], steps + 1
            assert found.keypoints[keypoint].startswith(part)
            assert steps < 20


@pytest.mark.parametrize("name", ["body_25", "body_25+face_70+hand_21x2"])
def test_dense_graph_convolution_is_torch_geometrics_gcn_conv(name):
    found = layout(name)
    graph = skeleton_graph(found, mirror=False)
    sparse = GCNConv(6, 10)
    torch.nn.init.normal_(sparse.bias)
    near = (hops(found) <= 1).float()
    degree = near.sum(0)
    dense = GraphConv(6, 10, near[None] / (degree[:, None] * degree).sqrt())  # D^-½ (A + I) D^-½
    dense.mix = dense.mix.linear  # without batch norm
    dense.mix.load_state_dict({"weight": sparse.lin.weight, "bias": sparse.bias})
    rows = torch.randn(5, len(found), 6, requires_grad=True)
    ours, theirs = dense(rows), sparse(rows, graph.edge_index)
    torch.testing.assert_close(ours, theirs, atol=1e-5, rtol=0)
    slopes = [torch.autograd.grad(out.square().sum(), rows)[0] for out in (ours, theirs)]
    torch.testing.assert_close(*slopes, atol=1e-4, rtol=1e-5)


def test_every_subset_of_a_graph_convolution_has_its_own_weights():
    found = layout("body_25")
    adjacency = partition(found)
    conv = GraphConv(4, 3, adjacency)
    conv.mix = conv.mix.linear  # without batch norm
    rows = torch.randn(2, 25, 4)
    weight = conv.mix.weight.view(3, 3, 4)  # [out, K, in]
    expected = torch.einsum("nuc,kuv,okc->nvo", rows, adjacency, weight) + conv.mix.bias
    torch.testing.assert_close(conv(rows), expected, atol=1e-5, rtol=1e-5)
