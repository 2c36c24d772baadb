"""Keypoint importance: a shaded skeleton, bars by part and region, and tables."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from functools import cached_property

import numpy as np
import pandas as pd
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.lines import Line2D

from skelemo.evaluation.metrics import titles
from skelemo.report.describe import find_part, part_title
from skelemo.report.style import COLUMN, HEAT, INK, MUTED, ORANGE, PAPER, RULE, canvas, name_rows, styled
from skelemo.runs.folder import Run
from skelemo.runs.importance import read_importance
from skelemo.skeleton import Part
from skelemo.targets import Head
from skelemo.text import count, visible

#: Prefix of a head's group of figures.
KEYPOINTS = "keypoints of"
#: Maximum number of keypoints numbered in the figure, and in the table; the CSV file has all.
_NUMBERED, _MOST_ROWS = 5, 12
#: Height of the skeleton in inches.
_HEIGHT = 3.5
#: Area in square points of the most important keypoint, and of unimportant ones.
_LARGEST, _SMALLEST = 90, 7


@dataclass(frozen=True)
class HeadImportance:
    """Keypoint importance for one head: rows of `skelemo.runs.importance` with a column ``noise``."""

    head: Head
    table: pd.DataFrame

    def of(self, *levels: str) -> pd.DataFrame:
        """Rows of some levels, by decreasing loss."""
        rows = self.table[self.table["level"].isin(levels) & self.table["loss"].notna()]
        return rows.sort_values("loss", ascending=False, kind="stable")

    @property
    def rows(self) -> pd.DataFrame:
        """Rows of the page's table."""
        joints = self.of("joint")
        return pd.concat([self.of("part"), self.of("region"), joints[joints["seen"] > 0][:_MOST_ROWS]])

    @property
    def numbered(self) -> pd.DataFrame:
        """The most important keypoints beyond chance, which have a number in the figure."""
        joints = self.of("joint")
        return joints[(joints["loss"] > 0) & ~joints["noise"]][:_NUMBERED]

    @property
    def metric(self) -> str:
        """Title of the score."""
        return titles(self.head).get(str(self.table["metric"].iloc[0]), str(self.table["metric"].iloc[0]))

    @cached_property
    def description(self) -> str:
        """What was measured, on which data, and its limits."""
        full = self.table[self.table["level"] == "none"].iloc[0]
        folds, kind = full["grouped_by"] == "fold", full["grouped_by"]
        basis = f", averaged over {full['groups']:.0f} folds" if folds else ""
        sentences = [
            f"Drop in {self.metric} when keypoints are hidden. With all keypoints, it is {full['score']:.3f} "
            f"on {count(int(full['windows']), 'window')} of the {full['subset']} subset{basis}."
        ]
        if self.table["low"].notna().any():
            method = "Student's t over the folds" if folds else f"a paired bootstrap of {full['groups']:,.0f} {kind}s"
            sentences.append(
                f"95 % confidence intervals from {method}. Hollow marks are within chance; with so many comparisons, "
                "a few of the others may be, too."
            )
        else:
            few = count(int(full["groups"]), kind)
            sentences.append(f"With only {few}, too few for confidence intervals, every drop may be due to chance.")
        if not len(self.of("joint")):
            sentences.append(
                "Single keypoints were not tested because the training was too short (use --set importance=400)."
            )
        sentences.append(
            "Redundant keypoints have a small effect one by one and a large one together. Part of a drop may be due to "
            "the gap itself, which is rare in training, or to normalization: without the points it uses (in OpenPose's "
            "layouts, torso, nose and eyes), all others shift, so hiding a region can have a larger effect than hiding "
            "its whole part."
        )
        return " ".join(sentences)


def importances(run: Run) -> list[HeadImportance]:
    """Keypoint importance from the run folder, for each head; empty for ensembles.

    Raises `InputError`: the file is damaged.
    """
    if run.members and not run.evaluation:
        return []
    table = read_importance(run.path)
    for name in ("part", "name", "grouped_by", "subset", "metric"):
        table[name] = table[name].map(visible)
    table["noise"] = ~((table["low"] > 0) | (table["high"] < 0)) & (table["low"].notna() | (table["loss"] == 0))
    by_head = [HeadImportance(head, table[table["head"] == head.name]) for head in run.heads]
    return [one for one in by_head if (one.table["level"] == "none").any()]


def importance(runs: Sequence[Run]) -> pd.DataFrame:
    """The rows of all runs, for the CSV file."""
    tables = [one.table.drop(columns="noise").assign(run=run.name) for run in runs for one in importances(run)]
    if not tables:
        return pd.DataFrame()
    found = pd.concat(tables, ignore_index=True)
    return found[["run", *found.columns.drop("run")]]


def label(row: pd.Series) -> str:
    """Name of the hidden points: ``mouth``, ``right hand: thumb``, ``RBrow2 (face)``."""
    part = part_title(row["part"])
    if row["level"] == "part":
        return f"all of the {part}"
    if row["level"] == "joint":
        return f"{row['name']} ({part})"
    return str(row["name"]) if part in ("body", "face") else f"{part}: {row['name']}"


