"""Carrying out a plan: in this process, in several or on a cluster, job by job."""

import os
import shutil
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

from skelemo.atomic import partial_path, sweep
from skelemo.errors import CacheError, InputError
from skelemo.ingest import pool
from skelemo.ingest.batching import bounds
from skelemo.ingest.partition import other_wholes
from skelemo.ingest.plan import Plan
from skelemo.ingest.problems import write_problems
from skelemo.ingest.replace import put_in_place, withdraw_contradictions
from skelemo.ingest.result import Tally
from skelemo.ingest.worker import Job, do_job

#: Told every now and then: files read so far.
Report = Callable[[int], None]


def ingest(plan: Plan, *, jobs: int = 1, scheduler: str = "", report: Report = lambda _: None) -> Tally:
    """Read what the plan lists into shards, and list what could not be read in ``problems.csv`` of the cache.

    Several may do so at once with one cache, on one machine or several. What killed ones have left is swept, and what
    workers have left that were killed in the meantime.

    Parameters
    ----------
    jobs : processes that read; each shard is one's own, so that nothing needs a lock.
    scheduler : address of a Dask scheduler, whose workers read instead.

    Raises
    ------
    CacheError, InputError
        As in `do_job`; what was done until then stays, and the next ingest goes on from there.
    """
    for problem in plan.problems if plan.settings.strict else ():
        raise InputError(f"{problem.file}: {problem.reason}")
    total = Tally(failures=list(plan.problems))
    with _at_work(plan.out) as present:
        stage = _stage(present) if plan.replace else None
        for tally in _done(_jobs(plan, present, stage), jobs, scheduler, plan, report):
            if tally.staged:
                tally.shards += put_in_place(plan.out, tally.staged)
                tally.staged.clear()
            total.add(tally)
            os.utime(present)  # for other machines, which cannot ask whether this process lives
        total.failures += withdraw_contradictions(plan.out, total.shards, plan.known_shards)
        if plan.part.of > 1:
            total.notes += other_wholes(plan.out, plan.header)
        write_problems(plan.out, plan.source, plan.part, [*total.failures, *total.failed_files])
    return total


def _jobs(plan: Plan, present: Path, stage: Path | None) -> Iterator[Job]:
    limits = bounds(plan.memory)
    for number, groups in enumerate(plan.jobs()):
        yield Job(number, groups, plan.header, plan.settings, present.parent, limits, present, stage, plan.guess)


def _done(todo: Iterator[Job], jobs: int, scheduler: str, plan: Plan, report: Report) -> Iterator[Tally]:
    """Have the jobs done by whoever is to do them."""
    if scheduler:
        job = next(todo, None)
        if job:
            yield from pool.on_cluster(
                do_job, _again(job, todo), scheduler, Path(os.path.abspath(plan.source)), job.present, report
            )
        return
    listed = list(todo)
    if jobs > 1 and len(listed) > 1:
        yield from pool.in_processes(do_job, listed, jobs, report)
    else:
        yield from pool.in_this_process(do_job, iter(listed), report)


def _again(first: Job, others: Iterator[Job]) -> Iterator[Job]:
    yield first
    yield from others


@contextmanager
def _at_work(out: Path) -> Iterator[Path]:
    """The folder of the cache, with a file in it as long as this ingest lives.

    It keeps another that ends without a shard from removing the folder, and tells workers that they see the same.
    """
    out = Path(os.path.abspath(out))
    present = partial_path(out / "present", "present")
    try:
        while True:
            out.mkdir(parents=True, exist_ok=True)
            with suppress(FileNotFoundError):  # another has removed the folder between the two
                present.write_bytes(b"")
                break
    except OSError as error:
        raise CacheError(f"{out}: cannot be written ({error.strerror or error})") from error
    try:
        sweep(out)
        yield present
    finally:
        shutil.rmtree(_stage_path(present), ignore_errors=True)
        sweep(out)  # what workers have left that were killed since
        with suppress(OSError):
            present.unlink()
            out.rmdir()  # which only an empty folder lets happen


def _stage_path(present: Path) -> Path:
    return present.with_name(f"{present.name}-stage")


def _stage(present: Path) -> Path:
    stage = _stage_path(present)
    stage.mkdir()
    return stage
