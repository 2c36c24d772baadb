"""Image networks: keypoints drawn on the device, a backbone on each frame, the mean over time, the heads."""

from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Self

import torch
from torch import Tensor, nn

from skelemo.errors import ConfigError, unknown
from skelemo.models.heads import Heads, masked_mean
from skelemo.models.registry import Spec, entry, register
from skelemo.models.weights import load_weights, official_file, read_weights
from skelemo.render import SkeletonRenderer

# Mean and deviation of ImageNet's channels, with which the published weights were trained (torchvision's
# ImageClassification preset). Networks without them are normalized alike, so that one recipe serves both.
_MEAN = (0.485, 0.456, 0.406)
_DEVIATION = (0.229, 0.224, 0.225)

#: The smallest side of an image: the convolutional networks halve it five times.
SMALLEST_SIDE = 32


class Backbone(nn.Module):
    """A network that turns images ``[N, 3, H, W]`` into features ``[N, out_features]``, or logits with ``classes``.

    Parameters carry torchvision's names, so that its published files load unchanged. A subclass sets

    out_features : number of features before the classifier.
    final : prefix of the classifier's parameters, which are left out when weights are loaded.
    stages : for every stage from the image upwards, the prefixes of its parameters.
    """

    out_features: int
    final: str
    stages: tuple[tuple[str, ...], ...]

    def fit(self, height: int, width: int) -> None:
        """Prepare for images of that size; `ConfigError` where the network cannot take them."""
        if min(height, width) < SMALLEST_SIDE:
            raise ConfigError(f"image_size: images of {height} x {width} are too small, the least is {SMALLEST_SIDE}")

    def adapt(self, state: Mapping[str, Tensor]) -> dict[str, Tensor]:
        """A file's weights under today's names, and in this network's shapes where they can be converted."""
        return dict(state)


def linear(features: int, classes: int) -> nn.Module:
    """The classifier, or nothing where features are wanted."""
    return nn.Linear(features, classes) if classes else nn.Identity()


class ImageEncoder(nn.Module):
    """Keypoints to features by frame, ``[B, T, V, C] → [B, T, out_features]``; frames that were not seen give zeros.

    Every seen frame is drawn, normalized by ImageNet's mean and deviation, and sent through the backbone. The others
    never reach it: they would move the statistics of batch normalization.

    Parameters
    ----------
    renderer : ``[B, T, V, 3]`` and the pictures' size ``[B, 2]``, or None, to ``[B T, 3, H, W]`` in [0, 1].
    backbone : the network of pictures, without classifier.
    freeze : how many of the backbone's stages, from the picture upwards, keep their weights and statistics.
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
        """Training mode for all but the frozen stages."""
        super().train(mode)
        for module in self._frozen:
            module.eval()
        return self

    def forward(self, keypoints: Tensor, mask: Tensor, frame_size: Tensor | None = None) -> Tensor:
        """Features ``[B, T, out_features]`` of ``[B, T, V, C]``, ``[B, T]`` and the pictures' size ``[B, 2]``."""
        images = self.renderer(keypoints[..., :3], frame_size)  # [B T, 3, H, W]
        images = ((images - self.mean) / self.deviation).contiguous(memory_format=torch.channels_last)
        seen = mask.flatten()
        if self._keeps_every_frame(mask):
            features = self.backbone(images).masked_fill(~seen.unsqueeze(-1), 0)
        else:
            features = images.new_zeros(len(seen), self.out_features)
            features = features.index_put((seen,), self._features(images[seen]).to(features.dtype))
        return features.unflatten(0, mask.shape)

    def _features(self, images: Tensor) -> Tensor:
        if not len(images):
            return images.new_zeros(0, self.out_features)
        if self.training and len(images) == 1:
            # Batch normalization refuses a single value, which one small picture comes to in the last stage.
            return self.backbone(images.repeat(2, 1, 1, 1))[:1]
        return self.backbone(images)

    def _keeps_every_frame(self, mask: Tensor) -> bool:
        """Whether shapes must not depend on the mask: in an exported or compiled network, and on the meta device."""
        traced = torch.compiler.is_compiling() or torch.jit.is_tracing()
        return mask.is_meta or (traced and not self.training)


