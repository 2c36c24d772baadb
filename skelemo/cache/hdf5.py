"""The subset of HDF5 that shards use: chunked data sets of fixed types, compressed with LZ4 and checksummed.

An untrusted file may contain links to other files, virtual and external data, sizes without storage, filters, and
variable-length heaps. No link is followed, and nothing is read before its type, layout and size in the file are
checked.
"""

import errno
import hashlib
import math
import os
import struct
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path
from typing import Any

import h5py
import hdf5plugin
import numpy as np

from skelemo.cache.chunk_reader import CHECKSUM_BYTES, MAX_COMPRESSION, Chunks
from skelemo.errors import NOT_OF_THE_FILE, CacheError, SkelemoError, UnreadableError

_BLOSC = hdf5plugin.Blosc(cname="lz4", clevel=5, shuffle=hdf5plugin.Blosc.SHUFFLE)
_FILTERS = (hdf5plugin.Blosc.filter_id, h5py.h5z.FILTER_FLETCHER32)
_MAX_ATTRIBUTE = 1 << 20
#: Largest decompressed chunk, and largest table, in bytes: a hundred times those of an ingest.
LARGEST = 1 << 27
_SIGNATURE = b"\x89HDF\r\n\x1a\n"
_SEAL = b"skelemo\n"
_TAIL = struct.Struct("<32sI8s")
_BLOCK = 1 << 20
_MISMATCH = "damaged: its bytes do not match the hash in the seal"
#: System errors that do not indicate damage of the file. A failing disk (EIO) does.
_NOT_DAMAGE = NOT_OF_THE_FILE | {errno.EACCES, errno.EPERM}


def reason(error: Exception, path: Path) -> str:
    """An error's message without the shard's path."""
    return str(error).removeprefix(f"{path}: ").removeprefix(f"{path} ")


def image(fill: Callable[[h5py.File], None]) -> bytes:
    """The bytes of an HDF5 file written by ``fill``, deterministic, with the seal that `require_sealed` checks.

    The file is created in memory, so that a full disk fails when writing bytes, not inside HDF5. Other programs ignore
    the seal at the end.
    """
    with h5py.File("image", "w", driver="core", backing_store=False, libver=("v110", "v110")) as file:
        fill(file)
        file.flush()
        return sealed(file.id.get_file_image(), _chunk_extents(file))


def sealed(content: bytes, excluded: Sequence[tuple[int, int]] = ()) -> bytes:
    """Append the seal: a SHA-256 of all bytes except the ``excluded`` ranges, ordered (start, end).

    The content is followed by these ranges, int64 pairs; the hash over the remaining content and the pairs; the number
    of pairs, uint32; and `_SEAL`. All numbers are little-endian.
    """
    ranges = np.array(excluded, "<i8").reshape(-1, 2)
    digest = hashlib.sha256()
    for start, end in _hashed_ranges(ranges, len(content)):
        digest.update(content[start:end])
    digest.update(ranges.tobytes())
    return content + ranges.tobytes() + _TAIL.pack(digest.digest(), len(ranges), _SEAL)


def require_sealed(path: Path) -> None:
    """Verify the bytes that HDF5 will interpret against the seal, so that HDF5 never parses damaged structures.

    The chunks of ``/frames`` are excluded: HDF5 does not read them, and they have their own checksums.

    Raises `CacheError`: the seal is missing or does not match.
    """
    with path.open("rb", buffering=0) as file:
        size = file.seek(0, os.SEEK_END)
        if os.pread(file.fileno(), len(_SIGNATURE), 0) != _SIGNATURE:
            raise CacheError("not an HDF5 file" if size else "empty")
        tail = os.pread(file.fileno(), _TAIL.size, max(size - _TAIL.size, 0))
        digest, pairs, seal = _TAIL.unpack(tail) if len(tail) == _TAIL.size else (b"", 0, b"")
        end = size - _TAIL.size - pairs * 16
        if seal != _SEAL or end < len(_SIGNATURE):
            raise CacheError("truncated, or changed by another program: the seal at its end is missing")
        stored = os.pread(file.fileno(), pairs * 16, end)
        ranges = np.frombuffer(stored, "<i8").reshape(-1, 2)
        if (np.diff(ranges.ravel(), prepend=0, append=end) < 0).any():
            raise CacheError(_MISMATCH)
        actual = hashlib.sha256()
        for first, last in _hashed_ranges(ranges, end):
            for start in range(first, last, _BLOCK):
                actual.update(os.pread(file.fileno(), min(_BLOCK, last - start), start))
        actual.update(stored)
        if actual.digest() != digest:
            raise CacheError(_MISMATCH)


