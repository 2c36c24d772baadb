"""Frames, labels and people of single sequences, read on demand."""

from collections.abc import Mapping
from functools import lru_cache
from pathlib import Path
from typing import Any

import numpy as np

from skelemo.annotations.correcting import apply, label_edits
from skelemo.cache.corrections import Corrections, corrections_file, read_corrections
from skelemo.cache.sequence import KEYPOINT_TYPE, LABELS, NUMBER_TYPE, label_type
from skelemo.cache.store import Cache, repairable
from skelemo.errors import InputError
from skelemo.player import Track, label_track

#: Maximum number of frames per response.
MOST_FRAMES = 4096
_CACHED = 64


class Frames:
    """Reads from a cache; thread-safe."""

    def __init__(self, cache: Cache, settings: Mapping[str, Any] | None = None) -> None:
        self.cache = cache
        self._settings = dict(settings or {})
        self._numbers = lru_cache(_CACHED)(self._read_numbers)
        self._prepared = lru_cache(2)(self._prepare)
        videos = cache.sequences["video"].to_numpy(object)
        self._people: dict[str, list[int]] = {}
        for row, video in enumerate(videos):
            self._people.setdefault(video, []).append(row)

    def facts(self, row: int) -> dict[str, Any]:
        """A row of the cache's sequences."""
        return dict(self.cache.sequences.iloc[row])

    def length(self, row: int) -> int:
        """Number of frames of a sequence."""
        return int(self.facts(row)["length"])

    def people(self, row: int) -> list[int]:
        """Rows of the other people in the recording."""
        return [other for other in self._people[self.facts(row)["video"]] if other != row]

    def folder(self, row: int) -> Path:
        """The cache folder of a sequence."""
        return self.cache.shards[self.facts(row)["shard"]].path.parent

    def keypoints(self, row: int, first: int, last: int) -> np.ndarray:
        """Frames of a sequence as stored, float32 ``[T, V, 3]``."""
        keypoints = np.empty((last - first, len(self.cache.layout), 3), KEYPOINT_TYPE)
        self._read(row, first, last, {"keypoints": keypoints})
        return keypoints

    def numbers(self, row: int) -> np.ndarray:
        """Frame numbers ``[T]``."""
        return self._numbers(row)

    def labels(self, row: int) -> dict[str, np.ndarray]:
        """Labels by head."""
        arrays: dict[str, np.ndarray] = {}
        for head in self.cache.heads:
            shape, kind = label_type(head, shares=head.name in self.cache.shares)
            arrays[LABELS + head.name] = np.full((self.length(row), *shape), np.nan if kind.kind == "f" else -1, kind)
        self._read(row, 0, self.length(row), arrays)
        return {name.removeprefix(LABELS): array for name, array in arrays.items()}

    def beside(self, other: int, row: int, first: int, last: int) -> np.ndarray:
        """Another person in the frames of a sequence, float32 ``[T, V, 3]``; zeros if absent."""
        wanted, theirs = self.numbers(row)[first:last], self.numbers(other)
        found = np.zeros((len(wanted), len(self.cache.layout), 3), KEYPOINT_TYPE)
        begin, end = np.searchsorted(theirs, wanted[0]), np.searchsorted(theirs, wanted[-1], side="right")
        if end > begin:
            keypoints = self.keypoints(other, int(begin), int(end))
            _, here, there = np.intersect1d(wanted, theirs[begin:end], assume_unique=True, return_indices=True)
            found[here] = keypoints[there]
        return found

    def prepared(self, row: int, first: int, last: int) -> np.ndarray:
        """Frames as a model sees them, float32 ``[T, V, 3]``: prepared over the whole sequence, by part."""
        return self._prepared(row)[first:last]

    def corrections(self, row: int) -> Corrections:
        """The correction table of the sequence's cache."""
        return read_corrections(corrections_file(self.folder(row)), missing_ok=True)

    def label_tracks(self, row: int) -> list[Track]:
        """Labels of a sequence by head, and their corrected versions."""
        labels, heads = self.labels(row), self.cache.heads
        tracks = [label_track(f"{head.name}: label", head, labels[head.name]) for head in heads]
        one = self.facts(row)
        try:
            edits = label_edits(self.corrections(row), heads).get((one["video"], one["person"]), [])
        except InputError:  # corrections of another cache's heads, which are only listed
            edits = []
        changed = {name: array.copy() for name, array in labels.items()}
        apply(edits, self.numbers(row), changed)
        new = {head.name: label_track(f"{head.name}: corrected", head, changed[head.name]) for head in heads
               if not np.array_equal(changed[head.name], labels[head.name],
                                     equal_nan=labels[head.name].dtype.kind == "f")}  # fmt: skip
        return [track for old in tracks for track in (old, new.get(old.head.name)) if track]

    def _read(self, row: int, first: int, last: int, arrays: Mapping[str, np.ndarray]) -> None:
        one = self.facts(row)
        shard, start = self.cache.shards[int(one["shard"])], int(one["row"])
        with repairable(shard.path):
            shard.read_into(arrays, slice(start + first, start + last))

    def _read_numbers(self, row: int) -> np.ndarray:
        numbers = np.empty(self.length(row), NUMBER_TYPE)
        self._read(row, 0, len(numbers), {"number": numbers})
        return numbers

    def _prepare(self, row: int) -> np.ndarray:
        import torch

        from skelemo.preprocess import Preparation, prepare

        one = self.facts(row)
        raw, number = self.keypoints(row, 0, self.length(row)), self.numbers(row)
        settings = Preparation.from_json(self._settings | {"coordinates": "parts", "reference": "clip"})
        keypoints, _ = prepare(
            torch.from_numpy(raw)[None], self.cache.layout, settings, number=torch.from_numpy(number)[None].long(),
            size=torch.tensor([[float(one["width"]), float(one["height"])]]), scale=str(one["scale"]),
        )  # fmt: skip
        return np.asarray(keypoints[0].numpy(), KEYPOINT_TYPE)
