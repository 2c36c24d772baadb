"""One call of ``skelemo predict``, from a source to a file.

What is finished lies in a folder beside the file, ``FILE.parts``: keypoints of videos, recordings as they were read,
and a table for each chunk, named by all that it depends on. The next call goes on from there, and the folder is removed
when the file is written. A program that finds keypoints starts at once: torch and all else is loaded while it works.
"""

import os
import shutil
from collections.abc import Collection, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from skelemo.atomic import claimed, sweep
from skelemo.errors import ConfigError, InputError
from skelemo.inference.keypoints import Reading, Stage, find_keypoints, is_cache, silent
from skelemo.inference.table import Options, require_writable

if TYPE_CHECKING:
    from skelemo.inference.answering import Answering
    from skelemo.inference.overlay import Overlay


@dataclass(frozen=True)
class Predicted:
    """What a call has written."""

    model: str
    rows: int
    people: int
    notes: tuple[str, ...]
    failures: tuple[str, ...]
    drawn: tuple[Path, ...] = ()


@dataclass(frozen=True)
class Request:
    """What one call predicts.

    Parameters
    ----------
    runs : of which several are averaged, or an exported file.
    out : the table; also named by the parts that are kept until it is whole.
    reading : see `Reading`; its jobs or its cluster predict, too, where the device is a CPU.
    allow : architectures of other packages that may be imported.
    overlay : videos to draw when the table is written.
    film, raw : see `skelemo.inference.table.write_tables`.
    """

    runs: Sequence[Path]
    source: Path
    out: Path
    options: Options
    reading: Reading
    allow: Collection[str] = ()
    device: str = "auto"
    stage: Stage = silent
    overlay: "Overlay | None" = None
    film: Path | None = None
    raw: bool = False

    @property
    def folder(self) -> Path:
        """Where what is finished is kept."""
        return Path(os.path.abspath(self.out.with_name(f"{self.out.name}.parts")))


def predict_file(request: Request) -> Predicted:
    """Predict for every person and frame of a source and write the table, or go on where an earlier call was.

    Raises `InputError`, `ConfigError` or `CacheError` as `skelemo.inference.answering.Answering.predict`; or another
    process writes this file.
    """
    require_writable(request.out)
    if request.film and not request.film.exists():
        raise InputError(f"no video at {request.film}")
    if request.overlay:
        request.overlay.check()
    source, folder, reading = request.source, request.folder, request.reading
    with claimed(folder), _removed_if_useless(folder):
        sweep(folder)
        with ThreadPoolExecutor(1) as pool:
            loading = pool.submit(_load, request)
            keypoints = None
            if reading.pose and not is_cache(source):

                def going() -> object:
                    return loading.done() and loading.result()  # a run that cannot be loaded ends the search

                keypoints = find_keypoints(source, folder, reading, request.stage, going)
            model = loading.result()
        from skelemo.inference.recordings import predict_source

        found = predict_source(request, model, keypoints)
        shutil.rmtree(folder, ignore_errors=True)
    return found


def _load(request: Request) -> "Answering":
    from skelemo.inference import recordings  # noqa: F401  # all that is needed later is imported now
    from skelemo.inference.onnx import open_model

    return open_model(request.runs, allow=request.allow)


@contextmanager
def _removed_if_useless(folder: Path) -> Iterator[None]:
    """Leave nothing behind where the same call would fail again."""
    try:
        yield
    except (InputError, ConfigError):
        shutil.rmtree(folder, ignore_errors=True)
        raise
