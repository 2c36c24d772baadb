"""Text for users: counted nouns, single lines, natural order, file names, safe cells."""

import html
import itertools
import re
import unicodedata
from collections.abc import Collection, Iterable, Sequence
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    import pandas as pd

#: Written by `skelemo synth` to mark its folder as simulated.
SIMULATED = "simulated.json"

_DIGITS = re.compile(r"[0-9]+")


def file_names(names: Iterable[str]) -> list[str]:
    """Names that every file system accepts, unique even if case is ignored."""
    taken: set[str] = set()
    safe = []
    for name in names:
        plain = re.sub(r"[^\w+\- .]+", "_", name).strip(" .")[:100].rstrip(" .") or "_"
        numbered = (f"{plain}~{again}" for again in itertools.count(2))
        free = next(tried for tried in itertools.chain([plain], numbered) if tried.casefold() not in taken)
        taken.add(free.casefold())
        safe.append(free)
    return safe


#: Spaces, _ and - beside letters. Between digits they matter: 1-2 is not 12.
_SEPARATORS = re.compile(r"(?<=[^\W\d_])[\s_-]+|[\s_-]+(?=[^\W\d_])")


def folded(text: str) -> str:
    """A text without differences of case, Unicode form, and spaces, ``_`` and ``-`` beside letters."""
    plain = text.strip() if text.isascii() else unicodedata.normalize("NFKC", text.strip())
    return _SEPARATORS.sub("", plain.casefold()) or plain


def video_names(sources: Iterable[str]) -> list[str]:
    """Names of videos from paths of recordings, without a duplicate last folder.

    ``1-30-1280x720/1-30-1280x720`` becomes ``1-30-1280x720``, unless another recording has that name.
    """
    listed = list(sources)
    taken = set(listed)
    names = []
    for source in listed:
        above, _, name = source.rpartition("/")
        short = above if above.rpartition("/")[2] == name and above not in taken else source
        names.append(short)
    return names


def natural_order(text: str) -> tuple[str, str]:
    """Natural sorting key: ``a2`` before ``a10``, digits before letters, without case (OpenPose's ``compareNat``)."""
    return _DIGITS.sub(_by_value, text.upper()), text


def _by_value(digits: re.Match[str]) -> str:
    """Digits with their count as a prefix, so that they sort by value and before any other character."""
    number = digits[0].lstrip("0")
    return f"\0{len(number):06}{number}"


#: Line breaks, terminal controls, changes of the text direction, and characters invalid in XML.
_UNSEEN = re.compile("[\x00-\x1f\x7f-\x9f\u2028-\u202e\u2066-\u2069\ufeff\ufffe\uffff\ud800-\udfff]")
#: The start of a cell that a spreadsheet runs as a formula.
_FORMULA = re.compile(r"[=+\-@\t\r]")


def count(number: int, noun: str, nouns: str = "") -> str:
    """A number with its noun: ``1 shard``, ``12,000 shards``; ``nouns`` is an irregular plural."""
    return f"{number:,} {noun if number == 1 else nouns or noun + 's'}"


def capital(text: str) -> str:
    """A text with a capital first letter."""
    return text[:1].upper() + text[1:]


def some(items: Collection[object], shown: int = 3) -> str:
    """The first few items, and the number of the others."""
    named = ", ".join(str(item) for item, _ in zip(items, range(shown), strict=False))
    return f"{named} and {len(items) - shown:,} more" if len(items) > shown else named


def tally(items: Collection[object]) -> str:
    """The number of items and the first few: ``4 (a, b, c and 1 more)``."""
    return f"{len(items)} ({some(items)})" if items else "0"


def visible(text: str) -> str:
    """A text with control characters escaped: a line feed becomes ``\\n``."""
    return _UNSEEN.sub(lambda found: repr(found[0])[1:-1], text)


def cell(text: str) -> str:
    """A text as a table cell that spreadsheets do not run as a formula: ``=1+1`` becomes ``'=1+1``."""
    return f"'{text}" if _FORMULA.match(text) else text


def safe_cells(table: "pd.DataFrame") -> "pd.DataFrame":
    """A table with `cell` applied to all text, including column names."""
    texts = table.select_dtypes(exclude="number").columns
    safe = {name: table[name].map(lambda value: cell(value) if isinstance(value, str) else value) for name in texts}
    return table.assign(**safe).rename(columns=cell)


def signed(value: float, low: float) -> str:
    """A value with two decimals, and a sign if its range, from ``low``, has negative values."""
    text = f"{value + 0.0:+.2f}".replace("-0.00", "+0.00")
    return text if low < 0 else text.removeprefix("+")


def duration(seconds: float | None) -> str:
    """Seconds as ``2 h 05 min``, ``3 min 20 s`` or ``4 s``."""
    if not isinstance(seconds, int | float):
        return "–"
    minutes, rest = divmod(round(seconds), 60)
    hours, minutes = divmod(minutes, 60)
    if hours:
        return f"{hours} h {minutes:02d} min"
    return f"{minutes} min {rest:02d} s" if minutes else f"{rest} s"


def html_table(caption: str, columns: Sequence[str], rows: Iterable[Sequence[str]]) -> str:
    """A small HTML table for a notebook; text is escaped. Without ``columns`` there is no header."""

    def cells(tag: str, texts: Sequence[str]) -> str:
        style = ' style="text-align:left;vertical-align:top"'
        return "".join(f"<{tag}{style}>{html.escape(visible(text))}</{tag}>" for text in texts)

    title = f'<caption style="text-align:left;caption-side:top"><b>{html.escape(visible(caption))}</b></caption>'
    head = f"<thead><tr>{cells('th', columns)}</tr></thead>" if columns else ""
    body = "".join(f"<tr>{cells('td', row)}</tr>" for row in rows)
    return f"<table>{title}{head}<tbody>{body}</tbody></table>"
