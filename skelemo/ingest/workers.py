"""How processes beside this one are started: a server loads once what they need, and each is a copy of it."""

import multiprocessing
import os
import signal
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
    resource_tracker.ensure_running()  # which would let Ctrl-C through again
    mask = signal.pthread_sigmask(signal.SIG_BLOCK, {signal.SIGINT})  # Ctrl-C is for this process to answer
    safe = os.environ.get("PYTHONSAFEPATH", "")
    os.environ["PYTHONSAFEPATH"] = "1"  # what lies in the folder that one happens to be in is not loaded
    try:
        forkserver.ensure_running()
    finally:
        os.environ["PYTHONSAFEPATH"] = safe
        signal.pthread_sigmask(signal.SIG_SETMASK, mask)
    return context
