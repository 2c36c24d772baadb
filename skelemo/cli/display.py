"""Tables and bars that several verbs show, by rich."""

from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeElapsedColumn, TimeRemainingColumn
from rich.table import Table

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
    with Progress(*columns, console=Console(stderr=True)) as bar:
        yield bar


@contextmanager
def training_progress() -> Iterator[Callable[[int, int, int, int, str], None]]:
    """A bar over the epochs of all folds, with the latest figures."""
    with progress("epochs") as bar:
        task = bar.add_task("training", total=None, note="")

        def report(fold: int, folds: int, done: int, most: int, figures: str) -> None:
            name = f"fold {fold}/{folds}" if folds > 1 else "training"
            bar.update(task, description=name, total=folds * most, completed=(fold - 1) * most + done, note=figures)

        yield report


def scores_table(out: Path, scores: Mapping[str, Mapping[str, Any]]) -> None:
    """The figures of a finished run with their intervals, and where it lies."""
    console = Console()
    shown = table(f"scores of {out}", "part", "figure", "value", "95 % interval")
    for part, heads in scores.items():
        for figures in heads.values():
            for name, title in FIGURES.items():
                if name in figures:
                    shown.add_row(part, title, *_figure(figures[name]))
    console.print(shown)
    console.print(f"run folder: [bold]{out}[/]   page: skelemo report {out} --out {out}/report", highlight=False)


def settings_table() -> None:
    """Every setting of a training."""
    from skelemo.training.config import Config

    shown = Table(title="settings of skelemo train", title_justify="left")
    for column in ("setting", "default", "meaning"):
        shown.add_column(column)
    for name, field in Config.model_fields.items():
        shown.add_row(name, str(field.get_default(call_default_factory=True)), field.description or "")
    Console().print(shown)


def _figure(figure: Mapping[str, float | None]) -> tuple[str, str]:
    value, low, high = (figure.get(name) for name in ("value", "low", "high"))
    interval = f"{low:.3f} to {high:.3f}" if low is not None and high is not None else ""
    return ("-" if value is None else f"{value:.3f}"), interval
