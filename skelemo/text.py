"""Text for people: counted nouns, single lines, natural order, file names."""

import html
import itertools
import re
import unicodedata
from collections.abc import Iterable, Sequence
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    import pandas as pd

#: The file that `skelemo synth` leaves: what lies beside or below it is simulated.
SIMULATED = "simulated.json"

_DIGITS = re.compile(r"[0-9]+")


def file_names(names: Iterable[str]) -> list[str]:
    """Names that any file system takes, and that differ wherever the given ones do, capitals aside."""
    taken: set[str] = set()
    safe = []
    for name in names:
        plain = re.sub(r"[^\w+\- .]+", "_", name).strip(" .")[:100] or "_"
        numbered = (f"{plain}~{again}" for again in itertools.count(2))
        free = next(tried for tried in itertools.chain([plain], numbered) if tried.casefold() not in taken)
        taken.add(free.casefold())
        safe.append(free)
    return safe


#: Between letters, or a letter and a digit, these say nothing; between digits they keep 1-2 apart from 12.
_SEPARATORS = re.compile(r"(?<=[^\W\d_])[\s_-]+|[\s_-]+(?=[^\W\d_])")


def folded(text: str) -> str:
    """A text without what people vary in writing it: case, Unicode form, and spaces, ``_`` and ``-`` beside letters."""
    plain = text.strip() if text.isascii() else unicodedata.normalize("NFKC", text.strip())
    return _SEPARATORS.sub("", plain.casefold()) or plain


def video_names(sources: Iterable[str]) -> list[str]:
    """What sequences are called after: the path of the recording, without saying a folder's name twice.

    ``1-30-1280x720/1-30-1280x720`` is ``1-30-1280x720``, unless that would be another recording's name.
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
    """Sorting key that counts: ``a2`` before ``a10``, digits before letters, case aside (OpenPose's ``compareNat``)."""
    return _DIGITS.sub(_by_value, text.upper()), text


def _by_value(digits: re.Match[str]) -> str:
    """Digits that sort by their value and before any other character: how many they are goes before them."""
    number = digits[0].lstrip("0")
    return f"\0{len(number):06}{number}"


#: What breaks lines, steers a terminal, turns the direction of the text, or is no character of XML.
_UNSEEN = re.compile("[\x00-\x1f\x7f-\x9f\u2028-\u202e\u2066-\u2069\ufeff\ufffe\uffff\ud800-\udfff]")
#: A spreadsheet takes a cell that begins like this for a formula.
_FORMULA = re.compile(r"[=+\-@\t\r]")


def count(number: int, noun: str, nouns: str = "") -> str:
    """A number with its noun: ``1 shard``, ``12,000 shards``; ``nouns`` is a plural that is more than an s."""
    return f"{number:,} {noun if number == 1 else nouns or noun + 's'}"


def visible(text: str) -> str:
    """A text in one line: what cannot be seen in it, such as a line feed, is spelled out, as ``\\n``."""
    return _UNSEEN.sub(lambda found: repr(found[0])[1:-1], text)


def cell(text: str) -> str:
    """A text as a cell that no spreadsheet runs as a formula: ``=1+1`` becomes ``'=1+1``."""
    return f"'{text}" if _FORMULA.match(text) else text


def safe_cells(table: "pd.DataFrame") -> "pd.DataFrame":
    """A table whose texts and titles no spreadsheet runs as formulas (`cell`)."""
    texts = table.select_dtypes(exclude="number").columns
    safe = {name: table[name].map(lambda value: cell(value) if isinstance(value, str) else value) for name in texts}
    return table.assign(**safe).rename(columns=cell)


def duration(seconds: float | None) -> str:
    """Seconds as hours, minutes and seconds, no finer than matters."""
    if not isinstance(seconds, int | float):
        return "–"
    minutes, rest = divmod(round(seconds), 60)
    hours, minutes = divmod(minutes, 60)
    if hours:
        return f"{hours} h {minutes:02d} min"
    return f"{minutes} min {rest:02d} s" if minutes else f"{rest} s"


def html_table(caption: str, columns: Sequence[str], rows: Iterable[Sequence[str]]) -> str:
    """A small table for a notebook, its first column of names; every text is escaped, without ``columns`` no header."""

    def cells(tag: str, texts: Sequence[str]) -> str:
        style = ' style="text-align:left;vertical-align:top"'
        return "".join(f"<{tag}{style}>{html.escape(visible(text))}</{tag}>" for text in texts)

    title = f'<caption style="text-align:left;caption-side:top"><b>{html.escape(visible(caption))}</b></caption>'
    head = f"<thead><tr>{cells('th', columns)}</tr></thead>" if columns else ""
    body = "".join(f"<tr>{cells('td', row)}</tr>" for row in rows)
    return f"<table>{title}{head}<tbody>{body}</tbody></table>"
