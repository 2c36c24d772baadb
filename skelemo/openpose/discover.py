"""Finds the folders and archives of a source that contain OpenPose files."""

import os
import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path

from skelemo.errors import InputError
from skelemo.openpose.archive import ArchiveError, is_archive, is_packed, list_archive, list_video, stem
from skelemo.openpose.files import (
    FACTS,
    NO_FACTS,
    Folder,
    Problem,
    VideoFacts,
    is_openpose,
    is_video,
    may_be_openpose,
    read_facts,
)
from skelemo.openpose.names import printable
from skelemo.openpose.sniff import Sniffer, kind_of_file
from skelemo.text import SIMULATED, count

#: At the root of a file system; only root may list it.
_LOST_AND_FOUND = "lost+found"

#: Files per folder, with OpenPose's names but no frame number, that are checked for being a whole video.
_LOOKS = 20
_NUMBERED = re.compile("[0-9]{12}_keypoints")


class Walk:
    """All folders at or below a source that contain OpenPose files. Iterate once; counts are valid afterwards.

    An archive, including the source itself, acts as a folder of its name. An unreadable folder is a problem.

    Hidden entries (``.git``, macOS's ``._name``) are skipped, as by OpenPose. The source is untrusted, so nothing
    outside it is read: links to folders are not followed, and links to files only within the source.
    """

    def __init__(self, source: Path) -> None:
        self.source = os.path.abspath(source)
        self.folders = 0
        self.other_json: list[str] = []  # JSON of other programs
        self.passed_over: list[str] = []  # links out of the source
        self.packed: list[str] = []  # nested and unsupported archives
        self.videos: list[str] = []  # video files, whose keypoints are not extracted
        self.problems: list[Problem] = []  # unreadable folders and archives
        self.notes: list[str] = []  # on odd archives

    def __iter__(self) -> Iterator[Folder]:
        if os.path.isfile(self.source):
            yield from self._unpack(self.source, "", simulated=False)
            return
        waiting = [(self.source, "", False)]
        while waiting:
            path, place, simulated = waiting.pop()
            self.folders += 1
            try:
                listed = self._list(path)
            except OSError as error:
                if not place:
                    raise InputError(f"{path}: cannot be listed: {error.strerror}") from error
                self.problems.append(Problem(printable(place), f"cannot be listed: {error.strerror}"))
                continue
            simulated |= listed.marked
            waiting += [(os.path.join(path, name), _below(place, name), simulated) for name in listed.folders]
            files, videos = self._by_content(path, listed)
            if files:
                yield Folder(path, place, files, simulated=simulated, facts=listed.facts)
            for name in videos:
                yield from self.video(os.path.join(path, name), place, simulated=simulated)
            for name in sorted(listed.archives):
                yield from self._unpack(os.path.join(path, name), _below(place, name), simulated=simulated)

    def video(self, path: str, place: str, *, simulated: bool = False) -> Iterator[Folder]:
        """The frames of a whole video in one JSON file, as a folder."""
        try:
            yield replace(list_video(path, place), simulated=simulated)
        except ArchiveError as error:
            self.problems.append(Problem(printable(_below(place, os.path.basename(path))), str(error)))

    def _by_content(self, path: str, listed: "_Listed") -> tuple[list[str], list[str]]:
        """Split files into single frames and whole videos, by content."""
        files: list[str] = []
        videos: list[str] = []
        sniffer = Sniffer()

        def kind(name: str) -> str:
            return kind_of_file(os.path.join(path, name))

        looks = {name for name in _one_of_each_length(listed.files) if not _NUMBERED.search(name)}
        if any(sniffer.kind(name, kind, "frame") == "video" for name in looks):
            for name in listed.files:
                (videos if sniffer.kind(name, str, "frame") == "video" else files).append(name)
        else:
            files = listed.files
        for name in sorted(listed.doubtful):
            if found := sniffer.kind(name, kind):
                (videos if found == "video" else files).append(name)
            else:
                self.other_json.append(os.path.join(path, name))
        return files, videos

    def _unpack(self, path: str, place: str, *, simulated: bool) -> Iterator[Folder]:
        """The folders of an archive."""
        self.folders += 1
        try:
            contents = list_archive(path, stem(place))
        except ArchiveError as error:
            self.problems.append(Problem(printable(place or os.path.basename(path)), str(error)))
            return
        self.other_json += (os.path.join(path, name) for name in contents.other_json)
        self.packed += (os.path.join(path, name) for name in contents.packed)
        if contents.odd:
            odd = count(
                contents.odd,
                "member that is a link or device or whose path leads out of it",
                "members that are links or devices or whose paths lead out of it",
            )
            self.notes.append(f"{path}: skipped {odd} (first {printable(contents.first_odd)!r})")
        if contents.twice:
            twice = count(contents.twice, "file is", "files are")
            self.notes.append(f"{path}: {twice} in it more than once; of each, the last counts")
        yield from (replace(folder, simulated=folder.simulated or simulated) for folder in contents.folders)

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
                elif name == FACTS:
                    found.facts = read_facts(entry.path) if entry.is_file(follow_symlinks=False) else NO_FACTS
                elif entry.is_file(follow_symlinks=False) or (entry.is_symlink() and self._may_follow(entry)):
                    if is_openpose(name):
                        found.files.append(name)
                    elif is_archive(name):
                        found.archives.append(name)
                    elif may_be_openpose(name):
                        found.doubtful.append(name)
                    elif is_packed(name):
                        self.packed.append(entry.path)
                    elif is_video(name):
                        self.videos.append(entry.path)
        return found

    def _may_follow(self, link: os.DirEntry[str]) -> bool:
        """Whether a link leads to a file within the source; other links are recorded."""
        target = os.path.realpath(link.path)
        if os.path.join(target, "").startswith(os.path.join(os.path.realpath(self.source), "")):
            return os.path.isfile(target)
        if may_be_openpose(link.name) or is_archive(link.name) or os.path.isdir(target):
            self.passed_over.append(link.path)
        return False


@dataclass
class _Listed:
    """Entries of a folder."""

    files: list[str] = field(default_factory=list)  # with OpenPose's names
    doubtful: list[str] = field(default_factory=list)  # other JSON
    folders: list[str] = field(default_factory=list)
    archives: list[str] = field(default_factory=list)
    marked: bool = False  # with the marker of `skelemo synth`
    facts: VideoFacts = NO_FACTS


def _one_of_each_length(names: Sequence[str]) -> list[str]:
    """A few names of different lengths."""
    found: dict[int, str] = {}
    for name in names:
        found.setdefault(len(name), name)
    return [*found.values()][:_LOOKS]


def _below(place: str, name: str) -> str:
    return f"{place}/{name}" if place else name
