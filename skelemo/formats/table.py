"""Export to one flat table, CSV or Parquet: a row for each frame of each sequence.

Columns: ``id video person subject``, ``split.COLUMN`` for each column of the splits, ``number``, the labels (a
column for a class, by its name, or for each value and flag), ``scale`` (``pixels``, ``unit`` or ``signed``), and for
each keypoint ``body_25.Nose.x``, ``.y`` and ``.c``. A missing point has c = 0 and empty x and y, so that averages
ignore it. Labels are empty if unlabeled.
"""

import csv
import gzip
import io
import json
from collections.abc import Iterable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import IO, Any

import numpy as np
import orjson
import pandas as pd

from skelemo.cache import sequence as cached
from skelemo.cache.store import Cache
from skelemo.formats.registry import EXPORTS
from skelemo.formats.writing import Exported, Report, choose, new_file, read_chosen
from skelemo.targets import Head, hard_labels
from skelemo.text import cell

#: Frames of a Parquet row group, and of a block of CSV.
ROWS = 16_384

_FACTS = ("id", "video", "person", "subject")
_LINE_END = "\r\n"


@EXPORTS.register("csv")
def write_csv(
    cache: Cache, out: Path, only: Sequence[str] = (), report: Report = lambda *_: None, *, raw: bool = False
) -> Exported:
    """Write a cache as CSV, compressed by gzip if the name of ``out`` ends in ``.gz``.

    Texts that a spreadsheet would run as formulas are quoted (`skelemo.text.cell`), unless ``raw``.

    Raises `CacheError`: no sequence matches, or a shard is damaged; `InputError`: ``out`` exists or cannot be
    written.
    """
    rows, done, splits = choose(cache, only), Exported(), _split_names(cache)
    with new_file(out) as partial, _opened(partial, out.suffix == ".gz") as file:
        file.write(_cells(_columns(cache, splits), raw) + b"\n")
        for sequence, block in _blocks(read_chosen(cache, rows, done, report)):
            file.write(_lines(cache, sequence, block, splits, raw))
    return done


@EXPORTS.register("parquet")
def write_parquet(cache: Cache, out: Path, only: Sequence[str] = (), report: Report = lambda *_: None) -> Exported:
    """Write a cache as Parquet (Zstandard), with ``layout`` and ``heads`` in the metadata of its schema.

    Raises as `write_csv`.
    """
    import pyarrow
    from pyarrow import parquet

    rows, done, splits = choose(cache, only), Exported(), _split_names(cache)
    schema = _schema(cache, splits)
    with new_file(out) as partial, parquet.ParquetWriter(partial, schema, compression="zstd") as writer:
        for table in _tables(cache, splits, read_chosen(cache, rows, done, report)):
            writer.write_table(pyarrow.Table.from_pandas(table, schema, preserve_index=False))
    return done


def _blocks(sequences: Iterable[cached.Sequence]) -> Iterator[tuple[cached.Sequence, slice]]:
    """Sequences in blocks of at most `ROWS` frames."""
    return ((one, slice(start, start + ROWS)) for one in sequences for start in range(0, len(one), ROWS))


def _lines(cache: Cache, one: cached.Sequence, rows: slice, splits: Sequence[str], raw: bool) -> bytes:
    """Frames as lines of CSV; numbers by orjson, the shortest that round-trip, ten times as fast."""
    facts = _cells([*(getattr(one, name) for name in _FACTS), *(one.splits.get(name, "") for name in splits)], raw)
    numbers = [b"%b,%d" % (facts, number) for number in one.number[rows].tolist()]
    labels = [_label_cells(head, _labels(one, head, rows), raw) for head in cache.heads]
    points = _numbers(_without_missing(one.keypoints[rows]).reshape(len(numbers), -1))
    columns = numbers, *labels, [one.scale.encode()] * len(numbers), points
    return b"".join(b",".join(cells) + b"\n" for cells in zip(*columns, strict=True))


def _labels(one: cached.Sequence, head: Head, rows: slice) -> np.ndarray:
    labels = one.labels.get(head.name)
    return head.unlabeled(len(one))[rows] if labels is None else labels[rows]


def _label_cells(head: Head, labels: np.ndarray, raw: bool) -> list[bytes]:
    """Labels of frames as cells, the columns of one head together; empty if unlabeled."""
    if head.kind == "classes":
        cells = [_cells([name], raw) for name in (*head.outputs, "")]
        return [cells[label] for label in hard_labels(labels).tolist()]
    if head.kind == "flags":
        return [b",".join(b"" if flag < 0 else b"%d" % flag for flag in row) for row in labels.tolist()]
    return _numbers(labels)


