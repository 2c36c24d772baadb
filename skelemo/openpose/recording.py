"""Recordings: which OpenPose files belong together, in which order."""

import os
import warnings
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np

from skelemo.errors import InputError
from skelemo.openpose.files import Folder, Walk
from skelemo.openpose.names import Group, group, natural_order, printable


@dataclass(frozen=True)
class Recording:
    """The files of one video, one camera's view of it, or one still; not yet read."""

    name: str  # the video's or still's stem, or the folder's name where files have none; "_view<k>" for further cameras
    folder: str  # absolute
    source: str  # where it lies in the ingest source, with forward slashes; unique among those found together
    files: tuple[str, ...]  # names in frame order
    numbers: np.ndarray  # int32 [F], frame numbers from the names; ranks in a sequence of stills; 0 for a still
    place: str = ""  # the folder relative to the ingest source, with forward slashes; "" for the source itself


def find_recordings(source: Path, *, sequence: bool = False) -> list[Recording]:
    """The recordings in a folder and those below it, in natural order, by name alone; or the one that a file is.

    Files belong together by folder, stem and camera, whatever gaps their numbers have. A file without OpenPose's frame
    number is a still and its own recording, unless `sequence` says that a folder's stills are one, in natural order.

    Raises
    ------
    InputError
        There is no such folder, or no file of OpenPose's in it.

    Warns
    -----
    UserWarning
        Links that lead out of the source, or folders that cannot be listed, were passed over.
    """
    if os.path.isfile(source):
        return [_single_file(source)]
    if not os.path.exists(source):
        raise InputError(f"{source}: not found; expected a folder with OpenPose's *_keypoints.json files")
    walk = Walk(source)
    found = [_recording(one, folder) for folder in walk for one in group(folder.files, sequence)]
    if walk.passed_over:
        warnings.warn(
            f"{source}: passed over {len(walk.passed_over)} links that lead out of it or folders that cannot be listed "
            f"(first {printable(walk.passed_over[0])})",
            stacklevel=2,
        )
    if not found:
        raise InputError(
            f"{source}: no OpenPose file in {walk.folders} folders, which hold {walk.other_json} other JSON files; "
            "expected names such as 'video_000000000000_keypoints.json' or 'image_keypoints.json'"
        )
    found.sort(key=lambda recording: (natural_order(recording.source), recording.place, recording.files[0]))
    return _tell_apart(found)


def _recording(one: Group, folder: Folder) -> Recording:
    """Name a group of files: by its stem, or by its folder where it has none."""
    stem = printable(one.stem or os.path.basename(folder.path) or "recording")
    view = f"_view{one.view}" if one.view else ""
    place = folder.place if one.stem else os.path.dirname(folder.place)
    return Recording(
        name=stem + view,
        folder=folder.path,
        source=printable(f"{place}/" if place else "") + stem + view,
        files=one.files,
        numbers=np.array(one.numbers, np.int32),
        place=folder.place,
    )


def _single_file(file: Path) -> Recording:
    """A file that the user names is read whatever its name is."""
    folder = Folder(os.path.abspath(file.parent), "", [file.name])
    named = next(group(folder.files, sequence=False), Group(file.stem, "", (file.name,), (0,)))
    return _recording(named, folder)


def _tell_apart(recordings: list[Recording]) -> list[Recording]:
    """Make `source` unique: where a video, a still and a folder share a name, the later ones go by their first file."""
    taken: set[str] = set()
    distinct = []
    for recording in recordings:
        source = recording.source
        while source in taken:
            source = f"{source}/{printable(recording.files[0])}"
        taken.add(source)
        distinct.append(replace(recording, source=source))
    return distinct
