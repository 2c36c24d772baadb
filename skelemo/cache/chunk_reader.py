"""Reads and decompresses the chunks of a data set without HDF5, which is limited to one thread at a time."""

import os
import struct
from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numcodecs.blosc import Blosc
from numcodecs.fletcher32 import Fletcher32

from skelemo.errors import CacheError

CHECKSUM_BYTES = 4
#: LZ4 compresses to 1 / 255 at best.
MOST_COMPRESSION = 256

_unpack, _checked = Blosc().decode, Fletcher32().decode
#: Blosc's header of each chunk: versions of container and codec, flags, item size; bytes plain, by block, compressed.
_HEADER = struct.Struct("<BBBBIII")
_LZ4, _CODEC_BITS = 1, 5
#: Filter mask of a chunk without the first filter: Blosc stores incompressible chunks as they are.
_LEFT_PLAIN = 1


@dataclass(frozen=True, eq=False)
class Chunks:
    """Location of a data set's rows in a file.

    Parameters
    ----------
    name : of the data set, for messages.
    kind, shape : of the data set.
    rows : per chunk; the last one is padded.
    places : int64 ``[C, 3]``, file offset, stored bytes and filter mask of each chunk, in order.
    """

    path: Path
    name: str
    kind: np.dtype
    shape: tuple[int, ...]
    rows: int
    places: np.ndarray

    def __len__(self) -> int:
        return self.shape[0]

    def read(self) -> np.ndarray:
        """Read all rows; raises as `read_into`."""
        array = np.empty(self.shape, self.kind)
        self.read_into(array)
        return array

    def read_into(self, array: np.ndarray, first: int = 0, check: Callable[[np.ndarray], None] | None = None) -> None:
        """Fill a contiguous array of the same type with the rows from ``first`` on.

        Parameters
        ----------
        check : called with the rows of each chunk, while they are in the CPU cache.

        Raises
        ------
        CacheError, RuntimeError
            A chunk is damaged.
        OSError
            The file cannot be read.
        """
        last = first + len(array)
        chunks = range(first // self.rows, -(-last // self.rows))
        with self.path.open("rb", buffering=0) as file:
            self._announce(file.fileno(), chunks)
            for index in chunks:
                start, end = index * self.rows, (index + 1) * self.rows
                here = slice(max(first, start), min(last, end))
                rows = array[here.start - first : here.stop - first]
                chunk = rows if len(rows) == self.rows else np.empty((self.rows, *self.shape[1:]), self.kind)
                self._read_chunk(file.fileno(), index, chunk)
                if chunk is not rows:
                    rows[:] = chunk[here.start - start : here.stop - start]
                if check:
                    check(rows)

    def _announce(self, file: int, chunks: range) -> None:
        """Tell the operating system to prefetch the chunks."""
        if len(chunks) > 1 and hasattr(os, "posix_fadvise"):
            offset, size, _ = self.places[chunks.start : chunks.stop].T
            start, end = int(offset.min()), int((offset + size).max())
            with suppress(OSError):  # advice is optional
                os.posix_fadvise(file, start, end - start, os.POSIX_FADV_WILLNEED)

    def _read_chunk(self, file: int, index: int, chunk: np.ndarray) -> None:
        offset, size, left_out = self.places[index].tolist()
        stored = os.pread(file, size, offset)
        if len(stored) < size or not _is_whole(stored, left_out, chunk.nbytes):
            raise CacheError(f"{self.name} has a chunk that is not as long as it should be")
        packed, plain = _checked(stored), chunk.reshape(-1).view(np.uint8)
        if left_out:
            plain[:] = packed
        else:
            _unpack(packed, plain)


def _is_whole(stored: bytes, left_out: int, plain: int) -> bool:
    """Whether a stored chunk, with checksum, decompresses to ``plain`` bytes."""
    size = len(stored) - CHECKSUM_BYTES
    if left_out == _LEFT_PLAIN:
        return size == plain
    if left_out or size < _HEADER.size:
        return False
    _, _, flags, _, unpacked, _, packed = _HEADER.unpack_from(stored)
    return flags >> _CODEC_BITS == _LZ4 and (unpacked, packed) == (plain, size)
