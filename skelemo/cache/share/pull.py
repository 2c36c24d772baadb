"""A cache from elsewhere: what is missing here, and nothing that is not what it claims to be."""

import os
import shutil
from collections.abc import Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from pathlib import Path
from threading import Event, Lock
from typing import Any, BinaryIO

import numpy as np
import pandas as pd
from rich.filesize import decimal

from skelemo.cache import hdf5
from skelemo.cache.cache import require_same
from skelemo.cache.extract import write_part
from skelemo.cache.select import label_words, require_keys, split_columns, unmet
from skelemo.cache.shard import SUFFIX, Shard, open_shard
from skelemo.cache.share.manifest import Facts, choose, contents, differing, facts_name, facts_of, from_json, held
from skelemo.cache.share.partial import partial_file
from skelemo.cache.share.push import Carried, Meter, Report
from skelemo.cache.share.remote import Listing, Remote, is_nothing
from skelemo.cache.share.retry import PAUSES, may_pass, pause
from skelemo.cache.verify import NAME
from skelemo.errors import CacheError, RemoteError, UnreadableError
from skelemo.text import count


def pull(
    url: str,
    folder: Path,
    *,
    only: Sequence[str] = (),
    jobs: int = 1,
    options: Mapping[str, Any] | None = None,
    report: Report = lambda *_: None,
) -> Carried:
    """Download the shards that a cache folder does not have; what was cut off is gone on with.

    Every shard is checked to its last byte before it gets its name. One that is here, but cannot be read, is fetched
    again. With ``only``, shards without a wanted sequence are not fetched where the place says what they hold, and of
    the others just what is wanted is kept.

    Raises
    ------
    CacheError
        What the place says of its shards contradicts itself or the cache: nothing has been fetched. Or shards are not
        what they should be, are of another layout or other classes than the cache, or contradict it, where the place
        did not say so; all others have been put in place. Or ``folder`` holds something else, or too little room.
    UnreadableError
        A shard may be whole, but cannot be read here and now, as one of a newer format: what has arrived stays.
    RemoteError, ConfigError
        The place cannot be reached or read, a driver is missing, or ``only`` cannot be meant or is met by
        nothing there. What has arrived stays; a new folder that nothing has come into does not.
    """
    remote = Remote(url, options)
    there = remote.listing()
    if not there.shards:
        passed_over = "".join(f" ({note})" for note in _passed_over(there))
        raise RemoteError(f"{remote.shown}: no shard of a cache is listed there{passed_over}")
    return _Pull(remote, folder, there, only, jobs).run(report)


_LISTED = "listed, but not there"
#: What helps where a shard is damaged: a push tells by the length, and not by the bytes, what is whole there.
_DAMAGED = ": remove it there and push again"
_GONE = ": pull again, or if they stay away push again, which lists anew what is there"


