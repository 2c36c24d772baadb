"""Extraction of keypoints from videos into folders of OpenPose JSON, written atomically; skips finished videos."""

import hashlib
import json
import os
import time
from collections import Counter
from collections.abc import Callable, Collection, Iterable, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from statistics import median
from typing import Any

import skelemo
from skelemo.atomic import claimed, finished, sweep
from skelemo.errors import InputError
from skelemo.openpose.files import INFO_FILE, is_video
from skelemo.openpose.names import printable
from skelemo.openpose.schema import slots
from skelemo.openpose.validate import FrameError, examine
from skelemo.pose.registry import PROGRAMS, Find, Options
from skelemo.pose.video import Video, probe
from skelemo.skeleton import layout
from skelemo.text import count, natural_order

Report = Callable[[int, int], None]

_KIND = "extract"
_PARTS = "body_25+face_70+hand_21x2"
#: Bytes hashed at either end of a video to recognize it.
_ENDS = 1 << 20


@dataclass(frozen=True)
class Done:
    """A processed video."""

    place: str  # its folder, relative to the output
    frames: int  # processed
    seen: int  # frames with people
    faces: int  # frames with faces
    people: float  # median number per frame
    seconds: float

    def __str__(self) -> str:
        rate = f", {self.frames / self.seconds:.1f} frames/s" if self.seconds else ""
        return (
            f"{self.place}: {count(self.frames, 'frame')}, people in {self.seen:,}, faces in {self.faces:,}, "
            f"{self.people:g} in the median frame ({self.seconds:.1f} s{rate})"
        )


@dataclass
class Extracted:
    """The result of an extraction: processed videos, folders that existed already, and failures with the reason."""

    done: list[Done] = field(default_factory=list)
    existing: list[str] = field(default_factory=list)
    failures: list[str] = field(default_factory=list)
    notes: list[str] = field(default_factory=list)


def find_videos(sources: Iterable[Path]) -> dict[str, Path]:
    """Videos by the name of their output folder: a file's stem, or its path relative to the source folder.

    Raises `InputError`: no video, a missing source, or two videos with the same output folder.
    """
    found: dict[str, Path] = {}
    for source in sources:
        if source.is_dir():
            files = [
                Path(folder) / name
                for folder, _, names in os.walk(source, onerror=_refuse)
                for name in names
                if is_video(name) and not name.startswith(".")
            ]
            if not files:
                raise InputError(f"{source}: contains no video; expected .mp4, .avi, .mov, .mkv and the like")
            files = sorted(files, key=lambda file: natural_order(str(file)))
        elif source.exists():
            files = [source]
        else:
            raise InputError(f"{source}: not found; expected a video or a folder of videos")
        for file in files:
            place = (file.relative_to(source) if source.is_dir() else Path(file.name)).with_suffix("")
            where = printable(place.as_posix())
            if where in found:
                raise InputError(
                    f"{found[where]} and {file} have the same output folder {where}: rename one, or extract it "
                    "separately"
                )
            found[where] = file
    return found


def match_videos(folder: Path, recordings: Collection[str]) -> dict[str, Path]:
    """The videos below a folder by the recordings that they show.

    A video has the path of its recording, or is the only one with a name in that path that no other recording has:
    ``one/take`` may be ``one.mp4`` if several recordings are called ``take``.
    """
    files = [path for path in sorted(folder.rglob("*")) if is_video(path.name) and path.is_file()]
    places = {path.relative_to(folder).with_suffix("").as_posix(): path for path in reversed(files)}
    same = Counter(path.stem for path in places.values())
    single = {path.stem: path for path in places.values() if same[path.stem] == 1}
    shared = Counter(step for name in recordings for step in {*name.split("/")})
    found: dict[str, Path] = {}
    for name in recordings:
        named = (single[step] for step in reversed(name.split("/")) if shared[step] == 1 and step in single)
        if video := places.get(name) or next(named, None):
            found[name] = video
    return found


