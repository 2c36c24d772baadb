"""What `resnet`, `densenet` and `vit` have in common: pictures in, features out, and stages that can be frozen."""

from collections.abc import Mapping

from torch import Tensor, nn

from skelemo.errors import ConfigError

#: The smallest side of a picture: the convolutional networks halve it five times.
SMALLEST_SIDE = 32


class Backbone(nn.Module):
    """A network that turns pictures ``[N, 3, H, W]`` into features ``[N, out_features]``, or logits with ``classes``.

    Parameters carry torchvision's names, so that its published files load unchanged. A subclass sets

    out_features : number of features before the classifier.
    final : prefix of the classifier's parameters, which stay behind when weights are loaded.
    stages : for every stage from the picture upwards, the prefixes of its parameters.
    """

    out_features: int
    final: str
    stages: tuple[tuple[str, ...], ...]

    def fit(self, height: int, width: int) -> None:
        """Prepare for pictures of that size; `ConfigError` where the network cannot take them."""
        if min(height, width) < SMALLEST_SIDE:
            raise ConfigError(f"image_size: pictures of {height} x {width} are too small, the least is {SMALLEST_SIDE}")

    def adapt(self, state: Mapping[str, Tensor]) -> dict[str, Tensor]:
        """A file's weights under today's names, and in this network's shapes where they can be converted."""
        return dict(state)


def linear(features: int, classes: int) -> nn.Module:
    """The classifier, or nothing where features are wanted."""
    return nn.Linear(features, classes) if classes else nn.Identity()
