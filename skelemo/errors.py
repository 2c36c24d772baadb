"""Errors, with one-line messages: where, what was found, what was expected and what to do."""

import errno
from collections.abc import Iterable
from difflib import get_close_matches
from pathlib import Path

#: Error numbers of network failures and exhausted resources, which do not mean that a file is damaged.
NOT_OF_THE_FILE = frozenset(
    getattr(errno, name)
    for name in (
        *("EREMOTEIO", "ENODEV", "ENXIO", "ESTALE", "ENOTCONN", "ETIMEDOUT", "EHOSTDOWN", "EHOSTUNREACH"),
        *("ENETDOWN", "ENETUNREACH", "ECONNRESET", "ECONNABORTED", "EMFILE", "ENFILE", "ENOMEM"),
    )
    if hasattr(errno, name)
)


class SkelemoError(Exception):
    """An error that the user can fix. The command line prints it as one line and exits with code 2."""


class InputError(SkelemoError):
    """An input file is missing, damaged or not as expected."""


class ConfigError(SkelemoError):
    """An invalid setting, option or name."""


class CacheError(SkelemoError):
    """A cache or shard is damaged, contradictory or unreadable by this version."""


class UnreadableError(CacheError):
    """A shard cannot be read at the moment, but may be intact."""


class RemoteError(SkelemoError):
    """A transfer location is missing, or cannot be reached, read or written."""


def unknown(kind: str, name: object, known: Iterable[str]) -> ConfigError:
    """The error for an unknown name, which suggests the closest match and lists all names."""
    choices = sorted(set(known))
    nearest = get_close_matches(str(name), choices, n=1)
    hint = f"did you mean {nearest[0]!r}? " if nearest else ""
    listed = f"choose from {', '.join(choices)}" if choices else "none is available"
    return ConfigError(f"unknown {kind} {str(name)!r}: {hint}{listed}")


def one_line(error: object, most: int = 200) -> str:
    """An error's message on one line."""
    return " ".join(str(error).split())[:most]


def os_reason(error: OSError) -> str:
    """The system's error message for a file."""
    if isinstance(error, FileExistsError | NotADirectoryError):  # from creating a folder
        return "is a file, expected a folder"
    return error.strerror or str(error)


def damaged(path: Path, error: Exception) -> InputError:
    """The error for a file that cannot be read, and may be intact, or whose content is damaged."""
    if isinstance(error, OSError) and error.errno:
        return InputError(f"{path} cannot be read: {os_reason(error)}")
    return InputError(f"{path} is damaged: {one_line(error)}")
