"""Residual networks (He et al. 2015, arXiv 1512.03385) under torchvision's parameter names.

The paper (section 5) uses pre-trained ResNet-18 and ResNet-50, and a lighter ResNet-18 of its own.
"""

from collections.abc import Callable
from functools import partial

from torch import Tensor, nn
from torch.nn import functional as F

from skelemo.models.image import Backbone, image_network, linear


def _convolution(inputs: int, outputs: int, size: int, stride: int = 1) -> nn.Conv2d:
    return nn.Conv2d(inputs, outputs, size, stride, padding=size // 2, bias=False)


class Block(nn.Module):
    """Convolutions with batch norm, and a shortcut: ``[N, inputs, H, W] → [N, outputs, H / stride, W / stride]``."""

    def __init__(self, inputs: int, stride: int, *convolutions: nn.Conv2d) -> None:
        super().__init__()
        self.depth, self.outputs = len(convolutions), convolutions[-1].out_channels
        for number, convolution in enumerate(convolutions, 1):
            self.add_module(f"conv{number}", convolution)
            self.add_module(f"bn{number}", nn.BatchNorm2d(convolution.out_channels))
        self.downsample = None  # the identity
        if stride > 1 or inputs != self.outputs:
            project = _convolution(inputs, self.outputs, 1, stride)
            self.downsample = nn.Sequential(project, nn.BatchNorm2d(self.outputs))
        # A block starts as its shortcut (Goyal et al. 2017, arXiv 1706.02677, section 5.1): otherwise features of a
        # deep network trained from scratch are so large that the tanh of values saturates.
        nn.init.zeros_(self.get_parameter(f"bn{self.depth}.weight"))

    def forward(self, x: Tensor) -> Tensor:
        """The sum of both, after ReLU."""
        found = x
        for number in range(1, self.depth + 1):
            found = getattr(self, f"bn{number}")(getattr(self, f"conv{number}")(found))
            found = F.relu(found, inplace=True) if number < self.depth else found
        return F.relu(found + (x if self.downsample is None else self.downsample(x)), inplace=True)


def basic(inputs: int, planes: int, stride: int) -> Block:
    """Two 3 × 3 convolutions: the block of ResNet-18 and ResNet-34."""
    return Block(inputs, stride, _convolution(inputs, planes, 3, stride), _convolution(planes, planes, 3))


def bottleneck(inputs: int, planes: int, stride: int) -> Block:
    """1 × 1, 3 × 3, 1 × 1, with the stride on the 3 × 3 as in torchvision: the block of ResNet-50."""
    middle = _convolution(planes, planes, 3, stride)
    return Block(inputs, stride, _convolution(inputs, planes, 1), middle, _convolution(planes, 4 * planes, 1))


class ResNet(Backbone):
    """A 7 × 7 stem and four stages of residual blocks; each stage halves the size and doubles the planes.

    Parameters
    ----------
    block : `basic` or `bottleneck`.
    depths : blocks in each of the four stages.
    planes : channels of the stem and the first stage.
    classes : size of the classifier ``fc``; 0 for features.
    """

    final = "fc."
    stages = (("conv1", "bn1"), ("layer1",), ("layer2",), ("layer3",), ("layer4",))

    layer1: nn.Module
    layer2: nn.Module
    layer3: nn.Module
    layer4: nn.Module

    def __init__(
        self, block: Callable[..., Block], depths: tuple[int, ...], *, planes: int = 64, classes: int = 0
    ) -> None:
        super().__init__()
        self.conv1 = _convolution(3, planes, 7, stride=2)
        self.bn1 = nn.BatchNorm2d(planes)
        inputs = planes
        for stage, depth in enumerate(depths):
            blocks: list[Block] = []
            for index in range(depth):
                blocks.append(block(inputs, planes << stage, stride=2 if stage and not index else 1))
                inputs = blocks[-1].outputs
            self.add_module(f"layer{stage + 1}", nn.Sequential(*blocks))
        self.out_features = inputs
        self.fc = linear(self.out_features, classes)
        for module in self.modules():
            if isinstance(module, nn.Conv2d):
                nn.init.kaiming_normal_(module.weight, mode="fan_out", nonlinearity="relu")

    def forward(self, images: Tensor) -> Tensor:
        """Features ``[N, out_features]``, or logits ``[N, classes]``, of images ``[N, 3, H, W]``."""
        x = F.relu(self.bn1(self.conv1(images)), inplace=True)
        x = F.max_pool2d(x, 3, stride=2, padding=1)
        for layer in (self.layer1, self.layer2, self.layer3, self.layer4):
            x = layer(x)
        return self.fc(x.mean((2, 3)))


# Parameters with 1,000 classes: 11,689,512; 21,797,672; 25,557,032.
image_network("resnet18", partial(ResNet, basic, (2, 2, 2, 2)))
image_network("resnet34", partial(ResNet, basic, (3, 4, 6, 3)))
image_network("resnet50", partial(ResNet, bottleneck, (3, 4, 6, 3)))
# The paper (sections 4.5 and 5) describes its own, lighter ResNet-18 as having the layers of ResNet-18 and trained from
# scratch, but gives no widths. Half of the standard's, 32 to 256, is our reading of "lighter than the original".
image_network("resnet18_paper", partial(ResNet, basic, (2, 2, 2, 2), planes=32))
