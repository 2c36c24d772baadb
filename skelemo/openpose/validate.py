"""Why a file is not a frame: the slow and careful look at what could not be read."""

import re
from collections.abc import Sequence
from typing import Any

from orjson import JSONDecodeError, loads

from skelemo.openpose.schema import PERSON_KEYS, Slot

# What C++ prints for a number that is none, where JSON has no word for it.
_NOT_A_NUMBER = re.compile(rb"[\[,:]\s*(-?(?:nan|inf)\w*)", re.IGNORECASE)

# Lists of OpenPose's that skelemo does not read, by their count of numbers (poseParameters.cpp).
_OTHER_BODIES = {405: "BODY_135", 57: "BODY_19", 69: "BODY_23", 66: "CAR_22", 36: "CAR_12"}

_KINDS = {dict: "an object", list: "a list", str: "text", bool: "true or false", type(None): "null"}


def fault(data: bytes, slots: Sequence[Slot]) -> str:
    """What is wrong with a file's bytes, in words that go on from its name, or "" when they are a frame."""
    if not data:
        return "is empty"
    try:
        document = loads(data)
    except JSONDecodeError as error:
        return _not_json(data, error)
    if not isinstance(document, dict) or "people" not in document:
        return 'is not an OpenPose file: it has no "people"'
    people = document["people"]
    if not isinstance(people, list):
        return f'is not an OpenPose file: its "people" is {_kind(people)} where a list should be'
    return next((f"person {n}: {found}" for n, person in enumerate(people, 1) if (found := _person(person, slots))), "")


def _not_json(data: bytes, error: JSONDecodeError) -> str:
    if word := _NOT_A_NUMBER.search(data):
        return f"holds {word[1].decode()} where a number should be, which is not JSON"
    if not data.strip(b"\0 \t\r\n"):
        return "holds nothing but blanks or zero bytes"
    if data.lstrip()[:1] == b"{" and error.pos >= len(data.decode("utf-8", "replace")) - 1:
        return f"is cut off after {len(data)} bytes"
    return f"is not JSON: {error}"


def _person(person: Any, slots: Sequence[Slot]) -> str:
    if not isinstance(person, dict):
        return f"is {_kind(person)} where an object should be"
    if person and not PERSON_KEYS & person.keys():
        return f"has none of OpenPose's keys, but {', '.join(map(repr, list(person)[:3]))}"
    return next((found for slot in slots if (found := _list(slot, person))), "")


def _list(slot: Slot, person: dict[str, Any]) -> str:
    key = next((key for key in slot.keys if key in person), slot.keys[0])
    numbers = slot.find(person)
    if not isinstance(numbers, list):
        return f"{key} is {_kind(numbers)} where a list should be"
    if numbers and len(numbers) not in slot.models:
        return f"{key} has {len(numbers)} numbers; {_expected(slot)}{_guess(slot, len(numbers))}"
    odd = ((index, value) for index, value in enumerate(numbers) if type(value) not in (int, float))
    return next((f"{key} has {_kind(value)} where number {index + 1} should be" for index, value in odd), "")


def _expected(slot: Slot) -> str:
    models = (f"{model.name.upper()} has {count}" for count, model in slot.models.items())
    return ", ".join(models)


def _guess(slot: Slot, count: int) -> str:
    """What else a list of this length could be."""
    if any(count == 2 * len(model) for model in slot.models.values()):
        return " (is this an x,y-only export?)"
    if any(count == 4 * len(model) for model in slot.models.values()):
        return " (is this a 3-D list?)"
    if "body_parts" in slot.keys and count in _OTHER_BODIES:
        return f" (this is {_OTHER_BODIES[count]}, which skelemo does not read)"
    return ""


def _kind(value: Any) -> str:
    return _KINDS.get(type(value), "a number")
