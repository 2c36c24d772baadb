"""Opens any source of predictions as a cache; recordings are read and tracked by `skelemo.ingest`."""

import hashlib
import json
import os
import shutil
import tempfile
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager, nullcontext
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

import numpy as np

from skelemo.cache.sequence import Sequence as Clip
from skelemo.cache.shard import Header, write_shard
from skelemo.cache.store import Cache, open_cache, shards_in
from skelemo.errors import CacheError, ConfigError, InputError
from skelemo.inference.keypoints import Keypoints, ReadOptions, Stage, find_keypoints, is_cache, silent
from skelemo.ingest.plan import Plan, Settings, make_plan
from skelemo.ingest.result import Tally
from skelemo.ingest.run import ingest
from skelemo.openpose.points import canonicalize
from skelemo.pose.extract import find_videos
from skelemo.skeleton import Layout, layout, stream_layout

Source = str | os.PathLike[str] | np.ndarray | Sequence[Mapping[str, Any]]
#: Possible layouts of an array, identified by their number of points.
_LAYOUTS = ("body_25", "face_70", "body_25+face_70", "body_25+hand_21x2", "face_70+hand_21x2",
            "body_25+face_70+hand_21x2")  # fmt: skip


@dataclass(frozen=True)
class OpenedSource:
    """A source as a cache.

    Parameters
    ----------
    notes : decisions made while reading, and unreadable files, one line each.
    failures : unusable recordings, one line each.
    films : files of the source's videos by name, if it consists of videos.
    """

    cache: Cache
    notes: tuple[str, ...] = ()
    failures: tuple[str, ...] = ()
    films: Mapping[str, Path] = field(default_factory=dict)


@contextmanager
def open_source(
    source: Source, wanted: Layout, reading: ReadOptions, stage: Stage = silent, keypoints: Keypoints | None = None
) -> Iterator[OpenedSource]:
    """Open a source as a cache: the cache itself, or a temporary one, kept if ``reading`` has a folder.

    Raises `InputError`, `ConfigError` or `CacheError`: the source is unreadable, shows no people, or lacks a part of
    the wanted layout.

    Parameters
    ----------
    keypoints : keypoints already extracted from videos.
    """
    path = Path(source) if isinstance(source, str | os.PathLike) else None
    if path and is_cache(path):
        cache = open_cache(path)
        require_parts(cache, wanted)
        yield _with_parts(OpenedSource(_of_person(cache, reading.person)), wanted)
        return
    kept = reading.folder
    with nullcontext(str(kept)) if kept and path else tempfile.TemporaryDirectory(prefix="skelemo-") as folder:
        if isinstance(source, np.ndarray):
            where = Path(folder) / "cache"
            where.mkdir()
            _write_array(where, source, wanted, reading.fps, reading.size)
            found = OpenedSource(open_cache(where))
        else:
            if path and reading.pose:
                keypoints = keypoints or find_keypoints(path, Path(folder), reading, stage)
                found = _of_videos(path, Path(folder), wanted, reading, stage, keypoints)
            else:
                path = path or _write_frames(Path(folder) / "frames", source)  # type: ignore[arg-type]  # no path, no array
                found = _ingested(path, Path(folder), wanted, reading, stage)
        if not len(found.cache.sequences):
            raise InputError(f"{source if isinstance(source, str | os.PathLike) else 'the source'}: nobody is visible")
        yield _with_parts(found, wanted)


def _of_videos(
    source: Path, folder: Path, wanted: Layout, reading: ReadOptions, stage: Stage, keypoints: Keypoints
) -> OpenedSource:
    """The cache of the keypoints extracted from videos."""
    where, extracted = keypoints
    try:
        found = _ingested(where, folder, wanted, reading, stage)
    except InputError as error:
        raise InputError(str(error).replace(str(where), str(source))) from None
    notes, failures = (*extracted.notes, *found.notes), (*extracted.failures, *found.failures)
    return replace(found, notes=notes, failures=failures, films=find_videos([source]))


def _ingested(path: Path, folder: Path, wanted: Layout, reading: ReadOptions, stage: Stage) -> OpenedSource:
    """The cache of ingested recordings."""
    width, height = reading.size
    settings = Settings(stream_layout(wanted).name, person=reading.person, width=width, height=height, fps=reading.fps)
    named = json.dumps([os.path.abspath(path), settings.kept()])
    where = folder / f"recordings-{hashlib.sha256(named.encode(errors='surrogateescape')).hexdigest()[:16]}"
    plan = make_plan(path, where, None, settings, replace=True)
    if plan.known_shards and _is_stale(open_cache(where), plan):
        shutil.rmtree(where)
        plan = make_plan(path, where, None, settings)
    if plan.tasks or plan.problems:
        with stage("reading", "files") as report:
            tally = ingest(
                plan, jobs=reading.jobs, scheduler=reading.scheduler, report=lambda files: report(files, plan.files)
            )
    else:
        tally = Tally()
    failures = [f"{one.file}: {one.reason}" for one in tally.failures]
    if not where.is_dir() or not shards_in(where):
        notes = [*plan.notes, *tally.notes, *(f"{one.file}: {one.reason}" for one in tally.problems)]
        reason = f"; {(failures + notes)[0]}" if failures or notes else ""
        what = "no recording can be used" if failures else "nobody is visible"
        raise InputError(f"{path}: {what}{reason}".replace(f"{folder}{os.sep}frames", "the frames"))
    cache = open_cache(where)
    problems = (f"{file}: {reason}" for file, reason in cache.problems[["file", "reason"]].itertuples(index=False))
    return OpenedSource(cache, (*plan.notes, *tally.notes, *problems), tuple(failures))


