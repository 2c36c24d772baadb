"""What an ingest has done, summed up over its recordings in little memory."""

from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path

from skelemo.openpose.files import Problem

#: Files that could not be read and remarks are counted all and kept up to this number; shards hold them all.
MOST_KEPT = 1000


@dataclass(frozen=True)
class Staged:
    """A finished shard that may only be seen once what it replaces is gone.

    Parameters
    ----------
    path : where it waits.
    valid : for each of the videos that are ingested anew, its sequences: id -> sha256. Any other is outdated.
    """

    path: Path
    valid: Mapping[str, Mapping[str, str]]


@dataclass
class Tally:
    """What a group, or a whole ingest, has done."""

    recordings: int = 0
    files: int = 0
    sequences: int = 0
    frames: int = 0
    people: int = 0
    unread: int = 0  # files that could not be read
    damaged: int = 0  # files of which a part could not be read
    scales: Counter[str] = field(default_factory=Counter)  # recordings by the units of their coordinates
    body_models: Counter[str] = field(default_factory=Counter)  # recordings by the model of their bodies
    identities: Counter[str] = field(default_factory=Counter)  # recordings by what tells their people apart
    left_out: Counter[str] = field(default_factory=Counter)  # "people" of some length and "detections" in no sequence
    seen: Counter[str] = field(default_factory=Counter)  # points by part
    points: Counter[str] = field(default_factory=Counter)  # points by part, seen or not
    labels: Counter[str] = field(default_factory=Counter)  # frames by head, and by head and output
    problems: list[Problem] = field(default_factory=list)  # files that could not be read, the first of them
    failures: list[Problem] = field(default_factory=list)  # recordings that could not be used at all
    failed_files: list[Problem] = field(default_factory=list)  # the first files at fault of those recordings
    notes: list[str] = field(default_factory=list)
    shards: list[Path] = field(default_factory=list)
    staged: list[Staged] = field(default_factory=list)

    def add(self, other: "Tally") -> None:
        """Take over what another group has done."""
        for name, value in vars(other).items():
            if isinstance(value, Counter):
                getattr(self, name).update(value)
            else:
                setattr(self, name, getattr(self, name) + value)
        for kept in (self.problems, self.failed_files, self.notes):
            del kept[MOST_KEPT:]
