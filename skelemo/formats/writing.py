"""Shared code of exports: selecting and reading sequences, progress, and atomic writing."""

from collections import Counter, defaultdict
from collections.abc import Hashable, Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from skelemo.atomic import finished, reserved
from skelemo.cache import sequence as cached
from skelemo.cache.reading import read_sequences
from skelemo.cache.select import select
from skelemo.cache.store import Cache
from skelemo.cache.verify import Report
from skelemo.errors import InputError
from skelemo.openpose.scale import to_pixels


@dataclass
class Exported:
    """The result of an export."""

    sequences: int = 0
    frames: int = 0
    notes: tuple[str, ...] = ()


def choose(cache: Cache, only: Sequence[str]) -> np.ndarray:
    """Rows of ``cache.sequences`` that match all filters, int64; at least one.

    Raises `ConfigError`: an invalid filter; `CacheError`: no sequence matches.
    """
    return np.flatnonzero(select(cache, only))


def read_chosen(cache: Cache, rows: np.ndarray, done: Exported, report: Report) -> Iterator[cached.Sequence]:
    """Yield the sequences of rows, counted in ``done``."""
    total = int(cache.sequences["length"].to_numpy()[rows].sum())
    for sequence in read_sequences(cache, rows):
        yield sequence
        done.sequences += 1
        done.frames += len(sequence)
        report(done.frames, total)


def in_pixels(keypoints: np.ndarray, scale: str, width: int, height: int) -> tuple[np.ndarray, int, int]:
    """Keypoints ``[..., V, 3]`` in pixels, and the width and height of the image.

    If the size is unknown, relative coordinates become those of an image of 1 x 1, and an image in pixels is as large
    as its visible points require.
    """
    known = bool(width and height)
    if scale != "pixels":
        size = (width, height) if known else (1, 1)
        return to_pixels(keypoints, scale, size), *size
    if known:
        return keypoints, width, height
    reach = np.ceil(np.maximum(keypoints[..., :2].reshape(-1, 2).max(0, initial=0), 0)).astype(int) + 1
    return keypoints, int(reach[0]), int(reach[1])


def in_groups(sequences: Iterable[cached.Sequence], groups: Mapping[str, Hashable]) -> Iterator[list[cached.Sequence]]:
    """Sequences of one group together, as soon as all of them are read; ``groups`` has the group of each by id."""
    people, waiting = Counter(groups.values()), defaultdict[Hashable, list[cached.Sequence]](list)
    for one in sequences:
        group = groups[one.id]
        waiting[group].append(one)
        if len(waiting[group]) == people[group]:
            yield waiting.pop(group)


@contextmanager
def new_file(out: Path, *, folder: bool = False) -> Iterator[Path]:
    """A temporary file beside ``out`` that is renamed to it on success and removed on an error.

    Raises `InputError` or `CacheError`: ``out`` exists, or cannot be written.

    Parameters
    ----------
    folder : whether it is a folder, which may replace an empty one.
    """
    if out.is_dir() and not folder:
        raise InputError(f"{out}: is a folder; expected a file name, as in --out {out / 'NAME'}")
    target = out.resolve()
    with reserved(target):
        if out.exists() and (not out.is_dir() or any(out.iterdir())):
            raise InputError(f"{out}: already exists: choose another --out, or remove it")
        with finished(target) as partial:
            yield partial
