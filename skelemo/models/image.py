"""Image networks: skeleton images drawn on the device, a backbone on each frame, the mean over time, the heads."""

from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Self

import torch
from torch import Tensor, nn

from skelemo.errors import ConfigError, unknown
from skelemo.models.heads import Heads, fixed_shapes, masked_mean
from skelemo.models.registry import Spec, entry, register
from skelemo.models.weights import load_weights, official_file, read_weights
from skelemo.render import SkeletonRenderer

# Mean and deviation of ImageNet's channels, with which the published weights were trained (torchvision's
# ImageClassification preset). Networks trained from scratch use the same, so one recipe serves both.
_MEAN = (0.485, 0.456, 0.406)
_DEVIATION = (0.229, 0.224, 0.225)

#: The smallest side of an image: the convolutional networks halve it five times.
SMALLEST_SIDE = 32


class Backbone(nn.Module):
    """Images ``[N, 3, H, W]`` to features ``[N, out_features]``, or to logits with ``classes``.

    Parameters have torchvision's names, so its published files load unchanged. A subclass sets

    out_features : number of features before the classifier.
    final : prefix of the classifier's parameters, which are skipped when weights are loaded.
    stages : parameter prefixes of every stage, from the image up.
    """

    out_features: int
    final: str
    stages: tuple[tuple[str, ...], ...]

    def fit(self, height: int, width: int) -> None:
        """Prepare for images of this size; raises `ConfigError` if they do not fit the network."""
        if min(height, width) < SMALLEST_SIDE:
            raise ConfigError(f"image_size: images of {height} x {width} are too small; the minimum is {SMALLEST_SIDE}")

    def adapt(self, state: Mapping[str, Tensor]) -> dict[str, Tensor]:
        """Weights of a file under this network's names, and in its shapes where they can be converted."""
        return dict(state)


def linear(features: int, classes: int) -> nn.Module:
    """The classifier, or the identity for features."""
    return nn.Linear(features, classes) if classes else nn.Identity()


class ImageEncoder(nn.Module):
    """Keypoints to features by frame, ``[B, T, V, 3] → [B, T, out_features]``, zeros for masked frames.

    Every visible frame is drawn, normalized by ImageNet's mean and deviation, and passed through the backbone. Masked
    frames are not: they would distort the statistics of batch norm.

    Parameters
    ----------
    renderer : ``[B, T, V, 3]`` and the frame size ``[B, 2]``, or None, to ``[B T, 3, H, W]`` in [0, 1].
    backbone : without classifier.
    freeze : number of the backbone's stages, from the image up, whose weights and statistics are frozen.
    """

    def __init__(self, renderer: nn.Module, backbone: Backbone, *, freeze: int = 0) -> None:
        super().__init__()
        self.renderer = renderer
        self.backbone = backbone
        self.out_features = backbone.out_features
        self.register_buffer("mean", torch.tensor(_MEAN).view(3, 1, 1), persistent=False)
        self.register_buffer("deviation", torch.tensor(_DEVIATION).view(3, 1, 1), persistent=False)
        frozen = tuple(prefix for stage in backbone.stages[:freeze] for prefix in stage)
        self._frozen = [module for name, module in backbone.named_modules() if name in frozen]
        for name, parameter in backbone.named_parameters():
            if any(name == prefix or name.startswith(prefix + ".") for prefix in frozen):
                parameter.requires_grad_(False)

    def train(self, mode: bool = True) -> Self:
        """Set the training mode of all but the frozen stages."""
        super().train(mode)
        for module in self._frozen:
            module.eval()
        return self

    def forward(self, keypoints: Tensor, mask: Tensor, frame_size: Tensor | None = None) -> Tensor:
        """Features ``[B, T, out_features]`` of ``[B, T, V, 3]``, ``[B, T]`` and the frame size ``[B, 2]``."""
        images = self.renderer(keypoints, frame_size)  # [B T, 3, H, W]
        images = ((images - self.mean) / self.deviation).contiguous(memory_format=torch.channels_last)
        seen = mask.flatten()
        if fixed_shapes(mask, self.training):
            features = self.backbone(images).masked_fill(~seen.unsqueeze(-1), 0)
        else:
            features = images.new_zeros(len(seen), self.out_features)
            features = features.index_put((seen,), self._features(images[seen]).to(features.dtype))
        return features.unflatten(0, mask.shape)

    def _features(self, images: Tensor) -> Tensor:
        if not len(images):
            return images.new_zeros(0, self.out_features)
        if self.training and len(images) == 1:
            # Batch norm rejects a single value per channel, as one small image has in the last stage.
            return self.backbone(images.repeat(2, 1, 1, 1))[:1]
        return self.backbone(images)


