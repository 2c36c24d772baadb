"""Plans an ingest: lists recordings, matches their labels, and finds what is new."""

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
from skelemo.ingest.batching import DEFAULT_MEMORY, bounds, grouped
from skelemo.ingest.existing import existing, to_do
from skelemo.ingest.guess import counts_from_zero, guess
from skelemo.ingest.labels import Labeled, labeled, origin
from skelemo.ingest.partition import Partition, take_partition, whole
from skelemo.ingest.task import Settings, Task, video_info
from skelemo.openpose.archive import is_archive
from skelemo.openpose.files import Problem
from skelemo.openpose.people import NO_GUESS, Guess
from skelemo.openpose.recording import Found, Recording, search
from skelemo.skeleton import BODY_25B, layout
from skelemo.targets import Head
from skelemo.text import SIMULATED, count, video_names

__all__ = ["Plan", "Settings", "Task", "make_plan"]

_NOBODY = Annotation("", {}, "")


@dataclass(frozen=True)
class Plan:
    """The plan of an ingest."""

    out: Path
    header: Header
    settings: Settings
    tasks: tuple[Task, ...]
    unchanged: int
    notes: tuple[str, ...] = ()
    problems: tuple[Problem, ...] = ()  # unreadable folders and archives, and recordings with ambiguous names
    source: Path = Path()
    partition: Partition = field(default_factory=Partition)  # of the recordings, for one of several machines
    memory: int = DEFAULT_MEMORY  # limit of each process in bytes
    replace: bool = False  # sequences of changed recordings
    guess: Guess = NO_GUESS
    facts: tuple[tuple[str, str], ...] = ()  # on the interpretation of labels, rows of the closing table
    known_shards: frozenset[str] = frozenset()

    @property
    def files(self) -> int:
        """Number of files to read."""
        return sum(len(task.recording.files) for task in self.tasks)


def make_plan(
    source: Path,
    out: Path,
    labels: str | None,
    settings: Settings,
    *,
    partition: Partition | None = None,
    memory: int = DEFAULT_MEMORY,
    replace: bool = False,
) -> Plan:
    """List the recordings, match labels, and skip what the cache already has.

    Labels, names and partitions are determined from all recordings before one partition is selected.

    Raises `InputError` or `ConfigError`: no recordings, labels are unreadable or match no recording, or too little
    memory; `CacheError`: ``out`` contains a cache with another layout or other heads.
    """
    layout(settings.layout)
    if not 0 <= settings.fps < float("inf"):
        raise ConfigError(f"{settings.fps:g} frames per second: expected a positive number, or 0 for unknown")
    if source.is_file() and not is_archive(source.name):
        settings = dataclasses.replace(settings, strict=True)  # a single unreadable file must be an error
    partition, limits = partition or Partition(), bounds(memory)
    found, given = _find(source, labels, settings)
    if partition.of > 1:
        _require_all(source, found.problems)
    corrections = read_corrections(Path(settings.corrections)) if settings.corrections else None
    provenance = origin(source, labels, given.words) | (whole(found.recordings) if partition.of > 1 else {})
    provenance |= _corrections_origin(corrections, given.heads) if corrections else {}
    simulated = _is_simulated(source, found.recordings)
    header = Header(settings.layout, given.heads, simulated, settings.kept(), provenance)
    cache = existing(out, header)
    tasks, clashes, notes = _make_tasks(found.recordings, given, settings)
    facts = given.facts
    if corrections:
        tasks, fact = _with_corrections(tasks, corrections, given.heads)
        facts = (*facts, ("corrections", fact))
    mine = take_partition([len(task.recording.files) for task in tasks], partition)
    tasks = grouped([tasks[index] for index in mine], limits.buffered)
    changed = to_do(cache, tasks, header)
    shared = guess([task.recording for task in tasks], settings) if changed else NO_GUESS
    if shared.body_model == BODY_25B.name != settings.body_model:
        notes.append("limb lengths suggest BODY_25B, which is used (override it with --body-model body_25)")
    return Plan(
        out,
        header,
        settings,
        tuple(changed),
        len(tasks) - len(changed),
        (*found.notes, *given.notes, *_unused(found.recordings, settings), *notes),
        problems=(*found.problems, *clashes) if partition.number == 1 else (),
        source=source,
        partition=partition,
        memory=memory,
        replace=replace,
        guess=shared,
        facts=facts,
        known_shards=frozenset(shard.path.name for shard in cache.shards) if cache else frozenset(),
    )


def _unused(recordings: Sequence[Recording], settings: Settings) -> list[str]:
    """Notes that a given frame rate or image size is not used for recordings that have another of their own."""
    size = f"{settings.width}x{settings.height}"
    known = {one.source: video_info(one.name, one.info) for one in recordings}
    rates = {name: f"{one.fps:g}" for name, one in known.items() if one.fps not in (0, settings.fps)}
    sizes = {name: f"{one.width}x{one.height}" for name, one in known.items() if one.width}
    sizes = {name: other for name, other in sizes.items() if other != size}
    return [
        f"{option} is not used for {count(len(others), 'recording')} with another {fact}, such as {name} ({value})"
        for option, given, fact, others in (
            (f"--fps {settings.fps:g}", settings.fps, "frame rate", rates),
            (f"--size {size}", settings.width, "image size", sizes),
        )
        for name, value in list(others.items())[:1]
        if given
    ]


