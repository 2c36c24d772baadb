"""MediaPipe's landmarks in JSON, as written by common converters: MediaPipe defines no format of its own.

- A recording is a list of frames, JSON lines, an object ``{"frames": [...]}`` (or ``landmarks``, ``data``,
  ``results``), optionally with ``width`` and ``height``, an object of frames by number (``"12"``, ``"frame_0012"``), an
  object with a list over frames for each kind, or ``{"persons": {ID: recording}}``.
- A frame has ``pose_landmarks``, ``face_landmarks``, ``left_hand_landmarks`` and ``right_hand_landmarks`` (or
  ``pose``, ``leftHandLandmarks`` and the like), or just landmarks, whose number implies the kind. Its number is
  ``frame``, ``frame_id``, ``frame_index``, ``frame_idx``, ``frame_number``, ``frame_num`` or its index in the list.
  It may have several people: ``{"people": [...]}``, or a list of people for each kind, as from the Tasks API.
- Landmarks are ``{"x", "y", "z", "visibility"}``, ``[x, y, z, visibility]``, a flat list of these numbers, an object by
  names of the pose (``"LEFT_WRIST"``), or any of these under ``landmark`` (protobuf). ``null`` or empty is missing.

Visibility is used for the pose only: MediaPipe has none for faces and hands, and converters write 0. World landmarks
(meters) are ignored.
"""

import math
import re
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np

from skelemo.errors import InputError
from skelemo.formats.keypoint_files import read_json
from skelemo.openpose.files import image_size
from skelemo.skeleton.mapping import LANDMARKS

#: Possible numbers of landmarks: the face mesh comes with or without irises.
COUNTS = {"pose": (33,), "face": (468, 478), "left_hand": (21,), "right_hand": (21,)}
#: Index of the first landmark of each kind among those of all kinds.
STARTS = dict(zip(LANDMARKS, np.cumsum([0, *LANDMARKS.values()]).tolist(), strict=False))
#: Kinds by their keys in lower case, without ``_`` and ``landmarks``.
_KINDS = {"pose": "pose", "body": "pose", "face": "face", "multiface": "face", "lefthand": "left_hand",
          "righthand": "right_hand"}  # fmt: skip
_FRAMES = ("frames", "landmarks", "data", "results")
_PEOPLE = ("people", "persons", "poses")
_NUMBERS = ("frame", "frame_id", "frame_index", "frame_idx", "frame_number", "frame_num")
_INDICES = ("landmark_index", "point_index", "index", "idx", "id")
_FRAME_KEY = re.compile(r"(?:frame[-_ ]?)?([0-9]{1,9})", re.ASCII | re.IGNORECASE)
_LAST_NUMBER = 2**31 - 1
#: PoseLandmark of mediapipe/python/solutions/pose.py, in its order.
_EYES = "EYE_INNER EYE EYE_OUTER"
_SIDES = "SHOULDER ELBOW WRIST PINKY INDEX THUMB HIP KNEE ANKLE HEEL FOOT_INDEX"
POSE_NAMES = (
    "NOSE",
    *(f"{side}_{name}" for side in ("LEFT", "RIGHT") for name in _EYES.split()),
    *("LEFT_EAR", "RIGHT_EAR", "MOUTH_LEFT", "MOUTH_RIGHT"),
    *(f"{side}_{name}" for name in _SIDES.split() for side in ("LEFT", "RIGHT")),
)


class Content(NamedTuple):
    """The landmarks of a file."""

    frames: np.ndarray  # int64 [F], the numbers of all frames
    frame: np.ndarray  # int64 [P], each person's frame
    person: np.ndarray  # int64 [P], each person's identity
    landmarks: np.ndarray  # float32 [P, landmarks of all kinds, 3]
    size: tuple[int, int]  # width and height of the image; (0, 0) for unknown


class _FrameError(Exception):
    """An invalid frame; the message follows the frame's number."""


