"""`skelemo.show`: play skeletons in a notebook, with labels and predictions."""

import os
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from html import escape
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

from skelemo.atomic import finished
from skelemo.cache.store import Cache, open_cache
from skelemo.errors import ConfigError, InputError, unknown
from skelemo.inference.base import BasePredictor
from skelemo.inference.live.stream import LiveFrame
from skelemo.inference.sources import ReadOptions, array_layout, is_cache, open_source, require_parts
from skelemo.inference.table import Options, output_names
from skelemo.player import Clip, Track, assets, fragment, head_track
from skelemo.runs.folder import Run, read_run
from skelemo.skeleton import layout
from skelemo.targets import Head
from skelemo.text import count as counted
from skelemo.text import visible
from skelemo.view.frames import Frames
from skelemo.view.run_predictions import RunPredictions

#: Maximum number of clips in a cell, and of other people in a clip, all of which are stored in the notebook.
MOST_CLIPS, MOST_OTHERS = 20, 8
_SHOWABLE = (
    "a cache or its folder, a recording of OpenPose JSON, arrays [T, V, 3], OpenPose dictionaries, or frames "
    "from skelemo.live"
)
_PAGE = """<!doctype html>
<html lang="en"><head><meta charset="utf-8"><meta name="viewport" content="width=device-width, initial-scale=1">
<meta name="color-scheme" content="light dark"><title>{title}</title>
<style>body {{ margin: 0 auto; max-width: 44rem; padding: 1rem .5rem 2rem; }}
h1 {{ font: 600 1.3rem/1.2 "Iowan Old Style", Charter, Georgia, serif; margin: .3rem .7rem; overflow-wrap: anywhere; }}
.title:only-of-type {{ display: none; }}
@media (prefers-color-scheme: dark) {{ body {{ background: #161b20; color: #e4e7eb; }} }}</style></head>
<body><main><h1>{title}</h1>{clips}</main></body></html>
"""


@dataclass(frozen=True)
class Selection:
    """Which part of a source to show; see `show`."""

    which: tuple[str | int, ...]
    first: int
    count: int
    layout: str | None
    fps: float
    size: tuple[int, int]


@dataclass(frozen=True, eq=False, repr=False)
class Shown:
    """Clips that play in a notebook or a page."""

    clips: tuple[Clip, ...]

    def __repr__(self) -> str:
        clips = ", ".join(f"{one.title or 'clip'} ({counted(len(one.points), 'frame')})" for one in self.clips)
        return f"<{counted(len(self.clips), 'clip')}: {clips}>"

    def _repr_html_(self) -> str:
        clips = "".join(f"<p class='title'>{escape(one.title)}</p>{fragment(one)}" for one in self.clips)
        # The attribute disables JupyterLab's keyboard shortcuts.
        inline = f"<div class='skelemo-inline' data-lm-suppress-shortcuts='true'>{clips}</div>"
        return f"{assets()}{inline}<script>skelemo.start()</script>"

    def save(self, path: str | os.PathLike[str]) -> Path:
        """Write a self-contained page."""
        path = Path(path)
        with finished(path) as temporary:
            title = escape(self.clips[0].title or "clip" if len(self.clips) == 1 else counted(len(self.clips), "clip"))
            temporary.write_text(_PAGE.format(title=title, clips=self._repr_html_()), "utf-8")
        return path


def show(
    source: Any,
    *which: str | int,
    runs: Any = (),
    first: int = 0,
    count: int = 1000,
    layout: str | None = None,
    fps: float = 0.0,
    size: tuple[int, int] = (0, 0),
) -> Shown:
    """Play skeletons in a notebook, with labels and predictions below; ``.save(PATH)`` writes a page.

    Parameters
    ----------
    source : a cache or its path; a path to OpenPose JSON or anything else `predict` reads; an array ``[T, V, 3]`` or
        a list of them; OpenPose dictionaries; or a list of frames from `live`.
    which : ids, videos or rows of a cache's sequences; the first by default. Other people in the recording are drawn
        faintly.
    runs : a run folder, a model from `load`, or several. Predictions stored in a run folder (for validation and
        test) are shown as they are; otherwise its model predicts now, and the track notes if it was trained on the
        clip.
    first, count : the frames to show. They are stored in the notebook: about 700 bytes per frame and person.
    layout : of arrays; inferred from the number of points by default.
    fps, size : frames per second, width and height of the images, if the source does not specify them.

    Raises
    ------
    InputError, ConfigError, CacheError
        The source cannot be read or has no such sequence, or a run does not fit it.
    """
    selection = Selection(which, first, count, layout, fps, size)
    runs = [runs] if isinstance(runs, str | os.PathLike) or not isinstance(runs, Iterable) else list(runs)
    if selection.first < 0 or selection.count < 1:
        raise ConfigError(f"first = {selection.first}, count = {selection.count}; expected first >= 0, count >= 1")
    if isinstance(source, Cache):
        return Shown(_of_cache(source, selection, runs))
    if isinstance(source, str | os.PathLike):
        if is_cache(Path(source)):
            return Shown(_of_cache(open_cache(source), selection, runs))
        return _of_source(source, selection, runs)
    if isinstance(source, np.ndarray):
        source = [source]
    if not isinstance(source, Iterable):
        raise InputError(f"cannot show {type(source).__name__}; expected {_SHOWABLE}")
    items = list(source)
    if selection.which:
        raise ConfigError(f"{selection.which[0]!r}: only sequences of a cache or of recordings can be selected by name")
    if items and all(isinstance(one, LiveFrame) for one in items):
        return Shown((_of_live(items, selection),))
    if items and all(isinstance(one, Mapping) for one in items):
        return _of_source(items, selection, runs)
    if not items or not all(isinstance(one, np.ndarray) for one in items):
        raise InputError(f"nothing to show; expected {_SHOWABLE}")
    models = [_model(run) for run in runs]
    return Shown(tuple(_of_array(one, selection, models) for one in items[:MOST_CLIPS]))


