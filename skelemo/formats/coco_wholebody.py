"""Keypoints of COCO and related formats in JSON, recognized by content.

- COCO's results and AlphaPose's: a list of ``{"image_id" or "file_name", "keypoints": [x, y, score] * N}``; 17 points
  may have ``foot_kpts``, ``face_kpts``, ``lefthand_kpts``, ``righthand_kpts`` beside them.
- COCO's annotations: ``{"images": [...], "annotations": [...]}`` of the same, where v is 0 (not labeled), 1 (hidden)
  or 2 (visible): confidence 0, 0.5 and 1 (https://github.com/jin-s13/COCO-WholeBody, data_format.md).
- MMPose's predictions: ``{"instance_info": [{"frame_id", "instances": [{"keypoints", "keypoint_scores"}]}]}`` from its
  demos, which count from 1, or just that list from its inferencers, which count from 0.
- OpenPifPaf's predictions of a video: a line ``{"frame", "predictions": [{"keypoints"}]}`` for each frame.
- Kinetics-skeleton: ``{"data": [{"frame_index", "skeleton": [{"pose": [x, y] * 18, "score"}]}]}``, relative to the
  image size.

N is 17 (COCO), 26 or 136 (Halpe) or 133 (COCO-WholeBody), in the order of `_ORDERS`. Body and feet are mapped to the
layout's body by name, with Neck and MidHip as midpoints of shoulders and hips; the face is iBUG's 68 points, without
FACE_70's pupils; hands have OpenPose's order. Images are frames: ``day 1/walk_0012.jpg`` is frame 12 of
``day 1/walk``; a plain number is a frame of the recording named after the file. ``width`` and ``height`` are used if
all images of a recording agree. ``track_id``, ``idx`` and ``id_`` are identities.
"""

import re
from collections.abc import Iterable, Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np

from skelemo.errors import InputError
from skelemo.formats.keypoint_files import Clip, read_json
from skelemo.formats.registry import IMPORTS, Files
from skelemo.openpose.schema import identity_of
from skelemo.skeleton import FACE_70, HAND_LEFT, HAND_RIGHT, Layout
from skelemo.skeleton.mapping import COCO_BODY, COCO_LISTS, body_of, in_layout

_POINTS, _BODY, _FEET = 133, 17, 6
_LAST_NUMBER = 2**31 - 1
#: Index in COCO-WholeBody's 133 points of each point, -1 for none, by the number of points. Halpe:
#: https://github.com/Fang-Haoshu/Halpe-FullBody; 18 are OpenPose's COCO, as in Kinetics-skeleton.
_HALPE = (*range(17), -1, -1, -1, 17, 20, 18, 21, 19, 22)
_ORDERS: dict[int, tuple[int, ...]] = {
    17: tuple(range(17)),
    18: (0, -1, 6, 8, 10, 5, 7, 9, 12, 14, 16, 11, 13, 15, 2, 1, 4, 3),
    26: _HALPE,
    133: tuple(range(133)),
    136: (*_HALPE, *range(23, 133)),
}
_FRAME = re.compile(r"(.*?)[-_. ]*([0-9]+)")


class _Frame(NamedTuple):
    video: str
    number: int
    size: tuple[int, int] = (0, 0)  # width and height of the picture


class _Person(NamedTuple):
    points: np.ndarray  # [133, 3]
    identity: int


class _EntryError(Exception):
    """An invalid entry; the message follows the entry's name."""


@IMPORTS.register("coco_wholebody", Files((".json",)))
@IMPORTS.register("alphapose", Files((".json",)))
@IMPORTS.register("mmpose", Files((".json",)))
@IMPORTS.register("openpifpaf", Files((".json", ".jsonl")))
@IMPORTS.register("kinetics_skeleton", Files((".json",)))
def read(file: Path, layout: Layout, size: tuple[int, int]) -> list[Clip]:
    """Read the recordings of a file; coordinates are pixels, or relative to the image size in Kinetics-skeleton.

    Raises `InputError`: not JSON, or not one of the formats above; the message names the entry.
    """
    content = read_json(file)
    people: dict[str, dict[int, list[_Person]]] = {}  # by video and frame
    sizes: dict[str, set[tuple[int, int]]] = {}
    for frame, person in _entries(file, content):
        here = people.setdefault(frame.video, {}).setdefault(frame.number, [])
        here += [person] if person else []
        sizes.setdefault(frame.video, set()).update([frame.size] if all(frame.size) else [])
    if not people:
        raise InputError(f"{file}: no frames; expected results or annotations in COCO's format")
    return [
        replace(
            _clip(video, frames, layout, sizes[video]),
            first_frame=_first_frame(content, frames),
            scale="unit" if isinstance(content, dict) and "data" in content else "pixels",
        )
        for video, frames in people.items()
    ]


