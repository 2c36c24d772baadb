"""Studies: one training for every cell of a grid of settings, and one report.

Each cell is a ``skelemo train`` in its own process, so a failure or lack of memory does not affect the others. An
interrupted study resumes with the unfinished cells.
"""

import itertools
import json
import os
import subprocess
import sys
from collections.abc import Callable, Collection, Iterable, Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor, as_completed
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import yaml

from skelemo.atomic import claimed, finished
from skelemo.errors import ConfigError, InputError
from skelemo.models.registry import ARCHITECTURES
from skelemo.report.report import Report, write_report
from skelemo.runs.yaml_settings import read_user_yaml
from skelemo.text import count, file_names
from skelemo.training.config import Config, load_config

#: Most cells of a grid.
MOST_CELLS = 10_000
_KEYS = ("base", "grid", "title")
#: Progress callback: cells done, all cells, outcome of the last one.
Progress = Callable[[int, int, str], None]


@dataclass(frozen=True)
class Cell:
    """One training of a study."""

    name: str
    settings: Mapping[str, Any]


@dataclass(frozen=True)
class Study:
    """The content of a study file."""

    title: str
    cells: tuple[Cell, ...]


@dataclass(frozen=True)
class Outcome:
    """Result of a study: the report, if any cell finished, and reasons of failures by cell."""

    report: Report | None
    done: int
    failures: Mapping[str, str]


def read_study(file: Path, overrides: Mapping[str, Any] | None = None) -> Study:
    """Read a study file and check the settings of every cell.

    Its entries are ``base``, settings of `skelemo.training.config` or the path of a file with settings, relative to the
    study file; ``grid``, a list of values for each varied setting, or a list of such grids; and ``title``. Settings
    that vary together are mappings under a name of their own: ``rate: [{optimizer: adam, lr: 0.001}, …]``.

    Raises `InputError`: the file is unreadable or not a study; `ConfigError`: invalid settings of a cell.
    """
    content, base = read_entries(file, _KEYS)
    grids = content.get("grid", {})
    grids = [grids] if isinstance(grids, Mapping) else grids
    if not isinstance(grids, list):
        raise InputError(f"{file}: expected grid with a list of values for each setting")
    chosen = [*_cells(file, grids)]
    require_fixed(file, varied(pair for cell in chosen for pair in cell.items()), overrides)
    names = file_names("-".join(word(key, value) for key, value in cell.items()) or "run" for cell in chosen)
    cells = []
    seen: dict[str, str] = {}
    for name, cell in zip(names, chosen, strict=True):
        settings = combined(base, cell) | dict(overrides or {})
        try:
            config = load_config(None, settings)
            ARCHITECTURES.find(config.arch)
        except ConfigError as error:
            raise ConfigError(f"{file}, cell {name}: {error}") from None
        if (same := seen.setdefault(config.to_yaml(), name)) != name:
            raise ConfigError(f"{file}: the cells {same} and {name} have the same settings; remove one from the grid")
        cells.append(Cell(name, settings))
    return Study(str(content.get("title", file.stem)), tuple(cells))


def read_entries(file: Path, known: Sequence[str]) -> tuple[dict[str, Any], dict[str, Any]]:
    """The entries of a study or search file, and the settings of its ``base``.

    Raises `InputError`: a file is unreadable or has an unknown entry.
    """
    content = read_user_yaml(file)
    if unknown := sorted(content.keys() - {*known}):
        raise InputError(f"{file}: unknown entry {unknown[0]!r}; expected {', '.join(known)}")
    base = content.get("base", {})
    if isinstance(base, str):
        place = (file.parent / base).resolve()
        if not place.is_file():
            raise InputError(f"{file}: base: no file at {place}")
        base = read_user_yaml(place)
    if not isinstance(base, dict):
        raise InputError(f"{file}: expected base with settings, or the path of a file with settings")
    return content, base


def combined(base: Mapping[str, Any], chosen: Mapping[str, Any]) -> dict[str, Any]:
    """The settings of ``base`` updated with those chosen, with settings that vary together unpacked."""
    settings = dict(base)
    for key, value in chosen.items():
        settings |= value if _is_bundle(key, value) else {key: value}
    return settings


def _cells(file: Path, grids: Sequence[Any]) -> Iterator[dict[str, Any]]:
    """The settings of each cell, in the order of the grid; the last setting varies first."""
    total = 0
    for grid in grids:
        if not isinstance(grid, Mapping) or not all(isinstance(values, list) and values for values in grid.values()):
            raise InputError(f"{file}: grid: expected a list of values for each setting, e.g. 'optimizer: [adam, sgd]'")
        for values in itertools.product(*grid.values()):
            total += 1
            if total > MOST_CELLS:
                raise InputError(f"{file}: the grid has more than {MOST_CELLS:,} cells")
            yield dict(zip(grid, values, strict=True))


def varied(settings: Iterable[tuple[str, Any]]) -> set[str]:
    """The names of settings, given with their values, with settings that vary together unpacked."""
    return {name for key, value in settings for name in (value if _is_bundle(key, value) else [key])}


