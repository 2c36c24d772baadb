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


def predict_file(
    runs: Sequence[Path],
    source: Path,
    out: Path,
    options: Options,
    reading: Reading,
    *,
    allow: Collection[str] = (),
    device: str = "auto",
    stage: Stage = silent,
    overlay: "Overlay | None" = None,
    film: Path | None = None,
    raw: bool = False,
) -> Predicted:
    """Predict for every person and frame of a source and write the table, or go on where an earlier call was.

    Parameters
    ----------
    reading : see `Reading`; its jobs or its cluster predict, too, where the device is a CPU.
    overlay : videos to draw when the table is written.
    film, raw : see `skelemo.inference.table.write_tables`.

    Raises
    ------
    InputError, ConfigError, CacheError
        As `skelemo.inference.answering.Answering.predict`; or another process writes this file.
    """
    require_writable(out)
    if film and not film.exists():
        raise InputError(f"no video at {film}")
    if overlay:
        overlay.check()
    folder = Path(os.path.abspath(out.with_name(f"{out.name}.parts")))
    with claimed(folder), _removed_if_useless(folder):
        sweep(folder)
        with ThreadPoolExecutor(1) as pool:
            loading = pool.submit(_load, runs, allow)
            keypoints = None
            if reading.pose and not is_cache(source):
                keypoints = find_keypoints(source, folder, reading, stage, lambda: loading.done() and loading.result())
            model = loading.result()
        from skelemo.inference.recordings import predict_source

        found = predict_source(
            model, runs, source, out, options, reading, folder, keypoints,
            allow=allow, device=device, stage=stage, overlay=overlay, film=film, raw=raw,
        )  # fmt: skip
        shutil.rmtree(folder, ignore_errors=True)
    return found


def _load(runs: Sequence[Path], allow: Collection[str]) -> "Answering":
    from skelemo.inference import recordings  # noqa: F401  # all that is needed later is imported now
    from skelemo.inference.onnx import open_model

    return open_model(runs, allow=allow)


@contextmanager
def _removed_if_useless(folder: Path) -> Iterator[None]:
    """Leave nothing behind where the same call would fail again."""
    try:
        yield
    except (InputError, ConfigError):
        shutil.rmtree(folder, ignore_errors=True)
        raise
