"""Two values as points in a plane: labels, predictions and errors by region."""

from collections.abc import Sequence

import numpy as np
import pandas as pd
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.patches import Circle, Wedge
from numpy.typing import ArrayLike

from skelemo.report.figures import DARK, FEW, density
from skelemo.report.style import HEAT, INK, MUTED, ORANGE, PAGE, RULE, canvas, styled
from skelemo.runs.folder import Run
from skelemo.runs.predictions import outputs_of, truth_of
from skelemo.targets import Head

#: Outer radii of the middle and the inner ring, in halves of the range; both rings have eight sectors.
_RINGS = (1 / 3, 2 / 3)
_SECTORS = 8
#: Minimum number of windows of a region in the figure.
_FEWEST = 10
#: Size of a figure with two planes in inches.
_SIZE = (PAGE * 0.86, PAGE * 0.43 + 0.25)
_ARROW = {"arrowstyle": "-|>", "color": ORANGE, "linewidth": 1.1, "shrinkA": 0, "shrinkB": 0, "mutation_scale": 7}
_SIGNS = ((1, 0), (1, 1), (0, 1), (-1, 1), (-1, 0), (-1, -1), (0, -1), (1, -1))


def has_plane(head: Head) -> bool:
    """Whether the head has two values."""
    return head.kind == "values" and len(head) == 2


def pairs(run: Run, head: Head) -> tuple[np.ndarray, np.ndarray]:
    """Truth and predictions ``[N, 2]`` of windows with both labels."""
    truth, outputs = truth_of(run.windows, head), outputs_of(run.windows, head)
    known = ~np.isnan(truth).any(1)
    return truth[known].astype(np.float64), outputs[known].astype(np.float64)


def region_errors(truth: ArrayLike, predicted: ArrayLike, head: Head) -> pd.DataFrame:
    """Errors of predictions ``[N, 2]`` by region of the truth ``[N, 2]``.

    A row for each region: ``ring`` (0 is the middle, 2 the outermost), ``sector`` (0 along the first value, then every
    45° towards the second), ``region`` as text, ``windows``, ``error`` (mean distance), ``bias_<output>`` (mean of
    prediction minus truth) and ``at_<output>`` (mean truth); the last are NaN without windows.
    """
    x, y = (np.asarray(values, np.float64) for values in (truth, predicted))
    middle, half = _middle(head)
    places = (x - middle) / half
    ring = np.searchsorted(_RINGS, np.hypot(*places.T), side="right")
    turn = np.arctan2(places[:, 1], places[:, 0]) / (2 * np.pi / _SECTORS)
    sector = np.where(ring == 0, 0, np.round(turn).astype(int) % _SECTORS)
    table = pd.DataFrame({"ring": ring, "sector": sector, "windows": 1, "error": np.hypot(*(y - x).T)})
    for column, output in enumerate(head.outputs):
        table[f"bias_{output}"], table[f"at_{output}"] = (y - x)[:, column], x[:, column]
    every = pd.MultiIndex.from_tuples(_places(), names=["ring", "sector"])
    how = {name: "sum" if name == "windows" else "mean" for name in table.columns[2:]}
    found = table.groupby(["ring", "sector"]).agg(how).reindex(every).reset_index()
    found["windows"] = found["windows"].fillna(0).astype(int)
    found.insert(0, "region", [_words(ring, sector, head) for ring, sector in _places()])
    return found


def region_table(runs: Sequence[Run]) -> pd.DataFrame:
    """Errors by region for all runs and heads with two values, for the CSV file."""
    tables = {
        (run.name, head.name): region_errors(*pairs(run, head), head).drop(columns=["ring", "sector"])
        for run in runs
        for head in run.heads
        if has_plane(head) and head.name in run.shown
    }
    return pd.concat(tables, names=["run", "head"]).droplevel(-1).reset_index() if tables else pd.DataFrame()


def _places() -> list[tuple[int, int]]:
    return [(0, 0), *((ring, sector) for ring in (1, 2) for sector in range(_SECTORS))]


def _words(ring: int, sector: int, head: Head) -> str:
    """A region's name from the signs of its values: ``far, +first −second``."""
    if ring == 0:
        return "middle"
    signs = {1: "+", -1: "−"}
    words = [f"{signs[sign]}{name}" for sign, name in zip(_SIGNS[sector], head.outputs, strict=True) if sign]
    return f"{'near' if ring == 1 else 'far'}, {' '.join(words)}"


