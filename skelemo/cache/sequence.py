"""A sequence: one track with its labels, the unit that a cache stores and a split moves."""

import hashlib
import json
from collections.abc import Mapping
from dataclasses import dataclass, field
from functools import cached_property

import numpy as np

#: Per-frame arrays of a sequence beside the keypoints, as they lie in ``/frames`` of a shard.
FRAME_COLUMNS: dict[str, np.dtype] = {
    "number": np.dtype("<i4"),
    "expression": np.dtype("i1"),
    "valence": np.dtype("<f4"),
    "arousal": np.dtype("<f4"),
}
KEYPOINT_TYPE: np.dtype = np.dtype("<f4")


@dataclass(frozen=True)
class Sequence:
    """One person through one recording, as OpenPose saw it.

    Parameters
    ----------
    id : unique within a cache.
    video : the recording that it comes from; sequences of one video never part company in a split.
    person : which of the video's people, empty where there is but one.
    subject : who it is, empty where nobody knows.
    keypoints : ``[T, V, 3]`` x, y in the source's units and confidence; missing is (0, 0, 0).
    number : ``[T]`` increasing frame numbers of the source video, gaps allowed.
    expression : ``[T]`` class, -1 where unlabelled.
    valence, arousal : ``[T]`` in [-1, 1], NaN where unlabelled.
    width, height, fps : of the source video, 0 where unknown.
    splits : part (``train``, ``validation``, ``test``) by column.
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
    splits: Mapping[str, str] = field(default_factory=dict)

    def __len__(self) -> int:
        return len(self.number)

    def frame_arrays(self) -> dict[str, np.ndarray]:
        """The keypoints and every per-frame column in the type that a shard stores."""
        columns = {name: np.ascontiguousarray(getattr(self, name), kind) for name, kind in FRAME_COLUMNS.items()}
        return {"keypoints": np.ascontiguousarray(self.keypoints, KEYPOINT_TYPE), **columns}

    @cached_property
    def sha256(self) -> str:
        """Hash of everything that the sequence says, the same on every machine."""
        return content_hash(self.facts(), self.frame_arrays())

    def facts(self) -> dict[str, object]:
        """What is known of the sequence as a whole."""
        return {
            "id": self.id,
            "video": self.video,
            "person": self.person,
            "subject": self.subject,
            "width": int(self.width),
            "height": int(self.height),
            "fps": float(self.fps),
            "splits": json.dumps(dict(sorted(self.splits.items())), ensure_ascii=False),
        }


def content_hash(facts: Mapping[str, object], arrays: Mapping[str, np.ndarray]) -> str:
    """SHA-256 over the facts as sorted JSON and the arrays' bytes in the order of their names."""
    digest = hashlib.sha256(json.dumps(dict(sorted(facts.items())), ensure_ascii=False).encode())
    for name in sorted(arrays):
        digest.update(arrays[name].tobytes() if not arrays[name].flags.c_contiguous else arrays[name].data)
    return digest.hexdigest()