def _numbers(array: np.ndarray) -> list[bytes]:
    """Rows of comma-separated numbers; NaN is empty."""
    text = orjson.dumps(np.ascontiguousarray(array), option=orjson.OPT_SERIALIZE_NUMPY)
    return text[2:-2].replace(b"null", b"").split(b"],[")


def _cells(texts: Sequence[str], raw: bool) -> bytes:
    """Texts as cells of one line, quoted if necessary."""
    texts = texts if raw else [*map(cell, texts)]
    line = io.StringIO()
    # Python 3.11 quotes only the line breaks that are in the line terminator.
    csv.writer(line, lineterminator=_LINE_END).writerow(texts)
    return line.getvalue().removesuffix(_LINE_END).encode() if any(texts) else b"," * (len(texts) - 1)


def _without_missing(keypoints: np.ndarray) -> np.ndarray:
    """A copy with x and y of missing points as NaN."""
    points = keypoints.copy()
    points[..., :2][points[..., 2] == 0] = np.nan
    return points


def _schema(cache: Cache, splits: Sequence[str]) -> Any:
    import pyarrow

    words = pyarrow.dictionary(pyarrow.int32(), pyarrow.string())
    classes = [head.name for head in cache.heads if head.kind == "classes"]
    kinds = dict.fromkeys((*_FACTS, *map(_split_column, splits), *classes, "scale"), words)
    kinds["number"] = pyarrow.int32()
    fields = [(name, kinds.get(name, pyarrow.float32())) for name in _columns(cache, splits)]
    heads = json.dumps([head.to_json() for head in cache.heads])
    return pyarrow.schema(fields, {"layout": cache.layout.name, "heads": heads})


def _tables(cache: Cache, splits: Sequence[str], sequences: Iterable[cached.Sequence]) -> Iterator[pd.DataFrame]:
    """Tables of up to `ROWS` frames, of one or more sequences."""
    pieces: list[pd.DataFrame] = []
    size = 0
    for sequence, rows in _blocks(sequences):
        piece = _table(cache, sequence, rows, splits)
        if pieces and size + len(piece) > ROWS:
            yield pd.concat(pieces, ignore_index=True)
            pieces, size = [], 0
        pieces.append(piece)
        size += len(piece)
    if pieces:
        yield pd.concat(pieces, ignore_index=True)


def _table(cache: Cache, one: cached.Sequence, rows: slice, splits: Sequence[str]) -> pd.DataFrame:
    points = _without_missing(one.keypoints[rows])
    facts: dict[str, Any] = {name: getattr(one, name) for name in _FACTS}
    facts |= {_split_column(name): one.splits.get(name, "") for name in splits}
    labels: dict[str, Any] = {"number": one.number[rows]}
    for head in cache.heads:
        labels |= label_columns(head, _labels(one, head, rows))
    labels["scale"] = one.scale
    coordinates = pd.DataFrame(points.reshape(len(points), -1), columns=_coordinates(cache))
    return pd.concat([pd.DataFrame(facts | labels, index=coordinates.index), coordinates], axis=1)


def _columns(cache: Cache, splits: Sequence[str]) -> list[str]:
    labels = [name for head in cache.heads for name in label_names(head)]
    return [*_FACTS, *map(_split_column, splits), "number", *labels, "scale", *_coordinates(cache)]


def label_names(head: Head) -> tuple[str, ...]:
    """Columns of a head: its name for classes, otherwise its outputs."""
    return (head.name,) if head.kind == "classes" else head.outputs


def label_columns(head: Head, labels: np.ndarray) -> dict[str, np.ndarray]:
    """Labels as columns: class names or None, numbers or NaN."""
    if head.kind == "classes":
        return {head.name: np.array([*head.outputs, None], object)[hard_labels(labels)]}
    numbers = labels.astype(np.float32)
    if head.kind == "flags":
        numbers[labels < 0] = np.nan
    return dict(zip(head.outputs, numbers.T, strict=True))


def _split_column(name: str) -> str:
    return f"split.{name}"


def _split_names(cache: Cache) -> list[str]:
    return sorted({name for splits in cache.sequences["splits"] for name in splits})


def _coordinates(cache: Cache) -> list[str]:
    return [f"{keypoint}.{axis}" for keypoint in cache.layout.keypoints for axis in "xyc"]


@contextmanager
def _opened(path: Path, compressed: bool) -> Iterator[IO[bytes] | gzip.GzipFile]:
    """Open a file for writing, optionally through gzip without name and time, for deterministic bytes."""
    with path.open("xb") as raw:
        if not compressed:
            yield raw
            return
        with gzip.GzipFile("", "wb", 1, raw, mtime=0) as packed:
            yield packed