def _of_source(source: Any, selection: Selection, runs: Sequence[Any]) -> Shown:
    """Recordings, read and tracked as by ``predict``."""
    models = [_model(run) for run in runs]
    if selection.layout:
        parts = layout(selection.layout)
    else:
        parts = models[0].layout if models else layout()
    with open_source(source, parts, ReadOptions("all", selection.fps, selection.size)) as found:
        return Shown(_of_cache(found.cache, selection, models))


def _of_cache(cache: Cache, selection: Selection, runs: Sequence[Any]) -> tuple[Clip, ...]:
    rows, frames = _rows(cache, selection.which), Frames(cache)
    tracks: dict[int, list[Track]] = {row: frames.label_tracks(row) for row in rows}
    for run in runs:
        for row, found in _predicted(cache, frames, rows, run).items():
            tracks[row] += found
    clips = []
    for row in rows:
        facts = frames.facts(row)
        first, last = _range(selection, facts["length"], facts["id"])
        heads = list(dict.fromkeys(track.head.name for track in tracks[row]))
        tracks[row].sort(key=lambda track, order=heads: order.index(track.head.name))  # type: ignore[misc]  # a lambda's default
        clips.append(Clip(
            frames.keypoints(row, first, last), cache.layout, _title(facts["id"], first, last, facts["length"]),
            facts["fps"], (int(facts["width"]), int(facts["height"])) if facts["scale"] == "pixels" else (0, 0),
            frames.numbers(row)[first:last], [_cut(track, first, last) for track in tracks[row]],
            [frames.beside(other, row, first, last) for other in frames.people(row)[:MOST_OTHERS]],
        ))  # fmt: skip
    return tuple(clips)


def _rows(cache: Cache, which: Sequence[str | int]) -> list[int]:
    """Rows of sequences by number, id or video; the first by default."""
    ids, videos = (cache.sequences[name].to_numpy(object) for name in ("id", "video"))
    rows: list[int] = []
    for one in which or (0,):
        if isinstance(one, str):
            found = np.flatnonzero(ids == one)
            found = found if len(found) else np.flatnonzero(videos == one)
            if not len(found):
                raise unknown("sequence", one, [str(name) for name in ids])
            rows += found.tolist()
        elif not 0 <= one < len(ids):
            raise ConfigError(f"sequence {one}; {cache.name} has sequences 0 to {len(ids) - 1:,}")
        else:
            rows.append(int(one))
    return list(dict.fromkeys(rows))[:MOST_CLIPS]


def _predicted(cache: Cache, frames: Frames, rows: Sequence[int], run: Any) -> dict[int, list[Track]]:
    """A run's predictions for sequences, by row: those in its folder, otherwise computed now."""
    stored: dict[int, list[Track]] = {}
    if (finished_run := _run(run)) is not None:
        predictions = RunPredictions(finished_run, cache.sequences["id"].to_numpy(object))
        stored = {row: found for row in rows if (found := predictions.tracks(row, frames.numbers(row)))}
    left = [row for row in rows if row not in stored]
    if not left:
        return stored
    model, ids = _model(run), cache.sequences["id"].tolist()
    require_parts(cache, model.layout)
    folds = finished_run.splits.get("folds", ()) if finished_run else ()
    learned = {name for fold in folds for name in fold.get("train", ())}
    subjects = cache.sequences["subject"]
    together = np.isin(np.arange(len(ids)), left)
    if model.by_subject:
        together |= subjects.isin({*subjects.iloc[left]} - {""}).to_numpy()
    model = model.adapted(model.sources(cache))
    table = model.predict_cache(cache.only(np.flatnonzero(together)), Options())
    by_clip = dict(iter(table.groupby(["video", "person"], sort=False)))
    for row in left:
        facts = frames.facts(row)
        if (rows_of := by_clip.get((facts["video"], facts["person"]))) is not None:
            name = f"{model.name} (trained on it)" if ids[row] in learned else model.name
            stored[row] = _tracks(rows_of, model.all_heads, name, frames.numbers(row))
    return stored


