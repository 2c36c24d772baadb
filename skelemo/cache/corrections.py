"""Corrections of labels and tracks: one small table, ``corrections.csv``, beside the shards of a cache.

A row is one change by one author. Rows are only ever added; undoing marks one, so that it can be redone. Every change
is saved at once: the table is read, changed and replaced as a whole while the folder is locked, so that two programs,
or two tabs of a browser, lose nothing. The cache itself stays as it is; ingest and training apply the table
(`skelemo.annotations.correcting`).
"""

import csv
import getpass
import hashlib
import io
import re
import uuid
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, fields, replace
from datetime import UTC, datetime
from functools import cached_property
from pathlib import Path
from typing import Any, Literal, get_args

from skelemo.atomic import finished, locked
from skelemo.errors import ConfigError, InputError, unknown
from skelemo.text import count, visible

#: The table's name in the folder of a cache.
CORRECTIONS = "corrections.csv"

#: ``set``: a head's class or values; ``wrong``, ``unsure``: not to be learned from or scored; ``merge``: the person
#: named by ``value`` is this one too; ``swap``: the two change places from ``first`` to ``last``.
Action = Literal["set", "wrong", "unsure", "merge", "swap"]
ACTIONS: tuple[Action, ...] = get_args(Action)
TRACKS = ("merge", "swap")
#: Where the header of a shard names the merges and swaps that were in force when it was written, by id.
TRACKS_APPLIED = "track_corrections"

