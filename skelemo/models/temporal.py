"""Networks over time on one vector per frame: `lstm`, `gru`, `tcn`, `transformer`."""

from collections.abc import Sequence
from typing import Literal

import torch
from torch import Tensor, nn

from skelemo.models.attention import FeedForward, TimeAttention, time_positions
from skelemo.models.heads import Heads, masked_mean
from skelemo.models.joint_layers import require_odd
from skelemo.models.registry import Spec, register
from skelemo.models.streams import Streams


class Recurrent(nn.Module):
    """LSTM or GRU over the visible frames ``[B, T, F]``, forwards and backwards.

    Masked frames are moved to the end, so the state is unchanged across a gap. Each direction is a separate network,
    since torch's bidirectional ones would start with the padding.
    """

    def __init__(
        self, kind: Literal["lstm", "gru"], inputs: int, width: int, layers: int, dropout: float, both_ways: bool
    ) -> None:
        super().__init__()
        make = {"lstm": nn.LSTM, "gru": nn.GRU}[kind]
        between = dropout if layers > 1 else 0.0
        count = 2 if both_ways else 1
        self.directions = nn.ModuleList(
            make(inputs, width, layers, batch_first=True, dropout=between) for _ in range(count)
        )
        self.width = count * width

    def forward(self, vectors: Tensor, mask: Tensor) -> Tensor:
        """``[B, T, F]`` and ``[B, T]`` to the mean state over the visible frames ``[B, width]``."""
        length = mask.shape[1]
        position = torch.arange(length, device=mask.device)
        seen_first = position < mask.sum(1, keepdim=True)
        states = []
        for direction, order in zip(self.directions, (position, position.flip(0)), strict=False):
            turn = torch.where(mask, order, order + length).argsort(1)  # visible frames in order, then the others
            turned = vectors.gather(1, turn[..., None].expand_as(vectors))
            states.append(masked_mean(direction(turned)[0], seen_first))
        return torch.cat(states, -1)


class Convolutional(nn.Module):
    """Residual convolutions over ``[B, T, F]`` with doubling dilation (Bai et al. 2018, not causal)."""

    def __init__(self, width: int, layers: int, kernel: int, dropout: float) -> None:
        super().__init__()
        require_odd(kernel)
        self.width = width
        self.norms = nn.ModuleList(nn.LayerNorm(width) for _ in range(layers))
        self.convs = nn.ModuleList(
            nn.Conv1d(width, width, kernel, padding=(kernel - 1) // 2 * 2**layer, dilation=2**layer)
            for layer in range(layers)
        )
        self.dropout = nn.Dropout(dropout)

    def forward(self, vectors: Tensor, mask: Tensor) -> Tensor:
        """``[B, T, width]`` and ``[B, T]`` to their mean over the visible frames ``[B, width]``."""
        for norm, conv in zip(self.norms, self.convs, strict=True):
            seen = torch.relu(norm(vectors)) * mask[..., None]
            vectors = vectors + self.dropout(conv(seen.transpose(1, 2)).transpose(1, 2))
        return masked_mean(vectors, mask)


class Attentive(nn.Module):
    """Transformer over the visible frames of ``[B, T, F]``, with positional encoding."""

    def __init__(self, width: int, layers: int, heads: int, dropout: float) -> None:
        super().__init__()
        self.width = width
        self.attention = nn.ModuleList(TimeAttention(width, heads, dropout) for _ in range(layers))
        self.mlp = nn.ModuleList(FeedForward(width, dropout) for _ in range(layers))
        self.norm = nn.LayerNorm(width)

    def forward(self, vectors: Tensor, mask: Tensor) -> Tensor:
        """``[B, T, width]`` and ``[B, T]`` to their mean over the visible frames ``[B, width]``."""
        vectors = vectors + time_positions(vectors.shape[1], self.width, vectors)
        for attention, mlp in zip(self.attention, self.mlp, strict=True):
            vectors = attention(vectors, mask)
            vectors = vectors + mlp(vectors)
        return masked_mean(self.norm(vectors), mask)


class FrameVectors(nn.Module):
    """The streams of a frame's keypoints, flattened and projected: ``[B, T, width]``."""

    def __init__(self, spec: Spec, streams: Sequence[str], width: int, dropout: float) -> None:
        super().__init__()
        self.streams = Streams(spec, streams)
        self.embed = nn.Sequential(
            nn.Linear(len(spec.layout) * self.streams.channels, width),
            nn.LayerNorm(width),
            nn.ReLU(),
            nn.Dropout(dropout),
        )

    def forward(self, keypoints: Tensor, mask: Tensor) -> Tensor:
        """``[B, T, V, 3]`` and ``[B, T]`` to ``[B, T, width]``."""
        return self.embed(self.streams(keypoints, mask).flatten(2))


class TemporalNetwork(nn.Module):
    """A vector per frame, a network over time, the heads.

    Parameters
    ----------
    frames : module ``(keypoints, mask) -> [B, T, F]``.
    time : module ``(vectors, mask) -> [B, time.width]``.
    """

    def __init__(
        self, spec: Spec, frames: nn.Module, time: Recurrent | Convolutional | Attentive, dropout: float
    ) -> None:
        super().__init__()
        self.frames = frames
        self.time = time
        self.dropout = nn.Dropout(dropout)
        self.heads = Heads(time.width, spec.heads)

    def forward(self, keypoints: Tensor, mask: Tensor) -> dict[str, Tensor]:
        """``[B, T, V, 3]`` and ``[B, T]`` to the heads' outputs."""
        return self.predict(self.frames(keypoints, mask), mask)

    def predict(self, vectors: Tensor, mask: Tensor) -> dict[str, Tensor]:
        """Vectors of the frames ``[B, T, F]`` to the heads' outputs."""
        return self.heads(self.dropout(self.time(vectors, mask)))


def _register_recurrent(kind: Literal["lstm", "gru"]) -> None:
    @register(kind, sees="normalized keypoints of each frame, over time")
    def network(
        spec: Spec,
        *,
        streams: Sequence[str] = ("joint",),
        width: int = 128,
        layers: int = 1,
        both_ways: bool = True,
        dropout: float = 0.2,
    ) -> nn.Module:
        frames = FrameVectors(spec, streams, width, dropout)
        return TemporalNetwork(spec, frames, Recurrent(kind, width, width, layers, dropout, both_ways), dropout)


_register_recurrent("lstm")
_register_recurrent("gru")


@register("tcn", sees="normalized keypoints of each frame, over time")
def tcn(
    spec: Spec,
    *,
    streams: Sequence[str] = ("joint",),
    width: int = 128,
    layers: int = 4,
    kernel: int = 3,
    dropout: float = 0.2,
) -> nn.Module:
    """Temporal convolutions; 4 layers of kernel 3 have a receptive field of 31 frames."""
    frames = FrameVectors(spec, streams, width, dropout)
    return TemporalNetwork(spec, frames, Convolutional(width, layers, kernel, dropout), dropout)


@register("transformer", sees="normalized keypoints of each frame, over time")
def transformer(
    spec: Spec,
    *,
    streams: Sequence[str] = ("joint",),
    width: int = 128,
    layers: int = 3,
    attention_heads: int = 4,
    dropout: float = 0.2,
) -> nn.Module:
    """Transformer whose tokens are frames."""
    frames = FrameVectors(spec, streams, width, dropout)
    return TemporalNetwork(spec, frames, Attentive(width, layers, attention_heads, dropout), dropout)
