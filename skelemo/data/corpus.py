"""A cache in memory: every frame cleaned once, in one tensor on the device that trains."""

import os
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, replace
from typing import Literal

import numpy as np
import pandas as pd
import torch
from torch import Tensor

from skelemo.cache.cache import Cache
from skelemo.errors import unknown
from skelemo.openpose.scale import to_pixels
from skelemo.preprocess import cleaning, normalize
from skelemo.render.views import USUAL
from skelemo.skeleton import Layout
from skelemo.targets import EXPRESSION, VA, Head

#: Frames that are cleaned at a time: bounds the memory that cleaning takes beside the corpus.
BLOCK_FRAMES = 16_384


@dataclass(frozen=True)
class Cleaning:
    """How keypoints are prepared; see `skelemo.preprocess.cleaning` and `skelemo.preprocess.normalize`."""

    coordinates: Literal["parts", "frame"] = "parts"
    min_confidence: float = 0.0
    max_gap: int = 0
    smooth: int = 0


@dataclass(frozen=True)
class Corpus:
    """All frames of a cache, ready for windows.

    Parameters
    ----------
    keypoints : ``[N, V, 3]`` float32, cleaned, in pixels of the picture.
    reference : ``[N, P, 4]`` float32, of each part or of the whole picture, in which `place` puts them.
    seen : ``[N]`` whether anything of the person was seen.
    key : ``[N]`` int64, increasing: sequence and frame number in one, so that a frame is found by binary search.
    labels : of each head, as `skelemo.targets` has them.
    step : ``[S]`` by how much frame numbers usually grow within each sequence.
    frame_size : ``[S, 2]`` float32, width and height of each sequence's picture, where coordinates are the picture's.
    sequences : one row per sequence, as in `Cache`.
    """

    layout: Layout
    heads: tuple[Head, ...]
    sequences: pd.DataFrame
    keypoints: Tensor
    reference: Tensor
    seen: Tensor
    key: Tensor
    labels: dict[str, Tensor]
    step: Tensor
    frame_size: Tensor | None

    def __len__(self) -> int:
        return len(self.keypoints)

    @property
    def device(self) -> torch.device:
        """Where the frames lie."""
        return self.keypoints.device

    def placed(self, rows: Tensor) -> Tensor:
        """Keypoints ``[..., V, 3]`` of rows ``[...]`` as models see them."""
        return normalize.place(self.keypoints[rows], self.reference[rows], self.layout)

    def number(self, rows: np.ndarray) -> np.ndarray:
        """Frame numbers of rows."""
        return (self.key[torch.as_tensor(rows, device=self.device)] & (KEY_SPAN - 1)).cpu().numpy()

    def sequence(self, rows: np.ndarray) -> np.ndarray:
        """Which sequence each row belongs to."""
        return np.searchsorted(self.sequences["start"].to_numpy(), rows, side="right") - 1

    def to(self, device: torch.device) -> "Corpus":
        """The same corpus on a device, or in pinned memory beside it where it does not fit."""
        tensors = {name: value for name, value in vars(self).items() if isinstance(value, Tensor)}
        size = sum(value.nbytes for value in [*tensors.values(), *self.labels.values()])
        pinned = device.type == "cuda" and size > 0.5 * torch.cuda.mem_get_info(device)[0]

        def move(values: dict[str, Tensor]) -> dict[str, Tensor]:
            return {name: value.pin_memory() if pinned else value.to(device) for name, value in values.items()}

        return Corpus(**{**vars(self), **move(tensors), "labels": move(self.labels)})

    def head(self, name: str) -> Head:
        """The head of that name.

        Raises
        ------
        ConfigError
            The caches label no such head; the message lists theirs.
        """
        found = {head.name: head for head in self.heads}
        if name not in found:
            raise unknown("head", name, found)
        return found[name]


#: A key is ``sequence * KEY_SPAN + frame number``.
KEY_SPAN = 1 << 32


