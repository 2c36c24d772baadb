"""What would be lost with a shard that is taken out of a shared cache."""

from collections.abc import Iterable
from dataclasses import dataclass

from skelemo.cache.extract import recording_of
from skelemo.cache.shard import Shard
from skelemo.cache.share.manifest import Facts
from skelemo.text import count


@dataclass(frozen=True)
class Holdings:
    """What some shards hold together: ids of sequences, videos and sources of recordings, files with a problem."""

    sequences: frozenset[str]
    videos: frozenset[str]
    sources: frozenset[str]
    problems: frozenset[str]


@dataclass(frozen=True)
class Loss:
    """What a shard has and others have not: sequences, recordings by video that have none, files with a problem."""

    sequences: tuple[str, ...]
    recordings: tuple[str, ...]
    problems: tuple[str, ...]

    def __bool__(self) -> bool:
        return bool(self.sequences or self.recordings or self.problems)

    def __str__(self) -> str:
        said = [
            _told(self.sequences, "sequence", "sequences"),
            _told(self.recordings, "recording of nobody", "recordings of nobody"),
            _told(self.problems, "problem", "problems"),
        ]
        return ", ".join(filter(None, said))


def holdings(shards: Iterable[Shard]) -> Holdings:
    """What the shards hold together."""
    columns = [shard.columns for shard in shards]

    def all_of(table: str, column: str) -> frozenset[str]:
        return frozenset(text for one in columns for text in one[table][column])

    return Holdings(
        all_of("sequences", "id"),
        all_of("sequences", "video") | all_of("recordings", "video"),
        all_of("recordings", "source"),
        all_of("problems", "file"),
    )


def loss(facts: Facts, others: Holdings) -> Loss:
    """What a shard of these facts has and the others have not.

    A problem of a recording that the others have is not lost: they have read the recording anew.
    """
    recordings = set(facts.recordings or ()) - set(facts.sequences["video"]) - others.videos
    problems = set(facts.problems or ()) - others.problems
    return Loss(
        tuple(sorted(set(facts.sequences["id"]) - others.sequences)),
        tuple(sorted(recordings)),
        tuple(sorted(file for file in problems if not recording_of(file, others.sources))),
    )


def _told(names: tuple[str, ...], noun: str, nouns: str) -> str:
    if not names:
        return ""
    more = f" and {count(len(names) - 1, 'other')}" if len(names) > 1 else ""
    return f"{count(len(names), noun, nouns)} ({names[0]!r}{more})"
