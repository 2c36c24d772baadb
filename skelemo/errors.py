"""What skelemo says when it cannot go on: one line with the place, the finding, the expectation and the remedy."""

import errno
from collections.abc import Iterable
from difflib import get_close_matches

#: What the system says when a network fails, or when it has run out of something: nothing of the file's bytes.
NOT_OF_THE_FILE = frozenset(
    getattr(errno, name)
    for name in (
        *("EREMOTEIO", "ENODEV", "ENXIO", "ESTALE", "ENOTCONN", "ETIMEDOUT", "EHOSTDOWN", "EHOSTUNREACH"),
        *("ENETDOWN", "ENETUNREACH", "ECONNRESET", "ECONNABORTED", "EMFILE", "ENFILE", "ENOMEM"),
    )
    if hasattr(errno, name)
)


class SkelemoError(Exception):
    """Anything the user can put right. The command line prints it as one line and exits with code 2."""


class InputError(SkelemoError):
    """A file of the user's is missing, damaged or not what it should be."""


class ConfigError(SkelemoError):
    """A setting, an option or a name is not one that skelemo knows."""


class CacheError(SkelemoError):
    """A cache or a shard is damaged, contradictory or not readable by this version."""


class UnreadableError(CacheError):
    """A shard cannot be read here and now, and may be whole all the same."""


class RemoteError(SkelemoError):
    """A place that caches travel to or from is not there, or cannot be reached, read or written."""


def unknown(kind: str, name: object, known: Iterable[str]) -> ConfigError:
    """The error for a name that is not among the known ones: it offers the nearest and lists them all."""
    choices = sorted(set(known))
    nearest = get_close_matches(str(name), choices, n=1)
    hint = f"did you mean {nearest[0]!r}? " if nearest else ""
    listed = f"known are {', '.join(choices)}" if choices else "there is none"
    return ConfigError(f"unknown {kind} {str(name)!r}: {hint}{listed}")


def os_reason(error: OSError) -> str:
    """What the system says of a file, in words."""
    if isinstance(error, FileExistsError | NotADirectoryError):  # making a folder is what fails so
        return "it is a file, where a folder should be"
    return error.strerror or str(error)
