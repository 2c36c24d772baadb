"""Archives of OpenPose's files, read in place: the folders and files of an archive, and the position of their bytes.

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

from skelemo.openpose import tar_members, zip_members
from skelemo.openpose.files import FACTS, NO_FACTS, Folder, VideoFacts, is_openpose, may_be_openpose, parse_facts
from skelemo.openpose.names import FrameNames, Group, stem_of
from skelemo.openpose.sniff import LOOK, Sniffer, VideoError, frames_of, kind_of, read_video
from skelemo.openpose.unpacking import PACKINGS, PlainStream, UnpackedStream
from skelemo.text import SIMULATED

ZIP = ".zip"
ENDINGS = (ZIP, ".tar", *PACKINGS)
#: Formats that may contain recordings but are not supported.
_FOREIGN = (".7z", ".rar", ".zst", ".tzst", ".lz4", ".json.xz", ".json.bz2")

#: Largest number of members; their list is held in memory.
MOST_MEMBERS = 5_000_000

#: Name, position, and a function that reads the first bytes.
_Member = tuple[str, Sequence[int], Callable[[], bytes]]

#: Position of a member's bytes: in the file, or in the decompressed archive if it is compressed as a whole.
IN_TAR = np.dtype([("start", "<i8"), ("size", "<u4")])
IN_ZIP = np.dtype([("start", "<i8"), ("size", "<u4"), ("packed", "<u4"), ("crc", "<u4"), ("method", "<u2")])
IN_VIDEO = np.dtype([("start", "<i8")])  # position among the frames
_MOST_SIZE = 2**32 - 1  # and anything larger


class ArchiveError(Exception):
    """An unreadable archive. The message continues a sentence that starts with its name."""


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
        return self.ending in PACKINGS

    def open(self) -> BinaryIO:
        """Open the file. Raises `OSError`: it cannot be opened, or has changed since it was listed."""
        file = open(self.path, "rb")  # noqa: SIM115 - handed on
        status = os.fstat(file.fileno())
        if (status.st_size, status.st_mtime_ns) != (self.size, self.changed):
            file.close()
            raise OSError(0, "has changed since it was listed", self.path)
        return file

    def stream(self) -> PlainStream | UnpackedStream:
        """Open a tar archive as a stream of decompressed bytes."""
        file = self.open()
        return UnpackedStream(file, PACKINGS[self.ending]) if self.sequential else PlainStream(file)


@dataclass(frozen=True)
class Contents:
    """The contents of an archive."""

    folders: tuple[Folder, ...]
    odd: int  # skipped members: links, devices, paths that lead out of it
    first_odd: str
    twice: int  # duplicate members; the last counts, as when extracting
    other_json: list[str]
    packed: list[str]  # nested archives


def is_archive(name: str) -> bool:
    """Whether a file name is that of a supported archive."""
    return bool(_ending(name))


def is_packed(name: str) -> bool:
    """Whether a file name is that of any archive, supported or not."""
    return is_archive(name) or name.lower().endswith(_FOREIGN)


def stem(name: str) -> str:
    """An archive's name without its ending, the name of its folder."""
    return name[: -len(_ending(name))]


def list_archive(path: str, place: str) -> Contents:
    """List the folders of an archive that contain OpenPose files.

    Raises `ArchiveError`: it cannot be read, is damaged, truncated or has several volumes, or has more than
    `MOST_MEMBERS` files.

    Parameters
    ----------
    path : of the archive, absolute.
    place : of its folder, relative to the ingest source; "" for the source itself.
    """
    try:
        status = os.stat(path)
        archive = Archive(path, status.st_size, status.st_mtime_ns)
        zipped = archive.ending == ZIP
        table = _Table(IN_ZIP if zipped else IN_TAR)
        for name, where, look in _zip_members(archive, table) if zipped else _tar_members(archive, table):
            table.add(name, where, look)
    except (tar_members.TarError, zip_members.ZipError) as error:
        raise ArchiveError(f"cannot be read: it {error}; fetch or pack it again") from error
    except OSError as error:
        raise ArchiveError(f"cannot be read: {error.strerror or error}") from error
    return table.contents(archive, place)


def list_video(path: str, place: str) -> Folder:
    """The frames of a whole video in one JSON file, as a folder.

    Raises `ArchiveError`: it cannot be read, is too large, or has no frames.
    """
    try:
        status = os.stat(path)
        numbers, _ = frames_of(read_video(path))
    except OSError as error:
        raise ArchiveError(f"cannot be read: {error.strerror or error}") from error
    except VideoError as error:
        raise ArchiveError(str(error)) from error
    name = os.path.basename(path)
    names = FrameNames(f"{name}#", numbers, "", width=0)
    places = np.arange(len(numbers)).astype(IN_VIDEO)
    archive = Archive(path, status.st_size, status.st_mtime_ns)
    return Folder(os.path.dirname(path), place, [name], archive, places, video=Group(stem_of(name), "", names))


def _ending(name: str) -> str:
    low = name.lower()
    return next((ending for ending in ENDINGS if low.endswith(ending)), "") if low.endswith(ENDINGS) else ""


def _zip_members(archive: Archive, table: "_Table") -> Iterator[_Member]:
    with archive.open() as file:
        for member in zip_members.read_members(file):
            sizes = (min(member.size, _MOST_SIZE), min(member.packed, _MOST_SIZE))
            if member.is_file:
                where = (member.start, *sizes, member.crc, member.method)
                yield member.name, where, partial(_look_into_zip, archive, where)
            else:
                table.pass_over(member.name)


