"""Carrying out a plan: in this process or in several, group by group."""

import csv
import multiprocessing
import os
from collections.abc import Callable, Iterator
from concurrent.futures import FIRST_COMPLETED, Future, ProcessPoolExecutor, wait
from concurrent.futures.process import BrokenProcessPool
from pathlib import Path

from skelemo.cache.shard import SUFFIX
from skelemo.cache.store import open_cache
from skelemo.errors import SkelemoError
from skelemo.ingest.plan import PROBLEMS, Plan
from skelemo.ingest.work import Tally, ingest_group

#: Told as groups are done: files read so far.
Report = Callable[[int], None]


def ingest(plan: Plan, *, jobs: int = 1, report: Report = lambda _: None) -> Tally:
    """Read what the plan lists into shards, and list what could not be read in ``problems.csv`` of the cache.

    Parameters
    ----------
    jobs : processes that read; each shard is one's own, so that nothing needs a lock.

    Raises
    ------
    CacheError, InputError
        As in `ingest_group`; what was done until then stays, and the next ingest goes on from there.
    """
    plan.out.mkdir(parents=True, exist_ok=True)
    total = Tally()
    try:
        for tally in _in_this_process(plan) if jobs <= 1 else _in_processes(plan, jobs):
            total.add(tally)
            report(total.files)
    except BaseException:
        if not any(plan.out.iterdir()):
            plan.out.rmdir()
        raise
    _write_problems(plan.out, total)
    return total


def _in_this_process(plan: Plan) -> Iterator[Tally]:
    for group in plan.groups():
        yield ingest_group(group, plan.header, plan.settings, plan.out)


def _in_processes(plan: Plan, jobs: int) -> Iterator[Tally]:
    groups = list(plan.groups())
    if len(groups) < 2:
        yield from _in_this_process(plan)
        return
    pool = ProcessPoolExecutor(min(jobs, len(groups)), multiprocessing.get_context("spawn"))
    try:
        waiting: set[Future[Tally]] = {
            pool.submit(ingest_group, group, plan.header, plan.settings, plan.out) for group in groups
        }
        while waiting:
            done, waiting = wait(waiting, return_when=FIRST_COMPLETED)
            yield from (future.result() for future in done)
    except BrokenProcessPool:
        raise SkelemoError(
            "a worker process died (out of memory, or killed); what it had finished is kept: run the same again, with "
            "fewer --jobs"
        ) from None
    finally:
        pool.shutdown(cancel_futures=True)


def _write_problems(out: Path, total: Tally) -> None:
    """All files that could not be read, of this ingest and of earlier ones."""
    rows = {(problem.file, problem.reason) for problem in (*total.problems, *total.failures)}
    if set(out.glob(f"*{SUFFIX}")) - set(total.shards):
        table = open_cache(out).problems
        rows |= set(zip(table["file"], table["reason"], strict=True))
    partial = out / f".{PROBLEMS}.{os.getpid()}"
    with partial.open("w", newline="", encoding="utf-8", errors="surrogateescape") as file:
        writer = csv.writer(file)
        writer.writerow(["file", "reason"])
        writer.writerows(sorted(rows))
    os.replace(partial, out / PROBLEMS)
