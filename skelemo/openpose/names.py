"""What the names of OpenPose's files say: which video, which frame, which camera."""

import os
import re
import sys
from array import array
from bisect import bisect_right
from collections import defaultdict
from collections.abc import Iterator, Sequence
from typing import NamedTuple, overload

import numpy as np

from skelemo.text import natural_order

# What follows a stem: "_keypoints.json", or "_keypoints_2.json" for the third camera.
_ENDING = re.compile(r"_keypoints(?:_([0-9]+))?\.json")

# A frame number has this many digits, "%012d" in OpenPose's datumProducer.hpp, and here fits an int32.
_WIDTH = 12
_LAST_NUMBER = f"{2**31 - 1:0{_WIDTH}}"


class FrameNames(Sequence[str]):
    """The names of a video's files, made from their numbers when they are asked for: there are millions of them."""

    __slots__ = ("ending", "numbers", "start")

    def __init__(self, start: str, numbers: Sequence[int], ending: str) -> None:
        self.start, self.ending = start, sys.intern(ending)
        first, last = numbers[0], numbers[-1]
        self.numbers = range(first, last + 1) if last - first + 1 == len(numbers) else array("i", numbers)

    def __len__(self) -> int:
        return len(self.numbers)

    @overload
    def __getitem__(self, index: int) -> str: ...

    @overload
    def __getitem__(self, index: slice) -> tuple[str, ...]: ...

    def __getitem__(self, index: int | slice) -> str | tuple[str, ...]:
        if isinstance(index, slice):
            return tuple(f"{self.start}{number:0{_WIDTH}}{self.ending}" for number in self.numbers[index])
        return f"{self.start}{self.numbers[index]:012}{self.ending}"

    def __iter__(self) -> Iterator[str]:
        return iter(self[:])

    def __eq__(self, other: object) -> bool:
        return isinstance(other, Sequence) and tuple(self) == tuple(other)

    def __hash__(self) -> int:
        return hash(tuple(self))


class Group(NamedTuple):
    """Files of one folder that belong together, in order."""

    stem: str  # "" where they have none but their numbers
    view: str  # "" for the first camera, else the number that OpenPose gives another
    files: Sequence[str]


def group(names: Sequence[str], sequence: bool = False) -> Iterator[Group]:
    """Sort the names in a folder into videos, by stem and camera, and stills. Names not of OpenPose's are left out.

    A video's files are in the order of their numbers. A file without a frame number is a still of its own, or with
    `sequence` one of a camera's stills in natural order. Names are read from the right, because a stem may hold digits
    and underscores too, and in bulk, because there may be a million of them.
    """
    if video := _one_video(names):
        yield video
        return
    alike: dict[tuple[str, str], list[str]] = defaultdict(list)
    for name in names:
        end = name.rfind("_keypoints")
        middle = max(end - _WIDTH, 0)
        alike[name[:middle], name[end:]].append(name[middle:end])
    stills: dict[str, list[str]] = defaultdict(list)
    for (start, ending), middles in alike.items():
        if found := _ENDING.fullmatch(ending):
            view = found[1] or ""
            frames = _frame_numbers(middles) if not start or start[-1] == "_" else []
            if frames:
                yield Group(start[:-1], view, FrameNames(start, tuple(map(int, frames)), ending))
            if len(frames) < len(middles):
                stills[view] += (f"{start}{middle}{ending}" for middle in set(middles).difference(frames))
    for view, files in stills.items():
        yield from _stills(view, files, sequence)


def _one_video(names: Sequence[str]) -> Group | None:
    """All the names as one video's, where they differ in their frame number alone; else None."""
    first = names[0] if names else ""
    end = first.rfind("_keypoints")
    middle = end - _WIDTH
    start, ending, together = first[: max(middle, 0)], first[end:], "".join(names)
    found = _ENDING.fullmatch(ending)
    whole = set(map(len, names)) == {len(first)} and together.isascii()
    if not found or not whole or middle < 0 or (start and start[-1] != "_"):
        return None
    letters = np.frombuffer(together.encode(), np.uint8).reshape(len(names), -1)
    digits = letters[:, middle:end] - ord("0")
    alike = (letters[:, :middle] == letters[0, :middle]).all() and (letters[:, end:] == letters[0, end:]).all()
    numbers = np.zeros(len(names), np.int64)
    for place in range(_WIDTH):
        numbers = numbers * 10 + digits[:, place]
    if not alike or digits.max() > 9 or numbers.max() > int(_LAST_NUMBER):
        return None
    return Group(start[:-1], found[1] or "", FrameNames(start, np.sort(numbers).tolist(), ending))


def _frame_numbers(texts: list[str]) -> list[str]:
    """Those texts, none longer than a frame's number, that are one; sorted."""
    together = "".join(texts)
    if len(together) < _WIDTH * len(texts) or not (together.isdecimal() and together.isascii()):
        texts = [text for text in texts if len(text) == _WIDTH and text.isdecimal() and text.isascii()]
    numbers = sorted(texts)
    return numbers[: bisect_right(numbers, _LAST_NUMBER)]


def _stills(view: str, files: list[str], sequence: bool) -> Iterator[Group]:
    stem = {name: name[: name.rfind("_keypoints")] for name in files}
    files = sorted(files, key=lambda name: natural_order(stem[name]))
    if sequence:
        yield Group("", view, tuple(files))
    else:
        yield from (Group(stem[name], view, (name,)) for name in files)


def printable(name: str) -> str:
    """A name that can be encoded: bytes that are not UTF-8 become replacement characters, all else stays as it is."""
    return os.fsencode(name).decode("utf-8", "replace")
