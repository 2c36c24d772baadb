"""The lists of ABAW's multi-task challenge (s-Aff-Wild2): one line per selected frame.

``<video>/00001.jpg,valence,arousal,expression,au1,…,au26`` under a header; 00001.jpg is the video's first frame,
OpenPose's frame 0. -5 for valence or arousal, and -1 for the expression or an action unit, mean unlabeled.
"""

import re
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np

from skelemo.annotations.files import read_rows
from skelemo.annotations.registry import SUBSETS, Annotation, Annotations
from skelemo.errors import InputError
from skelemo.targets import AU, EMOTIONS, EXPRESSION, VA

_LIST = re.compile(r"(train|val|test)(?:ing|idation)?_set(?:_annotations)?\.txt$", re.IGNORECASE)
_ROW = re.compile(
    r"(?P<video>[^,]+)/0*(?P<image>[1-9]\d{0,8})\.\w+,(?P<valence>[^,]+),(?P<arousal>[^,]+),(?P<class>[^,]+)"
    r"(?P<units>(?:,\s*-?[01](?:\.0*)?)*)\s*$"
)
_PERSON = re.compile(r"_(left|right)$")
_ORDER = ("neutral", "anger", "disgust", "fear", "happiness", "sadness", "surprise", "other")
_CLASSES = (*EMOTIONS, "other")
_INDEX = {float(number): _CLASSES.index(name) for number, name in enumerate(_ORDER)} | {-1.0: -1}
_NO_VA = -5.0


def is_list(file: Path) -> bool:
    """Whether a file is named like one of the lists: ``train_set.txt``, ``validation_set_annotations.txt``, …"""
    return _LIST.match(file.name) is not None


def split_person(name: str) -> tuple[str, str]:
    """Video and person of a label's name; the labels of two people are ``<video>_left`` and ``<video>_right``."""
    suffix = _PERSON.search(name)
    return (name[: suffix.start()], suffix[1]) if suffix else (name, "")


def read_lists(files: list[Path]) -> Annotations:
    """Read the lists into one annotation per video and person, with a row per listed frame.

    Raises `InputError`: a line is invalid, a frame is listed twice, or a video is in two lists.
    """
    listed_in: dict[str, Path] = {}
    items = []
    for file in files:
        for name, rows in _read_list(file).items():
            video, person = split_person(name)
            if listed_in.setdefault(video, file) != file:
                raise InputError(f"{video}: listed in {listed_in[video]} and in {file}; expected one subset per video")
            items.append(_annotation(video, person, rows, file))
    if not items:
        raise InputError(f"{files[0]}: the list is empty")
    heads = (replace(EXPRESSION, outputs=_CLASSES), VA, AU)
    used = [head for head in heads if any(head.labeled(item.labels[head.name]).any() for item in items)]
    return Annotations(tuple(used), tuple(items))


@dataclass(frozen=True)
class _Row:
    number: int
    label: int
    va: tuple[float, float]
    units: tuple[int, ...]


def _read_list(file: Path) -> dict[str, list[_Row]]:
    """The lines of a list, by video."""
    _, rows, lines = read_rows(file)
    videos: dict[str, list[_Row]] = {}
    for row, line in zip(rows, lines, strict=True):
        cells = _ROW.match(row)
        try:
            if not cells:
                raise ValueError(row)
            units = tuple(int(float(unit)) for unit in cells["units"].split(",")[1:])
            if len(units) not in (0, len(AU)):
                raise ValueError(row)
            va = _va(float(cells["valence"]), float(cells["arousal"]))
            labels = _Row(int(cells["image"]) - 1, _INDEX[float(cells["class"])], va, units or (-1,) * len(AU))
        except (ValueError, KeyError):
            raise InputError(
                f"{file}, line {line}: {row[:80]!r} found; expected video/00001.jpg, valence and arousal in [-1, 1] "
                f"(-5 for none), a class from 0 to 7 (-1 for none), and {len(AU)} action units or none"
            ) from None
        videos.setdefault(cells["video"].replace("\\", "/").rsplit("/", 1)[-1], []).append(labels)
    return videos


def _va(valence: float, arousal: float) -> tuple[float, float]:
    if _NO_VA in (valence, arousal):
        return np.nan, np.nan
    if abs(valence) <= 1 and abs(arousal) <= 1:
        return valence, arousal
    raise ValueError(valence, arousal)


def _annotation(video: str, person: str, rows: list[_Row], file: Path) -> Annotation:
    rows.sort(key=lambda row: row.number)
    number = np.array([row.number for row in rows], np.int32)
    repeated = np.flatnonzero(np.diff(number) == 0)
    if len(repeated):
        raise InputError(f"{file}: image {number[repeated[0]] + 1:05d} of {video} is listed twice")
    name = _LIST.match(file.name)
    subset = SUBSETS[name[1].lower()] if name else "train"
    labels: dict[str, np.ndarray] = {
        EXPRESSION.name: np.array([row.label for row in rows], np.int16),
        VA.name: np.array([row.va for row in rows], np.float32),
        AU.name: np.array([row.units for row in rows], np.int8),
    }
    splits = dict.fromkeys(("expr", "va", "au", "split"), subset)
    return Annotation(video=video, person=person, splits=splits, number=number, labels=labels, source=str(file))
