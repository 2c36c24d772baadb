"""A sequence: one track with its labels, the unit of storage and of splits."""

import hashlib
import json
import struct
from collections.abc import Mapping
from dataclasses import dataclass, field
from functools import cached_property
from typing import Any

import numpy as np

from skelemo.cache.statistics import points_seen
from skelemo.errors import CacheError
from skelemo.skeleton import FARTHEST, SCALES
from skelemo.targets import Head, labeled

KEYPOINT_TYPE: np.dtype = np.dtype("<f4")
NUMBER_TYPE: np.dtype = np.dtype("<i4")
#: Prefix of a head's labels in ``/frames`` of a shard: ``labels/HEAD``.
LABELS = "labels/"

#: Class numbers, flags, and shares or values, by kind of number and number of axes.
_LABEL_TYPES: dict[tuple[str, int], np.dtype] = {
    ("i", 1): np.dtype("<i2"),
    ("i", 2): np.dtype("i1"),
    ("f", 2): np.dtype("<f4"),
}
_TEXT_FACTS = ("id", "video", "person", "subject", "splits", "scale")


@dataclass(frozen=True, eq=False)
class Sequence:
    """One person in one recording, with OpenPose's keypoints.

    Raises `CacheError`: a field is invalid.

    Parameters
    ----------
    id : unique within a cache.
    video : its recording; sequences of one video never cross subsets.
    person : name within the video; empty if there is only one person.
    subject : identity across videos; empty if unknown.
    keypoints : ``[T, V, 3]``, x and y in the source's units, confidence in [0, 1]; missing points are (0, 0, 0).
    number : ``[T]``, strictly increasing frame numbers of the source video, gaps allowed; at least one.
    labels : by head, ``[T]`` or ``[T, K]``, see `skelemo.targets`. A head without labeled frames is dropped.
    width, height, fps : of the source video; 0 if unknown.
    scale : unit of the keypoints, one of `skelemo.skeleton.SCALES`.
    splits : subset (``train``, ``validation``, ``test``) by column.
    """

    id: str
    video: str
    keypoints: np.ndarray
    number: np.ndarray
    labels: Mapping[str, np.ndarray] = field(default_factory=dict)
    person: str = ""
    subject: str = ""
    width: int = 0
    height: int = 0
    fps: float = 0.0
    scale: str = "pixels"
    splits: Mapping[str, str] = field(default_factory=dict)

    def __post_init__(self) -> None:
        try:
            self._check()
            labels = {name: _label_array(name, self.labels[name], len(self.number)) for name in sorted(self.labels)}
        except CacheError as error:
            raise CacheError(f"sequence {str(self.id)!r}: {error}") from None
        object.__setattr__(self, "labels", {name: array for name, array in labels.items() if labeled(array).any()})

    def _check(self) -> None:
        if not self.id or not self.video:
            raise CacheError("the id or video is missing")
        texts = (self.id, self.video, self.person, self.subject, *self.splits, *self.splits.values())
        for text in texts:
            require_text(text)
        if self.scale not in SCALES:
            raise CacheError(f"scale {self.scale!r}: expected one of {', '.join(SCALES)}")
        if not (self.width >= 0 and self.height >= 0 and 0 <= self.fps < np.inf):
            raise CacheError(f"width {self.width}, height {self.height}, fps {self.fps}: expected 0 (unknown) or more")
        if self.keypoints.ndim != 3 or self.keypoints.shape[2] != 3:
            raise CacheError(f"keypoints have the shape {self.keypoints.shape}; expected [T, V, 3]")
        frames = len(self.keypoints)
        if not frames:
            raise CacheError("no frames")
        if self.number.shape != (frames,):
            raise CacheError(f"frame numbers have the shape {self.number.shape}; expected ({frames},)")
        most = np.iinfo(NUMBER_TYPE).max
        if self.number.dtype.kind not in "iu" or self.number.min() < -1 or self.number.max() > most:
            raise CacheError(f"frame numbers are not all integers up to {most}")
        require_keypoints(np.asarray(self.keypoints, KEYPOINT_TYPE))
        require_numbers(np.asarray(self.number, NUMBER_TYPE), np.zeros(1, np.int64))
        confidence = self.keypoints[..., 2]
        if confidence.min() < 0 or confidence.max() > 1:
            raise CacheError(f"confidences range from {confidence.min():g} to {confidence.max():g}; expected [0, 1]")
        if ((confidence == 0) & ((self.keypoints[..., 0] != 0) | (self.keypoints[..., 1] != 0))).any():
            raise CacheError("a point with confidence 0 has coordinates; expected (0, 0, 0) for a missing point")

    def __len__(self) -> int:
        return len(self.number)

    def frame_arrays(self) -> dict[str, np.ndarray]:
        """Keypoints, numbers and labels by name in ``/frames``, in a shard's types."""
        arrays = {LABELS + name: _same_nan(labels) for name, labels in self.labels.items()}
        arrays["keypoints"] = np.ascontiguousarray(self.keypoints, KEYPOINT_TYPE)
        return arrays | {"number": np.ascontiguousarray(self.number, NUMBER_TYPE)}

    @cached_property
    def sha256(self) -> str:
        """Hash of the content, identical on every machine."""
        facts = self.facts()
        # Each text ends with a zero byte; then follow width and height as int64 and fps as float64, little-endian.
        digest = hashlib.sha256("".join(f"{facts[name]}\0" for name in _TEXT_FACTS).encode())
        digest.update(struct.pack("<qqd", facts["width"], facts["height"], facts["fps"]))
        for name, array in sorted(self.frame_arrays().items()):
            digest.update(f"{name}\0".encode())
            digest.update(array.data)
        return digest.hexdigest()

    @cached_property
    def points_seen(self) -> np.ndarray:
        """See `skelemo.cache.statistics.points_seen`."""
        return points_seen(self.keypoints)

    def facts(self) -> dict[str, Any]:
        """Everything but the frames, as hashed and stored."""
        return {
            "id": self.id,
            "video": self.video,
            "person": self.person,
            "subject": self.subject,
            "width": int(self.width),
            "height": int(self.height),
            "fps": float(self.fps),
            "scale": self.scale,
            "splits": splits_text(self.splits),
        }


