"""Networks over time on skeleton images: `cnn_lstm` and `cnn_transformer`, the paper's future work."""

from collections.abc import Sequence
from typing import Any

from torch import Tensor, nn

from skelemo.models.image import image_encoder
from skelemo.models.registry import Spec, register
from skelemo.models.temporal import Attentive, Recurrent, TemporalNetwork


class ImageVectors(nn.Module):
    """Features of every visible frame's skeleton image, projected to ``width``: ``[B, T, width]``."""

    def __init__(self, spec: Spec, backbone: str, width: int, dropout: float, drawing: dict[str, Any]) -> None:
        super().__init__()
        self.encoder = image_encoder(backbone, spec, **drawing)
        self.embed = nn.Sequential(
            nn.Linear(self.encoder.out_features, width), nn.LayerNorm(width), nn.Dropout(dropout)
        )

    def forward(self, keypoints: Tensor, mask: Tensor, frame_size: Tensor | None = None) -> Tensor:
        """``[B, T, V, 3]``, ``[B, T]`` and the frame size ``[B, 2]`` to ``[B, T, width]``."""
        return self.embed(self.encoder(keypoints, mask, frame_size))


class ImageTemporalNetwork(TemporalNetwork):
    """A `TemporalNetwork` whose image network may be pre-trained and have its own learning rate."""

    frames: ImageVectors

    def forward(self, keypoints: Tensor, mask: Tensor, frame_size: Tensor | None = None) -> dict[str, Tensor]:
        """``[B, T, V, 3]``, ``[B, T]`` and the frame size ``[B, 2]`` to the heads' outputs."""
        return self.predict(self.frames(keypoints, mask, frame_size), mask)

    def backbone_parameters(self) -> Sequence[nn.Parameter]:
        """Trainable parameters of the image network."""
        return [parameter for parameter in self.frames.encoder.parameters() if parameter.requires_grad]


@register("cnn_lstm", sees="a skeleton image of each frame, over time", coordinates="frame")
def cnn_lstm(
    spec: Spec,
    *,
    backbone: str = "resnet18_paper",
    view: str = "auto",
    image_size: int = 96,
    weights: str = "",
    freeze: int = 0,
    width: int = 128,
    layers: int = 1,
    both_ways: bool = True,
    dropout: float = 0.2,
) -> nn.Module:
    """An image network on each frame, then an LSTM over time."""
    drawing = {"view": view, "image_size": image_size, "weights": weights, "freeze": freeze}
    frames = ImageVectors(spec, backbone, width, dropout, drawing)
    time = Recurrent("lstm", width, width, layers, dropout, both_ways)
    return ImageTemporalNetwork(spec, frames, time, dropout)


@register("cnn_transformer", sees="a skeleton image of each frame, over time", coordinates="frame")
def cnn_transformer(
    spec: Spec,
    *,
    backbone: str = "resnet18_paper",
    view: str = "auto",
    image_size: int = 96,
    weights: str = "",
    freeze: int = 0,
    width: int = 128,
    layers: int = 2,
    attention_heads: int = 4,
    dropout: float = 0.2,
) -> nn.Module:
    """An image network on each frame, then a transformer over time."""
    drawing = {"view": view, "image_size": image_size, "weights": weights, "freeze": freeze}
    frames = ImageVectors(spec, backbone, width, dropout, drawing)
    return ImageTemporalNetwork(spec, frames, Attentive(width, layers, attention_heads, dropout), dropout)
