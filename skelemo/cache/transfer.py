"""Push and pull: transfers the missing shards of a cache and verifies each one.

``index.json`` beside the shards allows decisions before any transfer: it holds name, size and SHA-256 of each shard,
and its sequences with hashes, subsets and labels, for ``--only`` and to detect contradictions.
"""

import json
import os
import shutil
from collections.abc import Callable, Iterable, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from tempfile import TemporaryDirectory
from threading import Lock
from typing import Any

import numpy as np
import pandas as pd
from rich.filesize import decimal

from skelemo.atomic import partial_path, sweep
from skelemo.cache import carried_corrections as carried
from skelemo.cache import hdf5
from skelemo.cache.corrections import CORRECTIONS, Corrections, corrections_file, read_corrections
from skelemo.cache.index import (
    INDEX,
    Entry,
    Index,
    contents_of,
    differing,
    entry_of,
    heads_of,
    match,
    read_index,
    require_agreement,
    write_index,
)
from skelemo.cache.place import Place, is_missing, shown
from skelemo.cache.select import require_keys, split_columns, unmet
from skelemo.cache.shard import SUFFIX, Shard, open_shard
from skelemo.cache.shard_writer import extract
from skelemo.cache.store import open_cache, require_same, shards_in
from skelemo.cache.verify import NAME
from skelemo.errors import CacheError, ConfigError, InputError, RemoteError, UnreadableError
from skelemo.text import count

__all__ = ["Transferred", "pull", "push", "read_options", "shown"]

#: Called as bytes are transferred: how many so far, and the total.
Report = Callable[[int, int], None]


@dataclass(frozen=True)
class Transferred:
    """Result of a push or pull.

    Parameters
    ----------
    shards : transferred; ``there`` : number that were up to date; ``size`` : bytes transferred.
    sequences : of a pull, number of sequences added to the cache.
    """

    shards: tuple[str, ...]
    there: int
    size: int
    sequences: int | None = None
    notes: tuple[str, ...] = ()


def push(
    folder: Path,
    url: str,
    *,
    only: Sequence[str] = (),
    replace: bool = False,
    jobs: int = 1,
    options: Mapping[str, Any] | None = None,
    report: Report = lambda *_: None,
) -> Transferred:
    """Upload the shards of a cache that are missing at a URL, each verified before and visible once complete.

    With ``only``, the matching sequences of a shard become a shard of their own. With ``replace``, remote shards with
    other content of a sequence are removed after the new ones have arrived. Corrections are joined with those there.

    Raises
    ------
    InputError
        A table of corrections, here or there, is damaged, or both have different corrections of one id; nothing was
        uploaded.
    CacheError
        The cache or a shard is damaged; the remote cache has another layout or other heads, or sequences with other
        content that must not be replaced, or whose replacement would lose others.
    RemoteError, ConfigError
        The URL cannot be reached or written, a driver is missing, or ``only`` is invalid.
    """
    cache = open_cache(folder)
    place = Place(url, options)
    if not place.writable:
        raise RemoteError(f"{place.shown}: HTTP is read-only; push to a folder, ssh:// or s3://")
    place.sweep()
    corrections = read_corrections(corrections_file(folder), missing_ok=True)
    with TemporaryDirectory() as made, ThreadPoolExecutor(jobs) as pool:
        shards = _chosen_shards(cache.shards, only, Path(made)) if only else list(cache.shards)
        if not shards:
            raise CacheError(f"{folder}: no sequence has {_filters(only)}{unmet(cache.sequences, only)}")
        if only:
            taken = {one for shard in shards for one in _people(shard.sequences)}
            corrections = carried.of_sequences(corrections, taken, _people(cache.sequences))
        try:
            return _Push(place, folder, shards, corrections, pool).run(replace, report)
        finally:
            pool.shutdown(cancel_futures=True)


