"""Which figures a report has of a run and of a comparison, with their captions."""

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass

import numpy as np
import pandas as pd
from matplotlib.figure import Figure

from skelemo.evaluation.metrics import main_metric, titles
from skelemo.evaluation.rank_metrics import presence_error
from skelemo.report import figures
from skelemo.report.comparison import NO_OPTIMIZER, Entry, Estimate, Ground, estimate_in, estimate_of
from skelemo.report.describe import chosen_epochs, figure_of_output, head_title
from skelemo.report.importance import KEYPOINTS, drawings, mattered
from skelemo.report.regions import densities, error_map, has_plane, pairs
from skelemo.runs.folder import Run
from skelemo.runs.predictions import outputs_of, truth_of
from skelemo.targets import Head
from skelemo.text import count

#: Sequences drawn over time: the longest, which is a choice that looks at no score.
_SHOWN_SEQUENCES = 3

#: Outputs of a head that get a plot of their own.
_MOST_OUTPUTS = 6

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
    for head in ground.heads:
        name, always = main_metric(head), ground.most_frequent(head)
        title = titles(head)[name]
        entries = ground.labeled(head)
        several = len({entry.optimizer for _, entry in entries}) > 1
        found = [(_full_label(label, entry, several), entry.estimate(head.name, name)) for label, entry in entries]
        rows = [(label, estimate) for label, estimate in found if estimate is not None]
        if len(rows) < 2:
            continue
        reference = (f"always {always[0]}", always[1][name]) if always else None
        figure = figures.forest(
            [(label, estimate.value, *_bounds(estimate)) for label, estimate in rows], title, reference
        )
        spread = _spread_meaning([estimate for _, estimate in rows])
        yield Plate(
            "comparison",
            f"{stem}_{head.name}_{name}",
            f"{title[0].upper()}{title[1:]} on the {ground.subset} subset; {spread}.",
            figure,
        )


def run_plates(run: Run, stem: str, videos: Sequence[str] = ()) -> Iterator[Plate]:
    """Confusion, classes, agreement, time lines (of some videos, else of the longest) and curves that a run has."""
    for head in run.heads:
        if head.name in run.shown:
            yield from PLATES[head.kind](run, head, f"{stem}_{head.name}", videos)
    yield from _curve_plates(run, stem)
    for one in mattered(run):
        for end, caption, figure in drawings(one):
            yield Plate(f"{KEYPOINTS} {one.head.name}", f"{stem}_{one.head.name}_{end}", caption, figure)


def _class_plates(run: Run, head: Head, stem: str, _: Sequence[str]) -> Iterator[Plate]:
    scored = run.shown[head.name]
    what = f"{scored['unit']}s"
    yield Plate(
        f"{head.name} classes",
        f"{stem}_confusion",
        f"Confusion matrix on the {run.subset} subset: % of each true class, and {what}.",
        figures.confusion(scored["confusion"], head.outputs),
    )
    yield Plate(
        f"{head.name} classes",
        f"{stem}_classes",
        "F1 of each class with its 95 % interval, precision and recall.",
        figures.class_bars(scored["per_class"]),
    )
    truth, outputs = truth_of(run.windows, head), outputs_of(run.windows, head)
    error = (scored.get("calibration") or {}).get("value")
    known = truth >= 0
    yield Plate(
        f"{head.name} certainty",
        f"{stem}_reliability",
        "Reliability: accuracy by predicted probability."
        + ("" if error is None else f" Calibration error {error:.3f}."),
        figures.reliability(outputs[known].max(1), outputs[known].argmax(1) == truth[known], ("answers", "right")),
    )


def _flag_plates(run: Run, head: Head, stem: str, _: Sequence[str]) -> Iterator[Plate]:
    bars = {}
    for flag, found in run.shown[head.name]["per_flag"].items():
        one = estimate_in(run.shown[head.name], figure_of_output(head, "f1", flag))
        bars[flag] = found | ({"f1_low": one.low, "f1_high": one.high} if one else {})
    yield Plate(head.name, f"{stem}_flags", "F1 of each flag with its 95 % interval.", figures.class_bars(bars))
    truth, outputs = truth_of(run.windows, head), outputs_of(run.windows, head)
    known = ~np.isnan(truth)
    error = presence_error(outputs[known], truth[known] > 0.5)
    yield Plate(
        head.name,
        f"{stem}_reliability",
        f"Reliability: frequency of flags by predicted probability, all flags together. Calibration error {error:.3f}.",
        figures.reliability(outputs[known], truth[known] > 0.5, ("flags", "present")),
    )


