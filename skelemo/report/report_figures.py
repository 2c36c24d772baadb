"""Figures of a report, for runs and comparisons, with their captions."""

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass

import numpy as np
import pandas as pd
from matplotlib.figure import Figure

from skelemo.evaluation.bootstrap import LabeledWindows
from skelemo.evaluation.metrics import main_metric, titles
from skelemo.evaluation.rank_metrics import presence_error
from skelemo.report import figures
from skelemo.report.comparison import NO_OPTIMIZER, Comparison, Estimate
from skelemo.report.describe import chosen_epochs, figure_of_output, head_title
from skelemo.report.importance import KEYPOINTS, drawings, importances
from skelemo.report.regions import densities, error_map, has_plane, pairs
from skelemo.runs.folder import Run
from skelemo.runs.predictions import outputs_of, truth_of
from skelemo.targets import Head
from skelemo.text import capital, count

#: Number of sequences drawn over time: the longest, a choice independent of scores.
_SHOWN_SEQUENCES = 3

#: Maximum number of outputs with individual plots.
_MOST_OUTPUTS = 6

#: Minimum number of windows of a sequence drawn over time.
_SHORTEST = 8

#: Maximum number of windows of a line; more are thinned evenly to keep the page small.
_DRAWN_WINDOWS = 800


@dataclass(frozen=True)
class ReportFigure:
    """A figure, its group, the stem of its file and its caption."""

    group: str
    stem: str
    caption: str
    figure: Figure


def comparison_figures(comparison: Comparison, stem: str) -> Iterator[ReportFigure]:
    """The main metric of each head over all entries, if there are several."""
    for head in comparison.heads:
        name, always = main_metric(head), comparison.most_frequent(head)
        title = titles(head)[name]
        entries = comparison.labeled(head)
        several = len({entry.optimizer for _, entry in entries}) > 1
        rows = []
        for label, entry in entries:
            if (estimate := entry.estimate(head.name, name)) is not None:
                trained = f", {entry.optimizer}" if several and entry.optimizer != NO_OPTIMIZER else ""
                rows.append((label + trained, estimate))
        if len(rows) < 2:
            continue
        reference = (f"always {always[0]}", always[1][name]) if always else None
        figure = figures.forest(
            [(label, estimate.value, *_bounds(estimate)) for label, estimate in rows], title, reference
        )
        spread = _spread_meaning([estimate for _, estimate in rows])
        caption = f"{capital(title)} on the {comparison.subset} subset{spread}."
        yield ReportFigure("comparison", f"{stem}_{head.name}_{name}", caption, figure)


def run_figures(run: Run, stem: str, videos: Sequence[str] = ()) -> Iterator[ReportFigure]:
    """A run's confusion matrices, classes, agreement, timelines (of ``videos`` or the longest sequences) and curves."""
    for head in run.heads:
        if head.name in run.shown:
            yield from FIGURES_OF[head.kind](run, head, f"{stem}_{head.name}", videos)
    yield from _curve_figures(run, stem)
    for one in importances(run):
        for end, caption, figure in drawings(one):
            yield ReportFigure(f"{KEYPOINTS} {one.head.name}", f"{stem}_{one.head.name}_{end}", caption, figure)


def _class_figures(run: Run, head: Head, stem: str, _: Sequence[str]) -> Iterator[ReportFigure]:
    scored, group = run.shown[head.name], f"{head.name} classes"
    caption = f"Confusion matrix on the {run.subset} subset: % of each true class, and {scored['unit']}s."
    yield ReportFigure(group, f"{stem}_confusion", caption, figures.confusion(scored["confusion"], head.outputs))
    caption = "F1, precision and recall of each class."
    yield ReportFigure(group, f"{stem}_classes", caption, figures.class_bars(scored["per_class"]))
    judged = LabeledWindows.of(run.windows, head, scored["unit"] == "clip")
    truth, outputs, error = judged.truth, judged.outputs, scored.get("calibration", {}).get("value")
    caption = "Reliability: accuracy by predicted probability."
    caption += "" if error is None else f" Calibration error {error:.3f}."
    figure = figures.reliability(outputs.max(1), outputs.argmax(1) == truth, ("predictions", "correct"))
    yield ReportFigure(f"{head.name} certainty", f"{stem}_reliability", caption, figure)


def _flag_figures(run: Run, head: Head, stem: str, _: Sequence[str]) -> Iterator[ReportFigure]:
    scored, bars = run.shown[head.name], {}
    for flag, found in scored["per_flag"].items():
        one = scored[figure_of_output(head, "f1", flag)]
        bars[flag] = found | {"f1_low": one["low"], "f1_high": one["high"]}
    yield ReportFigure(head.name, f"{stem}_flags", "F1 of each flag.", figures.class_bars(bars))
    judged = LabeledWindows.of(run.windows, head, scored["unit"] == "clip")
    known = ~np.isnan(judged.truth)
    outputs, present = judged.outputs[known], judged.truth[known] > 0.5
    error = presence_error(outputs, present)
    caption = f"Reliability: frequency by predicted probability, over all flags. Calibration error {error:.3f}."
    figure = figures.reliability(outputs, present, ("flags", "present"))
    yield ReportFigure(head.name, f"{stem}_reliability", caption, figure)


