"""Faster inference on the CPU: weights folded and packed once for oneDNN.

For float32, torch multiplies matrices with MKL, which does not use the widest vector instructions of non-Intel CPUs,
and convolves single windows without oneDNN. oneDNN uses these instructions on all CPUs.
"""

import copy
import itertools

import torch
from torch import Tensor, nn

from skelemo.models.joint_layers import GraphConv, LinearNorm, TimeConv

#: Fewest rows for which reordering the input pays off.
_LEAST_ROWS = 16
#: Modules that access their submodules' weights directly.
_WHOLE = (nn.MultiheadAttention, nn.TransformerEncoderLayer)
#: Fewest keypoints for which packing the adjacency pays off.
_LEAST_POINTS = 48


class _Product(nn.Module):
    """``x Wᵀ + b`` for a constant weight ``[outputs, inputs]``, optionally followed by ReLU."""

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
    """A `GraphConv` with constant adjacency."""

    def __init__(self, conv: GraphConv) -> None:
        super().__init__()
        self.gather, self.mix = _Product(conv.gather()[0]), _packed(conv.mix)

    def forward(self, rows: Tensor) -> Tensor:
        """``[n, V, inputs]`` to ``[n, V, outputs]``."""
        gathered = self.gather(rows.transpose(1, 2)).transpose(1, 2)  # [n, V * K, inputs]
        return self.mix(gathered.reshape(*rows.shape[:2], -1))


class _Time(nn.Module):
    """A `TimeConv` that always uses oneDNN."""

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
    """A copy of a network for float32 inference on the CPU; the network itself if torch lacks oneDNN."""
    if not (torch.backends.mkldnn.is_available() and hasattr(torch.ops.mkldnn, "_reorder_linear_weight")):
        return network
    with torch.no_grad():
        return _packed(copy.deepcopy(network).eval())


def _packed(module: nn.Module) -> nn.Module:
    """Pack a layer, or recursively the layers of a module."""
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
