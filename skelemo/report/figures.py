"""Figures of reports, drawn from arrays and tables."""

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
import pandas as pd
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.patches import PathPatch
from matplotlib.path import Path as Outline
from matplotlib.ticker import MaxNLocator
from numpy.typing import ArrayLike

from skelemo.report.style import BLUE, COLUMN, GREEN, HEAT, INK, MUTED, ORANGE, PAGE, canvas, name_rows, shorten, styled

#: Maximum number of classes of a confusion matrix with numbers in its cells.
_NUMBERED = 14

#: Number of shades of a confusion matrix.
_SHADES = 25

#: Minimum shade of cells with white text.
DARK = 0.7

#: Fewer windows are drawn as points, more as a density.
FEW = 400


@styled
def confusion(matrix: ArrayLike, classes: Sequence[str]) -> Figure:
    """A confusion matrix ``[C, C]``: shade and large number are the % of the true class, the small number the count.

    With many classes there is a color bar instead of numbers, and only as many names as are readable.
    """
    counts = np.asarray(matrix, dtype=np.int64)
    support = counts.sum(1)
    shares = counts / np.maximum(support, 1)[:, None]
    size = len(classes)
    cell = _pitch(size)
    many = size > _NUMBERED
    names = [shorten(name, 18) for name in classes]
    widest = max(map(len, names))
    figure, (axes,) = canvas(cell * size + 0.55 + 0.075 * widest + many * 0.6, cell * size + 0.45 + 0.055 * widest)

    corners = np.array([[0.02, 0.02], [0.98, 0.02], [0.98, 0.98], [0.02, 0.98], [0.02, 0.02]]) - 0.5
    shade = np.ceil(shares * _SHADES - 1e-9).astype(int)
    rows, columns = np.nonzero(counts)
    for level in np.unique(shade[rows, columns]):  # one outline per shade keeps the file small
        cells = np.argwhere((shade == level) & (counts > 0))[:, ::-1]
        outlines = [Outline(cell + corners, closed=True) for cell in cells]
        squares = Outline.make_compound_path(*outlines)
        axes.add_patch(PathPatch(squares, facecolor=(HEAT, level / _SHADES), linewidth=0))
    if many:
        _color_bar(axes)
    else:
        for row, column in zip(rows.tolist(), columns.tolist(), strict=True):
            _cell_text(axes, row, column, shares[row, column], counts[row, column])
    for row in np.flatnonzero(support == 0).tolist():
        text = "none of this class" if cell > 0.1 else ""
        axes.text((size - 1) / 2, row, text, ha="center", va="center", color=MUTED, fontsize=6.5)
    axes.set(xlim=(-0.5, size - 0.5), ylim=(size - 0.5, -0.5), aspect="equal", xlabel="predicted", ylabel="true")
    written = _readable(size)
    shown = [names[place] for place in written]
    axes.set_xticks(written, shown, rotation=90 if many else 40, rotation_mode="anchor", ha="right", color=INK)
    for label in axes.get_xticklabels() if many else ():
        label.set_verticalalignment("center")
    axes.set_yticks(written, shown, color=INK)
    axes.grid(False)
    axes.tick_params(length=0)
    axes.spines[:].set_visible(False)
    return figure


@styled
def class_bars(per_class: Mapping[str, Mapping[str, Any]]) -> Figure:
    """F1 of each class with its interval, and precision and recall as marks."""
    names = list(per_class)
    figure, (axes,) = canvas(COLUMN, 0.55 + _pitch(len(names)) * len(names))
    values = {key: np.array([per_class[name].get(key) for name in names], np.float64) for key in _CLASS_KEYS}
    places = np.arange(len(names))
    axes.barh(places, np.nan_to_num(values["f1"]), height=0.5, color=BLUE, alpha=0.3, linewidth=0)
    axes.hlines(places, values["f1_low"], values["f1_high"], color=BLUE, linewidth=1.4)
    marks = {"f1": ("|", BLUE), "precision": ("o", ORANGE), "recall": ("D", GREEN)}
    for key, (marker, color) in marks.items():
        if np.isnan(values[key]).all():
            continue
        size = 7 if key == "f1" else 3.2
        bounded = key == "f1" and not np.isnan(values["f1_low"]).all()
        axes.plot(values[key], places, marker, color=color, markersize=size, markeredgewidth=1.4, clip_on=False,
                  label=f"{_TITLES[key]} and 95 % interval" if bounded else _TITLES[key])  # fmt: skip
    axes.set(xlim=(0, 1.0), ylim=(len(names) - 0.5, -0.5))
    written = _readable(len(names))
    name_rows(axes, written, [shorten(names[place], 18) for place in written])
    figure.legend(loc="outside upper right", ncols=3, handletextpad=0.3, columnspacing=1.2)
    return figure


