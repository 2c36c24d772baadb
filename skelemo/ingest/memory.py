"""How much memory an ingest may take, and how much of it is done at once for that."""

import re
from dataclasses import dataclass

from skelemo.errors import ConfigError

DEFAULT = 512 << 20

#: What a process takes before it has read anything, and to read a recording of usual length.
_BASE = 208 << 20
#: Bytes that are held at most for one of a shard's frames: in its sequence, in the shard's array, in the file's image.
_COPIES = 4
_UNITS = {"": 1, "K": 1 << 10, "M": 1 << 20, "G": 1 << 30, "T": 1 << 40}


@dataclass(frozen=True)
class Bounds:
    """What a process holds at most at a time; a single recording beyond it is held nevertheless.

    Parameters
    ----------
    shard : bytes of the sequences that go into one shard.
    unpacked : bytes of files that wait in memory because an archive can only be read from front to back.
    """

    shard: int
    unpacked: int


def bounds(memory: int) -> Bounds:
    """The bounds for a process that may take so many bytes.

    Raises
    ------
    ConfigError
        They are too few to do anything.
    """
    left = memory - _BASE
    if left < 16 << 20:
        raise ConfigError(
            f"memory of {memory >> 20} MB: a process that ingests takes {(_BASE >> 20) + 16} MB or more; "
            "give more, or use fewer --jobs"
        )
    return Bounds(shard=left // _COPIES, unpacked=left // 3)


def parse_size(text: str) -> int:
    """Bytes, from ``512MB``, ``1.5 GiB`` or ``2G``; units are powers of 1,024.

    Raises
    ------
    ConfigError
        It is no size.
    """
    found = re.fullmatch(r"\s*([0-9]{1,9}(?:\.[0-9]{1,9})?)\s*([KMGT]?)(?:I?B)?\s*", text, re.IGNORECASE | re.ASCII)
    if not found:
        raise ConfigError(f"size {text!r}: expected a number and a unit, as in 512MB or 2GB")
    return int(float(found[1]) * _UNITS[found[2].upper()])