class ImageNetwork(nn.Module):
    """An `ImageEncoder`, the mean of its features over the seen frames, dropout and the heads."""

    def __init__(self, encoder: ImageEncoder, spec: Spec, *, dropout: float = 0.0) -> None:
        super().__init__()
        self.encoder = encoder
        self.dropout = nn.Dropout(dropout)
        self.heads = Heads(encoder.out_features, spec.heads)

    def forward(self, keypoints: Tensor, mask: Tensor, frame_size: Tensor | None = None) -> dict[str, Tensor]:
        """``{head: tensor}`` of keypoints ``[B, T, V, C]``, mask ``[B, T]`` and frame size ``[B, 2]``."""
        return self.heads(self.dropout(masked_mean(self.encoder(keypoints, mask, frame_size), mask)))

    def groups(self) -> dict[str, list[nn.Parameter]]:
        """The parameters to be trained: ``backbone`` may have its own learning rate, ``heads`` are new."""
        parts = {"backbone": self.encoder, "heads": self.heads}
        return {name: [p for p in part.parameters() if p.requires_grad] for name, part in parts.items()}

    def backbone_parameters(self) -> list[nn.Parameter]:
        """The parameters that may start from published weights, for a learning rate of their own."""
        return self.groups()["backbone"]


#: Builders of the registered backbones, ``build(classes) -> Backbone``, by architecture.
BACKBONES: dict[str, Callable[[int], Backbone]] = {}


def image_encoder(
    architecture: str,
    spec: Spec,
    *,
    view: str = "auto",
    image_size: int = 224,
    weights: str = "",
    freeze: int = 0,
) -> ImageEncoder:
    """Build the encoder of a registered image network, for that network itself and for those that add time to it.

    Parameters
    ----------
    architecture : a registered image network, such as ``resnet18``.
    view : what is drawn: ``frame`` (as the paper), ``person``, ``face`` or ``person+face``; ``auto`` for the last where
        the layout has a face, else for ``person``.
    image_size : side of the picture in pixels; 32 or more, for a transformer a multiple of 16.
    weights : ``imagenet`` for the official file, the path of a file, or nothing. Initial values only: a network on the
        meta device, whose weights come later, reads none.
    freeze : how many stages, from the picture upwards, are not trained: up to 5 of a convolutional network, the stem
        being the first, and up to 13 of a transformer.

    Raises
    ------
    ConfigError
        A setting that the renderer or the backbone cannot take, or no published weights.
    InputError
        Weights that cannot be had or do not fit.
    """
    entry(architecture)  # all architectures are imported now
    if architecture not in BACKBONES:
        raise unknown("image network", architecture, BACKBONES)
    if spec.channels < 3:
        raise ConfigError(f"{architecture} draws x, y and confidence; the batch has {spec.channels} channels")
    backbone = BACKBONES[architecture](0)
    if view == "auto":
        view = "person+face" if spec.layout.face else "person"
    renderer = SkeletonRenderer(spec.layout, image_size, view)
    backbone.fit(*renderer.picture)
    if not 0 <= freeze <= len(backbone.stages):
        raise ConfigError(
            f"freeze: {architecture} has {len(backbone.stages)} stages, {freeze} of them cannot be frozen"
        )
    if weights and not next(backbone.parameters()).is_meta:
        _initialize(backbone, weights, architecture)
    return ImageEncoder(renderer, backbone, freeze=freeze)


def image_network(name: str) -> Callable[[Callable[[int], Backbone]], Callable[[int], Backbone]]:
    """Register ``build(classes) -> Backbone`` as a backbone and, in this frame, as an architecture."""

    def add(build: Callable[[int], Backbone]) -> Callable[[int], Backbone]:
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

        return build

    return add


def _initialize(backbone: Backbone, weights: str, architecture: str) -> None:
    path = official_file(architecture) if weights == "imagenet" else Path(weights).expanduser()
    load_weights(backbone, backbone.adapt(read_weights(path)), source=str(path), leave=backbone.final)