def extract(sources: Sequence[Path], out: Path, options: Options, report: Report = lambda done, of: None) -> Extracted:
    """Find keypoints in videos and write a folder of OpenPose JSON for each, below ``out``.

    Raises `InputError`: no video, or none can be processed; `ConfigError`: the program is unknown, not installed or
    cannot be run, or another process is writing to ``out``.
    """
    videos = find_videos(sources)
    result = Extracted()
    entry = PROGRAMS.find(options.program)
    with claimed(out), entry.function(options) as find:
        sweep(out, _KIND)
        progress = _Progress(videos, report)
        for place, path in videos.items():
            try:
                facts = _facts(path, options)
                if _exists(out / place, facts):
                    result.existing.append(place)
                    progress.skip(place)
                else:
                    video = probe(path)
                    progress.frames[place] = -(-video.frames // options.every)
                    done = _extract_one(video, place, out, find, facts, result.notes, progress.update)
                    result.done.append(done)
                    progress.frames[place] = done.frames
                    progress.before += done.frames
            except InputError as error:
                result.failures.append(str(error))
                progress.skip(place)
    if result.failures and not result.done and not result.existing:
        more = f" (and {count(len(result.failures) - 1, 'more video')})" if len(result.failures) > 1 else ""
        raise InputError(result.failures[0] + more)
    return result


class _Progress:
    """Reports progress; videos not opened yet are assumed to have the mean number of frames."""

    def __init__(self, places: Iterable[str], report: Report) -> None:
        self.before = 0  # frames of finished videos
        self.frames: dict[str, int] = {}  # of the videos opened so far
        self._places = set(places)
        self._report = report

    def skip(self, place: str) -> None:
        """Exclude a video."""
        self._places.discard(place)
        self.frames.pop(place, None)

    def update(self, frames: int) -> None:
        """Report the number of finished frames of the current video."""
        mean = sum(self.frames.values()) / max(1, len(self.frames))
        done = self.before + frames
        self._report(done, max(done, round(mean * len(self._places))))


def _extract_one(
    video: Video,
    place: str,
    out: Path,
    find: Find,
    facts: dict[str, Any],
    notes: list[str],
    report: Callable[[int], None],
) -> Done:
    target, parts = out / place, slots(layout(_PARTS))
    target.parent.mkdir(parents=True, exist_ok=True)
    sweep(target.parent, _KIND)
    people: Counter[int] = Counter()
    faces, begun = 0, time.monotonic()
    with finished(target, _KIND) as folder:
        folder.mkdir()
        for number, data in find(video, notes):
            try:
                frame = examine(data, parts)
            except FrameError as error:
                raise InputError(f"{video.path}: the JSON of frame {number} {error}") from None
            (folder / f"{video.name}_{number:012d}_keypoints.json").write_bytes(data)
            people[len(frame.people)] += 1
            faces += any(any(lists[1][2::3]) for lists in frame.people)
            report(people.total())
        if not people:
            raise InputError(f"{video.path}: the pose estimator returned no frame")
        content = {"width": video.width, "height": video.height, "fps": video.fps, "frames": people.total(), **facts}
        (folder / INFO_FILE).write_text(json.dumps(content, indent=1) + "\n", encoding="utf-8")
    frames, seen = people.total(), people.total() - people[0]
    if not seen:
        notes.append(f"{video.path}: nobody is visible in {count(frames, 'frame')}")
    return Done(place, frames, seen, faces, median(people.elements()), time.monotonic() - begun)


def _facts(path: Path, options: Options) -> dict[str, Any]:
    """The provenance of a folder of keypoints."""
    size = path.stat().st_size
    digest = hashlib.sha256(str(size).encode())
    with open(path, "rb") as file:
        digest.update(file.read(_ENDS))
        file.seek(max(0, size - _ENDS))
        digest.update(file.read(_ENDS))
    source = digest.hexdigest()[:32]
    return {
        "video": printable(path.name), "source": source, "options": options.kept(), "skelemo": skelemo.__version__
    }  # fmt: skip


def _exists(folder: Path, facts: dict[str, Any]) -> bool:
    """Whether a folder already has these keypoints. Raises `InputError`: it has other content."""
    if not folder.is_dir() or not any(folder.iterdir()):
        return False
    try:
        content = json.loads((folder / INFO_FILE).read_text(encoding="utf-8"))
        existing = {name: content[name] for name in ("source", "options")}
    except (OSError, ValueError, KeyError, TypeError):
        raise InputError(f"{folder}: not empty, and not a folder of skelemo extract: choose another --out") from None
    if existing != {name: facts[name] for name in existing}:
        other = "another video" if existing["source"] != facts["source"] else "other options"
        raise InputError(f"{folder}: has the keypoints of {other}: remove it, or choose another --out")
    return True


def _refuse(error: OSError) -> None:
    raise error