def _value_plates(run: Run, head: Head, stem: str, videos: Sequence[str]) -> Iterator[Plate]:
    truth, predicted = truth_of(run.windows, head), outputs_of(run.windows, head)
    for index, name in enumerate(head.outputs[:_MOST_OUTPUTS]):
        known = ~np.isnan(truth[:, index])
        if known.any():
            estimate = estimate_of(run, head.name, f"ccc_{name}" if len(head) > 1 else "ccc_mean")
            ccc = f" CCC {estimate.value:.3f}." if estimate else ""
            yield Plate(
                f"{head.name} agreement",
                f"{stem}_{name}",
                f"True against predicted {name}, {count(int(known.sum()), 'window')}.{ccc}",
                figures.agreement(truth[known, index], predicted[known, index], name, head.low, head.high),
            )
    if has_plane(head) and len(both := pairs(run, head)[0]):
        group, told = f"{head.name} plane", f"{head.outputs[0]} and {head.outputs[1]}"
        yield Plate(
            group,
            f"{stem}_plane",
            f"{told[0].upper()}{told[1:]} of {count(len(both), 'window')}: labels and predictions.",
            densities(*pairs(run, head), head),
        )
        yield Plate(
            group,
            f"{stem}_plane_errors",
            "Error by region of the true values, for regions with at least ten windows: mean size and direction.",
            error_map(*pairs(run, head), head),
        )
    labeled = ~np.isnan(truth).all(1)
    series = {
        f"{kind} {name}": values[labeled, index]
        for kind, values in (("true", truth), ("predicted", predicted))
        for index, name in enumerate(head.outputs)
    }
    table = run.windows.loc[labeled, ["fold", "sequence", "video", "frame"]].assign(**series)
    sequences = _of_videos(table, videos) if videos else _longest(table)
    if sequences:
        which = f"the {len(sequences)} longest sequences" if len(sequences) > 1 else "the longest sequence"
        which = f"the chosen {'videos' if len(sequences) > 1 else 'video'}" if videos else which
        told = head_title(head)
        figure = figures.timelines(sequences, head.outputs[:2], head.low, head.high)
        yield Plate(
            f"{head.name} course", f"{stem}_timelines", f"{told[0].upper()}{told[1:]} over time, in {which}.", figure
        )


#: What is drawn of a head, by its kind.
PLATES: dict[str, Callable[[Run, Head, str, Sequence[str]], Iterator[Plate]]] = {
    "classes": _class_plates,
    "values": _value_plates,
    "flags": _flag_plates,
}


def _curve_plates(run: Run, stem: str) -> Iterator[Plate]:
    losses = {"train_loss": "training", "validation_loss": "validation"}
    scores = {f"validation_{head.name}_{main_metric(head)}": titles(head)[main_metric(head)] for head in run.heads}
    chosen = chosen_epochs(run)
    dot = " The dot marks the selected epoch." if chosen else ""
    folds = (
        " Thin lines are single trainings, the thick line is their mean while all are running."
        if run.metrics["fold"].nunique() > 1
        else ""
    )
    for series, label, what in (
        (losses, "loss", "Loss"),
        (scores, "validation score", "Scores on the validation subset"),
    ):
        known = {name: text for name, text in series.items() if name in run.metrics and run.metrics[name].notna().any()}
        if known:
            figure = figures.curves(run.metrics, known, label, chosen)
            yield Plate("training", f"{stem}_{label.replace(' ', '_')}", f"{what} by epoch.{dot}{folds}", figure)


def _of_videos(frame: pd.DataFrame, videos: Sequence[str]) -> dict[str, pd.DataFrame]:
    """The sequences of some videos by name, in order of time."""
    names, found = frame["video"].astype(str), {}
    for video in videos:
        for (fold, sequence), rows in frame[names == video].groupby(["fold", "sequence"], observed=True):
            found[f"{sequence}, fold {fold}" if str(sequence) in found else str(sequence)] = _thinned(rows)
    return found


def _thinned(rows: pd.DataFrame) -> pd.DataFrame:
    return rows.sort_values("frame").iloc[:: -(-len(rows) // _DRAWN_WINDOWS)]


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
        found[str(sequence)] = _thinned(rows)
    return found


def _full_label(label: str, entry: Entry, several: bool) -> str:
    return f"{label}, {entry.optimizer}" if several and entry.optimizer != NO_OPTIMIZER else label


def _spread_meaning(estimates: Sequence[Estimate]) -> str:
    intervals = any(estimate.low is not None for estimate in estimates)
    means = any(estimate.sd is not None for estimate in estimates)
    if intervals and means:
        return "lines are 95 % confidence intervals, or ± one standard deviation for several seeds"
    return "lines are 95 % intervals" if intervals else "lines are ± one standard deviation"


def _bounds(estimate: Estimate) -> tuple[float, float]:
    if estimate.sd is not None:
        return estimate.value - estimate.sd, estimate.value + estimate.sd
    low, high = np.array([estimate.low, estimate.high], np.float64)  # NaN where there is none
    return float(low), float(high)
