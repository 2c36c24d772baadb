"""Zip archives as a row of members: the central directory read as it is, whatever a hostile one may say.

PKWARE's APPNOTE 6.3.9: sections 4.3.7 (local header), 4.3.12 (central directory), 4.3.14 to 4.3.16 (its end), 4.5.3
(sizes of 64 bits). Members are stored or deflated; anything else is a fault of that member's.
"""

import os
import struct
import zlib
from collections.abc import Iterator
from typing import BinaryIO, NamedTuple

# signature, versions, flags, method, time, date, crc, packed, size, lengths of name, extra, comment, disk, attributes
_ENTRY = struct.Struct("<4s4xHH4xIIIHHHHHII")
_LOCAL = struct.Struct("<4s22xHH")
_END = struct.Struct("<4sHHHHIIH")
_END_64 = struct.Struct("<4sQ2x2xIIQQQQ")
_LOCATOR = struct.Struct("<4sIQI")
_LONGEST_COMMENT = 65_535
_FULL_16, _FULL_32 = 0xFFFF, 0xFFFFFFFF

_ENCRYPTED, _UTF8 = 0x1, 0x800
STORED, DEFLATED = 0, 8
#: In `Member.method` for what is encrypted.
LOCKED = 0xFFFF


class ZipError(Exception):
    """What is wrong with an archive or a member, in words that go on from its name."""


class Member(NamedTuple):
    """A member, as the central directory has it."""

    name: str
    start: int  # of its local header in the file
    packed: int
    size: int
    crc: int
    method: int
    is_file: bool


def read_members(file: BinaryIO) -> Iterator[Member]:
    """The members in the order of the central directory.

    Raises
    ------
    ZipError
        It is no zip archive, is damaged or cut off, or one of several volumes.
    """
    start, size, count, shift = _find_directory(file)
    file.seek(start)
    found = 0
    reader = _Directory(file, size)
    while entry := reader.take(_ENTRY.size):
        if len(entry) < _ENTRY.size or not entry.startswith(b"PK\1\2"):
            raise ZipError("is damaged in its list of members")
        _, flags, method, crc, packed, full, name_length, extra_length, comment, _, _, mode, local = _ENTRY.unpack(
            entry
        )
        text = reader.take(name_length + extra_length + comment)
        if len(text) < name_length + extra_length + comment:
            raise ZipError("is damaged in its list of members")
        name, extra = text[:name_length], text[name_length : name_length + extra_length]
        full, packed, local = _wide(extra, full, packed, local)
        unix = mode >> 28
        found += 1
        yield Member(
            _decoded(name, flags),
            local + shift,
            packed,
            full,
            crc,
            LOCKED if flags & _ENCRYPTED else method,
            is_file=not name.endswith(b"/") and unix in (0, 8),  # S_IFREG; anything else is a link or a device
        )
    if found & _FULL_16 != count & _FULL_16:
        raise ZipError(f"lists {found:,} members and says it has {count:,}")


def unpack(file: BinaryIO, start: int, packed: int, size: int, crc: int, method: int) -> bytes:
    """A member's bytes.

    Raises
    ------
    ZipError
        They are not what the central directory says, encrypted, or packed by a method that skelemo does not read.
    """
    if method == LOCKED:
        raise ZipError("is encrypted")
    if method not in (STORED, DEFLATED):
        raise ZipError(f"is packed by method {method}; skelemo reads 0 (stored) and 8 (deflate)")
    file.seek(start)
    header = file.read(_LOCAL.size)
    if len(header) < _LOCAL.size or not header.startswith(b"PK\3\4"):
        raise ZipError("is not where the archive's list has it")
    _, name_length, extra_length = _LOCAL.unpack(header)
    file.seek(name_length + extra_length, os.SEEK_CUR)
    data = file.read(packed)
    if method == DEFLATED:
        try:
            data = zlib.decompressobj(-zlib.MAX_WBITS).decompress(data, size + 1)
        except zlib.error:
            raise ZipError("is damaged: it cannot be unpacked") from None
    if len(data) != size or zlib.crc32(data) != crc:
        raise ZipError("is damaged: its checksum does not match")
    return data


