"""Graph transformer: attention among joints, biased by the graph, then among frames.

Positions are eigenvectors of the graph's Laplacian (Dwivedi and Bresson 2021); the bias depends on hop distance and
edge type, as in Graphormer (Ying et al. 2021). Attention within a frame and within a joint costs T · V² + V · T²
instead of (T · V)².
"""

from collections.abc import Sequence

import torch
from torch import Tensor, nn

from skelemo.models.attention import Attention, FeedForward, TimeAttention, time_positions
from skelemo.models.graph import EdgeType, edge_types, hops, laplacian_positions
from skelemo.models.heads import Heads
from skelemo.models.joint_layers import Frames, JointTokens, TokenReadout
from skelemo.models.registry import Spec, register


class JointAttention(nn.Module):
    """Residual attention among the joints of a frame, biased by the graph."""

    hops: Tensor
    kinds: Tensor

    def __init__(self, spec: Spec, width: int, heads: int, dropout: float) -> None:
        super().__init__()
        distance = hops(spec.layout)
        self.register_buffer("hops", distance, persistent=False)
        self.register_buffer("kinds", edge_types(spec.layout), persistent=False)
        self.hop_bias = nn.Parameter(torch.zeros(int(distance.max()) + 1, heads))
        self.kind_bias = nn.Parameter(torch.zeros(len(EdgeType) + 1, heads))
        self.norm = nn.LayerNorm(width)
        self.attention = Attention(width, heads, dropout)
        self.dropout = nn.Dropout(dropout)

    def forward(self, rows: Tensor) -> Tensor:
        """``[n, V, D]``."""
        bias = (self.hop_bias[self.hops] + self.kind_bias[self.kinds]).permute(2, 0, 1)[None]  # [1, heads, V, V]
        return rows + self.dropout(self.attention(self.norm(rows), bias.to(rows.dtype)))


class Block(nn.Module):
    """Attention over joints, attention over time, feed-forward."""

    def __init__(self, spec: Spec, width: int, heads: int, dropout: float) -> None:
        super().__init__()
        self.joints = JointAttention(spec, width, heads, dropout)
        self.time = TimeAttention(width, heads, dropout)
        self.forward_layer = FeedForward(width, dropout)

    def forward(self, rows: Tensor, frames: Frames) -> Tensor:
        """Rows ``[n, V, D]``."""
        grid = frames.spread(self.joints(rows)).transpose(1, 2)  # [B, V, T, D]
        seen = frames.seen.repeat_interleave(grid.shape[1], 0)
        moved = self.time(grid.flatten(0, 1), seen).unflatten(0, grid.shape[:2])
        rows = frames.pack(moved.transpose(1, 2))
        return rows + self.forward_layer(rows)


@register("graph_transformer", sees="a graph of normalized keypoints over time")
class GraphTransformer(nn.Module):
    """Transformer over tokens, one per joint and ``stride`` frames, with ``positions`` Laplacian eigenvectors.

    The heads take ``readout`` features of all joints, averaged over time.
    """

    positions: Tensor

    def __init__(
        self,
        spec: Spec,
        *,
        streams: Sequence[str] = ("joint",),
        width: int = 64,
        attention_heads: int = 4,
        blocks: int = 4,
        stride: int = 2,
        positions: int = 8,
        readout: int = 128,
        dropout: float = 0.1,
    ) -> None:
        super().__init__()
        # Saved with the weights: eigenvectors of equal eigenvalues differ between machines.
        self.register_buffer("positions", laplacian_positions(spec.layout, positions))
        self.tokens = JointTokens(spec, streams, width, stride)
        self.position_embedding = nn.Linear(positions, width)
        self.blocks = nn.ModuleList(Block(spec, width, attention_heads, dropout) for _ in range(blocks))
        self.readout = TokenReadout(len(spec.layout), width, readout)
        self.dropout = nn.Dropout(dropout)
        self.heads = Heads(readout, spec.heads)

    def forward(self, keypoints: Tensor, mask: Tensor) -> dict[str, Tensor]:
        """``[B, T, V, 3]`` and ``[B, T]`` to the heads' outputs."""
        rows, frames = self.tokens(keypoints, mask)
        time = time_positions(frames.seen.shape[1], rows.shape[-1], rows)[:, None]  # [T, 1, D]
        rows = rows + self.position_embedding(self.positions)
        rows = rows + frames.pack(time.expand(frames.seen.shape[0], -1, -1, -1))
        for block in self.blocks:
            rows = block(rows, frames)
        return self.heads(self.dropout(self.readout(rows, frames)))
