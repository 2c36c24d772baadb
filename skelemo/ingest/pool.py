"""Who does the jobs of an ingest: this process, several on this machine, or a cluster of Dask's."""

import logging
import multiprocessing
import os
import re
import signal
import threading
import time
from collections.abc import Callable, Iterator
from concurrent.futures import FIRST_COMPLETED, Future, ProcessPoolExecutor, wait
from concurrent.futures.process import BrokenProcessPool
from functools import partial
from pathlib import Path
from typing import Any

from skelemo.errors import ConfigError, SkelemoError
from skelemo.ingest import worker, worker_server
from skelemo.ingest.result import Tally
from skelemo.ingest.worker import Job, do_job

#: Told how many files are read so far.
Report = Callable[[int], None]
#: `concurrent.futures.Executor.submit`, or what does the same.
Submit = Callable[[Callable[[Job], Tally], Job], "Future[Tally]"]

_TELL_SECONDS = 0.25
_CONNECT_SECONDS = 5
_ADDRESS = re.compile(r"((tcp|tls|ucx|wss?)://)?[^/\s]+:[0-9]{1,5}/?")
#: Jobs that wait for each process, so that none waits for a job; more would only take memory.
_AHEAD = 2


def in_this_process(jobs: Iterator[Job], report: Report) -> Iterator[Tally]:
    """Do one job after the other."""
    before, told = 0, 0.0

    def tell(_: int, files: int) -> None:
        nonlocal told
        if time.monotonic() - told > _TELL_SECONDS:
            told = time.monotonic()
            report(before + files)

    worker.progress = tell
    try:
        for job in jobs:
            tally = do_job(job)
            before += tally.files
            report(before)
            yield tally
    finally:
        worker.progress = None


def in_processes(jobs: list[Job], processes: int, report: Report) -> Iterator[Tally]:
    """Do the jobs in processes of this machine.

    Raises
    ------
    SkelemoError
        A process died.
    """
    with worker_server.undisturbed():
        context = worker_server.context()
        read = context.RawArray("q", len(jobs))  # files of each job: one writer for each number, so nothing is locked
        pool = ProcessPoolExecutor(min(processes, len(jobs)), context, initializer=_prepare, initargs=(read,))
    try:
        yield from _gather(partial(_submit, pool), iter(jobs), _AHEAD * processes, lambda: report(sum(read)))
    except BrokenProcessPool:
        raise SkelemoError(
            "a worker process died (out of memory, or killed); what it had finished is kept: run the same again, with "
            "fewer --jobs"
        ) from None
    finally:
        pool.shutdown(cancel_futures=True)


def on_cluster(jobs: Iterator[Job], address: str, source: Path, present: Path, report: Report) -> Iterator[Tally]:
    """Do the jobs on a cluster of Dask's.

    Parameters
    ----------
    source, present : folder that is ingested and a file in the cache, both of which every worker must see.

    Raises
    ------
    ConfigError
        Dask is not installed.
    SkelemoError
        There is no scheduler, it has no workers or loses them one after another, or a worker sees other folders.
    """
    with _connected(address) as client:
        threads = sum(client.nthreads().values())
        if not threads:
            raise SkelemoError(f"the scheduler at {address} has no workers: start some (dask worker {address})")
        blind = {name: said for name, said in client.run(_look, str(source), str(present)).items() if said}
        for name, said in blind.items():
            raise SkelemoError(
                f"worker {name} does not see {said}: the source and the cache must lie on shared folders"
            )
        files = 0
        for tally in _gather(client.get_executor(pure=False).submit, jobs, _AHEAD * threads + 2, lambda: None):
            files += tally.files
            report(files)
            yield tally


def _gather(submit: Submit, jobs: Iterator[Job], most: int, tick: Callable[[], None]) -> Iterator[Tally]:
    """Submit jobs, a few ahead, and yield what they have done as they are."""
    waiting: set[Future[Tally]] = set()
    try:
        while True:
            while len(waiting) < most and (job := next(jobs, None)):
                waiting.add(submit(do_job, job))
            if not waiting:
                return
            done, waiting = wait(waiting, timeout=_TELL_SECONDS, return_when=FIRST_COMPLETED)
            tick()
            yield from (future.result() for future in done)
    finally:
        for future in waiting:
            future.cancel()


def _submit(pool: ProcessPoolExecutor, do: Callable[[Job], Tally], job: Job) -> "Future[Tally]":
    """Submit a job, for which a process may have to be started."""
    try:
        with worker_server.undisturbed():
            return pool.submit(do, job)
    except (EOFError, ConnectionError) as error:  # by the server that starts it, which has died
        raise BrokenProcessPool from error


def _prepare(read: Any) -> None:
    """Make a worker process tell how far it is, leave Ctrl-C to its parent, and not outlive it."""

    def tell(number: int, files: int) -> None:
        read[number] = files

    def follow() -> None:
        parent = multiprocessing.parent_process()
        if parent:
            parent.join()
        os._exit(1)

    worker.progress = tell
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    threading.Thread(target=follow, daemon=True).start()


class _connected:  # noqa: N801 - a context manager, used like a function
    """A client of a scheduler; what Dask says of lost connections becomes one line."""

    def __init__(self, address: str) -> None:
        self.address = address

    def __enter__(self) -> Any:
        try:
            import distributed
        except ImportError:
            raise ConfigError("--scheduler needs Dask: pip install 'skelemo[cluster]'") from None
        if not _ADDRESS.fullmatch(self.address):  # of which Dask's client would die with a trace, after ten seconds
            raise SkelemoError(f"no Dask scheduler at {self.address!r} (no address of one); expected tcp://HOST:8786")
        logging.getLogger("distributed").setLevel(logging.CRITICAL)
        try:
            self.client = distributed.Client(self.address, timeout=_CONNECT_SECONDS, set_as_default=False)
        except (OSError, ValueError, TimeoutError) as error:
            reason = str(error).splitlines()[0] if str(error) else type(error).__name__
            raise SkelemoError(f"no Dask scheduler at {self.address!r} ({reason}); expected tcp://HOST:8786") from error
        return self.client

    def __exit__(self, kind: Any, error: BaseException | None, trace: Any) -> None:
        import distributed

        self.client.close(timeout=_CONNECT_SECONDS)
        if isinstance(error, distributed.KilledWorker):
            raise SkelemoError(
                f"workers died one after another over the same job (out of memory?): {error}; what was finished is kept"
            ) from error


def _look(source: str, present: str) -> str:
    """Which of the two a worker does not see."""
    return next((path for path in (source, present) if not os.path.exists(path)), "")
