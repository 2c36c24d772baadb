"""Predictions for many recordings in one file, chunk by chunk, in processes or on a Dask cluster."""

import hashlib
import json
import os
from collections.abc import Iterator
from dataclasses import dataclass, replace
from functools import lru_cache
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

import skelemo
from skelemo.atomic import finished
from skelemo.cache.store import Cache, open_cache
from skelemo.errors import SkelemoError
from skelemo.inference.base import BasePredictor, Sources, chunks, nothing_seen
from skelemo.inference.elan import require_elan
from skelemo.inference.keypoints import Keypoints, ReadOptions, Stage
from skelemo.inference.onnx import open_model
from skelemo.inference.prediction import Predicted, Request
from skelemo.inference.sources import open_source
from skelemo.inference.table import Options, has_prediction, write_tables
from skelemo.ingest import pool, worker

#: Columns of a sequence that its predictions depend on.
_FACTS = ["id", "sha256", "video", "person", "subject", "width", "height", "fps", "scale"]


@dataclass(frozen=True)
class Task:
    """What all chunks of a call share."""

    runs: tuple[Path, ...]
    allow: tuple[str, ...]
    identity: str
    options: Options
    device: str
    caches: tuple[Path, ...]
    shards: str  # hash of the caches' shards
    folder: Path
    threads: int = 0  # of a worker process; 0 for the library's default
    sources: Sources = ()  # statistics of the whole data to standardize by


@dataclass(frozen=True, eq=False)
class Chunk:
    """Sequences to predict for, as rows of the cache, and the name of their table."""

    task: Task
    number: int
    rows: np.ndarray
    key: str
    files: int  # number of frames, as `skelemo.ingest.pool` calls it


def predict_source(request: Request, model: BasePredictor, keypoints: Keypoints | None) -> Predicted:
    """The part of `predict_file` that needs the model; ``keypoints`` are those extracted from videos."""
    options, reading, overlay, out = request.options, request.reading, request.overlay, request.out
    stage, folder = request.stage, request.folder
    model.widths(options.smooth)
    where = model.choose_device(request.device)
    with open_source(request.source, model.layout, replace(reading, folder=folder), stage, keypoints) as found:
        cache = found.cache
        whole = cache if reading.person in ("all", "auto") else open_cache(cache.paths)
        if out.suffix.lower() == ".eaf":
            require_elan(cache.sequences["video"].nunique(), timed=bool((cache.sequences["fps"] > 0).all()))
        if overlay:
            videos = list(dict.fromkeys(cache.sequences["video"]))
            overlay.targets(videos), overlay.films(found, videos)
        listed = _chunks(request, model, cache, whole)
        _predict_chunks(model, whole, listed, where, reading, stage)
        rows, people, known = 0, 0, False

        def tables() -> Iterator[tuple[str, pd.DataFrame]]:
            for chunk in listed:
                yield chunk.key, pd.read_parquet(folder / f"{chunk.key}.parquet")

        def counted() -> Iterator[pd.DataFrame]:
            nonlocal rows, people, known
            for _, table in tables():
                rows, people = rows + len(table), people + len(table[["video", "person"]].drop_duplicates())
                known = known or bool(has_prediction(table, model.all_heads).any())
                yield table
            if not known:
                raise nothing_seen(model.layout, options.min_seen)

        film = request.film if request.film and request.film.is_file() else next(iter(found.films.values()), None)
        write_tables(out, counted(), model.all_heads, raw=request.raw, film=film)
        drawn: list[Path] = []
        more: list[str] = []
        if overlay:
            from skelemo.inference.overlay import draw_videos

            drawn, more = draw_videos(overlay, model.all_heads, found, tables(), folder, stage, options.every)
    notes = tuple(dict.fromkeys((*found.notes, *more)))
    return Predicted(model.description, rows, people, notes, found.failures, tuple(drawn))


