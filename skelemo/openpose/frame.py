"""One OpenPose file: from its bytes to one row of numbers per person."""

import struct
from collections import Counter
from collections.abc import Sequence
from typing import Any

import numpy as np
from orjson import loads

from skelemo.openpose.fast_parser import Numbers, PlainReader
from skelemo.openpose.schema import PERSON_ID, PERSON_KEYS, getter, identity_of, slots
from skelemo.openpose.validate import FrameError, examine
from skelemo.skeleton import Layout

__all__ = ["FrameError", "Rows"]

# How many buffers of numbers wait until they are made rows, all in one go: 100 kB, which stays in the cache.
_WAITING = 100


class Rows:
    """The people of a recording as they are read: one row of ``x, y, confidence`` after another in one growing buffer.

    This is where ingest spends its time. A file is taken to be what OpenPose writes, first to the letter; what that
    reader refuses goes through Python's own lists, which fail on any count that is not the part's and on anything that
    is not a number. Only then is the file examined with care.
    """

    def __init__(self, layout: Layout, body_model: str = "auto") -> None:
        self.slots = slots(layout, body_model)
        self.counts = bytearray()  # how many numbers each person's first part had: with a body, that tells its model
        self.damage = ""  # what could not be read of the last file, of which the rest was kept
        self.sizes: Counter[tuple[int, int]] = Counter()  # of the images, where files tell them
        self._flat = bytearray()
        self._identities: list[tuple[int, list[int]]] = []  # first row and identities of each file that has some
        self._waiting: list[Any] = []  # buffers of float64 that follow on those in `_flat`
        self._plain = PlainReader(self.slots)
        self._writers = [slot.writers() for slot in self.slots]
        self._newest = getter([slot.keys[0] for slot in self.slots])
        self._types = [list] * len(self.slots)

    def add(self, data: bytes) -> int:
        """Append the people of one file and return how many rows they are. A person without any numbers gets none.

        Raises
        ------
        FrameError
            The file is not a frame of OpenPose's. Nothing of it is kept.
        """
        self.damage = ""
        try:
            counts, numbers, identities = self._plain.read(data) or self._read(data)
        except (ValueError, TypeError, KeyError, AttributeError, struct.error):
            counts, numbers, identities = self._examine(data)
        if any(one >= 0 for one in identities):
            self._identities.append((len(self.counts), identities))
        self.counts += counts
        self._waiting += numbers
        if len(self._waiting) > _WAITING:
            self._settle()
        return len(counts)

    def array(self) -> np.ndarray:
        """All rows, float32 ``[people, V, 3]``, without copying them. Nothing can be added afterwards."""
        self._settle()
        width = sum(slot.width for slot in self.slots)
        return np.frombuffer(self._flat, np.float32).reshape(len(self.counts), width // 3, 3)

    def take(self) -> tuple[np.ndarray, bytes]:
        """`array`, and the `counts`, of what was added since the last time; nothing of it is kept."""
        points, counts = self.array(), bytes(self.counts)
        self._flat, self.counts, self._identities = bytearray(), bytearray(), []
        return points, counts

    def identity(self) -> np.ndarray | None:
        """The identity of each row, int64 ``[people]``, -1 where the files give none; None where they never do."""
        if not self._identities:
            return None
        found = np.full(len(self.counts), -1, np.int64)
        for row, identities in self._identities:
            found[row : row + len(identities)] = identities
        return found

    def _settle(self) -> None:
        """Turn waiting numbers into rows. What is beyond float32 becomes infinite, which no image has."""
        with np.errstate(over="ignore"):
            self._flat += np.frombuffer(b"".join(self._waiting)).astype(np.float32).data
        self._waiting.clear()

    def _read(self, data: bytes) -> Numbers:
        if b"u" in data or b"false" in data:  # true and false count as numbers in Python; OpenPose's files have no "u"
            raise ValueError
        document = loads(data)
        people = document["people"]
        if type(people) is not list or "canvas_width" in document:
            raise TypeError
        counts, numbers, identities = bytearray(), [], []
        for person in people:
            try:
                lists = self._newest(person)
            except KeyError:
                lists = self._find(person)
            if list(map(type, lists)) != self._types:
                raise TypeError
            if any(lists):
                numbers += self._packed(lists)
                counts.append(len(lists[0]))
                identities.append(identity_of(person.get(PERSON_ID)))
        return counts, numbers, identities

    def _examine(self, data: bytes) -> Numbers:
        frame = examine(data, self.slots)
        self.damage = frame.damage
        if frame.size[0]:
            self.sizes[frame.size] += 1
        packed = [buffer for lists in frame.people for buffer in self._packed(lists)]
        return bytearray(len(lists[0]) for lists in frame.people), packed, frame.identities

    def _packed(self, lists: Sequence[Any]) -> list[bytes]:
        return [write[len(one)](*one) for write, one in zip(self._writers, lists, strict=True)]

    def _find(self, person: dict[str, Any]) -> Sequence[Any]:
        """The lists of a person who has older keys, or not all of them."""
        if person and not PERSON_KEYS & person.keys():
            raise KeyError
        return [slot.find(person) for slot in self.slots]
