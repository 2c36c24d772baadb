"""One OpenPose file: from its bytes to one row of numbers per person."""

import operator
import struct
from collections.abc import Callable, Sequence
from typing import Any

import numpy as np
from orjson import loads

from skelemo.openpose.diagnosis import fault
from skelemo.openpose.slots import PERSON_KEYS, slots
from skelemo.skeleton import Layout


class FrameError(Exception):
    """A file that is not a frame as OpenPose writes it. The message is the reason."""


class Rows:
    """The people of a recording as they are read: one row of ``x, y, confidence`` after another in one growing buffer.

    This is where ingest spends its time. A file is taken to be what OpenPose writes, and each part goes from its list
    to its own place in the row in one call, which fails on a count that is not the part's and on anything that is not a
    number. Only then is it asked what was wrong.
    """

    def __init__(self, layout: Layout, body_model: str = "auto") -> None:
        self.slots = slots(layout, body_model)
        self.counts = bytearray()  # how many numbers each person's first part had: with a body, that tells its model
        self._flat = bytearray()
        self._writers = [slot.writers() for slot in self.slots]
        self._newest = _getter([slot.keys[0] for slot in self.slots])
        self._types = [list] * len(self.slots)

    def add(self, data: bytes) -> int:
        """Append the people of one file and return how many rows they are. A person without any numbers gets none.

        Raises
        ------
        FrameError
            The file is not a frame of OpenPose's. Nothing of it is kept.
        """
        rows, size = len(self.counts), len(self._flat)
        try:
            self._append(data)
        except (ValueError, TypeError, KeyError, OverflowError, struct.error) as error:
            del self.counts[rows:], self._flat[size:]
            raise FrameError(fault(data, self.slots) or "is not what OpenPose writes") from error
        return len(self.counts) - rows

    def array(self) -> np.ndarray:
        """All rows, float32 ``[people, V, 3]``, without copying them. Nothing can be added afterwards."""
        width = sum(slot.width for slot in self.slots)
        return np.frombuffer(self._flat, np.float32).reshape(len(self.counts), width // 3, 3)

    def _append(self, data: bytes) -> None:
        people = loads(data)["people"]
        if type(people) is not list or (_may_hold_words(data) and fault(data, self.slots)):
            raise TypeError
        for person in people:
            try:
                lists = self._newest(person)
            except KeyError:
                lists = self._find(person)
            if list(map(type, lists)) != self._types:
                raise TypeError
            if any(lists):
                for write, numbers in zip(self._writers, lists, strict=True):
                    self._flat += write[len(numbers)](*numbers)
                self.counts.append(len(lists[0]))

    def _find(self, person: dict[str, Any]) -> Sequence[Any]:
        """The lists of a person who has older keys, or not all of them."""
        if person and not PERSON_KEYS & person.keys():
            raise KeyError
        return [slot.find(person) for slot in self.slots]


def _getter(keys: list[str]) -> Callable[[Any], Sequence[Any]]:
    """`operator.itemgetter` for several keys; for one it would give the bare item."""
    return operator.itemgetter(*keys) if len(keys) > 1 else lambda person: (person[keys[0]],)


def _may_hold_words(data: bytes) -> bool:
    """Whether true or false may be in the file, which count as numbers in Python. OpenPose's own files have no "u"."""
    return b"u" in data or b"false" in data
