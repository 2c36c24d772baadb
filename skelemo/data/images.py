"""Image sizes of sequences, and conversion of keypoints to pixels."""

from dataclasses import dataclass

import numpy as np
import pandas as pd
import torch
from torch import Tensor

from skelemo.cache.store import Cache
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
        size = self.size.clone()
        starts, lengths = (cache.sequences[name].to_numpy() for name in ("start", "length"))
        unknown = np.flatnonzero((self.size == 0).any(1))
        for index in unknown:
            points = keypoints[starts[index] : starts[index] + lengths[index], :, :2]
            size[index] = points.amax((0, 1)).clamp(min=1)
        if len(unknown):
            video = cache.sequences["video"].to_numpy()[unknown]
            largest = (
                pd.DataFrame(size[unknown].numpy()).groupby(video).transform("max").to_numpy(np.float32, copy=True)
            )
            size[unknown] = torch.from_numpy(largest)
        return Images(size, self.scale)

    @property
    def pixels(self) -> Tensor:
        """Width and height ``[S, 2]`` in pixels, of the usual length if only the aspect ratio is known."""
        longer = self.size.amax(-1, keepdim=True)
        return self.size * torch.where(longer > 1, 1, max(USUAL) / longer.clamp(min=1e-9))
