"""Converts OpenPose files to rows of numbers, one per person."""

from collections import Counter
from typing import Any

import numpy as np

from skelemo.openpose.fast_parser import FastParser, Numbers
from skelemo.openpose.schema import slots
from skelemo.openpose.validate import examine
from skelemo.skeleton import Layout

# Buffers of numbers to collect before converting them to rows: 100 kB, which fits the CPU cache.
_MAX_PENDING = 100


class Rows:
    """Collects the people of a recording: rows of ``x, y, confidence`` in a growing buffer.

    Ingest spends most of its time here. Files exactly as OpenPose writes them take the fast parser; others are examined
    in detail.
    """

    def __init__(self, layout: Layout, body_model: str = "auto") -> None:
        self.slots = slots(layout, body_model)
        self.counts = bytearray()  # numbers in each person's first part; of a body, they determine its model
        self.damage = ""  # the unreadable part of the last file, if the rest was kept
        self.sizes: Counter[tuple[int, int]] = Counter()  # of the images, if the files have them
        self._flat = bytearray()
        self._identities: list[tuple[int, list[int]]] = []  # first row and identities of each file with any
        self._pending: list[Any] = []  # buffers of float64 that follow `_flat`
        self._plain = FastParser(self.slots)
        self._writers = [slot.writers() for slot in self.slots]

    def add(self, data: bytes) -> int:
        """Append the people of one file and return the number of rows; people without numbers are skipped.

        Raises `FrameError`: the file is not an OpenPose frame; nothing of it is kept.
        """
        self.damage = ""
        counts, numbers, identities = self._plain.read(data) or self._examine(data)
        if any(identity >= 0 for identity in identities):
            self._identities.append((len(self.counts), identities))
        self.counts += counts
        self._pending += numbers
        if len(self._pending) > _MAX_PENDING:
            self._flush()
        return len(counts)

    def array(self) -> np.ndarray:
        """All rows, float32 ``[people, V, 3]``, without a copy. Nothing can be added afterwards."""
        self._flush()
        width = sum(slot.width for slot in self.slots)
        return np.frombuffer(self._flat, np.float32).reshape(len(self.counts), width // 3, 3)

    def take(self) -> tuple[np.ndarray, bytes]:
        """Return and remove the rows added so far, as `array`, and their `counts`."""
        points, counts = self.array(), bytes(self.counts)
        self._flat, self.counts, self._identities = bytearray(), bytearray(), []
        return points, counts

    def identity(self) -> np.ndarray | None:
        """The identity of each row, int64 ``[people]``, -1 if not given; None if the files have none."""
        if not self._identities:
            return None
        found = np.full(len(self.counts), -1, np.int64)
        for row, identities in self._identities:
            found[row : row + len(identities)] = identities
        return found

    def _flush(self) -> None:
        """Convert pending numbers to rows. Values beyond float32 become infinite and are refused later."""
        with np.errstate(over="ignore"):
            self._flat += np.frombuffer(b"".join(self._pending)).astype(np.float32).data
        self._pending.clear()

    def _examine(self, data: bytes) -> Numbers:
        frame = examine(data, self.slots)
        self.damage = frame.damage
        if frame.size[0]:
            self.sizes[frame.size] += 1
        packed = [
            write[len(values)](*values)
            for lists in frame.people
            for write, values in zip(self._writers, lists, strict=True)
        ]
        return bytearray(len(lists[0]) for lists in frame.people), packed, frame.identities
