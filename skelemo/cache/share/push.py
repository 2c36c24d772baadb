"""A cache to where others can pull it from: what is missing there, and nothing else."""

import glob
import shlex
import tempfile
from collections.abc import Callable, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from threading import Lock
from typing import Any

from skelemo.cache import hdf5
from skelemo.cache.cache import Cache, open_cache
from skelemo.cache.extract import write_part
from skelemo.cache.select import unmet
from skelemo.cache.shard import Shard, open_shard
from skelemo.cache.share.loss import Holdings, holdings, loss
from skelemo.cache.share.manifest import choose, contents, differing, facts_name, facts_of, held, to_json
from skelemo.cache.share.remote import INDEX, Listing, Remote
from skelemo.cache.share.there import There
from skelemo.errors import CacheError, RemoteError
from skelemo.text import count

#: Sequences that an error names for a command that brings them.
_MOST_NAMED = 20

#: Told as bytes travel: how many so far, and of how many.
Report = Callable[[int, int], None]


@dataclass(frozen=True)
class Carried:
    """What a push or a pull has done.

    Parameters
    ----------
    shards : that travelled.
    there : shards that need not travel.
    size : bytes that travelled.
    sequences : of a pull, those of the shards that travelled which were wanted, and so kept.
    notes : what the user should know.
    """

    shards: tuple[str, ...]
    there: int
    size: int
    sequences: int | None = None
    notes: tuple[str, ...] = ()


class Meter:
    """Counts the bytes of several threads for one report."""

    def __init__(self, total: int, report: Report) -> None:
        self.moved = 0
        self._done, self._total, self._report, self._lock = 0, total, report, Lock()
        report(0, total)

    def move(self, size: int) -> None:
        """Bytes have travelled; fewer than none if they did in vain."""
        with self._lock:
            self.moved += max(size, 0)
        self.skip(size)

    def skip(self, size: int) -> None:
        """Bytes that need not travel."""
        with self._lock:
            self._done += size
            self._report(self._done, self._total)


def push(
    folder: Path,
    url: str,
    *,
    only: Sequence[str] = (),
    replace: bool = False,
    jobs: int = 1,
    options: Mapping[str, Any] | None = None,
    report: Report = lambda *_: None,
) -> Carried:
    """Upload the shards of a cache that the place does not have, each checked before and named when it is whole.

    What is there and was cut off, shorter than it says that it is, is sent again. With ``only``, what is wanted of a
    shard becomes a shard of its own where that is not all of it. With ``replace``, shards there that hold a sequence
    with other content are removed when what replaces them is there. Shards there that no facts stand beside, as an
    ingest has written them, are read for what they hold, and it is written down beside them.

    Raises
    ------
    CacheError
        The cache or a shard is damaged, or the place holds a cache of another layout or other classes, or sequences
        with other content that are not to be replaced, or not without losing others.
    UnreadableError
        A shard there that no facts stand beside cannot be read here and now, as one of a newer format.
    RemoteError, ConfigError
        The place cannot be reached or written, a driver is missing, or ``only`` cannot be meant.
    """
    cache = open_cache(folder)
    remote = Remote(url, options)
    remote.require_writable()
    remote.sweep()
    with tempfile.TemporaryDirectory() as made, ThreadPoolExecutor(jobs) as pool:
        shards = _wanted(cache, only, Path(made)) if only else list(cache.shards)
        try:
            return _Push(remote, cache, shards, pool).run(replace, report)
        finally:
            pool.shutdown(cancel_futures=True)


def _wanted(cache: Cache, only: Sequence[str], place: Path) -> list[Shard]:
    """Shards of just what is wanted: those that it is all of, and new ones."""
    found: list[Shard] = []
    for shard, keep in zip(cache.shards, choose([facts_of(shard) for shard in cache.shards], only), strict=True):
        if len(keep) and keep.all():
            found.append(shard)
        elif keep.any():
            found += map(open_shard, write_part(shard, keep, place))
    if not found:
        wanted = " ".join(f"--only {one}" for one in only)
        raise CacheError(f"{cache.paths[0]}: no sequence has {wanted}{unmet(cache.sequences, only)}")
    return found


