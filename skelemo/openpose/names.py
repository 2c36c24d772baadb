"""Parses file names: video, frame number, camera, or still."""

import os
import re
import sys
from array import array
from collections import defaultdict
from collections.abc import Iterator, Sequence
from typing import Any, NamedTuple

import numpy as np

from skelemo.text import natural_order

#: OpenPose's frame numbers have this many digits ("%012d" in datumProducer.hpp).
_WIDTH = 12
_LAST_NUMBER = 2**31 - 1  # frame numbers are int32

_SUFFIX = re.compile(r"\.(?:json(?:\.gz)?|jsonl|ndjson)$", re.IGNORECASE)
_VIEW = re.compile(r"_keypoints_([0-9]{1,3})\.json", re.IGNORECASE)  # OpenPose numbers further cameras
_DIGITS = re.compile(r"[0-9]+$", re.ASCII)

#: Generic words of image names; such a video is named by its folder.
_GENERIC = re.compile(r"(?:frames?|frm|images?|img|im|pics?|out(?:put)?|f)?", re.IGNORECASE)
#: Words that may precede a frame number without a separator, as in ffmpeg patterns; any other such word names a still.
_GLUED = re.compile(
    r"(?:.*[\W_])?(?:frames?|frm|images?|img|im|f|cam[a-z]*|clip|video|vid|seq|scene|shot)", re.IGNORECASE
)
#: Numbers with a lower density (in the smallest step) are identifiers, not frames.
_MIN_DENSITY = 0.2

_WORDS = r"(?:view|cam(?:era)?)[-_ ]?[0-9]+|mirror(?:ed)?|h?flip(?:ped)?|left|right"
#: Folders, and suffixes of names, of variants of one take.
_VARIANT_FOLDER = re.compile(_WORDS, re.IGNORECASE)
_VARIANT = re.compile(
    rf"[-_. ](?:{_WORDS}|copy|[0-9]{{3,4}}p|[0-9]{{1,3}}fps|[hx]\.?26[45]|re-?encoded|compressed|from[0-9]+)$",
    re.IGNORECASE,
)


class FrameNames(Sequence[str]):
    """The names of a video's files, generated from their numbers, because there may be millions.

    ``numbers`` are those in the names; ``first`` is the number of frame 0.
    """

    __slots__ = ("ending", "first", "numbers", "start", "width")

    def __init__(self, start: str, numbers: Sequence[int], ending: str, width: int = _WIDTH, first: int = 0) -> None:
        self.start, self.ending, self.width, self.first = start, sys.intern(ending), width, first
        low, high = numbers[0], numbers[-1]
        self.numbers = range(low, high + 1) if high - low + 1 == len(numbers) else array("i", numbers)

    def __len__(self) -> int:
        return len(self.numbers)

    def __getitem__(self, index: int | slice) -> Any:
        if isinstance(index, slice):
            return tuple(f"{self.start}{number:0{self.width}}{self.ending}" for number in self.numbers[index])
        return f"{self.start}{self.numbers[index]:0{self.width}}{self.ending}"

    def __iter__(self) -> Iterator[str]:
        return iter(self[:])

    def __eq__(self, other: object) -> bool:
        return isinstance(other, Sequence) and tuple(self) == tuple(other)

    def slice(self, begin: int, end: int) -> "FrameNames":
        """The files from ``begin`` up to but excluding ``end``."""
        return FrameNames(self.start, self.numbers[begin:end], self.ending, self.width, self.first)

    def counted_from(self, first: int) -> "FrameNames":
        """The same files, where frame 0 has the number ``first``."""
        return FrameNames(self.start, self.numbers, self.ending, self.width, first)


class Group(NamedTuple):
    """Files of one folder that form a recording, in order."""

    stem: str  # "" if the folder names the recording
    view: str  # "" for the first camera, else OpenPose's number
    files: Sequence[str]
    images: bool = False  # numbered images, which may turn out to be stills
    positions: np.ndarray | None = None  # [files] positions in an archive


class _Name(NamedTuple):
    start: str
    digits: str
    ending: str  # "_keypoints.json" and the like
    view: str