@styled
def reliability(probability: ArrayLike, correct: ArrayLike, what: tuple[str, str], bins: int = 10) -> Figure:
    """A reliability diagram: observed frequency by predicted probability ``[N]``; below the diagonal: overconfident.

    ``what`` are a plural noun and an adjective for the legend, such as ``predictions`` that are ``correct``; gray steps
    are the share of predictions in each bin.
    """
    probability, correct = np.asarray(probability, np.float64), np.asarray(correct, np.float64)
    cells = np.minimum((probability * bins).astype(int), bins - 1)
    count = np.bincount(cells, minlength=bins)
    share = np.divide(np.bincount(cells, correct, bins), count, out=np.full(bins, np.nan), where=count > 0)
    edges = np.linspace(0, 1, bins + 1)
    figure, (axes,) = canvas(COLUMN, 2.4)
    axes.stairs(count / max(count.sum(), 1), edges, color=MUTED, alpha=0.25, fill=True, label=f"share of {what[0]}")
    axes.bar(edges[:-1] + 0.5 / bins, np.nan_to_num(share), 0.8 / bins, color=BLUE, alpha=0.6, label=what[1])
    axes.plot([0, 1], [0, 1], "--", color=ORANGE, linewidth=1.2, label="calibrated")
    axes.set(xlim=(0, 1), ylim=(0, 1.02), xlabel="predicted probability", ylabel=f"share {what[1]}")
    figure.legend(loc="outside upper right", ncols=3, handletextpad=0.4, columnspacing=1.2)
    return figure


@styled
def curves(metrics: pd.DataFrame, series: Mapping[str, str], label: str, chosen: Mapping[int, int]) -> Figure:
    """Metrics by epoch: a thin line per fold, and a thick one for the mean while all folds are training.

    Parameters
    ----------
    metrics : table with columns ``fold``, ``epoch`` (from 0; drawn from 1) and those of ``series``.
    series : names of lines by column.
    label : label of the vertical axis.
    chosen : selected epoch by fold, marked by a dot.
    """
    figure, (axes,) = canvas(COLUMN, 2.3)
    several = metrics["fold"].nunique() > 1
    for (column, name), color in zip(series.items(), (BLUE, ORANGE, GREEN), strict=False):
        table = metrics.pivot_table(index="epoch", columns="fold", values=column)
        for fold, values in table.items():
            width, alpha = (0.6, 0.45) if several else (1.4, 1.0)
            label_here = None if several else name
            axes.plot(values.index + 1, values, color=color, label=label_here, linewidth=width, alpha=alpha)
            epoch = chosen.get(int(str(fold)), -1)
            if epoch in values.index:
                axes.plot(epoch + 1, values[epoch], "o", color=color, markersize=2.2 if several else 4)
        if several:
            mean = table.dropna().mean(axis=1)
            axes.plot(mean.index + 1, mean, color=color, linewidth=1.8, label=name)
    axes.set(xlabel="epoch", ylabel=label)
    axes.xaxis.set_major_locator(MaxNLocator(integer=True))
    figure.legend(loc="outside upper right", ncols=3, handlelength=1.4, columnspacing=1.2)
    return figure


@styled
def agreement(truth: ArrayLike, predicted: ArrayLike, name: str, low: float, high: float) -> Figure:
    """Prediction ``[N]`` against truth ``[N]``, both in [low, high]; on the dashed line they are equal."""
    x, y = np.asarray(truth, np.float64), np.asarray(predicted, np.float64)
    figure, (axes,) = canvas(COLUMN * 0.95, COLUMN * 0.95)
    edge = 0.01 * (high - low)
    limits = (low - edge, high + edge)
    axes.set(xlim=limits, ylim=limits, aspect="equal", xlabel=f"true {name}", ylabel=f"predicted {name}")
    axes.set_xticks(np.linspace(low, high, 5))
    axes.set_yticks(np.linspace(low, high, 5))
    if len(x) < FEW:
        axes.plot(x, y, "o", color=HEAT, alpha=0.5, markersize=3, markeredgewidth=0)
    else:
        density(axes, x, y, low, high)
    axes.plot([low, high], [low, high], color=MUTED, linewidth=0.8, dashes=(4, 3))
    return figure


