"""The lists of ABAW's multi-task challenge (s-Aff-Wild2): one line per chosen frame of any video.

``<video>/00001.jpg,valence,arousal,expression,au…`` under a header; 00001.jpg is the video's first frame, OpenPose's
frame 0. -5 for valence or arousal and -1 for the expression mean that there is none.
"""

import re
from pathlib import Path

import numpy as np

from skelemo.annotations.files import read_rows
from skelemo.annotations.registry import EMOTIONS, PARTS, Annotation, Annotations
from skelemo.errors import InputError

_LIST = re.compile(r"(train|val|test)(?:ing|idation)?_set(?:_annotations)?\.txt$", re.IGNORECASE)
_ROW = re.compile(
    r"(?P<video>[^,]+)/0*(?P<image>[1-9]\d{0,8})\.\w+,(?P<valence>[^,]+),(?P<arousal>[^,]+),(?P<class>[^,]+)"
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
    """Video and person of a label's name: two people in a video have labels ``<video>_left`` and ``<video>_right``."""
    suffix = _PERSON.search(name)
    return (name[: suffix.start()], suffix[1]) if suffix else (name, "")


def read_lists(files: list[Path]) -> Annotations:
    """Read the lists into one annotation per video and person, with a row for each frame that is listed.

    Raises
    ------
    InputError
        A line is not of the form above, a frame is listed twice, or a video is in two lists.
    """
    place: dict[str, Path] = {}
    items = []
    for file in files:
        for name, rows in _read_list(file).items():
            video, person = split_person(name)
            if place.setdefault(video, file) != file:
                raise InputError(f"{video}: listed in {place[video]} and in {file}; a video belongs to one part")
            items.append(_annotation(video, person, rows, file))
    if not items:
        raise InputError(f"{files[0]}: the list names no frames")
    return Annotations(_CLASSES, tuple(items))


def _read_list(file: Path) -> dict[str, list[tuple[int, int, float, float]]]:
    """Frame number, class, valence and arousal of every line, by video."""
    _, rows, lines = read_rows(file)
    videos: dict[str, list[tuple[int, int, float, float]]] = {}
    for row, line in zip(rows, lines, strict=True):
        parts = _ROW.match(row)
        try:
            if not parts:
                raise ValueError(row)
            valence, arousal = _va(float(parts["valence"]), float(parts["arousal"]))
            labels = (int(parts["image"]) - 1, _INDEX[float(parts["class"])], valence, arousal)
        except (ValueError, KeyError):
            raise InputError(
                f"{file}, line {line}: {row[:80]!r} found; expected video/00001.jpg, valence and arousal in [-1, 1] "
                "(-5 for none), a class from 0 to 7 (-1 for none)"
            ) from None
        videos.setdefault(parts["video"].replace("\\", "/").rsplit("/", 1)[-1], []).append(labels)
    return videos


def _va(valence: float, arousal: float) -> tuple[float, float]:
    if _NO_VA in (valence, arousal):
        return np.nan, np.nan
    if abs(valence) <= 1 and abs(arousal) <= 1:
        return valence, arousal
    raise ValueError(valence, arousal)


def _annotation(video: str, person: str, rows: list[tuple[int, int, float, float]], file: Path) -> Annotation:
    rows.sort(key=lambda row: row[0])
    number, expression, valence, arousal = (np.array(column) for column in zip(*rows, strict=True))
    repeated = np.flatnonzero(np.diff(number) == 0)
    if len(repeated):
        raise InputError(f"{file}: image {number[repeated[0]] + 1:05d} of {video} is listed twice")
    name = _LIST.match(file.name)
    part = PARTS[name[1].lower()] if name else "train"
    return Annotation(
        video=video,
        person=person,
        splits={"expr": part, "va": part, "split": part},
        number=number.astype(np.int32),
        expression=expression.astype(np.int8),
        valence=valence.astype(np.float32),
        arousal=arousal.astype(np.float32),
        source=str(file),
    )
