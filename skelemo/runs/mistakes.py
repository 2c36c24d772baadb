"""Clips of a run's worst predictions for its report, ``mistakes.safetensors``.

Arrays ``points_0``, ``numbers_0``, ... with JSON about each in the header. Since keypoints are personal data, the
setting ``mistakes: 0`` omits the file.
"""

import json
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

from skelemo.atomic import finished
from skelemo.errors import ConfigError, InputError, one_line
from skelemo.runs.predictions import outputs_of, truth_of
from skelemo.skeleton import Layout, layout
from skelemo.targets import Head

FILE = "mistakes.safetensors"
#: Default number of clips per head.
USUAL = 4
_FACTS = {"head": str, "fold": int, "sequence": str, "frame": int, "layout": str, "fps": float, "size": list}


@dataclass(frozen=True, eq=False)
class Mistake:
    """A clip around a window with a wrong prediction.

    Parameters
    ----------
    fold, sequence, frame : the window, as in the predictions.
    numbers, points : ``[T]`` frame numbers and ``[T, V, 3]`` keypoints of the clip.
    fps : frame rate of the video, 0 if unknown.
    size : width and height of the image, 0 if unknown.
    """

    head: str
    fold: int
    sequence: str
    frame: int
    numbers: np.ndarray
    points: np.ndarray
    layout: Layout
    fps: float = 0.0
    size: tuple[int, int] = (0, 0)


def prediction_errors(table: pd.DataFrame, head: Head) -> np.ndarray:
    """Error ``[N]`` of each window's prediction, NaN if correct or unlabeled.

    For classes the probability of the wrong class, for flags the largest error of a wrong flag, for values the mean
    absolute error.
    """
    truth, outputs = truth_of(table, head), outputs_of(table, head)
    bad: np.ndarray
    if head.kind == "classes":
        bad = np.where((truth >= 0) & (outputs.argmax(1) != truth), outputs.max(1), np.nan)
        return bad
    known = ~np.isnan(truth)
    apart = np.where(known, np.abs(outputs - np.nan_to_num(truth)), 0.0)
    if head.kind == "flags":
        worst = np.where((outputs >= 0.5) != (truth > 0.5), apart, 0.0).max(1)
        bad = np.where(worst > 0, worst, np.nan)
    else:
        bad = np.where(known.any(1), apart.sum(1) / np.maximum(known.sum(1), 1), np.nan)
    return bad


def worst_windows(table: pd.DataFrame, head: Head, most: int) -> np.ndarray:
    """Positions in the table of the worst predictions, worst first, one per sequence."""
    bad = prediction_errors(table, head)
    order = np.argsort(-bad, kind="stable")
    order = order[~np.isnan(bad[order])]
    _, first = np.unique(table["sequence"].astype(str).to_numpy(str)[order], return_index=True)
    worst: np.ndarray = order[np.sort(first)[:most]]
    return worst


def write_mistakes(folder: Path, mistakes: Sequence[Mistake]) -> None:
    """Write the file, unless there are no mistakes."""
    from safetensors.numpy import save

    if not mistakes:
        return
    arrays: dict[str, np.ndarray] = {}
    for place, one in enumerate(mistakes):
        arrays[f"points_{place}"] = np.ascontiguousarray(one.points, np.float32)
        arrays[f"numbers_{place}"] = np.ascontiguousarray(one.numbers, np.int32)
    facts = [{name: getattr(one, name) for name in _FACTS} | {"layout": one.layout.name} for one in mistakes]
    with finished(folder / FILE) as temporary:
        temporary.write_bytes(save(arrays, {"clips": json.dumps(facts)}))


def read_mistakes(folder: Path) -> tuple[Mistake, ...]:
    """The clips in a run folder, if any. Raises `InputError` if the file is damaged."""
    from safetensors import SafetensorError, safe_open

    file = folder / FILE
    if not file.is_file():
        return ()
    try:
        with safe_open(str(file), framework="numpy") as opened:
            facts = json.loads((opened.metadata() or {})["clips"])
            return tuple(
                _mistake(one, opened.get_tensor(f"points_{place}"), opened.get_tensor(f"numbers_{place}"))
                for place, one in enumerate(facts)
            )
    except (OSError, ValueError, KeyError, TypeError, SafetensorError, ConfigError) as error:
        raise InputError(f"{file} is damaged: {one_line(error)}; delete it for a report without clips") from error


def _mistake(facts: dict[str, Any], points: np.ndarray, numbers: np.ndarray) -> Mistake:
    for name, kind in _FACTS.items():
        if not isinstance(facts[name], kind):
            raise ValueError(f"{name} is {facts[name]!r}")
    seen = layout(facts["layout"])
    width, height = (int(side) for side in facts["size"])
    if not len(numbers) or points.shape != (len(numbers), len(seen), 3) or not np.isfinite(points).all():
        raise ValueError(f"points {list(points.shape)}; expected finite [{len(numbers)}, {len(seen)}, 3] ({seen.name})")
    return Mistake(facts["head"], facts["fold"], facts["sequence"], facts["frame"], numbers, points, seen,
                   facts["fps"], (width, height))  # fmt: skip
