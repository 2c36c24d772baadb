"""The folders and archives of a source that hold OpenPose's files."""

import os
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

from skelemo.errors import InputError
from skelemo.openpose.archive import ArchiveError, is_archive, is_packed, list_archive, stem
from skelemo.openpose.files import Folder, Problem, is_openpose
from skelemo.openpose.names import printable
from skelemo.text import SIMULATED, count

#: At the top of a disk, for its repair; only root may list it.
_LOST_AND_FOUND = "lost+found"


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
        self.other_json = 0
        self.passed_over: list[str] = []  # links that lead out
        self.packed: list[str] = []  # archives within archives, and of kinds that are not read
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
                files, folders, archives, marked = self._list(path)
            except OSError as error:
                if not place:
                    raise InputError(f"{path}: cannot be listed: {error.strerror}") from error
                self.problems.append(Problem(printable(place), f"cannot be listed: {error.strerror}"))
                continue
            simulated |= marked
            waiting += [(os.path.join(path, name), _below(place, name), simulated) for name in folders]
            if files:
                yield Folder(path, place, files, simulated=simulated)
            for name in sorted(archives):
                yield from self._unpack(os.path.join(path, name), _below(place, name), simulated=simulated)

    def _unpack(self, path: str, place: str, *, simulated: bool) -> Iterator[Folder]:
        """The folders in an archive that lies at a place below the source, and perhaps below a mark of synth's."""
        self.folders += 1
        try:
            contents = list_archive(path, stem(place))
        except ArchiveError as error:
            self.problems.append(Problem(printable(place or os.path.basename(path)), str(error)))
            return
        self.other_json += contents.other_json
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

    def _list(self, path: str) -> tuple[list[str], list[str], list[str], bool]:
        """Files of OpenPose's, folders and archives in a folder, and whether synth's mark is there."""
        files, folders, archives, marked = [], [], [], False
        with os.scandir(path) as entries:
            for entry in entries:
                name = entry.name
                if name.startswith(".") or name == _LOST_AND_FOUND:
                    continue
                if is_openpose(name) and entry.is_file(follow_symlinks=False):
                    files.append(name)
                elif entry.is_dir(follow_symlinks=False):
                    folders.append(name)
                elif name == SIMULATED:
                    marked = True
                    self.other_json += 1
                elif entry.is_file(follow_symlinks=False) or (entry.is_symlink() and self._may_follow(entry)):
                    if is_openpose(name):
                        files.append(name)
                    elif is_archive(name):
                        archives.append(name)
                    elif is_packed(name):
                        self.packed.append(entry.path)
                    else:
                        self.other_json += name.endswith(".json")
        return files, folders, archives, marked

    def _may_follow(self, link: os.DirEntry[str]) -> bool:
        """Whether a link leads to a file of the source's own. One that leads out of it is noted."""
        target = os.path.realpath(link.path)
        if os.path.join(target, "").startswith(os.path.join(os.path.realpath(self.source), "")):
            return os.path.isfile(target)
        if is_openpose(link.name) or is_archive(link.name) or os.path.isdir(target):
            self.passed_over.append(link.path)
        return False


def _below(place: str, name: str) -> str:
    return f"{place}/{name}" if place else name
