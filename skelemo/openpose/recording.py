"""Groups files into recordings, in frame order and with frame numbers."""

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
from skelemo.openpose.files import NO_INFO, Folder, Problem, VideoInfo, is_video
from skelemo.openpose.names import FrameNames, Group, group, printable, stem_of
from skelemo.openpose.sniff import Sniffer, file_kind
from skelemo.text import count, natural_order


@dataclass(frozen=True, eq=False, slots=True)
class Recording:
    """The files of one video, one camera's view of it, or one still."""

    name: str  # stem of the files, or else name of the folder; with "_view<k>" for further cameras
    folder: str  # absolute
    source: str  # path in the ingest source, with forward slashes; unique
    files: Sequence[str]  # names in frame order
    subfolder: str = ""  # the folder relative to the ingest source, with forward slashes; "" for the source itself
    is_folder: bool = False  # named by its folder, because its files have no stem
    archive: Archive | None = None  # of its files
    positions: np.ndarray | None = None  # [F] positions of the files in the archive
    simulated: bool = False  # whether its folder, or one above within the source, has the marker of `skelemo synth`
    images: bool = False  # numbered images instead of frames in OpenPose's numbering
    info: VideoInfo = NO_INFO  # from `skelemo extract`

    @property
    def numbers(self) -> np.ndarray:
        """Frame numbers from the names, from 0, int32 ``[F]``; ranks in a sequence of stills; 0 for a still."""
        if isinstance(self.files, FrameNames):
            return np.asarray(self.files.numbers, np.int32) - np.int32(self.files.first)
        return np.arange(len(self.files), dtype=np.int32)

    @property
    def sequential_archive(self) -> str:
        """Path of its archive if that can only be read sequentially, otherwise empty."""
        return self.archive.path if self.archive and self.archive.sequential else ""

    def pieces(self, most: int) -> "Iterator[Recording]":
        """Split the recording into pieces of up to ``most`` frames, each named by its first frame."""
        for begin in range(0, len(self.files), most):
            end = min(begin + most, len(self.files))
            files = self.files.slice(begin, end) if isinstance(self.files, FrameNames) else self.files[begin:end]
            positions = None if self.positions is None else self.positions[begin:end]
            ending = f"_from{int(self.numbers[begin])}"
            yield replace(self, name=self.name + ending, source=self.source + ending, files=files, positions=positions)

    def counted_from(self, first: int) -> "Recording":
        """The same recording, where frame 0 has the number ``first`` in its name."""
        files = self.files
        return replace(self, files=files.counted_from(first)) if isinstance(files, FrameNames) else self


_EXTRACT = "extract its keypoints by --with mediapipe or --with openpose, here or with skelemo extract"


@dataclass(frozen=True)
class Found:
    """The contents of a source."""

    recordings: list[Recording]
    problems: tuple[Problem, ...]  # unreadable folders and archives
    notes: tuple[str, ...]  # on skipped files


