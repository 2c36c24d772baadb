"""A cache as one flat table, in CSV or Parquet: a row for each frame of each sequence.

Columns: ``id video person subject``, ``split.COLUMN`` for each column of the splits, ``number``, ``expression`` (the
class's name), ``valence arousal``, ``scale`` (``pixels``, ``unit`` or ``signed``), and for each keypoint
``body_25.Nose.x``, ``.y`` and ``.c``. Of a missing point c is 0 and x and y are empty, so that means leave it out;
what is not labelled is empty.
"""

import gzip
import io
from collections.abc import Iterable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import IO, Any

import numpy as np
import pandas as pd

from skelemo.cache import sequence as cached
from skelemo.cache.store import Cache
from skelemo.errors import ConfigError
from skelemo.exchange.writing import Exported, Report, choose, new_file, scales, told

#: Frames of one row group of Parquet, and of one piece of CSV.
ROWS = 16_384

_FACTS = ("id", "video", "person", "subject")


def write_csv(cache: Cache, out: Path, only: Sequence[str] = (), report: Report = lambda *_: None) -> Exported:
    """Write a cache as CSV; compressed by gzip where the name of ``out`` ends in ``.gz``.

    Raises
    ------
    CacheError
        Nothing is chosen, or a shard is damaged.
    InputError
        ``out`` is there already or cannot be written.
    """
    rows, done = choose(cache, only), Exported()
    with new_file(out) as partial, _opened(partial, out.suffix == ".gz") as file:
        first = True
        for table in _tables(cache, told(cache, rows, done, report)):
            table.to_csv(file, index=False, header=first, lineterminator="\n")
            first = False
    return done


def write_parquet(cache: Cache, out: Path, only: Sequence[str] = (), report: Report = lambda *_: None) -> Exported:
    """Write a cache as Parquet, Zstandard inside, with ``layout`` and ``classes`` in the metadata of its schema.

    Raises
    ------
    ConfigError
        pyarrow is not installed.
    CacheError, InputError
        As in `write_csv`.
    """
    try:
        import pyarrow
        from pyarrow import parquet
    except ImportError:
        raise ConfigError("--to parquet needs the library pyarrow: pip install 'skelemo[parquet]'") from None
    rows, done = choose(cache, only), Exported()
    schema = _schema(cache)
    with new_file(out) as partial, parquet.ParquetWriter(partial, schema, compression="zstd") as writer:
        for table in _tables(cache, told(cache, rows, done, report)):
            writer.write_table(pyarrow.Table.from_pandas(table, schema, preserve_index=False))
    return done


def _schema(cache: Cache) -> Any:
    import json

    import pyarrow

    words = pyarrow.dictionary(pyarrow.int32(), pyarrow.string())
    kinds = {"number": pyarrow.int32()} | dict.fromkeys((*_FACTS, *_split_columns(cache), "expression", "scale"), words)
    fields = [(name, kinds.get(name, pyarrow.float32())) for name in _columns(cache)]
    return pyarrow.schema(fields, {"layout": cache.layout.name, "classes": json.dumps(cache.classes)})


def _tables(cache: Cache, sequences: Iterable[cached.Sequence]) -> Iterator[pd.DataFrame]:
    """Frames in pieces of at most `ROWS`, of as many sequences as go into one."""
    scale, size = scales(cache), 0
    pieces: list[pd.DataFrame] = []
    for sequence in sequences:
        for start in range(0, len(sequence), ROWS):
            piece = _table(cache, sequence, slice(start, start + ROWS), scale.get(sequence.video, "pixels"))
            if pieces and size + len(piece) > ROWS:
                yield pd.concat(pieces, ignore_index=True)
                pieces, size = [], 0
            pieces.append(piece)
            size += len(piece)
    if pieces:
        yield pd.concat(pieces, ignore_index=True)


def _table(cache: Cache, one: cached.Sequence, rows: slice, scale: str) -> pd.DataFrame:
    points = one.keypoints[rows].copy()
    points[..., :2][points[..., 2] == 0] = np.nan
    classes = np.array([*cache.classes, None], object)
    facts: dict[str, Any] = {name: getattr(one, name) for name in _FACTS}
    facts |= {name: one.splits.get(name.removeprefix("split."), "") for name in _split_columns(cache)}
    labels = {
        "number": one.number[rows],
        "expression": classes[one.expression[rows]],
        "valence": one.valence[rows],
        "arousal": one.arousal[rows],
        "scale": scale,
    }
    said = pd.DataFrame(facts | labels, index=range(len(points)))
    return pd.concat([said, pd.DataFrame(points.reshape(len(points), -1), columns=_coordinates(cache))], axis=1)


def _columns(cache: Cache) -> list[str]:
    labels = ("number", "expression", "valence", "arousal", "scale")
    return [*_FACTS, *_split_columns(cache), *labels, *_coordinates(cache)]


def _split_columns(cache: Cache) -> list[str]:
    return [f"split.{name}" for name in sorted({name for splits in cache.sequences["splits"] for name in splits})]


def _coordinates(cache: Cache) -> list[str]:
    return [f"{keypoint}.{axis}" for keypoint in cache.layout.keypoints for axis in "xyc"]


@contextmanager
def _opened(path: Path, compressed: bool) -> Iterator[IO[str]]:
    """A text file to write; in gzip without a name or time, so that the same table has the same bytes."""
    with path.open("xb") as raw:
        if not compressed:
            with io.TextIOWrapper(raw, "utf-8", newline="") as text:
                yield text
            return
        with gzip.GzipFile("", "wb", 1, raw, mtime=0) as packed, io.TextIOWrapper(packed, "utf-8", newline="") as text:
            yield text
