"""A study: one training for every cell of a grid of settings, and one report of all.

Each cell is a ``skelemo train`` of its own, in its own process, so that one that fails or runs out of memory costs
nothing but itself. What has finished stays; the same study started again does the rest.
"""

import itertools
import json
import os
import subprocess
import sys
from collections.abc import Callable, Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor, as_completed
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import yaml

from skelemo.atomic import claimed, finished
from skelemo.errors import ConfigError, InputError
from skelemo.models.registry import ARCHITECTURES
from skelemo.report.report import Report, write_report
from skelemo.runs.schemas import read_user_yaml
from skelemo.text import count, file_names
from skelemo.training.config import Config, load_config

#: More cells than this are a slip of the pen.
MOST_CELLS = 10_000
_KEYS = ("base", "grid", "title")
#: Called with how many cells are done, how many there are, and what the last one came to.
Told = Callable[[int, int, str], None]


@dataclass(frozen=True)
class Cell:
    """One training of a study."""

    name: str
    settings: Mapping[str, Any]


@dataclass(frozen=True)
class Study:
    """What a study file asks for."""

    title: str
    cells: tuple[Cell, ...]


@dataclass(frozen=True)
class Outcome:
    """A study that has ended: its report, if any cell finished, and why others failed."""

    report: Report | None
    done: int
    failures: Mapping[str, str]


def read_study(file: Path, overrides: Mapping[str, Any] | None = None) -> Study:
    """Read a study file and check the settings of every cell.

    Its entries are ``base``, settings of `skelemo.training.config` or the path of a file of them, relative to the study
    file; ``grid``, a list of values for each setting that varies, or a list of such grids; and ``title``. Settings that
    vary together stand in mappings under a name of their own: ``rate: [{optimizer: adam, lr: 0.001}, …]``.

    Raises `InputError`: the file cannot be read or is no study; `ConfigError`: a cell's settings cannot be used.
    """
    content, base = read_entries(file, _KEYS)
    grids = content.get("grid", {})
    grids = [grids] if isinstance(grids, Mapping) else grids
    if not isinstance(grids, list):
        raise InputError(f"{file}: expected grid with a list of values for each that varies")
    chosen = [*_cells(file, grids)]
    _require_apart(file, chosen, overrides or {})
    names = file_names("-".join(word(key, value) for key, value in cell.items()) or "run" for cell in chosen)
    cells = []
    for name, cell in zip(names, chosen, strict=True):
        settings = combined(base, cell) | dict(overrides or {})
        try:
            ARCHITECTURES.find(load_config(None, settings).arch)
        except ConfigError as error:
            raise ConfigError(f"{file}, cell {name}: {error}") from None
        cells.append(Cell(name, settings))
    return Study(str(content.get("title", file.stem)), tuple(cells))


def read_entries(file: Path, known: Sequence[str]) -> tuple[dict[str, Any], dict[str, Any]]:
    """The entries of a study or search, and the settings of its ``base``, written there or in a file that it names.

    Raises `InputError`: a file cannot be read, or has an entry that is not ``known``.
    """
    content = read_user_yaml(file)
    if unknown := sorted(content.keys() - {*known}):
        raise InputError(f"{file}: unknown entry {unknown[0]!r}; expected {', '.join(known)}")
    base = content.get("base", {})
    if isinstance(base, str):
        place = (file.parent / base).resolve()
        if not place.is_file():
            raise InputError(f"{file}: no settings at {place}, which base names")
        base = read_user_yaml(place)
    if not isinstance(base, dict):
        raise InputError(f"{file}: expected base with settings, or the path of a file of them")
    return content, base


def combined(base: Mapping[str, Any], chosen: Mapping[str, Any]) -> dict[str, Any]:
    """The settings of ``base`` with those chosen in their place; what varies together is unpacked."""
    settings = dict(base)
    for key, value in chosen.items():
        settings |= value if _is_bundle(key, value) else {key: value}
    return settings


def _cells(file: Path, grids: Sequence[Any]) -> Iterator[dict[str, Any]]:
    """The settings of each cell, in the order of the grid; the last setting varies first."""
    total = 0
    for grid in grids:
        if not isinstance(grid, Mapping) or not all(isinstance(values, list) and values for values in grid.values()):
            raise InputError(f"{file}: a grid is a list of values for each setting, as in 'optimizer: [adam, sgd]'")
        for values in itertools.product(*grid.values()):
            total += 1
            if total > MOST_CELLS:
                raise InputError(f"{file}: the grid has more than {MOST_CELLS:,} cells")
            yield dict(zip(grid, values, strict=True))


