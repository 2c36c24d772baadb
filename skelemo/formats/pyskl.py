"""Export to the annotation file of PYSKL and MMAction2, one pickle.

Both take ``{"split": {name: [frame_dir, ...]}, "annotations": [...]}`` (PYSKL: ``tools/data/README.md`` and
``pyskl/datasets/pose_dataset.py``; MMAction2: ``mmaction/datasets/pose_dataset.py``). Each annotation has
``frame_dir``, ``label``, ``img_shape`` and ``original_shape`` (height, width), ``total_frames``,
``keypoint [M, T, V, 2]`` and ``keypoint_score [M, T, V]``. Pickles are written here and never read.
"""

import pickle
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

from skelemo.cache import sequence as cached
from skelemo.cache.store import Cache
from skelemo.errors import CacheError
from skelemo.formats.registry import EXPORTS
from skelemo.formats.writing import Exported, Report, choose, in_groups, in_pixels, new_file, read_chosen
from skelemo.text import count

#: Readable by the Python versions of PYSKL.
PROTOCOL = 4


@EXPORTS.register("pyskl")
def write_pyskl(cache: Cache, out: Path, only: Sequence[str] = (), report: Report = lambda *_: None) -> Exported:
    """Write a cache's labeled sequences as clips with one label each, the most frequent class.

    People of one video with the same label and subsets are one clip; T is the union of their frames. Sequences without
    a class are skipped and counted in the notes. Coordinates are pixels (`in_pixels`). A subset has its own name
    (``train``) if the column is ``split``, otherwise with the column (``fold_1_train``).

    Raises `CacheError`: no sequence matches or has a class, or a shard is damaged; `InputError`: ``out`` exists or
    cannot be written.
    """
    chosen = choose(cache, only)
    head = next((head for head in cache.heads if head.kind == "classes"), None)
    labels = cache.counts.labels[head.name][:, 1:] if head else np.zeros((len(cache.sequences), 1), int)
    labeled = chosen[labels[chosen].sum(1) > 0]
    if head is None or not len(labeled):
        raise CacheError(f"{cache.name}: no sequence has a class; PYSKL needs one for each clip")
    clips = _clips(cache.sequences.iloc[labeled], labels[labeled].argmax(1))
    done = Exported()
    with new_file(out) as partial, partial.open("xb") as file:
        annotations = _annotations(clips, read_chosen(cache, labeled, done, report))
        pickler = _Pickler(file, PROTOCOL)
        pickler.fast = True  # no memo: memory is that of one clip
        pickler.dump({"split": _splits(clips), "classes": list(head.outputs), "annotations": _Stream(annotations)})
    if len(chosen) > len(labeled):
        done.notes = (f"skipped {count(len(chosen) - len(labeled), 'sequence')} without a class",)
    return done


class _Stream:
    """Items that are pickled as a list, each generated when it is written."""

    def __init__(self, items: Iterator[Any]) -> None:
        self.items = items


class _Pickler(pickle.Pickler):
    """Pickles arrays without references to modules of one numpy version."""

    def reducer_override(self, obj: Any) -> Any:
        """Reduce arrays and streams to types that every reader has."""
        if isinstance(obj, np.ndarray):
            return np.ndarray, (obj.shape, obj.dtype.str, bytearray(obj.tobytes()))
        if isinstance(obj, _Stream):
            return list, (), None, obj.items
        return NotImplemented


def _clips(sequences: pd.DataFrame, label: np.ndarray) -> pd.DataFrame:
    """One row per sequence: its ``clip``, with ``frame_dir``, ``label``, ``splits`` and number of ``people``."""
    rows = sequences[["id", "video"]].reset_index(drop=True)
    rows["label"] = label
    rows["splits"] = [tuple(sorted(splits.items())) for splits in sequences["splits"]]
    alike = rows.groupby(["video", "label", "splits"], sort=False)["id"]
    rows["clip"], rows["people"] = alike.ngroup(), alike.transform("count")
    # A clip is named after its video if it is the only one.
    whole = rows["people"] == rows.groupby("video")["id"].transform("count")
    rows["frame_dir"] = rows["video"].where(whole, alike.transform("first"))
    return rows


def _splits(clips: pd.DataFrame) -> dict[str, list[str]]:
    found: dict[str, dict[str, None]] = {}
    for name, splits in zip(clips["frame_dir"], clips["splits"], strict=True):
        for column, subset in splits:
            found.setdefault(subset if column == "split" else f"{column}_{subset}", {})[name] = None
    return {name: list(names) for name, names in found.items()}


def _annotations(clips: pd.DataFrame, sequences: Iterator[cached.Sequence]) -> Iterator[dict[str, Any]]:
    """Yield each clip when all of its people are read."""
    facts = {row["id"]: row for row in clips.to_dict("records")}
    for people in in_groups(sequences, {name: row["clip"] for name, row in facts.items()}):
        yield _annotation(facts[people[0].id], people)


def _annotation(clip: Any, people: list[cached.Sequence]) -> dict[str, Any]:
    numbers = np.unique(np.concatenate([one.number for one in people]))
    points = np.zeros((len(people), len(numbers), *people[0].keypoints.shape[1:]), np.float32)  # [M, T, V, 3]
    for person, one in enumerate(people):
        points[person, np.searchsorted(numbers, one.number)] = one.keypoints
    points, width, height = in_pixels(points, people[0].scale, people[0].width, people[0].height)
    return {
        "frame_dir": clip["frame_dir"],
        "label": int(clip["label"]),
        "img_shape": (height, width),
        "original_shape": (height, width),
        "total_frames": len(numbers),
        "keypoint": points[..., :2],
        "keypoint_score": points[..., 2],
    }
