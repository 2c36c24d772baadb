"""What there is to know of the shards at a place that is pushed to, whoever has brought them there."""

from collections.abc import Collection, Mapping
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

from skelemo.cache import hdf5
from skelemo.cache.select import label_words
from skelemo.cache.shard import Shard, open_shard
from skelemo.cache.share.manifest import Facts, facts_name, facts_of, from_json, to_json
from skelemo.cache.share.remote import Listing, Remote, is_nothing
from skelemo.errors import CacheError, RemoteError, UnreadableError


class There:
    """Facts of the shards there, each asked for once; and of those that cannot be read, why.

    Parameters
    ----------
    own : shards of the cache that is pushed, at least one: what is in them is known, and the others must be like them.
    """

    def __init__(self, remote: Remote, own: Mapping[str, Shard], pool: ThreadPoolExecutor) -> None:
        self.facts: dict[str, Facts] = {}
        self.unreadable: dict[str, str] = {}
        self._remote, self._own, self._pool = remote, own, pool

    def read(self, listing: Listing, but: Collection[str]) -> None:
        """Learn of the shards that are listed, but for some.

        Raises
        ------
        CacheError
            One is of another layout or other classes.
        UnreadableError
            Nothing says what is in one, and it cannot be read here and now.
        """
        known = {*but, *self.facts, *self.unreadable}
        new = [name for name in listing.shards if name not in known]
        found = self._pool.map(lambda name: self._facts_of(name, facts_name(name) in listing.sizes), new)
        self.facts |= {name: facts for name, facts in zip(new, found, strict=True) if facts}

    def complete(self, name: str) -> Facts:
        """Facts of a shard, from the shard itself where an older version has written down less of them."""
        if not self.facts[name].is_complete:
            self.facts[name] = self._look_into(name) or self.facts[name]
        return self.facts[name]

    def _facts_of(self, name: str, is_said: bool) -> Facts | None:
        """What a shard holds as the place says; where it does not, what is found in it, and said from now on."""
        said = from_json(self._remote.text(facts_name(name)) or b"") if is_said else None
        facts = said or self._look_into(name)
        if facts:
            self._require_same(facts)
        if facts and not said:
            self._remote.put_text(facts_name(name), to_json(facts))
        return facts

    def _look_into(self, name: str) -> Facts | None:
        """What a shard holds by its tables; nothing if they cannot be read, or it has been taken out since."""
        if name in self._own:
            return facts_of(self._own[name])
        try:
            with self._remote.file(name) as path:
                return self._found_in(path, name)
        except RemoteError as error:
            if is_nothing(error):
                return None
            raise

    def _found_in(self, path: Path, name: str) -> Facts | None:
        try:
            shard = open_shard(path)
        except UnreadableError as error:
            raise UnreadableError(f"{self._remote.shown}/{name}: {hdf5.reason(error, path)}") from error
        except CacheError as error:
            self.unreadable[name] = hdf5.reason(error, path)
            return None
        if shard.name != name:
            self.unreadable[name] = f"it is {shard.name}"
            return None
        return facts_of(shard)

    def _require_same(self, facts: Facts) -> None:
        header = next(iter(self._own.values())).header
        if (facts.layout, facts.classes) != (header.layout, tuple(label_words(header.heads))):
            raise CacheError(
                f"{self._remote.shown} holds a cache with the layout {facts.layout} and the classes "
                f"{', '.join(facts.classes)}; this one has {header.layout} and {', '.join(label_words(header.heads))}: "
                "push it elsewhere"
            )
