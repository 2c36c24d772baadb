"""Ingest: reads recordings and their labels into a cache, planned once and processed in groups of a shard each."""

import inspect
import os
import sys
from pathlib import Path
from types import ModuleType
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from skelemo.ingest.result import Tally

StrPath = str | os.PathLike[str]


def ingest_folder(
    source: StrPath, out: StrPath, labels: str | None = None, *, replace: bool = False, jobs: int = 1, **settings: Any
) -> "Tally":
    """Read OpenPose's JSON in a folder or an archive into a cache; unchanged recordings are skipped.

    Raises `ConfigError`, `InputError` or `CacheError`: a setting, a label file or the cache is invalid.

    Parameters
    ----------
    labels : ``FORMAT[:PATH]``, as for ``skelemo ingest --labels``.
    replace : replace sequences of changed recordings.
    jobs : number of processes.
    settings : of `skelemo.ingest.task.Settings`, such as ``layout="coco_17"``, ``person="largest"`` or
        ``map={"froh": "happiness"}``.
    """
    from dataclasses import fields

    from skelemo.errors import unknown
    from skelemo.ingest.plan import Settings, make_plan
    from skelemo.ingest.run import ingest as run

    known = [field.name for field in fields(Settings)]
    for name in settings:
        if name not in known:
            raise unknown("setting of ingest", name, known)
    return run(make_plan(Path(source), Path(out), labels, Settings(**settings), replace=replace), jobs=jobs)


class _CallablePackage(ModuleType):
    """Makes ``skelemo.ingest(source, out)`` call `ingest_folder`, with that function's signature and documentation."""

    __call__ = staticmethod(ingest_folder)
    __signature__ = inspect.signature(ingest_folder)


sys.modules[__name__].__class__ = _CallablePackage
__doc__ = ingest_folder.__doc__ or __doc__