class _Push:
    def __init__(
        self, place: Place, folder: Path, shards: Sequence[Shard], corrections: Corrections, pool: ThreadPoolExecutor
    ) -> None:
        self.place, self.folder, self.corrections, self.pool = place, folder, corrections, pool
        self.shards = {shard.name: shard for shard in shards}
        self.own = {shard.name: entry_of(shard) for shard in shards}
        self.contents = {name: sha256 for entry in self.own.values() for name, sha256 in entry.contents.items()}
        self.unreadable: dict[str, str] = {}

    def run(self, replace: bool, report: Report) -> Transferred:
        sizes, index = self.look()
        outdated = self.outdated(index)
        self.require_replaceable(outdated, index, replace)
        self.require_joinable()
        missing = [name for name in self.own if sizes.get(name) != (index.get(name) or self.own[name]).size]
        total, done, lock = sum(self.own[name].size for name in missing), 0, Lock()
        report(0, total)

        def send(name: str) -> None:
            nonlocal done
            if damaged := self.shards[name].damaged():
                raise CacheError(f"{self.shards[name].path}: sequence {damaged[0]!r} is damaged: run cache verify")
            self.place.put(self.shards[name].path, name)
            with lock:
                done += self.own[name].size
                report(done, total)

        list(self.pool.map(send, missing))
        for name in outdated:
            self.place.remove(name)
        notes = self.publish({*missing})
        notes += [f"removed {count(len(outdated), 'outdated shard')} there"] if outdated else []
        notes += [f"{name} there is not in the index: {why}" for name, why in sorted(self.unreadable.items())]
        return Transferred(tuple(missing), len(self.own) - len(missing), total, notes=tuple(notes))

    def look(self, sent: Iterable[str] = ()) -> tuple[dict[str, int], dict[str, Entry]]:
        """Sizes of the remote shards, and their entries, from the index or from the shard itself."""
        found = self.place.sizes() or {}
        sizes = {name: size for name, size in found.items() if NAME.fullmatch(name)}
        known = read_index(self.place).shards
        index = {name: known[name] for name, size in sizes.items() if name in known and known[name].size == size}
        index |= {name: self.own[name] for name in sent if name in sizes}
        for name in sizes.keys() - index.keys() - self.unreadable.keys():
            if name in self.own and self.own[name].size == sizes[name]:
                index[name] = self.own[name]
            elif name not in self.own and (entry := self.read(name, sizes[name])):
                index[name] = entry
        layout = next(iter(self.own.values())).layout
        heads = {name: text for entry in self.own.values() for name, text in entry.heads.items()}
        for entry in index.values():
            require_agreement(self.place.shown, entry, "this cache", layout, heads, "push elsewhere")
        return sizes, index

    def read(self, name: str, size: int) -> Entry | None:
        """Entry of a remote shard that is not in the index: it was copied or ingested there."""
        with TemporaryDirectory() as folder:
            path = Path(folder) / name
            try:
                self.place.fetch(name, size, path)
                shard = open_shard(path)
                if shard.name != name:
                    raise CacheError(f"it is {shard.name}")
                return entry_of(shard)
            except UnreadableError as error:
                raise UnreadableError(f"{self.place.shown}/{name}: {hdf5.reason(error, path)}") from error
            except CacheError as error:
                self.unreadable[name] = hdf5.reason(error, path)
            except RemoteError as error:
                if not is_missing(error):
                    raise
        return None

    def outdated(self, index: Mapping[str, Entry]) -> dict[str, str]:
        """Remote shards with other content of this cache's sequences, and one such sequence each."""
        found = {name: differing(entry.contents, self.contents) for name, entry in index.items()}
        return {name: ids[0] for name, ids in found.items() if ids}

    def require_replaceable(self, outdated: Mapping[str, str], index: Mapping[str, Entry], replace: bool) -> None:
        """Refuse contradictions, unless they may be replaced and nothing is lost with their shards."""
        staying = [*self.own.values(), *(entry for name, entry in index.items() if name not in outdated)]
        ids = {row.id for entry in staying for row in entry.sequences}
        videos = {video for entry in staying for video in entry.recordings}
        for name, one in outdated.items():
            line = f"{self.place.shown}: sequence {one!r} of {name} there has other content than in {self.folder}"
            if not replace:
                raise CacheError(f"{line}: --replace puts this cache's in its place; or push elsewhere")
            lost = [row.id for row in index[name].sequences if row.id not in ids]
            lost += [video for video in index[name].recordings if video not in videos and video not in lost]
            if lost:
                more = f" and {len(lost) - 1:,} more" if len(lost) > 1 else ""
                raise CacheError(f"{line}, but {lost[0]!r}{more} would be lost with that shard: pull it first")

    def require_joinable(self) -> None:
        """Refuse a damaged table of corrections there, and one that contradicts this cache's."""
        try:
            there = carried.read_there(self.place, read_index(self.place).corrections)
        except InputError as error:
            raise InputError(f"{error}; repair or remove the file there, and push again") from None
        carried.joined([self.corrections, *([there] if there else [])])

    def publish(self, sent: set[str]) -> list[str]:
        """Write corrections and the index until this describes the remote shards; returns notes.

        Concurrent pushes overwrite each other's files. Each reads again after writing, so the last one includes all
        shards and corrections.
        """
        added = 0
        for _ in range(20):
            new, corrections = carried.join_there(self.place, self.corrections)
            added = max(added, new)
            _, shards = self.look(sent)
            self.require_replaceable(self.outdated(shards), shards, replace=False)
            index = Index(shards=dict(sorted(shards.items())), corrections=corrections)
            if read_index(self.place) == index:
                return [f"{count(added, 'correction')} new or marked otherwise there"] if added else []
            write_index(self.place, index)
        raise RemoteError(f"{self.place.shown}/{INDEX}: other pushes keep changing it: push again when they are done")


