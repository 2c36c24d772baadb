"""Keypoints of MediaPipe's pose, face mesh and hands: JSON (`skelemo.formats.mediapipe_json`), CSV or Parquet.

A table is long or wide:

- Long, a row for each landmark: ``frame``, ``type`` (``pose``, ``face``, ``left_hand``, ``right_hand``),
  ``landmark_index``, ``x``, ``y`` and optionally ``visibility``, as in Kaggle's "Isolated Sign Language Recognition".
- Wide, a row for each frame: ``x_pose_0``, ``y_pose_0``, ... ``x_face_467``, as in Kaggle's "ASL Fingerspelling
  Recognition", or ``x_0``, ``y_0``, ... of a type inferred from their number (33 pose, 468 or 478 face), and optionally
  ``visibility_0`` or ``v_0``, ...; without ``frame``, rows count from 0.

Optional columns are ``person``, the identity, and ``video`` or ``sequence_id``, for several recordings in a file. Other
columns are ignored. Landmarks with an empty x or y are missing; confidence is the visibility, or 1. Coordinates are
relative to the image size and converted to pixels if that is known; with a median above 2, they are taken for pixels.
`skelemo.skeleton.mapping.from_mediapipe` maps landmarks to keypoints; z is dropped.
"""

import re
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import NamedTuple

import numpy as np
import pandas as pd

from skelemo.errors import InputError
from skelemo.formats import mediapipe_json
from skelemo.formats.keypoint_files import Clip
from skelemo.formats.mediapipe_json import STARTS
from skelemo.formats.registry import IMPORTS, Files
from skelemo.skeleton import Layout
from skelemo.skeleton.mapping import LANDMARKS, from_mediapipe

_FACE_WITHOUT_IRISES = 468
_WIDE = re.compile(r"(x|y|v|visibility)_(?:(pose|face|left_hand|right_hand)_)?([0-9]{1,4})")
_LAST_NUMBER = 2**31 - 1
#: Coordinates with a larger median are pixels: relative ones are around 0.5.
_MAX_RELATIVE = 2.0


@IMPORTS.register("mediapipe", Files((".csv", ".csv.gz", ".parquet", ".json", ".jsonl")))
def read(file: Path, layout: Layout, size: tuple[int, int]) -> list[Clip]:
    """Read the recordings of a file, in pixels unless the image size (width, height) is 0.

    Raises `InputError`: neither a table nor JSON, a missing column, or an invalid landmark; the message names the
    row or frame.
    """
    if file.name.lower().endswith((".json", ".jsonl")):
        return [_from_json(file, layout, size)]
    table = read_table(file)
    wide = "landmark_index" not in table
    shaped = _from_wide(table, file) if wide else _from_long(table, file)
    first_frame = None if "frame" in table else 0
    clips = []
    videos = video_names(table, ("video", "sequence_id"), file)
    for video in pd.unique(videos):
        rows = _Rows(*(array[videos == video] for array in shaped))
        clips.append(replace(_clip(video, rows, file, layout, size), first_frame=first_frame))
    return clips


class _Rows(NamedTuple):
    """Rows of a table, each with consecutive landmarks of one person in one frame."""

    frame: np.ndarray  # int64 [R]
    person: np.ndarray  # int64 [R]
    place: np.ndarray  # int64 [R], index of the first landmark among those of all types
    points: np.ndarray  # float32 [R, landmarks, 3]


def _clip(video: str, rows: _Rows, file: Path, layout: Layout, size: tuple[int, int]) -> Clip:
    people, row = np.unique(np.stack([rows.frame, rows.person]), axis=1, return_inverse=True)
    row = row.reshape(-1)
    twice = np.flatnonzero(pd.DataFrame({"row": row, "place": rows.place}).duplicated())
    if len(twice):
        raise InputError(f"{file}: frame {rows.frame[twice[0]]} has a duplicate landmark of one person")
    landmarks = np.zeros((people.shape[1], sum(LANDMARKS.values()), 3), np.float32)
    landmarks[row[:, None], rows.place[:, None] + np.arange(rows.points.shape[1])] = rows.points
    return _from_landmarks(video, np.unique(people[0]), people, landmarks, layout, size)


