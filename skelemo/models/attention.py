"""Self-attention over frames or joints: pre-norm transformer layers with NaN-safe masks."""

import math

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from skelemo.errors import ConfigError


class Attention(nn.Module):
    """Multi-head self-attention over ``[N, L, D]``."""

    def __init__(self, width: int, heads: int, dropout: float) -> None:
        super().__init__()
        if width % heads:
            raise ConfigError(f"width = {width} is not a multiple of attention_heads = {heads}")
        self.heads = heads
        self.dropout = dropout
        self.qkv = nn.Linear(width, 3 * width)
        self.proj = nn.Linear(width, width)

    def forward(self, tokens: Tensor, bias: Tensor | None = None) -> Tensor:
        """Attend; ``bias`` ``[N, heads, L, L]`` is added to the scores, or bool (False: masked)."""
        query, key, value = self.qkv(tokens).unflatten(-1, (3, self.heads, -1)).permute(2, 0, 3, 1, 4)
        drop = self.dropout if self.training else 0.0
        found = F.scaled_dot_product_attention(query, key, value, attn_mask=bias, dropout_p=drop)
        return self.proj(found.transpose(1, 2).flatten(2))


class FeedForward(nn.Sequential):
    """Layer norm, linear, GELU, linear, dropout."""

    def __init__(self, width: int, dropout: float) -> None:
        super().__init__(
            nn.LayerNorm(width),
            nn.Linear(width, 2 * width),
            nn.GELU(),
            nn.Linear(2 * width, width),
            nn.Dropout(dropout),
        )


class TimeAttention(nn.Module):
    """Residual attention among the visible frames of ``[B, T, D]``."""

    def __init__(self, width: int, heads: int, dropout: float) -> None:
        super().__init__()
        self.norm = nn.LayerNorm(width)
        self.attention = Attention(width, heads, dropout)
        self.dropout = nn.Dropout(dropout)

    def forward(self, tokens: Tensor, seen: Tensor) -> Tensor:
        """``[B, T, D]`` and ``[B, T]`` to ``[B, T, D]``."""
        # A softmax over an empty set is NaN, so a window without visible frames attends to all; it is ignored later.
        visible = seen | ~seen.any(1, keepdim=True)
        return tokens + self.dropout(self.attention(self.norm(tokens), visible[:, None, None]))


def time_positions(length: int, width: int, like: Tensor) -> Tensor:
    """Sinusoidal positional encoding of frames, ``[T, D]`` (Vaswani et al. 2017)."""
    position = torch.arange(length, device=like.device, dtype=torch.float32)[:, None]
    rate = torch.exp(torch.arange(0, width, 2, device=like.device) * (-math.log(10_000.0) / width))
    waves = torch.stack([torch.sin(position * rate), torch.cos(position * rate)], -1).flatten(1)
    return waves[:, :width].to(like.dtype)
