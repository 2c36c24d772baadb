"""Recordings: grouping and ordering of files, and frame numbers."""

import itertools
import os
import re
from collections import defaultdict
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np

from skelemo.errors import InputError
from skelemo.openpose.archive import ENDINGS, Archive, is_archive
from skelemo.openpose.discover import Walk
from skelemo.openpose.files import NO_FACTS, Folder, Problem, VideoFacts, is_video
from skelemo.openpose.names import FrameNames, Group, as_stills, group, printable
from skelemo.openpose.sniff import kind_of_file
from skelemo.text import count, natural_order


@dataclass(frozen=True, eq=False, slots=True)
class Recording:
    """The files of one video, one camera's view of it, or one still."""

    name: str  # stem of the files, or else of the folder; with "_view<k>" for further cameras
    folder: str  # absolute
    source: str  # path in the ingest source, with forward slashes; unique
    files: Sequence[str]  # names in frame order
    place: str = ""  # the folder relative to the ingest source, with forward slashes; "" for the source itself
    is_folder: bool = False  # named by its folder, because its files have no stem
    archive: Archive | None = None  # of its files
    places: np.ndarray | None = None  # [F] positions of the files in the archive
    simulated: bool = False  # the marker of `skelemo synth` lies beside or above it within the source
    images: bool = False  # numbered images, not frames of OpenPose's own numbering
    facts: VideoFacts = NO_FACTS  # of the video, from `skelemo extract`

    @property
    def numbers(self) -> np.ndarray:
        """Frame numbers from the names, from 0, int32 ``[F]``; ranks in a sequence of stills; 0 for a still."""
        if isinstance(self.files, FrameNames):
            return np.asarray(self.files.numbers, np.int32) - np.int32(self.files.first)
        return np.arange(len(self.files), dtype=np.int32)

    def pieces(self, most: int) -> "Iterator[Recording]":
        """Split the recording into pieces of up to ``most`` frames, each named by its first."""
        for begin in range(0, len(self.files), most):
            end = min(begin + most, len(self.files))
            files = self.files.part(begin, end) if isinstance(self.files, FrameNames) else self.files[begin:end]
            places = None if self.places is None else self.places[begin:end]
            ending = f"_from{int(self.numbers[begin])}"
            yield replace(self, name=self.name + ending, source=self.source + ending, files=files, places=places)

    def counted_from(self, first: int) -> "Recording":
        """The same recording, where ``first`` is the number of the first frame in the names."""
        files = self.files
        return replace(self, files=files.counted_from(first)) if isinstance(files, FrameNames) else self


_FIND = "find its keypoints with --with mediapipe or --with openpose, here or in skelemo extract"


@dataclass(frozen=True)
class Found:
    """The contents of a source."""

    recordings: list[Recording]
    problems: tuple[Problem, ...]  # unreadable folders and archives
    notes: tuple[str, ...]  # on what was skipped


def search(source: Path, *, sequence: bool | None = None, first_frame: int | None = None) -> Found:
    """The recordings in and below a folder, in natural order, or the one in a file.

    Files are grouped by folder, stem and camera, with any gaps in their numbers. An archive (`ENDINGS`) acts as a
    folder of its name; if it has also been extracted beside it, the extracted files are used. JSON with other names
    than OpenPose's is recognized by content.

    Raises `InputError`: there is no such folder, no OpenPose file in it, or the archive cannot be read.

    Parameters
    ----------
    sequence : whether images that differ by a running number are a sequence; by default they are, unless their names
        are those of stills (`skelemo.openpose.names.group`) or their numbers continue across folders.
    first_frame : number of the first frame of such a sequence; by default 0 if any has an image 0, else 1.
    """
    if not os.path.exists(source):
        raise InputError(f"{source}: not found; expected a folder with OpenPose's *_keypoints.json files")
    walk = Walk(source)
    if os.path.isfile(source) and is_video(str(source)):
        raise InputError(f"{source} is a video: {_FIND}")
    if os.path.isfile(source) and not is_archive(str(source)):
        return Found([_single_file(source, walk)], (), ())
    listed = [(one, folder) for folder in walk for one in _groups(folder, sequence)]
    if sequence is None:
        listed = _without_stills(listed)
    found = [_recording(one, folder) for one, folder in listed]
    notes = [
        *walk.notes,
        *(f"{source}: {note}" for note in _notes(walk, _numbered_stills(found) if sequence is None else ())),
    ]
    if not found:
        raise _nothing_found(source, walk)
    for key in _ORDER:
        found.sort(key=key)
    distinct, doubled = _unique(found)
    if doubled:
        twice = count(
            len(doubled),
            "recording in an archive that also lies beside it, extracted or in another archive",
            "recordings in archives that also lie beside them, extracted or in another archive",
        )
        first = doubled[0].archive.path if doubled[0].archive else ""
        notes.append(f"{source}: skipped {twice} (first {printable(first)})")
    distinct, numbering = number_images(distinct, first_frame)
    return Found(distinct, tuple(walk.problems), (*notes, *numbering))


