"""Densely connected networks (Huang et al. 2017, arXiv 1608.06993) under torchvision's parameter names.

DenseNet-121 pre-trained on ImageNet is the best classifier of the paper (section 6.1).
"""

import re
from collections.abc import Mapping
from functools import partial

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from skelemo.models.image import Backbone, image_network, linear

GROWTH = 32  # channels that a layer adds, k in the article's table 1
_BOTTLENECK = 4  # channels of the 1 x 1 convolution, in multiples of the growth (section 3, "Bottleneck layers")
_STEM = 2 * GROWTH  # section 4.2

# torchvision's published files predate torch's ban on dots in module names: norm.1 is norm1 today.
_OLD_NAME = re.compile(r"(denselayer\d+\.(?:norm|conv))\.([12]\.)")


class _DenseLayer(nn.Module):
    """BN, ReLU, 1 × 1, BN, ReLU, 3 × 3: ``[N, inputs, H, W]`` to the ``[N, 32, H, W]`` to concatenate."""

    def __init__(self, inputs: int) -> None:
        super().__init__()
        self.norm1 = nn.BatchNorm2d(inputs)
        self.conv1 = nn.Conv2d(inputs, _BOTTLENECK * GROWTH, 1, bias=False)
        self.norm2 = nn.BatchNorm2d(_BOTTLENECK * GROWTH)
        self.conv2 = nn.Conv2d(_BOTTLENECK * GROWTH, GROWTH, 3, padding=1, bias=False)

    def forward(self, x: Tensor) -> Tensor:
        x = self.conv1(F.relu(self.norm1(x), inplace=True))
        return self.conv2(F.relu(self.norm2(x), inplace=True))


class _DenseBlock(nn.ModuleDict):
    """Layers whose input is the block's input and the outputs of all preceding layers."""

    def __init__(self, inputs: int, depth: int) -> None:
        super().__init__({f"denselayer{i + 1}": _DenseLayer(inputs + i * GROWTH) for i in range(depth)})

    def forward(self, x: Tensor) -> Tensor:
        for layer in self.values():
            x = torch.cat([x, layer(x)], 1)
        return x


class _Transition(nn.Module):
    """Halve channels and size."""

    def __init__(self, inputs: int) -> None:
        super().__init__()
        self.norm = nn.BatchNorm2d(inputs)
        self.conv = nn.Conv2d(inputs, inputs // 2, 1, bias=False)

    def forward(self, x: Tensor) -> Tensor:
        return F.avg_pool2d(self.conv(F.relu(self.norm(x), inplace=True)), 2)


class DenseNet(Backbone):
    """A 7 × 7 stem and four dense blocks with a transition after each but the last.

    Parameters
    ----------
    depths : layers in each of the four blocks.
    classes : size of the ``classifier``; 0 for features.
    """

    final = "classifier."
    stages = (
        ("features.conv0", "features.norm0"),
        ("features.denseblock1", "features.transition1"),
        ("features.denseblock2", "features.transition2"),
        ("features.denseblock3", "features.transition3"),
        ("features.denseblock4", "features.norm5"),
    )

    def __init__(self, depths: tuple[int, ...], *, classes: int = 0) -> None:
        super().__init__()
        self.features = nn.Sequential()
        self.features.add_module("conv0", nn.Conv2d(3, _STEM, 7, stride=2, padding=3, bias=False))
        self.features.add_module("norm0", nn.BatchNorm2d(_STEM))
        self.features.add_module("relu0", nn.ReLU(inplace=True))
        self.features.add_module("pool0", nn.MaxPool2d(3, stride=2, padding=1))
        channels = _STEM
        for number, depth in enumerate(depths, start=1):
            self.features.add_module(f"denseblock{number}", _DenseBlock(channels, depth))
            channels += depth * GROWTH
            if number < len(depths):
                self.features.add_module(f"transition{number}", _Transition(channels))
                channels //= 2
        self.features.add_module("norm5", nn.BatchNorm2d(channels))
        self.out_features = channels
        self.classifier = linear(channels, classes)
        for module in self.modules():
            if isinstance(module, nn.Conv2d):
                nn.init.kaiming_normal_(module.weight)

    def forward(self, images: Tensor) -> Tensor:
        """Features ``[N, out_features]``, or logits ``[N, classes]``, of images ``[N, 3, H, W]``."""
        return self.classifier(F.relu(self.features(images), inplace=True).mean((2, 3)))

    def adapt(self, state: Mapping[str, Tensor]) -> dict[str, Tensor]:
        """Rename parameters of the published files, ``denselayer1.norm.1.weight``, to ``denselayer1.norm1.weight``."""
        return {_OLD_NAME.sub(r"\1\2", name): tensor for name, tensor in state.items()}


# Parameters with 1,000 classes: 7,978,856; 20,013,928.
image_network("densenet121", partial(DenseNet, (6, 12, 24, 16)))
image_network("densenet201", partial(DenseNet, (6, 12, 48, 32)))
