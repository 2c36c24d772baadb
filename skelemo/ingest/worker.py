"""One job of an ingest: some recordings into shards."""

import os
import socket
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np

from skelemo.cache import sequence as cached
from skelemo.cache.shard import Header, write_shard
from skelemo.cache.statistics import by_part, count_labels, name_counts
from skelemo.errors import CacheError, ConfigError, InputError
from skelemo.ingest.batching import Bounds
from skelemo.ingest.guess import contradictions
from skelemo.ingest.result import MOST_KEPT, Staged, Tally
from skelemo.ingest.sequences import remarks, sequences_of
from skelemo.ingest.task import Settings, Task, fingerprint
from skelemo.openpose.files import Contents, Problem
from skelemo.openpose.people import NO_GUESS, Guess, People, RecordingError, read_people
from skelemo.openpose.reader import Reader
from skelemo.skeleton import Layout, layout
from skelemo.text import count
from skelemo.tracking import LONG, identify

__all__ = ["Job", "Tally", "do_job"]

#: Told while a job is done: its number, and how many of its files are read. Set by whoever runs it.
progress: Callable[[int, int], None] | None = None

_TELL_EVERY = 512


@dataclass(frozen=True)
class Job:
    """What a process is given to do in one go: groups of recordings, each of which becomes a shard or a few.

    Parameters
    ----------
    number : of the job in its ingest.
    groups : one, or several in a row that lie in one archive that can only be read from front to back.
    present : a file in ``out`` that is there as long as the ingest lives; a process that does not see it is elsewhere.
    guess : what the files of the ingest share and a recording may not tell.
    stage : folder for shards that replace sequences of the cache; None to refuse what would replace them.
    """

    number: int
    groups: tuple[tuple[Task, ...], ...]
    header: Header
    settings: Settings
    out: Path
    bounds: Bounds
    present: Path
    stage: Path | None = None
    guess: Guess = NO_GUESS


def do_job(job: Job) -> Tally:
    """Read the recordings of a job and write what is new in them as shards.

    A recording of which nothing can be used is a failure of its own and does not stop the others.

    Raises
    ------
    CacheError
        The cache cannot be written, or does not lie here.
    InputError
        With ``strict``, the first file or recording that cannot be used.
    """
    _require_here(job)
    tally = Tally()
    with Reader() as reader:
        for group in job.groups:
            shard = _Shard(job, tally)
            for index in reader.expect([task.recording for task in group]):
                _read_recording(group[index], job, reader, shard)
            shard.write()
    return tally


def _require_here(job: Job) -> None:
    """The cache and the source are where they are for whoever gave the job."""
    place = f"{socket.gethostname()} does not see"
    if not job.present.exists():
        raise CacheError(f"{job.out}: {place} this folder as it is where the ingest was started: it must be shared")
    recording = job.groups[0][0].recording
    source = recording.archive.path if recording.archive else recording.folder
    if not os.path.exists(source):
        raise InputError(f"{source}: {place} it, or it is gone: the source must be shared")


def _read_recording(task: Task, job: Job, reader: Reader, shard: "_Shard") -> None:
    """Add a recording to the shard, or its failure to the tally."""
    tally, settings = shard.tally, job.settings
    try:
        people = read_people(
            task.recording,
            layout(settings.layout),
            body_model=settings.body_model,
            scale=settings.scale,
            strict=settings.strict,
            prior=job.guess,
            contents=_watched(_contents(task, reader), job.number, tally.files),
        )
        who = identify(people, settings.identity)
        used = np.zeros(len(people.keypoints), bool)
        found = list(sequences_of(task, people, settings, who.tracks, used))
        known, fresh = _sort_out(found, task, job)
    except (RecordingError, CacheError, ConfigError) as error:
        if settings.strict:
            raise
        problems = list(error.problems) if isinstance(error, RecordingError) else []
        reason = str(error).removeprefix(f"{task.recording.source}: ")
        failed = Tally(failures=[Problem(task.recording.source, reason)])
        tally.add(replace(failed, problems=problems, failed_files=problems, unread=len(problems)))
    else:
        if not len(people.keypoints):
            tally.notes.append(
                f"{task.recording.source}: OpenPose saw nobody in its {count(len(people.number), 'frame')}"
            )
        tally.notes += remarks(task, people, found)
        tally.notes += [f"{task.recording.source}: {who.note}"] if who.note else []
        tally.identities[who.by] += 1
        tally.left_out["people"] += sum(len(one) >= LONG and not used[one.rows].any() for one in who.tracks)
        tally.left_out["detections"] += int(np.count_nonzero(~used))
        tally.notes += contradictions(task, people, job.guess)
        _count(tally, found, people, job.header)
        shard.add(task, people, known, fresh)
    tally.files += len(task.recording.files)


def _contents(task: Task, reader: Reader) -> Contents:
    try:
        return reader.contents(task.recording)
    except OSError as error:
        raise RecordingError(f"{error.filename} {error.strerror or error}") from error


