"""Keypoints in COCO-WholeBody's 133 points, as JSON of three kinds.

- COCO's results: a list of ``{"image_id" or "file_name", "keypoints": [x, y, score] * 133}``; or ``keypoints`` for 17
  body points with ``foot_kpts``, ``face_kpts``, ``lefthand_kpts``, ``righthand_kpts`` beside them.
- COCO's annotations: ``{"images": [...], "annotations": [...]}`` of the same, where v is 0 (not labelled), 1 (hidden)
  or 2 (visible): confidence 0, 0.5 and 1 (https://github.com/jin-s13/COCO-WholeBody, data_format.md).
- MMPose's predictions: ``{"instance_info": [{"frame_id", "instances": [{"keypoints", "keypoint_scores"}]}]}`` of its
  demos, which count from 1, or that list alone, of its inferencers, which count from 0.

Body and feet become the layout's body by name, with Neck and MidHip halfway between shoulders and hips; the face is
iBUG's 68 points, without FACE_70's pupils; hands have OpenPose's order. Images are frames: ``day 1/walk_0012.jpg`` is
frame 12 of ``day 1/walk``, a number alone is a frame of the file's recording. Their ``width`` and ``height`` are the
recording's where all of its images that have them agree.
``track_id`` and ``idx`` are identities.
"""

import re
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import orjson

from skelemo.errors import InputError
from skelemo.formats.keypoint_files import Clip
from skelemo.formats.mapping import COCO_BODY, COCO_LISTS, body_of, in_layout
from skelemo.formats.registry import FORMATS, Format
from skelemo.skeleton import FACE_70, HAND_LEFT, HAND_RIGHT, Layout

_POINTS, _BODY, _FEET = 133, 17, 6
_LAST_NUMBER = 2**31 - 1
_FRAME = re.compile(r"(.*?)[-_. ]*([0-9]+)")


class _Frame(NamedTuple):
    video: str
    number: int
    size: tuple[int, int] = (0, 0)  # width and height of the picture


class _Person(NamedTuple):
    video: str
    number: int
    points: np.ndarray  # [133, 3]
    identity: int


class _EntryError(Exception):
    """What is wrong with an entry; goes on from its name."""


@FORMATS.register("coco_wholebody", Format("import", "COCO-WholeBody, or predictions of MMPose", (".json",)))
def read(file: Path, layout: Layout, size: tuple[int, int]) -> list[Clip]:
    """The recordings of a file; coordinates are pixels, whatever the size.

    Raises
    ------
    InputError
        Not JSON, or not of a kind that is described here; the message names the entry.
    """
    try:
        told = orjson.loads(file.read_bytes())
    except orjson.JSONDecodeError as error:
        raise InputError(f"{file}: not JSON ({error})") from None
    frames: dict[str, set[int]] = {}
    people: dict[str, list[_Person]] = {}
    sizes: dict[str, set[tuple[int, int]]] = {}
    for (video, number, told_size), person in _entries(file, told):
        frames.setdefault(video, set()).add(number)
        if person is not None:
            people.setdefault(video, []).append(person)
        if all(told_size):
            sizes.setdefault(video, set()).add(told_size)
    if not frames:
        raise InputError(f"{file}: no frame in it; expected COCO results or annotations, or MMPose's predictions")
    return [
        replace(
            _clip(video, sorted(numbers), people.get(video, []), layout, sizes.get(video, set())),
            first_frame=_first_frame(told, numbers),
        )
        for video, numbers in frames.items()
    ]


def _first_frame(told: Any, numbers: set[int]) -> int | None:
    """The number of a video's first frame, where the kind of file says it.

    MMPose: ``frame_idx`` in demo/topdown_demo_with_mmdet.py and demo/bottomup_demo.py; ``_finalize_video_processing``
    in mmpose/apis/inferencers/base_mmpose_inferencer.py.
    """
    if isinstance(told, dict) and "instance_info" in told:
        return min(1, min(numbers))  # a frame 0 is not a demo's: somebody wrote its format and counted from 0
    return 0 if _is_mmpose(told) else None


def _clip(video: str, numbers: list[int], people: list[_Person], layout: Layout, sizes: set[tuple[int, int]]) -> Clip:
    people = sorted(people, key=lambda person: person.number)
    number = np.array(numbers, np.int32)
    points = np.array([person.points for person in people], np.float32).reshape(len(people), _POINTS, 3)
    hands = {HAND_LEFT.name: points[:, 91:112], HAND_RIGHT.name: points[:, 112:]}
    parts = body_of(layout, points[:, :23], COCO_BODY) | {FACE_70.name: points[:, 23:91], **hands}
    told = [person.identity for person in people]
    identity = np.array(told, np.int64) if any(one >= 0 for one in told) else None
    owner = np.searchsorted(number, [person.number for person in people])
    size = min(sizes) if len(sizes) == 1 else (0, 0)
    return Clip(video, number, owner, in_layout(parts, layout), identity, "pixels", size)


def _entries(file: Path, told: Any) -> Iterator[tuple[_Frame, _Person | None]]:
    """Each frame, with each person in it."""
    where = "the file"
    try:
        if isinstance(told, dict) and "instance_info" in told:
            told = told["instance_info"]
        if isinstance(told, dict) and "annotations" in told:
            images = _images(told.get("images"))
            yield from ((frame, None) for frame in images.values())
            for index, entry in enumerate(_list(told["annotations"])):
                where = f"annotation {index}"
                place = _place(entry, images)
                yield place, _Person(place.video, place.number, _by_visibility(_flat(entry)), _identity(entry))
        elif _is_mmpose(told):
            one_frame = [{"frame_id": 0, "instances": told}]
            for index, frame in enumerate(told if "instances" in told[0] else one_frame):
                where = f"frame {index}"
                number = _whole(frame.get("frame_id") if isinstance(frame, dict) else None, "frame_id")
                yield _Frame("", number), None
                for one in _list(frame.get("instances")):
                    yield _Frame("", number), _Person("", number, _scored(one), _identity(one))
        else:
            for index, entry in enumerate(_list(told)):
                where = f"entry {index}"
                place = _place(entry, {})
                yield place, _Person(place.video, place.number, _flat(entry), _identity(entry))
    except _EntryError as fault:
        raise InputError(f"{file}, {where}: {fault}") from None


