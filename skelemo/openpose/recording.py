"""Recordings: which OpenPose files belong together, in which order."""

import os
import warnings
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np

from skelemo.errors import InputError
from skelemo.openpose.archive import ENDINGS, Archive, is_archive
from skelemo.openpose.discover import Walk
from skelemo.openpose.files import Folder, Problem
from skelemo.openpose.names import FrameNames, Group, group, printable
from skelemo.text import count, natural_order


@dataclass(frozen=True, eq=False, slots=True)
class Recording:
    """The files of one video, one camera's view of it, or one still; not yet read."""

    name: str  # the video's or still's stem, or the folder's name where files have none; "_view<k>" for further cameras
    folder: str  # absolute
    source: str  # where it lies in the ingest source, with forward slashes; unique among those found together
    files: Sequence[str]  # names in frame order
    place: str = ""  # the folder relative to the ingest source, with forward slashes; "" for the source itself
    is_folder: bool = False  # it is named by its folder, because its files have no stem
    archive: Archive | None = None  # that its files lie in
    places: np.ndarray | None = None  # [F] where the bytes of each file lie in the archive
    simulated: bool = False  # the mark of `skelemo synth` lies beside it, or above it as far as in the source

    @property
    def numbers(self) -> np.ndarray:
        """Int32 ``[F]``, frame numbers from the names; ranks in a sequence of stills; 0 for a still."""
        numbers = self.files.numbers if isinstance(self.files, FrameNames) else range(len(self.files))
        return np.asarray(numbers, np.int32)


@dataclass(frozen=True)
class Found:
    """What a source holds."""

    recordings: list[Recording]
    problems: tuple[Problem, ...]  # folders and archives that cannot be read
    notes: tuple[str, ...]  # what was passed over


def find_recordings(source: Path, *, sequence: bool = False) -> list[Recording]:
    """The recordings of `search`.

    Raises
    ------
    InputError
        As there, and where there is none or an archive cannot be read.

    Warns
    -----
    UserWarning
        Something was passed over.
    """
    found = search(source, sequence=sequence)
    for note in found.notes:
        warnings.warn(note, stacklevel=2)
    for problem in found.problems:
        raise InputError(f"{problem.file} {problem.reason}")
    return found.recordings


def search(source: Path, *, sequence: bool = False) -> Found:
    """The recordings in a folder and those below it, in natural order, by name alone; or the one that a file is.

    Files belong together by folder, stem and camera, whatever gaps their numbers have. A file without OpenPose's frame
    number is a still and its own recording, unless `sequence` says that a folder's stills are one, in natural order. An
    archive (`ENDINGS`) is a folder of its name, or the source; where the same recording lies unpacked beside it, that
    counts.

    Raises
    ------
    InputError
        There is no such folder, no file of OpenPose's in it, or it is an archive that cannot be read.
    """
    if os.path.isfile(source) and not is_archive(str(source)):
        return Found([_single_file(source)], (), ())
    if not os.path.exists(source):
        raise InputError(f"{source}: not found; expected a folder with OpenPose's *_keypoints.json files")
    walk = Walk(source)
    found = [_recording(one, folder) for folder in walk for one in _groups(folder, sequence)]
    notes = list(walk.notes)
    if walk.passed_over:
        passed = count(len(walk.passed_over), "link that leads out of it", "links that lead out of it")
        notes.append(f"{source}: passed over {passed} (first {printable(walk.passed_over[0])})")
    if walk.packed:
        packed = count(len(walk.packed), "archive", "archives")
        notes.append(
            f"{source}: passed over {packed} within an archive or of a kind that is not read "
            f"(first {printable(walk.packed[0])}): unpack what lies in it, or pack it as {', '.join(ENDINGS)}"
        )
    if not found:
        raise _nothing_found(source, walk)
    for key in _ORDER:
        found.sort(key=key)
    distinct, doubled = _tell_apart(found)
    if doubled:
        twice = count(
            len(doubled),
            "recording in an archive that lies unpacked, or in another archive, beside it",
            "recordings in archives that lie unpacked, or in another archive, beside them",
        )
        first = doubled[0].archive.path if doubled[0].archive else ""
        notes.append(f"{source}: passed over {twice} (first {printable(first)})")
    return Found(distinct, tuple(walk.problems), tuple(notes))


#: Natural order of sources; what lies unpacked comes before what lies in an archive. From the last key to the first, as
#: sorting is stable and keys of everything at once take much memory.
_ORDER: tuple[Callable[[Recording], Any], ...] = (
    lambda one: one.files[0],
    lambda one: one.archive.path if one.archive else "",
    lambda one: one.place,
    lambda one: natural_order(one.source),
)


def _nothing_found(source: Path, walk: Walk) -> InputError:
    for problem in walk.problems:
        if os.path.isfile(source):
            return InputError(f"{source}: the archive {problem.reason}")
        return InputError(f"{source}: {problem.file} {problem.reason}; no OpenPose file in the rest")
    packed = f" and {count(len(walk.packed), 'archive')} that cannot be read as it lies" if walk.packed else ""
    return InputError(
        f"{source}: no OpenPose file in {count(walk.folders, 'folder')} "
        f"with {count(walk.other_json, 'other JSON file')}{packed}; "
        "expected names such as 'video_000000000000_keypoints.json' or 'image_keypoints.json'"
    )


def _groups(folder: Folder, sequence: bool) -> Iterator[tuple[Group, np.ndarray | None]]:
    """What belongs together in a folder, and where in an archive its files lie."""
    if folder.places is None:
        yield from ((one, None) for one in group(folder.files, sequence))
        return
    rows = {name: row for row, name in enumerate(folder.files)}
    for one in group(folder.files, sequence):
        yield one, folder.places[[rows[name] for name in one.files]]


def _recording(found: tuple[Group, np.ndarray | None], folder: Folder) -> Recording:
    """Name a group of files: by its stem, or by its folder where it has none."""
    one, places = found
    stem = printable(one.stem or os.path.basename(folder.path) or "recording")
    view = f"_view{one.view}" if one.view else ""
    place = folder.place if one.stem else os.path.dirname(folder.place)
    return Recording(
        name=stem + view,
        folder=folder.path,
        source=printable(f"{place}/" if place else "") + stem + view,
        files=one.files,
        place=folder.place,
        is_folder=not one.stem,
        archive=folder.archive,
        places=places,
        simulated=folder.simulated,
    )


def _single_file(file: Path) -> Recording:
    """A file that the user names is read whatever its name is."""
    folder = Folder(os.path.abspath(file.parent), "", [file.name])
    named = next(group(folder.files, sequence=False), Group(file.stem, "", (file.name,)))
    return _recording((named, None), folder)


def _tell_apart(recordings: list[Recording]) -> tuple[list[Recording], list[Recording]]:
    """Make `source` unique, and leave out what an archive holds once more.

    Where a video, a still and a folder share a name, the later ones go by their first file.
    """
    taken: dict[str, Archive | None] = {}
    distinct: list[Recording] = []
    doubled: list[Recording] = []
    for recording in recordings:
        source = recording.source
        if recording.archive and source in taken and taken[source] != recording.archive:
            doubled.append(recording)
            continue
        while source in taken:
            source = f"{source}/{printable(recording.files[0])}"
        taken[source] = recording.archive
        distinct.append(recording if source == recording.source else replace(recording, source=source))
    return distinct, doubled
