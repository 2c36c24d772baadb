"""The paper's baseline: linear layers on flattened keypoints (section 5, "Artificial Neural Network")."""

from collections.abc import Sequence

from torch import Tensor, nn

from skelemo.errors import ConfigError, unknown
from skelemo.models.heads import activate
from skelemo.models.registry import Spec, register
from skelemo.models.streams import Streams

#: Activations; SiLU: Elfwing et al. 2018 (arXiv:1702.03118).
ACTIVATIONS: dict[str, type[nn.Module]] = {"relu": nn.ReLU, "silu": nn.SiLU}


@register("ann", sees="normalized keypoints of the window's frames, flattened")
class Ann(nn.Module):
    """Four linear layers for each head, not shared between heads, as in the paper. Missing points are zeros.

    Parameters
    ----------
    width : units of the first layer, halved in each following layer.
    dropout : dropout after each hidden layer.
    activation : one of `ACTIVATIONS`; the paper uses ReLU.
    streams : the inputs, see `Streams`; the paper uses joints only.
    standardize : scale every coordinate to mean 0 and variance 1 over the training windows in which its point is
        visible. The paper does not, but without it networks barely train: raw coordinates hardly differ between faces.
    """

    def __init__(
        self,
        spec: Spec,
        *,
        width: int = 512,
        dropout: float = 0.2,
        activation: str = "relu",
        streams: Sequence[str] = ("joint",),
        standardize: bool = True,
    ) -> None:
        super().__init__()
        if width < 4:
            raise ConfigError(f"width {width} of ann: expected at least 4, so that the third layer has a unit")
        if activation not in ACTIVATIONS:
            raise unknown("activation", activation, ACTIVATIONS)
        self.streams = Streams(spec, streams, normalize=standardize)
        inputs = spec.frames * len(spec.layout) * self.streams.channels
        self.heads = spec.heads
        for head in spec.heads:
            layers = (_hidden(inputs, width, dropout, activation), nn.Linear(width // 4, len(head)))
            self.add_module(f"{head.name}_head", nn.Sequential(*layers))

    def forward(self, keypoints: Tensor, mask: Tensor) -> dict[str, Tensor]:
        """``{head: [B, K]}``."""
        inputs = self.streams(keypoints, mask).flatten(1)  # [B, T·V·channels]
        return {head.name: activate(head, getattr(self, f"{head.name}_head")(inputs)) for head in self.heads}


def _hidden(inputs: int, width: int, dropout: float, activation: str) -> nn.Sequential:
    """Three linear layers of halving width."""
    layers: list[nn.Module] = []
    for outputs in (width, width // 2, width // 4):
        layers += [nn.Linear(inputs, outputs), ACTIVATIONS[activation](), nn.Dropout(dropout)]
        inputs = outputs
    return nn.Sequential(*layers)