def _is_stale(cache: Cache, plan: Plan) -> bool:
    """Whether the cache of an interrupted call has recordings that have since been removed from the source."""
    return len({*cache.recordings["video"]} - {task.video for task in plan.tasks}) != plan.unchanged


def _of_person(cache: Cache, person: str) -> Cache:
    """The sequences of one person, by number or side."""
    if person in ("all", "auto"):
        return cache
    known = cache.sequences["person"].to_numpy(object)
    rows = np.flatnonzero((known == person) | (known == f"person{person}"))
    if not len(rows):
        names = ", ".join(sorted({name or "(unnamed)" for name in known})[:10])
        raise ConfigError(f"person {person}: {cache.name} has the people {names}")
    return cache.only(rows)


def _with_parts(found: OpenedSource, wanted: Layout) -> OpenedSource:
    """Add notes on parts that are never visible for some people.

    Raises `InputError`: no part is ever visible.
    """
    cache, notes = found.cache, list(found.notes)
    columns = [[part.name for part in cache.layout.parts].index(part.name) for part in wanted.parts]
    shown = cache.counts.points[:, columns] > 0  # [S, P]
    if not shown.any():
        raise InputError(f"no frame shows {wanted.name}: nothing to predict from")
    for part, seen in zip(wanted.parts, shown.T, strict=True):
        if lacking := int((~seen).sum()):
            who = "for all people" if lacking == len(seen) else f"for {lacking:,} of {len(seen):,} people"
            notes.append(f"{part.name} is missing {who}: predicted from the other keypoints")
    return replace(found, notes=tuple(notes))


def require_parts(cache: Cache, wanted: Layout) -> None:
    """Raise `InputError` if the cache's layout lacks a part of the model's."""
    missing = [part.name for part in wanted.parts if cache.layout.part(part.name) is None]
    if missing:
        raise InputError(
            f"{cache.name} has {cache.layout.name}, and the model also needs {', '.join(missing)}: "
            f"ingest again with --layout {wanted.name}"
        )


def _write_frames(folder: Path, frames: Sequence[Mapping[str, Any]]) -> Path:
    """Write OpenPose's dictionaries as OpenPose's files."""
    frames = list(frames)
    if not frames or not all(isinstance(frame, Mapping) and "people" in frame for frame in frames):
        raise InputError("expected a list of OpenPose's dictionaries, one per frame, each with 'people'")
    folder.mkdir()
    for number, frame in enumerate(frames):
        try:
            text = json.dumps(frame, default=lambda value: value.tolist())
        except (TypeError, AttributeError, ValueError) as error:
            raise InputError(f"frame {number} cannot be written as JSON: {error}") from None
        (folder / f"frames_{number:012d}_keypoints.json").write_text(text, encoding="utf-8")
    return folder


def _require_keypoints(keypoints: np.ndarray, points: int | str = "V") -> None:
    if keypoints.ndim != 3 or keypoints.shape[2] != 3 or not len(keypoints) or keypoints.dtype.kind not in "fiu":
        raise InputError(f"the array has shape {list(keypoints.shape)}; expected numbers [T, {points}, 3]")


def array_layout(keypoints: np.ndarray) -> Layout:
    """The layout of an array ``[T, V, 3]``, by its number of points.

    Raises `InputError`: another shape, not numeric, or no layout with this number of points.
    """
    _require_keypoints(keypoints)
    known = {len(layout(name)): name for name in _LAYOUTS}
    if keypoints.shape[1] not in known:
        sizes = ", ".join(f"{points} ({name})" for points, name in known.items())
        raise InputError(f"the array has {keypoints.shape[1]} points; expected {sizes}, or set layout=…")
    return layout(known[keypoints.shape[1]])


def _write_array(folder: Path, keypoints: np.ndarray, wanted: Layout, fps: float, size: tuple[int, int]) -> None:
    _require_keypoints(keypoints, len(wanted))
    name = ({len(layout(name)): name for name in _LAYOUTS} | {len(wanted): wanted.name}).get(keypoints.shape[1])
    if name is None or any(layout(name).part(part.name) is None for part in wanted.parts):
        what = f"{keypoints.shape[1]} points" + (f" ({name})" if name else "")
        raise InputError(f"the array has {what}; the model takes {wanted.name}, [T, {len(wanted)}, 3]")
    points = keypoints.astype(np.float32)
    canonicalize(points)
    if not points[..., 2].any():
        raise InputError("the array: nobody is visible, all confidences are 0")
    if np.abs(points[..., :2]).max() <= 1:
        raise InputError("the array: no coordinate exceeds 1; expected pixels: multiply by the image's size")
    numbers = np.arange(len(points), dtype=np.int32)
    try:
        clip = Clip("array", "array", points, numbers, width=size[0], height=size[1], fps=fps)
        write_shard(folder, Header(name), [clip])
    except CacheError as error:
        raise ConfigError(str(error)) from None