def group(names: Sequence[str], sequence: bool | None = None) -> Iterator[Group]:
    """Group the names of a folder into videos, image sequences, and stills.

    Files of a video have OpenPose's twelve digits. Images that differ by a running number are a sequence
    (`Group.images`); ``sequence=False`` makes every image a still, and ``sequence=True`` makes the images of a folder
    one sequence, in natural order if they differ by more than a number.
    """
    alike: dict[tuple[str, str, str, bool], list[str]] = defaultdict(list)
    for name in names:
        start, digits, ending, view = _parse(name)
        video_like = len(digits) == _WIDTH and int(digits) <= _LAST_NUMBER and (not start or start[-1] == "_")
        alike[start, ending, view, video_like].append(digits)
    stills: dict[str, list[str]] = defaultdict(list)
    numbered: dict[str, list[Group]] = defaultdict(list)
    for (start, ending, view, video_like), digits_of in alike.items():
        if video_like:
            yield Group(start[:-1], view, FrameNames(start, sorted(map(int, digits_of)), ending))
        elif sequence is not False and (found := _running(start, digits_of, ending, glued=bool(sequence))):
            numbered[view].append(Group(_stem(start), view, found, images=True))
        else:
            stills[view] += (f"{start}{digits}{ending}" for digits in digits_of)
    for view in {**numbered, **stills}:
        groups = numbered[view]
        if sequence and (stills[view] or len(groups) > 1):
            files = [*stills[view], *(name for images in groups for name in images.files)]
            yield Group("", view, tuple(_in_order(files)))
        else:
            yield from groups
            yield from (Group(stem_of(name), view, (name,)) for name in _in_order(stills[view]))


def stem_of(name: str) -> str:
    """A name without OpenPose's suffix."""
    start, digits, _, _ = _parse(name)
    return start + digits


def take_of(video: str) -> str:
    """Name of the take of a video, which its other views and copies share.

    Cameras (``_view1``, ``cam02/…``), sides, mirrored and re-encoded copies, and pieces of a recording are one take.
    """
    steps = [step for step in video.split("/") if not _VARIANT_FOLDER.fullmatch(step)]
    if steps:
        while (shorter := _VARIANT.sub("", steps[-1])) not in ("", steps[-1]):
            steps[-1] = shorter
    return "/".join(steps) or video


def printable(name: str) -> str:
    """A name with bytes that are not UTF-8 replaced."""
    return os.fsencode(name).decode("utf-8", "replace")


def _parse(name: str) -> _Name:
    """Parse a name from the right, because a stem may contain digits and underscores."""
    low = name.lower()
    end = low.rfind("_keypoints")
    view = ""
    if end >= 0:
        found = _VIEW.fullmatch(name, end)
        view = found[1] if found else ""
        rest = _SUFFIX.sub("", name[end:])
        if not found and _DIGITS.search(rest):  # clip_keypoints_000000000012.json
            end = -1
    if end < 0:
        suffix = _SUFFIX.search(name)
        end = suffix.start() if suffix else len(name)
    digits = _DIGITS.search(name[:end])
    middle = digits.start() if digits else end
    return _Name(name[:middle], name[middle:end], name[end:], view)


def _running(start: str, digits: list[str], ending: str, *, glued: bool) -> FrameNames | None:
    """The names as an image sequence, if they differ by a running number."""
    if (
        len(digits) < 2
        or not all(digits)
        or (start and start[-1].isalnum() and not glued and not _GLUED.fullmatch(start))
    ):
        return None
    width = min(map(len, digits))
    numbers = sorted(map(int, digits)) if max(map(len, digits)) <= _WIDTH else [_LAST_NUMBER + 1]
    if numbers[-1] > _LAST_NUMBER or {f"{number:0{width}}" for number in numbers} != set(digits):
        return None
    step = int(np.diff(numbers).min())
    if not step or len(numbers) / ((numbers[-1] - numbers[0]) / step + 1) < _MIN_DENSITY:
        return None
    return FrameNames(start, numbers, ending, width)


def _stem(start: str) -> str:
    stem = start.rstrip("_-. ")
    return "" if _GENERIC.fullmatch(stem) else stem


def _in_order(files: Sequence[str]) -> list[str]:
    return sorted(files, key=lambda name: natural_order(stem_of(name)))