def _chunks(request: Request, model: BasePredictor, cache: Cache, whole: Cache) -> list[Chunk]:
    """The chunks of a cache, as rows of the ``whole`` cache."""
    runs, caches = (tuple(Path(os.path.abspath(path)) for path in paths) for paths in (request.runs, cache.paths))
    shards = hashlib.sha256("\0".join(shard.path.name for shard in whole.shards).encode()).hexdigest()
    given = tuple(request.allow), model.identity, request.options, request.device
    task = Task(runs, *given, caches, shards, request.folder, sources=model.sources(cache))
    place, length = pd.Index(whole.sequences["id"]).get_indexer(cache.sequences["id"]), cache.sequences["length"]
    return [
        Chunk(task, number, place[rows], _key(task, whole, place[rows]), int(length.iloc[rows].sum()))
        for number, rows in enumerate(chunks(cache.sequences, by_subject=model.by_subject))
    ]


def _key(task: Task, cache: Cache, rows: np.ndarray) -> str:
    facts = cache.sequences.iloc[rows][_FACTS].to_json(orient="values", double_precision=10)
    inputs = [skelemo.__version__, task.identity, vars(task.options), facts, *task.sources]
    return hashlib.sha256(json.dumps(inputs, sort_keys=True).encode()).hexdigest()[:32]


def _predict_chunks(
    model: BasePredictor, cache: Cache, listed: list[Chunk], device: Any, reading: ReadOptions, stage: Stage
) -> None:
    """Predict the chunks without a table."""
    folder = listed[0].task.folder
    todo = [chunk for chunk in listed if not (folder / f"{chunk.key}.parquet").is_file()]
    if not todo:
        return
    processes = min(reading.jobs, len(listed)) if device.type == "cpu" else 1
    threads = max(1, model.threads // processes) if processes > 1 else 0
    todo = [replace(chunk, task=replace(chunk.task, threads=threads), number=i) for i, chunk in enumerate(todo)]
    of = sum(chunk.files for chunk in listed)
    before = of - sum(chunk.files for chunk in todo)
    with stage("predicting", "frames") as report:

        def advance(frames: int) -> None:
            report(before + frames, of)

        if reading.scheduler:
            present = folder / "present"
            present.write_bytes(b"")
            done = pool.on_cluster(do_chunk, iter(todo), reading.scheduler, todo[0].task.runs[0], present, advance)
        elif processes > 1 and len(todo) > 1:
            done = pool.in_processes(do_chunk, todo, processes, advance)
        else:
            done = pool.in_this_process(lambda chunk: _do(model, cache, chunk), iter(todo), advance)
        for _ in done:
            pass


def do_chunk(chunk: Chunk) -> Chunk:
    """Predict a chunk in a worker process, which loads the model and opens the cache once."""
    task = chunk.task
    model = _model(task.runs, task.allow, task.threads, task.identity)
    return _do(model, _cache(task.caches, task.shards), chunk)


@lru_cache(1)
def _model(runs: tuple[Path, ...], allow: tuple[str, ...], threads: int, _: str) -> BasePredictor:
    """The model, reloaded if its identity changes."""
    return open_model(runs, allow=allow, threads=threads)


@lru_cache(1)
def _cache(paths: tuple[Path, ...], _: str) -> Cache:
    return open_cache(paths)


def _do(model: BasePredictor, cache: Cache, chunk: Chunk) -> Chunk:
    task = chunk.task
    if model.identity != task.identity or _key(task, cache, chunk.rows) != chunk.key:
        raise SkelemoError("the runs or the source changed while predicting: run the same command again")

    def report(done: int, of: int) -> None:
        if worker.progress:
            worker.progress(chunk.number, chunk.files * done // of)

    table = model.adapted(task.sources).predict_cache(
        cache.only(chunk.rows), task.options, model.choose_device(task.device), report
    )
    with finished(task.folder / f"{chunk.key}.parquet") as partial:
        table.to_parquet(partial, index=False)
    return chunk
