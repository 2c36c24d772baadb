"""Suspects of an audit, and their table, which the viewer opens as a queue."""

from collections.abc import Iterable, Mapping
from dataclasses import asdict, dataclass, fields
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
import pandas as pd

from skelemo.atomic import finished
from skelemo.errors import InputError
from skelemo.text import safe_cells

if TYPE_CHECKING:
    from skelemo.data.corpus import Corpus

#: Kinds and their meanings.
KINDS: Mapping[str, str] = {
    "label": "another label is more probable",
    "timing": "labels are shifted in time",
    "identity": "the track jumps, possibly to another person",
    "frozen": "the points do not move",
    "empty": "labeled, but nobody is visible",
    "outside": "points outside the image",
    "duplicate": "same keypoints as in another recording",
}
_MOST_BYTES = 256 << 20


@dataclass(frozen=True)
class Suspect:
    """A segment that is probably wrong.

    Parameters
    ----------
    first, last : frame numbers of the source video.
    score : confidence from 0 to 1.
    head, value : for labels, the more probable label, as in a correction; for identity jumps, ``value`` is the person
        with whom the track may be swapped.
    """

    kind: str
    video: str
    person: str
    first: int
    last: int
    score: float
    found: str
    head: str = ""
    value: str = ""


COLUMNS = ("rank", *(field.name for field in fields(Suspect)))


class Places:
    """Video, person and frame number of a corpus's rows."""

    def __init__(self, corpus: "Corpus") -> None:
        self.video = corpus.sequences["video"].to_numpy(object)
        self.person = corpus.sequences["person"].to_numpy(object)
        self.sequence = np.repeat(np.arange(len(corpus.sequences)), corpus.sequences["length"])
        self.number = corpus.number(np.arange(len(corpus)))

    def suspect(
        self, kind: str, first: int, last: int, score: float, found: str, head: str = "", value: str = ""
    ) -> Suspect:
        """A suspect from row ``first`` to row ``last`` of one sequence."""
        one = self.sequence[first]
        where = (str(self.video[one]), str(self.person[one]), int(self.number[first]), int(self.number[last]))
        return Suspect(kind, *where, float(np.clip(score, 0, 1)), found, head, value)


def runs_of(flags: np.ndarray, sequence: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """First and last row of each run of True rows within one sequence."""
    new = np.r_[True, sequence[1:] != sequence[:-1]]
    begins = flags & (new | ~np.r_[False, flags[:-1]])
    ends = flags & (np.r_[new[1:], True] | ~np.r_[flags[1:], False])
    return np.flatnonzero(begins), np.flatnonzero(ends)


def ranked(suspects: Iterable[Suspect], most: int) -> pd.DataFrame:
    """Suspects by decreasing score, at most ``most`` of each kind; columns `COLUMNS`."""
    table = pd.DataFrame([asdict(one) for one in suspects], columns=COLUMNS[1:])
    table = table.sort_values(["score", "kind", "video", "first"], ascending=[False, True, True, True], kind="stable")
    table = table.groupby("kind", sort=False).head(most).reset_index(drop=True)
    table.insert(0, "rank", np.arange(1, len(table) + 1))
    return table


def write_suspects(path: Path, table: pd.DataFrame) -> None:
    """Write the table as CSV, with formulas quoted."""
    with finished(path) as partial:
        safe_cells(table).to_csv(partial, index=False, float_format="%.4f")


def read_suspects(path: Path) -> pd.DataFrame:
    """Read a table of suspects; columns `COLUMNS`.

    Raises `InputError`: not found, too large, a missing column, or an invalid row.
    """
    try:
        if path.stat().st_size > _MOST_BYTES:
            raise InputError(f"{path}: more than {_MOST_BYTES >> 20} MB; expected a table of suspects")
        table = pd.read_csv(path, dtype=str, keep_default_na=False)
    except (OSError, ValueError) as error:
        reason = error.strerror if isinstance(error, OSError) else str(error)
        raise InputError(f"{path}: {' '.join(str(reason).split())}; expected a table of skelemo audit") from None
    if missing := [name for name in COLUMNS if name not in table]:
        raise InputError(f"{path}: no column {missing[0]!r}; expected {', '.join(COLUMNS)}")
    table = table[list(COLUMNS)].copy()
    for name in ("rank", "first", "last", "score"):
        numbers = pd.to_numeric(table[name], errors="coerce")
        whole = name == "score" or (numbers % 1 == 0)
        wrong = ~(np.isfinite(numbers) & (numbers >= 0) & (numbers < 2**31) & whole)
        _refuse(path, table, wrong, name, "a number")
        table[name] = numbers if name == "score" else numbers.astype(np.int64)
    for name in ("kind", "video", "person", "found", "head", "value"):
        table[name] = table[name].str.replace(r"^'(?=[=+\-@])", "", regex=True).str.slice(0, 2000)
    _refuse(path, table, ~table["kind"].isin(list(KINDS)), "kind", f"one of {', '.join(KINDS)}")
    _refuse(path, table, table["score"] > 1, "score", "a number from 0 to 1")
    _refuse(path, table, table["last"] < table["first"], "last", "the first frame or a later one")
    return table


def _refuse(path: Path, table: pd.DataFrame, wrong: pd.Series, name: str, expected: str) -> None:
    if wrong.any():
        line = int(np.flatnonzero(wrong)[0])
        raise InputError(f"{path}: line {line + 2}: {name} {str(table[name].iloc[line])[:20]!r}; expected {expected}")
