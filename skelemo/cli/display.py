"""Tables and bars that several verbs show, by rich."""

import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal, get_args, get_origin

from rich.box import SIMPLE_HEAD
from rich.filesize import decimal
from rich.progress import (
    BarColumn,
    DownloadColumn,
    MofNCompleteColumn,
    Progress,
    TextColumn,
    TimeElapsedColumn,
    TimeRemainingColumn,
    TransferSpeedColumn,
)
from rich.table import Table
from rich.text import Text

from skelemo.cli.screen import Screen, lines
from skelemo.wording import visible

#: How often work that writes to a file, not a screen, says how far it is.
LOG_SECONDS = 30
#: Caches that are shown side by side; more have a row each.
MOST_COLUMNS = 3
#: Of body_25+face_70, the layout by default; hands go into a second line.
LAYOUT_WIDTH = 15

if TYPE_CHECKING:
    from skelemo.cache.store import Cache
    from skelemo.ingest.plan import Plan
    from skelemo.ingest.tally import Tally


def table(title: str, *columns: str) -> Table:
    """A table in the house's style: first column to the left, the others to the right."""
    made = Table(title=title, title_justify="left", title_style="bold")
    for index, column in enumerate(columns):
        made.add_column(column, justify="right" if index else "left", overflow="ellipsis" if index else "fold")
    return made


Report = Callable[[int, int], None]


@contextmanager
def progress(description: str, unit: str) -> Iterator[Report]:
    """A bar on stderr over things called ``unit``; it is told how many are done, and of how many.

    Where stderr is no terminal there is no bar, but a plain line every `LOG_SECONDS`.
    """
    console = Screen(stderr=True)
    if not console.is_interactive:
        yield _log(console, lambda done, of: f"{description} {done:,} of {of:,} {unit}")
        return
    with _bar(console, unit) as bar:
        task = bar.add_task(visible(description), total=None, note="")
        yield lambda done, of: bar.update(task, completed=done, total=of)


@contextmanager
def byte_progress(description: str) -> Iterator[Report]:
    """`progress` over bytes, with their speed."""
    console = Screen(stderr=True)
    if not console.is_interactive:
        yield _log(console, lambda done, of: f"{description} {decimal(done)} of {decimal(of)}")
        return
    columns = (_DESCRIPTION, BarColumn(), DownloadColumn(), TransferSpeedColumn(), TimeRemainingColumn())
    with Progress(*columns, console=console, transient=True) as bar:
        task = bar.add_task(visible(description), total=None)
        yield lambda done, of: bar.update(task, completed=done, total=of)


@contextmanager
def training_progress() -> Iterator[Callable[[int, int, int, int, str], None]]:
    """A bar over the epochs of all folds, with the latest figures; no terminal: a line now and then, as `progress`."""
    console = Screen(stderr=True, soft_wrap=True)
    if not console.is_interactive:
        yield _epoch_log(console)
        return
    with _bar(console, "epochs") as bar:
        task = bar.add_task("training", total=None, note="")

        def report(fold: int, folds: int, done: int, most: int, figures: str) -> None:
            completed = (fold - 1) * most + done
            bar.update(task, description=_fold(fold, folds), total=folds * most, completed=completed, note=figures)

        yield report


_DESCRIPTION = TextColumn("{task.description}", markup=False)


def _bar(console: Screen, unit: str) -> Progress:
    columns = (
        _DESCRIPTION,
        BarColumn(),
        MofNCompleteColumn(),
        TextColumn(f"{unit}  {{task.fields[note]}}", markup=False),
        TimeElapsedColumn(),
        TimeRemainingColumn(),
    )
    return Progress(*columns, console=console, transient=True)


def _log(console: Screen, tell: Callable[[int, int], str]) -> Report:
    """Say how far the work is, but not in its first `LOG_SECONDS`, nor within as many of the last time."""
    told = time.monotonic()

    def report(done: int, of: int) -> None:
        nonlocal told
        if time.monotonic() - told >= LOG_SECONDS:
            told = time.monotonic()
            console.print(tell(done, of), soft_wrap=True)

    return report


def _epoch_log(console: Screen) -> Callable[[int, int, int, int, str], None]:
    """Say the first epoch of each fold, then one now and then."""
    told = 0.0

    def report(fold: int, folds: int, done: int, most: int, figures: str) -> None:
        nonlocal told
        if done == 1 or time.monotonic() - told >= LOG_SECONDS:
            told = time.monotonic()
            console.print(f"{_fold(fold, folds)}  epoch {done} of at most {most}  {figures}")

    return report


def _fold(fold: int, folds: int) -> str:
    return f"fold {fold}/{folds}" if folds > 1 else "training"


def scores_table(out: Path, scores: Mapping[str, Mapping[str, Any]]) -> None:
    """The figures of a finished run with their intervals, and where it lies."""
    from skelemo.evaluation.account import FIGURES

    console = Screen()
    shown = table(f"scores of {out}", "part", "figure", "value", "95 % interval", "people or videos")
    for part, heads in scores.items():
        for head, figures in heads.items():
            for name, title in FIGURES[head].items():
                if name in figures:
                    shown.add_row(part, title, *_figure(figures[name]), f"{figures['groups']:,}")
    console.print(shown)
    console.print(f"run folder: {out}   page: skelemo report {out} --out {out}/report")