def load_corpus(cache: Cache, settings: Cleaning | None = None) -> Corpus:
    """Read a cache and prepare its keypoints under the settings; see `Corpus`."""
    settings = settings or Cleaning()
    frames = cache.allocate()
    sequence = np.repeat(np.arange(len(cache.sequences)), cache.sequences["length"])
    pictures = Pictures.of(cache)
    seen, step = np.empty(len(sequence), bool), np.empty(len(cache.sequences), np.int64)
    reference = np.zeros((len(sequence), len(cache.layout.parts), 4), np.float32)

    def prepare(first: int, last: int, rows: slice) -> None:
        cache.read_into(frames, first, last)
        clean = pictures.to_pixels(frames.keypoints[rows], sequence[rows])
        clean = _clean(clean, sequence[rows], frames.number[rows], settings)
        if clean.base is not frames.keypoints:
            frames.keypoints[rows] = clean
        shown = normalize.seen_parts(clean, cache.layout)
        seen[rows] = shown.any(1)
        step[first:last] = _steps(frames.number[rows], sequence[rows] - first, last - first)
        if settings.coordinates == "parts":
            reference[rows] = normalize.by_part(clean, shown, sequence[rows], cache.layout)

    with ThreadPoolExecutor(1 + (os.cpu_count() or 1)) as pool:  # one may wait for the disk
        list(pool.map(lambda block: prepare(*block), _blocks(cache.sequences["length"].to_numpy())))
    if settings.coordinates == "frame":
        pictures = pictures.guess_sizes(cache, frames.keypoints)
        reference = normalize.in_picture(pictures.size)[sequence]
    return Corpus(
        layout=cache.layout,
        heads=(replace(EXPRESSION, outputs=cache.classes), VA),
        sequences=cache.sequences,
        keypoints=torch.from_numpy(frames.keypoints),
        reference=torch.from_numpy(reference),
        seen=torch.from_numpy(seen),
        key=torch.from_numpy(sequence * KEY_SPAN + frames.number.astype(np.int64)),
        labels={
            EXPRESSION.name: torch.from_numpy(frames.expression.astype(np.int16)),
            VA.name: torch.from_numpy(np.stack([frames.valence, frames.arousal], -1)),
        },
        step=torch.from_numpy(step),
        frame_size=torch.from_numpy(pictures.pixels) if settings.coordinates == "frame" else None,
    )


@dataclass(frozen=True)
class Pictures:
    """Size ``[S, 2]`` of each sequence's picture in pixels, 0 where unknown, and the scale ``[S]`` of its coordinates.

    Where coordinates are relative to a picture of unknown size, it is taken for a square of one by one.
    """

    size: np.ndarray
    scale: np.ndarray

    @classmethod
    def of(cls, cache: Cache) -> "Pictures":
        """As the cache knows them."""
        scale = cache.sequences["scale"].to_numpy(str)
        size = cache.sequences[["width", "height"]].to_numpy(np.float32)
        known = (size > 0).all(1, keepdims=True)
        return cls(np.where(known, size, np.where((scale == "pixels")[:, None], 0, np.float32(1))), scale)

    def to_pixels(self, keypoints: np.ndarray, sequence: np.ndarray) -> np.ndarray:
        """Keypoints ``[N, V, 3]`` of the sequences ``[N]`` in pixels of their pictures."""
        return to_pixels(keypoints, self.size[sequence], self.scale[sequence])

    def guess_sizes(self, cache: Cache, keypoints: np.ndarray) -> "Pictures":
        """The same, an unknown size being as large as what was seen in the video, by all keypoints of the cache."""
        size = self.size.copy()
        starts, lengths = (cache.sequences[name].to_numpy() for name in ("start", "length"))
        unknown = np.flatnonzero((size == 0).any(1))
        for index in unknown:
            there = keypoints[starts[index] : starts[index] + lengths[index], :, :2]
            size[index] = np.maximum(there.max((0, 1)), 1)
        if len(unknown):
            video = cache.sequences["video"].to_numpy()[unknown]
            size[unknown] = pd.DataFrame(size[unknown]).groupby(video).transform("max").to_numpy()
        return Pictures(size, self.scale)

    @property
    def pixels(self) -> np.ndarray:
        """Width and height ``[S, 2]`` float32 in pixels: a picture known by its shape alone is as long as usual."""
        longer = self.size.max(-1, keepdims=True)
        return (self.size * np.where(longer > 1, 1, max(USUAL) / longer)).astype(np.float32)


def _clean(keypoints: np.ndarray, sequence: np.ndarray, number: np.ndarray, settings: Cleaning) -> np.ndarray:
    clean = cleaning.drop_doubtful(keypoints, settings.min_confidence) if settings.min_confidence > 0 else keypoints
    clean = cleaning.fill_gaps(clean, sequence, number, settings.max_gap)
    return cleaning.smooth(clean, sequence, number, settings.smooth)


def _blocks(lengths: np.ndarray) -> Iterator[tuple[int, int, slice]]:
    """Runs of whole sequences, of at most `BLOCK_FRAMES` frames where no single one is longer, with their rows."""
    first, start, end = 0, 0, 0
    for index, length in enumerate(lengths.tolist()):
        if end > start and end + length - start > BLOCK_FRAMES:
            yield first, index, slice(start, end)
            first, start = index, end
        end += length
    if end > start:
        yield first, len(lengths), slice(start, end)


def _steps(number: np.ndarray, sequence: np.ndarray, count: int) -> np.ndarray:
    """Median growth of the frame number within each sequence, at least 1."""
    same = sequence[1:] == sequence[:-1]
    steps = pd.Series(np.diff(number)[same]).groupby(sequence[1:][same]).median()
    found = np.ones(count, np.int64)
    found[steps.index.to_numpy(int)] = np.maximum(steps.to_numpy(), 1).astype(np.int64)
    return found
