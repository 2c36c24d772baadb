"""Finished runs to a report: one page that stands alone, the same in Markdown, tables as CSV and figures for papers."""

import json
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from difflib import get_close_matches
from pathlib import Path
from typing import Any

import pandas as pd

from skelemo import __version__
from skelemo.atomic import LOCK, PARTIAL, claimed
from skelemo.errors import ConfigError, InputError, unknown
from skelemo.report import failures, latex, overview, page, tables
from skelemo.report.comparison import Ground, compare
from skelemo.report.ensemble import fuse
from skelemo.report.importance import importance
from skelemo.report.regions import region_table
from skelemo.report.report_figures import Plate, ground_plates, run_plates
from skelemo.report.style import FORMATS, save, to_svg
from skelemo.runs.folder import Run, UnfinishedError, distinct_names, read_run, write_json
from skelemo.runs.importance import read_importance
from skelemo.runs.mistakes import read_mistakes
from skelemo.text import file_names, natural_order, safe_cells, visible

MANIFEST = "report.json"


@dataclass(frozen=True)
class Report:
    """Where a report lies and what it compares."""

    page: Path
    grounds: tuple[Ground, ...]
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
    """Write ``report.html``, ``report.md``, CSV tables and ``figures/`` about some runs into a folder.

    A folder that holds an earlier report is updated: the files that its ``report.json`` lists are replaced
    or removed. A folder that holds anything else is refused unless ``force``; nothing in it but a report's own files
    is ever touched.

    Parameters
    ----------
    runs : run folders, each shown on its test subset, or on validation where it has no other. Unfinished ones are left
        out, with a note.
    out : the folder to write.
    title : heading of the page.
    ensemble : also show the mean of all runs as a run of its own (`ensemble.fuse`).
    force : write into a folder that holds other things.
    raw : write texts into CSV as they are, also those that a spreadsheet would run as formulas.
    formats : of the figures' files: any of pdf, svg and png.
    videos : whose values are drawn over time, with the truth; the longest sequences of each run unless given.
    progress : called with the comparisons and runs that are drawn, and how many there are.

    Raises
    ------
    InputError
        A run is missing, damaged or given twice, none has finished, or the runs cannot be fused.
    ConfigError
        No run was scored on a video; an unknown format; ``out`` holds other things or is being written by another
        process.
    """
    for kind in formats:
        if kind not in FORMATS:
            raise unknown("format of figures", kind, FORMATS)
    chosen = [visible(name) for name in videos]
    with claimed(out):
        earlier = _earlier_files(out, force)
        read, notes = _finished(runs)
        for run in read:  # damage shows before anything is written
            read_importance(run.path)
            read_mistakes(run.path)
        members = [_readable(run) for run in _named(read)]
        if ensemble:
            members.append(fuse(members))
        _require_scored(chosen, members)
        grounds = compare(members)
        _write(_Writer(out, tuple(formats), earlier, raw), title or _title(members), grounds, chosen, progress)
    return Report(out / "report.html", grounds, notes)


def _finished(paths: Sequence[Path]) -> tuple[list[Run], tuple[str, ...]]:
    """The runs that have finished, and a note for each other; InputError where none has."""
    runs, notes = [], []
    for path in paths:
        try:
            runs.append(read_run(path))
        except UnfinishedError as error:
            notes.append(str(error))
    if not runs:
        raise InputError(notes[0] if notes else "a report needs at least one run folder")
    return runs, tuple(f"left out: {note}" for note in notes)


def _require_scored(videos: Sequence[str], runs: Sequence[Run]) -> None:
    """ConfigError where no run was scored on one of the videos."""
    scored = {name for run in runs for name in run.windows["video"].astype(str).unique()}
    for video in videos:
        if video not in scored:
            others = {name for run in runs for name in run.predictions["video"].astype(str).unique()}
            if video in others:
                raise ConfigError(f"video {video} is not in the shown subset of any run ({runs[0].subset})")
            near = get_close_matches(video, scored, n=3) or sorted(scored, key=natural_order)[:3]
            raise ConfigError(f"video {video}: no run was scored on this recording; available are {', '.join(near)} …")


def _readable(run: Run) -> Run:
    """The run with all its texts in characters that can be seen: names come from anywhere."""
    facts = {name: _seen(getattr(run, name)) for name in ("name", "config", "environment", "splits", "scores")}
    predictions = run.predictions.rename(columns=visible)
    for name, column in predictions.items():
        if isinstance(column.dtype, pd.CategoricalDtype) and any(map(_differs, column.cat.categories)):
            predictions[name] = column.astype(object).map(visible).astype("category")
    return replace(run, predictions=predictions, **facts)


def _differs(text: Any) -> bool:
    return isinstance(text, str) and visible(text) != text


def _seen(value: Any) -> Any:
    if isinstance(value, Mapping):
        return {_seen(key): _seen(item) for key, item in value.items()}
    if isinstance(value, list | tuple):
        return [*map(_seen, value)]
    return visible(value) if isinstance(value, str) else value


