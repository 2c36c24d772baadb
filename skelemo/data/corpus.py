"""A cache loaded into one tensor, in memory or mapped from a file, with every frame prepared once."""

import hashlib
import os
from collections.abc import Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
import pandas as pd
import torch
from torch import Tensor

from skelemo.cache.store import Cache, Frames
from skelemo.data.calibration import calibrated, standardized
from skelemo.data.images import Images, usual_size
from skelemo.data.scratch import Scratch, ScratchFile, fits, preparing
from skelemo.data.window_frames import KEY_SPAN, usual_steps
from skelemo.errors import ConfigError, unknown
from skelemo.preprocess import Clips, Preparation, by_part, clean, in_image, place, prepare, seen_parts
from skelemo.preprocess.calibration import scaled, without
from skelemo.skeleton import Layout
from skelemo.targets import Head
from skelemo.text import count

#: Frames prepared at a time: limits the memory used besides the corpus.
BLOCK_FRAMES = 16_384

#: Most frames covered by a sequence's hash.
HASHED_FRAMES = 64


@dataclass(frozen=True, repr=False)
class Corpus:
    """All frames of a cache, ready for windows.

    Parameters
    ----------
    keypoints : ``[N, V, 3]`` float32 in pixels; cleaned with ``reference: clip``, else as stored in the cache.
    reference : ``[N, P, 4]`` of each part (or ``[N, 1, 4]`` of the image) with ``reference: clip``, else None.
    seen : ``[N]`` whether the person has a visible point.
    key : ``[N]`` int64, increasing: sequence and frame number combined, for binary search.
    labels : labels by head, see `skelemo.targets`.
    step : ``[S]`` float64, usual increment of the frame number in each sequence.
    image_size : ``[S, 2]`` float32, width and height in pixels, 0 if unknown.
    frame_size : ``[S, 2]`` the same for image networks, else None.
    sequences : one row per sequence, as in `Cache`, with ``content``: a hash of its keypoints in the cache, empty if
        the person is never visible.
    shift : mean pose subtracted by calibration: ``[S, V, 2]`` by sequence, or ``[N, V, 2]`` by frame for ``running``.
    factor, offset : ``[V, 2]`` scale and offset of standardization.
    absent : parts of the cache's layout that are never visible, removed from the layout.
    scratch : the files that keypoints, reference and a running shift are mapped from, if they do not fit in memory.
    """

    layout: Layout
    preparation: Preparation
    heads: tuple[Head, ...]
    sequences: pd.DataFrame
    keypoints: Tensor
    reference: Tensor | None
    seen: Tensor
    key: Tensor
    labels: dict[str, Tensor]
    step: Tensor
    image_size: Tensor
    frame_size: Tensor | None
    shift: Tensor | None = None
    factor: Tensor | None = None
    offset: Tensor | None = None
    absent: tuple[str, ...] = ()
    scratch: Scratch | None = None

    def __repr__(self) -> str:
        heads = ", ".join(f"{head.name} ({len(head)})" for head in self.heads) or "no labels"
        size = f"{count(len(self.sequences), 'sequence')}, {count(len(self), 'frame')}"
        return f"<corpus: {size} of {self.layout.name} on {self.device}, {heads}>"

    def __len__(self) -> int:
        return len(self.keypoints)

    @property
    def device(self) -> torch.device:
        """Device of the frames."""
        return self.keypoints.device

    def windows(self, rows: Tensor, present: Tensor) -> tuple[Tensor, Tensor]:
        """Model input for rows ``[B, T]``: keypoints ``[B, T, V, 3]`` and mask ``[B, T]``.

        Frames that are not ``present [B, T]`` are zeros with mask False.
        """
        shift = None
        if self.shift is not None:
            newest = torch.where(present, rows, -1).amax(1).clamp(min=0)
            running = self.preparation.calibrate == "running"
            shift = self.shift[newest if running else self.key[rows[:, 0]] // KEY_SPAN]
        scale_by = None if self.factor is None or self.offset is None else (self.factor, self.offset)
        if self.reference is not None:
            mask = present & self.seen[rows]
            placed = self.placed(rows) * mask[..., None, None]
            placed = placed if shift is None else without(placed, shift[:, None])
            return scaled(placed, *scale_by) if scale_by else placed, mask
        number = self.key[rows] & (KEY_SPAN - 1)
        size = self.image_size[self.key[rows[:, 0]] // KEY_SPAN]
        raw = self.keypoints[rows]
        return prepare(
            raw,
            self.layout,
            self.preparation,
            number=number,
            present=present,
            size=size,
            shift=shift,
            scale_by=scale_by,
        )

    def placed(self, rows: Tensor | slice) -> Tensor:
        """Normalized keypoints ``[..., V, 3]`` of rows ``[...]``, with ``reference: clip``."""
        assert self.reference is not None
        return place(self.keypoints[rows], self.reference[rows], self.layout)

    def number(self, rows: np.ndarray) -> np.ndarray:
        """Frame numbers of rows."""
        return (self.key[torch.as_tensor(rows, device=self.device)] & (KEY_SPAN - 1)).cpu().numpy()

    def sequence(self, rows: np.ndarray) -> np.ndarray:
        """Sequence of each row."""
        return np.searchsorted(self.sequences["start"].to_numpy(), rows, side="right") - 1

    def to(self, device: torch.device) -> "Corpus":
        """The corpus on a device, or if it does not fit in pinned memory or its files."""
        tensors = {name: value for name, value in vars(self).items() if isinstance(value, Tensor)}
        size = sum(value.nbytes for value in [*tensors.values(), *self.labels.values()])
        pinned = device.type == "cuda" and size > 0.5 * torch.cuda.mem_get_info(device)[0]
        if pinned and self.scratch:
            return self

        def move(values: dict[str, Tensor]) -> dict[str, Tensor]:
            return {name: value.pin_memory() if pinned else value.to(device) for name, value in values.items()}

        scratch = self.scratch if device.type == "cpu" else None
        return Corpus(**{**vars(self), **move(tensors), "labels": move(self.labels), "scratch": scratch})

    def only(self, parts: Sequence[str]) -> "Corpus":
        """The corpus restricted to some of its parts."""
        if set(parts) == set(self.layout.slices):
            return self
        fewer, seen = self._kept(parts), torch.empty_like(self.seen)
        for rows in fewer.blocks():
            seen[rows] = (fewer.keypoints[rows][..., 2] >= max(self.preparation.min_confidence, 1e-9)).any(1)
        return replace(fewer, seen=seen)

    def blocks(self) -> Iterator[slice]:
        """Consecutive rows that fit in memory several times; those mapped from a file are released after each block."""
        run = min(BLOCK_FRAMES, self.scratch.run) if self.scratch else BLOCK_FRAMES
        for first in range(0, len(self), run):
            yield slice(first, min(first + run, len(self)))
            self.forget(first, first + run)

    def forget(self, first: int, last: int) -> None:
        """Release the memory of some frames if they are mapped from a file."""
        if self.scratch:
            self.scratch.forget(first, last)

    def _kept(self, parts: Sequence[str]) -> "Corpus":
        columns = _columns(self.layout, parts) or []
        kept = [index for index, part in enumerate(self.layout.parts) if part.name in parts]
        of_image = self.reference is not None and self.reference.shape[1] == 1
        files, fewer = {}, dict[str, Any]()
        for name, chosen in (("keypoints", columns), ("shift", columns), ("reference", [0] if of_image else kept)):
            if self.scratch and name in self.scratch.files:
                files[name] = self.scratch.picked(name, chosen)
                fewer[name] = files[name].rows
            elif (values := getattr(self, name)) is not None:
                fewer[name] = values.index_select(1, torch.tensor(chosen, device=self.device))
        for name in ("factor", "offset"):
            fewer[name] = None if (values := getattr(self, name)) is None else values[columns]
        if self.scratch:
            fewer["scratch"] = Scratch(self.scratch.memory, files)
        return replace(self, layout=self.layout.only(parts), preparation=self.preparation.of_points(columns), **fewer)

    def head(self, name: str) -> Head:
        """The head called ``name``; raises `ConfigError` with the known ones if there is none."""
        found = {head.name: head for head in self.heads}
        if name not in found:
            raise unknown("head", name, found)
        return found[name]


def load_corpus(
    cache: Cache,
    preparation: Preparation | None = None,
    parts: Sequence[str] = (),
    *,
    keep_absent: bool = False,
    memory: int | None = None,
) -> Corpus:
    """Read a cache and prepare its keypoints; see `Corpus`.

    Parameters
    ----------
    parts : names of the parts to load; by default all that are ever visible.
    keep_absent : keep parts that are never visible, for a model that was trained with them.
    memory : memory limit for keypoints in bytes, here and in training; a larger corpus is mapped from a file, see
        `skelemo.data.scratch`. No limit by default.

    Raises
    ------
    ConfigError
        A part that the cache lacks or that is never visible; too little memory for a sequence.
    InputError
        No space for the file.
    """
    settings, columns = preparation or Preparation(), _columns(cache.layout, parts)
    layout = cache.layout.only(parts) if parts else cache.layout
    lengths = cache.sequences["length"].to_numpy()
    at_once, workers = BLOCK_FRAMES, 1 + (os.cpu_count() or 1)  # one more, to wait for the disk
    if memory is not None:
        at_once, workers = preparing(memory, int(lengths.max(initial=0)), len(cache.layout), at_once, workers)
    filling = _Filling(cache, settings, layout, columns, memory)
    threads = torch.get_num_threads()
    torch.set_num_threads(1)  # blocks are prepared in parallel
    try:
        with ThreadPoolExecutor(workers) as pool:
            list(pool.map(lambda block: filling.prepare(*block), _blocks(lengths, at_once)))
    finally:
        torch.set_num_threads(threads)
    corpus = filling.corpus()
    corpus = corpus if keep_absent else _without_absent(cache, corpus, filling.shown.tolist(), chosen=bool(parts))
    corpus = calibrated(corpus, settings.calibrate)
    return corpus if settings.standardize == "none" else standardized(corpus)


class _Filling:
    """The arrays of a corpus while blocks of a cache are read and prepared into them in parallel."""

    def __init__(
        self, cache: Cache, settings: Preparation, layout: Layout, columns: list[int] | None, memory: int | None
    ) -> None:
        self.cache, self.settings, self.layout, self.columns = cache, settings, layout, columns
        self.by_clip = settings.reference == "clip"
        sequences = len(cache.sequences)
        referred = len(layout.parts) if self.by_clip and settings.coordinates == "parts" else 0
        self.keypoints, self.reference, self.scratch = _allocate(cache.frames, len(layout), referred, memory)
        self.frames = cache.allocate(self.keypoints.numpy())
        self.number = torch.from_numpy(self.frames.number)
        self.sequence = torch.from_numpy(np.repeat(np.arange(sequences), cache.sequences["length"].to_numpy()))
        self.images = Images.of(cache)
        self.seen, self.step = torch.empty(cache.frames, dtype=torch.bool), np.empty(sequences)
        self.shown = torch.zeros(len(layout.parts), dtype=torch.bool)
        self.content = np.full(sequences, "", object)

    def prepare(self, first: int, last: int, rows: slice) -> None:
        """Read and prepare the sequences ``first`` to ``last`` (exclusive), which have these rows."""
        raw = self._read(first, last, rows)
        clips = Clips(self.sequence[rows] - first, self.number[rows])
        ready = clean(raw, clips, self.settings) if self.by_clip else raw
        if ready.data_ptr() != self.keypoints[rows].data_ptr():
            self.keypoints[rows] = ready
        anything = seen_parts(ready, self.layout)
        if not self.by_clip and self.settings.min_confidence > 0:
            anything = seen_parts(clean(raw, clips, replace(self.settings, max_gap=0, smooth=0)), self.layout)
        self.seen[rows] = anything.any(1)
        self.shown.logical_or_(anything.any(0))
        self.step[first:last] = usual_steps(self.frames.number[rows], clips.sequence.numpy(), last - first)
        if self.reference is not None:
            self.reference[rows] = by_part(ready, clips, self.layout, anything)
        if self.scratch:
            self.scratch.forget(rows.start, rows.stop)

    def _read(self, first: int, last: int, rows: slice) -> Tensor:
        """Read keypoints in pixels ``[N, V, 3]``, and fill in labels, frame numbers and hashes."""
        points = self.frames.keypoints[rows]
        if self.columns is not None:
            points = np.empty((len(points), len(self.cache.layout), 3), np.float32)
        labels = {name: values[rows] for name, values in self.frames.labels.items()}
        self.cache.read_into(Frames(points, self.frames.number[rows], labels), first, last, rows.start)
        self.content[first:last] = _hashes(points, self.cache.sequences.iloc[first:last], rows.start)
        block = torch.from_numpy(points if self.columns is None else points[:, self.columns])
        return self.images.to_pixels(block, self.sequence[rows])

    def corpus(self) -> Corpus:
        """The corpus with all parts."""
        images, reference = self.images, self.reference
        of_image = self.settings.coordinates == "frame"
        if self.by_clip and of_image:
            images = images.guess_sizes(self.cache, self.keypoints)
            reference = in_image(images.size)[self.sequence]
        if self.scratch:
            self.scratch.settle()
        return Corpus(
            layout=self.layout,
            preparation=self.settings,
            heads=self.cache.heads,
            sequences=self.cache.sequences.assign(content=self.content),
            keypoints=self.keypoints,
            reference=reference,
            seen=self.seen,
            key=self.sequence * KEY_SPAN + self.number,
            labels={name: torch.from_numpy(labels) for name, labels in self.frames.labels.items()},
            step=torch.from_numpy(self.step),
            image_size=images.size,
            frame_size=usual_size(images.size) if of_image else None,
            scratch=self.scratch,
        )


def _allocate(
    frames: int, points: int, referred: int, memory: int | None
) -> tuple[Tensor, Tensor | None, Scratch | None]:
    """Keypoints ``[N, V, 3]`` and, unless P is 0, references ``[N, P, 4]``: in memory, or in files."""
    if memory is None or fits(memory, frames, 12 * points + 16 * referred):
        keypoints = torch.from_numpy(np.empty((frames, points, 3), np.float32))  # NumPy uses huge pages
        return keypoints, torch.zeros(frames, referred, 4) if referred else None, None
    files = {"keypoints": ScratchFile(frames, points, 3)}
    if referred:
        files["reference"] = ScratchFile(frames, referred, 4)
    return files["keypoints"].rows, files["reference"].rows if referred else None, Scratch(memory, files)


def _without_absent(cache: Cache, corpus: Corpus, shown: list[bool], *, chosen: bool) -> Corpus:
    """The corpus without parts that are never visible: they would be constant."""
    layout = corpus.layout
    absent = tuple(part.name for part, seen in zip(layout.parts, shown, strict=True) if not seen)
    if not len(corpus) or not absent:
        return corpus
    if chosen or len(absent) == len(layout.parts):
        confident = corpus.preparation.min_confidence
        above = f" with a confidence of {confident:g} or more" if confident else ""
        present = [name for name in layout.slices if name not in absent]
        offer = f"choose parts from {', '.join(present)}" if present else "ingest recordings that show it"
        raise ConfigError(f"{cache.name}: no frame shows {' or '.join(absent)}{above}; {offer}")
    return replace(corpus._kept([name for name in layout.slices if name not in absent]), absent=absent)


def _columns(layout: Layout, parts: Sequence[str]) -> list[int] | None:
    """Indices into V of the parts, in the layout's order; None for all."""
    for name in parts:
        if name not in layout.slices:
            raise unknown("part of this cache", name, layout.slices)
    if not parts or set(parts) == set(layout.slices):
        return None
    return layout.columns(parts)


def _blocks(lengths: np.ndarray, most: int) -> Iterator[tuple[int, int, slice]]:
    """Blocks of whole sequences with at most ``most`` frames (or one longer sequence), and their rows."""
    first, start, end = 0, 0, 0
    for index, length in enumerate(lengths.tolist()):
        if end > start and end + length - start > most:
            yield first, index, slice(start, end)
            first, start = index, end
        end += length
    if end > start:
        yield first, len(lengths), slice(start, end)


def _hashes(keypoints: np.ndarray, sequences: pd.DataFrame, offset: int) -> list[str]:
    """SHA-256 of each sequence's keypoints in ``[N, V, 3]``, whose first frame is ``offset``; empty if never visible.

    Covers up to `HASHED_FRAMES` frames, evenly spaced over the sequence, or over its visible frames.
    """
    found = []
    for start, length in zip(sequences["start"], sequences["length"], strict=True):
        frames = keypoints[start - offset : start - offset + length]
        chosen = frames[_spread(length)]
        if not chosen[..., 2].any(1).all():
            seen = np.flatnonzero(frames[..., 2].any(1))
            chosen = frames[seen[_spread(len(seen))]]
        digest = hashlib.sha256(f"{length} {frames.shape[1]}\0".encode() + chosen.tobytes())
        found.append(digest.hexdigest() if len(chosen) else "")
    return found


def _spread(count: int) -> np.ndarray:
    return np.linspace(0, count - 1, min(count, HASHED_FRAMES)).astype(int)
