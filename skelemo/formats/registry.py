"""Formats that caches are exported to and imported from, by name.

A format is one registered function. Exports are called ``write(cache, out, only, report)`` and return `Exported`;
imports are called ``read(file, layout, size)`` and return a `Clip` for each recording of the file.
"""

from dataclasses import dataclass
from typing import Literal

from skelemo.errors import ConfigError, unknown
from skelemo.plugins import Entry, Registry
from skelemo.skeleton import BODY_25

Direction = Literal["export", "import"]


@dataclass(frozen=True)
class Format:
    """Properties of a format.

    Parameters
    ----------
    endings : of the files of an import, in lower case.
    raw : whether an export accepts ``raw=True``, to write texts unchanged instead of quoting formulas.
    body_model : of an import, a name in `skelemo.skeleton.BODY_MODELS`.
    """

    direction: Direction = "export"
    summary: str = ""
    endings: tuple[str, ...] = ()
    body_model: str = BODY_25.name
    raw: bool = False


#: Formats of other packages are exports unless they register otherwise.
FORMATS: Registry[Format] = Registry("cache format", "skelemo.formats", "skelemo.formats", Format())


def names(direction: Direction) -> list[str]:
    """Sorted names of the formats of one direction, without those of packages that cannot be imported."""
    return [name for name in FORMATS if (entry := _importable(name)) and entry.facts.direction == direction]


def find(name: str, direction: Direction) -> Entry[Format]:
    """Look up a format by name. Raises `ConfigError`: unknown in that direction; the message lists the known ones."""
    try:
        entry = FORMATS.find(name)
    except ConfigError:
        if name in FORMATS or ":" in name:
            raise
        raise unknown(f"{direction} format", name, names(direction)) from None
    if entry.facts.direction != direction and ":" not in name:
        raise unknown(f"{direction} format", name, names(direction))
    return entry


def _importable(name: str) -> Entry[Format] | None:
    try:
        return FORMATS[name]
    except ConfigError:
        return None
