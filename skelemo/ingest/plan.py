"""What an ingest has to do: which recordings carry which labels, and which of them the cache has already."""

import dataclasses
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path

from skelemo.annotations.registry import Annotation
from skelemo.cache.shard import Header
from skelemo.errors import ConfigError, InputError
from skelemo.ingest.batching import DEFAULT, bounds, grouped, jobs
from skelemo.ingest.existing import existing, not_there
from skelemo.ingest.guess import counts_from_zero, guess
from skelemo.ingest.labels import Labeled, labeled, origin
from skelemo.ingest.partition import Part, take_part, whole
from skelemo.ingest.task import Settings, Task
from skelemo.openpose.archive import is_archive
from skelemo.openpose.files import Problem
from skelemo.openpose.people import NO_GUESS, Guess
from skelemo.openpose.recording import Found, Recording, search
from skelemo.skeleton import BODY_25B, layout
from skelemo.text import SIMULATED, video_names

__all__ = ["Plan", "Settings", "Task", "make_plan"]

#: Frames of a recording that go through in one piece: three quarters of an hour at 25 a second.
LONGEST = 65_536

_NOBODY = Annotation("", {}, "")


@dataclass(frozen=True)
class Plan:
    """All that an ingest will do, and what it found before reading a single file.

    Parameters
    ----------
    problems : folders and archives that cannot be read, and recordings that cannot be told from others.
    part : of all recordings, for one of several machines.
    memory : bytes that each process may take.
    replace : put what has changed into the place of what the cache has.
    facts : how the labels were read, in rows for the closing table.
    """

    out: Path
    header: Header
    settings: Settings
    tasks: tuple[Task, ...]
    unchanged: int
    notes: tuple[str, ...] = field(default=())
    problems: tuple[Problem, ...] = ()
    source: Path = Path()
    part: Part = field(default_factory=Part)
    memory: int = DEFAULT
    replace: bool = False
    guess: Guess = NO_GUESS
    facts: tuple[tuple[str, str], ...] = ()
    known_shards: frozenset[str] = frozenset()

    @property
    def files(self) -> int:
        """How many files are to be read."""
        return sum(len(task.recording.files) for task in self.tasks)

    def jobs(self) -> Iterator[tuple[tuple[Task, ...], ...]]:
        """What is done in one go: see `skelemo.ingest.batching.jobs`."""
        return jobs(self.tasks)


def make_plan(
    source: Path,
    out: Path,
    labels: str | None,
    settings: Settings,
    *,
    part: Part | None = None,
    memory: int = DEFAULT,
    replace: bool = False,
) -> Plan:
    """List the recordings, give each its labels, and leave out what the cache has unchanged.

    Labels, names and parts go by all the recordings; only then a part of them is taken.

    Raises
    ------
    InputError, ConfigError
        Nothing to read, unreadable labels, labels that fit no recording, too little memory.
    CacheError
        ``out`` holds a cache of another layout or other classes.
    """
    layout(settings.layout)
    if not 0 <= settings.fps < float("inf"):
        raise ConfigError(f"{settings.fps:g} frames per second: expected a positive number, or 0 for unknown")
    if source.is_file() and not is_archive(source.name):
        settings = dataclasses.replace(settings, strict=True)  # there is nothing else that could be used
    part, limits = part or Part(), bounds(memory)
    found, given = _find(source, labels, settings)
    notes = list(given.notes)
    if part.of > 1:
        _require_all(source, found.problems)
    recordings = found.recordings
    told = origin(source, labels, given.words) | (whole(recordings) if part.of > 1 else {})
    header = Header(settings.layout, given.heads, _is_simulated(source, recordings), settings.kept(), told)
    cache = existing(out, header)
    videos = video_names(recording.source for recording in recordings)
    tasks = [Task(*facts, {}) for facts in zip(recordings, videos, given.annotations, strict=True)]
    tasks, clashes = _apart(tasks, settings)
    long, tasks = len(tasks), [piece for task in tasks for piece in _pieces(task)]
    if len(tasks) > long:
        notes.append(f"recordings of more than {LONGEST:,} frames: a sequence for each {LONGEST:,} of theirs")
    mine = take_part([len(task.recording.files) for task in tasks], part)
    tasks = grouped([tasks[position] for position in mine], limits.unpacked)
    fresh = not_there(cache, tasks, header)
    shared = guess([task.recording for task in tasks], settings) if fresh else NO_GUESS
    if shared.body_model == BODY_25B.name != settings.body_model:
        notes.append("bodies lie as BODY_25B's and are read so (--body-model body_25 if they are not)")
    return Plan(
        out,
        header,
        settings,
        tuple(fresh),
        len(tasks) - len(fresh),
        (*found.notes, *notes),
        problems=(*found.problems, *clashes) if part.number == 1 else (),
        source=source,
        part=part,
        memory=memory,
        replace=replace,
        guess=shared,
        facts=given.facts,
        known_shards=frozenset(shard.path.name for shard in cache.shards) if cache else frozenset(),
    )


