"""Runs one job of an ingest: reads recordings and writes shards."""

import os
import socket
from collections.abc import Callable, Mapping, Sequence
from contextlib import closing
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np

from skelemo.cache import sequence as cached
from skelemo.cache.shard import Header
from skelemo.cache.shard_writer import ShardWriter
from skelemo.cache.statistics import by_part, count_labels, name_counts
from skelemo.errors import CacheError, ConfigError, InputError, os_reason
from skelemo.ingest.batching import Bounds
from skelemo.ingest.corrected import corrected
from skelemo.ingest.guess import contradictions
from skelemo.ingest.result import MOST_KEPT, Staged, Tally
from skelemo.ingest.sequences import remarks, sequences_of
from skelemo.ingest.task import Settings, Task, fingerprint
from skelemo.openpose.files import Contents, Problem
from skelemo.openpose.people import NO_GUESS, Guess, People, RecordingError, read_people
from skelemo.openpose.reader import Reader
from skelemo.skeleton import layout
from skelemo.text import count
from skelemo.tracking import LONG, identify

#: Called during a job with its number and the files read so far; set by the pool.
progress: Callable[[int, int], None] | None = None

_REPORT_EVERY = 512


@dataclass(frozen=True)
class Job:
    """Groups of recordings for one process; each group becomes one or more shards."""

    number: int
    groups: tuple[tuple[Task, ...], ...]  # one, or several from one archive that can only be read sequentially
    header: Header
    settings: Settings
    out: Path
    bounds: Bounds
    heartbeat: Path  # a file in `out` while the ingest runs; a process that cannot see it has another file system
    stage: Path | None = None  # folder for shards that replace sequences of the cache; None to refuse replacements
    guess: Guess = NO_GUESS  # common properties of the ingest's files, for ambiguous recordings


def do_job(job: Job) -> Tally:
    """Read the recordings of a job and write their new sequences as shards; unusable recordings become failures.

    Raises `CacheError`: the cache cannot be written, or is not visible to this process; `InputError`: with ``strict``,
    the first unusable file or recording.
    """
    _require_folders(job)
    tally = Tally()
    with closing(Reader()) as reader:
        for group in job.groups:
            writer = _Writer(job, tally)
            reader.expect([task.recording for task in group])
            for task in group:
                _read_recording(task, job, reader, writer)
            writer.flush()
    return tally


def _require_folders(job: Job) -> None:
    """Refuse a job whose cache or source this process cannot see."""
    host = socket.gethostname()
    if not job.heartbeat.exists():
        raise CacheError(f"{job.out}: on {host}, this path is a different folder: the cache must be in a shared folder")
    recording = job.groups[0][0].recording
    source = recording.archive.path if recording.archive else recording.folder
    if not os.path.exists(source):
        raise InputError(f"{source}: not found on {host}: the source must be in a shared folder")


def _read_recording(task: Task, job: Job, reader: Reader, writer: "_Writer") -> None:
    """Add a recording to the writer, or its failure to the tally."""
    tally, settings = writer.tally, job.settings
    try:
        people = read_people(
            task.recording,
            layout(settings.layout),
            body_model=settings.body_model,
            scale=settings.scale,
            strict=settings.strict,
            prior=job.guess,
            contents=_contents(task, reader, job.number, tally.files),
        )
        identified = identify(people, settings.identity)
        used = np.zeros(len(people.keypoints), bool)
        found = list(sequences_of(task, people, settings, identified.tracks, used))
        sequences, notes = corrected(found, task, job.header.heads)
        old, new = _old_and_new(sequences, task, job)
    except (RecordingError, CacheError, ConfigError) as error:
        if settings.strict:
            raise
        problems = list(error.problems) if isinstance(error, RecordingError) else []
        reason = str(error).removeprefix(f"{task.recording.source}: ")
        failed = Tally(failures=[Problem(task.recording.source, reason)])
        tally.add(replace(failed, problems=problems, failed_files=problems, unread=len(problems)))
    else:
        if not len(people.keypoints):
            frames = count(len(people.number), "frame")
            nobody = f"nobody has keypoints of {settings.layout} in {frames}; read other parts with --layout"
            tally.notes.append(f"{task.recording.source}: {nobody}")
        tally.notes += remarks(task, people, found) + notes
        tally.notes += [f"{task.recording.source}: {identified.note}"] if identified.note else []
        tally.identities[identified.by] += 1
        tally.left_out["people"] += sum(
            len(track) >= LONG and not used[track.rows].any() for track in identified.tracks
        )
        tally.left_out["detections"] += int(np.count_nonzero(~used))
        tally.notes += contradictions(task, people, job.guess)
        _count(tally, sequences, people, job.header)
        writer.add_recording(task, people, old, new)
    tally.files += len(task.recording.files)


