"""Parts of a set of recordings, for several machines: fixed by the recordings alone, and of equal size."""

import heapq
import re
from collections.abc import Sequence
from dataclasses import dataclass

from skelemo.errors import ConfigError

#: More machines than anybody has; a larger number is a mistake.
MOST_PARTS = 100_000


@dataclass(frozen=True)
class Part:
    """One of several parts, counted from 1."""

    number: int = 1
    of: int = 1

    def __str__(self) -> str:
        return f"{self.number}/{self.of}"


def parse_part(text: str) -> Part:
    """The part that ``--part 3/8`` names.

    Raises
    ------
    ConfigError
        It is not two whole numbers, or there is no such part.
    """
    found = re.fullmatch(r"\s*([0-9]{1,9})\s*/\s*([0-9]{1,9})\s*", text)
    if not found:
        raise ConfigError(f"part {text!r}: expected NUMBER/OF, as in 3/8 for the third of eight parts")
    number, of = int(found[1]), int(found[2])
    if not 1 <= number <= of <= MOST_PARTS:
        raise ConfigError(f"part {text!r}: there is no such part; those of {of} are 1/{of} to {of}/{of}")
    return Part(number, of)


def take_part(sizes: Sequence[int], part: Part) -> list[int]:
    """The positions that belong to a part, in order: each next largest goes to the part that has least so far.

    It depends on the sizes and their order alone, so that every machine comes to the same parts. None has more than
    another by more than the largest size.
    """
    loads = [(0, 0, number) for number in range(1, part.of + 1)]  # size, count, part
    mine = []
    for position in sorted(range(len(sizes)), key=lambda position: (-sizes[position], position)):
        size, count, number = loads[0]
        heapq.heapreplace(loads, (size + sizes[position], count + 1, number))
        if number == part.number:
            mine.append(position)
    return sorted(mine)