def search(source: Path, *, sequence: bool | None = None, first_frame: int | None = None) -> Found:
    """List the recordings in and below a folder, in natural order, or the one in a file.

    Files are grouped by folder, stem and camera, and may have gaps in their numbers. An archive (`ENDINGS`) acts as a
    folder of its name; if it has also been extracted beside it, the extracted files are used. JSON files with other
    names are recognized by content.

    Raises `InputError`: the source is missing, has no OpenPose file, or is an unreadable archive.

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
        raise InputError(f"{source} is a video: {_EXTRACT}")
    if os.path.isfile(source) and not is_archive(str(source)):
        return Found([_single_file(source, walk)], (), ())
    listed = [(group_, folder) for folder in walk for group_ in _groups(folder, sequence)]
    if sequence is None:
        listed = _without_stills(listed)
    found = [_recording(group_, folder) for group_, folder in listed]
    notes = [
        *walk.notes,
        *(f"{source}: {note}" for note in _notes(walk, _numbered_stills(found) if sequence is None else ())),
    ]
    if not found:
        raise _nothing_found(source, walk)
    for key in _ORDER:
        found.sort(key=key)
    distinct, duplicates = _unique(found)
    if duplicates:
        archived = count(len(duplicates), "archived recording")
        first = duplicates[0].archive.path if duplicates[0].archive else ""
        notes.append(
            f"{source}: skipped {archived} also found extracted or in another archive (first {printable(first)})"
        )
    distinct, numbering = _number_images(distinct, first_frame)
    return Found(distinct, tuple(walk.problems), (*notes, *numbering))


def _number_images(recordings: list[Recording], first_frame: int | None) -> tuple[list[Recording], list[str]]:
    """Number the frames of all image sequences from a common first number; returns a note on it."""
    images = [recording for recording in recordings if recording.images]
    if not images:
        return recordings, []
    lowest = min(sequence.files.numbers[0] for sequence in images if isinstance(sequence.files, FrameNames))
    first = first_frame if first_frame is not None else min(lowest, 1)
    if first > lowest:
        raise InputError(
            f"--first-frame {first}, but {images[0].source} has an image {lowest}: choose {lowest} or less"
        )
    files, example = sum(len(sequence.files) for sequence in images), images[0]
    note = (
        f"{count(files, 'numbered image')} form {count(len(images), 'sequence')}, counted from {first} "
        f"(first {example.source}: {example.files[0]} is frame {int(example.numbers[0]) - first}); "
        "--stills makes each image a recording, --first-frame N counts from N"
    )
    return [recording.counted_from(first) if recording.images else recording for recording in recordings], [note]


def _without_stills(listed: list[tuple[Group, Folder]]) -> list[tuple[Group, Folder]]:
    """Split image sequences whose numbers continue across folders: they are stills, sorted into class folders."""

    def pattern(images: Group) -> tuple[str, str, str] | None:
        files = images.files
        return (files.start, files.ending, images.view) if images.images and isinstance(files, FrameNames) else None

    alike: dict[tuple[str, str, str] | None, list[FrameNames]] = defaultdict(list)
    for images, _ in listed:
        if isinstance(images.files, FrameNames):
            alike[pattern(images)].append(images.files)
    continued = {key for key, files in alike.items() if key and _continues(files) and not _FRAME.search(key[0])}
    found: list[tuple[Group, Folder]] = []
    for images, folder in listed:
        if pattern(images) in continued:
            for row, name in enumerate(images.files):
                position = None if images.positions is None else images.positions[[row]]
                found.append((Group(stem_of(name), images.view, (name,), positions=position), folder))
        else:
            found.append((images, folder))
    return found


_FRAME = re.compile("fr(?:ame|m)", re.IGNORECASE)


def _continues(files: list[FrameNames]) -> bool:
    """Whether several folders partition one run of numbers."""
    spans = sorted((names.numbers[0], names.numbers[-1]) for names in files)
    apart = all(before[1] < after[0] for before, after in itertools.pairwise(spans))
    return len(spans) > 1 and apart and sum(map(len, files)) >= 0.8 * (spans[-1][1] - spans[0][0] + 1)


def _numbered_stills(recordings: Sequence[Recording]) -> list[str]:
    """Sources of stills that may be frames of a clip: three or more that differ only by a number."""
    stems: dict[str, list[str]] = defaultdict(list)
    for recording in recordings:
        if len(recording.files) == 1 and (stem := re.sub("[0-9]+$", "", recording.source)) != recording.source:
            stems[stem].append(recording.source)
    return [source for sources in stems.values() if len(sources) > 2 for source in sources]


def _notes(walk: Walk, stills: Sequence[str]) -> Iterator[str]:
    if walk.outside_links:
        links = count(len(walk.outside_links), "link")
        yield f"skipped {links} to outside the source (first {printable(walk.outside_links[0])})"
    if walk.archives:
        yield (
            f"skipped {count(len(walk.archives), 'archive')} within an archive or of an unsupported format "
            f"(first {printable(walk.archives[0])}): extract it, or convert it to {', '.join(ENDINGS)}"
        )
    if stills:
        yield (
            f"{count(len(stills), 'image')} whose names differ only by a number are recordings of one frame (such as "
            f"{stills[0]}): if they are frames of a clip, combine them with --sequence"
        )
    if walk.other_json:
        examples = ", ".join(printable(os.path.relpath(name, walk.source)) for name in walk.other_json[:3])
        yield f"skipped {count(len(walk.other_json), 'JSON file')} without OpenPose's people (such as {examples})"


#: Sort keys, the least significant first: natural order of sources, extracted files before archives. Sorting is stable,
#: and separate keys take less memory than a combined one.
_ORDER: tuple[Callable[[Recording], Any], ...] = (
    lambda recording: recording.files[0],
    lambda recording: recording.archive.path if recording.archive else "",
    lambda recording: recording.subfolder,
    lambda recording: natural_order(recording.source),
)


def _nothing_found(source: Path, walk: Walk) -> InputError:
    for problem in walk.problems:
        if os.path.isfile(source):
            return InputError(f"{source}: the archive {problem.reason}")
        return InputError(f"{source}: {problem.file} {problem.reason}; no OpenPose file in the rest")
    if walk.videos:
        return InputError(f"{source}: no OpenPose file, but {count(len(walk.videos), 'video')}: {_EXTRACT}")
    archives = f" and {count(len(walk.archives), 'unsupported archive')}" if walk.archives else ""
    return InputError(
        f"{source}: no OpenPose file in {count(walk.folders, 'folder')} "
        f"with {count(len(walk.other_json), 'other JSON file')}{archives}; "
        "expected names such as 'video_000000000000_keypoints.json' or 'image_keypoints.json'"
    )


def _groups(folder: Folder, sequence: bool | None) -> Iterator[Group]:
    if folder.video:
        yield folder.video
    elif folder.positions is None:
        yield from group(folder.files, sequence)
    else:
        rows = {name: row for row, name in enumerate(folder.files)}
        for found in group(folder.files, sequence):
            yield found._replace(positions=folder.positions[[rows[name] for name in found.files]])


def _recording(found: Group, folder: Folder) -> Recording:
    """The recording of a group of files, named by its stem, or else by its folder."""
    stem = printable(found.stem or os.path.basename(folder.path) or "recording")
    view = f"_view{found.view}" if found.view else ""
    subfolder = folder.subfolder if found.stem else os.path.dirname(folder.subfolder)
    return Recording(
        name=stem + view,
        folder=folder.path,
        source=printable(f"{subfolder}/" if subfolder else "") + stem + view,
        files=found.files,
        subfolder=folder.subfolder,
        is_folder=not found.stem,
        archive=folder.archive,
        positions=found.positions,
        simulated=folder.simulated,
        images=found.images,
        info=folder.info,
    )


def _single_file(file: Path, walk: Walk) -> Recording:
    """The recording of a file given by the user, with any name."""
    if Sniffer().kind(str(file), file_kind) == "video":
        for folder in walk.video(os.path.abspath(file), ""):
            return _recording(next(_groups(folder, None)), folder)
        raise InputError(f"{file}: {walk.problems[0].reason}")
    folder = Folder(os.path.abspath(file.parent), "", [file.name])
    return _recording(next(group(folder.files, sequence=False)), folder)


def _unique(recordings: list[Recording]) -> tuple[list[Recording], list[Recording]]:
    """Make `source` unique, and separate duplicates in archives.

    If a video, a still and a folder share a name, the later ones are named by their first file.
    """
    taken: dict[str, Archive | None] = {}
    distinct: list[Recording] = []
    duplicates: list[Recording] = []
    for recording in recordings:
        source = recording.source
        if recording.archive and source in taken and taken[source] != recording.archive:
            duplicates.append(recording)
            continue
        while source in taken:
            source = f"{source}/{printable(recording.files[0])}"
        taken[source] = recording.archive
        distinct.append(recording if source == recording.source else replace(recording, source=source))
    return distinct, duplicates
