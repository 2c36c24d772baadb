"""Names: in the order that people expect, and as names of files."""

import re
from collections.abc import Iterable
from itertools import chain, count

#: The file that `skelemo synth` leaves: what lies beside or below it is simulated.
SIMULATED = "simulated.json"

_DIGITS = re.compile(r"[0-9]+")


def file_names(names: Iterable[str]) -> list[str]:
    """Names that any file system takes, and that differ wherever the given ones do, capitals aside."""
    taken: set[str] = set()
    safe = []
    for name in names:
        plain = re.sub(r"[^\w+\- .]+", "_", name).strip(" .")[:100] or "_"
        numbered = (f"{plain}~{again}" for again in count(2))
        free = next(tried for tried in chain([plain], numbered) if tried.casefold() not in taken)
        taken.add(free.casefold())
        safe.append(free)
    return safe


def natural_order(text: str) -> tuple[str, str]:
    """Sorting key that counts: ``a2`` before ``a10``, digits before letters, case aside (OpenPose's ``compareNat``)."""
    return _DIGITS.sub(_by_value, text.upper()), text


def _by_value(digits: re.Match[str]) -> str:
    """Digits that sort by their value and before any other character: how many they are goes before them."""
    number = digits[0].lstrip("0")
    return f"\0{len(number):06}{number}"