def pull(
    url: str,
    folder: Path,
    *,
    only: Sequence[str] = (),
    jobs: int = 1,
    options: Mapping[str, Any] | None = None,
    report: Report = lambda *_: None,
) -> Transferred:
    """Download the missing shards of a cache, each verified before it gets its name.

    A damaged local shard is downloaded again. With ``only``, shards without a matching sequence are skipped, and of the
    others only the matching sequences are kept. Corrections are joined with those of the cache.

    Raises
    ------
    InputError
        The table of corrections of the cache is damaged.
    CacheError
        The index contradicts itself or the cache (nothing was downloaded), shards are damaged, of another layout or
        contradict the cache (the others are kept), ``folder`` holds something else, or the disk is too small.
    RemoteError, ConfigError
        The URL cannot be reached or read, a driver is missing, or ``only`` is invalid or matches nothing.
    """
    place = Place(url, options)
    new_folders = [path for path in (folder, *folder.parents) if not path.exists()]
    work = _Pull(place, folder, only)
    try:
        return work.run(jobs, report)
    finally:
        with suppress(OSError):
            for path in new_folders:
                path.rmdir()  # fails unless it is empty


class _Pull:
    def __init__(self, place: Place, folder: Path, only: Sequence[str]) -> None:
        self.place, self.folder, self.only = place, folder, only
        self.local = _local_shards(folder)
        self.contents = {name: sha256 for shard in self.local for name, sha256 in contents_of(shard.sequences).items()}
        self.corrections = read_corrections(corrections_file(folder), missing_ok=True)
        self.refused: list[str] = []
        self.kept = self.wanted = 0
        self.lock = Lock()

    def run(self, jobs: int, report: Report) -> Transferred:
        index, unlisted, sealed = self.look()
        if not index and not unlisted:
            raise RemoteError(f"{self.place.shown}: no {INDEX} and no shard there: push a cache, or check the URL")
        have = {shard.name for shard in self.local}
        missing = {name: entry for name, entry in index.items() if name not in have}
        for name, entry in missing.items() if self.local else ():
            layout, heads = self.local[0].header.layout, heads_of(self.local)
            require_agreement(
                f"{self.place.shown}: {name}", entry, str(self.folder), layout, heads, "pull into another folder"
            )
        sizes = {name: index[name].size for name in self.choose(missing, complete=not unlisted)}
        sizes |= {name: size for name, size in unlisted.items() if name not in have}
        self.require_room(sum(sizes.values()))
        self.folder.mkdir(parents=True, exist_ok=True)
        sweep(self.folder)
        done, total = 0, sum(sizes.values())
        report(0, total)

        def transferred(size: int) -> None:
            nonlocal done
            with self.lock:
                done += size
                report(done, total)

        with ThreadPoolExecutor(jobs) as pool:
            try:
                list(pool.map(lambda name: self.bring(name, sizes[name], index.get(name), transferred), sizes))
            finally:
                pool.shutdown(cancel_futures=True)
        notes = self.join(index, sealed)
        if self.refused:
            raise CacheError(f"{self.place.shown}: not taken: {'; '.join(sorted(self.refused))}: push them again")
        self.require_any(index)
        return Transferred(tuple(sizes), len(index) + len(unlisted) - len(sizes), done, self.kept, notes)

    def look(self) -> tuple[dict[str, Entry], dict[str, int], dict[str, str]]:
        """The index, sizes of remote shards that are not in it, and its hashes of corrections."""
        read, sizes = read_index(self.place), self.place.sizes()
        index, sealed = read.shards, read.corrections
        if sizes is None:
            return index, {}, sealed
        index = {name: entry for name, entry in index.items() if name in sizes}
        unlisted = {name: size for name, size in sizes.items() if NAME.fullmatch(name) and name not in index}
        return index, unlisted, sealed

    def join(self, index: Mapping[str, Entry], sealed: Mapping[str, str]) -> tuple[str, ...]:
        """Join the corrections there, of the sequences that were asked for, with the cache's; returns notes."""
        if not sealed and not self.place.writable:
            return ()  # the web is asked for nothing that its index does not have
        try:
            table = carried.read_there(self.place, sealed)
            if table is None and sealed:
                raise InputError("in the index, but gone")
            if table and self.only:
                tables = [*(entry.table for entry in index.values()), *(shard.sequences for shard in self.local)]
                taken = {one for table_ in tables for one in _people(table_[table_["id"].isin(self.contents.keys())])}
                table = carried.of_sequences(table, taken, {one for table_ in tables for one in _people(table_)})
            added = carried.join_into(self.folder, table) if table else 0
        except InputError as error:
            self.refused.append(f"{CORRECTIONS} ({str(error).removeprefix(f'{self.place.shown}/{CORRECTIONS}: ')})")
            return ()
        return (f"{count(added, 'correction')} new or marked otherwise",) if added else ()

    def choose(self, entries: Mapping[str, Entry], complete: bool) -> list[str]:
        """Shards with a matching sequence that the cache lacks; the index must not contradict itself or the cache."""
        if complete:
            require_keys(self.only, self.columns(entries.values()))
        contents, where = dict(self.contents), dict.fromkeys(self.contents, str(self.folder))
        needed = []
        for (name, entry), keep in zip(entries.items(), match(entries.values(), self.only), strict=True):
            wanted = {row.id: row.sha256 for row, kept in zip(entry.sequences, keep, strict=True) if kept}
            for one in differing(wanted, contents)[:1]:
                raise CacheError(
                    f"{self.place.shown}: sequence {one!r} of {name} differs from that in {where[one]}: pull into "
                    "another folder, or remove the outdated one"
                )
            self.wanted += len(wanted)
            if not self.only or not wanted.items() <= self.contents.items():
                needed.append(name)
            contents |= wanted
            where |= dict.fromkeys(wanted, name)
        return needed

    def columns(self, entries: Iterable[Entry]) -> set[str]:
        tables = [shard.sequences for shard in self.local] + [entry.table for entry in entries]
        return {column for table in tables for column in split_columns(table)}

    def require_any(self, index: Mapping[str, Entry]) -> None:
        if self.only and not self.wanted and not any(map(np.any, match(map(entry_of, self.local), self.only))):
            tables = [entry.table for entry in index.values()] + [shard.sequences for shard in self.local]
            known = pd.concat(tables, ignore_index=True)
            raise RemoteError(
                f"{self.place.shown}: no sequence there has {_filters(self.only)}{unmet(known, self.only)}"
            )

    def require_room(self, needed: int) -> None:
        parent = next(path for path in (self.folder, *self.folder.absolute().parents) if path.exists())
        if needed > (free := shutil.disk_usage(parent).free):
            raise CacheError(f"{self.folder} has room for {decimal(free)}; {decimal(needed)} would come: use --only")

    def bring(self, name: str, size: int, entry: Entry | None, transferred: Callable[[int], None]) -> None:
        """Download a shard under a temporary name, verify it and add it to the cache."""
        path = partial_path(self.folder / name)
        try:
            digest = self.place.fetch(name, size, path, transferred)
            if entry and digest != entry.sha256:
                raise CacheError("it is not the file that the index describes")
            shard = open_shard(path)
            if shard.name != name:
                raise CacheError(f"it is {shard.name}")
            if damaged := shard.damaged():
                raise CacheError(f"sequence {damaged[0]!r} is damaged")
            with self.lock:
                self.accept(name, shard)
        except UnreadableError:
            raise
        except CacheError as error:
            self.refused.append(f"{name} ({hdf5.reason(error, path)})")
        except RemoteError as error:
            if not is_missing(error):
                raise
            self.refused.append(f"{name} (in the index, but gone)")
        finally:
            path.unlink(missing_ok=True)

    def accept(self, name: str, shard: Shard) -> None:
        (keep,) = match([entry_of(shard)], self.only)
        brought = contents_of(shard.sequences[keep])
        if self.local:
            require_same([*self.local, shard])
        if others := differing(brought, self.contents):
            raise CacheError(f"its sequence {others[0]!r} is in {self.folder} with other content")
        self.contents |= brought
        self.kept += len(brought)
        self.wanted += len(brought)
        if keep.all() or (self.folder / name).exists():
            os.replace(shard.path, self.folder / name)
        elif keep.any():
            extract(shard, keep, self.folder)
        self.local.append(shard)