def _require_apart(file: Path, cells: Sequence[Mapping[str, Any]], overrides: Mapping[str, Any]) -> None:
    """Refuse to set what the grid varies: its cells would all be alike, under different names."""
    varied = {
        name for cell in cells for key, value in cell.items() for name in (value if _is_bundle(key, value) else [key])
    }
    for key in overrides:
        for name in sorted(varied):
            if f"{key}.".startswith(f"{name}.") or f"{name}.".startswith(f"{key}."):
                raise ConfigError(f"--set {key}: the grid of {file} varies {name}; leave --set out, or change the file")


def _is_bundle(key: str, value: Any) -> bool:
    """Whether a value stands for several settings, and not for one that is itself a mapping."""
    return isinstance(value, Mapping) and key not in Config.model_fields


def word(key: str, value: Any) -> str:
    """A value as a word of a folder's name; of settings that vary together the first says enough."""
    if isinstance(value, Mapping):
        items = [str(item) for item in value.values()]
        return items[0] if _is_bundle(key, value) and items else "_".join(items)
    return "+".join(map(str, value)) or "all" if isinstance(value, list) else str(value)


def run_study(study: Study, out: Path, *, jobs: int = 1, told: Told = lambda *_: None) -> Outcome:
    """Train every cell that has not finished, ``jobs`` at a time, and write the report of all that have.

    ``out`` holds ``runs/CELL``, ``configs/CELL.yaml``, ``failures.json`` with the reason of each failed cell, and
    ``report/``.

    Raises `ConfigError`: ``out`` is another study's, or is being written by another process.
    """
    with claimed(out):
        for cell in study.cells:
            _write_settings(out, cell, study)
        todo = [cell for cell in study.cells if not (out / "runs" / cell.name / "scores.json").is_file()]
        done, failures = len(study.cells) - len(todo), dict[str, str]()
        told(done, len(study.cells), f"{done} finished before" if done else "")
        with ThreadPoolExecutor(jobs) as pool:
            running = {pool.submit(_train, cell, out, jobs): cell for cell in todo}
            try:
                for ended in as_completed(running):
                    cell, reason = running[ended], ended.result()
                    if reason:
                        failures[cell.name] = reason
                    done += 1
                    told(done, len(study.cells), f"{cell.name}{f': {reason}' if reason else ''}")
            except BaseException:
                for future in running:
                    future.cancel()
                raise
        with finished(out / "failures.json") as partial:
            partial.write_text(json.dumps(failures, indent=1, ensure_ascii=False) + "\n", encoding="utf-8")
        runs = [out / "runs" / cell.name for cell in study.cells if cell.name not in failures]
        report = write_report(runs, out / "report", study.title) if runs else None
    return Outcome(report, len(runs), failures)


def _write_settings(out: Path, cell: Cell, study: Study) -> None:
    """Write down the settings of a cell; `ConfigError` where others are there."""
    file = out / "configs" / f"{cell.name}.yaml"
    text = yaml.safe_dump(dict(cell.settings), sort_keys=False, allow_unicode=True)
    file.parent.mkdir(parents=True, exist_ok=True)
    if file.exists() and file.read_text(encoding="utf-8") != text:
        raise ConfigError(
            f"{file} has other settings than {study.title} gives its cell {cell.name}: take another --out"
        )
    with finished(file) as partial:
        partial.write_text(text, encoding="utf-8")


def _train(cell: Cell, out: Path, jobs: int) -> str:
    """Train a cell in a process of its own, from where it was; why it failed, or nothing."""
    run, config = out / "runs" / cell.name, out / "configs" / f"{cell.name}.yaml"
    run.parent.mkdir(parents=True, exist_ok=True)
    begun = (run / "config.yaml").exists()
    words = ["--resume"] if begun else ["--config", os.fspath(config)]
    threads = str(max(1, (os.cpu_count() or 1) // jobs))
    ended = subprocess.run(
        [sys.executable, "-m", "skelemo", "train", *words, "--out", os.fspath(run)],
        env=os.environ | ({"OMP_NUM_THREADS": threads} if jobs > 1 else {}),
        stdin=subprocess.DEVNULL,
        capture_output=True,
        text=True,
        errors="replace",
    )
    if not ended.returncode:
        return ""
    lines = [line for line in ended.stderr.splitlines() if line.strip()]
    last = lines[-1].removeprefix("Error: ") if lines else ""
    return last if ended.returncode == 2 and last else f"ended with {ended.returncode}{f': {last}' if last else ''}"


def summary(outcome: Outcome, cells: int) -> str:
    """How a study ended, in a line."""
    failed = f", {count(len(outcome.failures), 'cell')} failed" if outcome.failures else ""
    return f"{outcome.done} of {count(cells, 'cell')} trained{failed}"