def _hashed_ranges(excluded: np.ndarray, size: int) -> list[tuple[int, int]]:
    """The ranges of a file before, between and after the excluded ones."""
    edges = [0, *excluded.ravel().tolist(), size]
    return list(zip(edges[::2], edges[1::2], strict=True))


def _chunk_extents(file: h5py.File) -> list[tuple[int, int]]:
    """Byte ranges of the chunks of ``/frames``, adjacent ones joined."""
    stored: list[Any] = []

    def look(_: str, found: Any) -> None:
        if isinstance(found, h5py.Dataset):
            found.id.chunk_iter(stored.append)

    if "frames" in file:
        file["frames"].visititems(look)
    merged: list[tuple[int, int]] = []
    for start, size in sorted((chunk.byte_offset, chunk.size) for chunk in stored):
        if merged and merged[-1][1] == start:
            merged[-1] = merged[-1][0], start + size
        else:
            merged.append((start, start + size))
    return merged


def write_attribute(file: h5py.File, name: str, text: str) -> None:
    """Write fixed-length text as an attribute of the file."""
    data = text.encode()
    file.attrs.create(name, np.bytes_(data), dtype=h5py.string_dtype("utf-8", max(len(data), 1)))


def write_array(group: h5py.Group, name: str, data: np.ndarray, chunk_rows: int) -> None:
    """Write a data set in chunks of ``chunk_rows``. Raises `CacheError`: a table is too large for readers."""
    if data.dtype.names and data.nbytes > LARGEST:
        raise CacheError(f"/{name} has {data.nbytes:,} bytes, at most {LARGEST:,} are allowed: is a text very long?")
    chunks = (min(max(len(data), 1), chunk_rows), *data.shape[1:])
    growing = None if len(data) else (None, *data.shape[1:])  # otherwise HDF5 rejects a chunk larger than no rows
    group.create_dataset(name, data=data, chunks=chunks, maxshape=growing, fletcher32=True, **_BLOSC)


@dataclass(frozen=True)
class Group:
    """A group of an open file, with the file's path and size in bytes; the name ends with ``/``."""

    path: Path
    size: int
    id: Any
    name: str = "/"


@contextmanager
def opened(path: Path) -> Iterator[Group]:
    """Open a file for reading, without a lock, after checking its seal; yields the root. Raises as `reading`."""
    with reading(path):
        if not path.is_file():
            raise CacheError("not a file")
        require_sealed(path)
        with h5py.File(path, "r", locking=False) as file:
            yield Group(path, path.stat().st_size, file.id)


@contextmanager
def reading(path: Path) -> Iterator[None]:
    """Convert any error of reading a shard to a `CacheError` with its path, `UnreadableError` if it may be intact."""
    try:
        yield
    except UnreadableError as error:
        raise UnreadableError(f"{path}: {error}") from error
    except SkelemoError as error:
        raise CacheError(f"{path}: {error}") from error
    except (OSError, LookupError, RuntimeError, ValueError, TypeError, ArithmeticError, MemoryError) as error:
        reason = _one_line(error)
        if isinstance(error, MemoryError) or (isinstance(error, OSError) and error.errno in _NOT_DAMAGE):
            raise UnreadableError(f"{path}: cannot be opened ({reason}): fix that and try again") from error
        raise CacheError(f"{path}: cannot be read ({reason})") from error


def _one_line(error: Exception) -> str:
    line = str(error).splitlines()[0] if str(error) else type(error).__name__
    if isinstance(error, MemoryError):
        return os.strerror(errno.ENOMEM)
    if isinstance(error, OSError) and error.errno:
        return os.strerror(error.errno)
    return line


