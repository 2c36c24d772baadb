"""Reads the bytes of a recording's files from a folder or an archive."""

import errno
from collections.abc import Iterator, Sequence
from contextlib import closing, contextmanager
from typing import BinaryIO

import numpy as np

from skelemo.openpose.archive import ZIP, Archive
from skelemo.openpose.files import MAX_BYTES, Contents, in_folder
from skelemo.openpose.recording import Recording
from skelemo.openpose.sniff import VideoError, frames_of, read_video
from skelemo.openpose.unpacking import Stream, TarError
from skelemo.openpose.zip_members import DEFLATED, Position, ZipError, unpack

#: Largest compression ratio of members beyond a megabyte; OpenPose's JSON compresses to a quarter.
_MAX_RATIO = 200
_SMALL = 1 << 20


@contextmanager
def opened(recording: Recording) -> Iterator[Contents]:
    """Open one recording."""
    with closing(Reader()) as reader:
        reader.expect([recording])
        yield reader.contents(recording)


class Reader:
    """Reads one recording after another; recordings in one archive share an open file.

    An archive that is compressed as a whole is read sequentially, in a single pass if recordings are announced together
    or in the order of the archive.
    """

    def __init__(self) -> None:
        self._archive: Archive | None = None
        self._file: BinaryIO | None = None
        self._spool: _Spool | None = None
        self._expected: dict[str, list[Recording]] = {}

    def expect(self, recordings: Sequence[Recording]) -> None:
        """Announce the recordings to read next, in `archive_order`."""
        self._expected = {}
        for recording in recordings:
            self._expected.setdefault(recording.sequential_archive, []).append(recording)

    def contents(self, recording: Recording) -> Contents:
        """The contents of an announced recording, valid until the next call.

        Raises `OSError`: its archive cannot be opened, or has changed.
        """
        archive, positions = recording.archive, recording.positions
        if archive is None or positions is None:
            return in_folder(recording.folder, recording.files)
        if self._archive != archive:
            self.close()
            self._archive = archive
        if archive.sequential:
            self._spool = self._spool or _Spool(archive)
            files = self._spool.take(recording, self._expected.get(archive.path, [recording]))
            return _from_spool(files, positions, archive)
        if not archive.ending:
            return _from_video(archive, positions)
        self._file = self._file or archive.open()
        return (_from_zip if archive.ending == ZIP else _from_tar)(self._file, positions, archive)

    def close(self) -> None:
        """Close the archive."""
        for opened_ in (self._file, self._spool):
            if opened_ is not None:
                opened_.close()
        self._file = self._spool = self._archive = None


def archive_order(recordings: Sequence[Recording]) -> list[int]:
    """Indices of recordings in the order to read: those in a compressed archive by their ends, after its first one."""
    first: dict[str, int] = {}
    order = []
    for index, recording in enumerate(recordings):
        archive, positions = recording.sequential_archive, recording.positions
        if archive and positions is not None:
            order.append((first.setdefault(archive, index), int(positions["start"].max()), index))
        else:
            order.append((index, 0, index))
    return [index for _, _, index in sorted(order)]


class _Spool:
    """Reads the announced recordings of one compressed archive at once, in its order."""

    def __init__(self, archive: Archive) -> None:
        self._archive = archive
        self._stream: Stream | None = None
        self._announced: Sequence[Recording] = ()
        self._files: dict[int, list[bytes]] = {}  # by id of the announced recording

    def take(self, recording: Recording, announced: Sequence[Recording]) -> list[bytes]:
        """The files of one recording, removed from the buffer; reads those of all announced ones if necessary."""
        if announced is not self._announced or id(recording) not in self._files:
            self._announced = announced
            self._files = {id(one): [b""] * len(one.files) for one in announced}
            members = [
                (start, size, id(one), file)
                for one in announced
                if one.positions is not None
                for file, (start, size) in enumerate(one.positions.tolist())
            ]
            last, data = -1, b""
            for start, size, owner, file in sorted(members):
                last, data = start, data if start == last else self._read(start, size)
                self._files[owner][file] = data
        return self._files.pop(id(recording))

    def close(self) -> None:
        """Close the archive."""
        if self._stream:
            self._stream.file.close()

    def _read(self, start: int, size: int) -> bytes:
        if size > MAX_BYTES:
            return b""
        if self._stream is None or self._stream.position > start:
            self.close()
            self._stream = self._archive.stream()
        try:
            self._stream.skip_to(start)
            return self._stream.read(size)
        except TarError as error:
            raise OSError(errno.EIO, str(error), self._archive.path) from error


def _from_spool(files: list[bytes], positions: np.ndarray, archive: Archive) -> Contents:
    sizes = positions["size"].tolist()

    def read(index: int) -> tuple[bytes, int]:
        _require_small(sizes[index])
        data, files[index] = files[index], b""
        return _complete(data, sizes[index]), archive.changed

    return read


def _from_tar(file: BinaryIO, positions: np.ndarray, archive: Archive) -> Contents:
    starts, sizes = positions["start"].tolist(), positions["size"].tolist()

    def read(index: int) -> tuple[bytes, int]:
        _require_small(sizes[index])
        file.seek(starts[index])
        return _complete(file.read(sizes[index]), sizes[index]), archive.changed

    return read


def _from_zip(file: BinaryIO, positions: np.ndarray, archive: Archive) -> Contents:
    rows = positions.tolist()

    def read(index: int) -> tuple[bytes, int]:
        _, size, packed, *_ = position = Position(*rows[index])
        _require_small(max(size, packed))
        if position.method == DEFLATED and size > max(_SMALL, packed * _MAX_RATIO):
            raise OSError(
                errno.EFBIG, f"decompresses to {size // max(packed, 1):,} times its size, far more than a frame"
            )
        try:
            return unpack(file, position), archive.changed
        except ZipError as error:
            raise OSError(errno.EINVAL, str(error)) from error

    return read


def _from_video(archive: Archive, positions: np.ndarray) -> Contents:
    archive.open().close()  # checks that it has not changed
    try:
        _, frames = frames_of(read_video(archive.path))
    except VideoError as error:
        raise OSError(errno.EINVAL, str(error), archive.path) from error
    rows = positions["start"].tolist()
    return lambda index: (frames[rows[index]], archive.changed)


def _require_small(size: int) -> None:
    if size > MAX_BYTES:
        raise OSError(errno.EFBIG, f"has {size:,} bytes, far more than a frame")


def _complete(data: bytes, size: int) -> bytes:
    if len(data) < size:
        raise OSError(errno.EINVAL, f"has {len(data):,} of its {size:,} bytes")
    return data
