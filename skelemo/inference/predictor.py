"""A network's answers for windows."""

import numpy as np
import torch
from torch import nn

from skelemo.data.loader import Batches, inputs


@torch.inference_mode()
def predict(network: nn.Module, batches: Batches) -> dict[str, np.ndarray]:
    """Run a network over batches: ``expression [W, K]`` probabilities and/or ``va [W, 2]``, in the batches' order."""
    network.eval()
    collected: dict[str, list[np.ndarray]] = {}
    for batch in batches:
        for head, output in network(**inputs(batch)).items():
            answer = output.float().softmax(-1) if head == "expression" else output.float()
            collected.setdefault(head, []).append(answer.cpu().numpy())
    return {head: np.concatenate(parts) for head, parts in collected.items()}