def read_options(given: Iterable[str]) -> dict[str, Any]:
    """Parse driver options ``KEY=VALUE``; numbers, booleans and objects are JSON, anything else is text.

    Raises `ConfigError`: invalid syntax; the text is not shown, it may be a secret.
    """
    options: dict[str, Any] = {}
    for text in given:
        key, equals, value = text.partition("=")
        if not (key and equals):
            raise ConfigError("--storage-option: expected KEY=VALUE, as in endpoint_url=http://localhost:9000")
        try:
            read = json.loads(value)
        except ValueError:
            read = value
        options[key] = value if read is None or isinstance(read, str) else read
    return options


def _chosen_shards(shards: Sequence[Shard], only: Sequence[str], made: Path) -> list[Shard]:
    """Shards that match entirely, and new ones of the matching sequences of others."""
    columns = {column for shard in shards for column in split_columns(shard.sequences)}
    require_keys(only, columns)
    found: list[Shard] = []
    for shard, keep in zip(shards, match(map(entry_of, shards), only), strict=True):
        if len(keep) and keep.all():
            found.append(shard)
        elif keep.any():
            found += map(open_shard, extract(shard, keep, made))
    return found


def _local_shards(folder: Path) -> list[Shard]:
    """The readable shards in the folder of a new or existing cache; damaged ones will be replaced."""
    if not folder.exists():
        return []
    if not folder.is_dir():
        raise CacheError(f"{folder} is a file; a pull needs the folder of a cache")
    inside = [path.name for path in folder.iterdir() if not path.name.startswith(".")]
    if inside and not any(name.endswith((SUFFIX, ".damaged")) or name == CORRECTIONS for name in inside):
        raise CacheError(f"{folder} holds {min(inside)!r} and no cache: pull into another folder")
    found: list[Shard] = []
    for path in shards_in(folder):
        try:
            found.append(open_shard(path))
        except UnreadableError:
            raise
        except CacheError:
            if not NAME.fullmatch(path.name):
                raise
    return found


def _people(sequences: pd.DataFrame) -> set[carried.Person]:
    return set(zip(sequences["video"], sequences["person"], strict=True))


def _filters(only: Sequence[str]) -> str:
    return " ".join(f"--only {one}" for one in only)