class _Push:
    """One push: what it sends, and what the place says of the other shards there."""

    def __init__(self, remote: Remote, cache: Cache, shards: Sequence[Shard], pool: ThreadPoolExecutor) -> None:
        self.remote, self.folder, self.pool = remote, cache.paths[0], pool
        self.own = {shard.name: shard for shard in cache.shards}
        self.shards = {shard.name: shard for shard in shards}
        self.held = held(shards)
        self.said = {shard.name: to_json(facts_of(shard)) for shard in shards}
        self.others = There(remote, self.own, pool)

    def run(self, replace: bool, report: Report) -> Carried:
        """Send what is missing, and only then remove what it replaces.

        Another push may replace at the same time. What it brings meanwhile stays, and is told; what it took away, with
        nothing in its place, is sent again: or two that replace each other's shards would leave neither.
        """
        there = self.remote.listing()
        outdated = self._outdated(there)
        self._require_leave(outdated, replace)
        missing = self._missing(there)
        meter = Meter(sum(shard.path.stat().st_size for shard in missing), report)
        self._send(missing, there, meter)
        for name in outdated:
            self.remote.remove(name)  # before its facts: without them nobody could tell that it is outdated
            self.remote.remove(facts_name(name))
        there = self.remote.listing()
        if not self._outdated(there):
            self._send(self._missing(there), there, meter)
        _publish(self.remote)
        self._require_leave(self._outdated(self.remote.listing()), replace=False)
        names, removed = tuple(shard.name for shard in missing), count(len(outdated), "outdated shard")
        notes = [f"{removed} there removed"] if outdated else []
        notes += [
            f"nobody can tell what {name} there contradicts ({reason}): push it again from where it came from, or "
            "remove it there"
            for name, reason in self.others.unreadable.items()
            if name not in outdated
        ]
        return Carried(names, len(self.shards) - len(missing), meter.moved, notes=tuple(notes))

    def _outdated(self, there: Listing) -> dict[str, list[str]]:
        """Shards there with sequences that this cache has other content of, and these sequences."""
        self.others.read(there, but=self.shards)
        facts = {name: self.others.facts[name] for name in there.shards if name in self.others.facts}
        found = {name: differing(contents(one.sequences), self.held) for name, one in facts.items()}
        return {name: sequences for name, sequences in found.items() if sequences}

    def _require_leave(self, outdated: Mapping[str, Sequence[str]], replace: bool) -> None:
        """Contradictions are to be replaced, and nothing is lost with them."""
        for name, (one, *_) in outdated.items():
            said = f"{self.remote.shown}: sequence {one!r} of {name} there has other content than in {self.folder}"
            if not replace:
                raise CacheError(f"{said}: --replace puts this cache's in its place; or push elsewhere")
            if lost := loss(self.others.complete(name), self.holdings):
                raise CacheError(
                    f"{said}, but this push does not bring all that would be lost with it, {lost}: {self._remedy(name)}"
                )

    def _remedy(self, name: str) -> str:
        """How a push comes to bring what would be lost with a shard there: not all of it need be in this cache."""
        lost, steps = loss(self.others.complete(name), holdings(self.own.values())), []
        if lost.sequences:
            named = " ".join(f"--only id={shlex.quote(glob.escape(one))}" for one in lost.sequences[:_MOST_NAMED])
            steps.append(f"pull {named}{' and so on' if len(lost.sequences) > _MOST_NAMED else ''} first")
        elif lost:
            steps.append(f"ingest it into {self.folder} again first, or remove that shard there")
        if self.shards.keys() != self.own.keys():
            steps.append("push without --only")
        return ", and ".join(steps)

    @cached_property
    def holdings(self) -> Holdings:
        """What this push brings."""
        return holdings(self.shards.values())

    def _missing(self, there: Listing) -> list[Shard]:
        """Shards that are not there, or not to their end."""
        shards = self.shards.values()
        is_there = self.pool.map(lambda shard: self._is_there(shard, there.sizes.get(shard.name, 0)), shards)
        return [shard for shard, found in zip(shards, is_there, strict=True) if not found]

    def _is_there(self, shard: Shard, size: int | None) -> bool:
        """Whether a shard that is listed with so many bytes is whole, as far as these tell.

        One that was made of the same data elsewhere, or by another version, may be as whole with another length.
        """
        if size in (None, shard.path.stat().st_size):
            return True
        said = hdf5.length_said(self.remote.head(shard.name, hdf5.HEAD)) if size >= hdf5.HEAD else None
        return said is not None and said <= size

    def _send(self, missing: Sequence[Shard], there: Listing, meter: Meter) -> None:
        names = {shard.name for shard in missing}
        for _ in self.pool.map(lambda one: self._send_one(one, one.name in names, there, meter), self.shards.values()):
            pass

    def _send_one(self, shard: Shard, is_missing: bool, there: Listing, meter: Meter) -> None:
        """Facts first, so that no shard is there of which it cannot be told what it contradicts."""
        damaged = shard.damaged() if is_missing else []
        if damaged:
            raise CacheError(f"{shard.path}: sequence {damaged[0]!r} is damaged: skelemo cache verify says more")
        said = self.said[shard.name]
        if not there.has(facts_name(shard.name), len(said)):
            self.remote.put_text(facts_name(shard.name), said)
        if is_missing:
            self.remote.put(shard.path, shard.name, meter.move)


def _publish(remote: Remote) -> None:
    """Write the index until it lists what is there.

    Another push may write one that it has made of an older listing. It lists again thereafter, as this one does, so
    that the last to write has seen the shards of all.
    """
    for _ in range(100):
        text = ('{"shards": [\n' + ",\n".join(f'"{name}"' for name in remote.listing().shards) + "\n]}\n").encode()
        if remote.text(INDEX) == text:
            return
        remote.put_text(INDEX, text)
    raise RemoteError(f"{remote.shown}/{INDEX}: others write it all the time: push again when they have finished")