def read(file: Path) -> Content:
    """Read the landmarks of a file.

    Raises `InputError`: not JSON, or none of the formats above; the message names the frame.
    """
    document = read_json(file)
    entries = [(who, place, frame) for who, frames in _people(document) for place, frame in enumerate(frames)]
    if not entries:
        raise InputError(f"{file}: no frames; expected frames with pose_landmarks or face_landmarks")
    frames, rows = [], []
    for who, place, (key, frame) in entries:
        number = place if key is None else key
        try:
            number = _number(frame, number)
            frames.append(number)
            for row, person in enumerate(_in_frame(frame)):
                rows.append((number, who if who is not None else row, person))
        except _FrameError as error:
            raise InputError(f"{file}, frame {number}: {error}") from None
    if not any(person for _, _, person in rows) and not _named(document):
        raise InputError(
            f"{file}: no landmarks in any frame; expected pose_landmarks, face_landmarks, left_hand_landmarks or "
            "right_hand_landmarks"
        )
    rows = [row for row in rows if row[2]]
    points = np.zeros((len(rows), sum(LANDMARKS.values()), 3), np.float32)
    for place, (_, _, person) in enumerate(rows):
        for kind, landmarks in person.items():
            points[place, STARTS[kind] : STARTS[kind] + len(landmarks)] = landmarks
    owner, identity = (np.array([row[column] for row in rows], np.int64) for column in (0, 1))
    return Content(np.unique(frames), owner, identity, points, _size(document))


def _people(document: Any) -> Iterator[tuple[int | None, list[tuple[int | None, Any]]]]:
    """Each person's index, None if unnamed, and frames with the numbers in their keys."""
    persons = document.get("persons") if isinstance(document, dict) else None
    if isinstance(persons, dict) and all(isinstance(one, dict) for one in persons.values()):
        for place, one in enumerate(persons.values()):
            yield place, list(_frames(one))
    else:
        yield None, list(_frames(document))


def _frames(document: Any) -> Iterator[tuple[int | None, Any]]:
    if isinstance(document, list):
        yield from [(None, document)] if _is_points(document) else [(None, frame) for frame in document]
        return
    if not isinstance(document, dict):
        return
    parts = _parts(document)
    if parts and all(_is_over_frames(value) for value in parts.values()):
        for place in range(max(map(len, parts.values()))):
            yield None, {f"{kind}_landmarks": value[place] for kind, value in parts.items() if place < len(value)}
        return
    if not parts:
        for key in _FRAMES:
            inside = document.get(key)
            if isinstance(inside, list | dict) and not _is_points(inside):
                yield from _frames(inside)
                return
        numbered = [(found, frame) for key, frame in document.items() if (found := _FRAME_KEY.fullmatch(key))]
        if document and len(numbered) == len(document):
            yield from ((int(found[1]), frame) for found, frame in numbered)
            return
    yield None, document


def _number(frame: Any, otherwise: int) -> int:
    key = next((key for key in _NUMBERS if isinstance(frame, dict) and key in frame), None)
    if key is None:
        return otherwise
    number = frame[key]
    if type(number) not in (int, float) or not 0 <= number <= _LAST_NUMBER or number != int(number):
        raise _FrameError(f"{key} is {str(number)[:40]!r}; expected a whole number from 0 to {_LAST_NUMBER}")
    return int(number)


def _in_frame(frame: Any) -> list[dict[str, np.ndarray]]:
    """The landmarks of each person, float32 ``[landmarks, 3]`` by kind."""
    people = next((frame[key] for key in _PEOPLE if isinstance(frame, dict) and key in frame), None)
    if isinstance(people, list):
        return [one for person in people for one in _in_frame(person)]
    if isinstance(frame, dict) and not _is_points(frame):
        parts = _parts(frame)
        if not parts and (key := next((key for key in _FRAMES if key in frame), "")):
            return _in_frame(frame[key])
    else:
        parts = {"": frame}
    found: list[dict[str, np.ndarray]] = []
    for kind, value in parts.items():
        value = _bare(value)
        several = isinstance(value, list) and value and not _is_points(value)
        for place, one in enumerate(value if several else [value]):
            if (bare := _bare(one)) in (None, [], {}):
                continue
            name, points = _points(kind, bare)
            found += [{} for _ in range(place + 1 - len(found))]
            found[place][name] = points
    return found


def _parts(frame: Mapping[str, Any]) -> dict[str, Any]:
    """A frame's landmarks by kind."""
    words = {key: str(key).lower().replace("_", "").removesuffix("landmarks") for key in frame}
    return {_KINDS[word]: frame[key] for key, word in words.items() if word in _KINDS}


def _named(document: Any) -> bool:
    """Whether any frame has a key for a kind, even if empty: then MediaPipe ran but detected nobody."""
    return any(isinstance(frame, dict) and _parts(frame) for _, frames in _people(document) for _, frame in frames)


def _bare(value: Any) -> Any:
    """Landmarks without protobuf's wrapper objects."""
    while isinstance(value, dict) and len(inside := value.keys() & {"landmark", "landmarks"}) == 1:
        value = value[inside.pop()]
    return value


