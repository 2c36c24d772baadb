"""Vision transformers (Dosovitskiy et al. 2021, arXiv 2010.11929) under torchvision's parameter names.

For images of another size the patches stay 16 pixels wide, and the learned positions are interpolated onto the new grid
(bicubic, corners aligned, as torchvision's ``interpolate_embeddings``).
"""

import math
import re
from collections import OrderedDict
from collections.abc import Mapping
from functools import partial

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from skelemo.errors import ConfigError
from skelemo.models.image import Backbone, image_network, linear

PATCH = 16  # pixels, the /16 in the name
_EPSILON = 1e-6  # of every layer norm
_NATIVE = (224 // PATCH, 224 // PATCH)  # grid of the published files

# Names of torchvision before 0.14 and of timm (DeiT, DINO and AugReg files), as (pattern, today's name).
_OLD_NAMES = (
    (r"mlp\.(?:linear_1|fc1)\.", "mlp.0."),
    (r"mlp\.(?:linear_2|fc2)\.", "mlp.3."),
    (r"^blocks\.(\d+)\.", r"encoder.layers.encoder_layer_\1."),
    (r"\.norm([12])\.", r".ln_\1."),
    (r"\.attn\.qkv\.(weight|bias)$", r".self_attention.in_proj_\1"),
    (r"\.attn\.proj\.", ".self_attention.out_proj."),
    (r"^patch_embed\.proj\.", "conv_proj."),
    (r"^cls_token$", "class_token"),
    (r"^pos_embed$", "encoder.pos_embedding"),
    (r"^norm\.", "encoder.ln."),
    (r"^head\.", "heads.head."),
)
_POSITIONS = "encoder.pos_embedding"


class SelfAttention(nn.Module):
    """Multi-head self-attention ``[N, S, D] → [N, S, D]``, with the parameters of ``torch.nn.MultiheadAttention``."""

    def __init__(self, width: int, heads: int) -> None:
        super().__init__()
        self.heads = heads
        self.in_proj_weight = nn.Parameter(torch.empty(3 * width, width))
        self.in_proj_bias = nn.Parameter(torch.zeros(3 * width))
        self.out_proj = nn.Linear(width, width)
        nn.init.xavier_uniform_(self.in_proj_weight)
        nn.init.zeros_(self.out_proj.bias)

    def forward(self, x: Tensor) -> Tensor:
        """``[N, S, D]``."""
        joint = F.linear(x, self.in_proj_weight, self.in_proj_bias)  # [N, S, 3 D]
        query, key, value = joint.unflatten(-1, (3, self.heads, -1)).permute(2, 0, 3, 1, 4)  # [N, heads, S, D / heads]
        attended = F.scaled_dot_product_attention(query, key, value)
        return self.out_proj(attended.transpose(1, 2).flatten(2))


class _EncoderBlock(nn.Module):
    """Attention and MLP, pre-norm and residual."""

    def __init__(self, width: int, heads: int) -> None:
        super().__init__()
        self.ln_1 = nn.LayerNorm(width, _EPSILON)
        self.self_attention = SelfAttention(width, heads)
        self.ln_2 = nn.LayerNorm(width, _EPSILON)
        wide, narrow = nn.Linear(width, 4 * width), nn.Linear(4 * width, width)
        self.mlp = nn.Sequential(OrderedDict([("0", wide), ("1", nn.GELU()), ("3", narrow)]))
        for layer in (wide, narrow):
            nn.init.xavier_uniform_(layer.weight)
            nn.init.normal_(layer.bias, std=1e-6)

    def forward(self, x: Tensor) -> Tensor:
        x = x + self.self_attention(self.ln_1(x))
        return x + self.mlp(self.ln_2(x))


class _Encoder(nn.Module):
    """Positions, blocks and the last layer norm, on tokens ``[N, S, D]``, the class token first."""

    def __init__(self, width: int, depth: int, heads: int) -> None:
        super().__init__()
        self.pos_embedding = nn.Parameter(torch.empty(1, 1 + math.prod(_NATIVE), width).normal_(std=0.02))
        blocks = {f"encoder_layer_{i}": _EncoderBlock(width, heads) for i in range(depth)}
        self.layers = nn.Sequential(OrderedDict(blocks))
        self.ln = nn.LayerNorm(width, _EPSILON)

    def forward(self, x: Tensor) -> Tensor:
        return self.ln(self.layers(x + self.pos_embedding))


class VisionTransformer(Backbone):
    """Patches of 16 × 16 pixels through a transformer; built for images of 224 × 224, see `fit` for others.

    Parameters
    ----------
    width, depth, heads : of the transformer; its MLPs are four times as wide.
    classes : size of the classifier ``heads.head``; 0 for features.
    """

    final = "heads."

    def __init__(self, width: int, depth: int, heads: int, *, classes: int = 0) -> None:
        super().__init__()
        self.out_features = width
        self.conv_proj = nn.Conv2d(3, width, PATCH, stride=PATCH)
        self.class_token = nn.Parameter(torch.zeros(1, 1, width))
        self.encoder = _Encoder(width, depth, heads)
        self.heads = nn.Sequential(OrderedDict(head=linear(width, classes)))
        nn.init.trunc_normal_(self.conv_proj.weight, std=math.sqrt(1 / (3 * PATCH**2)))
        nn.init.zeros_(self.conv_proj.get_parameter("bias"))
        self._grid = _NATIVE
        blocks = [(f"encoder.layers.encoder_layer_{i}",) for i in range(depth - 1)]
        last = (f"encoder.layers.encoder_layer_{depth - 1}", "encoder.ln")
        self.stages = (("conv_proj", "class_token", _POSITIONS), *blocks, last)

    def forward(self, images: Tensor) -> Tensor:
        """Features ``[N, out_features]``, or logits ``[N, classes]``, of images ``[N, 3, H, W]``."""
        patches = self.conv_proj(images).flatten(2).transpose(1, 2)  # [N, S - 1, D]
        tokens = torch.cat([self.class_token.expand(patches.shape[0], -1, -1), patches], 1)
        return self.heads(self.encoder(tokens)[:, 0])

    def fit(self, height: int, width: int) -> None:
        """Interpolate the positions for images of this size; raises `ConfigError` if 16 does not divide it."""
        super().fit(height, width)
        if height % PATCH or width % PATCH:
            raise ConfigError(f"image_size: {height} x {width}; expected multiples of the patch size, {PATCH} pixels")
        grid = (height // PATCH, width // PATCH)
        if grid != self._grid:
            positions = _resample(self.encoder.pos_embedding.detach(), self._grid, grid)
            self.encoder.pos_embedding = nn.Parameter(positions)
            self._grid = grid

    def adapt(self, state: Mapping[str, Tensor]) -> dict[str, Tensor]:
        """Rename parameters of older files and of timm's, and interpolate positions of another square grid."""
        adapted = {_rename(name): tensor for name, tensor in state.items()}
        positions = adapted.get(_POSITIONS)
        if positions is not None and positions.ndim == 3 and positions.shape[1] != 1 + math.prod(self._grid):
            side = math.isqrt(positions.shape[1] - 1)
            if side and side**2 == positions.shape[1] - 1:
                adapted[_POSITIONS] = _resample(positions, (side, side), self._grid)
        return adapted


def _rename(name: str) -> str:
    for pattern, replacement in _OLD_NAMES:
        name = re.sub(pattern, replacement, name)
    return name


def _resample(positions: Tensor, old: tuple[int, int], new: tuple[int, int]) -> Tensor:
    """Interpolate positions ``[1, 1 + old patches, D]`` onto another grid; the class token's is kept."""
    token, patches = positions[:, :1], positions[:, 1:]
    grid = patches.float().unflatten(1, old).permute(0, 3, 1, 2)  # [1, D, rows, columns]
    grid = F.interpolate(grid, new, mode="bicubic", align_corners=True)
    return torch.cat([token, grid.flatten(2).transpose(1, 2).to(token.dtype)], 1)


# ViT-S/16 is of Touvron et al. 2021 (arXiv 2012.12877, table 1). Parameters with 1,000 classes: 22,050,664; 86,567,656.
image_network("vit_s16", partial(VisionTransformer, 384, 12, 6))
image_network("vit_b16", partial(VisionTransformer, 768, 12, 12))