def _from_landmarks(
    video: str, number: np.ndarray, people: np.ndarray, landmarks: np.ndarray, layout: Layout, size: tuple[int, int]
) -> Clip:
    """A recording of frames ``number [F]``; ``people [2, P]`` are the frame and identity of ``landmarks [P, L, 3]``."""
    known = landmarks[landmarks[..., 2] > 0][:, :2]
    in_pixels = len(known) > 0 and float(np.median(np.abs(known))) > _MAX_RELATIVE
    parts = {kind: landmarks[:, start : start + LANDMARKS[kind]] for kind, start in STARTS.items()}
    keypoints = from_mediapipe(layout, parts, relative=not in_pixels)
    if all(size) and not in_pixels:
        keypoints[..., :2] *= size
    identity = people[1] if len(np.unique(people[1])) > 1 else None
    owner = np.searchsorted(number, people[0])
    scale = "pixels" if in_pixels or all(size) else "unit"
    return Clip(video, number.astype(np.int32), owner, keypoints, identity, scale, size if all(size) else (0, 0))


def _from_json(file: Path, layout: Layout, size: tuple[int, int]) -> Clip:
    content = mediapipe_json.read(file)
    order = np.lexsort((content.person, content.frame))
    people = np.stack([content.frame, content.person])[:, order]
    twice = np.flatnonzero((np.diff(people, axis=1) == 0).all(0))
    if len(twice):
        raise InputError(f"{file}: frame {people[0, twice[0]]} occurs twice")
    size = content.size if all(content.size) else size
    return _from_landmarks("", content.frames, people, content.landmarks[order], layout, size)


def read_table(file: Path) -> pd.DataFrame:
    """Read a CSV or Parquet file, with lower-case column names."""
    try:
        if file.suffix == ".parquet":
            from pyarrow import parquet

            table: pd.DataFrame = parquet.ParquetFile(file).read().to_pandas()
            table = table.reset_index() if table.index.name else table
        else:
            table = pd.read_csv(file, encoding="utf-8-sig", low_memory=False)
    except Exception as error:  # pandas and pyarrow propagate errors of gzip and of their own parsing
        reason = (str(error).splitlines() or [type(error).__name__])[0]
        raise InputError(f"{file}: cannot be read as a table ({reason[:200]})") from None
    table.columns = [str(name).strip().lower() for name in table.columns]
    if not len(table):
        raise InputError(f"{file}: the table has no rows")
    twice = table.columns[table.columns.duplicated()]
    if len(twice):
        raise InputError(f"{file}: duplicate column {twice[0]!r}")
    return table


def _from_long(table: pd.DataFrame, file: Path) -> _Rows:
    for name in ("frame", "type", "landmark_index", "x", "y"):
        if name not in table:
            raise InputError(f"{file}: no column {name!r}; expected frame, type, landmark_index, x, y")
    frame, person = whole_numbers(table, "frame", file), _person(table, file)
    index = whole_numbers(table, "landmark_index", file)
    types = table["type"].astype(str).str.strip().str.lower()
    known = types.isin(list(LANDMARKS)).to_numpy()
    _require(file, table, "type", known, " or ".join(LANDMARKS))
    most = types.map(LANDMARKS).to_numpy()
    _require(file, table, "landmark_index", index < most, "less than the type's number of landmarks")
    visibility = numbers_of(table, "visibility", file) if "visibility" in table else np.full(len(table), np.nan)
    points = _points(numbers_of(table, "x", file), numbers_of(table, "y", file), visibility)
    return _Rows(frame, person, types.map(STARTS).to_numpy() + index, points[:, None])


