"""Downloads the missing shards of a cache, as listed in its ``index.json`` (see `skelemo.cache.push`)."""

import os
import shutil
from collections.abc import Mapping, Sequence
from contextlib import suppress
from pathlib import Path
from threading import Lock

import numpy as np
from rich.filesize import decimal

from skelemo.atomic import partial_path, sweep
from skelemo.cache import corrections_merge, hdf5
from skelemo.cache.corrections import CORRECTIONS, corrections_file, read_corrections
from skelemo.cache.index import (
    INDEX,
    Entry,
    contents_of,
    differing,
    entry_of,
    match,
    read_index,
)
from skelemo.cache.reading import damaged_sequences
from skelemo.cache.remote import Remote, is_missing
from skelemo.cache.select import require_keys, split_columns
from skelemo.cache.shard import SUFFIX, Shard, open_shard
from skelemo.cache.shard_writer import extract
from skelemo.cache.store import require_agreement, require_same, shards_in
from skelemo.cache.transfer import Progress, Transferred, fetch_shard
from skelemo.cache.verify import NAME, Report, thread_pool
from skelemo.errors import CacheError, InputError, RemoteError, UnreadableError
from skelemo.text import count


def pull(
    url: str,
    folder: Path,
    *,
    only: Sequence[str] = (),
    jobs: int = 1,
    report: Report = lambda *_: None,
) -> Transferred:
    """Download the missing shards of a cache, each verified before it is added.

    A damaged local shard is downloaded again. With ``only``, shards without a matching sequence are skipped, and only
    the matching sequences of the others are kept. Corrections are merged.

    Raises `InputError`: the cache's correction table is damaged; `CacheError`: the index contradicts itself or the
    cache (nothing was downloaded), shards are damaged, of another layout or contradict the cache (the others are kept),
    ``folder`` has other content, or the disk is too small; `RemoteError` or `ConfigError`: the URL cannot be reached or
    read, a driver is missing, or ``only`` is invalid or matches nothing.
    """
    remote = Remote(url)
    new_folders = [path for path in (folder, *folder.parents) if not path.exists()]
    try:
        return _Pull(remote, folder, only).run(jobs, report)
    finally:
        with suppress(OSError):
            for path in new_folders:
                path.rmdir()  # fails unless it is empty


