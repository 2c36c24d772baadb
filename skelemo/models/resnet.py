"""Residual networks (He et al. 2015, arXiv 1512.03385) under torchvision's parameter names.

The paper (section 5) uses pre-trained ResNet-18 and ResNet-50, and a lighter ResNet-18 of its own.
"""

from functools import partial

from torch import Tensor, nn
from torch.nn import functional as F

from skelemo.models.image import Backbone, image_network, linear


def _convolution(inputs: int, outputs: int, size: int, stride: int = 1) -> nn.Conv2d:
    return nn.Conv2d(inputs, outputs, size, stride, padding=size // 2, bias=False)


def _shortcut(inputs: int, outputs: int, stride: int) -> nn.Sequential | None:
    """A projection if the block changes the shape, else None for the identity."""
    if stride == 1 and inputs == outputs:
        return None
    return nn.Sequential(_convolution(inputs, outputs, 1, stride), nn.BatchNorm2d(outputs))


class _Block(nn.Module):
    """A residual function and its shortcut: ``[N, inputs, H, W] → [N, expansion planes, H / stride, W / stride]``."""

    expansion: int
    last_norm: str  # the last batch norm of the residual function
    downsample: nn.Sequential | None

    def __init__(self, inputs: int, planes: int, stride: int) -> None:
        super().__init__()

    def residual(self, x: Tensor) -> Tensor:
        """The residual function."""
        raise NotImplementedError

    def forward(self, x: Tensor) -> Tensor:
        shortcut = x if self.downsample is None else self.downsample(x)
        return F.relu(self.residual(x) + shortcut, inplace=True)


class BasicBlock(_Block):
    """Two 3 × 3 convolutions: the block of ResNet-18 and ResNet-34."""

    expansion = 1
    last_norm = "bn2"

    def __init__(self, inputs: int, planes: int, stride: int) -> None:
        super().__init__(inputs, planes, stride)
        self.conv1 = _convolution(inputs, planes, 3, stride)
        self.bn1 = nn.BatchNorm2d(planes)
        self.conv2 = _convolution(planes, planes, 3)
        self.bn2 = nn.BatchNorm2d(planes)
        self.downsample = _shortcut(inputs, planes, stride)

    def residual(self, x: Tensor) -> Tensor:
        """The residual function."""
        x = F.relu(self.bn1(self.conv1(x)), inplace=True)
        return self.bn2(self.conv2(x))


class Bottleneck(_Block):
    """1 × 1, 3 × 3, 1 × 1, with the stride on the 3 × 3 as in torchvision: the block of ResNet-50."""

    expansion = 4
    last_norm = "bn3"

    def __init__(self, inputs: int, planes: int, stride: int) -> None:
        super().__init__(inputs, planes, stride)
        outputs = planes * self.expansion
        self.conv1 = _convolution(inputs, planes, 1)
        self.bn1 = nn.BatchNorm2d(planes)
        self.conv2 = _convolution(planes, planes, 3, stride)
        self.bn2 = nn.BatchNorm2d(planes)
        self.conv3 = _convolution(planes, outputs, 1)
        self.bn3 = nn.BatchNorm2d(outputs)
        self.downsample = _shortcut(inputs, outputs, stride)

    def residual(self, x: Tensor) -> Tensor:
        """The residual function."""
        x = F.relu(self.bn1(self.conv1(x)), inplace=True)
        x = F.relu(self.bn2(self.conv2(x)), inplace=True)
        return self.bn3(self.conv3(x))


class ResNet(Backbone):
    """A 7 × 7 stem and four stages of residual blocks; each stage halves the size and doubles the planes.

    Parameters
    ----------
    block : `BasicBlock` or `Bottleneck`.
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

    def __init__(self, block: type[_Block], depths: tuple[int, ...], *, planes: int = 64, classes: int = 0) -> None:
        super().__init__()
        self.conv1 = _convolution(3, planes, 7, stride=2)
        self.bn1 = nn.BatchNorm2d(planes)
        inputs = planes
        for stage, depth in enumerate(depths):
            outputs = planes << stage
            blocks = []
            for index in range(depth):
                blocks.append(block(inputs, outputs, stride=2 if stage and not index else 1))
                inputs = outputs * block.expansion
            self.add_module(f"layer{stage + 1}", nn.Sequential(*blocks))
        self.out_features = inputs
        self.fc = linear(self.out_features, classes)
        for module in self.modules():
            if isinstance(module, nn.Conv2d):
                nn.init.kaiming_normal_(module.weight, mode="fan_out", nonlinearity="relu")
            elif isinstance(module, _Block):
                # A block starts as its shortcut (Goyal et al. 2017, arXiv 1706.02677, section 5.1): otherwise features
                # of a deep network trained from scratch are so large that the tanh of values saturates.
                nn.init.zeros_(module.get_parameter(f"{module.last_norm}.weight"))

    def forward(self, images: Tensor) -> Tensor:
        """Features ``[N, out_features]``, or logits ``[N, classes]``, of images ``[N, 3, H, W]``."""
        x = F.relu(self.bn1(self.conv1(images)), inplace=True)
        x = F.max_pool2d(x, 3, stride=2, padding=1)
        for layer in (self.layer1, self.layer2, self.layer3, self.layer4):
            x = layer(x)
        return self.fc(x.mean((2, 3)))


# Parameters with 1,000 classes: 11,689,512; 21,797,672; 25,557,032.
image_network("resnet18", partial(ResNet, BasicBlock, (2, 2, 2, 2)))
image_network("resnet34", partial(ResNet, BasicBlock, (3, 4, 6, 3)))
image_network("resnet50", partial(ResNet, Bottleneck, (3, 4, 6, 3)))
# The paper (sections 4.5 and 5) describes its own, lighter ResNet-18 as having the layers of ResNet-18 and trained from
# scratch, but gives no widths. Half of the standard's, 32 to 256, is our reading of "lighter than the original".
image_network("resnet18_paper", partial(ResNet, BasicBlock, (2, 2, 2, 2), planes=32))
