"""Image sizes of sequences, and conversion of keypoints to pixels."""

from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor

from skelemo.cache.store import Cache
from skelemo.data.window_frames import guess_sizes
from skelemo.preprocess import to_pixels
from skelemo.render.views import USUAL
from skelemo.skeleton import SCALES


@dataclass(frozen=True)
class Images:
    """Size ``[S, 2]`` of each sequence's images in pixels, 0 if unknown, and the units ``[S]`` of its coordinates.

    Images of unknown size with relative coordinates have size (1, 1).
    """

    size: Tensor
    scale: Tensor

    @classmethod
    def of(cls, cache: Cache) -> "Images":
        """The image sizes in the cache."""
        scale = torch.tensor([SCALES.index(name) for name in cache.sequences["scale"]], dtype=torch.long)
        size = torch.from_numpy(cache.sequences[["width", "height"]].to_numpy(np.float32, copy=True))
        known = (size > 0).all(1, keepdim=True)
        return cls(torch.where(known, size, (scale > 0)[:, None].float()), scale)

    def to_pixels(self, keypoints: Tensor, sequence: Tensor) -> Tensor:
        """Keypoints ``[N, V, 3]`` of the sequences ``[N]`` in pixels."""
        scale = self.scale[sequence]
        return to_pixels(keypoints, self.size[sequence], scale) if bool(scale.any()) else keypoints

    def guess_sizes(self, cache: Cache, keypoints: Tensor) -> "Images":
        """Estimate unknown sizes from the keypoints of the whole video."""
        size = guess_sizes(self.size.numpy(), keypoints.numpy(), cache.sequences)
        return Images(torch.from_numpy(size), self.scale)


def usual_size(size: Tensor) -> Tensor:
    """Image sizes ``[S, 2]`` in pixels, of the usual length if only the aspect ratio is known."""
    longer = size.amax(-1, keepdim=True)
    return size * torch.where(longer > 1, 1, max(USUAL) / longer.clamp(min=1e-9))
