"""What `skelemo.cache.push` and `skelemo.cache.pull` share."""

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from threading import Lock

from skelemo.cache.remote import Remote
from skelemo.cache.shard import Shard, open_shard
from skelemo.cache.verify import Report
from skelemo.errors import CacheError


@dataclass(frozen=True)
class Transferred:
    """Result of a push or pull."""

    shards: tuple[str, ...]  # names of those transferred
    up_to_date: int  # number of shards that were not transferred
    size: int  # bytes transferred
    sequences: int | None = None  # added to the cache by a pull
    notes: tuple[str, ...] = ()


class Progress:
    """Adds up the bytes that threads transfer."""

    def __init__(self, report: Report, total: int) -> None:
        self.report, self.done, self.total, self.lock = report, 0, total, Lock()
        report(0, total)

    def add(self, size: int) -> None:
        """Count transferred bytes; negative if a download starts again."""
        with self.lock:
            self.done += size
            self.report(self.done, self.total)


def fetch_shard(
    remote: Remote,
    name: str,
    size: int,
    path: Path,
    *,
    sha256: str = "",
    progress: Callable[[int], None] = lambda _: None,
) -> Shard:
    """Download a shard to ``path`` and open it.

    Raises `CacheError`: it is damaged, or not the shard of that name, or of that SHA-256 if given; and as
    `Remote.fetch`.
    """
    digest = remote.fetch(name, size, path, progress)
    if sha256 and digest != sha256:
        raise CacheError("its SHA-256 differs from the index")
    shard = open_shard(path)
    if shard.name != name:
        raise CacheError(f"its content belongs to {shard.name}")
    return shard
