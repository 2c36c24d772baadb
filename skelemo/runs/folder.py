"""A run folder: what a training leaves behind, read for scoring and reports, and the writing of its tables.

It holds ``config.yaml`` (every setting, resolved), ``splits.json`` (which sequences were trained, validated and tested
on), ``environment.json`` (versions, device, commit, data), ``metrics.csv`` (figures by epoch; with a k-fold split in
``fold_1/`` …), ``predictions.csv.gz`` (one row per window) and ``scores.json``, which is written last: a folder that
has it is complete.
"""

import gzip
import json
import math
import re
import zlib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import yaml

from skelemo.atomic import finished
from skelemo.errors import InputError
from skelemo.runs.schemas import misfit

PARTS = ("validation", "test")
AFFECTS = ("valence", "arousal")

#: Columns of every table of predictions. A trained expression head adds ``predicted`` and ``p_<class>`` by class, a
#: trained valence-arousal head ``predicted_valence`` and ``predicted_arousal``; a head not trained adds no column.
COLUMNS = ("fold", "part", "sequence", "video", "subject", "frame", "expression", "valence", "arousal")

_TEXTS = ("part", "sequence", "video", "subject", "expression", "predicted")
_WHOLE = ("fold", "frame")


@dataclass(frozen=True, eq=False)
class Run:
    """A finished run, as its folder tells it."""

    path: Path
    config: Mapping[str, Any]
    environment: Mapping[str, Any]
    splits: Mapping[str, Any]
    metrics: pd.DataFrame  # one row per fold and epoch, sorted; empty where the model was not trained by epochs
    predictions: pd.DataFrame
    scores: Mapping[str, Mapping[str, Mapping[str, Any]]]
    name: str = ""
    members: tuple[str, ...] = ()  # names of the runs that were fused into this one

    @cached_property
    def classes(self) -> tuple[str, ...]:
        """Class names in the order of class numbers; empty for a run without an expression head."""
        return tuple(name.removeprefix("p_") for name in self.predictions.columns if name.startswith("p_"))

    @property
    def heads(self) -> tuple[str, ...]:
        """The heads that were trained, by the columns of the predictions."""
        columns = {"expression": "predicted", "va": "predicted_valence"}
        return tuple(head for head, column in columns.items() if column in self.predictions)

    @property
    def part(self) -> str:
        """The part whose figures count: test where there is one, else validation."""
        return next((part for part in reversed(PARTS) if self.scores.get(part)), "test")

    @property
    def shown(self) -> Mapping[str, Mapping[str, Any]]:
        """Scores by head in the part that counts; empty where nothing was labelled."""
        return self.scores.get(self.part, {})

    @property
    def data(self) -> Mapping[str, Any]:
        """What the run says about its data: classes, simulated, sequences, frames, caches."""
        data = self.environment.get("data")
        return data if isinstance(data, Mapping) else {}


def read_run(path: Path) -> Run:
    """Read a finished run folder.

    Raises
    ------
    InputError
        There is no such folder, it is none of a run, its training has not finished, or a file in it is damaged.
    """
    path = Path(path)
    if not path.is_dir():
        raise InputError(f"no run folder at {path}")
    if not (path / "config.yaml").is_file():
        raise InputError(f"{path} is not a run folder, it has no config.yaml{_inside(path)}")
    for name in ("environment.json", "splits.json", "predictions.csv.gz", "scores.json"):
        if not (path / name).is_file():
            raise InputError(
                f"no {name} in {path}: has the training finished? "
                f"resume it with `skelemo train` and the same options, --out {path} --resume"
            )
    run = Run(
        path=path,
        config=_read_yaml(path / "config.yaml"),
        environment=read_json(path / "environment.json"),
        splits=read_json(path / "splits.json"),
        metrics=_read_metrics(path),
        predictions=read_predictions(path / "predictions.csv.gz"),
        scores=read_json(path / "scores.json"),
        name=path.resolve().name,
    )
    _check_scores(run)
    return run


def read_predictions(path: Path) -> pd.DataFrame:
    """Read a table of predictions: names as categories, empty where unknown; numbers as float32, NaN where unknown.

    Raises
    ------
    InputError
        The file is damaged, a column is missing, or a part is neither validation nor test.
    """
    try:
        header = pd.read_csv(path, nrows=0, compression="gzip").columns
        numbers = [name for name in header if name not in (*_TEXTS, *_WHOLE)]
        types = {name: np.int64 if name in _WHOLE else "category" for name in (*_TEXTS, *_WHOLE)}
        frame = pd.read_csv(
            path,
            compression="gzip",
            dtype=types | dict.fromkeys(numbers, np.float32),
            keep_default_na=False,  # a class or a subject may be called NA
            na_values={name: ["", "nan", "NaN"] for name in numbers},
        )
    except (OSError, EOFError, ValueError, zlib.error) as error:
        raise InputError(f"{path} is damaged: {_one_line(error)}") from error
    _check_columns(frame, path)
    return frame


