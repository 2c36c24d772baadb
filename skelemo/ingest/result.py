"""The result of an ingest, summed over its recordings."""

from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path

from skelemo.openpose.files import Problem

#: Number of problems and notes kept in memory; shards list all problems.
MOST_KEPT = 1000


@dataclass(frozen=True)
class Staged:
    """A finished shard, to be published after the sequences that it replaces are removed."""

    path: Path  # in the staging folder
    valid: Mapping[str, Mapping[str, str]]  # hashes of the sequences of each replaced video by id; others are outdated


@dataclass
class Tally:
    """The result of a job, or of a whole ingest."""

    recordings: int = 0
    files: int = 0
    sequences: int = 0
    frames: int = 0
    people: int = 0
    unread: int = 0  # files that could not be read
    damaged: int = 0  # files that could be read only partially
    scales: Counter[str] = field(default_factory=Counter)  # recordings by unit of coordinates
    body_models: Counter[str] = field(default_factory=Counter)  # recordings by body model
    identities: Counter[str] = field(default_factory=Counter)  # recordings by source of identities
    left_out: Counter[str] = field(default_factory=Counter)  # "people" (long tracks) and "detections" without sequence
    seen: Counter[str] = field(default_factory=Counter)  # visible points by part
    points: Counter[str] = field(default_factory=Counter)  # all points by part
    labels: Counter[str] = field(default_factory=Counter)  # frames by head, and by head and output
    problems: list[Problem] = field(default_factory=list)  # the first files that could not be read
    failures: list[Problem] = field(default_factory=list)  # unusable recordings
    failed_files: list[Problem] = field(default_factory=list)  # their first problems
    notes: list[str] = field(default_factory=list)
    shards: list[Path] = field(default_factory=list)
    staged: list[Staged] = field(default_factory=list)

    def add(self, other: "Tally") -> None:
        """Add the result of another job."""
        for name, value in vars(other).items():
            if isinstance(value, Counter):
                getattr(self, name).update(value)
            else:
                setattr(self, name, getattr(self, name) + value)
        for kept in (self.problems, self.failed_files, self.notes):
            del kept[MOST_KEPT:]