def _watched(contents: Contents, number: int, before: int) -> Contents:
    """The contents, and now and then a word of how many files of the job are read."""

    def read(index: int) -> tuple[bytes, int]:
        if not index % _TELL_EVERY and progress:
            progress(number, before + index)
        return contents(index)

    return read


class _Shard:
    """What has been read and is not written yet."""

    def __init__(self, job: Job, tally: Tally) -> None:
        self.job, self.tally = job, tally
        self._clear()

    def add(
        self, task: Task, people: People, there: Sequence[cached.Sequence], fresh: Sequence[cached.Sequence]
    ) -> None:
        """Take over a recording's sequences, those that the cache has and those that it has not."""
        self.sequences += fresh
        valid = {one.id: one.sha256 for one in (*there, *fresh)}
        self.rows.append(recording_row(task, people, self.job.header, valid))
        self.problems += [{"file": problem.file, "reason": problem.reason} for problem in people.problems]
        if any(known.own and valid.get(name) != known.sha256 for name, known in task.known.items()):
            self.valid[task.video] = valid
        self.bytes += sum(one.keypoints.nbytes for one in fresh)
        if self.bytes > self.job.bounds.shard:
            self.write()

    def write(self) -> None:
        """Write all of it, and begin another."""
        if self.rows:
            staged = self.valid if self.job.stage else {}
            folder = self.job.stage if self.job.stage and staged else self.job.out
            path = write_shard(folder, self.job.header, self.sequences, self.rows, self.problems)
            if staged:
                self.tally.staged.append(Staged(path, staged))
            else:
                self.tally.shards.append(path)
        self._clear()

    def _clear(self) -> None:
        self.sequences: list[cached.Sequence] = []
        self.rows: list[dict[str, Any]] = []
        self.problems: list[dict[str, str]] = []
        self.valid: dict[str, dict[str, str]] = {}
        self.bytes = 0


def _sort_out(
    found: Sequence[cached.Sequence], task: Task, job: Job
) -> tuple[list[cached.Sequence], list[cached.Sequence]]:
    """The sequences that the cache has, and those that it has not."""
    known: list[cached.Sequence] = []
    fresh: list[cached.Sequence] = []
    ids: set[str] = set()
    for one in found:
        if one.id in ids:
            raise CacheError(
                f"two labels give one sequence {one.id!r}: say who is meant in both (person, or --person), or keep one"
            )
        ids.add(one.id)
        there = task.known.get(one.id)
        if there and there.sha256 != one.sha256 and not (job.stage and there.own):
            why = "files, labels or settings have changed" if there.own else "it is another recording's"
            remedy = "--replace puts the new in its place; or choose" if there.own else "choose"
            raise CacheError(
                f"sequence {one.id!r} is in {there.shard} with other content ({why}): {remedy} another --out"
            )
        (known if there and there.sha256 == one.sha256 else fresh).append(one)
    outdated = [] if job.stage else sorted(name for name, there in task.known.items() if there.own and name not in ids)
    for name in outdated[:1]:
        raise CacheError(
            f"its sequence {name!r} in {task.known[name].shard} would not be made again (files, labels or settings "
            "have changed): --replace puts the new in its place; or choose another --out"
        )
    return known, fresh


def recording_row(task: Task, people: People, header: Header, made: Mapping[str, str]) -> dict[str, Any]:
    """The row of ``/recordings`` for what was read, and what was ``made`` of it: sequences and their sha256."""
    return {
        "source": task.recording.source,
        "video": task.video,
        "fingerprint": fingerprint(task, header, *_stamp(task, people), made),
        "files": len(task.recording.files),
        "frames": len(people.number),
        "people": len(people.keypoints),
        "body_model": people.body_model,
    }


def _stamp(task: Task, people: People) -> tuple[int, int]:
    """Bytes and latest change of what the recording was read from."""
    archive = task.recording.archive
    return (archive.size, archive.changed) if archive else (people.bytes_read, people.newest)


def _count(tally: Tally, found: Sequence[cached.Sequence], people: People, header: Header) -> None:
    where: Layout = layout(header.layout)
    tally.recordings += 1
    tally.sequences += len(found)
    tally.people += len(people.keypoints)
    tally.problems += people.problems[: MOST_KEPT - len(tally.problems)]
    tally.unread += sum(not problem.kept for problem in people.problems)
    tally.damaged += sum(problem.kept for problem in people.problems)
    tally.scales[people.scale if people.keypoints.size else ""] += 1
    tally.body_models[people.body_model] += 1
    for one in found:
        tally.frames += len(one)
        for part, seen in zip(where.parts, by_part(one.points_seen[:-1], where).tolist(), strict=True):
            tally.seen[part.name] += seen
            tally.points[part.name] += len(part) * len(one)
        for head in header.heads:
            tally.labels.update(
                {f"{head.name} {name}".strip(): frames
                 for name, frames in name_counts(head, count_labels(head, one.labels.get(head.name))).items()}
            )  # fmt: skip
