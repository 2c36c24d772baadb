"""Sequential streams of tar archives, plain or compressed, with limits against decompression bombs."""

import bz2
import lzma
import os
import zlib
from collections.abc import Callable
from typing import BinaryIO

_BLOCK = 1 << 20
#: Memory limit of xz, whose largest preset needs 65 MiB.
_MAX_MEMORY = 256 << 20
#: Largest compression ratio; empty frames reach 390, bombs 1,000 and more.
_MAX_RATIO = 1000
_SMALL = 64 << 20


class TarError(Exception):
    """A damaged archive. The message follows its name in a sentence."""


class _Gzip:
    """zlib with the interface of the other decompressors."""

    def __init__(self) -> None:
        self._decompressor = zlib.decompressobj(16 + zlib.MAX_WBITS)

    @property
    def eof(self) -> bool:
        """Whether the end was reached."""
        return self._decompressor.eof

    @property
    def unused_data(self) -> bytes:
        """Bytes after the end."""
        return self._decompressor.unused_data

    @property
    def needs_input(self) -> bool:
        """Whether all input was consumed."""
        return not self._decompressor.unconsumed_tail

    def decompress(self, data: bytes, max_length: int) -> bytes:
        """Decompress data, and what is left of earlier data, to up to ``max_length`` bytes."""
        return self._decompressor.decompress(self._decompressor.unconsumed_tail + data, max_length)


_Decompressor = _Gzip | bz2.BZ2Decompressor | lzma.LZMADecompressor


def _lzma() -> _Decompressor:
    return lzma.LZMADecompressor(memlimit=_MAX_MEMORY)


#: Decompressors by ending.
DECOMPRESSORS: dict[str, Callable[[], _Decompressor]] = {
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


class DecompressedStream:
    """A decompressed file, read in blocks of a megabyte.

    Raises `TarError` if the file is damaged, truncated, or a decompression bomb.
    """

    def __init__(self, file: BinaryIO, make: Callable[[], _Decompressor]) -> None:
        self.file = file
        self.position = 0
        self._make = make
        self._decompressor = make()
        self._block, self._offset = b"", 0

    def read(self, size: int) -> bytes:
        """Read ``size`` bytes, or fewer at the end."""
        while len(self._block) - self._offset < size and (more := self._decompress()):
            self._block, self._offset = self._block[self._offset :] + more, 0
        data = self._block[self._offset : self._offset + size]
        self._offset += len(data)
        self.position += len(data)
        return data

    def skip_to(self, position: int) -> None:
        """Skip forward, to the end at most."""
        while position - self.position > len(self._block) - self._offset:
            self.position += len(self._block) - self._offset
            self._block, self._offset = self._decompress(), 0
            if not self._block:
                return
        self._offset += position - self.position
        self.position = position

    def finish(self) -> None:
        """Read to the end, to verify the checksum."""
        while block := self._decompress():
            self.position += len(block)

    def _decompress(self) -> bytes:
        """The next block, empty at the end."""
        while True:
            data = b""
            if self._decompressor.eof:
                data = self._decompressor.unused_data.lstrip(b"\0") or self.file.read(_BLOCK).lstrip(b"\0")
                if not data:
                    return b""
                self._decompressor = self._make()
            elif self._decompressor.needs_input and not (data := self.file.read(_BLOCK)):
                raise TarError(f"is truncated after {self.file.tell():,} bytes")
            try:
                block = self._decompressor.decompress(data, _BLOCK)
            except (zlib.error, lzma.LZMAError, OSError, EOFError, ValueError) as error:
                raise TarError(f"is damaged before byte {self.file.tell():,}, or has the wrong ending") from error
            if block:
                self._refuse_bomb(len(block))
                return block

    def _refuse_bomb(self, more: int) -> None:
        size = self.position + more
        if size > _SMALL and size > _MAX_RATIO * os.fstat(self.file.fileno()).st_size:
            raise TarError(f"decompresses to more than {_MAX_RATIO:,} times its size, far more than a recording")


Stream = PlainStream | DecompressedStream