def read_attribute(file: Group, name: str, default: str | None = None) -> str:
    """Read an attribute written by `write_attribute`; the default if it is missing and optional."""
    key = name.encode()
    if not h5py.h5a.exists(file.id, key):
        if default is not None:
            return default
        raise CacheError(f"not a skelemo shard: attribute {name!r} is missing")
    found = h5py.h5a.open(file.id, key)
    kind, shape = found.dtype, found.shape
    if kind.kind != "S" or shape != () or kind.itemsize > _MAX_ATTRIBUTE:
        raise CacheError(f"not a skelemo shard: attribute {name!r} is {kind} of shape {shape}, not plain text")
    text = np.empty((), kind)
    found.read(text)
    return bytes(text[()]).decode()


def find_group(parent: Group, name: str) -> Group:
    """Open a subgroup; raises `CacheError` if it is missing or a link."""
    return Group(parent.path, parent.size, _child(parent, name, h5py.h5g.GroupID), f"{parent.name}{name}/")


def find_array(parent: Group, name: str, fits: Callable[[np.dtype, tuple[int, ...]], bool]) -> Chunks:
    """Locate a data set written by `write_array`, if its type and the shape after its first axis fit.

    Its size is bounded by that of the file, so it is safe to allocate.

    Raises `CacheError`: it is missing, a link, of another type or shape, or stored in another way.
    """
    data, path = _child(parent, name, h5py.h5d.DatasetID), parent.name + name
    plan = data.get_create_plist()
    if plan.get_layout() != h5py.h5d.CHUNKED:
        raise CacheError(f"{path} is not stored in chunks in this file")
    found = tuple(plan.get_filter(index)[0] for index in range(plan.get_nfilters()))
    if found != _FILTERS:
        raise CacheError(f"{path} has the filters {found}; a shard has {_FILTERS} (Blosc, Fletcher32)")
    kind, shape, chunk = _to_numpy(data.get_type().encode()), data.shape, plan.get_chunk()
    if not shape or chunk[1:] != shape[1:] or not fits(kind, shape[1:]):
        raise CacheError(f"{path} is {str(kind)[:80]} of shape {shape}, which does not fit the layout and heads")
    extents = _locate_chunks(data, shape[0], kind, chunk, parent.size, path)
    return Chunks(parent.path, path, kind, shape, chunk[0], extents)


@lru_cache(256)
def _to_numpy(encoded: bytes) -> np.dtype:
    """Decode a type of HDF5; cached, because it takes as long as the rest of a table, and most shards share it."""
    kind: np.dtype = h5py.h5t.decode(encoded).dtype
    return kind


def _child(parent: Group, name: str, kind: type) -> Any:
    """Open an object of this file by name; soft and external links are not followed."""
    key, links = name.encode(), parent.id.links
    if not links.exists(key) or links.get_info(key).type != h5py.h5l.TYPE_HARD:
        raise CacheError(f"{parent.name}{name} is missing or a link")
    found = h5py.h5o.open(parent.id, key)
    if not isinstance(found, kind):
        raise CacheError(f"{parent.name}{name} is not a {'group' if kind is h5py.h5g.GroupID else 'plain data set'}")
    return found


def _locate_chunks(data: Any, rows: int, kind: np.dtype, chunk: tuple[int, ...], size: int, path: str) -> np.ndarray:
    """Locate the chunks of ``rows`` rows, see `Chunks`, all within the ``size`` bytes of the file."""
    expected, plain = -(-rows // chunk[0]), math.prod(chunk) * kind.itemsize
    whole = rows * kind.itemsize if kind.names else plain
    if max(whole, plain) > LARGEST:
        raise CacheError(
            f"{path} has {max(whole, plain):,} bytes in one chunk or table; at most {LARGEST:,} are allowed"
        )
    fits = expected * CHECKSUM_BYTES < size and expected * plain <= size * MAX_COMPRESSION
    if not fits or data.get_num_chunks() != expected:
        raise CacheError(f"{path} claims {rows} rows, which the file does not contain")
    stored: list[Any] = []
    data.chunk_iter(stored.append)
    stored.sort(key=lambda info: info.chunk_offset[0])
    if [info.chunk_offset[0] for info in stored] != [index * chunk[0] for index in range(expected)]:
        raise CacheError(f"{path} has misplaced chunks")
    if sum(info.size for info in stored) > size or any(info.byte_offset + info.size > size for info in stored):
        raise CacheError(f"{path} has chunks that overlap or exceed the file")
    extents = [(info.byte_offset, info.size, info.filter_mask) for info in stored]
    return np.array(extents, np.int64).reshape(-1, 3)
