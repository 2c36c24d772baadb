"""What `search` finds, for tests in which nothing is to be wrong."""

import warnings
from pathlib import Path
from typing import Any

from skelemo.errors import InputError
from skelemo.openpose.recording import Recording, search


def find_recordings(source: Path, **how: Any) -> list[Recording]:
    """The recordings of `search`: its notes are warnings, and a problem is an error."""
    found = search(source, **how)
    for note in found.notes:
        warnings.warn(note, stacklevel=2)
    for problem in found.problems:
        raise InputError(f"{problem.file} {problem.reason}")
    return found.recordings