def _tracks(table: pd.DataFrame, heads: Sequence[Head], name: str, number: np.ndarray) -> list[Track]:
    """One person's rows of a table of predictions as tracks."""
    names = output_names(heads)
    found = []
    for head in heads:
        known = table[table[list(names[head.name])].notna().all(axis=1)]
        if len(known):
            outputs = known[list(names[head.name])].to_numpy(np.float64)
            found.append(head_track(name, head, outputs, np.searchsorted(number, known["frame"]), len(number)))
    return found


def _run(run: Any) -> Run | None:
    """A finished run; None for a model."""
    if isinstance(run, Run):
        return run
    if isinstance(run, str | os.PathLike) and (Path(run) / "scores.json").is_file():
        return read_run(Path(run))
    return None


def _model(run: Any) -> BasePredictor:
    if isinstance(run, BasePredictor):
        return run
    from skelemo.inference.onnx import open_model

    path = run.path if isinstance(run, Run) else run
    if not isinstance(path, str | os.PathLike):
        raise InputError(f"runs: {type(run).__name__}; expected a run folder or a model from skelemo.load")
    return open_model(path)


def _of_array(points: np.ndarray, selection: Selection, models: Sequence[BasePredictor]) -> Clip:
    known, order = layout(selection.layout) if selection.layout else array_layout(points), np.arange(len(points))
    tracks = []
    for model in models:
        table = model.predict(points, fps=selection.fps, size=selection.size)
        tracks += _tracks(table, model.all_heads, model.name, order)
    first, last = _range(selection, len(points), "the array")
    seen = np.where(points[..., 2:] > 0, points, 0)[first:last].astype(np.float32)
    return Clip(seen, known, _title("", first, last, len(points)), selection.fps, selection.size,
                order[first:last].astype(np.int32), [_cut(track, first, last) for track in tracks])  # fmt: skip


def _of_live(frames: Sequence[LiveFrame], selection: Selection) -> Clip:
    """Frames of a stream: the person visible in most of them with predictions, and the others."""
    last_video = [frame for frame in frames if frame.video == frames[-1].video]
    first, last = _range(selection, len(last_video), frames[-1].video)
    shown = last_video[first:last]
    people: dict[str, dict[int, Any]] = {}
    for at, frame in enumerate(shown):
        for one in frame.people:
            people.setdefault(one.name, {})[at] = one
    if not people:
        raise InputError("no person is visible in these frames")
    points = {name: np.zeros((len(shown), *next(iter(seen.values())).keypoints.shape), np.float32)
              for name, seen in people.items()}  # fmt: skip
    for name, seen in people.items():
        for at, one in seen.items():
            points[name][at] = one.keypoints
    main, *others = sorted(people, key=lambda name: -len(people[name]))
    tracks = []
    for head in shown[0].heads:
        known = [at for at, one in people[main].items() if head.name in one.outputs]
        if known:
            outputs = np.stack([people[main][at].outputs[head.name] for at in known])
            tracks.append(head_track("live", head, outputs, np.array(known), len(shown)))
    return Clip(points[main], layout(selection.layout) if selection.layout else array_layout(points[main]),
                _title(f"{shown[0].video} {main}".strip(), first, last, len(last_video)), selection.fps, selection.size,
                np.array([frame.number for frame in shown], np.int32), tracks,
                [points[name] for name in others[:MOST_OTHERS]])  # fmt: skip


def _range(selection: Selection, length: int, name: str) -> tuple[int, int]:
    """Start and end (exclusive) of the frames to show."""
    if selection.first >= length:
        raise ConfigError(f"first = {selection.first:,}: {name} has {counted(length, 'frame')}")
    return selection.first, min(selection.first + selection.count, length)


def _title(name: str, first: int, last: int, length: int) -> str:
    cut = f"frames {first:,} to {last - 1:,} of {length:,}" if last - first < length else ""
    return ", ".join(filter(None, (visible(name), cut)))


def _cut(track: Track, first: int, last: int) -> Track:
    """A track for a range of a clip's frames."""
    keep: Any = slice(first, last) if track.at is None else (track.at >= first) & (track.at < last)
    at = None if track.at is None else track.at[keep] - first
    shares = None if track.shares is None else track.shares[keep]
    return replace(track, values=track.values[keep], at=at, shares=shares)