def ingest_table(plan: "Plan", tally: "Tally") -> None:
    """What an ingest has found: people, frames, what is missing, labels, problems."""
    console = Screen()
    for note in (*plan.notes, *tally.notes):
        console.print(f"note: {note}", soft_wrap=True)
    shown = table(f"ingested into {plan.out}", "", "")
    shown.show_header = False
    shown.add_row("recordings", f"{tally.recordings:,}")
    if plan.unchanged:
        shown.add_row("  there already, unchanged", f"{plan.unchanged:,}")
    for title, count in (("sequences", tally.sequences), ("frames", tally.frames), ("people seen", tally.people)):
        shown.add_row(title, f"{count:,}")
    for part, points in tally.points.items():
        shown.add_row(f"missing points, {part}", f"{1 - tally.seen[part] / points:.1%}" if points else "-")
    for name in (*plan.header.classes, "valence, arousal"):
        if tally.labels[name]:
            shown.add_row(f"frames labelled {name}", f"{tally.labels[name]:,}")
    shown.add_row("files that could not be read", f"{tally.unread:,}")
    shown.add_row("recordings that could not be used", f"{len(tally.failures):,}")
    console.print(shown)
    for problem in (*tally.failures, *tally.problems)[:5]:
        console.print(f"{problem.file}: {problem.reason}", style="yellow", soft_wrap=True)
    if tally.problems or tally.failures:
        console.print(f"all of them: {plan.out / 'problems.csv'}")


def cache_table(caches: "list[Cache]") -> None:
    """What each cache holds: one column per cache, or, of many, one row."""
    Screen().print(_side_by_side(caches) if len(caches) <= MOST_COLUMNS else _one_below_the_other(caches))


def _side_by_side(caches: "list[Cache]") -> Table:
    shown = table("caches" if len(caches) > 1 else "cache", "", *(cache.name for cache in caches))
    for column in shown.columns[1:]:
        column.overflow = "fold"
    for title, tell in _CACHE_FACTS.items():
        shown.add_row(title, *(tell(cache) for cache in caches))
    return shown


def _one_below_the_other(caches: "list[Cache]") -> Table:
    """Without lines between columns, so that 80 characters are enough."""
    numbers = ("sequences", "frames", "hours", "labelled")
    shown = table("caches", "cache", *numbers, "layout", "simulated")
    shown.box, shown.pad_edge, shown.collapse_padding = SIMPLE_HEAD, False, True
    shown.show_edge = False
    for column in shown.columns[1:]:
        column.no_wrap = True
    layout = shown.columns[-2]
    layout.justify, layout.no_wrap, layout.overflow, layout.width = "left", False, "fold", LAYOUT_WIDTH
    for cache in caches:
        facts = (f"{len(cache.sequences):,}", f"{cache.frames:,}", _hours(cache), _labelled(cache))
        shown.add_row(cache.name, *facts, cache.layout.name, "yes" if cache.simulated else "no")
    return shown


def _hours(cache: "Cache") -> str:
    """How long it lasts, if all frame rates are known."""
    rates = cache.sequences["fps"]
    return f"{(cache.sequences['length'] / rates).sum() / 3600:,.1f}" if (rates > 0).all() else "–"


def _labelled(cache: "Cache") -> str:
    """The share of frames with a class or, if these are more, with valence or arousal."""
    *classes, _ = cache.counts.labels.sum(0).tolist()
    return f"{max(sum(classes), int(cache.counts.rated.sum())) / cache.frames:.0%}" if cache.frames else "–"


_CACHE_FACTS: "dict[str, Callable[[Cache], str | Text]]" = {
    "recordings": lambda cache: f"{len(cache.recordings):,}",
    "sequences": lambda cache: f"{len(cache.sequences):,}",
    "frames": lambda cache: f"{cache.frames:,}",
    "subjects": lambda cache: f"{len(set(cache.sequences['subject']) - {''}):,}",
    "files not read": lambda cache: f"{len(cache.problems):,}",
    "layout": lambda cache: cache.layout.name,
    "classes": lambda cache: lines(cache.classes),
    "splits": lambda cache: ", ".join(sorted({name for splits in cache.sequences["splits"] for name in splits})),
    "simulated": lambda cache: "yes" if cache.simulated else "no",
    "shards": lambda cache: f"{len(cache.shards):,}",
}


def sequences_table(cache: "Cache") -> None:
    """One row per sequence."""
    shown = table(f"sequences of {cache.name}", "sequence", "frames", "subject", "size", "fps", "splits")
    for row in cache.sequences.to_dict("records"):
        size = f"{row['width']}x{row['height']}" if row["width"] else ""
        splits = ", ".join(f"{column}={part}" for column, part in row["splits"].items())
        fps = f"{row['fps']:g}" if row["fps"] else ""
        shown.add_row(row["id"], f"{row['length']:,}", row["subject"], size, fps, splits)
    Screen().print(shown)


def settings_table() -> None:
    """Every setting of a training."""
    from skelemo.training.config import Config

    shown = Table(title="settings of skelemo train", title_justify="left")
    for column in ("setting", "default", "meaning"):
        shown.add_column(column)
    for name, field in Config.model_fields.items():
        choices = (
            [str(choice) for choice in get_args(field.annotation)] if get_origin(field.annotation) is Literal else []
        )
        meaning = ": ".join(text for text in (field.description, " | ".join(choices)) if text)
        shown.add_row(name, str(field.get_default(call_default_factory=True)), meaning)
    Screen().print(shown)


def _figure(figure: Mapping[str, float | None]) -> tuple[str, str]:
    value, low, high = (figure.get(name) for name in ("value", "low", "high"))
    interval = f"{low:.3f} to {high:.3f}" if low is not None and high is not None else ""
    return ("-" if value is None else f"{value:.3f}"), interval or "none: too few"
