"""Frames of a cache as skeleton images."""

import io
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch
from PIL import Image
from torch import Tensor

from skelemo.cache.store import Cache, Frames
from skelemo.data.images import Images, usual_size
from skelemo.errors import ConfigError
from skelemo.preprocess import in_image, place
from skelemo.render import SkeletonRenderer

CHUNK = 128  # images drawn at a time


@dataclass(frozen=True)
class Stills:
    """The frames of a cache and the sizes of their images.

    Parameters
    ----------
    sequence : ``[N]`` row of ``cache.sequences`` of each frame.
    keypoints : ``[N, V, 3]`` in pixels.
    """

    cache: Cache
    frames: Frames
    sequence: np.ndarray
    keypoints: Tensor
    images: Images

    @classmethod
    def of(cls, cache: Cache) -> "Stills":
        """Read all frames of a cache."""
        frames = cache.read()
        sequence = np.repeat(np.arange(len(cache.sequences)), cache.sequences["length"])
        images = Images.of(cache)
        keypoints = images.to_pixels(torch.from_numpy(frames.keypoints), torch.from_numpy(sequence))
        return cls(cache, frames, sequence, keypoints, images.guess_sizes(cache, keypoints))

    def __len__(self) -> int:
        return len(self.sequence)

    def visible(self, view: str) -> np.ndarray:
        """Whether each frame has anything to draw in a view, bool ``[N]``.

        Raises `ConfigError`: a view of the face in a cache without faces.
        """
        confidence, layout = self.frames.keypoints[..., 2], self.cache.layout
        drawn = {
            part.name: np.asarray((confidence[:, layout.slices[part.name]] > part.drawing.threshold).any(1))
            for part in layout.parts
        }
        face: np.ndarray = drawn[layout.face.name] if layout.face else np.zeros(len(self), bool)
        if "face" in view and not face.any():
            raise ConfigError(f"{self.cache.name}: no frame has a face; choose another view")
        return face if view == "face" else np.logical_or.reduce(list(drawn.values()))

    def draw(self, rows: np.ndarray, renderer: SkeletonRenderer) -> np.ndarray:
        """Images ``[R, H, W, 3]``, uint8, of some frames, with keypoints as OpenPose wrote them."""
        height, width = renderer.picture
        images = np.empty((len(rows), height, width, 3), np.uint8)
        for start in range(0, len(rows), CHUNK):
            chunk = slice(start, start + CHUNK)
            images[chunk] = self._draw(rows[chunk], renderer)
        return images

    def _draw(self, rows: np.ndarray, renderer: SkeletonRenderer) -> np.ndarray:
        which = torch.from_numpy(self.sequence[rows])
        reference = in_image(self.images.size[which])
        keypoints = place(self.keypoints[torch.from_numpy(rows)], reference, self.cache.layout)
        drawn = renderer(keypoints.unsqueeze(1), usual_size(self.images.size[which]))
        return drawn.mul(255).round().to(torch.uint8).permute(0, 2, 3, 1).numpy()


def png(image: np.ndarray) -> bytes:
    """Encode an image ``[H, W, 3]``, uint8, as PNG."""
    buffer = io.BytesIO()
    Image.fromarray(image).save(buffer, "png")
    return buffer.getvalue()


def require_empty(out: Path) -> None:
    """Raise `ConfigError` unless a folder is empty or does not exist."""
    if out.exists() and not (out.is_dir() and not any(out.iterdir())):
        raise ConfigError(f"{out}: not empty: choose a new folder, or remove it")
