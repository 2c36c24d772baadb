"""How processes beside this one are started: a server loads once what they need, and each is a copy of it."""

import multiprocessing
import os
import signal
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from multiprocessing.context import BaseContext

_NEEDED = ["skelemo.ingest.work"]


def begin() -> BaseContext:
    """The context that starts processes; its server begins to load now, beside what this process does meanwhile.

    Processes are never copies of this one, whose threads they would not have.
    """
    if "forkserver" not in multiprocessing.get_all_start_methods():
        return multiprocessing.get_context("spawn")
    from multiprocessing import forkserver, resource_tracker

    context = multiprocessing.get_context("forkserver")
    context.set_forkserver_preload(_NEEDED)
    safe, mask = os.environ.get("PYTHONSAFEPATH", ""), signal.pthread_sigmask(signal.SIG_BLOCK, ())
    os.environ["PYTHONSAFEPATH"] = "1"  # what lies in the folder that one happens to be in is not loaded
    try:
        resource_tracker.ensure_running()  # of itself it would let Ctrl-C through again
        signal.pthread_sigmask(signal.SIG_BLOCK, {signal.SIGINT})  # which is for this process to answer
        forkserver.ensure_running()
    finally:
        os.environ["PYTHONSAFEPATH"] = safe
        signal.pthread_sigmask(signal.SIG_SETMASK, mask)
    return context


@contextmanager
def undisturbed() -> Iterator[None]:
    """Ctrl-C waits until this is over: a process half begun would complain of what its parent takes away."""
    if threading.current_thread() is not threading.main_thread():
        yield
        return
    came: list[int] = []
    before = signal.signal(signal.SIGINT, lambda number, _: came.append(number))
    try:
        yield
    finally:
        signal.signal(signal.SIGINT, before)
        if came:
            signal.raise_signal(signal.SIGINT)
