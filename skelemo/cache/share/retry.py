"""Trying again what may work the next time."""

import errno
import random
import time
from collections.abc import Callable
from typing import TypeVar

from skelemo.errors import SkelemoError

#: Seconds before each further try; then it is given up.
PAUSES = (0.5, 1.0, 2.0, 4.0, 8.0)

#: What no second try changes: refused, not there, not possible, not known.
_LASTING = (
    PermissionError,
    FileNotFoundError,
    FileExistsError,
    NotADirectoryError,
    IsADirectoryError,
    NotImplementedError,
    ImportError,
    TypeError,
    ValueError,
    AttributeError,
    SkelemoError,
)
#: HTTP statuses from 400 to 499 that pass: timeout, conflict, too early, too many requests.
_PASSING_STATUSES = (408, 409, 425, 429)

_T = TypeVar("_T")


def patiently(action: Callable[[], _T]) -> _T:
    """Do something, and again after longer and longer pauses while it fails in a way that may pass.

    Raises
    ------
    Exception
        The action's last error.
    """
    for seconds in PAUSES:
        try:
            return action()
        except Exception as error:
            if not may_pass(error):
                raise
            pause(seconds)
    return action()


def pause(seconds: float) -> None:
    """Sleep for about that long: many who failed at once do not come back at once."""
    time.sleep(seconds * random.uniform(0.5, 1.0))


def may_pass(error: BaseException) -> bool:
    """Whether the same may work the next time: connections do, permissions do not."""
    error = underlying(error)
    status = getattr(error, "status", None)
    if isinstance(status, int) and 400 <= status < 500:
        return status in _PASSING_STATUSES
    if isinstance(error, OSError) and error.errno in (errno.ENOSPC, errno.EDQUOT, errno.EROFS):
        return False
    name = type(error).__name__
    return not isinstance(error, _LASTING) and "Credential" not in name and "Authentication" not in name


def underlying(error: BaseException) -> BaseException:
    """What was meant: fsspec calls whatever went wrong in asking a web server about a file a file that is not there."""
    cause = error.__cause__
    of_the_web = isinstance(error, FileNotFoundError) and type(cause).__module__.partition(".")[0] == "aiohttp"
    return cause if cause is not None and of_the_web else error
