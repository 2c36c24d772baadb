"""What every architecture ends in: pooling over the frames that were seen, and one linear layer per head."""

import torch
from torch import Tensor, nn


class Heads(nn.Module):
    """Features ``[B, F]`` to ``{"expression": logits [B, classes], "va": [B, 2] in [-1, 1]}``."""

    def __init__(self, features: int, heads: tuple[str, ...], classes: int) -> None:
        super().__init__()
        widths = {"expression": classes, "va": 2}
        self.layers = nn.ModuleDict({head: nn.Linear(features, widths[head]) for head in heads})

    def forward(self, features: Tensor) -> dict[str, Tensor]:
        """Class logits, and valence and arousal squashed into their range."""
        outputs = {head: layer(features) for head, layer in self.layers.items()}
        return {head: torch.tanh(output) if head == "va" else output for head, output in outputs.items()}


def masked_mean(values: Tensor, mask: Tensor) -> Tensor:
    """Mean over the seen frames: ``values [B, T, F]``, ``mask [B, T]`` → ``[B, F]``; zeros where none was seen."""
    weights = mask.to(values.dtype).unsqueeze(-1)  # [B, T, 1]
    return (values * weights).sum(1) / weights.sum(1).clamp(min=1)