def _first_frame(content: Any, numbers: Iterable[int]) -> int | None:
    """The number of a video's first frame, if the format defines it.

    MMPose: ``frame_idx`` in demo/topdown_demo_with_mmdet.py and demo/bottomup_demo.py; ``_finalize_video_processing``
    in mmpose/apis/inferencers/base_mmpose_inferencer.py.
    """
    if isinstance(content, dict) and ("instance_info" in content or "data" in content):
        return min(1, min(numbers))  # with a frame 0, another program wrote the demos' format
    return 0 if _is_mmpose(content) else None


def _clip(video: str, frames: dict[int, list[_Person]], layout: Layout, sizes: set[tuple[int, int]]) -> Clip:
    number = np.array(sorted(frames), np.int32)
    people = [person for frame in number.tolist() for person in frames[frame]]
    points = np.array([person.points for person in people], np.float32).reshape(len(people), _POINTS, 3)
    hands = {HAND_LEFT.name: points[:, 91:112], HAND_RIGHT.name: points[:, 112:]}
    parts = body_of(layout, points[:, :23], COCO_BODY) | {FACE_70.name: points[:, 23:91], **hands}
    identity = np.array([person.identity for person in people], np.int64)
    owner = np.repeat(np.arange(len(number)), [len(frames[frame]) for frame in number.tolist()])
    size = min(sizes) if len(sizes) == 1 else (0, 0)
    known = identity if (identity >= 0).any() else None
    return Clip(video, number, owner, in_layout(parts, layout), known, "pixels", size)


def _by_frame(content: Any) -> Any:
    """Convert frames of OpenPifPaf and Kinetics-skeleton to MMPose's; anything else is unchanged."""
    if isinstance(content, dict) and isinstance(content.get("data"), list):
        frames = [one for one in content["data"] if isinstance(one, dict)]
        return [{"frame_id": one.get("frame_index"), "instances": one.get("skeleton")} for one in frames]
    if isinstance(content, list) and content and all(isinstance(one, dict) and "predictions" in one for one in content):
        return [{"frame_id": one.get("frame"), "instances": one["predictions"]} for one in content]
    return content


def _entries(file: Path, content: Any) -> Iterator[tuple[_Frame, _Person | None]]:
    """Yield every frame with each person in it."""
    where = "the file"
    content = _by_frame(content)
    try:
        if isinstance(content, dict) and "instance_info" in content:
            content = content["instance_info"]
        if isinstance(content, dict) and "annotations" in content:
            images = _images(content.get("images"))
            yield from ((frame, None) for frame in images.values())
            for index, entry in enumerate(_list(content["annotations"])):
                where = f"annotation {index}"
                yield _place(entry, images), _Person(_by_visibility(_flat(entry)), _identity(entry))
        elif _is_mmpose(content):
            one_frame = [{"frame_id": 0, "instances": content}]
            for index, frame in enumerate(content if "instances" in content[0] else one_frame):
                where = f"frame {index}"
                number = _whole(frame.get("frame_id") if isinstance(frame, dict) else None, "frame_id")
                yield _Frame("", number), None
                for one in _list(frame.get("instances")):
                    yield _Frame("", number), _Person(_points(one), _identity(one))
        else:
            for index, entry in enumerate(_list(content)):
                where = f"entry {index}"
                yield _place(entry, {}), _Person(_flat(entry), _identity(entry))
    except _EntryError as fault:
        raise InputError(f"{file}, {where}: {fault}") from None


def _is_mmpose(content: Any) -> bool:
    first = content[0] if isinstance(content, list) and content else None
    return isinstance(first, dict) and ("instances" in first or "keypoint_scores" in first)


def _images(listed: Any) -> dict[Any, _Frame]:
    """Frames by image id."""
    images = {}
    for image in _list(listed):
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
        raise _EntryError(f"image_id {str(image)[:40]!r} is not in images")
    return _frame_of(entry.get("file_name", image))


