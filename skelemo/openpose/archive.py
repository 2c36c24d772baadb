"""Lists archives of OpenPose's files: folders, files, and the positions of their bytes.

An archive acts as a folder of its name; nothing is extracted to disk. Archives are untrusted: their metadata is
validated. A whole video in one JSON file is an archive of its frames.
"""

import os
from array import array
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from functools import partial
from typing import BinaryIO

import numpy as np

from skelemo.errors import os_reason
from skelemo.openpose import tar_members, zip_members
from skelemo.openpose.files import INFO_FILE, NO_INFO, Folder, VideoInfo, is_openpose, may_be_openpose, parse_info
from skelemo.openpose.names import FrameNames, Group, stem_of
from skelemo.openpose.sniff import HEAD_BYTES, Sniffer, VideoError, content_kind, frames_of, read_video
from skelemo.openpose.unpacking import DECOMPRESSORS, Stream, TarError
from skelemo.text import SIMULATED

ZIP = ".zip"
ENDINGS = (ZIP, ".tar", *DECOMPRESSORS)
#: Formats that may contain recordings but are not supported.
_FOREIGN = (".7z", ".rar", ".zst", ".tzst", ".lz4", ".json.xz", ".json.bz2")

#: Largest number of members; their list is held in memory.
MAX_MEMBERS = 5_000_000

#: Name, position, and a function that reads the first bytes.
_Member = tuple[str, Sequence[int], Callable[[], bytes]]

#: Position of a member's bytes, in the file, or in the decompressed archive if it is compressed as a whole.
IN_TAR = np.dtype([("start", "<i8"), ("size", "<u4")])
IN_ZIP = np.dtype(
    [("start", "<i8"), ("size", "<u4"), ("packed", "<u4"), ("crc", "<u4"), ("method", "<u2"), ("name", "<u4")]
)
IN_VIDEO = np.dtype([("start", "<i8")])  # index of the frame
_MAX_SIZE = 2**32 - 1  # stands for anything larger


class ArchiveError(Exception):
    """An unreadable archive. The message follows its name in a sentence."""


@dataclass(frozen=True)
class Archive:
    """An archive, with its state when it was listed."""

    path: str  # absolute
    size: int
    changed: int  # nanoseconds

    @property
    def ending(self) -> str:
        """Its ending, one of `ENDINGS`."""
        return _ending(self.path)

    @property
    def sequential(self) -> bool:
        """Whether it is compressed as a whole and can only be read sequentially."""
        return self.ending in DECOMPRESSORS

    def open(self) -> BinaryIO:
        """Open the file. Raises `OSError`: it cannot be opened, or has changed since it was listed."""
        file = open(self.path, "rb")  # noqa: SIM115 - returned
        status = os.fstat(file.fileno())
        if (status.st_size, status.st_mtime_ns) != (self.size, self.changed):
            file.close()
            raise OSError(0, "has changed since it was listed", self.path)
        return file

    def stream(self) -> Stream:
        """Open a tar archive as a stream of decompressed bytes."""
        return Stream(self.open(), DECOMPRESSORS.get(self.ending))


def is_archive(name: str) -> bool:
    """Whether a file name is that of a supported archive."""
    return bool(_ending(name))


def is_any_archive(name: str) -> bool:
    """Whether a file name is that of an archive, supported or not."""
    return is_archive(name) or name.lower().endswith(_FOREIGN)


def stem(name: str) -> str:
    """An archive's name without its ending."""
    return name[: -len(_ending(name))]


def list_archive(path: str, subfolder: str) -> "Contents":
    """List the folders of an archive that contain OpenPose files.

    Raises `ArchiveError`: it cannot be read, is damaged, truncated, one of several volumes, or has more than
    `MAX_MEMBERS` files.

    Parameters
    ----------
    path : of the archive, absolute.
    subfolder : that the archive acts as, relative to the ingest source; "" for the source itself.
    """
    try:
        status = os.stat(path)
        contents = Contents(Archive(path, status.st_size, status.st_mtime_ns), subfolder)
        members = _zip_members if contents.archive.ending == ZIP else _tar_members
        for name, position, head in members(contents):
            contents.add(name, position, head)
            listed = (contents.columns[0], contents.info, contents.nested, contents.other_json)
            if sum(map(len, listed)) > MAX_MEMBERS:
                raise ArchiveError(f"has more than {MAX_MEMBERS:,} files: split it")
    except (TarError, zip_members.ZipError) as error:
        raise ArchiveError(f"cannot be read: it {error}; download or create it again") from error
    except OSError as error:
        raise ArchiveError(f"cannot be read: {os_reason(error)}") from error
    return contents


