"""Tables and bars that several verbs show, by rich."""

import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal, get_args, get_origin

from rich.console import Console
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

#: How often a training that writes to a file, not a screen, says how far it is.
LOG_SECONDS = 30

if TYPE_CHECKING:
    from skelemo.cache.store import Cache
    from skelemo.ingest.plan import Plan
    from skelemo.ingest.tally import Tally

FIGURES = {
    "macro_f1": "macro F1",
    "uar": "UAR",
    "accuracy": "accuracy",
    "ccc_valence": "CCC valence",
    "ccc_arousal": "CCC arousal",
    "ccc_mean": "CCC mean",
}


def table(title: str, *columns: str) -> Table:
    """A table in the house's style: first column to the left, the others to the right."""
    made = Table(title=title, title_justify="left", title_style="bold")
    for index, column in enumerate(columns):
        made.add_column(column, justify="right" if index else "left")
    return made


@contextmanager
def progress(unit: str) -> Iterator[Progress]:
    """A bar that counts, with times, on stderr."""
    columns = (
        TextColumn("{task.description}"),
        BarColumn(),
        MofNCompleteColumn(),
        TextColumn(f"{unit}  {{task.fields[note]}}"),
        TimeElapsedColumn(),
        TimeRemainingColumn(),
    )
    with Progress(*columns, console=Console(stderr=True), transient=True) as bar:
        yield bar


@contextmanager
def byte_progress(description: str) -> Iterator[Callable[[int, int], None]]:
    """A bar over bytes, with their speed; it is told how many are done, and of how many."""
    columns = (
        TextColumn("{task.description}"),
        BarColumn(),
        DownloadColumn(),
        TransferSpeedColumn(),
        TimeRemainingColumn(),
    )
    console = Console(stderr=True)
    with Progress(*columns, console=console, transient=True, disable=not console.is_terminal) as bar:
        task = bar.add_task(description, total=None)
        yield lambda done, of: bar.update(task, completed=done, total=of)


@contextmanager
def training_progress() -> Iterator[Callable[[int, int, int, int, str], None]]:
    """A bar over the epochs of all folds, with the latest figures."""
    with progress("epochs") as bar:
        task = bar.add_task("training", total=None, note="")
        told = 0.0

        def report(fold: int, folds: int, done: int, most: int, figures: str) -> None:
            nonlocal told
            name = f"fold {fold}/{folds}" if folds > 1 else "training"
            if not bar.console.is_terminal and (done == 1 or time.monotonic() - told > LOG_SECONDS):
                bar.console.print(f"{name}  epoch {done} of at most {most}  {figures}", highlight=False, soft_wrap=True)
                told = time.monotonic()
            bar.update(task, description=name, total=folds * most, completed=(fold - 1) * most + done, note=figures)

        yield report


def scores_table(out: Path, scores: Mapping[str, Mapping[str, Any]]) -> None:
    """The figures of a finished run with their intervals, and where it lies."""
    console = Console()
    shown = table(f"scores of {out}", "part", "figure", "value", "95 % interval", "people or videos")
    for part, heads in scores.items():
        for figures in heads.values():
            for name, title in FIGURES.items():
                if name in figures:
                    shown.add_row(part, title, *_figure(figures[name]), f"{figures['groups']:,}")
    console.print(shown)
    console.print(f"run folder: [bold]{out}[/]   page: skelemo report {out} --out {out}/report", highlight=False)


def ingest_table(plan: "Plan", tally: "Tally") -> None:
    """What an ingest has found: people, frames, what is missing, labels, problems."""
    console = Console()
    for note in (*plan.notes, *tally.notes):
        console.print(f"note: {note}", highlight=False, markup=False, soft_wrap=True)
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
        console.print(
            f"{problem.file}: {problem.reason}", highlight=False, markup=False, style="yellow", soft_wrap=True
        )
    if tally.problems or tally.failures:
        console.print(f"all of them: {plan.out / 'problems.csv'}", highlight=False)


def cache_table(caches: "list[Cache]") -> None:
    """What each cache holds: one column per cache."""
    shown = table("caches" if len(caches) > 1 else "cache", "", *(cache.name for cache in caches))
    for title, tell in _CACHE_FACTS.items():
        shown.add_row(title, *(tell(cache) for cache in caches))
    Console().print(shown)


_CACHE_FACTS: "dict[str, Callable[[Cache], str]]" = {
    "recordings": lambda cache: f"{len(cache.recordings):,}",
    "sequences": lambda cache: f"{len(cache.sequences):,}",
    "frames": lambda cache: f"{cache.frames:,}",
    "subjects": lambda cache: f"{len(set(cache.sequences['subject']) - {''}):,}",
    "files not read": lambda cache: f"{len(cache.problems):,}",
    "layout": lambda cache: cache.layout.name,
    "classes": lambda cache: "\n".join(cache.classes),
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
    Console().print(shown)


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
    Console().print(shown)


def _figure(figure: Mapping[str, float | None]) -> tuple[str, str]:
    value, low, high = (figure.get(name) for name in ("value", "low", "high"))
    interval = f"{low:.3f} to {high:.3f}" if low is not None and high is not None else ""
    return ("-" if value is None else f"{value:.3f}"), interval or "none: too few"
