"""The plan of an ingest: recordings, their labels, and what is new."""

import dataclasses
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path

from skelemo.annotations.correcting import label_edits
from skelemo.annotations.matching import LONGEST  # three quarters of an hour at 25 fps
from skelemo.annotations.registry import Annotation
from skelemo.cache.corrections import TRACKS_APPLIED, Correction, Corrections, in_words, read_corrections
from skelemo.cache.shard import Header
from skelemo.errors import ConfigError, InputError
from skelemo.ingest.batching import DEFAULT, bounds, grouped, jobs
from skelemo.ingest.existing import existing, to_do
from skelemo.ingest.guess import counts_from_zero, guess
from skelemo.ingest.labels import Labeled, labeled, origin
from skelemo.ingest.partition import Part, take_part, whole
from skelemo.ingest.task import Settings, Task
from skelemo.openpose.archive import is_archive
from skelemo.openpose.files import Problem
from skelemo.openpose.people import NO_GUESS, Guess
from skelemo.openpose.recording import Found, Recording, search
from skelemo.skeleton import BODY_25B, layout
from skelemo.targets import Head
from skelemo.text import SIMULATED, video_names

__all__ = ["Plan", "Settings", "Task", "make_plan"]

_NOBODY = Annotation("", {}, "")


@dataclass(frozen=True)
class Plan:
    """What an ingest will do.

    Parameters
    ----------
    problems : unreadable folders and archives, and recordings with ambiguous names.
    part : of the recordings, for one of several machines.
    memory : limit of each process in bytes.
    replace : replace sequences of changed recordings.
    facts : how the labels were read, as rows of the closing table.
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
        """Number of files to read."""
        return sum(len(task.recording.files) for task in self.tasks)

    def jobs(self) -> Iterator[tuple[tuple[Task, ...], ...]]:
        """See `skelemo.ingest.batching.jobs`."""
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
    """List the recordings, match labels, and skip what the cache already has.

    Labels, names and parts are determined from all recordings before one part is selected.

    Raises `InputError` or `ConfigError`: nothing to read, unreadable labels, labels that match no recording, too little
    memory; `CacheError`: ``out`` contains a cache with another layout or other heads.
    """
    layout(settings.layout)
    if not 0 <= settings.fps < float("inf"):
        raise ConfigError(f"{settings.fps:g} frames per second: expected a positive number, or 0 for unknown")
    if source.is_file() and not is_archive(source.name):
        settings = dataclasses.replace(settings, strict=True)  # without it there is nothing to ingest
    part, limits = part or Part(), bounds(memory)
    found, given = _find(source, labels, settings)
    notes = list(given.notes)
    if part.of > 1:
        _require_all(source, found.problems)
    recordings = found.recordings
    provenance = origin(source, labels, given.words) | (whole(recordings) if part.of > 1 else {})
    corrections = read_corrections(Path(settings.corrections)) if settings.corrections else None
    if corrections:
        label_edits(corrections, given.heads)  # refuses what these heads cannot have
        provenance |= {"corrections": in_words(corrections.facts())}
        provenance |= {TRACKS_APPLIED: " ".join(row.id for row in corrections.tracks)} if corrections.tracks else {}
    header = Header(settings.layout, given.heads, _is_simulated(source, recordings), settings.kept(), provenance)
    cache = existing(out, header)
    videos = video_names(recording.source for recording in recordings)
    tasks = [Task(*one, {}) for one in zip(recordings, videos, given.annotations, strict=True)]
    tasks, clashes = _without_clashes(tasks, settings)
    long, tasks = len(tasks), [piece for task in tasks for piece in _pieces(task)]
    if len(tasks) > long:
        notes.append(f"recordings of more than {LONGEST:,} frames: a sequence for each {LONGEST:,} of theirs")
    facts = given.facts
    if corrections:
        tasks, fact = _with_corrections(tasks, corrections, given.heads)
        facts = (*facts, ("corrections", fact))
    mine = take_part([len(task.recording.files) for task in tasks], part)
    tasks = grouped([tasks[position] for position in mine], limits.unpacked)
    fresh = to_do(cache, tasks, header)
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
        facts=facts,
        known_shards=frozenset(shard.path.name for shard in cache.shards) if cache else frozenset(),
    )


def _with_corrections(tasks: Sequence[Task], corrections: Corrections, heads: Sequence[Head]) -> tuple[list[Task], str]:
    """Tasks with the corrections of their recordings, and a text that counts these."""
    of: dict[str, list[Correction]] = {}
    for row in corrections.effective:
        of.setdefault(row.video, []).append(row)
    elsewhere = sum(len(rows) for video, rows in of.items() if video not in {task.video for task in tasks})
    told = in_words(corrections.facts() | {"elsewhere": elsewhere})
    named = {head.name for head in heads if head.kind == "classes"}
    given = [pair for task in tasks for one in task.annotations for pair in one.labels.items() if pair[0] in named]
    shares = frozenset(name for name, labels in given if labels.ndim == 2)
    changed = {
        video: dataclasses.replace(task, corrections=tuple(of[video]), shares=shares)
        for task in tasks
        if (video := task.video) in of
    }
    return [changed.get(task.video, task) for task in tasks], told


def _find(source: Path, labels: str | None, settings: Settings) -> tuple[Found, Labeled]:
    """The recordings and their labels, which may decide whether images are stills, and the number of the first one."""
    found = search(source, sequence=settings.sequence, first_frame=settings.first_frame)
    try:
        given = labeled(found.recordings, source, labels, settings)
    except InputError as error:
        if settings.sequence is not None or not any(one.images for one in found.recordings):
            raise
        found = search(source, sequence=False)
        try:
            return found, labeled(found.recordings, source, labels, settings)
        except InputError:
            raise error from None  # the labels are for neither
    if settings.first_frame is None and counts_from_zero(found.recordings, given.annotations):
        found = search(source, sequence=settings.sequence, first_frame=0)
    return found, given


def _require_all(source: Path, problems: Sequence[Problem]) -> None:
    """Refuse unreadable recordings: parts must be the same on all machines."""
    for problem in problems:
        raise InputError(
            f"{source}: {problem.file} {problem.reason}; parts go by all recordings, so every machine must be able to "
            "read all of them: mend it, or take it out of the source"
        )


def _without_clashes(tasks: Sequence[Task], settings: Settings) -> tuple[list[Task], list[Problem]]:
    """Remove tasks whose sequences would have the id of another's; returns a problem for each."""
    whose: dict[str, str] = {}
    crowds = {
        task.video for task in tasks if settings.person == "all" and not all(one.person for one in _annotations(task))
    }
    kept, problems = [], []
    for task in tasks:
        persons = {one.person or settings.person for one in _annotations(task)}
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
    """Split a recording that is too long for memory.

    It stays whole if labels refer to people by track number, which is defined for the whole recording.
    """
    if len(task.recording.files) <= LONGEST or any(one.person.isdecimal() for one in task.annotations):
        yield task
        return
    open_ended = tuple(dataclasses.replace(one, open_end=True) for one in task.annotations)
    last = task.recording.numbers[-1]
    for recording in task.recording.pieces(LONGEST):
        ending = recording.source.removeprefix(task.recording.source)
        labels = task.annotations if recording.numbers[-1] == last else open_ended
        yield dataclasses.replace(task, recording=recording, video=task.video + ending, annotations=labels)


def _annotations(task: Task) -> tuple[Annotation, ...]:
    return task.annotations or (_NOBODY,)


def _is_simulated(source: Path, recordings: Iterable[Recording]) -> bool:
    """Whether the marker of `skelemo synth` lies beside a recording or above it, up to the folder of the source."""
    above = list(source.resolve().parents)[:2]
    return any(one.simulated for one in recordings) or any((folder / SIMULATED).is_file() for folder in above)
