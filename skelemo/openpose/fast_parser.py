"""Fast parser for files exactly as OpenPose writes them; creates no Python object per number."""

from collections.abc import Callable, Sequence
from operator import itemgetter
from typing import Any

from simdjson import Array, Parser

from skelemo.openpose.schema import PERSON_ID, Slot, identity_of

#: Numbers of one file: the count of each person's first part; float64 buffers of all parts, padded to the width of the
#: part; and identities, empty if the file has none. People without numbers are skipped.
Numbers = tuple[bytes | bytearray, list[Any], list[int]]

# Raised by simdjson for invalid files, and for values that are not lists.
_PARSE_ERRORS = (ValueError, TypeError, LookupError, AttributeError, RuntimeError)

# The top-level keys of every file, and the text that follows.
_TOP = [b"version", b"people"]
_PEOPLE = b":[{"
_END = b"}]}"

# Lists that are equal in every file, without their ends.
_CONSTANT = (b":[", b":[-1")


class FastParser:
    """Reads files that differ only in the numbers of some lists, such as the files of one recording.

    Outside of these lists, a file must equal the template byte by byte, and each list ends with the first closing
    bracket. If simdjson accepts it as JSON, the lists are flat and all keys unique. (Of duplicate keys, simdjson uses
    the first and orjson the last; simdjson also flattens nested lists.)
    """

    def __init__(self, slots: Sequence[Slot]) -> None:
        self._slots = slots
        self._fillers = [slot.fillers() for slot in slots]
        self._parse = Parser().parse
        self._lists: set[bytes] = set()  # keys of the varying lists
        self._find: Callable[[Any], Sequence[Any]] = tuple  # the parts' lists of a person
        self._begin = self._between = self._end = b""  # text before, between and after people
        self._inside: list[bytes] = []  # text between the lists of a person

    def read(self, data: bytes) -> Numbers | None:
        """A file's numbers; None if it does not match the template."""
        try:
            return self._read(data)
        except _PARSE_ERRORS:
            return None

    def _read(self, data: bytes) -> Numbers:
        count = self._count(data)
        if count < 0:
            count = self._learn(data)
        document: Any = self._parse(data)
        people = document["people"]
        if type(people) is not Array or len(people) != count:
            raise ValueError
        counts, numbers, identities = bytearray(), [], []
        identified = PERSON_ID.encode() in self._lists
        person: Any
        for person in people:
            lists = self._find(person)
            if any(lists):
                counts.append(len(lists[0]))
                if identified:
                    identities.append(identity_of(list(person[PERSON_ID])))
                for values, fillers in zip(lists, self._fillers, strict=True):
                    numbers.append(values.as_buffer(of_type="d"))
                    if filler := fillers[len(values)]:
                        numbers.append(filler)
        return counts, numbers, identities

    def _count(self, data: bytes) -> int:
        """Number of people of a file that matches the template; -1 for any other."""
        if not self._begin or not data.startswith(self._begin):
            return -1
        position, count = len(self._begin), 0
        while True:
            count += 1
            for text in self._inside:
                position = data.find(b"]", position)
                if not data.startswith(text, position):
                    return -1
                position += len(text)
            position = data.find(b"]", position)
            if not data.startswith(self._between, position):
                return count if data[position:] == self._end else -1
            position += len(self._between)

    def _learn(self, data: bytes) -> int:
        """Use a file whose only strings are keys as the template; returns its number of people.

        Split at quotes, every other piece is a key, followed by the text of its value.
        """
        pieces = data.split(b'"')
        words, top = pieces[1::2], b'"'.join(pieces[: 2 * len(_TOP) + 1])
        if data[0] != ord("{") or b"\\" in data:  # simdjson skips a byte order mark; escaped keys
            raise ValueError
        if words == _TOP:
            return 0
        keys = words[len(_TOP) :]
        keys = keys[: keys.index(keys[0], 1)] if keys[0] in keys[1:] else keys
        wanted = [next((key for key in slot.keys if key.encode() in keys), "") for slot in self._slots]
        count = (len(words) - len(_TOP)) // len(keys)
        unique = len({*_TOP, *keys}) == len(_TOP) + len(keys)
        if not (unique and all(wanted) and words == _TOP + keys * count and top.endswith(_PEOPLE)):
            raise ValueError
        values = pieces[2 * len(_TOP) + 2 :: 2]  # of all people
        self._lists.update(key.encode() for key in wanted)
        self._lists.update(keys[n % len(keys)] for n, text in enumerate(values) if text.strip(b",{}]") not in _CONSTANT)
        self._set_template(top, dict(zip(keys, values[-len(keys) :], strict=True)))
        self._find = itemgetter(*wanted) if len(wanted) > 1 else lambda person: (person[wanted[0]],)
        if self._count(data) != count:
            raise ValueError
        return count

    def _set_template(self, top: bytes, values: dict[bytes, bytes]) -> None:
        """Use the text around the lists of the last person for all people."""
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