def drawings(one: HeadImportance) -> Iterator[tuple[str, str, Figure]]:
    """Suffixes of names, captions and figures of a head."""
    if (figure := skeleton(one)) is not None:
        names = ", ".join(f"{number} {label(row)}" for number, (_, row) in enumerate(one.numbered.iterrows(), 1))
        numbers = f" Numbers: {names}." if names else ""
        where = "Lines are shaded by the drop of their region, points by their own drop" if len(one.of("joint")) else (
            "Shaded by the drop of each region")  # fmt: skip
        people = any((part := find_part(name)) and part.kind != "other" for name in one.table["part"].unique())
        view = " Front view: the person's right is on the left." if people else ""
        yield "keypoints", f"{where}.{view}{numbers}", figure
    if len(one.of("part", "region")):
        yield (
            "regions",
            f"Drop in {one.metric} without each part and region, with 95 % confidence intervals.",
            bars(one),
        )


@styled
def bars(one: HeadImportance) -> Figure:
    """Loss by part and by region with intervals; hollow if within chance."""
    groups = [rows for rows in (one.of("part"), one.of("region")) if len(rows)]
    rows = pd.concat(groups)
    places = np.concatenate([np.arange(len(some)) + 0.6 * number + sum(map(len, groups[:number]))
                             for number, some in enumerate(groups)])  # fmt: skip
    figure, (axes,) = canvas(COLUMN, 0.75 + 0.24 * (places[-1] + 1))
    noise, loss = rows["noise"].to_numpy(), rows["loss"].to_numpy()
    tints = np.where(loss < 0, ORANGE, HEAT).tolist()
    fill = [(PAPER, 0) if pale else (tint, 0.75) for pale, tint in zip(noise, tints, strict=True)]
    edge = [MUTED if pale else tint for pale, tint in zip(noise, tints, strict=True)]
    axes.barh(places, loss, height=0.62, color=fill, edgecolor=edge, linewidth=0.8)
    axes.hlines(places, rows["low"], rows["high"], color=INK, linewidth=1.0)
    axes.axvline(0, color=MUTED, linewidth=0.8)
    axes.set(ylim=(places[-1] + 0.6, -0.6), xlabel=f"drop in {one.metric}")
    name_rows(axes, places, [label(row) for _, row in rows.iterrows()])
    handles = [Line2D([], [], marker="s", linestyle="", color=(HEAT, 0.75), markeredgecolor=HEAT, label="loss")]
    if noise.any():
        handles.append(
            Line2D([], [], marker="s", linestyle="", color=PAPER, markeredgecolor=MUTED, label="within chance")
        )
    figure.legend(handles=handles, loc="outside upper right", ncols=2, handletextpad=0.2, columnspacing=1.2)
    return figure


@styled
def skeleton(one: HeadImportance) -> Figure | None:
    """Each part in its median pose, points sized and shaded by their loss, lines by their region's loss.

    None without a pose.
    """
    joints = one.table[(one.table["level"] == "joint") & one.table["x"].notna() & one.table["y"].notna()]
    found = [
        (find_part(name), joints[joints["part"] == name].set_index("name")) for name in dict.fromkeys(joints["part"])
    ]
    panels = [(part, rows) for part, rows in found if part is not None and set(rows.index) <= set(part.keypoints)]
    if not panels:
        return None
    wide = [_extent(rows) for _, rows in panels]
    ratios = [max(0.3, min(2.0, (right - left) / (bottom - top))) for left, right, top, bottom in wide]
    figure, grid = canvas(max(COLUMN, _HEIGHT * sum(ratios) + 0.3), _HEIGHT + 0.6, 1, len(panels), width_ratios=ratios)
    scales = (_largest_loss(one.of("region")), _largest_loss(one.of("joint")))
    ranks = {(row["part"], row["name"]): number for number, (_, row) in enumerate(one.numbered.iterrows(), 1)}
    for axes, (part, rows), (left, right, top, bottom) in zip(grid, panels, wide, strict=True):
        regions = one.table[(one.table["level"] == "region") & (one.table["part"] == part.name)].set_index("name")
        _draw_lines(axes, part, rows, regions, scales[0])
        _draw_points(axes, part, rows, regions, scales, {n: r for (p, n), r in ranks.items() if p == part.name})
        axes.set(xlim=(left, right), ylim=(bottom, top), aspect="equal", title=part_title(part.name))
        axes.axis("off")
    figure.legend(
        handles=_legend(one, scales), loc="outside lower center", ncols=2, handlelength=2.6, columnspacing=2.4
    )
    return figure


def _largest_loss(rows: pd.DataFrame) -> float:
    """The loss with the darkest shade; 0 if all are within chance."""
    certain = rows["loss"].abs()[~rows["noise"]]
    return float(certain.max()) if len(certain) else 0.0


