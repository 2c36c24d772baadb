"""Which figures a report has of a run and of a comparison, with their captions."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import pandas as pd
from matplotlib.figure import Figure

from skelemo.report import figures
from skelemo.report.comparison import NO_OPTIMIZER, Entry, Estimate, Ground, estimate_of
from skelemo.report.describe import FIGURES, chosen_epochs
from skelemo.runs.folder import AFFECTS, Run
from skelemo.text import count

#: Sequences drawn over time: the longest, which is a choice that looks at no score.
_SHOWN_SEQUENCES = 3

#: Shorter sequences have no course to show.
_SHORTEST = 8

#: More windows than this are thinned evenly: a line cannot show them, and the page would carry them.
_DRAWN_WINDOWS = 800


@dataclass(frozen=True)
class Plate:
    """A figure, the group it stands in, the stem of its file and what it shows."""

    group: str
    stem: str
    caption: str
    figure: Figure


def ground_plates(ground: Ground, stem: str) -> Iterator[Plate]:
    """The deciding figure of each head over all entries, where there are two or more."""
    always = ground.most_frequent()
    for head in ground.heads:
        name, title = next(iter(FIGURES[head].items()))
        entries = ground.labelled(head)
        several = len({entry.optimizer for _, entry in entries}) > 1
        found = [(_full_label(label, entry, several), entry.estimate(head, name)) for label, entry in entries]
        rows = [(label, estimate) for label, estimate in found if estimate is not None]
        if len(rows) < 2:
            continue
        reference = (f"always {always[0]}", always[1][name]) if head == "expression" and always else None
        figure = figures.forest(
            [(label, estimate.value, *_bounds(estimate)) for label, estimate in rows], title, reference
        )
        spread = _spread_meaning([estimate for _, estimate in rows])
        yield Plate(
            "comparison",
            f"{stem}_{name}",
            f"{title[0].upper()}{title[1:]} on the {ground.part} part; {spread}.",
            figure,
        )


def run_plates(run: Run, stem: str) -> Iterator[Plate]:
    """Confusion, classes, curves, agreement and time lines, as far as the run has them."""
    if "expression" in run.shown:
        head = run.shown["expression"]
        yield Plate(
            "classes",
            f"{stem}_confusion",
            f"Confusion on the {run.part} part: % of each true class, and windows.",
            figures.confusion(head["confusion"], run.classes),
        )
        yield Plate(
            "classes",
            f"{stem}_classes",
            "F1 of each class with its 95 % interval, precision and recall.",
            figures.class_bars(head["per_class"]),
        )
    if "va" in run.shown:
        yield from _affect_plates(run, stem)
    yield from _curve_plates(run, stem)


def _affect_plates(run: Run, stem: str) -> Iterator[Plate]:
    frame = run.predictions[run.predictions["part"] == run.part]
    for name in AFFECTS:
        known = frame.dropna(subset=[name])
        if len(known):
            estimate = estimate_of(run, "va", f"ccc_{name}")
            ccc = f" CCC {estimate.value:.3f}." if estimate else ""
            yield Plate(
                "affects",
                f"{stem}_{name}",
                f"True against predicted {name}, {count(len(known), 'window')}.{ccc}",
                figures.agreement(known[name], known[f"predicted_{name}"], name),
            )
    sequences = _longest(frame.dropna(subset=list(AFFECTS), how="all"))
    if sequences:
        which = f"the {len(sequences)} longest sequences" if len(sequences) > 1 else "the longest sequence"
        yield Plate("course", f"{stem}_timelines", f"Over time, in {which}.", figures.timelines(sequences, AFFECTS))


def _curve_plates(run: Run, stem: str) -> Iterator[Plate]:
    losses = {"train_loss": "training", "validation_loss": "validation"}
    scores = {"validation_macro_f1": "macro F1", "validation_ccc_mean": "mean CCC"}
    chosen = chosen_epochs(run)
    dot = " The dot is the chosen epoch." if chosen else ""
    folds = " Thin lines are folds, thick ones their mean while all train." if run.metrics["fold"].nunique() > 1 else ""
    for series, label, what in (
        (losses, "loss", "Loss"),
        (scores, "validation score", "Scores on the validation part"),
    ):
        known = {name: text for name, text in series.items() if name in run.metrics and run.metrics[name].notna().any()}
        if known:
            figure = figures.curves(run.metrics, known, label, chosen)
            yield Plate("training", f"{stem}_{label.replace(' ', '_')}", f"{what} by epoch.{dot}{folds}", figure)


def _longest(frame: pd.DataFrame) -> dict[str, pd.DataFrame]:
    """The longest sequences by name, in order of time."""
    if not len(frame):
        return {}
    sizes = frame.groupby(["fold", "sequence"], observed=True).size().reset_index(name="windows")
    sizes = sizes[sizes["windows"] >= _SHORTEST].astype({"sequence": str})
    ordered = sizes.sort_values(["windows", "sequence"], ascending=[False, True]).drop_duplicates("sequence")
    found: dict[str, pd.DataFrame] = {}
    for fold, sequence, _ in ordered.head(_SHOWN_SEQUENCES).itertuples(index=False):
        rows = frame[(frame["fold"] == fold) & (frame["sequence"] == sequence)]
        step = -(-len(rows) // _DRAWN_WINDOWS)
        found[str(sequence)] = rows.sort_values("frame").iloc[::step]
    return found


def _full_label(label: str, entry: Entry, several: bool) -> str:
    return f"{label}, {entry.optimizer}" if several and entry.optimizer != NO_OPTIMIZER else label


def _spread_meaning(estimates: Sequence[Estimate]) -> str:
    intervals = any(estimate.low is not None for estimate in estimates)
    means = any(estimate.sd is not None for estimate in estimates)
    if intervals and means:
        return "lines are 95 % intervals, of several seeds one standard deviation to either side"
    return "lines are 95 % intervals" if intervals else "lines are one standard deviation to either side"


def _bounds(estimate: Estimate) -> tuple[float, float]:
    if estimate.sd is not None:
        return estimate.value - estimate.sd, estimate.value + estimate.sd
    nan = float("nan")
    return (nan if estimate.low is None else estimate.low), (nan if estimate.high is None else estimate.high)