def _write(
    writer: "_Writer",
    title: str,
    grounds: tuple[Ground, ...],
    videos: Sequence[str],
    progress: Callable[[int, int], None],
) -> None:
    runs = [run for ground in grounds for run in ground.runs]
    stems = file_names(run.name.replace(" ", "-") for run in runs)
    figures = [ground_plates(ground, f"comparison_{number}") for number, ground in enumerate(grounds, 1)]
    figures += [run_plates(run, stem, videos) for run, stem in zip(runs, stems, strict=True)]
    drawn = []
    for done, plates in enumerate(figures):
        progress(done, len(figures))
        drawn.append(writer.draw(plates))
    progress(len(figures), len(figures))
    content = page.Content(
        title=title,
        written=datetime.now(UTC).strftime("%Y-%m-%d %H:%M UTC"),
        version=__version__,
        grounds=tuple(zip(grounds, drawn[: len(grounds)], strict=True)),
        runs=tuple(zip(runs, stems, drawn[len(grounds) :], strict=True)),
    )
    writer.text("report.html", page.html(content))
    writer.text("report.md", page.markdown(content))
    of_runs = {
        "summary": tables.summary(runs),
        "per_class": tables.per_class(runs),
        "by": tables.by(runs),
        "folds": tables.trainings(runs, "fold"),
        "seeds": tables.trainings(runs, "seed"),
        "settings": tables.settings(runs),
        "regions": region_table(runs),
        "overview": overview.table(grounds),
        "recordings": failures.recordings(runs),
        "importance": importance(runs),
    }
    for name, table in of_runs.items():
        if len(table):
            writer.table(f"{name}.csv", table)
    for number, ground in enumerate(grounds, 1):
        for head in ground.heads:
            writer.text(f"comparison_{number}_{head.name}.tex", latex.every_run(ground, head))
            writer.text(f"paper_{number}_{head.name}.tex", latex.paper(ground, head))
    for run, stem in zip(runs, stems, strict=True):
        for head in run.heads:
            if "confusion" in run.shown.get(head.name, {}):
                writer.table(f"confusion_{stem}_{head.name}.csv", tables.confusion(run, head).reset_index())
    writer.clean()


class _Writer:
    """Writes files into the report's folder, and signs for them, so that the next report knows its own."""

    def __init__(self, out: Path, formats: tuple[str, ...], earlier: set[str], raw: bool) -> None:
        self.out, self.formats, self.earlier, self.raw = out, formats, earlier, raw
        self.files: list[str] = []
        self.stems: list[str] = []
        self.sign()
        (out / "figures").mkdir(exist_ok=True)

    def text(self, name: str, content: str) -> None:
        self.sign(name)
        (self.out / name).write_text(content, encoding="utf-8")

    def table(self, name: str, table: pd.DataFrame) -> None:
        self.text(name, (table if self.raw else safe_cells(table)).to_csv(index=False))

    def draw(self, plates: Iterable[Plate]) -> tuple[page.Drawn, ...]:
        return tuple(map(self._draw, plates))

    def clean(self) -> None:
        """Remove what an earlier report left and this one did not write."""
        for stale in self.earlier - set(self.files):
            (self.out / stale).unlink(missing_ok=True)
        self.earlier = set()
        self.sign()

    def sign(self, *files: str) -> None:
        """List the files that are a report's, those that are about to be written too: it may be killed at any time."""
        self.files += files
        write_json(self.out / MANIFEST, {"skelemo": __version__, "files": sorted(self.earlier.union(self.files))})

    def _draw(self, plate: Plate) -> page.Drawn:
        stem = file_names([*self.stems, plate.stem])[-1]  # outputs of heads have any name
        self.stems.append(stem)
        svg = to_svg(plate.figure, plate.caption, stem)
        files = tuple(f"figures/{stem}.{kind}" for kind in self.formats)
        self.sign(*files)
        save(plate.figure, self.out / "figures" / stem, self.formats)
        return page.Drawn(plate.group, plate.caption, svg, files)


def _earlier_files(out: Path, force: bool) -> set[str]:
    """Files of an earlier report in the folder; ConfigError where the folder is someone else's."""
    if all(path.name == LOCK or path.name.startswith(PARTIAL) for path in out.iterdir()):
        return set()  # a report that was killed as it began is none
    try:
        listed = json.loads((out / MANIFEST).read_bytes())["files"]
        files = {str(name) for name in listed}
    except (OSError, ValueError, KeyError, TypeError):
        if not force:
            raise ConfigError(
                f"{out} contains files that are not a report's: choose another --out, or use --force to write next "
                f"to them"
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


def _title(runs: Sequence[Run]) -> str:
    return f"Run {runs[0].name}" if len(runs) == 1 else f"Comparison of {len(runs)} runs"