def _tar_members(archive: Archive, table: "_Table") -> Iterator[_Member]:
    stream = archive.stream()
    with stream.file:
        for member in tar_members.read_members(stream):
            name = os.fsdecode(member.name)
            if member.is_file:
                yield name, (member.start, min(member.size, _MOST_SIZE)), partial(stream.read, min(member.size, LOOK))
            elif member.target and (first := table.find(os.fsdecode(member.target))):
                yield name, first, bytes
            else:
                table.pass_over(name)
        stream.finish()


def _look_into_zip(archive: Archive, where: Sequence[int]) -> bytes:
    with archive.open() as file:
        return zip_members.look(file, where[0], where[2], where[4], LOOK)


class _Table:
    """OpenPose's files in an archive, by folder and name."""

    def __init__(self, kind: np.dtype) -> None:
        self.kind = kind
        self.rows: dict[str, dict[str, int]] = {}  # folder -> name -> row
        self.marked: set[str] = set()  # folders with the marker of `skelemo synth`
        self.facts: dict[str, VideoFacts] = {}  # by folder
        self.columns = [array("q") for _ in kind.names or ()]
        self.odd = 0
        self.first_odd = ""
        self.twice = 0
        self.other_json: list[str] = []
        self.sniffer = Sniffer()
        self.packed: list[str] = []

    def add(self, path: str, where: Sequence[int], look: Callable[[], bytes]) -> None:
        """Add a file if it is one of OpenPose's, by name or by the content that ``look`` reads."""
        folder, _, name = path.rpartition("/")
        if name == FACTS:
            self.facts[_normal(folder)] = parse_facts(look())
            self._require_few()
            return
        doubtful = may_be_openpose(name) and not is_openpose(name) and name != SIMULATED
        if doubtful and not _is_hidden(_normal(folder), name):
            kind = self.sniffer.kind(path, lambda _: kind_of(look()))
            if kind != "frame":
                self.other_json.append(path)
                self._require_few()
                return
        elif not is_openpose(name):
            if is_packed(name) and not _is_hidden(_normal(folder), name):
                self.packed.append(path)
                self._require_few()
            self._mark(folder, name)
            return
        if path.startswith("/") or ".." in folder.split("/") or "\\" in path or "\0" in path:
            self.pass_over(path)
            return
        folder = _normal(folder)
        if _is_hidden(folder, name):
            return
        names = self.rows.setdefault(folder, {})
        self.twice += name in names
        names[name] = len(self.columns[0])
        for column, value in zip(self.columns, where, strict=True):
            column.append(value)
        self._require_few()

    def find(self, path: str) -> list[int] | None:
        """Position of a file listed before."""
        folder, _, name = path.rpartition("/")
        row = self.rows.get(_normal(folder), {}).get(name)
        return None if row is None else [column[row] for column in self.columns]

    def pass_over(self, path: str) -> None:
        """Count a member with the name of an OpenPose file that is no regular file, or leads out of the archive."""
        folder, _, name = path.rpartition("/")
        if is_openpose(name):
            self.odd += 1
            self.first_odd = self.first_odd or path
        else:
            self._mark(folder, name)

    def contents(self, archive: Archive, place: str) -> Contents:
        """The contents, by folder."""
        places = np.empty(len(self.columns[0]), self.kind)
        for field, column in zip(self.kind.names or (), self.columns, strict=True):
            places[field] = column
        top, simulated = self._top(place), self._simulated()
        folders = []
        for folder, names in self.rows.items():
            inside = folder[len(top) :].removeprefix("/")
            rows = np.fromiter(names.values(), np.int64, len(names))
            folders.append(
                Folder(
                    path=os.path.join(archive.path, folder) if folder else stem(archive.path),
                    place="/".join(filter(None, (place, inside))),
                    files=list(names),
                    archive=archive,
                    places=places[rows],
                    simulated=folder in simulated,
                    facts=self.facts.get(folder, NO_FACTS),
                )
            )
        return Contents(tuple(folders), self.odd, self.first_odd, self.twice, self.other_json, self.packed)

    def _mark(self, folder: str, name: str) -> None:
        if name == SIMULATED:
            self.marked.add(_normal(folder))
            self._require_few()

    def _require_few(self) -> None:
        if (
            len(self.columns[0]) + len(self.marked) + len(self.facts) + len(self.packed) + len(self.other_json)
            > MOST_MEMBERS
        ):
            raise ArchiveError(f"holds more than {MOST_MEMBERS:,} files: split it")

    def _simulated(self) -> set[str]:
        """Folders at or below a marker; sorted by path, they follow it."""
        found, mark = set(), None
        for path, folder in sorted((f"{folder}/" if folder else "", folder) for folder in {*self.rows, *self.marked}):
            if mark is None or not path.startswith(mark):
                mark = path if folder in self.marked else None
            if mark is not None:
                found.add(folder)
        return found

    def _top(self, place: str) -> str:
        """The top folder, if it has the archive's name and contains everything; it is not repeated in paths."""
        own = place.rpartition("/")[2]
        return own if own and all(folder.partition("/")[0] == own for folder in self.rows) else ""


def _is_hidden(folder: str, name: str) -> bool:
    """Whether a member is hidden, or macOS metadata."""
    return name.startswith(".") or folder.startswith((".", "__MACOSX")) or "/." in folder


def _normal(folder: str) -> str:
    """A path inside an archive without empty and ``.`` components."""
    if folder.startswith(".") or "//" in folder or "/." in folder:
        return "/".join(step for step in folder.split("/") if step not in ("", "."))
    return folder
