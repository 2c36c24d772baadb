"""The graph of a layout: limbs, contours and links between parts, as torch_geometric data and as dense matrices.

torch_geometric takes seconds to import, so it is imported when the first graph is built.
"""

from __future__ import annotations

from enum import IntEnum
from itertools import chain, pairwise
from typing import TYPE_CHECKING

import numpy as np
import torch
from torch import Tensor

from skelemo.skeleton import Layout, Limb, Part

if TYPE_CHECKING:
    from torch_geometric.data import Data


class EdgeType(IntEnum):
    """Kind of an edge; the number is its ``edge_type``."""

    LIMB = 0  # within the body, a finger or a contour of the face
    TIE = 1  # joins the contours of one face
    LINK = 2  # joins two parts: face to head, hand to wrist
    MIRROR = 3  # joins a keypoint to its mirror image
    TIME = 4  # joins a keypoint to itself in the next frame


Edges = dict[EdgeType, list[Limb]]


def skeleton_graph(layout: Layout, *, mirror: bool = True, frames: int = 1) -> Data:
    """The graph of a layout, undirected, without self-loops.

    Parameters
    ----------
    layout : its keypoints are the nodes, in their order.
    mirror : add an edge between each keypoint and its mirror image.
    frames : number of copies of the skeleton, node ``t * V + v``, joined by edges of type ``TIME``.

    Returns
    -------
    Data with ``edge_index [2, E]``, ``edge_type [E]`` (`EdgeType`), ``part [N]`` (position of the node's part in the
    layout) and ``frame [N]``.
    """
    from torch_geometric.data import Data
    from torch_geometric.transforms import ToUndirected

    size = len(layout)
    links = [(a, b, kind) for kind, pairs in _edges(layout, mirror).items() for a, b in pairs]
    edges = torch.tensor(links, dtype=torch.long).reshape(-1, 3)
    shift = torch.arange(frames).repeat_interleave(len(edges)) * size
    index = edges[:, :2].repeat(frames, 1) + shift[:, None]
    kind = edges[:, 2].repeat(frames)
    earlier = torch.arange((frames - 1) * size)
    index = torch.cat([index, torch.stack([earlier, earlier + size], 1)])
    kind = torch.cat([kind, torch.full((len(earlier),), EdgeType.TIME)])
    part = torch.cat([torch.full((len(part),), number) for number, part in enumerate(layout.parts)])
    graph = Data(
        edge_index=index.T.contiguous(),
        edge_type=kind,
        part=part.repeat(frames),
        frame=torch.arange(frames).repeat_interleave(size),
        num_nodes=frames * size,
    )
    return ToUndirected(reduce="min")(graph)


def hops(layout: Layout) -> Tensor:
    """Shortest path lengths between keypoints, ``[V, V]`` int64; the graph is always connected."""
    return torch.from_numpy(_distances(_matrix(len(layout), _edges(layout, mirror=False)))).long()


def center(layout: Layout) -> int:
    """The keypoint that distances refer to: the root of the first part, as the body's neck in ST-GCN."""
    return layout.slices[layout.parts[0].name].start + layout.parts[0].index(layout.parts[0].root)


def partition(layout: Layout) -> Tensor:
    """The three adjacency matrices of ST-GCN's spatial configuration, ``[3, V, V]``, applied as ``x[…, V] @ A[k]``.

    Neighbors are split by their distance to the `center`: the keypoint itself, neighbors as near or nearer
    (centripetal), and neighbors farther away (centrifugal). Every column is divided by the keypoint's degree, so the
    three sum to the normalized adjacency A D⁻¹ (Yan et al. 2018, section 3.3 and the published code).
    """
    distance = hops(layout)
    source, target = distance[:, center(layout), None], distance[None, center(layout), :]
    itself, near = distance == 0, distance <= 1
    groups = torch.stack([itself, ~itself & (source <= target), source > target])
    return groups * near / near.sum(0)


def directed_partition(layout: Layout) -> Tensor:
    """The three matrices of PYSKL's and CTR-GCN's ``spatial`` mode, ``[3, V, V]``, applied as ``x[…, V] @ A[k]``.

    The keypoint itself with weight 1, and neighbors by `partition`; inward and outward links are each divided by the
    number of such links of the receiving keypoint, not by its degree (``get_spatial_graph`` of both repositories).
    """
    itself, inward, outward = (partition(layout) > 0).float()
    return torch.stack([itself, *(links / links.sum(0).clamp(min=1) for links in (inward, outward))])


