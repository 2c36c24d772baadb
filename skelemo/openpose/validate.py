"""Validates files that deviate from OpenPose's format: keeps what is readable, and reports the rest."""

import re
from collections.abc import Sequence
from typing import Any, NamedTuple

from orjson import JSONDecodeError, loads

from skelemo.openpose.files import image_size
from skelemo.openpose.schema import PERSON_ID, PERSON_KEYS, Slot, identity_of

# Printed by C++ for numbers that JSON cannot represent.
_NOT_A_NUMBER = re.compile(rb"[\[,:]\s*(-?(?:nan|inf)\w*)", re.IGNORECASE)

# Unsupported body models of OpenPose, by their count of numbers (poseParameters.cpp).
_OTHER_BODIES = {405: "BODY_135", 57: "BODY_19", 69: "BODY_23", 66: "CAR_22", 36: "CAR_12"}

_KINDS = {dict: "an object", list: "a list", str: "text", bool: "true or false", type(None): "null"}
_BOM = b"\xef\xbb\xbf"


class FrameError(Exception):
    """A file that is not an OpenPose frame. The message follows its name in a sentence."""


class Frame(NamedTuple):
    """The contents of a file."""

    people: list[list[list[float]]]  # numbers by person and slot
    identities: list[int]  # -1 if not given
    damage: str  # the first part that could not be read, or ""
    size: tuple[int, int]  # width and height of the image; (0, 0) for unknown


def examine(data: bytes, slots: Sequence[Slot]) -> Frame:
    """Read a file, including the variants of OpenPose's JSON that other programs write.

    A part or person may be ``null``, people may be an object, points may be nested lists, and a frame may be the only
    item of a list. A damaged part is dropped, and the rest of the frame is kept.

    Raises `FrameError`: it is not a frame, or nothing of it can be read.
    """
    document = _document(data)
    people, identities, damage = [], [], ""
    for number, person in enumerate(_people(document), 1):
        lists, fault = _person(person, slots)
        damage = damage or (f"person {number}: {fault}" if fault else "")
        if any(lists):
            people.append(lists)
            identities.append(identity_of(person.get(PERSON_ID)))
    if damage and not people:
        raise FrameError(damage)
    # ControlNet writes the size of the image.
    return Frame(people, identities, damage, image_size(document.get("canvas_width"), document.get("canvas_height")))


def _document(data: bytes) -> dict[str, Any]:
    if not data:
        raise FrameError("is empty")
    try:
        document = loads(data.removeprefix(_BOM))
    except JSONDecodeError as error:
        raise FrameError(_not_json(data, error)) from None
    if isinstance(document, list):
        if len(document) != 1:
            raise FrameError(f"is a list of {len(document)}; expected the object of one frame")
        document = document[0]
    if not isinstance(document, dict):
        raise FrameError(f'is not an OpenPose file: it is {_kind(document)}; expected an object with "people"')
    if "people" not in document and "bodies" not in document:
        raise FrameError('is not an OpenPose file: it has no "people"')
    return document


def _people(document: dict[str, Any]) -> list[Any]:
    key = "people" if "people" in document else "bodies"
    people = document[key]
    if isinstance(people, dict):
        return [people] if PERSON_KEYS & people.keys() else list(people.values())
    if people is None:
        return []
    if not isinstance(people, list):
        raise FrameError(f'is not an OpenPose file: its "{key}" is {_kind(people)}; expected a list')
    return people


def _not_json(data: bytes, error: JSONDecodeError) -> str:
    if word := _NOT_A_NUMBER.search(data):
        return f"is not JSON: it has {word[1].decode()} instead of a number"
    if not data.strip(b"\0 \t\r\n"):
        return "has only blanks or zero bytes"
    complete = "after document" in error.msg
    if not complete and data.lstrip()[:1] == b"{" and error.pos >= len(data.decode("utf-8", "replace")) - 1:
        return f"is truncated after {len(data)} bytes"
    return f"is not JSON: {error}"


def _person(person: Any, slots: Sequence[Slot]) -> tuple[list[list[float]], str]:
    """A person's numbers by slot, and the first fault."""
    if person is None:
        return [], ""
    if not isinstance(person, dict):
        return [], f"is {_kind(person)}; expected an object"
    if person and not PERSON_KEYS & person.keys():
        return [], f"has none of OpenPose's keys, but {', '.join(map(repr, list(person)[:3]))}"
    lists, faults = zip(*(_numbers(slot, person) for slot in slots), strict=True)
    return list(lists), next(filter(None, faults), "")


def _numbers(slot: Slot, person: dict[str, Any]) -> tuple[list[float], str]:
    key = next(filter(person.__contains__, slot.keys), slot.keys[0])
    numbers = person.get(key, [])
    if numbers is None:
        return [], ""
    if not isinstance(numbers, list):
        return [], f"{key} is {_kind(numbers)}; expected a list"
    types = set(map(type, numbers))
    if types == {list}:
        for point in numbers:
            if len(point) != 3:
                return [], f"{key} has a list of {len(point)}; expected the 3 numbers of a point"
        numbers = [value for point in numbers for value in point]
        types = set(map(type, numbers))
    if not types <= {int, float}:
        index, value = next((at, one) for at, one in enumerate(numbers, 1) if type(one) not in (int, float))
        return [], f"{key} has {_kind(value)} at position {index}; expected a number"
    if numbers and len(numbers) not in slot.models:
        return [], f"{key} has {len(numbers)} numbers; {_expected(slot)}{_guess(slot, len(numbers))}"
    return numbers, ""


def _expected(slot: Slot) -> str:
    return ", ".join(f"{model.name.upper()} has {count}" for count, model in slot.models.items())


def _guess(slot: Slot, count: int) -> str:
    """A hint at what a list of this length could be."""
    if any(count == 2 * len(model) for model in slot.models.values()):
        return " (is this an x,y-only export?)"
    if any(count == 4 * len(model) for model in slot.models.values()):
        return " (is this a 3-D list?)"
    if "body_parts" in slot.keys and count in _OTHER_BODIES:
        return f" (this is {_OTHER_BODIES[count]}, which skelemo does not support)"
    return ""


def _kind(value: Any) -> str:
    return _KINDS.get(type(value), "a number")