class ImageNetwork(nn.Module):
    """An `ImageEncoder`, the mean of its features over the visible frames, dropout and the heads."""

    def __init__(self, encoder: ImageEncoder, spec: Spec, *, dropout: float = 0.0) -> None:
        super().__init__()
        self.encoder = encoder
        self.dropout = nn.Dropout(dropout)
        self.heads = Heads(encoder.out_features, spec.heads)

    def forward(self, keypoints: Tensor, mask: Tensor, frame_size: Tensor | None = None) -> dict[str, Tensor]:
        """``{head: tensor}`` of keypoints ``[B, T, V, 3]``, mask ``[B, T]`` and frame size ``[B, 2]``."""
        return self.heads(self.dropout(masked_mean(self.encoder(keypoints, mask, frame_size), mask)))

    def backbone_parameters(self) -> list[nn.Parameter]:
        """Trainable parameters of the backbone, for a learning rate of their own."""
        return [parameter for parameter in self.encoder.parameters() if parameter.requires_grad]


#: Builders of the registered backbones, ``build(classes=0) -> Backbone``, by architecture.
BACKBONES: dict[str, Callable[..., Backbone]] = {}


def image_encoder(
    architecture: str,
    spec: Spec,
    *,
    view: str = "auto",
    image_size: int = 224,
    weights: str = "",
    freeze: int = 0,
) -> ImageEncoder:
    """Build the encoder of a registered image network.

    Raises `ConfigError`: an invalid setting of the renderer or the backbone, or no published weights; `InputError`:
    weights cannot be read or do not fit.

    Parameters
    ----------
    architecture : a registered image network, such as ``resnet18``.
    view : what is drawn: ``frame`` (as in the paper), ``person``, ``face`` or ``person+face``; ``auto`` is
        ``person+face`` if the layout has a face, else ``person``.
    image_size : side of the image in pixels, for ``person+face`` of each of the two; at least 32, for a transformer a
        multiple of 16.
    weights : ``imagenet`` for the official file, the path of a file, or empty. Initial values only: ignored on the meta
        device.
    freeze : number of stages, from the image up, that are not trained: up to 5 of a convolutional network, stem
        included, and up to 13 of a transformer.
    """
    entry(architecture)  # imports all architectures
    if architecture not in BACKBONES:
        raise unknown("image network", architecture, BACKBONES)
    backbone = BACKBONES[architecture]()
    if view == "auto":
        view = "person+face" if spec.layout.face else "person"
    renderer = SkeletonRenderer(spec.layout, image_size, view)
    backbone.fit(*renderer.picture)
    if not 0 <= freeze <= len(backbone.stages):
        raise ConfigError(
            f"freeze = {freeze}: {architecture} has {len(backbone.stages)} stages; expected 0 to that number"
        )
    if weights and not next(backbone.parameters()).is_meta:
        path = official_file(architecture) if weights == "imagenet" else Path(weights).expanduser()
        load_weights(backbone, backbone.adapt(read_weights(path)), source=str(path), leave=backbone.final)
    return ImageEncoder(renderer, backbone, freeze=freeze)


def image_network(name: str, build: Callable[..., Backbone]) -> None:
    """Register ``build(classes=0) -> Backbone`` as a backbone and as an architecture."""
    BACKBONES[name] = build

    @register(name, sees="a skeleton image of each frame, averaged over the window", coordinates="frame")
    def network(
        spec: Spec,
        *,
        view: str = "auto",
        image_size: int = 224,
        weights: str = "",
        freeze: int = 0,
        dropout: float = 0.0,
    ) -> ImageNetwork:
        encoder = image_encoder(name, spec, view=view, image_size=image_size, weights=weights, freeze=freeze)
        return ImageNetwork(encoder, spec, dropout=dropout)
