"""Corrections of merged, extracted and transferred caches."""

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
from skelemo.cache.remote import Remote
from skelemo.errors import InputError

#: Video and person.
Person = tuple[str, str]


def merged(tables: Iterable[Corrections]) -> list[Correction]:
    """The union of tables, by id, in order of creation; independent of the tables' order, and idempotent.

    The latest undo or redo of a correction wins.

    Raises `InputError`: two tables have different corrections under one id.
    """
    rows: dict[str, Correction] = {}
    first: dict[str, tuple[str, Path]] = {}  # creation time and table, by id
    for table in sorted(tables, key=lambda table: (-len(table.rows), table.sha256)):
        time = ""
        for row in table.rows:
            time = max(time, row.time)  # keeps the table's order even if a clock was set back
            other, (_, path) = rows.setdefault(row.id, row), first.setdefault(row.id, (time, table.path))
            if _without_undo(other) != _without_undo(row):
                raise InputError(
                    f"correction {row.id} of {row.video!r} differs between {path} and {table.path}: rows must not be "
                    "edited; make them equal, or change one of the ids"
                )
            # The later undo or redo; within one second, redo is later.
            rows[row.id] = max(other, row, key=lambda one: (one.undone or one.redone, bool(one.redone)))
    return sorted(rows.values(), key=lambda row: first[row.id][0])


def read_all(caches: Iterable[Path]) -> list[Corrections]:
    """Read the tables of caches; a missing table is empty. Raises as `read_corrections`."""
    return [read_corrections(corrections_file(cache), missing_ok=True) for cache in caches]


def merge_into(folder: Path, table: Corrections) -> int:
    """Merge a table into a cache's; returns the number of new or changed rows. Raises as `merged`."""
    path, before = corrections_file(folder), frozenset[Correction]()

    def edit(rows: Sequence[Correction]) -> list[Correction]:
        nonlocal before
        before = frozenset(rows)
        return merged([Corrections(path, tuple(rows)), table])

    return len(set(change(path, edit)) - before) if table.rows else 0


def for_people(table: Corrections, kept: Collection[Person], everyone: Collection[Person]) -> Corrections:
    """Corrections of the ``kept`` people and their videos, without those of the others in the cache."""
    videos = {video for video, _ in kept}
    rows = [
        row
        for row in table.rows
        if row.video in videos
        and (row.action in TRACKS or (row.video, row.person) in kept or (row.video, row.person) not in everyone)
    ]
    return replace(table, rows=tuple(rows))


def row_hashes(rows: Iterable[Correction]) -> dict[str, str]:
    """Hashes of rows by id, for the index; undoing a correction does not change its hash."""
    return {row.id: hashlib.sha256(to_bytes([_without_undo(row)])).hexdigest()[:16] for row in rows}


def read_remote(remote: Remote, indexed: Mapping[str, str]) -> Corrections | None:
    """Read the table at a URL; None if it does not exist.

    Raises `InputError`: it is damaged, or lacks a row of the index; `RemoteError`: it cannot be read.

    Parameters
    ----------
    indexed : `row_hashes` in the index; the table may have further rows.
    """
    content = remote.read(CORRECTIONS)
    if content is None:
        return None
    path = f"{remote.label}/{CORRECTIONS}"
    table = parse(content, path)
    hashes = row_hashes(table.rows)
    if wrong := [name for name, digest in indexed.items() if hashes.get(name) != digest]:
        raise InputError(f"{path}: correction {wrong[0]} was {'changed' if wrong[0] in hashes else 'removed'}")
    return table


def merge_into_remote(remote: Remote, table: Corrections) -> tuple[int, dict[str, str]]:
    """Merge a table into the one at a URL; returns the number of new or changed rows, and the hashes of all.

    Only a folder of this machine is locked meanwhile: elsewhere a concurrent push may overwrite the table.
    """
    if remote.folder and remote.folder.is_dir():
        try:
            added = merge_into(remote.folder, table)
        except OSError as error:
            raise remote.error(error) from error
        now = read_remote(remote, {})
        return added, row_hashes(now.rows) if now else {}
    before = read_remote(remote, {}) or Corrections(Path(remote.label) / CORRECTIONS)
    rows = merged([before, table])
    if rows != [*before.rows]:
        remote.write(CORRECTIONS, to_bytes(rows))
    return len({*rows} - {*before.rows}), row_hashes(rows)


def _without_undo(row: Correction) -> Correction:
    return replace(row, undone="", redone="")
