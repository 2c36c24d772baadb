"""The correction table of merged, extracted and transferred caches: a union by id."""

from collections.abc import Iterable, Sequence
from dataclasses import replace
from pathlib import Path

from skelemo.cache.corrections import (
    CORRECTIONS,
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


def read_remote(remote: Remote) -> Corrections:
    """Read the table at a URL; empty if it does not exist.

    Raises `InputError`: it is damaged; `RemoteError`: it cannot be read.
    """
    path = f"{remote.label}/{CORRECTIONS}"
    content = remote.read(CORRECTIONS)
    return Corrections(Path(path)) if content is None else parse(content, path)


def merge_into_remote(remote: Remote, table: Corrections) -> int:
    """Merge a table into the one at a URL; returns the number of new or changed rows. Raises as `merged`.

    Only a folder of this machine is locked meanwhile: elsewhere, the next push restores what a concurrent push
    overwrote.
    """
    if remote.folder and remote.folder.is_dir():
        try:
            return merge_into(remote.folder, table)
        except OSError as error:
            raise remote.error(error) from error
    before = read_remote(remote)
    rows = merged([before, table])
    if rows != [*before.rows]:
        remote.write(CORRECTIONS, to_bytes(rows))
    return len({*rows} - {*before.rows})


def _without_undo(row: Correction) -> Correction:
    return replace(row, undone="", redone="")
