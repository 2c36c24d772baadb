"""What every export does: choose sequences, write under another name, and tell how far it is."""

from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from skelemo.atomic import finished, reserved
from skelemo.cache import sequence as cached
from skelemo.cache.reading import read_sequences
from skelemo.cache.select import select, unmet
from skelemo.cache.store import Cache
from skelemo.errors import CacheError, InputError
from skelemo.skeleton import SCALES
from skelemo.text import count

#: Told as frames are written: how many so far, and of how many.
Report = Callable[[int, int], None]


@dataclass
class Exported:
    """What was written, and what was not."""

    sequences: int = 0
    frames: int = 0
    notes: tuple[str, ...] = ()


def choose(cache: Cache, only: Sequence[str]) -> np.ndarray:
    """Rows of ``cache.sequences`` that all of the filters want, int64; at least one.

    Raises
    ------
    ConfigError
        A filter that cannot be meant.
    CacheError
        No sequence is wanted.
    """
    rows = np.flatnonzero(select(cache, only))
    if not len(rows):
        there = count(len(cache.sequences), "sequence")
        wanted = f" matches {' '.join(only)}{unmet(cache.sequences, only)}" if only else ""
        raise CacheError(f"{cache.name}: none of its {there}{wanted}: nothing to export")
    return rows


def told(cache: Cache, rows: np.ndarray, done: Exported, report: Report) -> Iterator[cached.Sequence]:
    """The sequences of rows, counted in ``done`` as they come."""
    total = int(cache.sequences["length"].to_numpy()[rows].sum())
    for sequence in read_sequences(cache, rows):
        yield sequence
        done.sequences += 1
        done.frames += len(sequence)
        report(done.frames, total)


def in_pixels(keypoints: np.ndarray, scale: str, width: int, height: int) -> tuple[np.ndarray, int, int]:
    """Keypoints ``[..., V, 3]`` in pixels of their picture, and its width and height.

    Where the size of the picture is not known, relative ones become shares of a picture of 1 x 1, and a picture in
    pixels is as large as what was seen in it.
    """
    known, moved = bool(width and height), keypoints
    if scale != "pixels":
        import torch

        from skelemo.preprocess import to_pixels

        size = torch.tensor([[width, height] if known else [1, 1]])
        moved = to_pixels(torch.from_numpy(keypoints), size, torch.tensor([SCALES.index(scale)])).numpy()
    if known:
        return moved, width, height
    if scale != "pixels":
        return moved, 1, 1
    reach = np.ceil(np.maximum(moved[..., :2].reshape(-1, 2).max(0, initial=0), 0)).astype(int) + 1
    return moved, int(reach[0]), int(reach[1])


@contextmanager
def new_file(out: Path, *, folder: bool = False) -> Iterator[Path]:
    """A file beside ``out`` that becomes it when all has gone well, and otherwise goes away; likewise a folder.

    Parameters
    ----------
    folder : whether a folder will be made, which may take the place of an empty one.

    Raises
    ------
    InputError, CacheError
        ``out`` is there already, or cannot be written.
    """
    if out.is_dir() and not folder:
        raise InputError(f"{out} is a folder: --out is the name of the file to write, as in {out / 'NAME'}")
    target = out.resolve()
    with reserved(target):
        if out.exists() and (not out.is_dir() or any(out.iterdir())):
            raise InputError(f"{out} is there already: choose another --out, or remove it")
        with finished(target) as partial:
            yield partial
