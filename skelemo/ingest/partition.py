"""Parts of a set of recordings, for several machines: fixed by the recordings alone, and of equal size."""

import hashlib
import heapq
import re
from collections.abc import Sequence
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path

from skelemo.cache.shard import Header, open_shard
from skelemo.cache.store import shards_in
from skelemo.errors import CacheError, ConfigError
from skelemo.openpose.recording import Recording
from skelemo.text import count

#: More machines than anybody has; a larger number is a mistake.
MOST_PARTS = 100_000

#: In a shard's origin, what parts were taken of.
_WHOLE = "part of"


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


def whole(recordings: Sequence[Recording]) -> dict[str, str]:
    """All the recordings that parts are taken of, for a cache to tell: machines that see the same say the same."""
    listed = "\n".join(f"{len(one.files)} {one.source}" for one in recordings)
    digest = hashlib.sha256(listed.encode()).hexdigest()[:8]
    return {_WHOLE: f"{count(len(recordings), 'recording')} ({digest})"}


def other_wholes(out: Path, header: Header) -> list[str]:
    """A note where shards of the same source are parts of other recordings than this ingest has seen."""
    mine, found = header.origin, set()
    for path in shards_in(out):
        with suppress(CacheError):  # it is damaged, or another ingest has just put others in its place
            theirs = open_shard(path).header.origin
            if theirs.get("source") == mine["source"]:
                found.add(theirs.get(_WHOLE, mine[_WHOLE]))
    others = sorted(found - {mine[_WHOLE]})
    if not others:
        return []
    seen = " or ".join(others)
    return [
        f"{out}: other parts in it were taken of {seen}, this one of {mine[_WHOLE]}: a recording may be in none; when "
        "all machines see the same, ingest every part again"
    ]