class _Pull:
    """One pull: what the folder holds so far, known to all threads."""

    def __init__(self, remote: Remote, folder: Path, there: Listing, only: Sequence[str], jobs: int) -> None:
        self.remote, self.folder, self.there, self.only = remote, folder, there, only
        self.shards = _shards_in(folder)
        self.before = tuple(self.shards)
        self.new_folders = [path for path in (folder, *folder.parents) if not path.exists()]
        self.kept = 0
        self.held = held(self.shards)
        self.facts: dict[str, Facts] = {}
        self.refused: dict[str, list[str]] = {}
        self.wanted_any = not only
        self.stop, self.lock = Event(), Lock()
        self.pool = ThreadPoolExecutor(jobs)

    def run(self, report: Report) -> Carried:
        """Fetch what is missing."""
        with self.pool:
            try:
                have = {shard.name for shard in self.shards}
                missing = [name for name in self.there.shards if name not in have]
                self._read_facts([name for name in missing if facts_name(name) in self.there.sizes])
                missing = self._wanted(missing)
                sizes = self._sizes(missing)
                self._require_room(sizes)
                self.folder.mkdir(parents=True, exist_ok=True)
                meter = Meter(sum(sizes.values()), report)
                for _ in self.pool.map(lambda name: self._fetch(name, sizes[name], meter), sizes):
                    pass
                require_keys(self.only, self._columns())
                self._require_any()
            finally:
                self.stop.set()
                self.pool.shutdown(cancel_futures=True)
                self._remove_empty()
        self._require_all_taken()
        return Carried(
            tuple(missing), len(self.there.shards) - len(missing), meter.moved, self.kept, _passed_over(self.there)
        )

    def _read_facts(self, names: list[str]) -> None:
        """What the place says of its shards: whether they are of the same cache, and hold what is wanted."""
        texts = self.pool.map(lambda name: self.remote.text(facts_name(name)), names)
        found = {name: from_json(text or b"") for name, text in zip(names, texts, strict=True)}
        self.facts = {name: facts for name, facts in found.items() if facts}
        for facts in self.facts.values() if self.shards else ():
            ours = self.shards[0].header
            if (facts.layout, facts.classes) != (ours.layout, tuple(label_words(ours.heads))):
                raise CacheError(
                    f"{self.remote.shown} has the layout {facts.layout} and the classes {', '.join(facts.classes)}, "
                    f"{self.folder} has {ours.layout} and {', '.join(label_words(ours.heads))}: use another folder"
                )

    def _wanted(self, names: list[str]) -> list[str]:
        """Shards that may hold what is wanted and is not here, if they agree on it."""
        if len(self.facts) == len(names):
            require_keys(self.only, self._columns())
        chosen = self._chosen(*self.facts.values())
        wanted = {
            name: contents(facts.sequences[keep])
            for (name, facts), keep in zip(self.facts.items(), chosen, strict=True)
        }
        self._require_agreement(wanted)
        self.wanted_any |= any(wanted.values())
        nothing = {name for name, rows in wanted.items() if self.only and rows.items() <= self.held.items()}
        return [name for name in names if name not in nothing]

    def _require_agreement(self, wanted: Mapping[str, Mapping[str, str]]) -> None:
        """A sequence that is wanted has one content, here and in all shards there that tell what is in them."""
        said, where = dict(self.held), self._places()
        for name, rows in wanted.items():
            for one in differing(rows, said)[:1]:
                if where[one] in self.there.sizes:
                    raise CacheError(
                        f"{self.remote.shown}: sequence {one!r} differs between {where[one]} and {name} there: a push "
                        "--replace is at it, or was cut off: pull when it has ended, or push again with --replace"
                    )
                raise CacheError(
                    f"{self.remote.shown}: sequence {one!r} of {name} is in {self.folder / where[one]} with other "
                    "content: remove the one that is outdated, or pull into a folder of its own"
                )
            said |= rows
            where |= dict.fromkeys(rows, name)

    def _places(self) -> dict[str, str]:
        """The shard of each sequence that is here."""
        return {one: shard.path.name for shard in self.shards for one in shard.sequences["id"]}

    def _require_any(self) -> None:
        """Something was wanted of what is there, unless that cannot be told because some of it was not taken."""
        if self.wanted_any or self.refused or any(keep.any() for keep in self._chosen(*map(facts_of, self.before))):
            return
        wanted, known = " ".join(f"--only {one}" for one in self.only), pd.concat(self._tables(), ignore_index=True)
        raise RemoteError(f"{self.remote.shown}: no sequence there has {wanted}{unmet(known, self.only)}")

    def _remove_empty(self) -> None:
        """Leave no new folder behind that nothing has come into."""
        with suppress(OSError):
            for path in self.new_folders:
                path.rmdir()  # which only an empty folder lets happen

    def _columns(self) -> set[str]:
        """Columns of splits that any shard here or there is known to have."""
        return {column for table in self._tables() for column in split_columns(table)}

    def _tables(self) -> list[pd.DataFrame]:
        """Sequences of all shards here or there, as far as they are known."""
        return [shard.sequences for shard in self.shards] + [facts.sequences for facts in self.facts.values()]

    def _chosen(self, *facts: Facts) -> list[np.ndarray]:
        """Which sequences are wanted of some shards; any key may be a column that another shard has."""
        return choose(facts, self.only, [one.partition("=")[0] for one in self.only])

    def _require_room(self, sizes: Mapping[str, int]) -> None:
        place = self.folder
        while not place.exists():
            place = place.parent
        free, needed = shutil.disk_usage(place).free, sum(sizes.values())
        if needed > free:
            raise CacheError(
                f"{self.remote.shown} would send {decimal(needed)}; {self.folder} has room for {decimal(free)}: "
                "make room, or pull less with --only"
            )

    def _sizes(self, names: Sequence[str]) -> dict[str, int]:
        """Bytes of the shards that are really there."""
        untold = [name for name in names if self.there.sizes[name] is None]
        asked = dict(zip(untold, self.pool.map(self.remote.size, untold), strict=True))
        sizes: dict[str, int] = {}
        for name in names:
            size = asked.get(name, self.there.sizes[name])
            if size is None:
                self._refuse(name, _LISTED, _GONE)
            else:
                sizes[name] = size
        return sizes

    def _fetch(self, name: str, size: int, meter: Meter) -> None:
        """Fetch a shard, unless another could not be."""
        if self.stop.is_set():
            return
        try:
            self._bring(name, size, meter)
        except BaseException as error:
            if isinstance(error, RemoteError) and is_nothing(error):  # taken out since
                self._refuse(name, _LISTED, _GONE)
                return
            self.stop.set()
            raise

    def _bring(self, name: str, size: int, meter: Meter) -> None:
        with partial_file(self.folder, name) as (file, path):
            begun = min(file.seek(0, os.SEEK_END), size)
            file.truncate(begun)
            meter.skip(begun)
            self._download(name, file, size, meter)
            wrong = _what_is_wrong(name, path)
            if wrong and begun:
                meter.skip(-size)  # what had been begun was of another file, or is damaged
                file.truncate(0)
                self._download(name, file, size, meter)
                wrong = _what_is_wrong(name, path)
            if wrong:
                self._refuse(name, wrong, _DAMAGED)
                path.unlink()
            else:
                self._accept(name, path)

    def _download(self, name: str, file: BinaryIO, size: int, meter: Meter) -> None:
        """Go on with a file to its end; a connection that has brought something may break as often as it likes."""
        failures = 0
        while (done := file.seek(0, os.SEEK_END)) < size:
            try:
                for piece in self.remote.pieces(name, done, size):
                    if self.stop.is_set():
                        raise RemoteError(f"{self.remote.shown}/{name}: stopped")
                    _write(file, piece)
                    meter.move(len(piece))
                if file.tell() < size:
                    raise ConnectionError(f"{name} ended at {file.tell():,} of {size:,} bytes")
            except Exception as error:
                self.remote.forget_connection()
                failures = failures + 1 if file.tell() == done else 1
                if isinstance(error, CacheError | RemoteError):
                    raise
                if not may_pass(error) or failures > len(PAUSES):
                    raise self.remote.error(error) from error
                pause(PAUSES[failures - 1])
        file.flush()
        os.fsync(file.fileno())

    def _accept(self, name: str, path: Path) -> None:
        """Put a whole shard, or what is wanted of it, in its place if it fits with what is there."""
        shard = open_shard(path)
        (keep,) = self._chosen(facts_of(shard))
        with self.lock:
            rows = shard.sequences[keep]
            self.wanted_any |= bool(keep.any())
            brought = contents(rows)
            if misfit := self._misfit(shard, brought):
                self._refuse(name, misfit)
                path.unlink()
                return
            self.held |= brought
            self.kept += len(rows)
            if keep.all() or (self.folder / name).exists():  # a damaged one, which is replaced as it was
                os.replace(path, self.folder / name)
            else:
                if keep.any():
                    write_part(shard, keep, self.folder)
                path.unlink()
            self.shards.append(shard)

    def _misfit(self, shard: Shard, brought: Mapping[str, str]) -> str:
        """How a shard contradicts the cache, if it does."""
        if self.shards:
            try:
                require_same([self.shards[0], shard])
            except CacheError as error:
                return hdf5.reason(error, shard.path)
        others = differing(brought, self.held)
        return f"its sequence {others[0]!r} is in {self.folder} with other content" if others else ""

    def _refuse(self, name: str, reason: str, remedy: str = "") -> None:
        self.refused.setdefault(remedy, []).append(f"{name} ({reason})")

    def _require_all_taken(self) -> None:
        if self.refused:
            refused = count(sum(map(len, self.refused.values())), "shard is", "shards are")
            said = [", ".join(named) + remedy for remedy, named in self.refused.items()]
            raise CacheError(f"{self.remote.shown}: {refused} not taken: {'; '.join(said)}")


