"""Videos to folders of OpenPose's JSON: each appears when it is whole, and what is there is not done again."""

import hashlib
import json
import os
import time
from collections import Counter
from collections.abc import Callable, Iterable, Sequence
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
#: Bytes at either end of a file by which it is known again.
_ENDS = 1 << 20


@dataclass(frozen=True)
class Done:
    """A video whose keypoints lie in a folder.

    Parameters
    ----------
    place : of its folder, below the output.
    frames : that were looked at, with ``seen`` anybody and with ``faces`` any face.
    people : in the median frame.
    """

    place: str
    frames: int
    seen: int
    faces: int
    people: float
    seconds: float

    def __str__(self) -> str:
        rate = f", {self.frames / self.seconds:.1f} frames/s" if self.seconds else ""
        return (
            f"{self.place}: {count(self.frames, 'frame')}, people in {self.seen:,}, faces in {self.faces:,}, "
            f"{self.people:g} in the median frame ({self.seconds:.1f} s{rate})"
        )


@dataclass
class Extracted:
    """What has become of some videos: found now, there already, and those that could not be used, with the reason."""

    done: list[Done] = field(default_factory=list)
    there: list[str] = field(default_factory=list)
    failures: list[str] = field(default_factory=list)
    notes: list[str] = field(default_factory=list)


def find_videos(sources: Iterable[Path]) -> dict[str, Path]:
    """Videos by the place that their keypoints get: a file's stem, or its path below the folder that is named.

    Raises `InputError`: there is none, a source is missing, or two videos would get one place.
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
                raise InputError(f"{source}: no video in it or below; expected .mp4, .avi, .mov, .mkv and the like")
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
                    f"{found[where]} and {file} would both become {where}: rename one, or extract it apart"
                )
            found[where] = file
    return found


def extract(sources: Sequence[Path], out: Path, options: Options, report: Report = lambda done, of: None) -> Extracted:
    """Find the keypoints of videos and leave a folder of OpenPose's JSON for each, below ``out``.

    Raises `InputError`: there is no video, or none of them can be used; `ConfigError`: the program is unknown, not
    installed or cannot be run, or another process writes ``out``.
    """
    videos = find_videos(sources)
    result = Extracted()
    entry = PROGRAMS.find(options.program)
    with claimed(out), entry.function(options) as find:
        sweep(out, _KIND)
        total = _Total(videos, report)
        for place, path in videos.items():
            try:
                facts = _facts(path, options)
                if _is_there(out / place, facts):
                    result.there.append(place)
                    total.leave_out(place)
                else:
                    video = probe(path)
                    total.put(place, -(-video.frames // options.every))
                    result.done.append(_one(video, place, out, find, facts, result.notes, total.tell))
                    total.put(place, result.done[-1].frames)
                    total.before += result.done[-1].frames
            except InputError as error:
                result.failures.append(str(error))
                total.leave_out(place)
    if result.failures and not result.done and not result.there:
        more = f" (and {count(len(result.failures) - 1, 'more video')})" if len(result.failures) > 1 else ""
        raise InputError(result.failures[0] + more)
    return result


class _Total:
    """How many frames there are in all: as many as the videos opened so far have, and for the others their mean."""

    def __init__(self, places: Iterable[str], report: Report) -> None:
        self.before = 0  # frames of the videos that are done
        self._known: dict[str, int] = {}
        self._places = set(places)
        self._report = report

    def put(self, place: str, frames: int) -> None:
        """A video has so many."""
        self._known[place] = frames

    def leave_out(self, place: str) -> None:
        """A video is not looked at."""
        self._places.discard(place)
        self._known.pop(place, None)

    def tell(self, frames: int) -> None:
        """So many frames of the present video are done."""
        mean = sum(self._known.values()) / max(1, len(self._known))
        done = self.before + frames
        self._report(done, max(done, round(mean * len(self._places))))


def _one(
    video: Video,
    place: str,
    out: Path,
    find: Find,
    facts: dict[str, Any],
    notes: list[str],
    report: Callable[[int], None],
) -> Done:
    """Find a video's keypoints and leave its folder."""
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
                raise InputError(f"{video.path}: what was found in frame {number} {error}") from None
            (folder / f"{video.name}_{number:012d}_keypoints.json").write_bytes(data)
            people[len(frame.people)] += 1
            faces += any(any(lists[1][2::3]) for lists in frame.people)
            report(people.total())
        if not people:
            raise InputError(f"{video.path}: no frame came out of it")
        told = {"width": video.width, "height": video.height, "fps": video.fps, "frames": people.total(), **facts}
        (folder / INFO_FILE).write_text(json.dumps(told, indent=1) + "\n", encoding="utf-8")
    if not people.total() - people[0]:
        notes.append(f"{video.path}: nobody is seen in its {count(people.total(), 'frame')}")
    return Done(place, people.total(), people.total() - people[0], faces, median(people.elements()),
                time.monotonic() - begun)  # fmt: skip


def _facts(path: Path, options: Options) -> dict[str, Any]:
    """What a folder of keypoints says of where they come from."""
    size = path.stat().st_size
    digest = hashlib.sha256(str(size).encode())
    with open(path, "rb") as file:
        digest.update(file.read(_ENDS))
        file.seek(max(0, size - _ENDS))
        digest.update(file.read(_ENDS))
    made = {"skelemo": skelemo.__version__}
    return {"video": printable(path.name), "source": digest.hexdigest()[:32], "options": options.kept()} | made


def _is_there(folder: Path, facts: dict[str, Any]) -> bool:
    """Whether a folder holds just these keypoints already. Raises `InputError`: it holds others."""
    if not folder.is_dir() or not any(folder.iterdir()):
        return False
    try:
        told = json.loads((folder / INFO_FILE).read_text(encoding="utf-8"))
        same = {name: told[name] for name in ("source", "options")}
    except (OSError, ValueError, KeyError, TypeError):
        raise InputError(f"{folder}: holds something else than a video's keypoints: choose another --out") from None
    if same != {name: facts[name] for name in same}:
        other = "of another video" if same["source"] != facts["source"] else "found with other options"
        raise InputError(f"{folder}: holds keypoints {other}: remove it, or choose another --out")
    return True


def _refuse(error: OSError) -> None:
    raise error