def require_fixed(file: Path, names: Collection[str], overrides: Mapping[str, Any] | None) -> None:
    """Raise `ConfigError` for an override of a setting that a file varies."""
    for key in overrides or {}:
        for name in sorted(names):
            if _full(key).startswith(_full(name)) or _full(name).startswith(_full(key)):
                raise ConfigError(f"--set {key}: {file} varies {name}; omit --set or change the file")


def _full(key: str) -> str:
    """A setting's name, that of an architecture's setting below ``model``, with a final dot."""
    return f"{key}." if key.partition(".")[0] in Config.model_fields else f"model.{key}."


def _is_bundle(key: str, value: Any) -> bool:
    """Whether a value is several settings that vary together, rather than a setting that is a mapping."""
    return isinstance(value, Mapping) and key not in Config.model_fields


def word(key: str, value: Any) -> str:
    """A value as part of a folder name; for settings that vary together the first of them."""
    if isinstance(value, Mapping):
        items = [str(item) for item in value.values()]
        return items[0] if _is_bundle(key, value) and items else "_".join(items)
    return "+".join(map(str, value)) or "all" if isinstance(value, list) else str(value)


def run_study(study: Study, out: Path, *, jobs: int = 1, progress: Progress = lambda *_: None) -> Outcome:
    """Train all unfinished cells, ``jobs`` at a time, and write the report.

    ``out`` contains ``runs/CELL``, ``configs/CELL.yaml``, ``failures.json`` with the reasons of failures by cell, and
    ``report/``.

    Raises `ConfigError`: ``out`` belongs to another study or is being written by another process.
    """
    with claimed(out):
        for cell in study.cells:
            _write_settings(out, cell, study)
        todo = [cell for cell in study.cells if not (out / "runs" / cell.name / "scores.json").is_file()]
        done, failures, processes = len(study.cells) - len(todo), dict[str, str](), list[subprocess.Popen[str]]()
        progress(done, len(study.cells), f"{done} finished before" if done else "")
        with ThreadPoolExecutor(jobs) as pool:
            running = {pool.submit(_train, cell, out, jobs, processes): cell for cell in todo}
            try:
                for ended in as_completed(running):
                    cell, reason = running[ended], ended.result()
                    if reason:
                        failures[cell.name] = reason
                    done += 1
                    progress(done, len(study.cells), f"{cell.name}{f': {reason}' if reason else ''}")
            except BaseException:
                pool.shutdown(wait=False, cancel_futures=True)
                for process in processes:
                    process.terminate()
                raise
        with finished(out / "failures.json") as partial:
            partial.write_text(json.dumps(failures, indent=1, ensure_ascii=False) + "\n", encoding="utf-8")
        runs = [out / "runs" / cell.name for cell in study.cells if cell.name not in failures]
        report = write_report(runs, out / "report", study.title) if runs else None
    return Outcome(report, len(runs), failures)


def _write_settings(out: Path, cell: Cell, study: Study) -> None:
    """Write the settings of a cell; `ConfigError` if the file has others."""
    file = out / "configs" / f"{cell.name}.yaml"
    text = yaml.safe_dump(dict(cell.settings), sort_keys=False, allow_unicode=True)
    file.parent.mkdir(parents=True, exist_ok=True)
    if file.exists() and file.read_text(encoding="utf-8") != text:
        raise ConfigError(
            f"{file} differs from the settings of cell {cell.name} of {study.title}: choose another --out"
        )
    with finished(file) as partial:
        partial.write_text(text, encoding="utf-8")


def _train(cell: Cell, out: Path, jobs: int, processes: list[subprocess.Popen[str]]) -> str:
    """Train or resume a cell in a subprocess, added to ``processes``; returns the reason of a failure, or ""."""
    run, config = out / "runs" / cell.name, out / "configs" / f"{cell.name}.yaml"
    run.parent.mkdir(parents=True, exist_ok=True)
    begun = (run / "config.yaml").exists()
    words = ["--resume"] if begun else ["--config", os.fspath(config)]
    threads = str(max(1, (os.cpu_count() or 1) // jobs))
    process = subprocess.Popen(
        [sys.executable, "-m", "skelemo", "train", *words, "--out", os.fspath(run)],
        env=os.environ | ({"OMP_NUM_THREADS": threads} if jobs > 1 else {}),
        stdin=subprocess.DEVNULL,
        stdout=subprocess.DEVNULL,
        stderr=subprocess.PIPE,
        text=True,
        errors="replace",
    )
    processes.append(process)
    errors, code = process.communicate()[1], process.returncode
    if not code:
        return ""
    lines = [line for line in errors.splitlines() if line.strip()]
    last = lines[-1].removeprefix("Error: ") if lines else ""
    return last if code == 2 and last else f"ended with {code}{f': {last}' if last else ''}"


def summary(outcome: Outcome, cells: int) -> str:
    """One line on the outcome of a study."""
    failed = f", {count(len(outcome.failures), 'cell')} failed" if outcome.failures else ""
    return f"{outcome.done} of {count(cells, 'cell')} trained{failed}"
