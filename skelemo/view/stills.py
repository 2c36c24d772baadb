"""Stills: any frames of a cache as skeleton images, and an image as a PNG."""

import struct
import zlib
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch
from torch import Tensor

from skelemo.cache.store import Cache, Frames
from skelemo.data.corpus import Images
from skelemo.errors import ConfigError
from skelemo.preprocess import in_image, place
from skelemo.render import SkeletonRenderer

CHUNK = 128  # images drawn at a time


@dataclass(frozen=True)
class Stills:
    """The frames of a cache and the images that they were found in.

    Parameters
    ----------
    sequence : ``[N]`` which row of ``cache.sequences`` each frame belongs to.
    keypoints : ``[N, V, 3]`` in pixels.
    """

    cache: Cache
    frames: Frames
    sequence: np.ndarray
    keypoints: Tensor
    images: Images

    @classmethod
    def of(cls, cache: Cache) -> "Stills":
        """Read every frame of a cache."""
        frames = cache.read()
        sequence = np.repeat(np.arange(len(cache.sequences)), cache.sequences["length"])
        images = Images.of(cache)
        keypoints = images.to_pixels(torch.from_numpy(frames.keypoints), torch.from_numpy(sequence))
        return cls(cache, frames, sequence, keypoints, images.guess_sizes(cache, keypoints))

    def __len__(self) -> int:
        return len(self.sequence)

    def visible(self, view: str) -> np.ndarray:
        """Whether a view draws anything in each frame, bool ``[N]``.

        Raises
        ------
        ConfigError
            The view shows a face, and no frame of the cache does.
        """
        confidence, layout = self.frames.keypoints[..., 2], self.cache.layout
        drawn = {
            part.name: np.asarray((confidence[:, layout.slices[part.name]] > part.drawing.threshold).any(1))
            for part in layout.parts
        }
        face: np.ndarray = drawn[layout.face.name] if layout.face else np.zeros(len(self), bool)
        if "face" in view and not face.any():
            raise ConfigError(f"{self.cache.name}: no frame shows a face; choose another view")
        return face if view == "face" else np.logical_or.reduce(list(drawn.values()))

    def draw(self, rows: np.ndarray, renderer: SkeletonRenderer) -> np.ndarray:
        """Images ``[R, H, W, 3]`` of 0 to 255 of some frames, as OpenPose found the people: nothing is cleaned."""
        height, width = renderer.picture
        images = np.empty((len(rows), height, width, 3), np.uint8)
        for start in range(0, len(rows), CHUNK):
            part = slice(start, start + CHUNK)
            images[part] = self._draw(rows[part], renderer)
        return images

    def _draw(self, rows: np.ndarray, renderer: SkeletonRenderer) -> np.ndarray:
        which = torch.from_numpy(self.sequence[rows])
        reference = in_image(self.images.size[which])
        keypoints = place(self.keypoints[torch.from_numpy(rows)], reference, self.cache.layout)
        drawn = renderer(keypoints.unsqueeze(1), self.images.pixels[which])
        return drawn.mul(255).round().to(torch.uint8).permute(0, 2, 3, 1).numpy()


def png(image: np.ndarray) -> bytes:
    """An image ``[H, W, 3]`` of 0 to 255 as a PNG (W3C, Portable Network Graphics, third edition)."""
    height, width, _ = image.shape
    rows = np.concatenate([np.zeros((height, 1), np.uint8), image.reshape(height, -1)], 1)  # 0: a row as it is
    chunks = {
        b"IHDR": struct.pack(">2I5B", width, height, 8, 2, 0, 0, 0),  # 8 bits, color, no interlacing
        b"IDAT": zlib.compress(rows.tobytes(), 6),
        b"IEND": b"",
    }
    body = [
        struct.pack(">I", len(data)) + name + data + struct.pack(">I", zlib.crc32(name + data))
        for name, data in chunks.items()
    ]
    return b"\x89PNG\r\n\x1a\n" + b"".join(body)


def require_empty(out: Path) -> None:
    """A folder to write into does not exist, or has nothing in it."""
    if out.exists() and not (out.is_dir() and not any(out.iterdir())):
        raise ConfigError(f"{out} is there and not empty: name a new folder, or remove it")