#: Larger tables are refused: a million corrections are no small table.
MOST_BYTES = 64 << 20
_LONGEST = 2000  # characters of a text
_FARTHEST = 2**31 - 1
_ID, _TIME = re.compile(r"[0-9a-f]{4,32}"), re.compile(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\dZ", re.ASCII)
#: Texts that a spreadsheet would run as formulas have an apostrophe before them in the file.
_FORMULA, _QUOTED = re.compile(r"'*[=+\-@]"), re.compile(r"'+[=+\-@]")
_TEXTS = ("author", "video", "person", "head", "value", "note")


@dataclass(frozen=True)
class Correction:
    """One change.

    Raises `ConfigError`: a field that no correction can have.

    Parameters
    ----------
    id, time, author : filled in when it is added: hexadecimal digits, ISO 8601 in UTC, the user's name.
    video, person : recording and person, as the cache's sequences have them.
    first, last : frame numbers of the source video, both included; None for the end of the recording.
    head : its name; empty for all heads (``wrong``, ``unsure``), and for tracks.
    value : of ``set``, the name of the class, or a number for each output with spaces between them, where ``-`` keeps
        what is there; of ``merge`` and ``swap`` the other person.
    undone : when it was undone; empty while it is in force.
    redone : when it was put in force again, if it was undone before.
    """

    video: str
    action: Action
    person: str = ""
    first: int = 0
    last: int | None = None
    head: str = ""
    value: str = ""
    note: str = ""
    id: str = ""
    time: str = ""
    author: str = ""
    undone: str = ""
    redone: str = ""

    def __post_init__(self) -> None:
        for name in _TEXTS:
            text = getattr(self, name)
            if not isinstance(text, str) or len(text) > _LONGEST or visible(text) != text:
                raise ConfigError(f"{name} {str(text)[:60]!r}: expected one line of at most {_LONGEST} characters")
        if not self.video:
            raise ConfigError("a correction needs a video")
        if self.action not in ACTIONS:
            raise unknown("action", self.action, ACTIONS)
        last = _FARTHEST if self.last is None else self.last
        if not 0 <= self.first <= last <= _FARTHEST:
            raise ConfigError(f"frames {self.first} to {self.last}: expected two frame numbers, the first no larger")
        if self.action == "set" and not (self.head and self.value):
            raise ConfigError("set needs a head and a value")
        if self.action in TRACKS and (self.head or self.value == self.person):
            raise ConfigError(f"{self.action} needs another person as its value, and no head")
        if (self.id and not _ID.fullmatch(self.id)) or any(
            t and not _TIME.fullmatch(t) for t in (self.time, self.undone, self.redone)
        ):
            raise ConfigError("expected an id of hexadecimal digits, and times as in 2026-01-31T09:30:00Z")


COLUMNS = ("id", "time", "author", "video", "person", "first", "last", "action", "head", "value", "note", "undone",
           "redone")  # fmt: skip
assert {field.name for field in fields(Correction)} == set(COLUMNS)


@dataclass(frozen=True)
class Corrections:
    """A table of corrections, in the order in which they were made; later ones win."""

    path: Path
    rows: tuple[Correction, ...] = ()
    sha256: str = ""

    @cached_property
    def effective(self) -> tuple[Correction, ...]:
        """Those that are not undone."""
        return tuple(row for row in self.rows if not row.undone)

    @property
    def tracks(self) -> tuple[Correction, ...]:
        """Effective merges and swaps."""
        return tuple(row for row in self.effective if row.action in TRACKS)

    def facts(self) -> dict[str, Any]:
        """What a run folder records of them."""
        authors = {row.author for row in self.effective}
        return {"file": self.path.name, "sha256": self.sha256, "count": len(self.effective), "authors": len(authors)}


def in_words(facts: Mapping[str, Any]) -> str:
    """What a run folder or a cache records of corrections, for people."""
    made = f"{count(facts['count'], 'correction')} by {count(facts['authors'], 'author')}"
    missed = {"elsewhere": "of recordings that are not in these data", "unmatched": "of people or frames that are not"}
    rest = [f"{facts[name]:,} {what}" for name, what in missed.items() if facts.get(name)]
    return f"{made} ({', '.join([facts['file'], 'hash ' + facts['sha256'][:12], *rest])})"


def corrections_file(cache: Path) -> Path:
    """Where the corrections of a cache lie."""
    return Path(cache) / CORRECTIONS


def read_corrections(path: Path, *, missing_ok: bool = False) -> Corrections:
    """Read a table of corrections.

    Raises `InputError`: it is missing, or it is no table of corrections: the message names the line.

    Parameters
    ----------
    missing_ok : a file that is not there yet is an empty table.
    """
    path = Path(path)
    try:
        with path.open("rb") as file:
            content = file.read(MOST_BYTES + 1)
    except FileNotFoundError:
        if missing_ok:
            return Corrections(path)
        raise InputError(f"{path}: no such table of corrections (skelemo view makes one)") from None
    except OSError as error:
        raise InputError(f"{path}: cannot be read ({error.strerror or error})") from error
    return parse(content, path)


def parse(content: bytes, path: Path | str) -> Corrections:
    """The table that a file holds; ``path`` is for messages. Raises as `read_corrections`."""
    if len(content) > MOST_BYTES:
        raise InputError(f"{path}: more than {MOST_BYTES >> 20} MB; expected a table of corrections")
    try:
        lines = csv.reader(io.StringIO(content.decode("utf-8-sig"), newline=""), strict=True)
        title = next(lines, [])
        if tuple(title) != COLUMNS:
            raise ConfigError(f"columns {', '.join(title)[:200] or 'none'}; expected {', '.join(COLUMNS)}")
        rows = [_row(line, lines.line_num) for line in lines if line]
    except (ConfigError, csv.Error, UnicodeDecodeError) as error:
        raise InputError(f"{path}: {error}") from None
    ids = [row.id for row in rows]
    if len(set(ids)) < len(ids):
        twice = next(name for name in ids if ids.count(name) > 1)
        raise InputError(f"{path}: two corrections have the id {twice}; expected one")
    return Corrections(Path(path), tuple(rows), hashlib.sha256(content).hexdigest())


def to_bytes(rows: Iterable[Correction]) -> bytes:
    """The file of a table."""
    text = io.StringIO(newline="")
    writer = csv.writer(text, lineterminator="\n")
    writer.writerow(COLUMNS)
    writer.writerows([_cell(name, getattr(row, name)) for name in COLUMNS] for row in rows)
    return text.getvalue().encode()


def add(path: Path, corrections: Iterable[Correction], *, author: str = "") -> tuple[Correction, ...]:
    """Add corrections with new ids, the time and the author (the user's name unless given); returns them so."""
    now, who = _now(), author or _user()
    made = tuple(
        replace(row, id=uuid.uuid4().hex[:12], time=now, author=row.author or who, undone="", redone="")
        for row in corrections
    )
    change(path, lambda rows: [*rows, *made])
    return made


def undo(path: Path, ids: Sequence[str]) -> tuple[Correction, ...]:
    """Put corrections out of force; returns them. One that is undone already stays as it is.

    Raises `ConfigError`: there is none with such an id.
    """
    return _mark(path, ids, _now())


def redo(path: Path, ids: Sequence[str]) -> tuple[Correction, ...]:
    """Put corrections that were undone in force again; returns them, raises as `undo`."""
    return _mark(path, ids, "", _now())


def _mark(path: Path, ids: Sequence[str], undone: str, redone: str = "") -> tuple[Correction, ...]:
    wanted = set(ids)

    def marked(rows: Sequence[Correction]) -> list[Correction]:
        if missing := wanted - {row.id for row in rows}:
            raise ConfigError(f"{path}: no correction has the id {min(missing)!r}")
        return [
            replace(row, undone=undone, redone=redone) if row.id in wanted and bool(row.undone) != bool(undone) else row
            for row in rows
        ]

    return tuple(row for row in change(path, marked) if row.id in wanted)


def change(path: Path, edit: Callable[[Sequence[Correction]], list[Correction]]) -> list[Correction]:
    """Replace the table by what ``edit`` makes of it; nobody else changes it meanwhile."""
    path = Path(path)
    if not path.parent.is_dir():
        raise ConfigError(f"{path}: there is no folder {path.parent}")
    with locked(path.parent, patience=30):
        before = read_corrections(path, missing_ok=True).rows
        rows = edit(before)
        if rows != [*before] or not path.exists():
            with finished(path) as partial:
                partial.write_bytes(to_bytes(rows))
    return rows


def _cell(name: str, value: object) -> str:
    text = "" if value is None else str(value)
    return f"'{text}" if name in _TEXTS and _FORMULA.match(text) else text


def _row(line: list[str], number: int) -> Correction:
    """A line of the file; `ConfigError` with its number where it is no correction."""
    try:
        if len(line) != len(COLUMNS):
            raise ConfigError(f"{count(len(line), 'field')}; expected {len(COLUMNS)}")
        given = dict(zip(COLUMNS, line, strict=True))
        texts = {name: given[name][1:] if _QUOTED.match(given[name]) else given[name] for name in _TEXTS}
        frames = {name: _number(name, given[name]) for name in ("first", "last")}
        if not (given["id"] and given["time"]):
            raise ConfigError("expected an id and a time")
        return Correction(**{**given, **texts, **frames, "first": frames["first"] or 0})  # type: ignore[arg-type]
    except ConfigError as error:
        raise ConfigError(f"line {number}: {error}") from None


def _number(name: str, text: str) -> int | None:
    if text and not (text.isascii() and text.isdecimal() and len(text) <= 10):
        raise ConfigError(f"{name} {text[:20]!r}: expected a frame number, or nothing for the end of the recording")
    return int(text) if text else None


def _now() -> str:
    return datetime.now(UTC).strftime("%Y-%m-%dT%H:%M:%SZ")


def _user() -> str:
    try:
        return getpass.getuser()
    except (OSError, KeyError):  # a container's user may have no name
        return "unknown"
