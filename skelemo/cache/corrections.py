"""Corrections of labels and tracks: a small table, ``corrections.csv``, beside the shards of a cache.

A row is one change by one author. Rows are only appended; undoing marks a row. Each change reads, edits and replaces
the whole table while the folder is locked, so concurrent programs and browser tabs do not overwrite each other. Shards
are not modified; ingest and training apply the table (`skelemo.annotations.correcting`).
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
from skelemo.errors import ConfigError, InputError, os_reason, unknown
from skelemo.text import count, visible

#: File name of the table.
CORRECTIONS = "corrections.csv"

#: ``set``: new class or values of a head; ``wrong``, ``unsure``: excluded from training and scores; ``merge``: the
#: person named by ``value`` is the same; ``swap``: the two are exchanged from frame ``first`` to ``last``.
Action = Literal["set", "wrong", "unsure", "merge", "swap"]
ACTIONS: tuple[Action, ...] = get_args(Action)
TRACKS = ("merge", "swap")
#: Setting in a shard's header with the ids of the merges and swaps applied by its ingest.
TRACKS_APPLIED = "track_corrections"

#: Larger tables are refused; this is about a million corrections.
MAX_BYTES = 64 << 20
_MAX_LENGTH = 2000  # characters of a text
_MAX_FRAME = 2**31 - 1
_ID, _TIME = re.compile(r"[0-9a-f]{4,32}"), re.compile(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\dZ", re.ASCII)
#: The file quotes texts that a spreadsheet would run as formulas with an apostrophe.
_FORMULA, _QUOTED = re.compile(r"'*[=+\-@]"), re.compile(r"'+[=+\-@]")
_TEXTS = ("author", "video", "person", "head", "value", "note")


@dataclass(frozen=True)
class Correction:
    """One change.

    Raises `ConfigError`: a field is invalid.

    Parameters
    ----------
    id, time, author : set by `add`: hexadecimal digits, ISO 8601 in UTC, the user's name.
    video, person : as in the cache's sequences.
    first, last : frame numbers of the source video, inclusive; None for the end of the video.
    head : name; empty for all heads (``wrong``, ``unsure``) and for tracks.
    value : of ``set``, the class name, or a number per output, separated by spaces, where ``-`` keeps the current
        value; of ``merge`` and ``swap``, the other person.
    undone : time of the undo; empty while the correction is active.
    redone : time of the redo.
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
            if not isinstance(text, str) or len(text) > _MAX_LENGTH or visible(text) != text:
                raise ConfigError(f"{name} {str(text)[:60]!r}: expected one line of at most {_MAX_LENGTH} characters")
        if not self.video:
            raise ConfigError("the video is missing")
        if self.action not in ACTIONS:
            raise unknown("action", self.action, ACTIONS)
        last = _MAX_FRAME if self.last is None else self.last
        if not 0 <= self.first <= last <= _MAX_FRAME:
            raise ConfigError(f"frames {self.first} to {self.last}: expected two frame numbers in order")
        if self.action == "set" and not (self.head and self.value):
            raise ConfigError("set needs a head and a value")
        if self.action in TRACKS and (self.head or self.value == self.person):
            raise ConfigError(f"{self.action} needs another person as value, and no head")
        if (self.id and not _ID.fullmatch(self.id)) or any(
            t and not _TIME.fullmatch(t) for t in (self.time, self.undone, self.redone)
        ):
            raise ConfigError("expected an id of hexadecimal digits, and times like 2026-01-31T09:30:00Z")


COLUMNS = ("id", "time", "author", "video", "person", "first", "last", "action", "head", "value", "note", "undone",
           "redone")  # fmt: skip
assert {field.name for field in fields(Correction)} == set(COLUMNS)