def _passed_over(there: Listing) -> tuple[str, ...]:
    if not there.others:
        return ()
    first, *more = there.others
    which = f"{first} and {count(len(more), 'other')} there are" if more else f"{first} there is"
    return (f"{which} passed over: shards are named by their content, as skelemo cache push names them",)


def _what_is_wrong(name: str, path: Path) -> str:
    """Why a file is not the shard of that name, whole to its last byte; nothing if it is.

    Raises
    ------
    UnreadableError
        It may be whole, but cannot be read here and now: what has come of it is kept for a later pull.
    """
    try:
        shard = open_shard(path)
        if shard.name != name:
            return f"it is {shard.name}"
        return "".join(f"sequence {one!r} is damaged" for one in shard.damaged()[:1])
    except UnreadableError:
        raise
    except CacheError as error:
        return hdf5.reason(error, path)


def _write(file: BinaryIO, piece: bytes) -> None:
    try:
        file.write(piece)
        file.flush()
    except OSError as error:
        raise CacheError(f"{file.name}: cannot be written ({error.strerror or error})") from error


def _shards_in(folder: Path) -> list[Shard]:
    """The shards of a cache, or of a folder that is to become one; what is damaged is to be replaced."""
    if not folder.exists():
        return []
    if not folder.is_dir():
        raise CacheError(f"{folder} is a file; a pull needs the folder of a cache")
    inside = [path for path in folder.iterdir() if not path.name.startswith(".")]
    if inside and not any(path.suffix == SUFFIX for path in inside):
        raise CacheError(f"{folder} holds {min(path.name for path in inside)!r} and no cache: pull elsewhere")
    found: list[Shard] = []
    for path in sorted(path for path in inside if path.suffix == SUFFIX):
        try:
            found.append(open_shard(path))
        except UnreadableError:
            raise
        except CacheError:
            if not NAME.fullmatch(path.name):
                raise
    return found