@styled
def timelines(sequences: Mapping[str, pd.DataFrame], names: Sequence[str], low: float, high: float) -> Figure:
    """True and predicted values over time, one row per sequence.

    ``sequences`` are sorted tables with columns ``frame``, and ``true <name>`` and ``predicted <name>`` for each name.
    """
    rows = len(sequences)
    figure, grid = canvas(PAGE, 0.55 + 1.15 * rows, rows, len(names), sharex="row", sharey=True)
    for row, (title, table) in enumerate(sequences.items()):
        for column, name in enumerate(names):
            axes = grid[row * len(names) + column]
            axes.plot(table["frame"], table[f"true {name}"], color=INK, linewidth=1.2, label="true")
            axes.plot(table["frame"], table[f"predicted {name}"], color=ORANGE, linewidth=1.2, label="predicted")
            axes.set(
                ylim=(low - 0.025 * (high - low), high + 0.025 * (high - low)), yticks=[low, (low + high) / 2, high]
            )
            axes.xaxis.set_major_locator(MaxNLocator(6, integer=True))
            axes.set_title(shorten(title, 44) if column == 0 else "", color=MUTED, fontsize=7)
            axes.set_ylabel(name)
            if row == rows - 1:
                axes.set_xlabel("frame")
    lines, labels = grid[0].get_legend_handles_labels()
    figure.legend(lines, labels, loc="outside upper right", ncols=2, handlelength=1.4)
    return figure


@styled
def forest(rows: Sequence[tuple[str, float, float, float]], label: str, reference: tuple[str, float] | None) -> Figure:
    """A dot with an interval for each ``(name, value, low, high)``, from top to bottom; NaN bounds are not drawn.

    ``reference`` is a named baseline.
    """
    names = [shorten(row[0], 36) for row in rows]
    figure, (axes,) = canvas(2.1 + 0.062 * max(map(len, names)), 0.62 + 0.22 * len(rows))
    places = np.arange(len(rows))
    value, low, high = np.array([row[1:] for row in rows], dtype=np.float64).T
    axes.hlines(places, low, high, color=BLUE, linewidth=1.6)
    axes.plot(value, places, "o", color=BLUE, markersize=4.5)
    if reference is not None:
        axes.axvline(reference[1], color=ORANGE, linewidth=1, dashes=(3, 2))
        axes.annotate(
            reference[0],
            (reference[1], 1),
            xycoords=("data", "axes fraction"),
            xytext=(0, 2),
            textcoords="offset points",
            ha="center",
            color=ORANGE,
            fontsize=6.5,
        )
    axes.set(ylim=(len(rows) - 0.5, -0.5), xlabel=label)
    name_rows(axes, places, names)
    axes.margins(x=0.08)
    return figure


_TITLES = {"f1": "F1", "precision": "precision", "recall": "recall"}
_CLASS_KEYS = ("f1", "f1_low", "f1_high", "precision", "recall")


def _pitch(classes: int) -> float:
    """Height of a class in inches, the same in all figures."""
    return float(np.interp(classes, [7, 12, 24, 60, 200], [0.4, 0.33, 0.21, 0.12, 0.04]))


def _readable(classes: int) -> list[int]:
    """Indices of all classes, or of every n-th if their names would overlap."""
    return list(range(0, classes, max(1, round(0.12 / _pitch(classes)))))


def _color_bar(axes: Axes) -> None:
    """A legend of the shades."""
    bar = axes.inset_axes((1.03, 0, 0.03, 1))
    steps = np.linspace(0, 1, _SHADES + 1)
    bar.bar(0, np.diff(steps), bottom=steps[:-1], width=1, color=[(HEAT, share) for share in steps[1:]])
    bar.set(xlim=(-0.5, 0.5), ylim=(0, 1), xticks=[])
    bar.yaxis.tick_right()
    bar.set_yticks([0, 0.25, 0.5, 0.75, 1], ["0", "25", "50", "75", "100 %"])
    bar.set_title("of true", fontsize=6.5, color=MUTED)
    bar.tick_params(length=0)
    bar.grid(False)


def _cell_text(axes: Axes, row: int, column: int, share: float, count: int) -> None:
    color = "white" if share > DARK else INK
    axes.text(column, row - 0.02, f"{100 * share:.0f}", ha="center", va="bottom", color=color, fontsize=7)
    axes.text(column, row + 0.06, f"{count:,}", ha="center", va="top", color=color, fontsize=5, alpha=0.85)


def density(axes: Axes, x: np.ndarray, y: np.ndarray, low: float, high: float) -> None:
    """Hexagons shaded by the logarithm of their number of windows, one path per shade."""
    bins = axes.hexbin(x, y, gridsize=30, extent=(low, high, low, high), mincnt=1)
    centers, counts = np.asarray(bins.get_offsets()), np.asarray(bins.get_array())
    hexagon = bins.get_paths()[0].vertices
    bins.remove()
    levels = np.linspace(0, np.log1p(counts.max()), 9)[1:]
    shade = np.searchsorted(levels, np.log1p(counts) - 1e-9)
    for level in np.unique(shade):
        outlines = [Outline(hexagon + center, closed=True) for center in centers[shade == level]]
        alpha = 0.15 + 0.85 * level / 7
        axes.add_patch(PathPatch(Outline.make_compound_path(*outlines), facecolor=(HEAT, alpha), linewidth=0))
