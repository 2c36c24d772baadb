"""Schema of OpenPose files: keys of each part, counts of numbers, and widths in a row."""

import struct
from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from typing import Any

from skelemo.errors import ConfigError
from skelemo.skeleton import BODY_25B, BODY_MODELS, FACE_70, PARTS, Layout, Part, layout, part_models

#: Key of a person's identity in a recording: a list of one number, -1 for none (poseExtractor.cpp).
PERSON_ID = "person_id"

#: iBUG's 68 points, as in DWPose and dlib: OpenPose's 70 without the pupils.
_FACE_68 = replace(FACE_70, name="face_68", regions="", keypoints=FACE_70.keypoints[:68], mirror=FACE_70.mirror[:68])

#: Keys that identify a person, of any version and layout.
PERSON_KEYS = frozenset({PERSON_ID}).union(
    *({*part.keys, part.key.replace("_2d", "_3d")} for word in PARTS for part in layout(word).parts)
)


@dataclass(frozen=True)
class Slot:
    """One part of a layout in a person's row, and its possible contents in a file."""

    keys: tuple[str, ...]  # of JSON versions 1.2 and later; 1.0 and 1.1; 0.1
    models: Mapping[int, Part]  # by the count of numbers
    width: int  # numbers in the row

    def writers(self) -> dict[int, Callable[..., bytes]]:
        """Packers of a list as float64, padded with zeros, by count."""
        return {n: struct.Struct(f"{n}d{8 * (self.width - n)}x").pack for n in (0, *self.models)}

    def fillers(self) -> dict[int, bytes]:
        """The padding after a list, by count."""
        return {n: bytes(8 * (self.width - n)) for n in (0, *self.models)}


def slots(where: Layout, body_model: str = "auto") -> tuple[Slot, ...]:
    """The slots of a layout, in order.

    A body's model follows from its count of numbers; BODY_25B, which has as many as BODY_25, is recognized later by its
    limb lengths, or given by `body_model`.

    Raises `ConfigError`: the layout's body has fewer points than `body_model`.
    """
    return tuple(
        Slot(part.keys, {3 * len(model): model for model in _models(part, body_model)}, 3 * len(part))
        for part in where.parts
    )


def identity_of(value: Any) -> int:
    """Parse an identity, a number or a list of one; -1 for anything but an integer from 0."""
    if isinstance(value, list) and len(value) == 1:
        value = value[0]
    valid = type(value) in (int, float) and 0 <= value < 2**62 and value == int(value)
    return int(value) if valid else -1


def _models(part: Part, body_model: str) -> tuple[Part, ...]:
    """Possible models of a part in a file; of equal counts, the last is used."""
    if part is FACE_70:
        return part, _FACE_68
    if part.kind != "body":
        return (part,)
    if body_model == "auto":
        smaller = (model for model in BODY_MODELS.values() if model is not BODY_25B and len(model) <= len(part))
        return *(model for model in smaller if model.key == part.key), part
    model = part_models(part)[body_model]
    if len(model) > len(part):
        raise ConfigError(f"--body-model {body_model}: {part.name} has fewer points; choose --layout {body_model}")
    return (model,)
