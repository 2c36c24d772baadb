"""The folders and archives of a source that hold OpenPose's files."""

import os
import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path

from skelemo.errors import InputError
from skelemo.openpose.archive import ArchiveError, is_archive, is_packed, list_archive, list_video, stem
from skelemo.openpose.facts import FACTS, NO_FACTS, VideoFacts, read_facts
from skelemo.openpose.files import Folder, Problem, is_openpose, is_video, may_be_openpose
from skelemo.openpose.names import printable
from skelemo.openpose.sniff import Sniffer, kind_of_file
from skelemo.text import SIMULATED, count

#: At the top of a disk, for its repair; only root may list it.
_LOST_AND_FOUND = "lost+found"

#: Of files with OpenPose's usual names and no frame number, so many of a folder are asked whether they hold a video.
_LOOKS = 20
_NUMBERED = re.compile("[0-9]{12}_keypoints")


class Walk:
    """All folders from a source downwards that hold OpenPose files. Iterate over it once; the counts are right then.

    An archive, the source itself included, is a folder of its name. A folder that cannot be read is a problem.

    Entries are listed, not looked up one by one. Hidden ones (``.git``, macOS's ``._name``) are passed over, as they
    are by OpenPose. The source may come from anywhere, so nothing outside it is read: links to folders are not
    followed, because what lies inside is met in its own place, and links to files only where they stay inside.
    """

    def __init__(self, source: Path) -> None:
        self.source = os.path.abspath(source)
        self.folders = 0
        self.other_json: list[str] = []  # JSON that is not OpenPose's
        self.passed_over: list[str] = []  # links that lead out
        self.packed: list[str] = []  # archives within archives, and of kinds that are not read
        self.videos: list[str] = []  # whose keypoints nobody has found yet
        self.problems: list[Problem] = []  # folders and archives that cannot be read
        self.notes: list[str] = []  # what is odd in archives

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
            files, videos = self._told_by_content(path, listed)
            if files:
                yield Folder(path, place, files, simulated=simulated, facts=listed.facts)
            for name in videos:
                yield from self.video(os.path.join(path, name), place, simulated=simulated)
            for name in sorted(listed.archives):
                yield from self._unpack(os.path.join(path, name), _below(place, name), simulated=simulated)

    def video(self, path: str, place: str, *, simulated: bool = False) -> Iterator[Folder]:
        """The frames of a whole video in one JSON file, in a folder at a place below the source."""
        try:
            yield replace(list_video(path, place), simulated=simulated)
        except ArchiveError as error:
            self.problems.append(Problem(printable(_below(place, os.path.basename(path))), str(error)))

    def _told_by_content(self, path: str, listed: "_Listed") -> tuple[list[str], list[str]]:
        """Files with a frame each, and files with a whole video."""
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
        """The folders in an archive that lies at a place below the source, and perhaps below a mark of synth's."""
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
            self.notes.append(f"{path}: passed over {odd} (first {printable(contents.first_odd)!r})")
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
        """Whether a link leads to a file of the source's own. One that leads out of it is noted."""
        target = os.path.realpath(link.path)
        if os.path.join(target, "").startswith(os.path.join(os.path.realpath(self.source), "")):
            return os.path.isfile(target)
        if may_be_openpose(link.name) or is_archive(link.name) or os.path.isdir(target):
            self.passed_over.append(link.path)
        return False


@dataclass
class _Listed:
    """What lies in a folder."""

    files: list[str] = field(default_factory=list)  # named as OpenPose names them
    doubtful: list[str] = field(default_factory=list)  # other JSON
    folders: list[str] = field(default_factory=list)
    archives: list[str] = field(default_factory=list)
    marked: bool = False  # with the mark of `skelemo synth`
    facts: VideoFacts = NO_FACTS


def _one_of_each_length(names: Sequence[str]) -> list[str]:
    """A few names that are not alike."""
    found: dict[int, str] = {}
    for name in names:
        found.setdefault(len(name), name)
    return [*found.values()][:_LOOKS]


def _below(place: str, name: str) -> str:
    return f"{place}/{name}" if place else name
