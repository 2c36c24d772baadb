"""Reads and decompresses the chunks of a data set without HDF5, which allows only one thread at a time."""

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
#: LZ4's compression ratio is at most 255.
MAX_COMPRESSION = 256

_decompress, _verify = Blosc().decode, Fletcher32().decode
#: Blosc's header of a chunk: versions of container and codec, flags, item size; bytes decompressed, per block, stored.
_HEADER = struct.Struct("<BBBBIII")
_LZ4, _CODEC_BITS = 1, 5
#: Filter mask of an incompressible chunk, which Blosc skips.
_UNCOMPRESSED = 1


@dataclass(frozen=True, eq=False)
class Chunks:
    """Location of a data set's rows in a file."""

    path: Path
    name: str  # of the data set, for messages
    dtype: np.dtype
    shape: tuple[int, ...]
    rows: int  # per chunk; the last one is padded
    extents: np.ndarray  # int64 [C, 3], file offset, stored bytes and filter mask of each chunk, in order

    def __len__(self) -> int:
        return self.shape[0]

    def read(self) -> np.ndarray:
        """Read all rows; raises as `read_into`."""
        array = np.empty(self.shape, self.dtype)
        self.read_into(array)
        return array

    def read_into(self, array: np.ndarray, first: int = 0, check: Callable[[np.ndarray], None] | None = None) -> None:
        """Fill a contiguous array of the same type with rows, starting at ``first``.

        ``check`` is called with the rows of each chunk while they are in the CPU cache.

        Raises `CacheError` or `RuntimeError`: a chunk is damaged; `OSError`: the file cannot be read.
        """
        last = first + len(array)
        chunks = range(first // self.rows, -(-last // self.rows))
        with self.path.open("rb", buffering=0) as file:
            self._prefetch(file.fileno(), chunks)
            for index in chunks:
                offset = index * self.rows
                start, end = max(first, offset), min(last, offset + self.rows)
                rows = array[start - first : end - first]
                chunk = rows if len(rows) == self.rows else np.empty((self.rows, *self.shape[1:]), self.dtype)
                self._read_chunk(file.fileno(), index, chunk)
                if chunk is not rows:
                    rows[:] = chunk[start - offset : end - offset]
                if check:
                    check(rows)

    def _prefetch(self, file: int, chunks: range) -> None:
        """Ask the operating system to prefetch the chunks."""
        if len(chunks) > 1 and hasattr(os, "posix_fadvise"):
            offset, size, _ = self.extents[chunks.start : chunks.stop].T
            start, end = int(offset.min()), int((offset + size).max())
            with suppress(OSError):  # advice is optional
                os.posix_fadvise(file, start, end - start, os.POSIX_FADV_WILLNEED)

    def _read_chunk(self, file: int, index: int, chunk: np.ndarray) -> None:
        offset, size, mask = self.extents[index].tolist()
        stored = os.pread(file, size, offset)
        if len(stored) < size or not _is_complete(stored, mask, chunk.nbytes):
            raise CacheError(f"{self.name} has a chunk of the wrong length")
        compressed, target = _verify(stored), chunk.reshape(-1).view(np.uint8)
        if mask:
            target[:] = compressed
        else:
            _decompress(compressed, target)


def _is_complete(stored: bytes, mask: int, expected: int) -> bool:
    """Whether a stored chunk, with checksum, decompresses to ``expected`` bytes."""
    size = len(stored) - CHECKSUM_BYTES
    if mask == _UNCOMPRESSED:
        return size == expected
    if mask or size < _HEADER.size:
        return False
    _, _, flags, _, decompressed, _, compressed = _HEADER.unpack_from(stored)
    return flags >> _CODEC_BITS == _LZ4 and (decompressed, compressed) == (expected, size)
