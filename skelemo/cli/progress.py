"""Progress: rich bars on a terminal, plain lines elsewhere."""

import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import AbstractContextManager, contextmanager, nullcontext

from rich.filesize import decimal
from rich.progress import (
    BarColumn,
    DownloadColumn,
    MofNCompleteColumn,
    Progress,
    ProgressColumn,
    TextColumn,
    TimeElapsedColumn,
    TimeRemainingColumn,
    TransferSpeedColumn,
)

from skelemo.cli.screen import Screen
from skelemo.text import duration, visible

#: Seconds between progress lines when stderr is not a terminal.
LOG_SECONDS = 30

Report = Callable[[int, int], None]


def progress(description: str, unit: str) -> AbstractContextManager[Report]:
    """A progress bar on stderr counting ``unit``; call it with the number done and the total.

    If stderr is not a terminal, it prints a plain line every `LOG_SECONDS` instead.
    """
    return _counted(description, _columns(unit), lambda done, of: f"{description} {done:,} of {of:,} {unit}")


def byte_progress(description: str) -> AbstractContextManager[Report]:
    """`progress` over bytes, with their speed."""
    columns = (_DESCRIPTION, BarColumn(), DownloadColumn(), TransferSpeedColumn(), TimeRemainingColumn())
    return _counted(description, columns, lambda done, of: f"{description} {decimal(done)} of {decimal(of)}")


@contextmanager
def _counted(description: str, columns: Sequence[ProgressColumn], line: Callable[[int, int], str]) -> Iterator[Report]:
    console = Screen(stderr=True)
    if not console.is_interactive:
        yield _log(console, line)
        return
    with Progress(*columns, console=console, transient=True) as bar:
        task = bar.add_task(visible(description), total=None, note="")
        yield lambda done, of: bar.update(task, completed=done, total=of)


@contextmanager
def named_progress(description: str, unit: str) -> Iterator[Callable[[int, int, str], None]]:
    """`progress` over slow items, each named as it finishes; without a terminal, one line per item."""
    console = Screen(stderr=True, soft_wrap=True)
    with _bar(console, unit) if console.is_interactive else nullcontext() as bar:
        task = bar.add_task(visible(description), total=None, note="") if bar else None

        def report(done: int, of: int, note: str) -> None:
            if bar and task is not None:
                bar.update(task, completed=done, total=of, note=visible(note))
            elif note:
                console.print(f"{description} {done:,} of {of:,} {unit}: {note}")

        yield report


@contextmanager
def training_progress() -> Iterator[Callable[[int, int, int, int, str], None]]:
    """A bar over the epochs of all folds, with the latest metrics; without a terminal, one line per epoch."""
    console = Screen(stderr=True, soft_wrap=True)
    if not console.is_interactive:
        yield _epoch_log(console)
        return
    with _bar(console, "epochs") as bar:
        task = bar.add_task("training", total=None, note="")

        def report(fold: int, folds: int, done: int, most: int, figures: str) -> None:
            bar.update(task, description=_fold(fold, folds), note=figures)
            if most:
                bar.update(task, total=folds * most, completed=(fold - 1) * most + done)

        yield report


_DESCRIPTION = TextColumn("{task.description}", markup=False)


def _columns(unit: str) -> tuple[ProgressColumn, ...]:
    note = TextColumn(f"{unit}  {{task.fields[note]}}", markup=False)
    return _DESCRIPTION, BarColumn(), MofNCompleteColumn(), note, TimeElapsedColumn(), TimeRemainingColumn()


def _bar(console: Screen, unit: str) -> Progress:
    return Progress(*_columns(unit), console=console, transient=True)


def _log(console: Screen, line: Callable[[int, int], str]) -> Report:
    """Print a line every `LOG_SECONDS`."""
    last = time.monotonic()

    def report(done: int, of: int) -> None:
        nonlocal last
        if time.monotonic() - last >= LOG_SECONDS:
            last = time.monotonic()
            console.print(line(done, of), soft_wrap=True)

    return report


def _epoch_log(console: Screen) -> Callable[[int, int, int, int, str], None]:
    """One line per fold start and per epoch, with the remaining time if all epochs are needed."""
    begun, seen = time.monotonic(), 0  # a resumed training has earlier epochs that were not timed here

    def report(fold: int, folds: int, done: int, most: int, figures: str) -> None:
        nonlocal seen
        if not done:
            console.print(f"{_fold(fold, folds)}  {figures}")
            return
        seen += 1
        seconds = (time.monotonic() - begun) / seen * (folds * most - (fold - 1) * most - done)
        console.print(f"{_fold(fold, folds)}  epoch {done} of {most}  {figures}  {duration(seconds)} left")

    return report


def _fold(fold: int, folds: int) -> str:
    return f"training {fold}/{folds}" if folds > 1 else "training"