@styled
def densities(truth: np.ndarray, predicted: np.ndarray, head: Head) -> Figure:
    """Distributions of labels and predictions ``[N, 2]`` in the plane of two values."""
    figure, panels = canvas(*_SIZE, 1, 2, sharex=True, sharey=True)
    for axes, values, title in zip(panels, (truth, predicted), ("true", "predicted"), strict=True):
        _plane(axes, head, title)
        if len(values) < FEW:
            axes.plot(*values.T, "o", color=HEAT, alpha=0.5, markersize=3, markeredgewidth=0)
        else:
            density(axes, values[:, 0], values[:, 1], head.low, head.high)
    panels[1].set_ylabel("")
    return figure


@styled
def error_map(truth: np.ndarray, predicted: np.ndarray, head: Head) -> Figure:
    """By region of the truth: mean error as a shade, and arrows from the mean truth to the mean prediction."""
    figure, (shades, arrows) = canvas(*_SIZE, 1, 2, sharex=True, sharey=True)
    _plane(shades, head, "mean error, and windows")
    _plane(arrows, head, "from mean truth to mean prediction")
    arrows.set_ylabel("")
    table = region_errors(truth, predicted, head)
    shown = table[table["windows"] >= _FEWEST]
    largest, (middle, half) = shown["error"].max(), _middle(head)
    for row in shown.to_dict("records"):
        share = min(1.0, 0.08 + 0.92 * row["error"] / max(largest, 1e-9))
        shades.add_patch(_shape(row["ring"], row["sector"], middle, half, facecolor=(HEAT, share), linewidth=0))
        radius, angle = (0, 0.5, 0.83)[row["ring"]] * half, 2 * np.pi * row["sector"] / _SECTORS
        x, y = middle + radius * np.cos(angle), middle + radius * np.sin(angle)
        ink = "white" if share > DARK else INK
        shades.text(x, y, f"{row['error']:.2f}", ha="center", va="bottom", color=ink, fontsize=7)
        shades.text(x, y, f"{row['windows']:,}", ha="center", va="top", color=ink, fontsize=5.5)
        start = np.array([row[f"at_{name}"] for name in head.outputs])
        end = start + [row[f"bias_{name}"] for name in head.outputs]
        arrows.plot(*start, "o", color=ORANGE, markersize=2.6, markeredgewidth=0)
        if np.hypot(*(end - start)) > 0.03 * half:
            arrows.annotate("", tuple(end), tuple(start), arrowprops=_ARROW)
    for ring in _RINGS:
        arrows.add_patch(Circle((middle, middle), ring * half, fill=False, edgecolor=RULE, linewidth=0.6))
    return figure


def _shape(ring: int, sector: int, middle: float, half: float, **look: object) -> Circle | Wedge:
    place, gap = (middle, middle), 0.008 * half
    if ring == 0:
        return Circle(place, _RINGS[0] * half - gap, **look)
    outer = (_RINGS[1] if ring == 1 else 1) * half - gap
    width = outer - _RINGS[ring - 1] * half - gap
    turn, slit = 360 / _SECTORS, 57.3 * gap / outer
    return Wedge(place, outer, (sector - 0.5) * turn + slit, (sector + 0.5) * turn - slit, width=width, **look)


def _plane(axes: Axes, head: Head, title: str) -> None:
    """Axes of the plane, with an inscribed circle."""
    middle, half = _middle(head)
    limits, ticks = (head.low - 0.04 * half, head.high + 0.04 * half), np.linspace(head.low, head.high, 5)
    axes.set(xlim=limits, ylim=limits, aspect="equal", xticks=ticks, yticks=ticks)
    axes.set(xlabel=head.outputs[0], ylabel=head.outputs[1], title=title)
    axes.add_patch(Circle((middle, middle), half, fill=False, edgecolor=MUTED, linewidth=0.7))
    axes.axhline(middle, color=MUTED, linewidth=0.5, zorder=0.5)
    axes.axvline(middle, color=MUTED, linewidth=0.5, zorder=0.5)


def _middle(head: Head) -> tuple[float, float]:
    """Center and half-width of the range."""
    return (head.high + head.low) / 2, (head.high - head.low) / 2
