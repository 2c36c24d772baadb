"""Finds the folders and archives of a source that contain OpenPose files."""

import os
import re
from collections.abc import Iterator
from dataclasses import dataclass, field, replace
from pathlib import Path

from skelemo.errors import InputError, os_reason
from skelemo.openpose.archive import ArchiveError, is_any_archive, is_archive, list_archive, list_video, stem
from skelemo.openpose.files import (
    INFO_FILE,
    NO_INFO,
    Folder,
    Problem,
    VideoInfo,
    is_openpose,
    is_video,
    may_be_openpose,
    read_info,
)
from skelemo.openpose.names import printable
from skelemo.openpose.sniff import Sniffer, file_kind
from skelemo.text import SIMULATED, count

_LOST_AND_FOUND = "lost+found"  # at the root of a file system; only root may list it

#: Files per folder with OpenPose's names but no frame number that are checked for being a whole video.
_SAMPLES = 20
_NUMBERED = re.compile("[0-9]{12}_keypoints")


class Walk:
    """Iterates once over the folders at or below a source that contain OpenPose files; attributes are valid afterwards.

    An archive, including the source itself, acts as a folder of its name. Hidden entries (``.git``, macOS's ``._name``)
    are skipped, as by OpenPose. The source is untrusted, so nothing outside it is read: links to folders are not
    followed, and links to files only within the source.
    """

    def __init__(self, source: Path) -> None:
        self.source = os.path.abspath(source)
        self.folders = 0
        self.other_json: list[str] = []  # JSON of other programs
        self.outside_links: list[str] = []  # links to files and folders outside the source
        self.archives: list[str] = []  # nested or of an unsupported format
        self.videos: list[str] = []  # video files
        self.problems: list[Problem] = []  # unreadable folders and archives
        self.notes: list[str] = []  # on archives

    def __iter__(self) -> Iterator[Folder]:
        if os.path.isfile(self.source):
            yield from self._archive(self.source, "", simulated=False)
            return
        pending = [(self.source, "", False)]
        while pending:
            path, subfolder, simulated = pending.pop()
            self.folders += 1
            try:
                listed = self._list(path)
            except OSError as error:
                if not subfolder:
                    raise InputError(f"{path}: cannot be listed: {os_reason(error)}") from error
                self.problems.append(Problem(printable(subfolder), f"cannot be listed: {os_reason(error)}"))
                continue
            simulated |= listed.marked
            pending += [(os.path.join(path, name), _below(subfolder, name), simulated) for name in listed.folders]
            files, videos = self._by_content(path, listed)
            if files:
                yield Folder(path, subfolder, files, simulated=simulated, info=listed.info)
            for name in videos:
                yield from self.video(os.path.join(path, name), subfolder, simulated=simulated)
            for name in sorted(listed.archives):
                yield from self._archive(os.path.join(path, name), _below(subfolder, name), simulated=simulated)

    def video(self, path: str, subfolder: str, *, simulated: bool = False) -> Iterator[Folder]:
        """The frames of a whole video in one JSON file, as a folder."""
        try:
            yield replace(list_video(path, subfolder), simulated=simulated)
        except ArchiveError as error:
            self.problems.append(Problem(printable(_below(subfolder, os.path.basename(path))), str(error)))

    def _by_content(self, path: str, listed: "_Listed") -> tuple[list[str], list[str]]:
        """Split files into single frames and whole videos, by content."""
        files: list[str] = []
        videos: list[str] = []
        sniffer = Sniffer()

        def kind(name: str) -> str:
            return file_kind(os.path.join(path, name))

        samples = list({len(name): name for name in listed.files}.values())[:_SAMPLES]  # of different lengths
        if any(sniffer.kind(name, kind, "frame") == "video" for name in samples if not _NUMBERED.search(name)):
            for name in listed.files:
                (videos if sniffer.kind(name, str, "frame") == "video" else files).append(name)
        else:
            files = listed.files
        for name in sorted(listed.other_json):
            if found := sniffer.kind(name, kind):
                (videos if found == "video" else files).append(name)
            else:
                self.other_json.append(os.path.join(path, name))
        return files, videos

    def _archive(self, path: str, subfolder: str, *, simulated: bool) -> Iterator[Folder]:
        """The folders of an archive."""
        self.folders += 1
        try:
            contents = list_archive(path, stem(subfolder))
        except ArchiveError as error:
            self.problems.append(Problem(printable(subfolder or os.path.basename(path)), str(error)))
            return
        self.other_json += (os.path.join(path, name) for name in contents.other_json)
        self.archives += (os.path.join(path, name) for name in contents.nested)
        if contents.skipped:
            skipped = count(
                contents.skipped,
                "link, device or path outside the archive",
                "links, devices or paths outside the archive",
            )
            self.notes.append(f"{path}: skipped {skipped} (first {printable(contents.first_skipped)!r})")
        if contents.duplicates:
            duplicates = count(contents.duplicates, "duplicate file")
            self.notes.append(f"{path}: {duplicates}; the last of each name is used")
        yield from (replace(folder, simulated=folder.simulated or simulated) for folder in contents.folders())

    def _list(self, path: str) -> "_Listed":
        found = _Listed()
        with os.scandir(path) as entries:
            for entry in entries:
                name = entry.name
                if name.startswith(".") or name == _LOST_AND_FOUND:
                    continue
                if is_openpose(name) and entry.is_file(follow_symlinks=False):
                    found.files.append(name)
                elif entry.is_dir(follow_symlinks=False):
                    found.folders.append(name)
                elif name == SIMULATED:
                    found.marked = True
                elif name == INFO_FILE:
                    found.info = read_info(entry.path) if entry.is_file(follow_symlinks=False) else NO_INFO
                elif entry.is_file(follow_symlinks=False) or (entry.is_symlink() and self._may_follow(entry)):
                    if is_openpose(name):
                        found.files.append(name)
                    elif is_archive(name):
                        found.archives.append(name)
                    elif may_be_openpose(name):
                        found.other_json.append(name)
                    elif is_any_archive(name):
                        self.archives.append(entry.path)
                    elif is_video(name):
                        self.videos.append(entry.path)
        return found

    def _may_follow(self, link: os.DirEntry[str]) -> bool:
        """Whether a link points to a file within the source; other links are recorded."""
        target = os.path.realpath(link.path)
        if os.path.join(target, "").startswith(os.path.join(os.path.realpath(self.source), "")):
            return os.path.isfile(target)
        if may_be_openpose(link.name) or is_archive(link.name) or os.path.isdir(target):
            self.outside_links.append(link.path)
        return False


@dataclass
class _Listed:
    """Entries of a folder."""

    files: list[str] = field(default_factory=list)  # with OpenPose's names
    other_json: list[str] = field(default_factory=list)  # with other names
    folders: list[str] = field(default_factory=list)
    archives: list[str] = field(default_factory=list)
    marked: bool = False  # with the marker of `skelemo synth`
    info: VideoInfo = NO_INFO


def _below(subfolder: str, name: str) -> str:
    return f"{subfolder}/{name}" if subfolder else name
