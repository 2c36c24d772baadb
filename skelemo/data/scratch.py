"""A corpus larger than memory: memory-mapped unnamed files, visited in shuffled blocks.

The files contain the prepared frames, for all epochs. The system removes them when the process ends, however it ends.
An epoch samples its windows as in memory and then sorts them by block: random pieces of sequences that fit in a quarter
of the memory. During training on a block, a thread reads the next one, and the memory of visited blocks is released,
in the process and in the system's file cache.
"""

import mmap
import os
import tempfile
from collections.abc import Mapping
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass, field, replace

import numpy as np
import torch
from torch import Tensor

from skelemo.errors import ConfigError, InputError, os_reason
from skelemo.text import count

#: Copies of a frame's keypoints during preparation: raw, in pixels, without gaps, smoothed, and temporaries.
_COPIES = 10
#: Blocks in memory: the current, the next, one at the border between them, and what windows reach beyond.
_BLOCKS = 4
#: Fewest pieces per block: more pieces mix more sequences in a batch.
_PIECES = 16
#: Bytes per read, sized for the CPU cache.
_READ = 256 << 10
#: Bytes that Linux maps around a requested page.
_AROUND = 64 << 10


class ScratchFile:
    """An unnamed file of ``[N, ...]`` float32; ``rows`` is the memory-mapped tensor."""

    def __init__(self, *shape: int) -> None:
        self.width = 4 * int(np.prod(shape[1:]))  # bytes of a row
        size = max(shape[0] * self.width, 1)
        usual = "/var/tmp" if os.path.isdir("/var/tmp") else tempfile.gettempdir()  # unlike /tmp always on a disk
        folder = os.environ.get("TMPDIR") or usual
        try:
            self._file = tempfile.TemporaryFile(dir=folder)  # noqa: SIM115  # lives as long as the tensor
            os.posix_fallocate(self._file.fileno(), 0, size)  # fails now if the disk is full, not with a signal later
        except OSError as error:
            raise InputError(
                f"{folder}: cannot create a scratch file of {_size(size)} for a corpus larger than memory "
                f"({os_reason(error)}); set TMPDIR to a folder with enough space, or allow more memory"
            ) from None
        self._map = mmap.mmap(self._file.fileno(), size)
        self.rows = torch.frombuffer(self._map, dtype=torch.float32, count=int(np.prod(shape))).view(shape)

    def settle(self) -> None:
        """Flush to disk and release all memory."""
        os.fdatasync(self._file.fileno())
        self.forget(0, len(self.rows))

    def fetch(self, first: int, last: int) -> None:
        """Read some rows into the system's file cache."""
        unused = bytearray(_READ)
        for offset in range(first * self.width, last * self.width, _READ):
            os.preadv(self._file.fileno(), [unused], offset)

    def forget(self, first: int, last: int) -> None:
        """Release the memory of some rows, which stay in the file."""
        start, end = first * self.width, min(last * self.width, len(self._map))
        mapped = max(0, start - _AROUND) // mmap.PAGESIZE * mmap.PAGESIZE
        if end > start:
            self._map.madvise(mmap.MADV_DONTNEED, mapped, min(end + _AROUND, len(self._map)) - mapped)
            os.posix_fadvise(self._file.fileno(), start, end - start, os.POSIX_FADV_DONTNEED)


