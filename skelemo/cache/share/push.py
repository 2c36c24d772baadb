"""A cache to where others can pull it from: what is missing there, and nothing else."""

import tempfile
from collections.abc import Callable, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path
from threading import Lock
from typing import Any

from skelemo.cache.part import write_part
from skelemo.cache.shard import SUFFIX, Shard, open_shard
from skelemo.cache.share.facts import choose, facts_of, from_json, to_json
from skelemo.cache.share.remote import INDEX, Listing, Remote
from skelemo.cache.store import open_cache
from skelemo.errors import CacheError, RemoteError

FACTS = ".json"

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
    """

    shards: tuple[str, ...]
    there: int
    size: int
    sequences: int | None = None


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
    jobs: int = 1,
    options: Mapping[str, Any] | None = None,
    report: Report = lambda *_: None,
) -> Carried:
    """Upload the shards of a cache that the place does not have, each checked before and named when it is whole.

    What is there with another length, as a copy that was cut off, is sent again.

    With ``only``, what is wanted of a shard becomes a shard of its own where that is not all of it.

    Raises
    ------
    CacheError
        The cache or a shard is damaged, or the place holds a cache of another layout or other classes.
    RemoteError, ConfigError
        The place cannot be reached or written, a driver is missing, or ``only`` cannot be meant.
    """
    cache = open_cache(folder)
    remote = Remote(url, options)
    remote.require_writable()
    there = remote.listing()
    _require_same(cache.shards[0], remote, there)
    with tempfile.TemporaryDirectory() as made:
        shards = _wanted(cache.shards, only, Path(made)) if only else list(cache.shards)
        missing = {shard.name: shard for shard in shards if not there.has(shard.name, shard.path.stat().st_size)}
        meter = Meter(sum(shard.path.stat().st_size for shard in missing.values()), report)
        with ThreadPoolExecutor(jobs) as pool:
            try:
                for _ in pool.map(lambda shard: _send(shard, remote, there, meter), shards):
                    pass
            finally:
                pool.shutdown(cancel_futures=True)
    _publish(remote)
    return Carried(tuple(missing), len(shards) - len(missing), meter.moved)


def facts_name(shard_name: str) -> str:
    """The file beside a shard that says what is in it."""
    return shard_name.removesuffix(SUFFIX) + FACTS


def _wanted(shards: Sequence[Shard], only: Sequence[str], place: Path) -> list[Shard]:
    """Shards of just what is wanted: those that it is all of, and new ones."""
    found: list[Shard] = []
    for shard, keep in zip(shards, choose([facts_of(shard) for shard in shards], only), strict=True):
        if len(keep) and keep.all():
            found.append(shard)
        elif keep.any():
            found += map(open_shard, write_part(shard, keep, place))
    if not found:
        raise CacheError(f"no sequence has {' '.join(f'--only {one}' for one in only)}")
    return found


def _require_same(shard: Shard, remote: Remote, there: Listing) -> None:
    for name in sorted(name for name in there.sizes if name.endswith(FACTS))[:1]:
        facts = from_json(remote.text(name) or b"")
        ours = (shard.header.layout, shard.header.classes)
        if facts and (facts.layout, facts.classes) != ours:
            raise CacheError(
                f"{remote.shown} holds a cache with the layout {facts.layout} and the classes "
                f"{', '.join(facts.classes)}; this one has {ours[0]} and {', '.join(ours[1])}: push it elsewhere"
            )


def _send(shard: Shard, remote: Remote, there: Listing, meter: Meter) -> None:
    if not there.has(shard.name, shard.path.stat().st_size):
        damaged = shard.damaged()
        if damaged:
            raise CacheError(f"{shard.path}: sequence {damaged[0]!r} is damaged: skelemo cache verify says more")
        remote.put(shard.path, shard.name, meter.move)
    facts = to_json(facts_of(shard))
    if not there.has(facts_name(shard.name), len(facts)):
        remote.put_text(facts_name(shard.name), facts)


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
