"""OpenFace and py-feat: CSV tables with 68 landmarks, a row for each face in a frame.

Columns ``x_0`` ... ``x_67`` and ``y_0`` ... ``y_67`` are iBUG points in pixels: those of FACE_70 without the pupils.

- OpenFace (https://github.com/TadasBaltrusaitis/OpenFace/wiki/Output-Format): ``frame`` counts from 1, ``face_id`` is
  the identity, ``confidence`` applies to every point, and rows with ``success`` 0 have no face.
- py-feat (``Fex`` of https://github.com/cosanlab/py-feat): ``frame`` counts from 0, ``FaceScore`` is the confidence of
  every point, and ``input`` names the video if a table has several.

Other columns are ignored: poses, gaze, action units and emotions are estimates of these programs.
"""

from pathlib import Path

import numpy as np
import pandas as pd

from skelemo.errors import InputError
from skelemo.formats.keypoint_files import Clip
from skelemo.formats.mediapipe import numbers_of, read_table, video_names, whole_numbers
from skelemo.formats.registry import IMPORTS, Files
from skelemo.openpose.names import printable
from skelemo.skeleton import FACE_70, Layout
from skelemo.skeleton.mapping import in_layout

_LANDMARKS = 68


@IMPORTS.register("openface", Files((".csv",), body_model=""))
@IMPORTS.register("pyfeat", Files((".csv",), body_model=""))
def read(file: Path, layout: Layout, size: tuple[int, int]) -> list[Clip]:
    """Read the recordings of a file, in pixels.

    Raises `InputError`: not a table, a missing column, or a cell that is not a number; the message names it.
    """
    table = read_table(file)
    missing = [f"{axis}_{n}" for axis in "xy" for n in range(_LANDMARKS) if f"{axis}_{n}" not in table]
    missing = ["frame"] * ("frame" not in table) + missing
    if missing:
        raise InputError(f"{file}: no column {missing[0]!r}; expected frame and x_0 ... x_67, y_0 ... y_67")
    xy = [[numbers_of(table, f"{axis}_{n}", file) for n in range(_LANDMARKS)] for axis in "xy"]
    points = np.stack([*np.array(xy), np.repeat(_confidence(table, file)[None], _LANDMARKS, axis=0)], -1)
    points = points.transpose(1, 0, 2)  # [rows, 68, 3]
    points[np.isnan(points).any(axis=2)] = 0
    openface = "face_id" in table or "success" in table
    identity = whole_numbers(table, "face_id", file) if "face_id" in table else None
    frame = whole_numbers(table, "frame", file)
    videos = video_names(table, ("input",), file)
    several = len(pd.unique(videos)) > 1
    clips = []
    for video in pd.unique(videos):
        rows = np.flatnonzero(videos == video)
        rows = rows[np.argsort(frame[rows], kind="stable")]
        number = np.unique(frame[rows])
        name = printable(Path(video.replace("\\", "/")).stem) if several else ""
        clips.append(
            Clip(
                name,
                number.astype(np.int32),
                np.searchsorted(number, frame[rows]),
                in_layout({FACE_70.name: points[rows]}, layout),
                None if identity is None else identity[rows],
                "pixels",
                first_frame=min(1, int(number[0])) if openface else 0,
            )
        )
    return clips


def _confidence(table: pd.DataFrame, file: Path) -> np.ndarray:
    """Confidence of each row, [R]; 1 if the table has none, 0 without a face."""
    name = next((name for name in ("confidence", "facescore") if name in table), "")
    confidence = numbers_of(table, name, file) if name else np.ones(len(table))
    found = numbers_of(table, "success", file) > 0 if "success" in table else np.ones(len(table), bool)
    return np.where(found, confidence, 0)