@dataclass(frozen=True)
class Corrections:
    """A correction table in order of creation; later ones win."""

    path: Path
    rows: tuple[Correction, ...] = ()
    sha256: str = ""

    @cached_property
    def effective(self) -> tuple[Correction, ...]:
        """Corrections that are not undone."""
        return tuple(row for row in self.rows if not row.undone)

    @property
    def tracks(self) -> tuple[Correction, ...]:
        """Effective merges and swaps."""
        return tuple(row for row in self.effective if row.action in TRACKS)

    def facts(self) -> dict[str, Any]:
        """Summary for run folders and caches, see `in_words`."""
        authors = {row.author for row in self.effective}
        return {"file": self.path.name, "sha256": self.sha256, "count": len(self.effective), "authors": len(authors)}


def in_words(facts: Mapping[str, Any]) -> str:
    """A summary of corrections (`Corrections.facts`) as text."""
    size = f"{count(facts['count'], 'correction')} by {count(facts['authors'], 'author')}"
    unused = {"elsewhere": "for recordings not in these data", "unmatched": "for people or frames not in these data"}
    rest = [f"{facts[name]:,} {what}" for name, what in unused.items() if facts.get(name)]
    return f"{size} ({', '.join([facts['file'], 'hash ' + facts['sha256'][:12], *rest])})"


def corrections_file(cache: Path) -> Path:
    """Path of a cache's corrections."""
    return Path(cache) / CORRECTIONS


def read_corrections(path: Path, *, missing_ok: bool = False) -> Corrections:
    """Read a correction table.

    Raises `InputError`: it is missing or invalid.

    Parameters
    ----------
    missing_ok : read a missing file as an empty table.
    """
    path = Path(path)
    try:
        with path.open("rb") as file:
            content = file.read(MAX_BYTES + 1)
    except FileNotFoundError:
        if missing_ok:
            return Corrections(path)
        raise InputError(f"{path}: no such correction table; skelemo view creates it") from None
    except OSError as error:
        raise InputError(f"{path}: cannot be read ({os_reason(error)})") from error
    return parse(content, path)


def parse(content: bytes, path: Path | str) -> Corrections:
    """Parse a table; ``path`` is for messages. Raises as `read_corrections`."""
    if len(content) > MAX_BYTES:
        raise InputError(f"{path}: more than {MAX_BYTES >> 20} MB; expected a correction table")
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
        raise InputError(f"{path}: two corrections have the id {twice}")
    return Corrections(Path(path), tuple(rows), hashlib.sha256(content).hexdigest())


def to_bytes(rows: Iterable[Correction]) -> bytes:
    """Format a table as CSV."""
    text = io.StringIO(newline="")
    writer = csv.writer(text, lineterminator="\n")
    writer.writerow(COLUMNS)
    writer.writerows([_cell(name, getattr(row, name)) for name in COLUMNS] for row in rows)
    return text.getvalue().encode()


def add(path: Path, corrections: Iterable[Correction], *, author: str = "") -> tuple[Correction, ...]:
    """Add corrections, and return them with ids, time and author; the default author is the user's name."""
    now, who = _now(), author or _user()
    made = tuple(
        replace(row, id=uuid.uuid4().hex[:12], time=now, author=row.author or who, undone="", redone="")
        for row in corrections
    )
    change(path, lambda rows: [*rows, *made])
    return made


def undo(path: Path, ids: Sequence[str]) -> tuple[Correction, ...]:
    """Undo corrections and return them; those undone before do not change.

    Raises `ConfigError`: an id does not exist.
    """
    return _mark(path, ids, _now())


def redo(path: Path, ids: Sequence[str]) -> tuple[Correction, ...]:
    """Redo corrections that were undone, and return them; raises as `undo`."""
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
    """Replace the table by the result of ``edit``, under a lock."""
    path = Path(path)
    if not path.parent.is_dir():
        raise ConfigError(f"{path}: the folder does not exist")
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
    """Parse a line of the file; raises `ConfigError` with its number."""
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
        raise ConfigError(f"{name} {text[:20]!r}: expected a frame number, or empty for the end of the video")
    return int(text) if text else None


def _now() -> str:
    return datetime.now(UTC).strftime("%Y-%m-%dT%H:%M:%SZ")


def _user() -> str:
    try:
        return getpass.getuser()
    except (OSError, KeyError):  # a container's user may have no name
        return "unknown"
