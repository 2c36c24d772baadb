"""Executes the plan of an ingest, job by job."""

import os
import shutil
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from itertools import chain
from pathlib import Path

from skelemo.atomic import partial_path, sweep
from skelemo.cache.store import shards_in
from skelemo.errors import CacheError, InputError
from skelemo.ingest import pool
from skelemo.ingest.batching import bounds
from skelemo.ingest.partition import other_partitions
from skelemo.ingest.plan import Plan
from skelemo.ingest.problems import write_problems
from skelemo.ingest.replace import publish, withdraw_contradictions
from skelemo.ingest.result import Tally
from skelemo.ingest.worker import Job, do_job
from skelemo.text import count

#: Called with the number of files read so far.
Report = Callable[[int], None]


def ingest(plan: Plan, *, jobs: int = 1, scheduler: str = "", report: Report = lambda _: None) -> Tally:
    """Ingest the recordings of a plan into shards; what could not be read is listed in ``problems.csv`` of the cache.

    Several ingests may write into one cache at once, also from several machines. Files left by killed processes are
    removed.

    Raises `CacheError` or `InputError`: as `do_job`; finished shards are kept, and the next ingest resumes.

    Parameters
    ----------
    jobs : number of processes; each writes its own shards, without locks.
    scheduler : address of a Dask scheduler to use instead.
    """
    for problem in plan.problems if plan.settings.strict else ():
        raise InputError(f"{problem.file}: {problem.reason}")
    total = Tally(failures=list(plan.problems))
    with _running(plan.out) as present:
        stage = _stage(present) if plan.replace else None
        for tally in _run(_jobs(plan, present, stage), jobs, scheduler, plan, report):
            if tally.staged:
                tally.shards += publish(plan.out, tally.staged)
                tally.staged.clear()
            total.add(tally)
            os.utime(present)  # other machines see by it that this process is alive
        total.failures += withdraw_contradictions(plan.out, total.shards, plan.known_shards)
        if plan.part.of > 1:
            total.notes += other_partitions(plan.out, plan.header)
        write_problems(plan.out, plan.source, plan.part, [*total.failures, *total.failed_files])
    return total


def require_keypoints(plan: Plan, tally: Tally) -> None:
    """Refuse recordings that show nobody at all, and remove what was written of them.

    Where the cache has other recordings, or a recording could not be used, these are told as usual.

    Raises `InputError`: no keypoint was seen; the message says what was.
    """
    if not tally.recordings or tally.failures or any(tally.seen.values()) or {*shards_in(plan.out)} - {*tally.shards}:
        return
    for shard in tally.shards:
        shard.unlink()
    with suppress(OSError):
        plan.out.rmdir()  # fails unless it is empty
    read = f"{count(tally.recordings, 'recording')}, {count(tally.files, 'file')}"
    why = f" ({tally.notes[0]})" if tally.notes else ""
    raise InputError(f"{plan.source}: no keypoints in {read}{why}: a cache of these would be empty; none was made")


def _jobs(plan: Plan, present: Path, stage: Path | None) -> Iterator[Job]:
    limits = bounds(plan.memory)
    for number, groups in enumerate(plan.jobs()):
        yield Job(number, groups, plan.header, plan.settings, present.parent, limits, present, stage, plan.guess)


def _run(todo: Iterator[Job], jobs: int, scheduler: str, plan: Plan, report: Report) -> Iterator[Tally]:
    """Run the jobs where the caller wants them to run."""
    if scheduler:
        if job := next(todo, None):
            source = Path(os.path.abspath(plan.source))
            yield from pool.on_cluster(do_job, chain([job], todo), scheduler, source, job.present, report)
        return
    listed = list(todo)
    if jobs > 1 and len(listed) > 1:
        yield from pool.in_processes(do_job, listed, jobs, report)
    else:
        yield from pool.in_this_process(do_job, iter(listed), report)


@contextmanager
def _running(out: Path) -> Iterator[Path]:
    """Create the folder of the cache, and a file in it for as long as this ingest runs.

    The file keeps concurrent ingests from removing the folder, and lets workers check that they see the same one.
    """
    out = Path(os.path.abspath(out))
    present = partial_path(out / "present", "present")
    try:
        while True:
            out.mkdir(parents=True, exist_ok=True)
            with suppress(FileNotFoundError):  # another ingest has just removed the folder
                present.write_bytes(b"")
                break
    except OSError as error:
        raise CacheError(f"{out}: cannot be written ({error.strerror or error})") from error
    try:
        sweep(out)
        yield present
    finally:
        shutil.rmtree(_stage_path(present), ignore_errors=True)
        sweep(out)  # files of workers killed since
        with suppress(OSError):
            present.unlink()
            out.rmdir()  # fails unless it is empty


def _stage_path(present: Path) -> Path:
    return present.with_name(f"{present.name}-stage")


def _stage(present: Path) -> Path:
    stage = _stage_path(present)
    stage.mkdir()
    return stage