def _value_figures(run: Run, head: Head, stem: str, videos: Sequence[str]) -> Iterator[ReportFigure]:
    scored = run.shown[head.name]
    judged = LabeledWindows.of(run.windows, head, scored["unit"] == "clip")
    for index, name in enumerate(head.outputs[:_MOST_OUTPUTS]):
        known = ~np.isnan(judged.truth[:, index])
        if known.any():
            value = scored.get(figure_of_output(head, "ccc", name), {}).get("value")
            ccc = "" if value is None else f" CCC {value:.3f}."
            caption = f"True against predicted {name}, {count(int(known.sum()), scored['unit'])}.{ccc}"
            pair = judged.truth[known, index], judged.outputs[known, index]
            figure = figures.agreement(*pair, name, head.low, head.high)
            yield ReportFigure(f"{head.name} agreement", f"{stem}_{name}", caption, figure)
    if has_plane(head) and len((both := pairs(run, head))[0]):
        group, names = f"{head.name} plane", " and ".join(head.outputs)
        caption = f"{capital(names)} of {count(len(both[0]), 'window')}: labels and predictions."
        yield ReportFigure(group, f"{stem}_plane", caption, densities(*both, head))
        caption = "Error by region of the true values, for regions with at least ten windows: mean size and direction."
        yield ReportFigure(group, f"{stem}_plane_errors", caption, error_map(*both, head))
    truth, predicted = truth_of(run.windows, head), outputs_of(run.windows, head)
    labeled = ~np.isnan(truth).all(1)
    series = {
        f"{kind} {name}": values[labeled, index]
        for kind, values in (("true", truth), ("predicted", predicted))
        for index, name in enumerate(head.outputs)
    }
    table = run.windows.loc[labeled, ["fold", "sequence", "video", "frame"]].assign(**series)
    sequences = _of_videos(table, videos) if videos else _longest(table)
    if sequences:
        several = len(sequences) > 1
        which = f"the {len(sequences)} longest sequences" if several else "the longest sequence"
        which = f"the chosen {'videos' if several else 'video'}" if videos else which
        figure = figures.timelines(sequences, head.outputs[:2], head.low, head.high)
        caption = f"{capital(head_title(head))} over time, in {which}."
        yield ReportFigure(f"{head.name} course", f"{stem}_timelines", caption, figure)


#: Figures of a head, by its kind.
FIGURES_OF: dict[str, Callable[[Run, Head, str, Sequence[str]], Iterator[ReportFigure]]] = {
    "classes": _class_figures,
    "values": _value_figures,
    "flags": _flag_figures,
}


def _curve_figures(run: Run, stem: str) -> Iterator[ReportFigure]:
    losses = {"train_loss": "training", "validation_loss": "validation"}
    scores = {f"validation_{head.name}_{main_metric(head)}": titles(head)[main_metric(head)] for head in run.heads}
    chosen = chosen_epochs(run)
    dot = " The dot marks the selected epoch." if chosen else ""
    folds = (
        " Thin lines are folds or seeds, the thick line is their mean while all are training."
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
            yield ReportFigure("training", f"{stem}_{label.replace(' ', '_')}", f"{what} by epoch.{dot}{folds}", figure)


def _of_videos(frame: pd.DataFrame, videos: Sequence[str]) -> dict[str, pd.DataFrame]:
    """The sequences of some videos by name, sorted by frame."""
    names, found = frame["video"].astype(str), {}
    for video in videos:
        for (fold, sequence), rows in frame[names == video].groupby(["fold", "sequence"], observed=True):
            found[f"{sequence}, fold {fold}" if str(sequence) in found else str(sequence)] = _thinned(rows)
    return found


def _thinned(rows: pd.DataFrame) -> pd.DataFrame:
    return rows.sort_values("frame").iloc[:: -(-len(rows) // _DRAWN_WINDOWS)]


def _longest(frame: pd.DataFrame) -> dict[str, pd.DataFrame]:
    """The longest sequences by name, sorted by frame."""
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


def _spread_meaning(estimates: Sequence[Estimate]) -> str:
    intervals = any(estimate.low is not None for estimate in estimates)
    means = any(estimate.sd is not None for estimate in estimates)
    if intervals and means:
        return "; lines are 95 % confidence intervals, or ± one standard deviation for several seeds"
    if intervals:
        return "; lines are 95 % confidence intervals"
    return "; lines are ± one standard deviation" if means else ""


def _bounds(estimate: Estimate) -> tuple[float, float]:
    if estimate.sd is not None:
        return estimate.value - estimate.sd, estimate.value + estimate.sd
    low, high = np.array([estimate.low, estimate.high], np.float64)  # None becomes NaN
    return float(low), float(high)
