"""Write a report on finished runs: a self-contained page, Markdown, CSV and LaTeX tables, and figures."""

import json
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from difflib import get_close_matches
from pathlib import Path
from typing import Any

import pandas as pd

from skelemo import __version__
from skelemo.atomic import LOCK, PARTIAL, claimed, finished
from skelemo.errors import ConfigError, InputError, unknown
from skelemo.report import failures, latex, overview, page, tables
from skelemo.report.comparison import Comparison, compare
from skelemo.report.ensemble import fuse
from skelemo.report.importance import importance
from skelemo.report.regions import region_table
from skelemo.report.report_figures import ReportFigure, comparison_figures, run_figures
from skelemo.report.style import FORMATS, save, to_svg
from skelemo.runs.folder import Run, UnfinishedError, distinct_names, read_run, write_json
from skelemo.runs.importance import read_importance
from skelemo.runs.mistakes import read_mistakes
from skelemo.text import file_names, natural_order, safe_cells, visible

MANIFEST = "report.json"


@dataclass(frozen=True)
class Report:
    """A written report."""

    page: Path
    comparisons: tuple[Comparison, ...]
    notes: tuple[str, ...] = ()


def write_report(
    runs: Sequence[Path],
    out: Path,
    title: str | None = None,
    *,
    ensemble: bool = False,
    force: bool = False,
    raw: bool = False,
    formats: Sequence[str] = ("svg",),
    videos: Sequence[str] = (),
    progress: Callable[[int, int], None] = lambda *_: None,
) -> Report:
    """Write ``report.html``, ``report.md``, tables and ``figures/`` for runs to a folder.

    An existing report is updated: files listed in its ``report.json`` are replaced or removed. A folder with other
    content is rejected unless ``force``; other files are never changed.

    Parameters
    ----------
    runs : run folders, shown on their test subset, or on validation without one. Unfinished runs are skipped and noted.
    out : output folder.
    title : heading of the page.
    ensemble : also show the mean of all runs' predictions as an additional run (`ensemble.fuse`).
    force : write to a folder with other content.
    raw : do not quote text in CSV that a spreadsheet would run as formulas.
    formats : formats of the figures' files: pdf, svg, png.
    videos : videos whose values are drawn over time; by default each run's longest sequences.
    progress : called with the number of finished comparisons and runs, and the total.

    Raises `InputError`: a run is missing, damaged or given twice, none has finished, or the runs cannot be
    averaged; `ConfigError`: no run was scored on a video, an unknown format, or ``out`` has other content or is being
    written by another process.
    """
    for kind in formats:
        if kind not in FORMATS:
            raise unknown("format of figures", kind, FORMATS)
    chosen = [visible(name) for name in videos]
    with claimed(out):
        earlier = _earlier_files(out, force)
        read, notes = _finished(runs)
        for run in read:  # reject damaged files before anything is written
            read_importance(run.path)
            read_mistakes(run.path)
        members = [_printable(run) for run in _named(read)]
        if ensemble:
            name = file_names([*(run.name for run in members), "ensemble"])[-1]  # a run may have this name
            members.append(replace(fuse(members), name=name))
        _require_scored(chosen, members)
        comparisons = compare(members)
        many = f"Comparison of {len(members)} runs"
        title = title or (many if len(members) > 1 else f"Run {members[0].name}")
        _write(_Writer(out, tuple(formats), earlier, raw), title, comparisons, chosen, progress)
    return Report(out / "report.html", comparisons, notes)


def _finished(paths: Sequence[Path]) -> tuple[list[Run], tuple[str, ...]]:
    """The finished runs, and a note for each other one; `InputError` without any."""
    runs, notes = [], []
    for path in paths:
        try:
            runs.append(read_run(path))
        except UnfinishedError as error:
            notes.append(str(error))
    if not runs:
        raise InputError(notes[0] if notes else "a report needs at least one run folder")
    return runs, tuple(f"skipped: {note}" for note in notes)


def _require_scored(videos: Sequence[str], runs: Sequence[Run]) -> None:
    """Raise `ConfigError` if no run was scored on one of the videos."""
    scored = {name for run in runs for name in run.windows["video"].astype(str).unique()}
    for video in videos:
        if video not in scored:
            others = {name for run in runs for name in run.predictions["video"].astype(str).unique()}
            if video in others:
                raise ConfigError(f"video {video} is not in the shown subset of any run ({runs[0].subset})")
            near = get_close_matches(video, scored, n=3) or sorted(scored, key=natural_order)[:3]
            raise ConfigError(f"video {video}: no run was scored on it; choose from {', '.join(near)} …")


def _printable(run: Run) -> Run:
    """The run with control characters in all its text escaped."""
    facts = {name: _escaped(getattr(run, name)) for name in ("name", "config", "environment", "splits", "scores")}
    predictions = run.predictions.rename(columns=visible)
    for name, column in predictions.items():
        if isinstance(column.dtype, pd.CategoricalDtype) and not pd.api.types.is_numeric_dtype(column.cat.categories):
            names = column.cat.categories.map(visible)
            if not names.equals(column.cat.categories):
                predictions[name] = column.astype(object).map(visible).astype("category")
    return replace(run, predictions=predictions, **facts)