def _contents(task: Task, reader: Reader, number: int, before: int) -> Contents:
    """The contents of a recording, which report progress every few hundred files."""
    try:
        contents = reader.contents(task.recording)
    except OSError as error:
        raise RecordingError(f"{error.filename} {os_reason(error)}") from error

    def read(index: int) -> tuple[bytes, int]:
        if not index % _REPORT_EVERY and progress:
            progress(number, before + index)
        return contents(index)

    return read


class _Writer(ShardWriter):
    """Writes the sequences of recordings within a job's memory limit; stages shards that replace others."""

    def __init__(self, job: Job, tally: Tally) -> None:
        super().__init__(job.out, job.header)
        self.job, self.tally = job, tally
        self.valid: dict[str, dict[str, str]] = {}  # hashes by replaced video and id

    def add_recording(
        self, task: Task, people: People, old: Sequence[cached.Sequence], new: Sequence[cached.Sequence]
    ) -> None:
        """Add a recording with its new sequences; the cache already has the old ones."""
        valid = {sequence.id: sequence.sha256 for sequence in (*old, *new)}
        problems = [{"file": problem.file, "reason": problem.reason} for problem in people.problems]
        self.add(new, [recording_row(task, people, self.header, valid)], problems)
        if any(before.own and valid.get(name) != before.sha256 for name, before in task.cached.items()):
            self.valid[task.video] = valid
        if 12 * people.keypoints.shape[1] * self.pending > self.job.bounds.shard:  # bytes
            self.flush()

    def flush(self) -> Path | None:
        """Write a shard, into the staging folder if it replaces sequences of the cache."""
        valid, self.valid = self.valid if self.job.stage else {}, {}
        self.folder = self.job.stage if self.job.stage and valid else self.job.out
        if path := super().flush():
            if valid:
                self.tally.staged.append(Staged(path, valid))
            else:
                self.tally.shards.append(path)
        return path


def _old_and_new(
    found: Sequence[cached.Sequence], task: Task, job: Job
) -> tuple[list[cached.Sequence], list[cached.Sequence]]:
    """Split a recording's sequences into old ones, which the cache already has, and new ones.

    Raises `CacheError`: two sequences share an id, or the job must not replace a sequence.
    """
    old: list[cached.Sequence] = []
    new: list[cached.Sequence] = []
    ids: set[str] = set()
    for sequence in found:
        if sequence.id in ids:
            raise CacheError(
                f"two labels for the sequence {sequence.id!r}: give both a person (column person, or --person), or "
                "remove one"
            )
        ids.add(sequence.id)
        before = task.cached.get(sequence.id)
        if before and before.sha256 != sequence.sha256 and not (job.stage and before.own):
            why = "files, labels or settings have changed" if before.own else "it belongs to another recording"
            remedy = "replace it with --replace, or choose" if before.own else "choose"
            raise CacheError(
                f"sequence {sequence.id!r} has different content in {before.shard} ({why}): {remedy} another --out"
            )
        (old if before and before.sha256 == sequence.sha256 else new).append(sequence)
    outdated = sorted(name for name, before in task.cached.items() if before.own and name not in ids)
    for name in outdated[:1] if not job.stage else ():
        raise CacheError(
            f"sequence {name!r} in {task.cached[name].shard} is outdated (files, labels or settings have changed): "
            "remove it with --replace, or choose another --out"
        )
    return old, new


def recording_row(task: Task, people: People, header: Header, hashes: Mapping[str, str]) -> dict[str, Any]:
    """The row of ``/recordings`` of a recording; ``hashes`` has the sha256 of its sequences by id."""
    archive = task.recording.archive
    stamp = (archive.size, archive.changed) if archive else (people.bytes_read, people.newest)
    return {
        "source": task.recording.source,
        "video": task.video,
        "fingerprint": fingerprint(task, header, *stamp, hashes),
        "files": len(task.recording.files),
        "frames": len(people.number),
        "people": len(people.keypoints),
        "body_model": people.body_model,
    }


def _count(tally: Tally, found: Sequence[cached.Sequence], people: People, header: Header) -> None:
    parts = layout(header.layout)
    tally.recordings += 1
    tally.sequences += len(found)
    tally.people += len(people.keypoints)
    tally.problems += people.problems[: MOST_KEPT - len(tally.problems)]
    tally.unread += sum(not problem.kept for problem in people.problems)
    tally.damaged += sum(problem.kept for problem in people.problems)
    tally.scales[people.scale if people.keypoints.size else ""] += 1
    tally.body_models[people.body_model] += 1
    for sequence in found:
        tally.frames += len(sequence)
        for part, seen in zip(parts.parts, by_part(sequence.points_seen[:-1], parts).tolist(), strict=True):
            tally.seen[part.name] += seen
            tally.points[part.name] += len(part) * len(sequence)
        for head in header.heads:
            counts = name_counts(head, count_labels(head, sequence.labels.get(head.name)))
            tally.labels.update({f"{head.name} {name}".strip(): frames for name, frames in counts.items()})