def laplacian_positions(layout: Layout, k: int) -> Tensor:
    """The first ``k`` non-trivial eigenvectors of the graph's normalized Laplacian, ``[V, k]``.

    Signs are fixed (the largest entry is positive) for reproducibility; padded with zeros if the graph has fewer.
    """
    from torch_geometric.transforms import AddLaplacianEigenvectorPE

    known = min(k, len(layout) - 1)
    transform = AddLaplacianEigenvectorPE(known, attr_name="position", is_undirected=True)
    transform.SPARSE_THRESHOLD = len(layout) + 1  # the sparse solver starts from a random vector
    with torch.random.fork_rng(devices=[]):  # the transform draws signs
        position = transform(skeleton_graph(layout, mirror=False)).position.float()
    largest = position.gather(0, position.abs().argmax(0, keepdim=True))
    return torch.nn.functional.pad(position * largest.sign(), (0, k - known))


def edge_types(layout: Layout) -> Tensor:
    """Edge type of each pair of keypoints plus one, ``[V, V]`` int64; 0 without an edge."""
    table = torch.zeros(len(layout), len(layout), dtype=torch.long)
    graph = skeleton_graph(layout)
    table[graph.edge_index[0], graph.edge_index[1]] = graph.edge_type + 1
    return table


def parents(layout: Layout) -> tuple[int, ...]:
    """The parent of each keypoint, the next one towards the root of its part; a root is its own parent.

    Parts are normalized separately, so no bone connects two parts.
    """
    found: list[int] = []
    for part in layout.parts:
        matrix = _matrix(len(part), _edges(Layout(part.name, (part,)), mirror=False))
        start = layout.slices[part.name].start
        distance = _distances(matrix)[part.index(part.root)]
        for keypoint in range(len(part)):
            neighbors = matrix[[keypoint]].nonzero()[1]
            nearest = min(neighbors, key=lambda other: (distance[other], other), default=keypoint)
            found.append(start + int(nearest if distance[nearest] < distance[keypoint] else keypoint))
    return tuple(found)


def _edges(layout: Layout, mirror: bool) -> Edges:
    """The edges of one frame by type, each pair once."""
    edges: Edges = {EdgeType.LIMB: list(layout.limbs), EdgeType.TIE: [], EdgeType.LINK: []}
    for part in layout.parts:
        edges[EdgeType.TIE] += _named(part.ties, layout, part, part)
        if layout.body:  # face to head, hands to wrists
            edges[EdgeType.LINK] += _named(part.links, layout, layout.body, part)
    edges[EdgeType.LINK] += _bridges(layout, edges)
    if mirror:
        joined = {frozenset(pair) for pair in chain(*edges.values())}
        twins = [(a, b) for a, b in enumerate(layout.mirror) if a < b and frozenset((a, b)) not in joined]
        edges[EdgeType.MIRROR] = twins
    return edges


def _bridges(layout: Layout, edges: Edges) -> list[Limb]:
    """Edges between the roots of disconnected components, in a chain, so that the graph is connected."""
    piece = np.isfinite(_distances(_matrix(len(layout), edges))).argmax(1)  # the first keypoint of the component
    roots = [layout.slices[part.name].start + part.index(part.root) for part in layout.parts]
    firsts = {int(piece[node]): node for node in reversed([*roots, *range(len(layout))])}
    return list(pairwise(sorted(firsts.values())))


def _named(pairs: str, layout: Layout, first: Part, second: Part) -> list[Limb]:
    """Pairs ``A-B`` of names in two parts as positions on V; names that a body model lacks are skipped."""
    found = []
    for pair in pairs.split():
        a, b = pair.split("-")
        if a in first.keypoints and b in second.keypoints:
            found.append((layout.index(f"{first.name}.{a}"), layout.index(f"{second.name}.{b}")))
    return found


def _matrix(size: int, edges: Edges) -> np.ndarray:
    """Symmetric 0/1 matrix of the edges."""
    rows, columns = np.array([*chain(*edges.values())], dtype=int).reshape(-1, 2).T
    matrix = np.zeros((size, size))
    matrix[rows, columns] = matrix[columns, rows] = 1
    return matrix


def _distances(matrix: np.ndarray) -> np.ndarray:
    """Lengths of the shortest paths in a 0/1 matrix, infinite if disconnected (avoids importing scipy)."""
    distance = np.where(np.eye(len(matrix)), 0.0, np.inf)
    for length in range(1, len(matrix)):
        further = (np.isfinite(distance) @ matrix > 0) & np.isinf(distance)
        if not further.any():
            break
        distance[further] = length
    return distance