def _extent(rows: pd.DataFrame) -> tuple[float, float, float, float]:
    """Left, right, top and bottom of a part, with a margin."""
    x, y = rows["x"].to_numpy(), rows["y"].to_numpy()
    room = 0.09 * max(np.ptp(x), np.ptp(y), 1e-3)
    return x.min() - room, x.max() + room, y.min() - room, y.max() + room


def _strength(loss: float, noise: bool, greatest: float) -> float:
    """Shade from 0 to 1."""
    return 0.0 if noise or not greatest or np.isnan(loss) else min(1.0, abs(loss) / greatest)


def _draw_lines(axes: Axes, part: Part, rows: pd.DataFrame, regions: pd.DataFrame, greatest: float) -> None:
    looks = {}
    for name, loss, noise in zip(regions.index, regions["loss"], regions["noise"], strict=True):
        if strength := _strength(loss, noise, greatest):
            looks[name] = (ORANGE if loss < 0 else HEAT, 0.2 + 0.65 * strength), 1.6 + 3.6 * strength
    for start, end in part.limbs:
        ends = [part.keypoints[start], part.keypoints[end]]
        if set(ends) <= set(rows.index):
            color, width = looks.get(_region_of(part, start, end), (RULE, 1.4))
            x, y = rows.loc[ends, "x"], rows.loc[ends, "y"]
            axes.plot(x, y, color=color, linewidth=width, solid_capstyle="round", zorder=1)


def _region_of(part: Part, *points: int) -> str | None:
    """The smallest region with any of the points."""
    having = [(len(places), name) for name, places in part.region_points.items() if set(points) & {*places}]
    return min(having)[1] if having else None


def _draw_points(
    axes: Axes,
    part: Part,
    rows: pd.DataFrame,
    regions: pd.DataFrame,
    scales: tuple[float, float],
    ranks: dict[str, int],
) -> None:
    tested = rows["loss"].notna().any()
    for name, row in rows.iterrows():
        loss, noise, greatest = row["loss"], row["noise"], scales[1]
        if not tested:  # single points were not hidden
            here = regions[regions.index == _region_of(part, part.index(str(name)))]
            loss, noise, greatest = here["loss"].sum(), bool(here["noise"].all()), scales[0]
        strength = _strength(loss, noise, greatest)
        area = _SMALLEST + (_LARGEST - _SMALLEST) * strength * (1 if tested else 0.15)
        if strength:
            harm = loss < 0
            axes.scatter(row["x"], row["y"], s=area, color=(ORANGE if harm else HEAT, 0.35 + 0.65 * strength),
                         marker="D" if harm else "o", linewidth=0.6, edgecolor=PAPER, zorder=3)  # fmt: skip
        else:
            axes.scatter(row["x"], row["y"], s=area, color=PAPER, edgecolor=MUTED, linewidth=0.7, zorder=2)
        if name in ranks:
            joined = {part.keypoints[one] for limb in part.limbs if part.index(str(name)) in limb for one in limb}
            near = rows[rows.index.isin(joined)]
            near = near if len(near) > 1 else rows  # the number goes on the opposite side of these
            away = np.array([row["x"] - near["x"].mean(), near["y"].mean() - row["y"]])
            away = away / max(float(np.hypot(*away)), 1e-9) * (5 + np.sqrt(area) / 2)
            axes.annotate(str(ranks[str(name)]), (row["x"], row["y"]), xytext=away, textcoords="offset points",
                          fontsize=7.5, fontweight="bold", ha="center", va="center", color=INK, zorder=4)  # fmt: skip


def _legend(one: HeadImportance, scales: tuple[float, float]) -> list[Line2D]:
    """Two columns: lines, and points if single points were hidden."""
    lines, points = [], []
    if scales[0]:
        lines += [Line2D([], [], color=(HEAT, 0.2 + 0.65 * share), linewidth=1.6 + 3.6 * share, solid_capstyle="butt",
                         label=f"region: drop {share * scales[0]:.3f}") for share in (1.0, 0.4)]  # fmt: skip
    lines.append(Line2D([], [], color=RULE, linewidth=1.4, label="region: within chance"))
    if len(one.of("joint")):
        if scales[1]:
            points += [Line2D([], [], linestyle="", marker="o", color=(HEAT, 0.35 + 0.65 * share),
                              markersize=np.sqrt(_SMALLEST + (_LARGEST - _SMALLEST) * share),
                              label=f"point: drop {share * scales[1]:.3f}") for share in (1.0, 0.4)]  # fmt: skip
        points.append(Line2D([], [], linestyle="", marker="o", color=PAPER, markeredgecolor=MUTED, markeredgewidth=0.7,
                             markersize=np.sqrt(_SMALLEST), label="point: within chance"))  # fmt: skip
    shown = pd.concat([one.of("region"), one.of("joint")])
    if ((shown["loss"] < 0) & ~shown["noise"]).any():
        points.append(Line2D([], [], linestyle="", marker="D", color=ORANGE, markersize=5, label="better without it"))
    if points:  # the legend fills its columns one by one
        rows = max(len(lines), len(points))
        lines += [Line2D([], [], linestyle="", label=" ")] * (rows - len(lines))
    return lines + points
