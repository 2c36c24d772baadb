"""How processes beside this one are started; the command has a server load once what they need, and copy itself."""

import multiprocessing
import os
import signal
import sys
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from multiprocessing.context import BaseContext

_NEEDED = ["skelemo.ingest.worker"]
#: Apple's own libraries do not live through a fork.
_SERVED = "forkserver" in multiprocessing.get_all_start_methods() and sys.platform != "darwin"
_begun = False


def begin() -> None:
    """Let a server load what processes will need, beside what this process does in the meantime.

    It is one for the whole program, and everything it starts leaves Ctrl-C to this process: for commands, not for
    programs that have other processes.
    """
    global _begun
    if not _SERVED:
        return
    from multiprocessing import forkserver, resource_tracker

    forkserver.set_forkserver_preload(_NEEDED)
    mask = signal.pthread_sigmask(signal.SIG_BLOCK, ())
    said = {
        # It loads what this process would, and not what lies in the folder that one happens to be in.
        "PYTHONSAFEPATH": "1",
        "PYTHONPATH": os.pathsep.join(path for path in sys.path if path),
        # There is a process for each core, and threads of OpenBLAS's would take a tenth of a second to begin with.
        "OPENBLAS_NUM_THREADS": "1",
    }
    with _environment(**said):
        try:
            resource_tracker.ensure_running()  # of itself it would let Ctrl-C through again
            signal.pthread_sigmask(signal.SIG_BLOCK, {signal.SIGINT})
            forkserver.ensure_running()
        finally:
            signal.pthread_sigmask(signal.SIG_SETMASK, mask)
    _begun = True


def context() -> BaseContext:
    """What starts processes: the server, if it has begun. They are never copies of this one, which has threads."""
    return multiprocessing.get_context("forkserver" if _begun else "spawn")


@contextmanager
def undisturbed() -> Iterator[None]:
    """Ctrl-C waits until this is over: a process half begun would complain of what its parent takes away.

    A second one does not wait.
    """
    before = signal.getsignal(signal.SIGINT)
    if before is None or threading.current_thread() is not threading.main_thread():
        yield
        return

    def wait(*_: object) -> None:
        came.append(True)
        signal.signal(signal.SIGINT, before)

    came: list[bool] = []
    signal.signal(signal.SIGINT, wait)
    try:
        yield
    finally:
        signal.signal(signal.SIGINT, before)
        if came:
            signal.raise_signal(signal.SIGINT)


@contextmanager
def _environment(**changes: str) -> Iterator[None]:
    before = {name: os.environ.get(name) for name in changes}
    os.environ.update(changes)
    try:
        yield
    finally:
        for name, value in before.items():
            os.environ.pop(name)
            os.environ.update({name: value} if value is not None else {})