def _frame_of(name: Any) -> _Frame:
    """The frame of an image's name or number."""
    if isinstance(name, str):
        *folders, last = name.replace("\\", "/").split("/")
        found = _FRAME.fullmatch(last.rsplit(".", 1)[0] if "." in last else last)
        if not found or "\0" in name:
            raise _EntryError(f"image {name[:80]!r}: the name does not end in a frame number")
        video = "/".join(filter(None, [*folders, found[1]]))
        return _Frame(video, _whole(int(found[2]) if len(found[2]) < 20 else None, "the frame number of an image"))
    return _Frame("", _whole(name, "image_id"))


def _whole(number: Any, name: str) -> int:
    if type(number) is not int or not 0 <= number <= _LAST_NUMBER:
        raise _EntryError(f"{name} is {str(number)[:40]!r}; expected a whole number from 0 to {_LAST_NUMBER}")
    return number


def _identity(entry: Any) -> int:
    """COCO's ``track_id``, AlphaPose's ``idx`` or OpenPifPaf's ``id_``; -1 if there is none."""
    return identity_of(next((entry[name] for name in ("track_id", "idx", "id_") if name in entry), None))


def _list(value: Any) -> list[Any]:
    if not isinstance(value, list):
        raise _EntryError(f"is {type(value).__name__}; expected a list")
    return value


def _points(one: Any) -> np.ndarray:
    """The 133 points of a person in a list of frames."""
    if not isinstance(one, dict):
        raise _EntryError("an instance is not an object")
    if "pose" in one:
        xy, scores = (_numbers(one, name, None) for name in ("pose", "score"))
        if xy.size != 36 or scores.size != 18:
            raise _EntryError(f"pose has {xy.size} numbers and score {scores.size}; expected 36 and 18")
        return _in_order(np.column_stack([xy.reshape(18, 2), scores]))
    return _scored(one) if "keypoint_scores" in one else _flat(one)


def _flat(entry: Any) -> np.ndarray:
    """The 133 points of an entry in COCO's format, float64 ``[133, 3]``."""
    points = _numbers(entry, "keypoints", None)
    if points.size != 3 * _BODY:
        if points.size % 3 or points.size // 3 not in (26, 133, 136):
            raise _EntryError(
                f"keypoints has {points.size} numbers; expected {3 * _POINTS} (x, y, score of 133 points), 51, 78 or "
                "408 of 17, 26 or 136 points"
            )
        return _in_order(points.reshape(-1, 3))
    pieces = [points, _numbers(entry, "foot_kpts", _FEET)]
    pieces += [_numbers(entry, name, count) for name, (_, count) in COCO_LISTS.items()]
    return np.concatenate(pieces).reshape(_POINTS, 3)


def _scored(one: dict[str, Any]) -> np.ndarray:
    """The 133 points of an instance of MMPose."""
    points, scores = (_numbers(one, name, None, axes) for name, axes in (("keypoints", 2), ("keypoint_scores", 1)))
    if points.shape[1] not in (2, 3) or points.shape[:1] != scores.shape or len(points) not in (17, 26, 133, 136):
        raise _EntryError(
            f"keypoints are {list(points.shape)} and keypoint_scores {list(scores.shape)}; "
            "expected [N, 2] and [N] with N = 17, 26, 133 or 136"
        )
    return _in_order(np.column_stack([points[:, :2], scores]))


def _in_order(points: np.ndarray) -> np.ndarray:
    """Reorder points ``[N, 3]`` to COCO-WholeBody's ``[133, 3]``."""
    order = np.array(_ORDERS[len(points)])
    made = np.zeros((_POINTS, 3))
    made[order[order >= 0]] = points[order >= 0]
    return made


def _numbers(entry: Any, name: str, points: int | None, axes: int = 1) -> np.ndarray:
    """A list of finite numbers; zeros if it is missing and ``points`` is given."""
    numbers = entry.get(name)
    if numbers is None and points is not None:
        return np.zeros(3 * points)
    try:
        found = np.array(numbers)
    except ValueError:
        raise _EntryError(f"{name} is ragged") from None
    if found.dtype.kind not in "iuf" or found.ndim != axes or not np.isfinite(found).all():
        raise _EntryError(f"{name} is not a list of numbers")
    if points is not None and found.size != 3 * points:
        raise _EntryError(f"{name} has {found.size} numbers; expected {3 * points}")
    return found.astype(np.float64)


def _by_visibility(points: np.ndarray) -> np.ndarray:
    """Convert COCO's visibility v to a confidence; values below 1 are confidences already."""
    visible = points[:, 2]
    return np.column_stack([points[:, :2], np.where(visible >= 1, visible / 2, visible)])
