"""A trained network's answers for windows."""

from collections.abc import Sequence
from contextlib import nullcontext

import numpy as np
import torch
from torch import nn

from skelemo.data.loader import Batches, inputs
from skelemo.models.heads import probabilities
from skelemo.targets import Head


def predict(
    network: nn.Module, batches: Batches, heads: Sequence[Head], precision: str = "32-true"
) -> dict[str, np.ndarray]:
    """Outputs ``[W, K]`` of each head in the order of the batches: probabilities of classes and flags, values.

    ``precision`` is the one that the network was trained in.
    """
    device = batches.device.type
    types = {"bf16-mixed": torch.bfloat16, "16-mixed": torch.float16}
    autocast = torch.autocast(device, types[precision]) if precision in types else nullcontext()
    found: dict[str, list[torch.Tensor]] = {head.name: [] for head in heads}
    network.eval()
    with torch.inference_mode(), autocast:
        for batch in batches:
            outputs = network(**inputs(batch))
            for head in heads:
                found[head.name].append(probabilities(head, outputs[head.name]).cpu())
    return {head.name: torch.cat(found[head.name]).numpy() for head in heads}