def write_predictions(path: Path, frame: pd.DataFrame) -> None:
    """Write a table of predictions, one row per window, as gzip CSV with `COLUMNS` first.

    Numbers are written with float32's digits, so that reading them back gives the same scores.

    Raises
    ------
    InputError
        A column is missing.
    """
    _check_columns(frame, path)
    others = [name for name in frame.columns if name not in COLUMNS]
    floats = [name for name in frame.columns if pd.api.types.is_float_dtype(frame[name].dtype) and name not in _WHOLE]
    table = frame[[*COLUMNS, *others]].astype(dict.fromkeys(floats, np.float32))
    path.parent.mkdir(parents=True, exist_ok=True)
    with (
        finished(path) as temporary,
        temporary.open("wb") as file,
        # Without a name and a time inside, the same table is the same file.
        gzip.GzipFile("", "wb", compresslevel=5, fileobj=file, mtime=0) as packed,
    ):
        table.to_csv(packed, index=False)


def read_json(path: Path) -> dict[str, Any]:
    """Read one of the JSON files of a run folder.

    Raises
    ------
    InputError
        It is missing, damaged, or not a mapping.
    """
    try:
        content = json.loads(path.read_bytes())
    except (OSError, ValueError) as error:
        raise InputError(f"{path} is damaged: {_one_line(error)}") from error
    if wrong := misfit(path.name, content):
        raise InputError(f"{path} is not what this version of skelemo writes ({wrong})")
    return dict(content)


def write_json(path: Path, content: Any) -> None:
    """Write JSON that is complete or not there at all. Numbers that JSON lacks (NaN, infinity) become null."""
    path.parent.mkdir(parents=True, exist_ok=True)
    with finished(path) as temporary:
        text = json.dumps(_plain(content), indent=1, ensure_ascii=False, allow_nan=False)
        temporary.write_text(text + "\n", encoding="utf-8")


def _plain(value: Any) -> Any:
    """The nearest thing to a value that JSON has."""
    if isinstance(value, Mapping):
        return {str(key): _plain(item) for key, item in value.items()}
    if isinstance(value, np.ndarray | np.generic):
        return _plain(value.tolist())
    if isinstance(value, list | tuple | set | frozenset):
        return [_plain(item) for item in value]
    if isinstance(value, float):
        return value if math.isfinite(value) else None
    return value if value is None or isinstance(value, str | int) else str(value)


def _check_columns(frame: pd.DataFrame, path: Path) -> None:
    heads = (("predicted",), tuple(f"predicted_{name}" for name in AFFECTS))
    missing = [name for name in COLUMNS if name not in frame]
    missing += [name for head in heads if any(n in frame for n in head) for name in head if name not in frame]
    if missing:
        raise InputError(
            f"{path}: no column {missing[0]!r} in the table of predictions, only {', '.join(frame.columns)}"
        )
    strange = set(frame["part"].unique()) - set(PARTS)
    if strange:
        raise InputError(f"{path}: the part {min(map(str, strange))!r} is none of {', '.join(PARTS)}")


def _read_yaml(path: Path) -> dict[str, Any]:
    try:
        content = yaml.safe_load(path.read_bytes())
    except (OSError, ValueError, yaml.YAMLError) as error:
        raise InputError(f"{path} is damaged: {_one_line(error)}") from error
    if not isinstance(content, dict):
        raise InputError(f"{path}: expected a mapping of settings, found {type(content).__name__}")
    return content


def _check_scores(run: Run) -> None:
    """InputError unless scores and predictions are about the same classes, and what has labels is scored."""
    frame = run.predictions
    labelled = {"expression": frame["expression"] != "", "va": frame[list(AFFECTS)].notna().any(axis=1)}
    if not run.scores and any(labelled[head].any() for head in run.heads):
        raise InputError(f"{run.path / 'scores.json'} is damaged: it has no scores, but the predictions have labels")
    for heads in run.scores.values():
        if "expression" in heads:
            scored, size = tuple(heads["expression"]["per_class"]), len(run.classes)
            widths = [len(row) for row in heads["expression"]["confusion"]]
            if scored != run.classes or widths != [size] * size:
                raise InputError(
                    f"{run.path}: scores.json is about the classes {', '.join(scored)}, "
                    f"the predictions are about {', '.join(run.classes) or 'none'}"
                )


def _read_metrics(path: Path) -> pd.DataFrame:
    """The figures by epoch of all folds in one table; those that a row of the file lacks are NaN."""
    numbered = {folder / "metrics.csv": folder.name.removeprefix("fold_") for folder in path.glob("fold_*")}
    tables = []
    for file, fold in {path / "metrics.csv": "1", **numbered}.items():
        if not file.is_file() or not fold.isdecimal():
            continue
        try:
            table = pd.read_csv(file).apply(pd.to_numeric, errors="coerce")
        except pd.errors.EmptyDataError:
            continue
        except (OSError, ValueError) as error:
            raise InputError(f"{file} is damaged: {_one_line(error)}") from error
        if "epoch" in table:
            # A logger may write the training and the validation figures of an epoch in rows of their own.
            tables.append(table.groupby("epoch", as_index=False).last().assign(fold=int(fold)))
    if not tables:
        return pd.DataFrame(columns=["fold", "epoch"])
    return pd.concat(tables, ignore_index=True).sort_values(["fold", "epoch"], ignore_index=True)


def _inside(path: Path) -> str:
    """A hint for someone who gave the folder above the runs."""
    runs: Sequence[Path] = sorted(path.glob("*/config.yaml"))
    return f"; it holds runs ({len(runs)}), give those: {runs[0].parent} …" if runs else ""


def _one_line(error: BaseException) -> str:
    return re.sub(r"\s+", " ", str(error)).strip()
