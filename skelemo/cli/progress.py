"""Progress: rich bars on a terminal, plain lines elsewhere."""

import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import AbstractContextManager, contextmanager
from functools import partial

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
    return _counted(description, _columns(unit), lambda done, of: f"{done:,} of {of:,} {unit}")


def byte_progress(description: str) -> AbstractContextManager[Report]:
    """`progress` over bytes, with their speed."""
    columns = (_DESCRIPTION, BarColumn(), DownloadColumn(), TransferSpeedColumn(), TimeRemainingColumn())
    return _counted(description, columns, lambda done, of: f"{decimal(done)} of {decimal(of)}")


@contextmanager
def named_progress(description: str, unit: str) -> Iterator[Callable[[int, int, str], None]]:
    """`progress` over slow items, each named as it finishes; without a terminal, one line per item."""
    with _bar(description, _columns(unit)) as (console, update):

        def report(done: int, of: int, note: str) -> None:
            if update:
                update(completed=done, total=of, note=visible(note))
            elif note:
                console.print(f"{description} {done:,} of {of:,} {unit}: {note}")

        yield report


@contextmanager
def training_progress() -> Iterator[Callable[[int, int, int, int, str], None]]:
    """A bar over the epochs of all folds, with the latest metrics.

    Without a terminal, a line per fold and epoch, with the remaining time if all epochs are needed.
    """
    begun, seen = time.monotonic(), 0  # a resumed training has earlier epochs that were not timed here
    with _bar("training", _columns("epochs")) as (console, update):

        def report(fold: int, folds: int, done: int, most: int, figures: str) -> None:
            nonlocal seen
            name = f"training {fold}/{folds}" if folds > 1 else "training"
            if update:
                counted = {"total": folds * most, "completed": (fold - 1) * most + done} if most else {}
                update(description=name, note=figures, **counted)
            elif not done:
                console.print(f"{name}  {figures}")
            else:
                seen += 1
                seconds = (time.monotonic() - begun) / seen * (folds * most - (fold - 1) * most - done)
                console.print(f"{name}  epoch {done} of {most}  {figures}  {duration(seconds)} left")

        yield report


_DESCRIPTION = TextColumn("{task.description}", markup=False)


def _columns(unit: str) -> tuple[ProgressColumn, ...]:
    note = TextColumn(f"{unit}  {{task.fields[note]}}", markup=False)
    return _DESCRIPTION, BarColumn(), MofNCompleteColumn(), note, TimeElapsedColumn(), TimeRemainingColumn()


@contextmanager
def _bar(description: str, columns: Sequence[ProgressColumn]) -> Iterator[tuple[Screen, Callable[..., None] | None]]:
    """Standard error, and a function that updates a bar on it; None if it is not a terminal."""
    console = Screen(stderr=True, soft_wrap=True)
    if not console.is_interactive:
        yield console, None
        return
    with Progress(*columns, console=console, transient=True) as bar:
        yield console, partial(bar.update, bar.add_task(visible(description), total=None, note=""))


@contextmanager
def _counted(description: str, columns: Sequence[ProgressColumn], text: Callable[[int, int], str]) -> Iterator[Report]:
    last = time.monotonic()
    with _bar(description, columns) as (console, update):

        def report(done: int, of: int) -> None:
            nonlocal last
            if update:
                update(completed=done, total=of)
            elif time.monotonic() - last >= LOG_SECONDS:
                last = time.monotonic()
                console.print(f"{description} {text(done, of)}")

        yield report