def number_images(recordings: list[Recording], first_frame: int | None) -> tuple[list[Recording], list[str]]:
    """Number the frames of all image sequences from 0, with one first number; returns a note on it."""
    images = [one for one in recordings if one.images]
    if not images:
        return recordings, []
    lowest = min(one.files.numbers[0] for one in images if isinstance(one.files, FrameNames))
    first = first_frame if first_frame is not None else min(lowest, 1)
    if first > lowest:
        raise InputError(
            f"--first-frame {first}, but {images[0].source} has an image {lowest}: choose {lowest} or less"
        )
    files, one = sum(len(one.files) for one in images), images[0]
    note = (
        f"{count(files, 'image')} whose names differ by a running number are "
        f"{count(len(images), 'sequence')}, counted from {first} (first {one.source}: {one.files[0]} is frame "
        f"{int(one.numbers[0]) - first}); --stills makes each a recording, --first-frame N counts from N"
    )
    return [one.counted_from(first) if one.images else one for one in recordings], [note]


def _without_stills(listed: list[tuple["_Placed", Folder]]) -> list[tuple["_Placed", Folder]]:
    """Split images whose numbers continue from folder to folder: stills that were sorted into classes."""
    alike: dict[tuple[str, str, str], list[FrameNames]] = defaultdict(list)
    for (one, _), _ in listed:
        if one.images and isinstance(one.files, FrameNames):
            alike[one.files.start, one.files.ending, one.view].append(one.files)
    through = {key for key, files in alike.items() if _run_on(files) and not _FRAME.search(key[0])}
    found: list[tuple[_Placed, Folder]] = []
    for (one, places), folder in listed:
        if (
            one.images
            and isinstance(one.files, FrameNames)
            and (one.files.start, one.files.ending, one.view) in through
        ):
            found += (
                ((still, None if places is None else places[[n]]), folder) for n, still in enumerate(as_stills(one))
            )
        else:
            found.append(((one, places), folder))
    return found


_FRAME = re.compile("fr(?:ame|m)", re.IGNORECASE)


def _run_on(files: list[FrameNames]) -> bool:
    """Whether several folders partition one run of numbers."""
    spans = sorted((one.numbers[0], one.numbers[-1]) for one in files)
    apart = all(before[1] < after[0] for before, after in itertools.pairwise(spans))
    return len(spans) > 1 and apart and sum(map(len, files)) >= 0.8 * (spans[-1][1] - spans[0][0] + 1)


def _numbered_stills(recordings: Sequence[Recording]) -> list[str]:
    """Sources of stills that may be frames of a clip: three or more that differ only by a number."""
    alike: dict[str, list[str]] = defaultdict(list)
    for one in recordings:
        if len(one.files) == 1 and (stem := re.sub("[0-9]+$", "", one.source)) != one.source:
            alike[stem].append(one.source)
    return [source for sources in alike.values() if len(sources) > 2 for source in sources]


def _notes(walk: Walk, stills: Sequence[str]) -> Iterator[str]:
    if walk.passed_over:
        passed = count(len(walk.passed_over), "link that leads out of it", "links that lead out of it")
        yield f"skipped {passed} (first {printable(walk.passed_over[0])})"
    if walk.packed:
        yield (
            f"skipped {count(len(walk.packed), 'archive')} within an archive or of an unsupported format "
            f"(first {printable(walk.packed[0])}): extract it, or convert it to {', '.join(ENDINGS)}"
        )
    if stills:
        yield (
            f"{count(len(stills), 'image')} whose names differ by a number alone are recordings of one frame (as "
            f"{stills[0]}): if they are frames of a clip, --sequence keeps them together"
        )
    if walk.other_json:
        examples = ", ".join(printable(os.path.relpath(name, walk.source)) for name in walk.other_json[:3])
        yield f"skipped {count(len(walk.other_json), 'JSON file')} without OpenPose's people (as {examples})"


#: Sort keys: natural order of sources, extracted files before archives. Applied from last to first, because sorting is
#: stable and combined keys take more memory.
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
    if walk.videos:
        return InputError(f"{source}: no OpenPose file, but {count(len(walk.videos), 'video')}: {_FIND}")
    packed = f" and {count(len(walk.packed), 'archive')} that cannot be read" if walk.packed else ""
    return InputError(
        f"{source}: no OpenPose file in {count(walk.folders, 'folder')} "
        f"with {count(len(walk.other_json), 'other JSON file')}{packed}; "
        "expected names such as 'video_000000000000_keypoints.json' or 'image_keypoints.json'"
    )


#: A group of files, and their positions in an archive.
_Placed = tuple[Group, "np.ndarray | None"]


def _groups(folder: Folder, sequence: bool | None) -> Iterator[_Placed]:
    if folder.video:
        yield folder.video, folder.places
    elif folder.places is None:
        yield from ((one, None) for one in group(folder.files, sequence))
    else:
        rows = {name: row for row, name in enumerate(folder.files)}
        for one in group(folder.files, sequence):
            yield one, folder.places[[rows[name] for name in one.files]]


def _recording(found: _Placed, folder: Folder) -> Recording:
    """The recording of a group of files, named by its stem, or else by its folder."""
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
        images=one.images,
        facts=folder.facts,
    )


def _single_file(file: Path, walk: Walk) -> Recording:
    """The recording of a file given by the user, with any name."""
    if kind_of_file(str(file)) == "video":
        for folder in walk.video(os.path.abspath(file), ""):
            return _recording(next(_groups(folder, None)), folder)
        raise InputError(f"{file}: {walk.problems[0].reason}")
    folder = Folder(os.path.abspath(file.parent), "", [file.name])
    return _recording((next(group(folder.files, sequence=False)), None), folder)


def _unique(recordings: list[Recording]) -> tuple[list[Recording], list[Recording]]:
    """Make `source` unique, and drop duplicates in archives.

    If a video, a still and a folder share a name, the later ones are named by their first file.
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
