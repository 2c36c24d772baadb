"""Sequential streams of tar archives, plain or compressed, with limits against decompression bombs."""

import bz2
import lzma
import os
import zlib
from collections.abc import Callable
from typing import BinaryIO

from skelemo.openpose.tar_members import TarError

_PIECE = 1 << 20
#: Memory limit of xz; its largest preset needs 65 MiB.
_MOST_MEMORY = 256 << 20
#: Largest compression ratio; empty frames compress to 1/390, bombs to 1/1,000 and less.
_MOST_PACKING = 1000
_SMALL = 64 << 20


class _Gzip:
    """zlib with the interface of the other decompressors."""

    def __init__(self) -> None:
        self._unpacker = zlib.decompressobj(16 + zlib.MAX_WBITS)

    @property
    def eof(self) -> bool:
        """Whether the end was reached."""
        return self._unpacker.eof

    @property
    def unused_data(self) -> bytes:
        """Bytes after the end."""
        return self._unpacker.unused_data

    @property
    def needs_input(self) -> bool:
        """Whether all input was consumed."""
        return not self._unpacker.unconsumed_tail

    def decompress(self, data: bytes, max_length: int) -> bytes:
        """Decompress data, and what is left of earlier data, to up to ``max_length`` bytes."""
        return self._unpacker.decompress(self._unpacker.unconsumed_tail + data, max_length)


_Unpacker = _Gzip | bz2.BZ2Decompressor | lzma.LZMADecompressor


def _lzma() -> _Unpacker:
    return lzma.LZMADecompressor(memlimit=_MOST_MEMORY)


#: Decompressors by ending.
PACKINGS: dict[str, Callable[[], _Unpacker]] = {
    ".tar.gz": _Gzip,
    ".tgz": _Gzip,
    ".tar.xz": _lzma,
    ".txz": _lzma,
    ".tar.bz2": bz2.BZ2Decompressor,
    ".tbz2": bz2.BZ2Decompressor,
}


class PlainStream:
    """An uncompressed file."""

    def __init__(self, file: BinaryIO) -> None:
        self.file = file
        self.position = 0

    def read(self, size: int) -> bytes:
        """Read ``size`` bytes, or fewer at the end."""
        data = self.file.read(size)
        self.position += len(data)
        return data

    def skip_to(self, position: int) -> None:
        """Seek, to the end at most."""
        if position != self.position:
            position = min(position, os.fstat(self.file.fileno()).st_size)
            self.file.seek(position)
            self.position = position

    def finish(self) -> None:
        """Nothing to check."""


class UnpackedStream:
    """A decompressed file, in pieces of a megabyte.

    Methods that read raise `TarError` if the file is damaged, truncated, or a decompression bomb.
    """

    def __init__(self, file: BinaryIO, make: Callable[[], _Unpacker]) -> None:
        self.file = file
        self.position = 0
        self._make = make
        self._unpacker = make()
        self._piece, self._place = b"", 0

    def read(self, size: int) -> bytes:
        """Read ``size`` bytes, or fewer at the end."""
        while len(self._piece) - self._place < size and (more := self._unpack()):
            self._piece, self._place = self._piece[self._place :] + more, 0
        data = self._piece[self._place : self._place + size]
        self._place += len(data)
        self.position += len(data)
        return data

    def skip_to(self, position: int) -> None:
        """Skip forward, to the end at most."""
        while position - self.position > len(self._piece) - self._place:
            self.position += len(self._piece) - self._place
            self._piece, self._place = self._unpack(), 0
            if not self._piece:
                return
        self._place += position - self.position
        self.position = position

    def finish(self) -> None:
        """Read to the end, to verify the checksum."""
        while piece := self._unpack():
            self.position += len(piece)

    def _unpack(self) -> bytes:
        """The next piece; empty at the end."""
        while True:
            data = b""
            if self._unpacker.eof:
                data = self._unpacker.unused_data.lstrip(b"\0") or self.file.read(_PIECE).lstrip(b"\0")
                if not data:
                    return b""
                self._unpacker = self._make()
            elif self._unpacker.needs_input and not (data := self.file.read(_PIECE)):
                raise TarError(f"is cut off after {self.file.tell():,} bytes")
            try:
                piece = self._unpacker.decompress(data, _PIECE)
            except (zlib.error, lzma.LZMAError, OSError, EOFError, ValueError) as error:
                raise TarError(f"is damaged before byte {self.file.tell():,}, or not packed as it is named") from error
            if piece:
                self._refuse_bomb(len(piece))
                return piece

    def _refuse_bomb(self, more: int) -> None:
        unpacked = self.position + more
        if unpacked > _SMALL and unpacked > _MOST_PACKING * os.fstat(self.file.fileno()).st_size:
            raise TarError(f"unpacks to more than {_MOST_PACKING:,} times its size, which no recording does")
