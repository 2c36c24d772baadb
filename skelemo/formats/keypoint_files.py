"""Interface of readers of other programs' keypoint files, and conversion to recordings and people."""

import os
from collections.abc import Sequence
from contextlib import suppress
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

import numpy as np
import orjson

from skelemo.annotations.files import files_below
from skelemo.errors import InputError
from skelemo.formats.registry import IMPORTS
from skelemo.openpose.files import VideoInfo
from skelemo.openpose.names import printable
from skelemo.openpose.people import People
from skelemo.openpose.points import canonicalize
from skelemo.openpose.recording import Recording
from skelemo.skeleton import FARTHEST, Layout


@dataclass(frozen=True, eq=False)
class Clip:
    """All people of one recording in a file.

    Parameters
    ----------
    video : its name, empty if the file is one recording.
    number : ``[F]`` increasing frame numbers, including frames without people.
    owner : ``[P]`` index of each person's frame, sorted.
    keypoints : ``[P, V, 3]`` in the layout; points with confidence 0 or less are missing.
    identity : ``[P]`` identities, -1 for unknown; None if the file has none.
    scale : ``pixels`` or ``unit``.
    size : width and height of the image; (0, 0) for unknown.
    first_frame : ``number`` of a video's first frame; None if the format does not define it.
    """

    video: str
    number: np.ndarray
    owner: np.ndarray
    keypoints: np.ndarray
    identity: np.ndarray | None
    scale: str
    size: tuple[int, int] = (0, 0)
    first_frame: int | None = None


@dataclass(frozen=True, eq=False)
class KeypointFile(Recording):
    """A recording in a file of all its frames, possibly with other recordings."""

    video: str = ""
    frames: np.ndarray = field(default_factory=lambda: np.zeros(0, np.int32))

    @property
    def numbers(self) -> np.ndarray:
        """Frame numbers of the file, from 0, int32 ``[F]``."""
        return self.frames


def read_json(file: Path) -> Any:
    """Read JSON or JSON lines. Raises `InputError`: neither."""
    data = file.read_bytes()
    try:
        return orjson.loads(data)
    except orjson.JSONDecodeError as error:
        with suppress(orjson.JSONDecodeError):
            if b"\n" in data:
                return [orjson.loads(line) for line in data.splitlines()]
        raise InputError(f"{file}: not JSON ({error})") from None


class Reader:
    """Reads files of one format into a layout; caches the latest file, which may contain several recordings.

    Raises `ConfigError`: an unknown format.

    Parameters
    ----------
    first_frame : number of a video's first frame, if the format does not define it.
    """

    def __init__(self, name: str, layout: Layout, first_frame: int = 0) -> None:
        self._form, self._layout, self._first_frame = IMPORTS.find(name), layout, first_frame
        self._latest: tuple[tuple[object, ...], Sequence[Clip]] | None = None

    def find(self, source: Path, size: tuple[int, int]) -> list[KeypointFile]:
        """Every recording in a file, or in the files below a folder; reads all of them.

        Raises `InputError`: no such file, or wrong name or format; the message names the file and the row.
        """
        if not source.exists():
            raise InputError(f"{source}: not found; expected a keypoint file or a folder of such files")
        endings = self._form.facts.endings
        expected = " or ".join(endings)
        if source.is_file() and not source.name.lower().endswith(endings):
            raise InputError(f"{source}: expected a {expected} file; is it another format (--from)?")
        files = list(files_below(source, *endings))
        if not files:
            raise InputError(f"{source}: contains no {expected} file")
        found: list[KeypointFile] = []
        taken: dict[str, Path] = {}
        for file in files:
            place = file.parent.relative_to(source if source.is_dir() else file.parent).as_posix()
            ending = next(one for one in endings if file.name.lower().endswith(one))
            stem = printable(file.name[: len(file.name) - len(ending)])
            for clip in self._clips(file, size):
                title = f"{stem}/{clip.video}" if clip.video else stem
                where = title if place == "." else f"{printable(place)}/{title}"
                if where in taken:
                    raise InputError(f"{file}: the recording {where!r} is also in {taken[where]}: rename one of them")
                taken[where] = file
                one = os.path.basename(title), os.path.abspath(file.parent), where, (file.name,)
                found.append(KeypointFile(*one, video=clip.video, frames=clip.number, info=VideoInfo(*clip.size)))
        return found

    def read(self, recording: KeypointFile, size: tuple[int, int]) -> People:
        """Read the people of a recording from `find`. Raises `InputError`: the file cannot be read or has changed."""
        file = Path(recording.folder) / recording.files[0]
        clip = next((clip for clip in self._clips(file, size) if clip.video == recording.video), None)
        if clip is None or not np.array_equal(clip.number, recording.frames):
            raise InputError(f"{file}: changed while reading")
        return _people(file, clip, self._form.facts.body_model)

    def _clips(self, file: Path, size: tuple[int, int]) -> Sequence[Clip]:
        try:
            status = file.stat()
            key = (str(file.resolve()), status.st_size, status.st_mtime_ns, size)
            if self._latest is None or self._latest[0] != key:
                self._latest = None
                clips = self._form.function(file, self._layout, size)
                self._latest = key, [_from_0(file, clip, self._first_frame) for clip in clips]
        except OSError as error:
            raise InputError(f"{file}: cannot be read ({error.strerror or error})") from None
        return self._latest[1]


def _from_0(file: Path, clip: Clip, first_frame: int) -> Clip:
    """Renumber the frames of a clip from 0, as in OpenPose."""
    first = first_frame if clip.first_frame is None else clip.first_frame
    if clip.number[0] < first:
        where = f"{file}, {clip.video}" if clip.video else str(file)
        raise InputError(
            f"{where}: frame {clip.number[0]}; expected numbers from --first-frame {first}: import this file "
            "separately without --first-frame"
        )
    return replace(clip, number=clip.number - first, first_frame=0)


def _people(file: Path, clip: Clip, body_model: str) -> People:
    points = np.ascontiguousarray(clip.keypoints, np.float32)
    extent = canonicalize(points)
    if not (extent.reach <= FARTHEST).all():
        frame = clip.number[clip.owner[int((~(extent.reach <= FARTHEST)).argmax())]]
        raise InputError(f"{file}: frame {frame} has a coordinate beyond {FARTHEST:g}, outside of any image")
    visible = extent.seen > 0
    owner = clip.owner[visible]
    start = np.concatenate([[0], np.bincount(owner, minlength=len(clip.number)).cumsum()])
    status = file.stat()
    return People(
        number=clip.number.astype(np.int32),
        start=start,
        keypoints=points[visible],
        body_model=body_model,
        scale=clip.scale,
        problems=(),
        bytes_read=status.st_size,
        newest=status.st_mtime_ns,
        identity=None if clip.identity is None else clip.identity[visible],
    )
