"""Corrections that go with caches: tables are joined by their rows, and checked by those of the index of a place."""

import hashlib
from collections.abc import Collection, Iterable, Mapping, Sequence
from dataclasses import replace
from pathlib import Path

from skelemo.cache.corrections import (
    CORRECTIONS,
    TRACKS,
    Correction,
    Corrections,
    change,
    corrections_file,
    parse,
    read_corrections,
    to_bytes,
)
from skelemo.cache.place import Place
from skelemo.errors import InputError

#: Recording and person.
Person = tuple[str, str]


def joined(tables: Iterable[Corrections]) -> list[Correction]:
    """Every row of any of the tables once, in the order in which they were made.

    What is undone in one table and not in the other is as it was marked last. The result does not depend on the order
    of the tables, and joining it with one of them again changes nothing.

    Raises `InputError`: two tables have different corrections of one id.
    """
    rows: dict[str, Correction] = {}
    first: dict[str, tuple[str, Path]] = {}  # by id: when it was made, and the table that it is from
    for table in sorted(tables, key=lambda table: (-len(table.rows), table.sha256)):
        time = ""
        for row in table.rows:
            time = max(time, row.time)  # a table keeps its own order, even if the clock was set back
            known, (_, path) = rows.setdefault(row.id, row), first.setdefault(row.id, (time, table.path))
            if _made(known) != _made(row):
                raise InputError(
                    f"correction {row.id} of {row.video!r} differs between {path} and {table.path}: rows are never "
                    "edited; make them alike, or give one of them another id"
                )
            rows[row.id] = max(known, row, key=_marked)
    return sorted(rows.values(), key=lambda row: first[row.id][0])


def read_all(caches: Iterable[Path]) -> list[Corrections]:
    """The tables of caches, empty where there is none; raises as `read_corrections`."""
    return [read_corrections(corrections_file(cache), missing_ok=True) for cache in caches]


def join_into(folder: Path, table: Corrections) -> int:
    """Join a table into that of a cache, and return how many rows are new or marked otherwise; raises as `joined`."""
    path, before = corrections_file(folder), frozenset[Correction]()

    def edit(rows: Sequence[Correction]) -> list[Correction]:
        nonlocal before
        before = frozenset(rows)
        return joined([Corrections(path, tuple(rows)), table])

    return len(set(change(path, edit)) - before) if table.rows else 0


def of_sequences(table: Corrections, taken: Collection[Person], known: Collection[Person]) -> Corrections:
    """The corrections that some of a cache's ``known`` sequences need: not those of people who are left out."""
    videos = {video for video, _ in taken}
    rows = [
        row
        for row in table.rows
        if row.video in videos
        and (row.action in TRACKS or (row.video, row.person) in taken or (row.video, row.person) not in known)
    ]
    return replace(table, rows=tuple(rows))


def seals(rows: Iterable[Correction]) -> dict[str, str]:
    """Hashes of rows by id, for the index of a place; that a row is undone later does not change its hash."""
    return {row.id: hashlib.sha256(to_bytes([_made(row)])).hexdigest()[:16] for row in rows}


def read_there(place: Place, sealed: Mapping[str, str]) -> Corrections | None:
    """The table at a place, None if there is none; rows may have been added there since it was ``sealed``.

    Raises `InputError`: it is damaged, or lacks a row that was sealed; `RemoteError`: it cannot be read.
    """
    content = place.text(CORRECTIONS)
    if content is None:
        return None
    path = f"{place.shown}/{CORRECTIONS}"
    table = parse(content, path)
    found = seals(table.rows)
    if wrong := [name for name, seal in sealed.items() if found.get(name) != seal]:
        state = "not as it was pushed" if wrong[0] in found else "missing"
        raise InputError(f"{path}: correction {wrong[0]} is {state}")
    return table


def join_there(place: Place, table: Corrections) -> tuple[int, dict[str, str]]:
    """Join a table into that of a place: how many rows were new there or marked otherwise, and the seals of all.

    Tables of a folder of this machine are locked meanwhile; elsewhere another push may undo this one, so call it again.
    """
    if place.folder and place.folder.is_dir():
        try:
            added = join_into(place.folder, table)
        except OSError as error:
            raise place.error(error) from error
        there = read_there(place, {})
        return added, seals(there.rows) if there else {}
    there = read_there(place, {}) or Corrections(Path(place.shown) / CORRECTIONS)
    rows = joined([there, table])
    if rows != [*there.rows]:
        place.write(CORRECTIONS, to_bytes(rows))
    return len({*rows} - {*there.rows}), seals(rows)


def _made(row: Correction) -> Correction:
    """A row as it was when it was made."""
    return replace(row, undone="", redone="")


def _marked(row: Correction) -> tuple[str, bool]:
    """When it was undone or redone last; of the same second, redone is later."""
    return row.undone or row.redone, bool(row.redone)
