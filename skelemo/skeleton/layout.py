"""Layouts: parts one after another, found by names such as ``body_25+face_70``."""

import re
from collections.abc import Collection
from dataclasses import dataclass
from functools import cache, cached_property

from skelemo.errors import ConfigError, unknown
from skelemo.plugins import Registry
from skelemo.skeleton.part import KINDS, Limb, Part

#: What a layout can be made of: by a word of its name one part, or several that belong together.
PARTS: Registry[None] = Registry("part of a layout", "skelemo.layouts", accepts=lambda entry: bool(_parts(entry)))

DEFAULT_LAYOUT = "body_25+face_70"


@dataclass(frozen=True)
class Layout:
    """Parts one after another: the axis V of every keypoint array.

    ``Layout("mine", (part,))`` is a layout of its own. To use it by name, in caches and on the command line, register
    its parts by `register_layout`.
    """

    name: str
    parts: tuple[Part, ...]

    def __len__(self) -> int:
        return sum(map(len, self.parts))

    @cached_property
    def slices(self) -> dict[str, slice]:
        """Where each part lies on the axis V."""
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
        """The limbs of all parts, as positions on V."""
        return tuple(
            (a + self.slices[part.name].start, b + self.slices[part.name].start)
            for part in self.parts
            for a, b in part.limbs
        )

    @cached_property
    def mirror(self) -> tuple[int, ...]:
        """Permutation of V that exchanges the subject's left and right, within parts and between twins."""
        twins = {part.name: part.twin if part.twin in self.slices else part.name for part in self.parts}
        return tuple(self.slices[twins[part.name]].start + index for part in self.parts for index in part.mirror)

    @cached_property
    def body(self) -> Part | None:
        """The part that the others hang from, or None where the layout lacks one."""
        return next((part for part in self.parts if part.kind == "body"), None)

    @cached_property
    def face(self) -> Part | None:
        """The part that shows the face, or None where the layout lacks one."""
        return next((part for part in self.parts if part.kind == "face"), None)

    def only(self, names: Collection[str]) -> "Layout":
        """The layout of some of its parts alone, in their order."""
        words: list[str] = []
        for word in re.split(r"\+", self.name):
            kept = [part.name for part in _parts_of(word) if part.name in names]
            words += [word] if len(kept) == len(_parts_of(word)) else kept
        return layout("+".join(words))

    def part(self, name: str) -> Part | None:
        """The part of that name, or None where the layout lacks it."""
        return next((part for part in self.parts if part.name == name), None)

    def index(self, keypoint: str) -> int:
        """Position on V of ``part.Name``."""
        try:
            return self.keypoints.index(keypoint)
        except ValueError:
            raise unknown(f"keypoint of {self.name}", keypoint, self.keypoints) from None


def register_layout(name: str, *parts: Part) -> None:
    """Make parts known under a word that names of layouts may contain: ``--layout NAME`` or ``--layout NAME+face_70``.

    Parameters
    ----------
    name : letters, digits and ``_``.
    parts : one part, or several that are always used together, such as two hands.

    Raises
    ------
    ConfigError
        The name is taken, or a part's name, key or twin does not fit the others.
    """
    if not name.isidentifier() or not parts or len({part.name for part in parts}) < len(parts):
        raise ConfigError(f"layout {name!r}: expected a name of letters, digits and _, and parts, each once")
    for part in parts:
        # Not those of entry points: their packages import this one, which may still be registering its own.
        entries = PARTS.registered()
        taken = next((one.name for one in entries if part.name in {p.name for p in _parts(one.function)}), name)
        if taken != name:
            raise ConfigError(f"layout {name!r}: the layout {taken!r} has a part {part.name!r} already")
        twin = next((one for one in parts if one.name == part.twin), part)
        if len(twin) != len(part):
            raise ConfigError(f"layout {name!r}: {part.name} and its twin {twin.name} differ in length")
    PARTS.add(name, parts, None)
    layout.cache_clear()


@cache
def layout(name: str = DEFAULT_LAYOUT) -> Layout:
    """The layout that a name such as ``body_25+face_70`` spells: registered parts, once each.

    A part of several that share a word, such as ``hand_right_21``, may also stand alone.

    Raises `ConfigError`: an unknown part, one named twice, two that files hold under the same key, such as two bodies,
    or parts in another order than body, face, hands, others.
    """
    names = re.split(r"\s*\+\s*", name.strip())
    parts = tuple(part for word in names for part in _parts_of(word))
    keys = [part.key for part in parts]
    same = [part.name for part in parts if keys.count(part.key) > 1]
    if same:
        raise ConfigError(f"layout {name!r}: choose one of {', '.join(same)}, once: files hold them in the same list")
    ranks = [(KINDS.index(part.kind), part.name) for part in parts]
    if ranks != sorted(ranks):
        raise ConfigError(f"layout {name!r}: name body, face, hands and others in this order")
    return Layout("+".join(names), parts)


def part_models(part: Part) -> dict[str, Part]:
    """Parts by name that files may hold in place of this one, under the same key; itself first."""
    others = (other for word in PARTS.names() for other in _parts_of(word) if other.key == part.key)
    return {one.name: one for one in (part, *others)}


def _parts_of(word: str) -> tuple[Part, ...]:
    """The parts that a word stands for: an entry's, or one of several that share an entry."""
    for entry in PARTS if word not in PARTS else ():
        for part in _parts(PARTS[entry].function):
            if part.name == word:
                return (part,)
    return _parts(PARTS[word].function)


def _parts(entry: object) -> tuple[Part, ...]:
    """The parts of an entry: what was registered, or what an entry point of another package holds."""
    found = entry if isinstance(entry, tuple) else (entry,)
    return found if all(isinstance(part, Part) for part in found) else ()