def _corrections_origin(corrections: Corrections, heads: Sequence[Head]) -> dict[str, str]:
    """Corrections for the header of shards. Raises `InputError`: they do not fit the heads."""
    label_edits(corrections, heads)
    applied = {TRACKS_APPLIED: " ".join(row.id for row in corrections.tracks)} if corrections.tracks else {}
    return {"corrections": in_words(corrections.facts())} | applied


def _make_tasks(
    recordings: Sequence[Recording], given: Labeled, settings: Settings
) -> tuple[list[Task], list[Problem], list[str]]:
    """Tasks with unique names and bounded lengths, problems of the recordings without one, and notes."""
    videos = video_names(recording.source for recording in recordings)
    tasks = [Task(*task, {}) for task in zip(recordings, videos, given.annotations, strict=True)]
    tasks, clashes = _without_clashes(tasks, settings)
    pieces = [piece for task in tasks for piece in _pieces(task)]
    notes = [f"recordings of more than {LONGEST:,} frames are split into sequences of at most {LONGEST:,}"]
    return pieces, clashes, notes if len(pieces) > len(tasks) else []


def _with_corrections(tasks: Sequence[Task], corrections: Corrections, heads: Sequence[Head]) -> tuple[list[Task], str]:
    """Tasks with the corrections of their recordings, and a summary of these."""
    by_video: dict[str, list[Correction]] = {}
    for row in corrections.effective:
        by_video.setdefault(row.video, []).append(row)
    videos = {task.video for task in tasks}
    elsewhere = sum(len(rows) for video, rows in by_video.items() if video not in videos)
    summary = in_words(corrections.facts() | {"elsewhere": elsewhere})
    classes = {head.name for head in heads if head.kind == "classes"}
    labels = [pair for task in tasks for annotation in task.annotations for pair in annotation.labels.items()]
    shares = frozenset(name for name, array in labels if name in classes and array.ndim == 2)
    corrected = [
        dataclasses.replace(task, corrections=tuple(by_video[task.video]), shares=shares)
        if task.video in by_video
        else task
        for task in tasks
    ]
    return corrected, summary


def _find(source: Path, labels: str | None, settings: Settings) -> tuple[Found, Labeled]:
    """Recordings and labels; labels may decide whether images are stills, and the number of the first image."""
    found = search(source, sequence=settings.sequence, first_frame=settings.first_frame)
    try:
        given = labeled(found.recordings, source, labels, settings)
    except InputError as error:
        if settings.sequence is not None or not any(recording.images for recording in found.recordings):
            raise
        found = search(source, sequence=False)
        try:
            return found, labeled(found.recordings, source, labels, settings)
        except InputError:
            raise error from None  # labels match neither
    if settings.first_frame is None and counts_from_zero(found.recordings, given.annotations):
        found = search(source, sequence=settings.sequence, first_frame=0)
    return found, given


def _require_all(source: Path, problems: Sequence[Problem]) -> None:
    """Refuse unreadable recordings, because partitions must be the same on all machines."""
    for problem in problems:
        raise InputError(
            f"{source}: {problem.file} {problem.reason}; with --partition every machine must be able to list all "
            "recordings: repair it, or remove it from the source"
        )


def _without_clashes(tasks: Sequence[Task], settings: Settings) -> tuple[list[Task], list[Problem]]:
    """Remove tasks whose sequences would share an id with another's; returns a problem for each."""
    owners: dict[str, str] = {}  # recording by id
    everyone = {  # videos whose people all become sequences
        task.video
        for task in tasks
        if settings.person == "all" and not all(annotation.person for annotation in _annotations(task))
    }
    kept, problems = [], []
    for task in tasks:
        persons = {annotation.person or settings.person for annotation in _annotations(task)}
        ids = {f"{task.video}_{person}" for person in persons - {"auto", "largest", "all"}}
        ids |= {task.video} if persons & {"auto", "largest"} else set()
        other = next((owners[name] for name in sorted(ids) if name in owners), "")
        video, _, person = task.video.rpartition("_person")
        if person.isdecimal() and video in everyone:
            other = other or video
        if other:
            reason = f"its sequences would have the names of those of {other}: rename one of the two"
            problems.append(Problem(task.recording.source, reason))
            continue
        owners |= dict.fromkeys(ids, task.recording.source)
        kept.append(task)
    return kept, problems


def _pieces(task: Task) -> Iterator[Task]:
    """Split a recording that is too long for memory, unless labels refer to track numbers of the whole recording."""
    annotations = task.annotations
    if len(task.recording.files) <= LONGEST or any(annotation.person.isdecimal() for annotation in annotations):
        yield task
        return
    open_ended = tuple(dataclasses.replace(annotation, open_end=True) for annotation in annotations)
    last = task.recording.numbers[-1]
    for recording in task.recording.pieces(LONGEST):
        ending = recording.source.removeprefix(task.recording.source)
        labels = annotations if recording.numbers[-1] == last else open_ended
        yield dataclasses.replace(task, recording=recording, video=task.video + ending, annotations=labels)


def _annotations(task: Task) -> tuple[Annotation, ...]:
    return task.annotations or (_NOBODY,)


def _is_simulated(source: Path, recordings: Iterable[Recording]) -> bool:
    """Whether the marker of `skelemo synth` is in a folder of a recording, or up to two folders above the source."""
    above = list(source.resolve().parents)[:2]
    return any(recording.simulated for recording in recordings) or any((path / SIMULATED).is_file() for path in above)
