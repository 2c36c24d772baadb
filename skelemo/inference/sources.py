"""Anything that a model can predict for, as a cache: recordings are read and tracked by ingest itself."""

import json
import tempfile
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from skelemo.cache.sequence import Sequence as Clip
from skelemo.cache.shard import Header, write_shard
from skelemo.cache.store import Cache, open_cache, shard_files
from skelemo.errors import CacheError, ConfigError, InputError
from skelemo.ingest.plan import Settings, make_plan
from skelemo.ingest.run import ingest
from skelemo.skeleton import Layout, layout

Source = str | Path | np.ndarray | Sequence[Mapping[str, Any]]

#: Layouts that an array may be in, by its number of points.
_LAYOUTS = ("body_25", "face_70", "body_25+face_70", "body_25+hand_21x2", "face_70+hand_21x2",
            "body_25+face_70+hand_21x2")  # fmt: skip


@dataclass(frozen=True)
class Opened:
    """A source as a cache.

    Parameters
    ----------
    notes : what reading decided and which files could not be read, one line each.
    failures : recordings that could not be used, one line each.
    """

    cache: Cache
    notes: tuple[str, ...] = ()
    failures: tuple[str, ...] = ()


@contextmanager
def opened(
    source: Source, wanted: Layout, *, person: str, fps: float, size: tuple[int, int], jobs: int = 1
) -> Iterator[Opened]:
    """A cache of what a source holds; of anything but a cache a temporary one.

    Raises
    ------
    InputError, ConfigError, CacheError
        The source cannot be read or shows nobody, or lacks a part of the wanted layout.
    """
    if isinstance(source, str | Path) and _is_cache(Path(source)):
        cache = open_cache(Path(source))
        require_parts(cache, wanted)
        yield Opened(cache)
        return
    with tempfile.TemporaryDirectory(prefix="skelemo-") as folder:
        where = Path(folder) / "cache"
        notes: list[str] = []
        failures: list[str] = []
        if isinstance(source, np.ndarray):
            where.mkdir()
            _write_array(where, source, wanted, fps, size)
        else:
            path = Path(source) if isinstance(source, str | Path) else _write_frames(Path(folder) / "frames", source)
            everything = layout(_LAYOUTS[-1])  # people are told apart by all of them, whatever the model sees
            parts = {part.name for part in (*layout().parts, *wanted.parts)}
            settings = Settings(everything.only(parts).name, person=person, width=size[0], height=size[1], fps=fps)
            plan = make_plan(path, where, None, settings)
            tally = ingest(plan, jobs=jobs)
            notes = [*plan.notes, *tally.notes, *(f"{one.file}: {one.reason}" for one in tally.problems)]
            failures = [f"{one.file}: {one.reason}" for one in tally.failures]
            if not where.is_dir() or not shard_files(where):
                reason = f"; {(failures + notes)[0]}" if failures or notes else ""
                raise InputError(f"{path if isinstance(source, str | Path) else 'the frames'}: nobody is seen{reason}")
        cache = open_cache(where)
        if not len(cache.sequences):
            raise InputError(f"{source if isinstance(source, str | Path) else 'the source'}: nobody is seen")
        yield Opened(cache, tuple(notes), tuple(failures))


def require_parts(cache: Cache, wanted: Layout) -> None:
    """`InputError` for a cache whose layout lacks a part that a model sees."""
    missing = [part.name for part in wanted.parts if cache.layout.part(part.name) is None]
    if missing:
        raise InputError(
            f"{cache.name} has {cache.layout.name}, and the model also needs {', '.join(missing)}: "
            f"ingest again with --layout {wanted.name}"
        )


def _is_cache(path: Path) -> bool:
    try:
        return path.is_dir() and bool(shard_files(path))
    except CacheError:
        return False


def _write_frames(folder: Path, frames: Sequence[Mapping[str, Any]]) -> Path:
    """OpenPose's dictionaries as the files that OpenPose writes."""
    if not frames or not all(isinstance(frame, Mapping) and "people" in frame for frame in frames):
        raise InputError("expected OpenPose's dictionaries, one for each frame, each with 'people'")
    folder.mkdir()
    for number, frame in enumerate(frames):
        try:
            text = json.dumps(frame, default=lambda value: value.tolist())
        except (TypeError, AttributeError, ValueError) as error:
            raise InputError(f"frame {number} cannot be written as JSON: {error}") from None
        (folder / f"frames_{number:012d}_keypoints.json").write_text(text, encoding="utf-8")
    return folder


def _write_array(folder: Path, keypoints: np.ndarray, wanted: Layout, fps: float, size: tuple[int, int]) -> None:
    known = {len(layout(name)): name for name in _LAYOUTS} | {len(wanted): wanted.name}
    if keypoints.ndim != 3 or keypoints.shape[2] != 3 or not len(keypoints) or keypoints.dtype.kind not in "fiu":
        raise InputError(f"the array has the shape {list(keypoints.shape)}; expected numbers [T, {len(wanted)}, 3]")
    name = known.get(keypoints.shape[1])
    if name is None or any(layout(name).part(part.name) is None for part in wanted.parts):
        what = f"{keypoints.shape[1]} points" + (f" ({name})" if name else "")
        raise InputError(f"the array has {what}; the model takes {wanted.name}, [T, {len(wanted)}, 3]")
    points = np.where(keypoints[..., 2:] > 0, keypoints, 0).astype(np.float32)
    if not points[..., 2].any():
        raise InputError("the array: nobody is seen, all confidences are 0")
    numbers = np.arange(len(points), dtype=np.int32)
    clip = Clip("array", "array", points, numbers, width=size[0], height=size[1], fps=fps)
    try:
        write_shard(folder, Header(name), [clip])
    except CacheError as error:
        raise ConfigError(str(error)) from None
