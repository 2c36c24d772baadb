"""Sequential streams of tar archives, plain or compressed, with a limit against decompression bombs."""

import bz2
import gzip
import io
import lzma
import os
import zlib
from collections.abc import Callable
from typing import Any, BinaryIO

_BLOCK = 1 << 20
#: Largest compression ratio; empty frames reach 390, bombs 1,000 and more.
_MAX_RATIO = 1000
_SMALL = 64 << 20

#: Openers by ending.
DECOMPRESSORS: dict[str, Callable[[BinaryIO], Any]] = {
    **dict.fromkeys((".tar.gz", ".tgz"), gzip.open),
    **dict.fromkeys((".tar.xz", ".txz"), lzma.open),
    **dict.fromkeys((".tar.bz2", ".tbz2"), bz2.open),
}


class TarError(Exception):
    """A damaged archive. The message follows its name in a sentence."""


class Stream:
    """The decompressed bytes of a file, read forwards.

    Raises `TarError` if the file is damaged, truncated, or a decompression bomb.
    """

    def __init__(self, file: BinaryIO, decompress: Callable[[BinaryIO], Any] | None = None) -> None:
        self.file = file
        self.position = 0
        self._most = max(_SMALL, _MAX_RATIO * os.fstat(file.fileno()).st_size)
        self._bytes: Any = io.BufferedReader(decompress(file), 1 << 18) if decompress else file

    def read(self, size: int) -> bytes:
        """Read ``size`` bytes, or fewer at the end."""
        try:
            data: bytes = self._bytes.read(size)
        except EOFError as error:
            raise TarError(f"is truncated after {self.file.tell():,} bytes") from error
        except (zlib.error, lzma.LZMAError, OSError, ValueError, MemoryError) as error:
            if isinstance(error, OSError) and error.errno:  # of the disk
                raise
            raise TarError(f"is damaged before byte {self.file.tell():,}, or has the wrong ending") from error
        self.position += len(data)
        if self.position > self._most:
            raise TarError(f"decompresses to more than {_MAX_RATIO:,} times its size, far more than a recording")
        return data

    def skip_to(self, position: int) -> None:
        """Skip forward, to the end at most."""
        if self._bytes is self.file:
            self.position = self.file.seek(min(position, os.fstat(self.file.fileno()).st_size))
            return
        while self.position < position and self.read(min(_BLOCK, position - self.position)):
            pass

    def finish(self) -> None:
        """Read to the end, to verify the checksum."""
        if self._bytes is not self.file:
            self.skip_to(1 << 62)