def look(file: BinaryIO, start: int, packed: int, method: int, most: int) -> bytes:
    """A member's first bytes; none where it cannot be read."""
    file.seek(start)
    header = file.read(_LOCAL.size)
    if len(header) < _LOCAL.size:
        return b""
    _, name_length, extra_length = _LOCAL.unpack(header)
    file.seek(name_length + extra_length, os.SEEK_CUR)
    data = file.read(min(packed, most))
    if method != DEFLATED:
        return data if method == STORED else b""
    try:
        return zlib.decompressobj(-zlib.MAX_WBITS).decompress(data, most)
    except zlib.error:
        return b""


class _Directory:
    """The central directory, piece by piece."""

    def __init__(self, file: BinaryIO, size: int) -> None:
        self._file, self._left = file, size
        self._buffer, self._place = b"", 0

    def take(self, size: int) -> bytes:
        """The next bytes; fewer at its end."""
        if len(self._buffer) - self._place < size:
            more = self._file.read(min(self._left, max(size, 1 << 20)))
            self._left -= len(more)
            self._buffer, self._place = self._buffer[self._place :] + more, 0
        taken = self._buffer[self._place : self._place + size]
        self._place += len(taken)
        return taken


def _find_directory(file: BinaryIO) -> tuple[int, int, int, int]:
    """Where the central directory begins, its bytes, its members' count, and what precedes the archive in the file."""
    length = file.seek(0, os.SEEK_END)
    tail_start = max(length - _END.size - _LONGEST_COMMENT, 0)
    file.seek(tail_start)
    tail = file.read()
    place = tail.rfind(b"PK\5\6")
    if place < 0 or len(tail) - place < _END.size:
        raise ZipError("is cut off, or no zip archive: it has no list of its members at its end")
    _, disk, first_disk, _, count, size, start, _ = _END.unpack_from(tail, place)
    end = tail_start + place
    if _FULL_16 in (disk, count) or _FULL_32 in (size, start):
        disk, first_disk, count, size, start, end = _wide_end(file, end) or (disk, first_disk, count, size, start, end)
    shift = end - size - start
    if disk or first_disk:
        raise ZipError("is one of several volumes, which have to be joined")
    if shift < 0 or size > end:
        raise ZipError("is damaged: its list of members is not in the file")
    return start + shift, size, count, shift


def _wide_end(file: BinaryIO, end: int) -> tuple[int, int, int, int, int, int] | None:
    if end < _LOCATOR.size:
        return None
    file.seek(end - _LOCATOR.size)
    signature, _, _, _ = _LOCATOR.unpack(file.read(_LOCATOR.size))
    place = end - _LOCATOR.size - _END_64.size
    if signature != b"PK\6\7" or place < 0:
        return None
    file.seek(place)
    record = file.read(_END_64.size)
    if not record.startswith(b"PK\6\6"):
        return None
    _, _, disk, first_disk, _, count, size, start = _END_64.unpack(record)
    return disk, first_disk, count, size, start, place


def _wide(extra: bytes, *numbers: int) -> list[int]:
    """Size, packed size and start, those that do not fit 32 bits from the extra field that has them."""
    wanted = list(numbers)
    while len(extra) >= 4:
        kind, length = struct.unpack_from("<HH", extra)
        if kind == 1:
            values = struct.unpack_from(f"<{min(length, len(extra) - 4) // 8}Q", extra, 4)
            remaining = iter(values)
            return [next(remaining, number) if number == _FULL_32 else number for number in wanted]
        extra = extra[4 + length :]
    return wanted


def _decoded(name: bytes, flags: int) -> str:
    """The text of a name: UTF-8 where it is or says so, else MS-DOS's code page. Some programs write its slashes."""
    try:
        text = name.decode()
    except UnicodeDecodeError:
        text = name.decode("utf-8", "replace") if flags & _UTF8 else name.decode("cp437")
    return text if "/" in text else text.replace("\\", "/")
