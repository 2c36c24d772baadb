"""The paper's baseline: linear layers on the keypoints, laid out flat (section 5, "Artificial Neural Network")."""

import torch
from torch import Tensor, nn

from skelemo.models.registry import Spec, register


class Ann(nn.Module):
    """Four linear layers with ReLU for the classes; three shared ones and two single values for valence and arousal.

    The two heads have layers of their own, as in the paper. Missing points are zeros; whether a point was seen is
    the network's to learn from its confidence.

    Parameters
    ----------
    width : units of the first layer; each further one has half as many.
    dropout : behind each hidden layer.
    """

    def __init__(self, spec: Spec, width: int, dropout: float) -> None:
        super().__init__()
        inputs = spec.frames * len(spec.layout) * spec.channels
        self.expression = self.valence = self.arousal = self.shared = None
        if "expression" in spec.heads:
            self.expression = nn.Sequential(
                nn.Flatten(), *_layers(inputs, width, dropout), nn.Linear(width // 4, spec.classes)
            )
        if "va" in spec.heads:
            self.shared = nn.Sequential(nn.Flatten(), *_layers(inputs, width, dropout))
            self.valence = nn.Linear(width // 4, 1)
            self.arousal = nn.Linear(width // 4, 1)

    def forward(self, keypoints: Tensor, mask: Tensor) -> dict[str, Tensor]:
        """Logits ``[B, classes]`` and valence and arousal ``[B, 2]``."""
        keypoints = keypoints * mask[..., None, None]
        outputs = {}
        if self.expression is not None:
            outputs["expression"] = self.expression(keypoints)
        if self.shared is not None and self.valence is not None and self.arousal is not None:
            shared = self.shared(keypoints)
            outputs["va"] = torch.tanh(torch.cat([self.valence(shared), self.arousal(shared)], -1))
        return outputs


def _layers(inputs: int, width: int, dropout: float) -> list[nn.Module]:
    layers: list[nn.Module] = []
    for outputs in (width, width // 2, width // 4):
        layers += [nn.Linear(inputs, outputs), nn.ReLU(), nn.Dropout(dropout)]
        inputs = outputs
    return layers


@register("ann", sees="normalised keypoints of the window's frames, laid out flat")
def ann(spec: Spec, *, width: int = 512, dropout: float = 0.2) -> nn.Module:
    """The paper's network of linear layers."""
    return Ann(spec, width, dropout)
