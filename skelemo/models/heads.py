"""Output layers: pooling over visible frames, one linear layer per head, and predictions."""

from collections.abc import Mapping, Sequence

import torch
from torch import Tensor, nn

from skelemo.models.streams import mirrored
from skelemo.skeleton import Layout
from skelemo.targets import Head


class Heads(nn.Module):
    """Features ``[B, F]`` to ``{head: [B, K]}``: logits for classes and flags, values within their range."""

    def __init__(self, features: int, heads: tuple[Head, ...]) -> None:
        super().__init__()
        self.heads = heads
        for head in heads:
            self.add_module(f"{head.name}_head", nn.Linear(features, len(head)))

    def forward(self, features: Tensor) -> dict[str, Tensor]:
        """``[B, F]`` to ``{head: [B, K]}``."""
        return {head.name: activate(head, getattr(self, f"{head.name}_head")(features)) for head in self.heads}


def activate(head: Head, raw: Tensor) -> Tensor:
    """Output activation of a head: tanh scaled to [low, high] for values, identity for logits."""
    if head.kind != "values":
        return raw
    return (head.low + head.high) / 2 + (head.high - head.low) / 2 * torch.tanh(raw)


def probabilities(head: Head, output: Tensor) -> Tensor:
    """Predictions of a head, float32 ``[B, K]``: probabilities of classes and flags, values unchanged."""
    output = output.float()
    return {"classes": lambda: output.softmax(-1), "flags": output.sigmoid, "values": lambda: output}[head.kind]()


def predictions(
    network: nn.Module, given: Mapping[str, Tensor], heads: Sequence[Head], layout: Layout, *, flip: bool = False
) -> dict[str, Tensor]:
    """Predictions ``[B, K]`` of each head.

    Parameters
    ----------
    given : the network's arguments, including ``keypoints`` and ``mask``.
    flip : average over the windows and their mirror images.
    """
    outputs = network(**given)
    found = {head.name: probabilities(head, outputs[head.name]) for head in heads}
    if not flip:
        return found
    twin = network(**{**given, "keypoints": mirrored(given["keypoints"], layout)})
    return {head.name: (found[head.name] + probabilities(head, twin[head.name])) / 2 for head in heads}


def masked_mean(values: Tensor, mask: Tensor) -> Tensor:
    """Mean over visible frames: ``values [B, T, F]``, ``mask [B, T]`` → ``[B, F]``; zero without visible frames."""
    weights = mask.to(values.dtype).unsqueeze(-1)  # [B, T, 1]
    return (values * weights).sum(1) / weights.sum(1).clamp(min=1)


def fixed_shapes(mask: Tensor, training: bool) -> bool:
    """Whether shapes must not depend on a mask: when exported or compiled for inference, and on the meta device."""
    traced = torch.compiler.is_compiling() or torch.jit.is_tracing()
    return mask.is_meta or (traced and not training)
