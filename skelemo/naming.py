"""Names of files for whatever has a name."""

import re
from collections.abc import Iterable
from itertools import chain, count


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