def _is_point(value: Any) -> bool:
    if isinstance(value, dict):
        return "x" in value and "y" in value
    return isinstance(value, list) and 2 <= len(value) <= 5 and all(type(one) in (int, float) for one in value)


def _is_points(value: Any) -> bool:
    """Whether these are the landmarks of one kind and person."""
    value = _bare(value)
    if isinstance(value, dict):
        return bool(value) and value.keys() <= {*POSE_NAMES} and all(map(_is_point, value.values()))
    return isinstance(value, list) and bool(value) and (_is_point(value[0]) or type(value[0]) in (int, float))


def _is_over_frames(value: Any) -> bool:
    """Whether this is a list over frames."""
    if not isinstance(value, list) or _is_points(value):
        return False
    return any(one is None or _is_points(one) for one in value) or not value


def _points(kind: str, value: Any) -> tuple[str, np.ndarray]:
    """Kind and points ``[landmarks, 3]`` of one person: x, y and confidence, 0 if missing."""
    if isinstance(value, dict):
        unknown = [key for key in value if key not in POSE_NAMES]
        if unknown:
            raise _FrameError(f"{unknown[0]!r} is not a pose landmark; expected NOSE, LEFT_WRIST and the like")
        kind, named = "pose", value
        value = [named.get(name) for name in POSE_NAMES]
    if not isinstance(value, list):
        raise _FrameError(f"{kind or 'landmarks'} is {str(value)[:40]!r}; expected a list of landmarks")
    if value and type(value[0]) in (int, float):
        value = _cut(kind, value)
    counts = [count for counts in ((COUNTS[kind],) if kind else COUNTS.values()) for count in counts]
    indexed = next((key for key in _INDICES if value and all(isinstance(p, dict) and key in p for p in value)), "")
    if not indexed and len(value) not in counts:
        what = " or ".join(map(str, sorted(set(counts))))
        raise _FrameError(f"{kind or 'its landmarks'}: {len(value)} landmarks; expected {what}")
    kind = kind or next((name for name, some in COUNTS.items() if len(value) in some and len(value) != 21), "")
    if not kind:
        raise _FrameError(f"{len(value)} landmarks without a key; expected left_hand_landmarks or right_hand_landmarks")
    points = np.zeros((LANDMARKS[kind], 3), np.float32)
    for place, one in enumerate(value):
        index = one[indexed] if indexed else place
        if type(index) is not int or not 0 <= index < len(points):
            raise _FrameError(f"{kind}: {indexed} is {str(index)[:40]!r}; expected 0 to {len(points) - 1}")
        if one is not None:
            points[index] = _point(kind, index, one)
    return kind, points


def _cut(kind: str, numbers: Sequence[Any]) -> list[Sequence[Any]]:
    """Split a flat list into landmarks."""
    counts = COUNTS[kind] if kind else [count for some in COUNTS.values() for count in some]
    for count in counts:
        each, rest = divmod(len(numbers), count)
        if not rest and each in (2, 3, 4):
            return [numbers[start : start + each] for start in range(0, len(numbers), each)]
    raise _FrameError(f"{kind or 'its landmarks'}: a list of {len(numbers)} numbers; expected 2 to 4 for each landmark")


def _point(kind: str, index: int, landmark: Any) -> tuple[float, float, float]:
    """x, y and confidence of a landmark."""
    if isinstance(landmark, dict):
        x, y, visibility = landmark.get("x"), landmark.get("y"), landmark.get("visibility")
    elif isinstance(landmark, list) and len(landmark) > 1:
        x, y, visibility = (*landmark[:2], landmark[3] if len(landmark) > 3 else None)
    else:
        raise _FrameError(f"{kind} landmark {index} is {str(landmark)[:40]!r}; expected x and y")
    if x is None or y is None:
        return 0.0, 0.0, 0.0
    visibility = 1.0 if visibility is None or kind != "pose" else visibility
    for name, value in (("x", x), ("y", y), ("visibility", visibility)):
        if type(value) not in (int, float) or not math.isfinite(value):
            raise _FrameError(f"{kind} landmark {index}: {name} is {str(value)[:40]!r}; expected a number")
    return x, y, visibility


def _size(document: Any) -> tuple[int, int]:
    """Image size, from the document or an object in it such as metadata; (0, 0) for unknown."""
    for one in (document, *(document.values() if isinstance(document, dict) else ())):
        if isinstance(one, dict) and all(size := image_size(one.get("width"), one.get("height"))):
            return size
    return 0, 0