def list_video(path: str, subfolder: str) -> Folder:
    """The frames of a whole video in one JSON file, as a folder.

    Raises `ArchiveError`: it cannot be read, is too large, or has no frames.
    """
    try:
        status = os.stat(path)
        numbers, _ = frames_of(read_video(path))
    except OSError as error:
        raise ArchiveError(f"cannot be read: {os_reason(error)}") from error
    except VideoError as error:
        raise ArchiveError(str(error)) from error
    name = os.path.basename(path)
    names = FrameNames(f"{name}#", numbers, "", width=0)
    video = Group(stem_of(name), "", names, positions=np.arange(len(numbers)).astype(IN_VIDEO))
    archive = Archive(path, status.st_size, status.st_mtime_ns)
    return Folder(os.path.dirname(path), subfolder, [name], archive, video=video)


def _ending(name: str) -> str:
    return next((ending for ending in ENDINGS if name.lower().endswith(ending)), "")


def _zip_members(contents: "Contents") -> Iterator[_Member]:
    with contents.archive.open() as file:
        for name, position in zip_members.read_members(file):
            if position:
                yield name, position, partial(_zip_head, contents.archive, position)
            else:
                contents.skip(name)


def _tar_members(contents: "Contents") -> Iterator[_Member]:
    stream = contents.archive.stream()
    with stream.file:
        for member in tar_members.read_members(stream):
            name = os.fsdecode(member.name)
            if member.is_file:
                head = partial(stream.read, min(member.size, HEAD_BYTES))
                yield name, (member.start, min(member.size, _MAX_SIZE)), head
            else:
                contents.skip(name)
        stream.finish()


def _zip_head(archive: Archive, position: zip_members.Position) -> bytes:
    with archive.open() as file:
        return zip_members.head(file, position, HEAD_BYTES)


class Contents:
    """The contents of an archive: OpenPose's files by folder and name, and what is left out."""

    def __init__(self, archive: Archive, subfolder: str) -> None:
        self.archive, self.subfolder = archive, subfolder
        self.dtype = IN_ZIP if archive.ending == ZIP else IN_TAR
        self.rows: dict[str, dict[str, int]] = {}  # folder -> name -> row
        self.simulated = False  # whether it contains the marker of `skelemo synth`
        self.info: dict[str, VideoInfo] = {}  # by folder
        self.columns = [array("q") for _ in self.dtype.names or ()]
        self.duplicates = 0  # the last member of a name counts, as when extracting
        self.skipped = 0  # links, devices, paths outside the archive
        self.first_skipped = ""
        self.other_json: list[str] = []
        self.nested: list[str] = []
        self.sniffer = Sniffer()

    def add(self, path: str, position: Sequence[int], head: Callable[[], bytes]) -> None:
        """Add a file if it is one of OpenPose's by its name, or by its first bytes, which ``head`` reads."""
        parent, _, name = path.rpartition("/")
        folder = "/".join(step for step in parent.split("/") if step not in ("", "."))
        if name == INFO_FILE:
            self.info[folder] = parse_info(head())
            return
        hidden = name.startswith(".") or folder.startswith((".", "__MACOSX")) or "/." in folder
        if may_be_openpose(name) and not is_openpose(name) and name != SIMULATED and not hidden:
            if self.sniffer.kind(path, lambda _: content_kind(head())) != "frame":
                self.other_json.append(path)
                return
        elif not is_openpose(name):
            if is_any_archive(name) and not hidden:
                self.nested.append(path)
            self.simulated |= name == SIMULATED
            return
        if path.startswith("/") or ".." in parent.split("/") or "\\" in path or "\0" in path:
            self.skip(path)
        elif not hidden:
            names = self.rows.setdefault(folder, {})
            self.duplicates += name in names
            names[name] = len(self.columns[0])
            for column, value in zip(self.columns, position, strict=True):
                column.append(value)

    def skip(self, path: str) -> None:
        """Count a member named like an OpenPose file that is not a regular file, or whose path leaves the archive."""
        name = path.rpartition("/")[2]
        self.simulated |= name == SIMULATED
        if is_openpose(name):
            self.skipped += 1
            self.first_skipped = self.first_skipped or path

    def folders(self) -> Iterator[Folder]:
        """The folders that contain OpenPose files."""
        positions = np.empty(len(self.columns[0]), self.dtype)
        for field, column in zip(self.dtype.names or (), self.columns, strict=True):
            positions[field] = column
        top = self._top()
        for folder, names in self.rows.items():
            relative = folder[len(top) :].removeprefix("/")
            yield Folder(
                path=os.path.join(self.archive.path, folder) if folder else stem(self.archive.path),
                subfolder="/".join(filter(None, (self.subfolder, relative))),
                files=list(names),
                archive=self.archive,
                positions=positions[np.fromiter(names.values(), np.int64, len(names))],
                simulated=self.simulated,
                info=self.info.get(folder, NO_INFO),
            )

    def _top(self) -> str:
        """The top folder if it has the archive's name and contains everything; paths omit it."""
        own = self.subfolder.rpartition("/")[2]
        return own if own and all(folder.partition("/")[0] == own for folder in self.rows) else ""
