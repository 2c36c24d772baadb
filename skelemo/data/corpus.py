"""A cache in memory: every frame cleaned and normalised once, in one tensor on the device that trains."""

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Literal

import numpy as np
import pandas as pd
import torch
from torch import Tensor

from skelemo.cache.store import Cache, Frames
from skelemo.data import cleaning, normalising
from skelemo.skeleton import Layout

#: Frames that are cleaned at a time: bounds the memory that cleaning takes beside the corpus.
BLOCK_FRAMES = 16_384


@dataclass(frozen=True)
class Cleaning:
    """How keypoints are prepared; see `skelemo.data.cleaning` and `skelemo.data.normalising`."""

    coordinates: Literal["parts", "frame"] = "parts"
    min_confidence: float = 0.0
    max_gap: int = 0
    smooth: int = 0


@dataclass(frozen=True)
class Corpus:
    """All frames of a cache, ready for windows.

    Parameters
    ----------
    keypoints : ``[N, V, 3]`` float32.
    seen : ``[N]`` whether anything of the person was seen.
    key : ``[N]`` int64, increasing: sequence and frame number in one, so that a frame is found by binary search.
    expression : ``[N]`` int64, -1 unlabelled.  va : ``[N, 2]`` float32, NaN unlabelled.
    step : ``[S]`` by how much frame numbers usually grow within each sequence.
    sequences : one row per sequence, as in `Cache`.
    """

    layout: Layout
    classes: tuple[str, ...]
    sequences: pd.DataFrame
    keypoints: Tensor
    seen: Tensor
    key: Tensor
    expression: Tensor
    va: Tensor
    step: Tensor

    def __len__(self) -> int:
        return len(self.keypoints)

    @property
    def device(self) -> torch.device:
        """Where the frames lie."""
        return self.keypoints.device

    def number(self, rows: np.ndarray) -> np.ndarray:
        """Frame numbers of rows."""
        return (self.key[torch.as_tensor(rows, device=self.device)] & (KEY_SPAN - 1)).cpu().numpy()

    def sequence(self, rows: np.ndarray) -> np.ndarray:
        """Which sequence each row belongs to."""
        return np.searchsorted(self.sequences["start"].to_numpy(), rows, side="right") - 1

    def to(self, device: torch.device) -> "Corpus":
        """The same corpus on a device, or in pinned memory beside it where it does not fit."""
        tensors = {name: value for name, value in vars(self).items() if isinstance(value, Tensor)}
        size = sum(value.nbytes for value in tensors.values())
        if device.type == "cuda" and size > 0.5 * torch.cuda.mem_get_info(device)[0]:
            moved = {name: value.pin_memory() for name, value in tensors.items()}
        else:
            moved = {name: value.to(device) for name, value in tensors.items()}
        return Corpus(self.layout, self.classes, self.sequences, **moved)


#: A key is ``sequence * KEY_SPAN + frame number``.
KEY_SPAN = 1 << 32


def load_corpus(cache: Cache, settings: Cleaning | None = None) -> Corpus:
    """Read a cache and prepare its keypoints under the settings; see `Corpus`."""
    settings = settings or Cleaning()
    frames = cache.read()
    sequence = np.repeat(np.arange(len(cache.sequences)), cache.sequences["length"])
    keypoints = frames.keypoints
    picture = Pictures.of(cache, frames, sequence) if settings.coordinates == "frame" else None
    seen = np.zeros(len(keypoints), bool)
    for rows in _blocks(cache.sequences):
        keypoints[rows] = _prepare(
            keypoints[rows], sequence[rows], frames.number[rows], settings, cache.layout, picture
        )
        seen[rows] = (keypoints[rows, :, 2] > 0).any(1)
    return Corpus(
        layout=cache.layout,
        classes=cache.classes,
        sequences=cache.sequences,
        keypoints=torch.from_numpy(keypoints),
        seen=torch.from_numpy(seen),
        key=torch.from_numpy(sequence * KEY_SPAN + frames.number.astype(np.int64)),
        expression=torch.from_numpy(frames.expression.astype(np.int64)),
        va=torch.from_numpy(np.stack([frames.valence, frames.arousal], -1)),
        step=torch.from_numpy(_steps(frames.number, sequence, len(cache.sequences))),
    )


@dataclass(frozen=True)
class Pictures:
    """Size ``[S, 2]`` of each sequence's picture in pixels and the scale ``[S]`` of its coordinates."""

    size: np.ndarray
    scale: np.ndarray

    @classmethod
    def of(cls, cache: Cache, frames: Frames, sequence: np.ndarray) -> "Pictures":
        """As the cache knows them; a picture of unknown size is as large as what was seen in its video."""
        scales = cache.recordings.drop_duplicates("video").set_index("video")["scale"]
        scale = cache.sequences["video"].map(scales).fillna("pixels").to_numpy(str)
        known = cache.sequences[["width", "height"]].to_numpy(np.float32)
        farthest = pd.DataFrame(np.maximum(frames.keypoints[..., :2].max(1), 1)).groupby(sequence).max()
        reach = farthest.groupby(cache.sequences["video"].to_numpy()).transform("max").to_numpy(np.float32)
        square = np.ones_like(reach)
        guessed = np.where((scale == "pixels")[:, None], reach, square)
        return cls(np.where((known > 0).all(1, keepdims=True), known, guessed), scale)


def _prepare(
    keypoints: np.ndarray,
    sequence: np.ndarray,
    number: np.ndarray,
    settings: Cleaning,
    layout: Layout,
    pictures: Pictures | None,
) -> np.ndarray:
    clean = cleaning.drop_doubtful(keypoints, settings.min_confidence) if settings.min_confidence > 0 else keypoints
    clean = cleaning.fill_gaps(clean, sequence, number, settings.max_gap)
    clean = cleaning.smooth(clean, sequence, number, settings.smooth)
    if pictures is None:
        return normalising.by_part(clean, sequence, layout)
    return normalising.in_picture(clean, pictures.size[sequence], pictures.scale[sequence])


def _blocks(sequences: pd.DataFrame) -> Iterator[slice]:
    """Runs of whole sequences, of at most `BLOCK_FRAMES` frames where no single one is longer."""
    start, end = 0, 0
    for length in sequences["length"].tolist():
        if end > start and end + length - start > BLOCK_FRAMES:
            yield slice(start, end)
            start = end
        end += length
    if end > start:
        yield slice(start, end)


def _steps(number: np.ndarray, sequence: np.ndarray, count: int) -> np.ndarray:
    """Median growth of the frame number within each sequence, at least 1."""
    same = sequence[1:] == sequence[:-1]
    steps = pd.Series(np.diff(number)[same]).groupby(sequence[1:][same]).median()
    found = np.ones(count, np.int64)
    found[steps.index.to_numpy(int)] = np.maximum(steps.to_numpy(), 1).astype(np.int64)
    return found