class _Pull:
    def __init__(self, remote: Remote, folder: Path, only: Sequence[str]) -> None:
        self.remote, self.folder, self.only = remote, folder, only
        self.local = _local_shards(folder)
        self.contents = {name: sha256 for shard in self.local for name, sha256 in contents_of(shard.sequences).items()}
        read_corrections(corrections_file(folder), missing_ok=True)  # refuses a damaged table before any transfer
        self.refused: list[str] = []
        self.kept = self.matched = 0
        self.lock = Lock()

    def run(self, jobs: int, report: Report) -> Transferred:
        index, unlisted = self.look()
        if not index and not unlisted:
            raise RemoteError(f"{self.remote.label}: no {INDEX} and no shard: push a cache first, or check the URL")
        have = {shard.name for shard in self.local}
        missing = {name: entry for name, entry in index.items() if name not in have}
        if self.local:
            heads = {head.name: str(head) for shard in self.local for head in shard.header.heads}
            ours = (self.folder, self.local[0].header.layout, heads)
            for name, entry in missing.items():
                theirs = (f"{self.remote.label}/{name}", entry.layout, entry.heads)
                require_agreement(theirs, ours, "pull into another folder")
        sizes = {name: index[name].size for name in self.choose(missing, complete=not unlisted)}
        sizes |= {name: size for name, size in unlisted.items() if name not in have}
        self.require_space(sum(sizes.values()))
        self.folder.mkdir(parents=True, exist_ok=True)
        sweep(self.folder)
        progress = Progress(report, sum(sizes.values()))
        with thread_pool(jobs) as pool:
            list(pool.map(lambda name: self.download(name, sizes[name], index.get(name), progress), sizes))
        if not self.refused:
            self.require_any()
        notes = self.merge_corrections()
        if self.refused:
            raise CacheError(f"{self.remote.label}: refused: {'; '.join(sorted(self.refused))}: push them again")
        return Transferred(tuple(sizes), len(index) + len(unlisted) - len(sizes), progress.done, self.kept, notes)

    def look(self) -> tuple[dict[str, Entry], dict[str, int]]:
        """The index, and sizes of remote shards that it lacks."""
        index, sizes = read_index(self.remote), self.remote.sizes()
        if sizes is None:
            return index, {}
        index = {name: entry for name, entry in index.items() if name in sizes}
        return index, {name: size for name, size in sizes.items() if NAME.fullmatch(name) and name not in index}

    def merge_corrections(self) -> tuple[str, ...]:
        """Merge the remote corrections; returns notes."""
        try:
            added = corrections_merge.merge_into(self.folder, corrections_merge.read_remote(self.remote))
        except InputError as error:
            self.refused.append(f"{CORRECTIONS} ({str(error).removeprefix(f'{self.remote.label}/{CORRECTIONS}: ')})")
            return ()
        return (f"{count(added, 'correction')} added or changed",) if added else ()

    def choose(self, entries: Mapping[str, Entry], complete: bool) -> list[str]:
        """Shards with a matching sequence that the cache lacks; the index must not contradict itself or the cache."""
        if complete:
            tables = [shard.sequences for shard in self.local] + [entry.table for entry in entries.values()]
            require_keys(self.only, {column for table in tables for column in split_columns(table)})
        contents, origin = dict(self.contents), dict.fromkeys(self.contents, str(self.folder))
        needed = []
        for (name, entry), keep in zip(entries.items(), match(entries.values(), self.only), strict=True):
            matching = {row.id: row.sha256 for row, kept in zip(entry.sequences, keep, strict=True) if kept}
            for sequence in differing(matching, contents)[:1]:
                raise CacheError(
                    f"{self.remote.label}: sequence {sequence!r} of {name} differs from {origin[sequence]}: pull into "
                    "another folder, or remove the outdated shard"
                )
            self.matched += len(matching)
            if not self.only or not matching.items() <= self.contents.items():
                needed.append(name)
            contents |= matching
            origin |= dict.fromkeys(matching, name)
        return needed

    def require_any(self) -> None:
        if self.only and not self.matched and not any(map(np.any, match(map(entry_of, self.local), self.only))):
            raise RemoteError(f"{self.remote.label}: no sequence matches {' '.join(self.only)}")

    def require_space(self, needed: int) -> None:
        parent = next(path for path in (self.folder, *self.folder.absolute().parents) if path.exists())
        if needed > (free := shutil.disk_usage(parent).free):
            raise CacheError(f"{self.folder}: needs {decimal(needed)}, {decimal(free)} are free: pull less with --only")

    def download(self, name: str, size: int, entry: Entry | None, progress: Progress) -> None:
        """Download a shard under a temporary name, verify it and add it to the cache."""
        path = partial_path(self.folder / name)
        sha256 = entry.sha256 if entry else ""
        try:
            shard = fetch_shard(self.remote, name, size, path, sha256=sha256, progress=progress.add)
            if damaged := damaged_sequences(shard):
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
            self.refused.append(f"{name} (listed in the index, but missing)")
        finally:
            path.unlink(missing_ok=True)

    def accept(self, name: str, shard: Shard) -> None:
        (keep,) = match([entry_of(shard)], self.only)
        contents = contents_of(shard.sequences[keep])
        if self.local:
            require_same([*self.local, shard])
        if others := differing(contents, self.contents):
            raise CacheError(f"sequence {others[0]!r} has different content in {self.folder}")
        self.contents |= contents
        self.kept += len(contents)
        self.matched += len(contents)
        if keep.all() or (self.folder / name).exists():
            os.replace(shard.path, self.folder / name)
        elif keep.any():
            extract(shard, keep, self.folder)
        self.local.append(shard)


def _local_shards(folder: Path) -> list[Shard]:
    """The readable shards in the folder of a new or existing cache; damaged ones will be replaced."""
    if not folder.exists():
        return []
    if not folder.is_dir():
        raise CacheError(f"{folder} is a file: expected a folder to pull into")
    names = [path.name for path in folder.iterdir() if not path.name.startswith(".")]
    if names and not any(name.endswith((SUFFIX, ".damaged")) or name == CORRECTIONS for name in names):
        raise CacheError(f"{folder} is not a cache, it has {min(names)!r}: pull into another folder")
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