def label_type(head: Head, *, shares: bool = False) -> tuple[tuple[int, ...], np.dtype]:
    """Shape after the first axis, and type, of a head's labels; with ``shares`` instead of class numbers if set."""
    shape = () if head.kind == "classes" and not shares else (len(head),)
    return shape, _LABEL_TYPES["f" if shares or head.kind == "values" else "i", 1 + len(shape)]


def splits_text(splits: Mapping[str, str]) -> str:
    """Subset by column as sorted JSON, as hashed and stored."""
    return json.dumps(dict(sorted(splits.items())), ensure_ascii=False)


def require_text(text: object) -> None:
    """Raise `CacheError` unless it is text that fixed-width UTF-8 can store."""
    if not isinstance(text, str):
        raise CacheError(f"{text!r} is not text")
    if "\0" in text or any("\ud800" <= character <= "\udfff" for character in text):
        raise CacheError(f"{text!r} contains a character that cannot be stored")


def require_keypoints(keypoints: np.ndarray) -> None:
    """Raise `CacheError` for coordinates that are not finite or absurdly large."""
    # NaN propagates through min and max, which need no temporary array.
    if keypoints.size and not (keypoints.min() >= -FARTHEST and keypoints.max() <= FARTHEST):
        raise CacheError(f"keypoints are not all numbers between {-FARTHEST:g} and {FARTHEST:g}")


def require_numbers(number: np.ndarray, starts: np.ndarray) -> None:
    """Raise `CacheError` for frame numbers below 0, or not increasing within the sequences that begin at ``starts``."""
    if not len(number):
        return
    increasing = np.diff(number) > 0
    increasing[starts[starts > 0] - 1] = True
    if not increasing.all() or number.min() < 0:
        raise CacheError("frame numbers are negative or not strictly increasing")


def _label_array(name: str, labels: np.ndarray, frames: int) -> np.ndarray:
    """Convert labels to a shard's type."""
    labels = np.asarray(labels)
    kind = _LABEL_TYPES.get(("i" if labels.dtype.kind in "iu" else labels.dtype.kind, labels.ndim))
    if kind is None or len(labels) != frames:
        raise CacheError(
            f"labels of {name} are {labels.dtype} {list(labels.shape)}; expected an integer, or a row of flags or "
            f"numbers, for each of {frames} frames"
        )
    if kind.kind == "i" and labels.size and not (labels.min() >= -1 and labels.max() <= np.iinfo(kind).max):
        raise CacheError(f"labels of {name} are not all integers from -1 to {np.iinfo(kind).max}")
    return np.ascontiguousarray(labels, kind)


def _same_nan(labels: np.ndarray) -> np.ndarray:
    """Labels with a single bit pattern for NaN."""
    return np.where(np.isnan(labels), labels.dtype.type(np.nan), labels) if labels.dtype.kind == "f" else labels
