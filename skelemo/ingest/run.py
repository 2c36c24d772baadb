"""Executes the plan of an ingest, job by job."""

import os
import shutil
from collections.abc import Iterable, Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

from skelemo.atomic import partial_path, sweep
from skelemo.cache.store import shards_in
from skelemo.errors import CacheError, InputError, os_reason
from skelemo.ingest import pool
from skelemo.ingest.batching import bounds
from skelemo.ingest.batching import jobs as batched
from skelemo.ingest.partition import other_partitions
from skelemo.ingest.plan import Plan
from skelemo.ingest.problems import PROBLEMS, write_problems
from skelemo.ingest.replace import publish, withdraw_contradictions
from skelemo.ingest.result import Tally
from skelemo.ingest.worker import Job, do_job
from skelemo.text import count


def ingest(plan: Plan, *, jobs: int = 1, scheduler: str = "", report: pool.Report = lambda _: None) -> Tally:
    """Ingest the recordings of a plan into shards; unreadable files are listed in ``problems.csv`` of the cache.

    Several ingests may write into one cache concurrently, also from several machines. Files of killed processes are
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
    with _running(plan.out) as heartbeat:
        for tally in _run(plan, heartbeat, jobs, scheduler, report):
            if tally.staged:
                tally.shards += publish(plan.out, tally.staged)
                tally.staged.clear()
            total.add(tally)
            os.utime(heartbeat)  # shows other machines that this process is alive
        total.failures += withdraw_contradictions(plan.out, total.shards, plan.known_shards)
        if plan.partition.of > 1:
            total.notes += other_partitions(plan.out, plan.header)
        write_problems(plan.out, plan.source, plan.partition, [*total.failures, *total.failed_files])
    return total


def require_keypoints(plan: Plan, tally: Tally) -> None:
    """Remove the result and raise `InputError` if no recording shows anybody.

    Does nothing if the cache has other recordings, or a recording was unusable.
    """
    if (
        not tally.recordings
        or tally.failures
        or any(tally.seen.values())
        or _names(shards_in(plan.out)) - _names(tally.shards)
    ):
        return
    for shard in tally.shards:
        shard.unlink()
    if not tally.failed_files:
        (plan.out / PROBLEMS).unlink(missing_ok=True)
    with suppress(OSError):
        plan.out.rmdir()  # fails unless it is empty
    read = f"{count(tally.recordings, 'recording')}, {count(tally.files, 'file')}"
    why = f" ({tally.notes[0]})" if tally.notes else ""
    raise InputError(f"{plan.source}: no keypoints in {read}{why}: no cache was written")


def _names(shards: Iterable[Path]) -> set[str]:
    return {shard.name for shard in shards}  # workers use absolute paths


def _run(plan: Plan, heartbeat: Path, jobs: int, scheduler: str, report: pool.Report) -> Iterator[Tally]:
    """Run the jobs on a cluster, in several processes, or in this one."""
    limits, stage = bounds(plan.memory), None
    if plan.replace:
        (stage := _stage_path(heartbeat)).mkdir()
    todo = [
        Job(number, groups, plan.header, plan.settings, heartbeat.parent, limits, heartbeat, stage, plan.guess)
        for number, groups in enumerate(batched(plan.tasks))
    ]
    if scheduler and todo:
        source = Path(os.path.abspath(plan.source))
        return pool.on_cluster(do_job, iter(todo), scheduler, source, heartbeat, report)
    if jobs > 1 and len(todo) > 1:
        return pool.in_processes(do_job, todo, jobs, report)
    return pool.in_this_process(do_job, iter(todo), report)


@contextmanager
def _running(out: Path) -> Iterator[Path]:
    """Create the folder of the cache, and a heartbeat file in it that exists while this ingest runs.

    The file keeps concurrent ingests from removing the folder, and lets workers check that they see the same one.
    """
    out = Path(os.path.abspath(out))
    heartbeat = partial_path(out / "heartbeat", "heartbeat")
    try:
        while True:
            out.mkdir(parents=True, exist_ok=True)
            with suppress(FileNotFoundError):  # another ingest has just removed the folder
                heartbeat.write_bytes(b"")
                break
    except OSError as error:
        raise CacheError(f"{out}: cannot be written ({os_reason(error)})") from error
    try:
        sweep(out)
        yield heartbeat
    finally:
        shutil.rmtree(_stage_path(heartbeat), ignore_errors=True)
        sweep(out)  # files of workers killed since
        with suppress(OSError):
            heartbeat.unlink()
            out.rmdir()  # fails unless it is empty


def _stage_path(heartbeat: Path) -> Path:
    return heartbeat.with_name(f"{heartbeat.name}-stage")