def _find(source: Path, labels: str | None, settings: Settings) -> tuple[Found, Labeled]:
    """The recordings and their labels, which may tell whether images are stills, and from what number they count."""
    found = search(source, sequence=settings.sequence, first_frame=settings.first_frame)
    try:
        given = labeled(found.recordings, source, labels, settings)
    except InputError:
        if settings.sequence is not None or not any(one.images for one in found.recordings):
            raise
        found = search(source, sequence=False)
        return found, labeled(found.recordings, source, labels, settings)
    if settings.first_frame is None and counts_from_zero(found.recordings, given.annotations):
        found = search(source, sequence=settings.sequence, first_frame=0)
    return found, given


def _require_all(source: Path, problems: Sequence[Problem]) -> None:
    """Parts go by all recordings: a machine that does not see one would take other parts than the rest."""
    for problem in problems:
        raise InputError(
            f"{source}: {problem.file} {problem.reason}; parts go by all recordings, so every machine must be able to "
            "read all of them: mend it, or take it out of the source"
        )


def _apart(tasks: Sequence[Task], settings: Settings) -> tuple[list[Task], list[Problem]]:
    """The tasks without those whose sequences would be called like another's, and a problem for each of these."""
    whose: dict[str, str] = {}
    crowds = {task.video for task in tasks if settings.person == "all" and not all(one.person for one in _said(task))}
    kept, problems = [], []
    for task in tasks:
        persons = {one.person or settings.person for one in _said(task)}
        names = {f"{task.video}_{person}" for person in persons - {"auto", "largest", "all"}}
        names |= {task.video} if persons & {"auto", "largest"} else set()
        other = next((whose[name] for name in sorted(names) if name in whose), "")
        above, _, person = task.video.rpartition("_person")
        if person.isdecimal() and above in crowds:
            other = other or above
        if other:
            reason = f"its sequences would be called like those of {other}: rename one of the two"
            problems.append(Problem(task.recording.source, reason))
            continue
        whose |= dict.fromkeys(names, task.recording.source)
        kept.append(task)
    return kept, problems


def _pieces(task: Task) -> Iterator[Task]:
    """A recording as it is, or what is too long to be held in memory in pieces.

    Where labels name people by their tracks' numbers, which are those of the whole recording, it stays whole.
    """
    if len(task.recording.files) <= LONGEST or any(one.person.isdecimal() for one in task.annotations):
        yield task
        return
    for recording in task.recording.pieces(LONGEST):
        ending = recording.source.removeprefix(task.recording.source)
        yield dataclasses.replace(task, recording=recording, video=task.video + ending)


def _said(task: Task) -> tuple[Annotation, ...]:
    return task.annotations or (_NOBODY,)


def _is_simulated(source: Path, recordings: Iterable[Recording]) -> bool:
    """Whether `skelemo synth` left its mark beside any of the recordings, or above them as far as beside the source."""
    above = list(source.resolve().parents)[:2]
    return any(one.simulated for one in recordings) or any((folder / SIMULATED).is_file() for folder in above)
