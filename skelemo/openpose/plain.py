"""Files that are to the letter as OpenPose writes them, read without a Python object for any of their numbers."""

from collections.abc import Sequence
from itertools import pairwise
from typing import Any, NamedTuple

import numpy as np
from simdjson import Array, Parser

from skelemo.openpose.slots import Slot


class Numbers(NamedTuple):
    """The numbers of some files. Who has no numbers at all is left out."""

    people: list[int]  # of each file
    counts: bytes | bytearray  # how many numbers the first part of each person has
    rows: np.ndarray  # float32 [people, width], each part filled up with zeros


# What simdjson raises over a file, and what comes of taking a value for a list that is none.
_ODD = (ValueError, TypeError, LookupError, AttributeError, RuntimeError)

# The words of every file before those of its people, and the text before these.
_TOP = [b"version", b"people"]
_PEOPLE = b":[{"
_END = b"}]}"

# Texts of lists that are the same in every file, without what ends them.
_ALIKE = (b":[", b":[-1")

# Stands behind each list where many are read as one. A file that has it among its numbers is not so plain.
_MARK = -9e99
_MARKED = b",%g," % _MARK


class PlainReader:
    """Reads files that are alike but for the numbers in some lists, as those of one recording are.

    A file must follow the one learnt from, letter by letter, outside of these lists, and each of them ends with the
    first bracket that closes. Of the one learnt from simdjson says whether it is JSON; then the lists are flat and
    every key is there once. (It would take the first of two keys where orjson takes the last, and flatten any list.)
    The lists of many files are read as one: it is flat and holds nothing but numbers only if each of them is and does.
    """

    def __init__(self, slots: Sequence[Slot]) -> None:
        self._slots = slots
        self._width = sum(slot.width for slot in slots)
        self._parse = Parser().parse
        self._lists: set[bytes] = set()  # keys of those that differ
        self._columns: list[int] = []  # which of them, in their order in the file, are the parts'
        self._begin = self._between = self._end = b""  # text before, between and after the lists of people
        self._inside: list[bytes] = []  # text from list to list of a person
        self._nobody = b""  # a file without people

    def read(self, files: Sequence[bytes]) -> Numbers | None:
        """The numbers of the first files, of one at least; None where one is not so plain, whatever it may be."""
        try:
            lists: list[bytes] = []
            people: list[int] = []
            for data in files:
                count = self._cut(data, lists)
                if count < 0:
                    if people:
                        break
                    count = self._learn(data, lists)
                people.append(count)
            return self._numbers(people, lists)
        except _ODD:
            return None

    def _cut(self, data: bytes, lists: list[bytes]) -> int:
        """Add the lists of a file that follows what was learnt, and count its people; -1 of one that does not."""
        if not self._begin or not data.startswith(self._begin):
            return 0 if data and data == self._nobody else -1
        position, count, before = len(self._begin), 0, len(lists)
        while True:
            count += 1
            for text in self._inside:
                end = data.find(b"]", position)
                lists.append(data[position:end])
                if not data.startswith(text, end):
                    del lists[before:]
                    return -1
                position = end + len(text)
            end = data.find(b"]", position)
            lists.append(data[position:end])
            if not data.startswith(self._between, end):
                if data[end:] == self._end:
                    return count
                del lists[before:]
                return -1
            position = end + len(self._between)

    def _numbers(self, people: list[int], lists: list[bytes]) -> Numbers:
        """What is in the lists of so many people in each file."""
        if not lists:
            return Numbers(people, b"", np.zeros((0, self._width), np.float32))
        empty = [index for index, text in enumerate(lists) if not text or text.isspace()]
        for index in empty:
            lists[index] = b"0"
        flat = self._parse_as_one(lists)
        ends = np.flatnonzero(flat == _MARK)
        if len(ends) != len(lists):
            raise ValueError
        starts = np.append(0, ends[:-1] + 1)
        lengths = ends - starts
        lengths[empty] = 0
        each = (sum(people), -1)
        rows = self._spread(flat, starts.reshape(each), lengths.reshape(each))
        lengths = lengths.reshape(each)[:, self._columns]
        there = lengths.any(axis=1)
        if not there.all():
            owner = np.repeat(np.arange(len(people)), people)
            people = np.bincount(owner[there], minlength=len(people)).tolist()
            rows, lengths = rows[there], lengths[there]
        return Numbers(people, lengths[:, 0].astype(np.uint8).tobytes(), rows)

    def _parse_as_one(self, lists: list[bytes]) -> np.ndarray:
        """The numbers of all the lists, float64, with the mark behind each."""
        document: Any = self._parse(b"[" + _MARKED.join([*lists, b""])[:-1] + b"]")
        return np.frombuffer(document.as_buffer(of_type="d"))

    def _spread(self, flat: np.ndarray, starts: np.ndarray, lengths: np.ndarray) -> np.ndarray:
        """Rows of people whose lists ``[people, lists]`` lie one behind the other; those with alike ones in one go."""
        rows = np.zeros((len(starts), self._width), np.float32)
        changes = np.flatnonzero((lengths[1:] != lengths[:-1]).any(axis=1)) + 1
        for first, last in pairwise([0, *changes.tolist(), len(rows)]):
            block = flat[starts[first, 0] : starts[last, 0] if last < len(rows) else None].reshape(last - first, -1)
            places, place = (starts[first] - starts[first, 0]).tolist(), 0
            for slot, column in zip(self._slots, self._columns, strict=True):
                count, there = int(lengths[first, column]), places[column]
                if count and count not in slot.models:
                    raise ValueError
                rows[first:last, place : place + count] = block[:, there : there + count]
                place += slot.width
        return rows

    def _learn(self, data: bytes, lists: list[bytes]) -> int:
        """Learn how files are written from one whose only words are keys, and take its lists; how many people it has.

        It is cut at its quotes: every other piece is a word, and what follows a key is the text of its value.
        """
        pieces = data.split(b'"')
        words, top = pieces[1::2], b'"'.join(pieces[: 2 * len(_TOP) + 1])
        if data[0] != ord("{") or b"\\" in data:  # simdjson passes over a byte order mark; keys have many spellings
            raise ValueError
        document: Any = self._parse(data)
        people = document["people"]
        if type(people) is not Array:
            raise ValueError
        if words == _TOP:
            if len(people):
                raise ValueError
            self._nobody = data
            return 0
        keys = words[len(_TOP) :]
        keys = keys[: keys.index(keys[0], 1)] if keys[0] in keys[1:] else keys
        wanted = [next((key for key in slot.keys if key.encode() in keys), "") for slot in self._slots]
        count = (len(words) - len(_TOP)) // len(keys)
        once = len({*_TOP, *keys}) == len(_TOP) + len(keys)
        if not (once and all(wanted) and words == _TOP + keys * count and top.endswith(_PEOPLE)):
            raise ValueError
        values = pieces[2 * len(_TOP) + 2 :: 2]  # of everybody
        self._lists.update(key.encode() for key in wanted)
        self._lists.update(keys[n % len(keys)] for n, text in enumerate(values) if text.strip(b",{}]") not in _ALIKE)
        self._follow(top, dict(zip(keys, values[-len(keys) :], strict=True)))
        differ = [key for key in keys if key in self._lists]
        self._columns = [differ.index(key.encode()) for key in wanted]
        if self._cut(data, lists) != count or len(people) != count:
            raise ValueError
        return count

    def _follow(self, top: bytes, values: dict[bytes, bytes]) -> None:
        """Take what stands around the lists of a file's last person for what stands around everybody's."""
        found, text = [], top
        for key, value in values.items():
            text += b'"%s"' % key
            if key not in self._lists:
                text += value
            elif value.rfind(b"[") == 1:
                found.append(text + value[:2])
                text = value[value.index(b"]") :]
            else:
                raise ValueError
        person = text[: text.rindex(_END) + 1]
        self._begin, *self._inside = found
        self._between, self._end = person + b"," + self._begin[len(top) - 1 :], text
