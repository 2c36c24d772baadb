"""Runs the jobs of an ingest or a prediction: in this process, in several on this machine, or on a Dask cluster."""

import logging
import multiprocessing
import os
import re
import signal
import sys
import threading
import time
from collections.abc import Callable, Iterator
from concurrent.futures import FIRST_COMPLETED, Future, ProcessPoolExecutor, wait
from concurrent.futures.process import BrokenProcessPool
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any, Protocol, TypeVar

from skelemo.errors import ConfigError, SkelemoError
from skelemo.ingest import worker

#: Called with the number of files read, or frames predicted, so far.
Report = Callable[[int], None]


class Result(Protocol):
    """The result of a job."""

    @property
    def files(self) -> int:
        """Number of files, or of whatever else reports count."""


Job = TypeVar("Job")
Done = TypeVar("Done", bound=Result)

_REPORT_SECONDS = 0.25
_CONNECT_SECONDS = 5
_ADDRESS = re.compile(r"((tcp|tls|ucx|wss?)://)?[^/\s]+:[0-9]{1,5}/?")
#: Jobs queued per process, so that none is idle; more would only take memory.
_AHEAD = 2


def in_this_process(do: Callable[[Job], Done], jobs: Iterator[Job], report: Report) -> Iterator[Done]:
    """Run one job after another."""
    before, reported = 0, 0.0

    def progress(_: int, files: int) -> None:
        nonlocal reported
        if time.monotonic() - reported > _REPORT_SECONDS:
            reported = time.monotonic()
            report(before + files)

    worker.progress = progress
    try:
        for job in jobs:
            done = do(job)
            before += done.files
            report(before)
            yield done
    finally:
        worker.progress = None


def in_processes(do: Callable[[Job], Done], jobs: list[Job], processes: int, report: Report) -> Iterator[Done]:
    """Run jobs, numbered from 0, in processes; on an early exit they stop within a few hundred files.

    Raises `SkelemoError`: a process died.
    """
    context = multiprocessing.get_context("spawn")
    read = context.RawArray("q", len(jobs) + 1)  # files by job, one writer each; the last is the stop flag
    pool = ProcessPoolExecutor(min(processes, len(jobs)), context, initializer=_prepare, initargs=(read,))

    def submit(job: Job) -> "Future[Done]":
        with _sigint_blocked():  # inherited: only the parent handles Ctrl-C
            return pool.submit(do, job)

    try:
        yield from _gather(submit, iter(jobs), _AHEAD * processes, lambda: report(sum(read[:-1])))
    except (BrokenProcessPool, ConnectionError, EOFError):  # the latter two if a process dies during startup
        raise SkelemoError(
            "a worker process died (out of memory, or killed); finished results are kept: repeat the command with "
            "fewer --jobs"
        ) from None
    finally:
        read[len(jobs)] = 1
        pool.shutdown(cancel_futures=True)


def on_cluster(
    do: Callable[[Job], Done], jobs: Iterator[Job], address: str, source: Path, heartbeat: Path, report: Report
) -> Iterator[Done]:
    """Run jobs on a Dask cluster.

    Raises `ConfigError`: Dask is not installed; `SkelemoError`: there is no scheduler, it has no workers or loses them,
    or a worker cannot access the folders.

    Parameters
    ----------
    source, heartbeat : ingested folder and a file in the cache, which every worker must see.
    """
    with _connected(address) as client:
        threads = sum(client.nthreads().values())
        if not threads:
            raise SkelemoError(f"the scheduler at {address} has no workers: start some (dask worker {address})")
        for name, missing in client.run(_missing, str(source), str(heartbeat)).items():
            if missing:
                raise SkelemoError(f"worker {name} cannot find {missing}: source and cache must be in shared folders")
        executor, files = client.get_executor(pure=False), 0
        for done in _gather(lambda job: executor.submit(do, job), jobs, _AHEAD * threads + 2, lambda: None):
            files += done.files
            report(files)
            yield done


def _gather(
    submit: Callable[[Job], "Future[Done]"], jobs: Iterator[Job], most: int, tick: Callable[[], None]
) -> Iterator[Done]:
    """Submit jobs, a few ahead, and yield results as they complete."""
    waiting: set[Future[Done]] = set()
    try:
        while True:
            while len(waiting) < most and (job := next(jobs, None)) is not None:
                waiting.add(submit(job))
            if not waiting:
                return
            done, waiting = wait(waiting, timeout=_REPORT_SECONDS, return_when=FIRST_COMPLETED)
            tick()
            yield from (future.result() for future in done)
    finally:
        for future in waiting:
            future.cancel()


@contextmanager
def _sigint_blocked() -> Iterator[None]:
    """Block Ctrl-C temporarily."""
    if not hasattr(signal, "pthread_sigmask"):  # on Windows
        yield
        return
    if sys.platform != "win32":
        from multiprocessing import resource_tracker

        resource_tracker.ensure_running()  # it would unblock Ctrl-C
    mask = signal.pthread_sigmask(signal.SIG_BLOCK, {signal.SIGINT})
    try:
        yield
    finally:
        signal.pthread_sigmask(signal.SIG_SETMASK, mask)


def _prepare(read: Any) -> None:
    """Initialize a worker process: report progress, ignore Ctrl-C, and exit with the parent."""

    def progress(number: int, files: int) -> None:
        read[number] = files
        if read[-1]:
            raise KeyboardInterrupt

    def exit_with_parent() -> None:
        if parent := multiprocessing.parent_process():
            parent.join()
        os._exit(1)

    worker.progress = progress
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    threading.Thread(target=exit_with_parent, daemon=True).start()


@contextmanager
def _connected(address: str) -> Iterator[Any]:
    """Connect to a scheduler; connection errors become a `SkelemoError`."""
    try:
        import distributed
    except ImportError:
        raise ConfigError("--scheduler needs Dask: pip install 'skelemo[cluster]'") from None
    expected = "expected tcp://HOST:8786"
    if not _ADDRESS.fullmatch(address):  # Dask's client would fail with a traceback after ten seconds
        raise SkelemoError(f"no Dask scheduler at {address!r} (invalid address); {expected}")
    logging.getLogger("distributed").setLevel(logging.CRITICAL)
    try:
        client = distributed.Client(address, timeout=_CONNECT_SECONDS, set_as_default=False)
    except (OSError, ValueError, TimeoutError) as error:
        reason = str(error).splitlines()[0] if str(error) else type(error).__name__
        raise SkelemoError(f"no Dask scheduler at {address!r} ({reason}); {expected}") from error
    try:
        yield client
    except distributed.KilledWorker as error:
        raise SkelemoError(
            f"several workers died in the same job (out of memory?): {error}; finished results are kept"
        ) from error
    finally:
        with suppress(OSError, TimeoutError):
            client.close(timeout=_CONNECT_SECONDS)


def _missing(source: str, heartbeat: str) -> str:
    """The first of two paths that does not exist on a worker, or empty."""
    return next((path for path in (source, heartbeat) if not os.path.exists(path)), "")
