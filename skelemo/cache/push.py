"""Uploads the missing shards of a cache.

``index.json`` beside the shards lists name, size and SHA-256 of each, and its sequences with hashes, subsets and
labels. Contradictions are detected, and ``only`` is applied, before anything is transferred.
"""

from collections.abc import Iterable, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from tempfile import TemporaryDirectory

import numpy as np

from skelemo.cache import corrections_merge, hdf5
from skelemo.cache.corrections import Corrections, corrections_file, read_corrections
from skelemo.cache.index import (
    INDEX,
    Entry,
    Index,
    differing,
    entry_of,
    read_index,
)
from skelemo.cache.reading import damaged_sequences
from skelemo.cache.remote import Remote, is_missing
from skelemo.cache.select import select
from skelemo.cache.shard import Shard, open_shard
from skelemo.cache.shard_writer import extract
from skelemo.cache.store import Cache, open_cache, require_agreement
from skelemo.cache.transfer import Progress, Transferred, fetch_shard
from skelemo.cache.verify import NAME, Report, thread_pool
from skelemo.errors import CacheError, InputError, RemoteError, UnreadableError
from skelemo.text import count

#: Concurrent pushes rewrite the index until all agree, at most this often.
_MOST_INDEX_WRITES = 20


def push(
    folder: Path,
    url: str,
    *,
    only: Sequence[str] = (),
    replace: bool = False,
    jobs: int = 1,
    report: Report = lambda *_: None,
) -> Transferred:
    """Upload the shards of a cache that are missing at a URL; each is verified first, and visible once complete.

    With ``only``, the matching sequences of a shard become a new shard. With ``replace``, remote shards with other
    content of a sequence are removed after the new ones have arrived. Corrections are merged.

    Raises `InputError`: a local or remote correction table is damaged, or they contradict each other (nothing was
    uploaded); `CacheError`: the cache or a shard is damaged, the remote cache has another layout or other heads, or
    sequences with other content that must not be replaced, or whose replacement would lose others; `RemoteError` or
    `ConfigError`: the URL cannot be reached or written, a driver is missing, or ``only`` is invalid.
    """
    cache = open_cache(folder)
    remote = Remote(url)
    if not remote.writable:
        raise RemoteError(f"{remote.label}: HTTP is read-only; push to a folder, ssh:// or s3://")
    corrections = read_corrections(corrections_file(folder), missing_ok=True)
    with TemporaryDirectory() as temporary, thread_pool(jobs) as pool:
        shards = _matching_shards(cache, only, Path(temporary)) if only else list(cache.shards)
        return _Push(remote, folder, shards, corrections, pool).run(replace, report)


def _matching_shards(cache: Cache, only: Sequence[str], temporary: Path) -> list[Shard]:
    """Shards that match entirely, and new ones of the matching sequences of the others."""
    ids = set(cache.sequences["id"][select(cache, only)])
    found: list[Shard] = []
    for shard in cache.shards:
        keep = np.array([name in ids for name in shard.columns["sequences"]["id"]], bool)
        if len(keep) and keep.all():
            found.append(shard)
        elif keep.any():
            found += map(open_shard, extract(shard, keep, temporary))
    return found