def _escaped(value: Any) -> Any:
    if isinstance(value, Mapping):
        return {_escaped(key): _escaped(item) for key, item in value.items()}
    if isinstance(value, list | tuple):
        return [*map(_escaped, value)]
    return visible(value) if isinstance(value, str) else value


def _write(
    writer: "_Writer",
    title: str,
    comparisons: tuple[Comparison, ...],
    videos: Sequence[str],
    progress: Callable[[int, int], None],
) -> None:
    runs = [run for comparison in comparisons for run in comparison.runs]
    stems = file_names(run.name.replace(" ", "-") for run in runs)
    figures = [
        comparison_figures(comparison, f"comparison_{number}") for number, comparison in enumerate(comparisons, 1)
    ]
    figures += [run_figures(run, stem, videos) for run, stem in zip(runs, stems, strict=True)]
    drawn = []
    for done, group in enumerate(figures):
        progress(done, len(figures))
        drawn.append(tuple(map(writer.draw, group)))
    progress(len(figures), len(figures))
    content = page.Content(
        title=title,
        written=datetime.now(UTC).strftime("%Y-%m-%d %H:%M UTC"),
        version=__version__,
        comparisons=tuple(zip(comparisons, drawn[: len(comparisons)], strict=True)),
        runs=tuple(zip(runs, stems, drawn[len(comparisons) :], strict=True)),
    )
    writer.text("report.html", page.html(content))
    writer.text("report.md", page.markdown(content))
    of_runs = {
        "per_class": tables.per_class(runs),
        "by": tables.by(runs),
        "folds": tables.trainings(runs, "fold"),
        "seeds": tables.trainings(runs, "seed"),
        "settings": tables.settings(runs),
        "regions": region_table(runs),
        "overview": overview.table(comparisons),
        "recordings": failures.recordings(runs),
        "importance": importance(runs),
    }
    for name, table in of_runs.items():
        if len(table):
            writer.table(f"{name}.csv", table)
    for number, comparison in enumerate(comparisons, 1):
        for head in comparison.heads:
            writer.text(f"comparison_{number}_{head.name}.tex", latex.every_run(comparison, head))
            writer.text(f"paper_{number}_{head.name}.tex", latex.paper(comparison, head))
    for run, stem in zip(runs, stems, strict=True):
        for head in run.heads:
            if "confusion" in run.shown.get(head.name, {}):
                writer.table(f"confusion_{stem}_{head.name}.csv", tables.confusion(run, head).reset_index())
    writer.clean()


class _Writer:
    """Writes files to the report's folder and lists them in the manifest for the next update."""

    def __init__(self, out: Path, formats: tuple[str, ...], earlier: set[str], raw: bool) -> None:
        self.out, self.formats, self.earlier, self.raw = out, formats, earlier, raw
        self.files: list[str] = []
        self.stems: list[str] = []
        self.record()
        (out / "figures").mkdir(exist_ok=True)

    def text(self, name: str, content: str) -> None:
        self.record(name)
        with finished(self.out / name) as partial:
            partial.write_text(content, encoding="utf-8")

    def table(self, name: str, table: pd.DataFrame) -> None:
        self.text(name, (table if self.raw else safe_cells(table)).to_csv(index=False))

    def clean(self) -> None:
        """Remove files of an earlier report that this one did not write."""
        for stale in self.earlier - set(self.files):
            (self.out / stale).unlink(missing_ok=True)
        self.earlier = set()
        self.record()

    def record(self, *files: str) -> None:
        """Add files to the manifest before they are written, so that a killed report can be cleaned up."""
        self.files += files
        write_json(self.out / MANIFEST, {"skelemo": __version__, "files": sorted(self.earlier.union(self.files))})

    def draw(self, one: ReportFigure) -> page.Drawn:
        stem = file_names([*self.stems, one.stem])[-1]  # stems contain names of outputs
        self.stems.append(stem)
        svg = to_svg(one.figure, one.caption, stem)
        files = tuple(f"figures/{stem}.{kind}" for kind in self.formats)
        self.record(*files)
        save(one.figure, self.out / "figures" / stem, self.formats)
        return page.Drawn(one.group, one.caption, svg, files)


def _earlier_files(out: Path, force: bool) -> set[str]:
    """Files of an earlier report in the folder; `ConfigError` if it has other content."""
    if all(path.name == LOCK or path.name.startswith(PARTIAL) for path in out.iterdir()):
        return set()  # empty, or a report was killed at its start
    try:
        listed = json.loads((out / MANIFEST).read_bytes())["files"]
        files = {str(name) for name in listed}
    except (OSError, ValueError, KeyError, TypeError):
        if not force:
            raise ConfigError(
                f"{out}: contains other files: choose another --out, or use --force to write the report next to them"
            ) from None
        return set()
    root = out.resolve()
    return {name for name in files if root in (out / name).resolve().parents}


def _named(runs: Sequence[Run]) -> list[Run]:
    places = [run.path.resolve() for run in runs]
    for index, place in enumerate(places):
        if place in places[:index]:
            raise InputError(f"the run {runs[index].path} is given twice")
    return [replace(run, name=name) for run, name in zip(runs, distinct_names(runs), strict=True)]