def _from_wide(table: pd.DataFrame, file: Path) -> _Rows:
    named = {str(name): found for name in table if (found := _WIDE.fullmatch(str(name)))}
    if not named:
        raise InputError(
            f"{file}: no columns of landmarks; expected frame, type, landmark_index, x, y, or x_pose_0, y_pose_0, ..., "
            "or x_0, y_0, ..."
        )
    values = np.full((3, len(table), sum(LANDMARKS.values())), np.nan)
    bare = _bare_type([int(found[3]) for found in named.values() if not found[2]], file)
    for name, found in named.items():
        kind, landmark = found[2] or bare, int(found[3])
        if landmark >= LANDMARKS[kind]:
            raise InputError(f"{file}: column {name!r}; expected {kind} landmarks 0 to {LANDMARKS[kind] - 1}")
        values["xyv".index(found[1][0]), :, STARTS[kind] + landmark] = numbers_of(table, name, file)
    frame = whole_numbers(table, "frame", file) if "frame" in table else _ranks(table)
    return _Rows(frame, _person(table, file), np.zeros(len(table), np.int64), _points(*values))


def _bare_type(landmarks: list[int], file: Path) -> str:
    """The type of columns without one in their names."""
    if not landmarks:
        return "pose"
    count = max(landmarks) + 1
    if count not in (LANDMARKS["pose"], _FACE_WITHOUT_IRISES, LANDMARKS["face"]):
        raise InputError(
            f"{file}: columns x_0 to x_{count - 1}; expected 33 landmarks of a pose, or 468 or 478 of a face: name the "
            "type in the columns, as in x_left_hand_0"
        )
    return "pose" if count == LANDMARKS["pose"] else "face"


def _ranks(table: pd.DataFrame) -> np.ndarray:
    """Index of each row within its recording and person."""
    names = [name for name in ("video", "sequence_id", "person") if name in table]
    return table.groupby(names, sort=False).cumcount().to_numpy() if names else np.arange(len(table))


def _points(x: np.ndarray, y: np.ndarray, visibility: np.ndarray) -> np.ndarray:
    """Points ``[..., 3]`` with a confidence: the visibility or 1; 0 if x or y is missing."""
    missing = np.isnan(x) | np.isnan(y)
    confidence = np.where(missing, 0, np.where(np.isnan(visibility), 1, visibility))
    return np.nan_to_num(np.stack([x, y, confidence], -1), nan=0.0).astype(np.float32)


def _person(table: pd.DataFrame, file: Path) -> np.ndarray:
    return whole_numbers(table, "person", file) if "person" in table else np.zeros(len(table), np.int64)


def video_names(table: pd.DataFrame, columns: Sequence[str], file: Path) -> np.ndarray:
    """The recording of each row, str ``[R]``, from the first of the columns that exists; "" without any."""
    name = next((name for name in columns if name in table), "")
    if not name:
        return np.full(len(table), "", object)
    names = table[name].astype(object).where(table[name].notna(), "").map(str)
    wrong = names.isin([one for one in names.unique() if not one or "\0" in one]).to_numpy()
    _require(file, table, name, ~wrong, "the name of a recording")
    return names.to_numpy(object)


def whole_numbers(table: pd.DataFrame, name: str, file: Path) -> np.ndarray:
    """A column of non-negative integers, int64 ``[R]``."""
    numbers = numbers_of(table, name, file)
    right = (numbers >= 0) & (numbers <= _LAST_NUMBER) & (numbers == np.floor(numbers))
    _require(file, table, name, right, f"a whole number from 0 to {_LAST_NUMBER}")
    return numbers.astype(np.int64)


def numbers_of(table: pd.DataFrame, name: str, file: Path) -> np.ndarray:
    """A column of numbers, float64 ``[R]``; NaN for empty cells."""
    column = table[name]
    numbers = pd.to_numeric(column, errors="coerce").to_numpy(np.float64, na_value=np.nan)
    right = ~np.isinf(numbers) & ~(np.isnan(numbers) & column.notna().to_numpy())
    _require(file, table, name, right & (column.dtype != bool), "a number")
    return numbers


def _require(file: Path, table: pd.DataFrame, name: str, right: np.ndarray, expected: str) -> None:
    """Raise `InputError` for the first row that is not ``right`` (bool ``[R]``), if any."""
    if not right.all():
        row = int((~right).argmax())
        raise InputError(f"{file}, row {row + 1}: {name} is {str(table[name].iloc[row])[:40]!r}; expected {expected}")