@dataclass(frozen=True)
class Scratch:
    """The files of a corpus by name of the tensor, and the memory limit in bytes."""

    memory: int
    files: Mapping[str, ScratchFile] = field(default_factory=dict)

    def adding(self, name: str, file: ScratchFile) -> "Scratch":
        """A copy with one more file."""
        return replace(self, files={**self.files, name: file})

    def picked(self, name: str, columns: list[int]) -> ScratchFile:
        """A new file with ``rows[:, columns]`` of a file."""
        source = self.files[name]
        frames, _, *rest = source.rows.shape
        file = ScratchFile(frames, len(columns), *rest)
        for first in range(0, frames, self.run):
            last = min(first + self.run, frames)
            file.rows[first:last] = source.rows[first:last][:, columns]
            source.forget(first, last)
            file.forget(first, last)
        file.settle()
        return file

    @property
    def run(self) -> int:
        """Frames measured or copied at a time, several copies of which fit in memory."""
        return max(1, self.block // 8)

    @property
    def block(self) -> int:
        """Frames per block."""
        return max(1, self.memory // _BLOCKS // max(1, sum(file.width for file in self.files.values())))

    def settle(self) -> None:
        """Flush to disk and release all memory."""
        for file in self.files.values():
            file.settle()

    def fetch(self, first: int, last: int) -> None:
        """Read some frames into the system's file cache."""
        for file in self.files.values():
            file.fetch(first, last)

    def forget(self, first: int, last: int) -> None:
        """Release the memory of some frames."""
        for file in self.files.values():
            file.forget(first, last)


class Visits:
    """The order in which an epoch visits its windows, and the blocks in memory.

    Parameters
    ----------
    rows : ``[W]`` target rows of the windows.
    start, length : ``[S]`` first row and number of rows of the sequences.
    reach : most frames between a window's target and its ends; 0 if windows are whole sequences.
    generator : shuffles the pieces; without it they are in order.
    """

    def __init__(
        self,
        scratch: Scratch,
        rows: Tensor,
        start: np.ndarray,
        length: np.ndarray,
        reach: int,
        generator: torch.Generator | None,
    ) -> None:
        piece = max(scratch.block // _PIECES, 8 * reach, 1) if reach else int(length.max(initial=1))
        cuts = -(-length // piece)
        within = np.arange(cuts.sum()) - np.repeat(np.cumsum(cuts) - cuts, cuts)
        first = np.repeat(start, cuts) + piece * within
        last = np.minimum(first + piece, np.repeat(start + length, cuts))
        owner = np.searchsorted(first, rows.numpy(), "right") - 1  # [W]
        used = np.flatnonzero(np.bincount(owner, minlength=len(first)))
        if generator is not None:
            used = used[torch.randperm(len(used), generator=generator).numpy()]
        before = np.cumsum(last[used] - first[used]) - (last[used] - first[used])
        block = np.zeros(len(first), np.int64)
        block[used] = before // scratch.block
        self.scratch, self.reach = scratch, reach
        self.frames = int(start[-1] + length[-1]) if len(start) else 0
        self.pieces = (first[used], last[used], block[used])
        number = torch.from_numpy(block[owner])  # [W]
        self.order = torch.argsort(number, stable=True)
        self.number = number[self.order]
        self._left, self._arrived, self._closed = 0, -1, False
        self._pool = ThreadPoolExecutor(1)
        self._coming: Future[None] = self._pool.submit(self._fetch, 0)

    def arrive(self, first: int, windows: int) -> None:
        """Load the blocks of the next windows in the order, and release those before."""
        numbers = self.number[first : first + windows]
        while self._arrived < int(numbers[-1]):
            self._coming.result()
            self._arrived += 1
            self._coming = self._pool.submit(self._fetch, self._arrived + 1)
        while self._left < int(numbers[0]):
            for begin, end in self._ranges(self._left):
                self.scratch.forget(begin, end)
            self._left += 1

    def __enter__(self) -> "Visits":
        return self

    def __exit__(self, *_: object) -> None:
        """Stop reading and release all memory."""
        self._closed = True
        self._pool.shutdown()
        self.scratch.forget(0, self.frames)

    def _fetch(self, number: int) -> None:
        for first, last in self._ranges(number):
            if self._closed:
                return
            self.scratch.fetch(first, last)

    def _ranges(self, number: int) -> list[tuple[int, int]]:
        """Row ranges of a block's pieces in the order of the file, extended by `reach`."""
        first, last, block = self.pieces
        mine = np.flatnonzero(block == number)
        mine = mine[np.argsort(first[mine])]
        starts, ends = np.maximum(first[mine] - self.reach, 0), np.minimum(last[mine] + self.reach, self.frames)
        return list(zip(starts.tolist(), ends.tolist(), strict=True))


def fits(memory: int, frames: int, frame_bytes: int) -> bool:
    """Whether a corpus fits in memory twice, since the choice of parts copies it."""
    return 2 * frames * frame_bytes <= memory


def preparing(memory: int, longest: int, points: int, usual: int, workers: int) -> tuple[int, int]:
    """Number of frames to prepare at a time and of threads that use at most half of the memory.

    Parameters
    ----------
    longest : frames of the longest sequence, which is prepared as a whole.
    points : keypoints per frame in the cache.
    usual, workers : both numbers without a memory limit.

    Raises
    ------
    ConfigError
        The longest sequence needs more memory.
    """
    frame = 12 * points * _COPIES
    if longest * frame > memory // 2:
        given = _size(memory) if memory >> 20 else count(memory, "byte")
        raise ConfigError(
            f"memory: {given} is too little to prepare a sequence of {count(longest, 'frame')}; "
            f"expected at least {_size(2 * longest * frame)}"
        )
    block = max(longest, min(usual, memory // 2 // workers // frame))
    return block, max(1, min(workers, memory // 2 // (block * frame)))


def _size(size: int) -> str:
    return f"{-(-size >> 20):,} MB" if size < 10 << 30 else f"{size / 2**30:,.1f} GB"
