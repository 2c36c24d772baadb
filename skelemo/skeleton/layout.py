"""Layouts: sequences of parts, with names such as ``body_25+face_70``."""

import re
from collections.abc import Collection
from dataclasses import dataclass
from functools import cache, cached_property

from skelemo.errors import ConfigError, unknown
from skelemo.plugins import Registry
from skelemo.skeleton.part import KINDS, Limb, Part

#: Each entry is one part, or several that belong together.
PARTS: Registry[None] = Registry("part of a layout", "skelemo.layouts", accepts=lambda entry: bool(_parts(entry)))

DEFAULT_LAYOUT = "body_25+face_70"


@dataclass(frozen=True)
class Layout:
    """A sequence of parts, which defines the axis V of keypoint arrays.

    For use by name, in caches and on the command line, register the parts with `register_layout`.
    """

    name: str
    parts: tuple[Part, ...]

    def __len__(self) -> int:
        return sum(map(len, self.parts))

    @cached_property
    def slices(self) -> dict[str, slice]:
        """Position of each part on V."""
        found, start = {}, 0
        for part in self.parts:
            found[part.name] = slice(start, start + len(part))
            start += len(part)
        return found

    @cached_property
    def keypoints(self) -> tuple[str, ...]:
        """Every keypoint as ``part.Name``."""
        return tuple(f"{part.name}.{keypoint}" for part in self.parts for keypoint in part.keypoints)

    @cached_property
    def limbs(self) -> tuple[Limb, ...]:
        """Limbs of all parts, as positions on V."""
        return tuple(
            (a + self.slices[part.name].start, b + self.slices[part.name].start)
            for part in self.parts
            for a, b in part.limbs
        )

    @cached_property
    def mirror(self) -> tuple[int, ...]:
        """Permutation of V that swaps the subject's left and right, within parts and between twins."""
        twins = {part.name: part.twin if part.twin in self.slices else part.name for part in self.parts}
        return tuple(self.slices[twins[part.name]].start + index for part in self.parts for index in part.mirror)

    @cached_property
    def body(self) -> Part | None:
        """The body, or None."""
        return next((part for part in self.parts if part.kind == "body"), None)

    @cached_property
    def face(self) -> Part | None:
        """The face, or None."""
        return next((part for part in self.parts if part.kind == "face"), None)

    def only(self, names: Collection[str]) -> "Layout":
        """The layout of the named parts, in the same order."""
        words: list[str] = []
        for word in self.name.split("+"):
            kept = [part.name for part in _parts_of(word) if part.name in names]
            words += [word] if len(kept) == len(_parts_of(word)) else kept
        return layout("+".join(words))

    def part(self, name: str) -> Part | None:
        """The part of that name, or None."""
        return next((part for part in self.parts if part.name == name), None)

    def columns(self, names: Collection[str]) -> list[int]:
        """Positions on V of the points of the named parts, in order."""
        return [i for name, where in self.slices.items() if name in names for i in range(len(self))[where]]

    def index(self, keypoint: str) -> int:
        """Position on V of ``part.Name``."""
        try:
            return self.keypoints.index(keypoint)
        except ValueError:
            raise unknown(f"keypoint of {self.name}", keypoint, self.keypoints) from None


def register_layout(name: str, *parts: Part) -> None:
    """Register parts for use in names of layouts: ``--layout NAME`` or ``--layout NAME+face_70``.

    Parameters
    ----------
    name : letters, digits and ``_``.
    parts : one part, or several that are always used together, such as two hands.

    Raises
    ------
    ConfigError
        The name is in use, or a part's name or twin conflicts with another part.
    """
    if not name.isidentifier() or not parts or len({part.name for part in parts}) < len(parts):
        raise ConfigError(f"layout {name!r}: expected a name of letters, digits and _, and different parts")
    for part in parts:
        # Without entry points: their packages import this one, which may still be registering its own parts.
        entries = PARTS.registered()
        taken = next((one.name for one in entries if part.name in {p.name for p in _parts(one.function)}), name)
        if taken != name:
            raise ConfigError(f"layout {name!r}: the part {part.name!r} is already in the layout {taken!r}")
        twin = next((one for one in parts if one.name == part.twin), part)
        if len(twin) != len(part):
            raise ConfigError(f"layout {name!r}: {part.name} and its twin {twin.name} differ in length")
    PARTS.add(name, parts, None)
    layout.cache_clear()


@cache
def layout(name: str = DEFAULT_LAYOUT) -> Layout:
    """The layout of a name such as ``body_25+face_70``, of registered parts.

    A single part of several that share a name, such as ``hand_right_21``, may also be used.

    Raises `ConfigError`: an unknown part, two parts with the same key, such as two bodies, or an order other than body,
    face, hands, others.
    """
    names = re.split(r"\s*\+\s*", name.strip())
    parts = tuple(part for word in names for part in _parts_of(word))
    keys = [part.key for part in parts]
    same = [part.name for part in parts if keys.count(part.key) > 1]
    if same:
        raise ConfigError(f"layout {name!r}: choose one of {', '.join(same)}: OpenPose stores them under the same key")
    ranks = [(KINDS.index(part.kind), part.name) for part in parts]
    if ranks != sorted(ranks):
        raise ConfigError(f"layout {name!r}: wrong order of parts; expected body, face, hands, others")
    return Layout("+".join(names), parts)


def layout_of(names: Collection[str]) -> Layout:
    """The layout of parts given by name, in the order body, face, hands, others. Raises `ConfigError` as `layout`."""
    entries = [(word, _parts_of(word)) for word in PARTS.names()]
    used = [(word, parts) for word, parts in entries if any(part.name in names for part in parts)]
    used.sort(key=lambda entry: (KINDS.index(entry[1][0].kind), entry[1][0].name))
    return layout("+".join(word for word, _ in used)).only(names)


def stream_layout(wanted: Layout) -> Layout:
    """Layout to read for a model's parts: with body and face, which tracking needs, if the parts are OpenPose's."""
    parts = {part.name for part in (*layout().parts, *wanted.parts)}
    words = (DEFAULT_LAYOUT, f"{DEFAULT_LAYOUT}+hand_21x2")
    return next((layout(word) for word in words if parts <= {part.name for part in layout(word).parts}), wanted)


def part_models(part: Part) -> dict[str, Part]:
    """Parts with the same key as this one, by name; itself first."""
    others = (other for word in PARTS.names() for other in _parts_of(word) if other.key == part.key)
    return {one.name: one for one in (part, *others)}


def _parts_of(word: str) -> tuple[Part, ...]:
    """The parts of an entry, or a single part of an entry with several."""
    for entry in PARTS if word not in PARTS else ():
        for part in _parts(PARTS[entry].function):
            if part.name == word:
                return (part,)
    return _parts(PARTS[word].function)


def _parts(entry: object) -> tuple[Part, ...]:
    """The parts of an entry, which may come from an entry point; empty if it has anything else."""
    found = entry if isinstance(entry, tuple) else (entry,)
    return found if all(isinstance(part, Part) for part in found) else ()
