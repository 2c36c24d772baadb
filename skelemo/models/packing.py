"""Networks made ready to predict on a processor, the same answers sooner: weights folded and laid out once.

Torch multiplies float32 matrices by Intel's MKL, which on other makers' processors leaves the widest vector
instructions unused, and convolves a single window without oneDNN, which torch holds as well and which uses them
wherever they are.
"""

import copy
import itertools

import torch
from torch import Tensor, nn

from skelemo.models.joint_layers import GraphConv, LinearNorm, TimeConv

#: Rows of a product below which laying out the input costs more than it saves.
_LEAST_ROWS = 16
#: Layers whose parts' weights are read from outside of these.
_WHOLE = (nn.MultiheadAttention, nn.TransformerEncoderLayer)
#: Keypoints from which the product with the adjacency is worth laying out.
_LEAST_POINTS = 48


class _Product(nn.Module):
    """``x Wᵀ + b`` for a weight ``[outputs, inputs]`` that never changes, and a ReLU where one follows."""

    relu = False

    def __init__(self, weight: Tensor, bias: Tensor | None = None) -> None:
        super().__init__()
        self.weight, self.bias = weight.contiguous(), bias
        self.packed = torch.ops.mkldnn._reorder_linear_weight(self.weight, None)

    def forward(self, rows: Tensor) -> Tensor:
        """``[…, inputs]`` to ``[…, outputs]``."""
        if rows.numel() < _LEAST_ROWS * rows.shape[-1]:
            found = nn.functional.linear(rows, self.weight, self.bias)
            return found.relu_() if self.relu else found
        after = "relu" if self.relu else "none"
        return torch.ops.mkldnn._linear_pointwise(rows, self.packed, self.bias, after, [], "")


class _Graph(nn.Module):
    """A `GraphConv` whose adjacency never changes."""

    def __init__(self, conv: GraphConv) -> None:
        super().__init__()
        self.gather, self.mix = _Product(conv.gather()[0]), _packed(conv.mix)

    def forward(self, rows: Tensor) -> Tensor:
        """``[n, V, inputs]`` to ``[n, V, outputs]``."""
        gathered = self.gather(rows.transpose(1, 2)).transpose(1, 2)  # [n, V * K, inputs]
        return self.mix(gathered.reshape(*rows.shape[:2], -1))


class _Time(nn.Module):
    """A `TimeConv`, by oneDNN however few windows there are."""

    def __init__(self, conv: TimeConv) -> None:
        super().__init__()
        self.weight, self.bias, self.stride, self.dilation = conv.weight, conv.bias, conv.stride, conv.dilation
        self.padding = [side for side in conv.padding if isinstance(side, int)]

    def forward(self, grid: Tensor) -> Tensor:
        """``[B, T, V, inputs]`` to ``[B, ⌈T / stride⌉, V, outputs]``."""
        images = grid.permute(0, 3, 1, 2)
        found = torch.mkldnn_convolution(images, self.weight, self.bias, self.padding, self.stride, self.dilation, 1)
        return found.permute(0, 2, 3, 1)


def packed(network: nn.Module) -> nn.Module:
    """A copy of a network for inference in float32 on the processor; the network itself where torch has no oneDNN."""
    if not (torch.backends.mkldnn.is_available() and hasattr(torch.ops.mkldnn, "_reorder_linear_weight")):
        return network
    with torch.no_grad():
        return _packed(copy.deepcopy(network).eval())


def _packed(module: nn.Module) -> nn.Module:
    """A layer in its packed form; what is made of layers with its layers packed."""
    if isinstance(module, LinearNorm):
        return _Product(*module.folded())
    if type(module) is nn.Linear:
        return _Product(module.weight, module.bias)
    if type(module) is GraphConv and module.adjacency.shape[-1] >= _LEAST_POINTS:
        return _Graph(module)
    if type(module) is TimeConv:
        return _Time(module)
    if not isinstance(module, _WHOLE):
        for name, child in module.named_children():
            setattr(module, name, _packed(child))
    if isinstance(module, nn.Sequential):
        for name, (product, after) in zip([*module._modules][1:], itertools.pairwise(module), strict=True):
            if isinstance(product, _Product) and isinstance(after, nn.ReLU):
                product.relu = True
                setattr(module, name, nn.Identity())
    return module