class _Push:
    def __init__(
        self, remote: Remote, folder: Path, shards: Sequence[Shard], corrections: Corrections, pool: ThreadPoolExecutor
    ) -> None:
        self.remote, self.folder, self.corrections, self.pool = remote, folder, corrections, pool
        self.shards = {shard.name: shard for shard in shards}
        self.own = {shard.name: entry_of(shard) for shard in shards}
        self.contents = {name: sha256 for entry in self.own.values() for name, sha256 in entry.contents.items()}
        self.unreadable: dict[str, str] = {}

    def run(self, replace: bool, report: Report) -> Transferred:
        sizes, index = self.look()
        outdated = self.outdated(index)
        self.require_replaceable(outdated, index, replace)
        self.require_mergeable()
        missing = [name for name in self.own if sizes.get(name) != (index.get(name) or self.own[name]).size]
        progress = Progress(report, sum(self.own[name].size for name in missing))

        def send(name: str) -> None:
            path = self.shards[name].path
            if damaged := damaged_sequences(self.shards[name]):
                raise CacheError(f"{path}: sequence {damaged[0]!r} is damaged: run skelemo cache verify")
            self.remote.put(path, name)
            progress.add(self.own[name].size)

        list(self.pool.map(send, missing))
        for name in outdated:
            self.remote.remove(name)
        added = corrections_merge.merge_into_remote(self.remote, self.corrections)
        self.publish({*missing})
        notes = [f"{count(added, 'correction')} added or changed"] if added else []
        notes += [f"removed {count(len(outdated), 'outdated remote shard')}"] if outdated else []
        notes += [f"remote shard {name} is not in the index: {why}" for name, why in sorted(self.unreadable.items())]
        return Transferred(tuple(missing), len(self.own) - len(missing), progress.total, notes=tuple(notes))

    def look(self, sent: Iterable[str] = ()) -> tuple[dict[str, int], dict[str, Entry]]:
        """Sizes and entries of the remote shards; an entry missing from the index is made from the shard."""
        sizes = {name: size for name, size in (self.remote.sizes() or {}).items() if NAME.fullmatch(name)}
        listed = read_index(self.remote)
        index = {name: listed[name] for name, size in sizes.items() if name in listed and listed[name].size == size}
        index |= {name: self.own[name] for name in sent if name in sizes}
        for name in sizes.keys() - index.keys() - self.unreadable.keys():
            if name in self.own and self.own[name].size == sizes[name]:
                index[name] = self.own[name]
            elif name not in self.own and (entry := self.read(name, sizes[name])):
                index[name] = entry
        heads = {name: text for entry in self.own.values() for name, text in entry.heads.items()}
        ours = ("this cache", next(iter(self.own.values())).layout, heads)
        for entry in index.values():
            require_agreement((self.remote.label, entry.layout, entry.heads), ours, "push elsewhere")
        return sizes, index

    def read(self, name: str, size: int) -> Entry | None:
        """Entry of a remote shard that was not pushed, but copied or ingested; None if it is damaged or gone."""
        with TemporaryDirectory() as folder:
            path = Path(folder) / name
            try:
                return entry_of(fetch_shard(self.remote, name, size, path))
            except UnreadableError as error:
                raise UnreadableError(f"{self.remote.label}/{name}: {hdf5.reason(error, path)}") from error
            except CacheError as error:
                self.unreadable[name] = hdf5.reason(error, path)
            except RemoteError as error:
                if not is_missing(error):
                    raise
        return None

    def outdated(self, index: Mapping[str, Entry]) -> dict[str, str]:
        """Remote shards with other content of this cache's sequences, each with one such sequence."""
        found = {name: differing(entry.contents, self.contents) for name, entry in index.items()}
        return {name: ids[0] for name, ids in found.items() if ids}

    def require_replaceable(self, outdated: Mapping[str, str], index: Mapping[str, Entry], replace: bool) -> None:
        """Refuse contradictions, unless the outdated shards may be removed without losing other sequences."""
        staying = [*self.own.values(), *(entry for name, entry in index.items() if name not in outdated)]
        ids = {row.id for entry in staying for row in entry.sequences}
        videos = {video for entry in staying for video in entry.recordings}
        for name, sequence in outdated.items():
            line = f"{self.remote.label}: sequence {sequence!r} of {name} differs from {self.folder}"
            if not replace:
                raise CacheError(f"{line}: replace it with --replace, or push elsewhere")
            lost = [row.id for row in index[name].sequences if row.id not in ids]
            lost += [video for video in index[name].recordings if video not in videos and video not in lost]
            if lost:
                more = f" and {len(lost) - 1:,} more" if len(lost) > 1 else ""
                raise CacheError(f"{line}, but removing that shard would lose {lost[0]!r}{more}: pull it first")

    def require_mergeable(self) -> None:
        """Refuse a remote correction table that is damaged or contradicts this cache's."""
        try:
            remote = corrections_merge.read_remote(self.remote)
        except InputError as error:
            raise InputError(f"{error}; repair or remove that file, and push again") from None
        corrections_merge.merged([self.corrections, remote])

    def publish(self, sent: set[str]) -> None:
        """Write the index until a second reading confirms it.

        Concurrent pushes overwrite each other's index; the last one to confirm includes all shards.
        """
        for _ in range(_MOST_INDEX_WRITES):
            _, shards = self.look(sent)
            self.require_replaceable(self.outdated(shards), shards, replace=False)
            if read_index(self.remote) == shards:
                return
            index = Index(shards=dict(sorted(shards.items())))
            self.remote.write(INDEX, index.model_dump_json(indent=0).encode())
        raise RemoteError(f"{self.remote.label}/{INDEX}: other pushes keep changing it: push again when they are done")
