"""A sequence: one track with its labels, the unit that a cache stores and a split moves."""

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

#: Per-frame arrays of a sequence beside the keypoints, as they lie in ``/frames`` of a shard.
FRAME_COLUMNS: dict[str, np.dtype] = {
    "number": np.dtype("<i4"),
    "expression": np.dtype("i1"),
    "valence": np.dtype("<f4"),
    "arousal": np.dtype("<f4"),
}
KEYPOINT_TYPE: np.dtype = np.dtype("<f4")

_TEXT_FACTS = ("id", "video", "person", "subject", "splits", "scale")

#: As many as ``expression`` can count from 0.
MOST_CLASSES = int(np.iinfo(FRAME_COLUMNS["expression"]).max) + 1


@dataclass(frozen=True, eq=False)
class Sequence:
    """One person through one recording, as OpenPose saw it.

    Parameters
    ----------
    id : unique within a cache.
    video : the recording that it comes from; sequences of one video never part company in a split.
    person : which of the video's people, empty where there is but one.
    subject : who it is, empty where nobody knows.
    keypoints : ``[T, V, 3]`` x, y in the source's units and confidence in [0, 1]; missing is (0, 0, 0).
    scale : these units, one of `skelemo.skeleton.SCALES`.
    number : ``[T]`` strictly increasing frame numbers of the source video, gaps allowed; at least one.
    expression : ``[T]`` class, -1 where unlabelled.
    valence, arousal : ``[T]`` in [-1, 1], NaN where unlabelled.
    width, height, fps : of the source video, 0 where unknown.
    splits : part (``train``, ``validation``, ``test``) by column.

    Raises
    ------
    CacheError
        Something of it is not as said here.
    """

    id: str
    video: str
    keypoints: np.ndarray
    number: np.ndarray
    expression: np.ndarray
    valence: np.ndarray
    arousal: np.ndarray
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
        except CacheError as error:
            raise CacheError(f"sequence {str(self.id)!r}: {error}") from None

    def _check(self) -> None:
        if not self.id or not self.video:
            raise CacheError("it needs an id and the name of its video")
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
            raise CacheError("it has no frame")
        for name in FRAME_COLUMNS:
            if getattr(self, name).shape != (frames,):
                raise CacheError(
                    f"{name} has the shape {getattr(self, name).shape}; the keypoints have {frames} frames"
                )
        for name in ("number", "expression"):
            values, most = getattr(self, name), np.iinfo(FRAME_COLUMNS[name]).max
            if values.dtype.kind not in "iu" or values.min() < -1 or values.max() > most:
                raise CacheError(f"{name} does not hold whole numbers up to {most}")
        arrays = self.frame_arrays()
        require_keypoints(arrays["keypoints"])
        require_columns(arrays, np.zeros(1, np.int64), MOST_CLASSES)
        confidence = self.keypoints[..., 2]
        if confidence.min() < 0 or confidence.max() > 1:
            raise CacheError(f"confidences reach from {confidence.min():g} to {confidence.max():g}; expected [0, 1]")
        if ((confidence == 0) & ((self.keypoints[..., 0] != 0) | (self.keypoints[..., 1] != 0))).any():
            raise CacheError("a point has confidence 0 but a place; what is missing is (0, 0, 0)")

    def __len__(self) -> int:
        return len(self.number)

    def frame_arrays(self) -> dict[str, np.ndarray]:
        """The keypoints and every per-frame column in the type that a shard stores, every NaN the same."""
        columns = {name: np.ascontiguousarray(getattr(self, name), kind) for name, kind in FRAME_COLUMNS.items()}
        for name in ("valence", "arousal"):
            columns[name] = np.where(np.isnan(columns[name]), FRAME_COLUMNS[name].type(np.nan), columns[name])
        return {"keypoints": np.ascontiguousarray(self.keypoints, KEYPOINT_TYPE), **columns}

    @cached_property
    def sha256(self) -> str:
        """Hash of everything that the sequence says, the same on every machine."""
        return content_hash(self.facts(), self.frame_arrays())

    @cached_property
    def points_seen(self) -> np.ndarray:
        """In how many frames each point was seen, and behind them any: int64 ``[V + 1]``."""
        return points_seen(self.keypoints)

    def facts(self) -> dict[str, Any]:
        """What is known of the sequence as a whole."""
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


def splits_text(splits: Mapping[str, str]) -> str:
    """Part by column as JSON, sorted: the one spelling that is hashed and stored."""
    return json.dumps(dict(sorted(splits.items())), ensure_ascii=False)


def content_hash(facts: Mapping[str, Any], arrays: Mapping[str, np.ndarray]) -> str:
    """SHA-256 over a sequence's facts, and over its arrays' bytes in the order of their names."""
    digest = facts_hash(facts)
    for name in sorted(arrays):
        digest.update(np.ascontiguousarray(arrays[name]).data)
    return digest.hexdigest()


def facts_hash(facts: Mapping[str, Any]) -> "hashlib._Hash":
    """The beginning of a sequence's hash: SHA-256 over its facts, into which the arrays are yet to go.

    Each text ends with a zero byte, which none of them holds; behind them stand width and height as int64 and fps as
    float64, all little-endian. Other entries of ``facts`` are passed over.
    """
    digest = hashlib.sha256("".join(f"{facts[name]}\0" for name in _TEXT_FACTS).encode())
    digest.update(struct.pack("<qqd", facts["width"], facts["height"], facts["fps"]))
    return digest


def require_text(text: object) -> None:
    """Refuse by a `CacheError` what is not text, or no text that UTF-8 of a fixed width can hold."""
    if not isinstance(text, str):
        raise CacheError(f"{text!r} is not text")
    if "\0" in text or any("\ud800" <= character <= "\udfff" for character in text):
        raise CacheError(f"{text!r} holds a character that cannot be stored")


def require_keypoints(keypoints: np.ndarray) -> None:
    """Refuse by a `CacheError` what is no number, or absurdly far out."""
    # One pass each for the least and the greatest, which are NaN where any is, needs no memory beside the array.
    if keypoints.size and not (keypoints.min() >= -FARTHEST and keypoints.max() <= FARTHEST):
        raise CacheError(f"keypoints are not all numbers between {-FARTHEST:g} and {FARTHEST:g}")


def require_columns(arrays: Mapping[str, np.ndarray], starts: np.ndarray, classes: int) -> None:
    """Check values of per-frame columns, those that are given, of one or several sequences that begin at ``starts``.

    Raises
    ------
    CacheError
        Frame numbers below 0 or not increasing, a class that is neither -1 nor below ``classes``, valence or arousal
        outside [-1, 1].
    """
    number = arrays.get("number")
    if number is not None and len(number):
        growing = np.diff(number) > 0
        growing[starts[starts > 0] - 1] = True
        if not growing.all() or number.min() < 0:
            raise CacheError("frame numbers are not strictly increasing from 0 or more")
    if "expression" in arrays and ((arrays["expression"] < -1) | (arrays["expression"] >= classes)).any():
        raise CacheError(f"a frame has a class that is neither -1 (unlabelled) nor one of {classes}, counted from 0")
    for name in ("valence", "arousal"):
        if name in arrays and (np.abs(arrays[name]) > 1).any():
            raise CacheError(f"{name} is not everywhere in [-1, 1], or NaN for unlabelled")
