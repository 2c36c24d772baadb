"""Graph attention: torch_geometric's ``GATv2Conv`` on the skeleton of every frame, and temporal convolutions."""

from collections.abc import Sequence

import torch
from torch import Tensor, nn

from skelemo.errors import ConfigError
from skelemo.models.graph import EdgeType, skeleton_graph
from skelemo.models.heads import Heads
from skelemo.models.joint_layers import Frames, JointTokens, TimeConv, TokenReadout
from skelemo.models.registry import Spec, register


class Block(nn.Module):
    """Attention along the edges, then a convolution over time; both pre-norm and residual."""

    def __init__(self, width: int, heads: int, kernel: int, edge_features: int, dropout: float) -> None:
        super().__init__()
        from torch_geometric.nn import GATv2Conv

        if width % heads:
            raise ConfigError(f"width = {width} is not a multiple of attention_heads = {heads}")
        self.graph_norm = nn.LayerNorm(width)
        self.graph = GATv2Conv(width, width // heads, heads, edge_dim=edge_features, add_self_loops=False)
        self.time_norm = nn.LayerNorm(width)
        self.time = TimeConv(width, width, kernel)
        self.dropout = nn.Dropout(dropout)

    def forward(self, rows: Tensor, frames: Frames, edges: Tensor, attributes: Tensor) -> Tensor:
        """Rows ``[n, V, width]``, with the edges of all n copies of the skeleton."""
        found = self.graph(self.graph_norm(rows).flatten(0, 1), edges, attributes).view_as(rows)
        rows = rows + self.dropout(torch.relu(found))
        moved = frames.pack(self.time(frames.spread(self.time_norm(rows))))
        return rows + self.dropout(torch.relu(moved))


@register("gat", sees="a graph of normalized keypoints over time")
class GraphAttentionNetwork(nn.Module):
    """Graph attention (GATv2, Brody et al. 2022) with edge types; one token per joint and ``stride`` frames.

    All frames of a batch form one graph of disjoint copies of the skeleton. The heads take ``readout`` features of all
    joints, averaged over time.
    """

    edges: Tensor
    attributes: Tensor

    def __init__(
        self,
        spec: Spec,
        *,
        streams: Sequence[str] = ("joint",),
        width: int = 64,
        attention_heads: int = 4,
        blocks: int = 3,
        kernel: int = 5,
        stride: int = 2,
        readout: int = 128,
        dropout: float = 0.1,
    ) -> None:
        super().__init__()
        from torch_geometric.transforms import AddSelfLoops

        graph = AddSelfLoops(attr="edge_type", fill_value=len(EdgeType))(skeleton_graph(spec.layout))
        kinds = nn.functional.one_hot(graph.edge_type, len(EdgeType) + 1).float()
        self.register_buffer("edges", graph.edge_index, persistent=False)
        self.register_buffer("attributes", kinds, persistent=False)
        self.tokens = JointTokens(spec, streams, width, stride)
        self.blocks = nn.ModuleList(
            Block(width, attention_heads, kernel, kinds.shape[1], dropout) for _ in range(blocks)
        )
        self.readout = TokenReadout(len(spec.layout), width, readout)
        self.dropout = nn.Dropout(dropout)
        self.heads = Heads(readout, spec.heads)

    def forward(self, keypoints: Tensor, mask: Tensor) -> dict[str, Tensor]:
        """``[B, T, V, 3]`` and ``[B, T]`` to the heads' outputs."""
        rows, frames = self.tokens(keypoints, mask)
        copies, points, _ = rows.shape
        first = torch.arange(copies, device=rows.device) * points
        edges = (self.edges[:, None] + first[:, None]).flatten(1)  # [2, n * E]
        attributes = self.attributes.repeat(copies, 1)
        for block in self.blocks:
            rows = block(rows, frames, edges, attributes)
        return self.heads(self.dropout(self.readout(rows, frames)))
