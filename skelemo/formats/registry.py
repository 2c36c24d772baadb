"""Formats that caches are exported to, by name."""

from collections.abc import Callable, Sequence
from pathlib import Path

from skelemo.cache.cache import Cache
from skelemo.errors import unknown
from skelemo.formats.pose import write_pose
from skelemo.formats.pyskl import write_pyskl
from skelemo.formats.table import write_csv, write_parquet
from skelemo.formats.writing import Exported, Report

#: Writes a cache's sequences that the expressions want into ``out``, and tells how many frames are done.
Writer = Callable[[Cache, Path, Sequence[str], Report], Exported]

WRITERS: dict[str, Writer] = {
    "pyskl": write_pyskl,
    "pose": write_pose,
    "csv": write_csv,
    "parquet": write_parquet,
}


def writer(name: str) -> Writer:
    """The writer of that name.

    Raises
    ------
    ConfigError
        There is none.
    """
    if name not in WRITERS:
        raise unknown("export", name, WRITERS)
    return WRITERS[name]
