"""One call of ``skelemo predict``, from a source to a file.

Intermediate results are kept in a folder beside the file, ``FILE.parts``: keypoints of videos, recordings as a cache,
and a table per chunk, named by a hash of all its inputs. An interrupted call resumes from there; the folder is removed
when the file is complete. Pose estimation starts immediately, while torch is imported in the background.
"""

import os
import shutil
from collections.abc import Collection, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from skelemo.atomic import claimed, sweep
from skelemo.errors import ConfigError, InputError
from skelemo.inference.keypoints import ReadOptions, Stage, find_keypoints, is_cache, silent
from skelemo.inference.table import Options, require_writable

if TYPE_CHECKING:
    from skelemo.inference.base import BasePredictor
    from skelemo.inference.overlay import Overlay


@dataclass(frozen=True)
class Predicted:
    """Result of a call."""

    model: str
    rows: int
    people: int
    notes: tuple[str, ...]
    failures: tuple[str, ...]
    drawn: tuple[Path, ...] = ()


@dataclass(frozen=True)
class Request:
    """Arguments of a call.

    Parameters
    ----------
    runs : run folders, averaged if several, or an exported file.
    out : the table.
    reading : see `ReadOptions`; on a CPU its jobs or cluster also predict.
    allow : architectures of other packages that may be imported.
    overlay : videos to draw after the table is written.
    film, raw : see `skelemo.inference.table.write_tables`.
    """

    runs: Sequence[Path]
    source: Path
    out: Path
    options: Options
    reading: ReadOptions
    allow: Collection[str] = ()
    device: str = "auto"
    stage: Stage = silent
    overlay: "Overlay | None" = None
    film: Path | None = None
    raw: bool = False

    @property
    def folder(self) -> Path:
        """Folder of intermediate results."""
        return Path(os.path.abspath(self.out.with_name(f"{self.out.name}.parts")))

    @property
    def begun(self) -> bool:
        """Whether an interrupted call left intermediate results from which another one resumes."""
        return self.folder.is_dir() and any(not path.name.startswith(".") for path in self.folder.iterdir())


def predict_file(request: Request) -> Predicted:
    """Predict for every person and frame of a source and write the table, resuming an interrupted call.

    Raises `InputError`, `ConfigError` or `CacheError` as `skelemo.inference.base.BasePredictor.predict`, or if another
    process is writing the file.
    """
    require_writable(request.out)
    if request.film and not request.film.exists():
        raise InputError(f"no video at {request.film}")
    if request.overlay:
        request.overlay.check()
    with claimed(request.folder):
        sweep(request.folder)
        try:
            found = _predicted(request)
        except (InputError, ConfigError):  # would recur
            shutil.rmtree(request.folder, ignore_errors=True)
            raise
        shutil.rmtree(request.folder, ignore_errors=True)
    return found


def _predicted(request: Request) -> Predicted:
    with ThreadPoolExecutor(1) as pool:
        loading = pool.submit(_load, request)
        keypoints = None
        if request.reading.pose and not is_cache(request.source):

            def going() -> object:
                return loading.done() and loading.result()  # raises if the run cannot be loaded

            keypoints = find_keypoints(request.source, request.folder, request.reading, request.stage, going)
        model = loading.result()
    from skelemo.inference.recordings import predict_source

    return predict_source(request, model, keypoints)


def _load(request: Request) -> "BasePredictor":
    from skelemo.inference import recordings  # noqa: F401  # imported in the background
    from skelemo.inference.onnx import open_model

    return open_model(request.runs, allow=request.allow)