def _is_mmpose(told: Any) -> bool:
    return bool(
        isinstance(told, list)
        and told
        and isinstance(told[0], dict)
        and ("instances" in told[0] or "keypoint_scores" in told[0])
    )


def _images(told: Any) -> dict[Any, _Frame]:
    """The frame that each image is, by its id."""
    images = {}
    for image in _list(told):
        if not isinstance(image, dict) or not isinstance(image.get("id"), int | str):
            raise _EntryError("an image has no id")
        frame = _frame_of(image["file_name"]) if "file_name" in image else _frame_of(image["id"])
        width, height = (_whole(image.get(side) or 0, f"the {side} of an image") for side in ("width", "height"))
        images[image["id"]] = frame._replace(size=(width, height))
    return images


def _place(entry: Any, images: dict[Any, _Frame]) -> _Frame:
    if not isinstance(entry, dict):
        raise _EntryError(f"is {type(entry).__name__}; expected an object with keypoints")
    image = entry.get("image_id")
    if isinstance(image, int | str) and image in images:
        return images[image]
    if images:
        raise _EntryError(f"image_id {str(image)[:40]!r} is none of the images")
    return _frame_of(entry.get("file_name", image))


def _frame_of(name: Any) -> _Frame:
    """The frame that an image's name or number stands for."""
    if isinstance(name, str):
        *folders, last = name.replace("\\", "/").split("/")
        found = _FRAME.fullmatch(last.rsplit(".", 1)[0] if "." in last else last)
        if not found or "\0" in name:
            raise _EntryError(f"image {name[:80]!r} has no frame number at the end of its name")
        video = "/".join(filter(None, [*folders, found[1]]))
        return _Frame(video, _whole(int(found[2]) if len(found[2]) < 20 else None, "the frame number of an image"))
    return _Frame("", _whole(name, "image_id"))


def _whole(number: Any, name: str) -> int:
    if type(number) is not int or not 0 <= number <= _LAST_NUMBER:
        raise _EntryError(f"{name} is {str(number)[:40]!r}; expected a whole number from 0 to {_LAST_NUMBER}")
    return number


def _identity(entry: Any) -> int:
    """COCO's ``track_id`` or AlphaPose's ``idx``; -1 where there is none."""
    told = entry.get("track_id", entry.get("idx"))
    told = told[0] if isinstance(told, list) and len(told) == 1 else told
    return int(told) if type(told) in (int, float) and 0 <= told < 2**62 and told == int(told) else -1


def _list(told: Any) -> list[Any]:
    if not isinstance(told, list):
        raise _EntryError(f"is {type(told).__name__} where a list is expected")
    return told


def _flat(entry: Any) -> np.ndarray:
    """All 133 points of an entry of COCO's, float64 ``[133, 3]``."""
    points = _numbers(entry, "keypoints", None)
    if points.size == 3 * _POINTS:
        return points.reshape(_POINTS, 3)
    if points.size != 3 * _BODY:
        raise _EntryError(
            f"keypoints has {points.size} numbers; expected {3 * _POINTS} (x, y, score of 133 points), "
            f"or {3 * _BODY} of the body with foot_kpts, face_kpts, lefthand_kpts, righthand_kpts"
        )
    pieces = [points, _numbers(entry, "foot_kpts", _FEET)]
    pieces += [_numbers(entry, name, count) for name, (_, count) in COCO_LISTS.items()]
    return np.concatenate(pieces).reshape(_POINTS, 3)


def _scored(one: Any) -> np.ndarray:
    """All 133 points of an instance of MMPose's."""
    if not isinstance(one, dict):
        raise _EntryError("an instance is no object")
    points, scores = (_numbers(one, name, None, axes) for name, axes in (("keypoints", 2), ("keypoint_scores", 1)))
    if points.shape not in ((_POINTS, 2), (_POINTS, 3)) or scores.shape != (_POINTS,):
        raise _EntryError(
            f"keypoints are {list(points.shape)} and keypoint_scores {list(scores.shape)}; "
            f"expected [{_POINTS}, 2] and [{_POINTS}] of a whole-body model"
        )
    return np.concatenate([points[:, :2], scores[:, None]], axis=1)


def _numbers(entry: Any, name: str, points: int | None, axes: int = 1) -> np.ndarray:
    """A list of finite numbers; zeros for one that is not there where it is known how many it would have."""
    told = entry.get(name)
    if told is None and points is not None:
        return np.zeros(3 * points)
    try:
        found = np.array(told)
    except ValueError:
        raise _EntryError(f"{name} is ragged") from None
    if found.dtype.kind not in "iuf" or found.ndim != axes or not np.isfinite(found).all():
        raise _EntryError(f"{name} is not a list of numbers")
    if points is not None and found.size != 3 * points:
        raise _EntryError(f"{name} has {found.size} numbers; expected {3 * points}")
    return found.astype(np.float64)


def _by_visibility(points: np.ndarray) -> np.ndarray:
    """Points with a confidence for COCO's v; below 1 it is a confidence already."""
    visible = points[:, 2]
    return np.concatenate([points[:, :2], np.where(visible >= 1, visible / 2, visible)[:, None]], axis=1)
